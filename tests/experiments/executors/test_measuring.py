"""Processes that measure how long training will take: how they end early, and what fails in them."""

from __future__ import annotations

import sys
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf

from mailcli import plugins
from mailcli.config import RunConfig, make_config
from mailcli.data.dataset import Dataset
from mailcli.errors import Interrupted, MailError
from mailcli.experiments.executors import measuring


@pytest.mark.parametrize(
    ("raised", "jobs", "kind", "message"),
    [
        (
            BrokenProcessPool(),
            2,
            MailError,
            "A process that measures how long training will take was killed, possibly out of memory. Run the same "
            "command with --jobs 1 to use less memory.",
        ),
        # `mail train` has no --jobs.
        (
            BrokenProcessPool(),
            1,
            MailError,
            "A process that measures how long training will take was killed, possibly out of memory. Set a smaller "
            "batch_size, history or embedding_dim, or smaller options of the ranker or the method.",
        ),
        (KeyboardInterrupt(), 1, Interrupted, "Interrupted before training began. Run the same command again."),
    ],
)
def test_measuring_that_ends_early(
    raised: BaseException, jobs: int, kind: type[MailError], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Pool:
        def __init__(self, *_: object) -> None:
            pass

        def map(self, *_: object) -> None:
            raise raised

        def shutdown(self, **_: object) -> None:
            pass

    monkeypatch.setattr(measuring, "ProcessPoolExecutor", Pool)
    with pytest.raises(kind) as error:
        measuring.measure_cells([measuring.MeasuredModel(RunConfig("x"), Path("x"))] * 2, jobs, 1)
    assert error.value.message == message


def test_a_model_that_does_not_fit_is_one_line(tiny: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    def measure_speed(*_: Any) -> None:
        message = "OOM when allocating tensor with shape[8192,60000] and type float on /job:localhost by allocator cpu"
        raise tf.errors.ResourceExhaustedError(None, None, message)

    monkeypatch.setattr("mailcli.experiments.speed.measure_speed", measure_speed)
    with pytest.raises(MailError) as error:
        measuring._measure(measuring.MeasuredModel(make_config([{"data": "tiny"}]), tiny.folder))
    assert error.value.message == (
        "base+none: an array of the shape [8192,60000] does not fit into memory. Set a smaller batch_size, history or "
        "embedding_dim, or smaller options of the ranker or the method."
    )


def test_an_error_of_the_users_code_names_file_and_line(
    tiny: Dataset, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    (home / "fails_when_measured.py").write_text("def score(features, training):\n    return features.query[:, 0]\n")

    def measure_speed(config: RunConfig, _: Dataset) -> None:
        sys.modules["fails_when_measured"].score(None, False)

    monkeypatch.setattr("mailcli.experiments.speed.measure_speed", measure_speed)
    config = make_config([{"data": "tiny", "ranker": "fails_when_measured:score"}])
    plugins.load(plugins.RANKERS, config.ranker)
    with pytest.raises(MailError) as error:
        measuring._measure(measuring.MeasuredModel(config, tiny.folder))
    assert error.value.message == (
        "fails_when_measured:score+none on tiny: fails_when_measured.py, line 2: AttributeError: 'NoneType' object has "
        "no attribute 'query'"
    )
