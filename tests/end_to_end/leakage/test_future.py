"""Other validation and test days change nothing in training."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from mailcli.data.dataset import Dataset
from mailcli.experiments.cells import train_if_missing
from mailcli.runs.folder import RunFolder
from tests.helpers.leakage import LeakError
from tests.helpers.leakage_runs import TWO_STAGE, config, replace_columns


def weights_of(run: RunFolder) -> dict[str, np.ndarray]:
    """The arrays of the best epoch."""
    arrays: dict[str, np.ndarray] = {}
    with h5py.File(run.weights) as file:
        file.visititems(lambda name, item: arrays.update({name: item[()]} if hasattr(item, "dtype") else {}))
    return arrays


class TestAnotherFuture:
    """With other validation and test days, the losses of every step and the weights are bit-identical.

    Whatever path a leak may take, training depends on no later day. One epoch, since validation would choose the best
    of several.
    """

    @pytest.mark.parametrize(
        ("ranker", "method", "protocol"),
        [
            ("base", "mail", "strict"),
            pytest.param("dmr", "cvae", "paper", marks=pytest.mark.slow),
            *(pytest.param("base", method, "paper", marks=pytest.mark.slow) for method in TWO_STAGE),
        ],
    )
    def test_changes_nothing(
        self, ranker: str, method: str, protocol: str, usual: Dataset, late: Dataset, runs: Path
    ) -> None:
        settings = config(ranker, method, protocol=protocol, epochs=1)
        check_same(
            *(train_if_missing(settings, dataset, runs / name) for name, dataset in (("usual", usual), (".", late)))
        )

    def test_the_alarm_rings(self, usual: Dataset, runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Prices are standardized slightly differently, as if over all days."""
        settings = config(method="none", epochs=1)
        expected = train_if_missing(settings, usual, runs / "usual")
        replace_columns(monkeypatch, {"items/price": usual.column("items", "price") * np.float32(1.001)})
        leaking = train_if_missing(settings, usual, tmp_path)
        with pytest.raises(LeakError, match="step 1 has other losses"):
            check_same(expected, leaking)


def check_same(expected: RunFolder, run: RunFolder) -> None:
    """Raise LeakError if two runs differ in a loss or a weight."""
    for expected_line, line in zip(expected.history(), run.history(), strict=True):
        if "step" in line and line != expected_line:
            raise LeakError(f"step {line['step']} has other losses: {expected_line} and {line}")
    expected_weights, weights = weights_of(expected), weights_of(run)
    names = expected_weights.keys() | weights.keys()
    differing = [name for name in names if not np.array_equal(expected_weights[name], weights[name])]
    if differing:
        raise LeakError(f"other weights: {differing}")
