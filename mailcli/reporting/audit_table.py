"""The table of an audit: AUC and GAUC of new users by the source of their behavior, and whether v̂ is personal."""

from __future__ import annotations

import math
from collections.abc import Sequence

from mailcli.config import RunConfig
from mailcli.metrics.bootstrap import percentile_interval
from mailcli.reporting.audits import AuditDifference, MeanAudit
from mailcli.reporting.captions import protocol_text
from mailcli.reporting.rows import METRICS, TITLES
from mailcli.reporting.text_table import TextTable, signed, text_block, unsigned
from mailcli.runs.audit import SOURCES
from mailcli.utils.parsing import none_if_nan


def audit_table(audit: MeanAudit, configs: Sequence[RunConfig], dataset: str, title: str) -> TextTable:
    """The table of one cell's audit.

    Args:
        audit: its numbers.
        configs: of its runs, which differ by their seed.
        dataset: the dataset's label.
        title: of the table.
    """
    head = ("", *(name for metric in METRICS for name in (metric, "over users", "against own v̂")))
    lines = [[SOURCES[source], *_cells(audit, source)] for source in SOURCES]
    config, draws = configs[0], len(next(iter(audit.draws.values())))
    seeds = [config.seed for config in configs]
    notes = (
        f"data {dataset} | {protocol_text(config)} | seeds {', '.join(map(str, seeds))}",
        f"{audit.users:,.0f} new users who have behavior, on average; the same weights in every line",
        f"over users, against own v̂: 95% intervals from {draws:,} bootstrap draws of the users",
        verdict(audit),
    )
    return TextTable(title, head, (text_block(TITLES["new"], lines),), notes, _records(audit, config, seeds))


def verdict(audit: MeanAudit) -> str:
    """In words, whether v̂ is shown to be personal."""
    if audit.is_personal is None:
        return "whether v̂ is personal is unknown: AUC and GAUC are undefined"
    texts = [
        f"{metric} {difference_text(difference)}"
        for metric, difference in zip(METRICS, audit.differences("other"), strict=True)
    ]
    numbers = f"{', '.join(texts)} with another user's"
    if audit.is_personal:
        return f"v̂ is personal: {numbers}"
    return f"no evidence that v̂ is personal: another user's costs nothing significant ({numbers})"


def difference_text(difference: AuditDifference) -> str:
    """`-.0123 [-.0200, -.0046]`; `undefined` for a metric that is NaN."""
    if not difference.is_defined:
        return "undefined"
    return f"{signed(difference.mean)} [{signed(difference.low)}, {signed(difference.high)}]"


def _cells(audit: MeanAudit, source: str) -> list[str]:
    cells = []
    for value, draws, difference in zip(
        audit.values[source], audit.draws[source].T, audit.differences(source), strict=True
    ):
        if math.isnan(value):
            cells += ["undefined", "", ""]
            continue
        interval = " to ".join(map(unsigned, percentile_interval(draws)))
        cells += [unsigned(float(value)), interval, "" if source == "own" else difference_text(difference)]
    return cells


def _records(audit: MeanAudit, config: RunConfig, seeds: list[int]) -> list[dict[str, object]]:
    records: list[dict[str, object]] = []
    for source in SOURCES:
        for number, (metric, difference) in enumerate(zip(METRICS, audit.differences(source), strict=True)):
            low, high = percentile_interval(audit.draws[source][:, number])
            records.append(
                {
                    "cell": config.cell,
                    "source": source,
                    "metric": metric,
                    "mean": none_if_nan(float(audit.values[source][number])),
                    "over_users_low": none_if_nan(low),
                    "over_users_high": none_if_nan(high),
                    **difference.record(),
                    "personal": audit.is_personal,
                    "seeds": seeds,
                }
            )
    return records
