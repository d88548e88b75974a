"""`mail doctor`: everything that was looked at as a table."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from mailcli.errors import counted
from mailcli.reporting.health.finding import Finding
from mailcli.reporting.text_table import TextBlock, TextCell, TextTable

_BEST = 1


def health_table(findings: Sequence[Finding]) -> TextTable:
    """A block for each topic; what is broken stands out, and says how to fix it."""
    by_topic = groupby(findings, key=lambda finding: finding.topic)
    blocks = [TextBlock(topic, [_line(finding) for finding in group]) for topic, group in by_topic]
    records = [
        {"topic": finding.topic, "name": finding.name, "state": finding.state, "broken": finding.fault or None}
        for finding in findings
    ]
    return TextTable("mail doctor", ("", "state"), tuple(blocks), (_verdict(findings),), records, wraps=True)


def _verdict(findings: Sequence[Finding]) -> str:
    """In words, whether something is broken; stale runs are not."""
    broken = sum(bool(finding.fault) for finding in findings)
    return f"{counted(broken, 'problem')} found" if broken else "nothing is broken"


def _line(finding: Finding) -> list[TextCell]:
    if not finding.fault:
        return [TextCell(finding.name), TextCell(finding.state)]
    return [TextCell(finding.name, rank=_BEST), TextCell(f"BROKEN: {finding.fault.rstrip('.')}.", rank=_BEST)]
