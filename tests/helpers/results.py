"""Results of runs, made by hand, and rows of tables from them."""

from __future__ import annotations

from typing import Any

import numpy as np

from mailcli.config import make_config
from mailcli.reporting.rows import Row

BASE = make_config([{"data": "toy"}])
MAIL = make_config([{"data": "toy", "cold_start": "mail", "cold_start.variant": "base"}])


def result(new: float, old: float) -> dict[str, Any]:
    """A result with these AUCs of new and old users; each GAUC is .1 lower."""

    def metrics(auc: float) -> dict[str, Any]:
        return {"AUC": auc, "GAUC": auc - 0.1, "one_class_impressions": 0.25}

    return {
        "dataset": "toy (simulated)",
        "protocol": "paper",
        "test": {"new": metrics(new), "old": metrics(old), "all": metrics((new + old) / 2)},
    }


def with_draws(scored: dict[str, Any], **groups: list[float]) -> dict[str, Any]:
    """The result with bootstrap draws of the users: these AUCs, and GAUCs that are .1 lower."""
    draws = {name: {"AUC": np.array(aucs), "GAUC": np.array(aucs) - 0.1} for name, aucs in groups.items()}
    return {**scored, "over_users": draws}


def three_rows() -> list[Row]:
    """Three seeds of BaseDNN, MAIL-Base (new users 12% better) and MAIL-None (a little worse)."""
    none = make_config([{"data": "toy", "cold_start": "mail", "cold_start.variant": "none"}])
    baseline = (result(0.5, 0.7), result(0.5, 0.7), result(0.5, 0.7))
    better = (result(0.55, 0.7), result(0.56, 0.71), result(0.57, 0.69))
    worse = (result(0.49, 0.6), result(0.49, 0.61), result(0.48, 0.6))
    seeds = (0, 1, 2)
    return [
        Row(BASE, seeds, baseline, None),
        Row(MAIL, seeds, better, baseline),
        Row(none, seeds, worse, baseline),
    ]
