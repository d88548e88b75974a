"""Names and numbers of the MAIL paper (Tables 2-3 and their text); a number that the text does not give is not here."""

from __future__ import annotations

from typing import Any

from mailcli.config import RunConfig

#: (ranker, cold-start method) -> the paper's name of the row.
_NAMES = {("base", "none"): "BaseDNN"}

#: Test metrics on Alimama, paper protocol: row -> users -> metric.
REPORTED: dict[str, dict[str, dict[str, float]]] = {
    "BaseDNN": {"new": {"AUC": 0.5862, "GAUC": 0.5658}, "old": {"AUC": 0.6271, "GAUC": 0.5897}},
    "MAIL-None": {"new": {"AUC": 0.5834}},
    "MAIL-Single": {"new": {"AUC": 0.5844}},
    "MAIL-Base": {
        "new": {"AUC": 0.5934, "GAUC": 0.5710, "RI AUC": 1.22, "RI GAUC": 0.91},
        "old": {"AUC": 0.6271, "GAUC": 0.5898, "RI AUC": 0.00, "RI GAUC": 0.02},
    },
}


def row_name(config: RunConfig) -> str:
    """The paper's name of a cell, or `ranker+method` where it has none."""
    variant = config.cold_start_options.get("variant", "base")
    if config.cold_start == "mail" and config.ranker == "base":
        return f"MAIL-{variant.capitalize()}"
    return _NAMES.get((config.ranker, config.cold_start), config.cell)


def reported(row: str, users: str) -> dict[str, Any]:
    """The paper's numbers for a row and group of users; empty where the text gives none."""
    return REPORTED.get(row, {}).get(users, {})
