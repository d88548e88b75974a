"""The runs of two days: one on `day1`, continued on `tiny`."""

from __future__ import annotations

from typing import Any

from tests.helpers.runs import SMALL

SETTINGS: dict[str, Any] = {
    "data": "day1",
    "history": 20,
    "embedding_dim": 4,
    "batch_size": 256,
    "epochs": 1,
    "ranker.units": "8,4",
    "cold_start": "mail",
    "cold_start.variant": "base",
    **SMALL,
}
PARENT = "runs/day1/paper/base+mail-base/seed-0"
CHILD = "runs/tiny/paper/base+mail-base+continued/seed-0"
