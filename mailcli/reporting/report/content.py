"""What a report says, before it is HTML."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from mailcli.data.display_name import is_simulated
from mailcli.reporting.text_table import TextTable


class Fact(NamedTuple):
    """One thing that a table shows, for readers who read nothing else."""

    name: str
    value: str
    detail: str


class ReportFigure(NamedTuple):
    """A figure as SVG."""

    svg: str
    alt: str
    """What it shows, in words and numbers."""
    on_paper: bool = False
    """Whether it needs a white background even where the page is dark."""


@dataclass(frozen=True)
class ReportPart:
    """The contents under one heading of a section."""

    name: str
    """The end of its anchor."""
    title: str
    lead: str
    """A sentence that says what is shown."""
    tables: Sequence[TextTable] = ()
    figures: Sequence[ReportFigure] = ()
    folded: bool = False
    """Whether it is closed until it is clicked."""


@dataclass(frozen=True)
class ReportSection:
    """A table of results, and all that belongs to it."""

    title: str
    dataset: str
    """The dataset's label, which says whether it is simulated."""
    badges: Sequence[str]
    """Protocol, seeds and number of runs."""
    reading: str
    """What the numbers show, in the words of the experiment's file; may be empty."""
    facts: Sequence[Fact]
    parts: Sequence[ReportPart]
    csv: str
    """All numbers of the tables, for programs."""
    command: str
    """The command that trains its runs; empty if they were trained one by one."""
    environment: Sequence[str]
    """Times, machines, versions and dates."""

    @property
    def is_simulated(self) -> bool:
        """Whether the data is simulated."""
        return is_simulated(self.dataset)
