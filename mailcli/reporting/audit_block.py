"""The block under a result table: for each row that generates behavior, what other behavior costs its new users."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from mailcli.reporting.audits import AuditDifference, MeanAudit, mean_audit
from mailcli.reporting.rows import METRICS, Row, listed
from mailcli.reporting.text_table import TextBlock, TextCell, TextTable, signed, unsigned
from mailcli.runs.audit import SOURCES
from mailcli.settings.class_code import generates_behavior
from mailcli.utils.parsing import none_if_nan

#: The sources that are compared with the user's own v̂, and the heads of their columns.
_COLUMNS = {"other": "another's v̂", "permuted": "permuted", "mean": "mean v", "none": "v = 0", "real": "real v"}
_NOT_PERSONAL_MARK = " †"
#: Explains the columns and the mark; a document of several tables has it once.
AUDIT_LEGEND = (
    "audit: new users ranked by the same weights with another new user's v̂ (permuted: attributes as well), the mean v "
    "of old users, none, and their real v; differences from the metric with their own v̂; ±: half of the "
    f"95% interval over users, which is in square brackets; {_NOT_PERSONAL_MARK.strip()} = no evidence that v̂ is "
    "personal: another user's costs nothing significant (by intervals of 97.5%, for AUC and GAUC are two tests; not "
    "corrected over rows)"
)


class NamedAudit(NamedTuple):
    """A row of the block."""

    name: str
    seeds: tuple[int, ...]
    audit: MeanAudit


def row_audits(rows: Sequence[Row]) -> tuple[NamedAudit, ...]:
    """The audits of the rows whose runs all have one."""
    return tuple(
        NamedAudit(row.label, row.seeds, mean_audit([result["audit"] for result in row.results]))
        for row in rows
        if all("audit" in result for result in row.results)
    )


def missing_note(rows: Sequence[Row]) -> list[str]:
    """A note that names the rows that generate behavior and lack an audit, if there are any."""
    missing = [
        row.label
        for row in rows
        if not all("audit" in result for result in row.results)
        and (generates_behavior(row.config.cold_start) or any("audit" in result for result in row.results))
    ]
    if not missing:
        return []
    return [
        f"no audit of {listed(missing)}: trained by a version without audits (`mail audit RUN` shows it), or a "
        "seed without old users, or whose new users have no AUC, or fewer than two have behavior"
    ]


def audit_block(audits: Sequence[NamedAudit], title: str, notes: Sequence[str]) -> TextTable:
    """The block as a table of its own.

    Args:
        audits: of at least one row.
        title: that of the result table.
        notes: the data, and what is missing.
    """
    blocks = tuple(
        TextBlock(
            f"{metric} of new users",
            [
                [TextCell(_name(row)), *(_cell(row.audit.differences(source)[number]) for source in _COLUMNS)]
                for row in audits
            ],
        )
        for number, metric in enumerate(METRICS)
    )
    draws = len(audits[0].audit.draws["own"])
    users = ", ".join(dict.fromkeys(f"{row.audit.users:,.0f}" for row in audits))
    first, *others = notes
    drawn = f"{users} new users who have behavior; {draws} draws of users"
    all_notes = (first, verdicts(audits), drawn, *others, AUDIT_LEGEND)
    return TextTable(
        f"Audit of v̂: {title}",
        ("", *_COLUMNS.values()),
        blocks,
        all_notes,
        _records(audits),
        tuple(note.replace("|", "/") for note in all_notes),
    )


def _name(row: NamedAudit) -> str:
    return row.name + _NOT_PERSONAL_MARK if row.audit.is_personal is False else row.name


def _cell(difference: AuditDifference) -> TextCell:
    """`-.0123 ±.0077`, and in brackets the interval itself."""
    if not difference.is_defined:
        return TextCell("undefined")
    half_width = (difference.high - difference.low) / 2
    return TextCell(
        f"{signed(difference.mean)} ±{unsigned(half_width)}", f" [{signed(difference.low)}, {signed(difference.high)}]"
    )


def verdicts(audits: Sequence[NamedAudit]) -> str:
    """Which rows are shown to generate behavior that is personal, and which are not, in one sentence."""
    text_of_verdict = {
        True: "v̂ is personal",
        False: "no evidence that v̂ is personal (another user's costs nothing significant)",
        None: "whether v̂ is personal is unknown, AUC and GAUC being undefined",
    }
    names = {verdict: [row.name for row in audits if row.audit.is_personal is verdict] for verdict in text_of_verdict}
    return "; ".join(f"{text_of_verdict[verdict]}: {listed(own)}" for verdict, own in names.items() if own)


def _records(audits: Sequence[NamedAudit]) -> list[dict[str, Any]]:
    """A flat record for each row, source and metric."""
    return [
        {
            "users": "new",
            "row": row.name,
            "metric": metric,
            "source": source,
            "mean": none_if_nan(float(row.audit.values[source][number])),
            **difference.record(),
            "personal": row.audit.is_personal,
            "seeds": list(row.seeds),
        }
        for row in audits
        for source in SOURCES
        for number, (metric, difference) in enumerate(zip(METRICS, row.audit.differences(source), strict=True))
    ]
