"""The runs of the leakage tests: their settings, and a way to replace columns of their datasets."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mailcli.config import RunConfig, make_config
from mailcli.data.dataset import Dataset
from tests.helpers.models import QUICK

EPOCHS = 2
#: Small, for speed; only the share of new users is the paper's.
SMALL: dict[str, Any] = {
    "data": "late",
    "history": 20,
    "embedding_dim": 8,
    "batch_size": 256,
    "new_share": 0.4,
}
TWO_STAGE = ("conse", "cvar", "eszsl", "llae", "metaemb", "neighbors")
PROTOCOLS = ("paper", "strict")


def config(ranker: str = "base", method: str = "mail", **settings: Any) -> RunConfig:
    """The config of a cell on the dataset `late`."""
    cell = {"ranker": ranker, "cold_start": method}
    return make_config([SMALL, cell, QUICK.get(ranker, {}), QUICK.get(method, {}), settings])


def replace_columns(monkeypatch: pytest.MonkeyPatch, columns: dict[str, np.ndarray]) -> None:
    """Replace columns when a dataset is read; if they were changed on disk, checksums would not match."""
    column = Dataset.column

    def read(this: Dataset, table: str, name: str) -> Any:
        return columns[f"{table}/{name}"] if f"{table}/{name}" in columns else column(this, table, name)

    monkeypatch.setattr(Dataset, "column", read)
