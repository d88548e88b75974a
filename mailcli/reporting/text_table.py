"""A table as texts: what every table is before it is written in one of the forms of `--format`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple


class TextCell(NamedTuple):
    """One cell of a table."""

    text: str
    detail: str = ""
    """Shown after the text wherever there is room for it: everywhere but in a terminal."""
    rank: int = 0
    """1 for the best of its block, 2 for the second best, 0 for all others."""
    sign: int = 0
    """1 for a significant improvement, -1 for a significant loss, 0 for all others."""
    is_text: bool = False
    """Whether it is no number, although it may look like one: the comma of `512,256` separates two of them."""


@dataclass(frozen=True)
class TextBlock:
    """Lines under one heading."""

    title: str
    """Empty for no heading."""
    lines: list[list[TextCell]]
    """The first cell of a line is its name."""


class Layout(NamedTuple):
    """How a table is laid out for a terminal."""

    head: tuple[str, ...]
    blocks: tuple[TextBlock, ...]
    notes: tuple[str, ...]
    names: int = 1
    """The number of columns, from the left, that say what the numbers of a line are."""


@dataclass(frozen=True)
class TextTable:
    """A table: texts for people, and the same numbers for programs."""

    title: str
    head: tuple[str, ...]
    """The columns' names; the first column holds the lines' names."""
    blocks: tuple[TextBlock, ...]
    notes: tuple[str, ...]
    """CSV has only the first one, in a result table that of the data."""
    records: list[dict[str, Any]]
    """What CSV and JSON hold: a flat record for each number."""
    detailed_notes: tuple[str, ...] | None = None
    """The notes of the forms that show details, Markdown and LaTeX, where they differ."""
    wraps: bool = False
    """Whether the last column is prose, which wraps in a terminal."""
    layouts: tuple[Layout, ...] = ()
    """For a terminal, the widest first; empty for the head, blocks and notes above."""


def text_block(title: str, lines: list[list[str]]) -> TextBlock:
    """A block of plain texts: no details, nothing marked as best."""
    return TextBlock(title, [[TextCell(text) for text in line] for line in lines])


def unsigned(number: float | None) -> str:
    """`.5862`, as the paper prints it; `-` where there is none, or NaN."""
    return "-" if number is None or math.isnan(number) else f"{number:.4f}".removeprefix("0")


def signed(number: float | None) -> str:
    """`+.0123` or `-.0123`; `-` where there is none, or NaN."""
    return "-" if number is None or math.isnan(number) else f"{number:+.4f}"[0] + unsigned(abs(number))
