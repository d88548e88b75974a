"""Simulated worlds with results and audits made by hand."""

from __future__ import annotations

from typing import Any

import numpy as np

from mailcli.config import RunConfig, make_config
from mailcli.reporting.rows import Row
from mailcli.reporting.worlds import WorldRows
from mailcli.runs.audit import RunAudit
from tests.helpers.audits import SOURCES
from tests.helpers.results import BASE, MAIL, result

SETTINGS: dict[str, Any] = {"users": 100, "seed": 0, "behaviors_per_user": 20.0, "attribute_strength": 0.5}


def config(ranker: str, method: str = "none") -> RunConfig:
    """A cell of the worlds."""
    return make_config([{"data": "toy", "ranker": ranker, "cold_start": method}])


def audit(no_behavior: float, real: float) -> RunAudit:
    """An audit with these AUCs without behavior and with real behavior; .57 with v̂, .5 for the other sources."""
    values = np.full((len(SOURCES), 2), 0.5)
    values[SOURCES.index("none"), 0] = no_behavior
    values[SOURCES.index("own"), 0] = 0.57
    values[SOURCES.index("real"), 0] = real
    return RunAudit(10, values, np.full((2, len(SOURCES), 2), 0.5, np.float32))


def mail_row(base: list[float], mail: list[float], sources: list[tuple[float, float]]) -> Row:
    """MAIL-Base by seed: AUC of BaseDNN and of MAIL, and those without behavior and with real behavior, if audited."""
    results = [result(auc, 0.7) for auc in mail]
    for scored, values in zip(results, sources, strict=False):
        scored["audit"] = audit(*values)
    return Row(MAIL, tuple(range(len(mail))), tuple(results), tuple(result(auc, 0.7) for auc in base))


def world(row: Row, **changed: float) -> WorldRows:
    """A world with item-bias (.55), BaseDNN, base+masked (.61), a row of MAIL, DMR and dmr+masked (.62)."""
    rows = [
        plain(config("item-bias"), 0.55, row.seeds),
        Row(BASE, row.seeds, row.baseline or (), None),
        plain(config("base", "masked"), 0.61, row.seeds),
        row,
        plain(config("dmr"), 0.6, row.seeds),
        plain(config("dmr", "masked"), 0.62, row.seeds),
    ]
    return WorldRows({**SETTINGS, **changed}, rows)


def plain(config: RunConfig, auc: float, seeds: tuple[int, ...]) -> Row:
    """A row with the same AUC of new users for each seed."""
    return Row(config, seeds, (result(auc, 0.7),) * len(seeds), None)
