"""Columns that hold lists: what a page showed, and what a user did before."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from mailcli.preprocessing.schema_init.column_names import letters
from mailcli.preprocessing.schema_init.column_profile import ColumnProfile
from mailcli.preprocessing.schema_init.recognized import RecognizedTable

#: What a page showed, with labels, as MIND has it.
_PAGE = re.compile(r"[^\s|;,]+[-:][01]([ |;,][^\s|;,]+[-:][01])*")
#: Names of columns that hold what a user did before.
_HISTORY = re.compile("hist|past|prev|sequence")
#: A column holds lists of items if at least this share of the values in its lists are items; the second share is for
#: lists separated by blanks, as words are. Whole numbers must also cover the third share of the items (ours).
_ITEMS, _WORDS, _COVERED = 0.5, 0.9, 0.2
#: Share of a column's values that must have a blank for it to hold lists (ours).
_WITH_BLANKS = 0.5


def is_page(column: ColumnProfile) -> bool:
    """Whether a column holds what pages showed, with labels: `N1-0 N2-1`."""
    return bool(column.values) and all(map(_PAGE.fullmatch, column.values))


def page_separator(column: ColumnProfile) -> str:
    """What separates the items of a page."""
    return next((separator for separator in " |;," if any(separator in value for value in column.values)), " ")


def separator_of(column: ColumnProfile) -> str:
    """What separates the values of a column of lists, also blanks; empty if it does not seem to hold lists."""
    if column.lengths is not None:
        return "|"
    if column.list_separator or not column.is_single or column.time_formats:
        return column.list_separator
    with_blanks = sum(" " in value for value in column.values)
    return " " if with_blanks > _WITH_BLANKS * len(column.values) else ""


def elements(column: ColumnProfile) -> Counter[str]:
    """The values in the lists of a column, and how often each occurs; none if it holds no lists."""
    separator = separator_of(column)
    parts = (part for value in column.values for part in value.split(separator)) if separator else ()
    return Counter(filter(None, parts))


def item_ids(tables: Sequence[RecognizedTable]) -> set[str]:
    """The items of all tables: in their own columns, and on the pages."""
    ids = {value for table in tables if table.item for value in table.item.values}
    for table in tables:
        for column in filter(is_page, table.columns):
            ids |= {entry[:-2] for value in column.values for entry in value.split(page_separator(column))}
    return ids


def shown_and_clicked(table: RecognizedTable) -> tuple[ColumnProfile, ColumnProfile] | None:
    """Two Parquet lists, of what a page showed and what of it was clicked, as EB-NeRD has them."""
    if table.item or not table.user:
        return None
    lists = [column for column in table.columns if column.lengths is not None]
    clicked = next((column for column in lists if "click" in letters(column.name)), None)
    others = [column for column in lists if column is not clicked]
    if clicked is None or not others:
        return None
    clicks = elements(clicked)
    return max(others, key=lambda column: len(clicks.keys() & elements(column).keys())), clicked


def histories(table: RecognizedTable, ids: set[str]) -> list[ColumnProfile]:
    """The columns that hold lists of items which a user dealt with before: by their values, or, of no known items, by
    their names."""
    if table.item and table.item.is_unique and not table.user:
        return []
    of_pages = shown_and_clicked(table) or ()
    columns = [column for column in table.other_columns if not column.unusable and column not in of_pages]
    return [column for column in columns if not is_page(column) and _is_history(column, ids)]


def _is_history(column: ColumnProfile, ids: set[str]) -> bool:
    parts = elements(column)
    is_named = bool(_HISTORY.search(letters(column.name)))
    if not parts or not ids:
        return bool(parts) and is_named
    items = parts.keys() & ids
    share = sum(parts[item] for item in items) / parts.total()
    # Small whole numbers may be anything, such as categories.
    is_covered = is_named or not all(map(str.isdecimal, items)) or len(items) >= _COVERED * len(ids)
    return share >= (_WORDS if separator_of(column) == " " else _ITEMS) and is_covered
