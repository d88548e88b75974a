"""The trivial rows of a table, which are fitted before its networks are trained."""

from __future__ import annotations

from pathlib import Path

import pytest

from mailcli.config import make_config
from mailcli.data.dataset import Dataset
from mailcli.experiments.matrix import make_rows
from mailcli.utils import progress


def test_a_table_says_how_far_they_are(
    tiny: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """On millions of impressions a logistic regression takes minutes for each seed."""
    monkeypatch.setattr(progress, "SECONDS_PER_LINE", 0.0)
    configs = [make_config([{"data": "tiny", "ranker": name, "history": 20}]) for name in ("item-rate", "item-bias")]
    make_rows(configs, [0, 1], tiny, tmp_path)
    shown = [line.split(",")[0] for line in capsys.readouterr().err.splitlines()]
    assert shown == [f"fitting trivial rows: {share}%" for share in (25, 50, 75)]
