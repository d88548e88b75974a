"""The table of an audit: AUC and GAUC of new users by the source of their behavior, and whether v̂ is personal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mailcli.config import RunConfig
from mailcli.experiments.audit.scores import SOURCES, AuditedRun
from mailcli.metrics.bootstrap import WeightedMetrics, percentile_interval, resample
from mailcli.reporting.paper import row_label
from mailcli.reporting.rows import METRICS, TITLES
from mailcli.reporting.text_table import TextTable, text_block, unsigned
from mailcli.training.evaluate import DRAWS_SEED
from mailcli.utils.progress import progress


class Audit(NamedTuple):
    """Means over runs: AUC and GAUC by source, and by source and draw of users."""

    values: dict[str, NDArray[np.float64]]
    """[2], AUC and GAUC."""
    draws: dict[str, NDArray[np.float64]]
    """[draws, 2]; NaN where a draw lacks a class."""

    def cost(self, source: str) -> tuple[NDArray[np.float64], list[tuple[float, float]]]:
        """What a source costs against the user's own v̂, [2], and its 95 % intervals over users."""
        difference = self.draws[source] - self.draws["own"]
        return self.values[source] - self.values["own"], [percentile_interval(column) for column in difference.T]

    @property
    def is_personal(self) -> bool:
        """Whether another user's v̂ is worse than the user's own: AUC's or GAUC's interval lies below 0."""
        _, intervals = self.cost("other")
        return any(high < 0 for _, high in intervals)


def measure_audit(audited: Sequence[AuditedRun], users: int, draws: int) -> Audit:
    """AUC and GAUC of runs with several seeds, with the users drawn with replacement.

    Args:
        audited: the runs, on one dataset.
        users: the number of the dataset's users.
        draws: the number of draws; all sources and runs are measured on the same ones.
    """
    samples = [
        WeightedMetrics(run.users, run.clicks, run.scores[source], users) for run in audited for source in SOURCES
    ]
    everyone = np.ones(users, np.int64)
    once = np.array([(sample.auc(everyone), sample.gauc(everyone)) for sample in samples])
    drawn = np.empty((draws, len(samples), 2))
    with progress("drawing users", draws, "draws") as advance:
        for number, metrics in enumerate(resample(samples, users, draws, DRAWS_SEED)):
            drawn[number] = metrics
            advance(1)
    # Samples are ordered by run, then source.
    values = once.reshape(len(audited), len(SOURCES), 2).mean(axis=0)
    means = drawn.reshape(draws, len(audited), len(SOURCES), 2).mean(axis=1)
    names = list(SOURCES)
    return Audit(dict(zip(names, values, strict=True)), {name: means[:, k] for k, name in enumerate(names)})


def audit_table(audit: Audit, configs: Sequence[RunConfig], dataset: str, audited: Sequence[AuditedRun]) -> TextTable:
    """The table of one cell's audit.

    Args:
        audit: its numbers.
        configs: of its runs, which differ by their seed.
        dataset: the dataset's label.
        audited: its runs.
    """
    head = ("", *(name for metric in METRICS for name in (metric, "over users", "against own v̂")))
    lines = [[SOURCES[source], *_cells(audit, source)] for source in SOURCES]
    config, draws = configs[0], len(next(iter(audit.draws.values())))
    seeds = ", ".join(str(config.seed) for config in configs)
    users = np.mean([len(np.unique(run.users)) for run in audited])
    notes = (
        f"data {dataset} | protocol {config.protocol}, {config.new_share:.0%} of users new | seeds {seeds}",
        f"{users:,.0f} new users who have behavior, on average; the same weights in every line",
        f"over users, against own v̂: 95 % intervals from {draws:,} bootstrap draws of the users",
        verdict(audit),
    )
    title = f"Audit of {row_label(config)} on {config.data}"
    return TextTable(title, head, (text_block(TITLES["new"], lines),), notes, _records(audit, config, seeds))


def verdict(audit: Audit) -> str:
    """In words, whether v̂ is personal."""
    (auc, gauc), ((low, high), (gauc_low, gauc_high)) = audit.cost("other")
    numbers = (
        f"AUC {auc:+.4f} [{low:+.4f}, {high:+.4f}], GAUC {gauc:+.4f} [{gauc_low:+.4f}, {gauc_high:+.4f}] with another "
        "user's"
    )
    if audit.is_personal:
        return f"v̂ is personal: {numbers}"
    return f"v̂ is not personal: another user's is as good ({numbers})"


def _cells(audit: Audit, source: str) -> list[str]:
    cost, cost_intervals = audit.cost(source)
    cells = []
    for number, draws in enumerate(audit.draws[source].T):
        low, high = percentile_interval(draws)
        against = f"{cost[number]:+.4f} [{cost_intervals[number][0]:+.4f}, {cost_intervals[number][1]:+.4f}]"
        interval = f"{unsigned(low)} to {unsigned(high)}"
        cells += [unsigned(float(audit.values[source][number])), interval, "" if source == "own" else against]
    return cells


def _records(audit: Audit, config: RunConfig, seeds: str) -> list[dict[str, object]]:
    records: list[dict[str, object]] = []
    for source in SOURCES:
        cost, intervals = audit.cost(source)
        for number, metric in enumerate(METRICS):
            low, high = percentile_interval(audit.draws[source][:, number])
            records.append(
                {
                    "cell": config.cell,
                    "source": source,
                    "metric": metric,
                    "mean": float(audit.values[source][number]),
                    "over_users_low": low,
                    "over_users_high": high,
                    "against_own": float(cost[number]),
                    "against_own_low": intervals[number][0],
                    "against_own_high": intervals[number][1],
                    "personal": audit.is_personal,
                    "seeds": seeds,
                }
            )
    return records
