"""Fixtures of the tests that interrupt runs."""

from __future__ import annotations

import pytest

from mailcli.data.dataset import Dataset
from mailcli.experiments.cells import ensure
from mailcli.models.rankers import dmr
from tests.helpers.runs import Undisturbed, config, outcome


@pytest.fixture(scope="session")
def undisturbed(tiny: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    """What each cell's run leaves when it is not interrupted; trained once."""
    folder = tmp_path_factory.mktemp("undisturbed")
    outcomes: dict[tuple[str, int], dict[str, bytes]] = {}

    def outcome_of(cell: str) -> dict[str, bytes]:
        # `few_classes` changes the runs of DMR.
        key = cell, dmr.NEGATIVES
        if key not in outcomes:
            outcomes[key] = outcome(ensure(config(cell), tiny, folder / str(dmr.NEGATIVES)))
        return outcomes[key]

    return outcome_of


@pytest.fixture
def few_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    """DMR's match loss samples its classes, as it does with large vocabularies."""
    monkeypatch.setattr(dmr, "NEGATIVES", 10)
