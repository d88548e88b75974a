"""What makes two files no parts of one table: other columns, another order, other types."""

from __future__ import annotations

from collections.abc import Sequence

from mailcli.errors import quoted_first

#: Names of columns that an error lists (ours: it stays readable).
_SHOWN = 5


def part_difference(name: str, part: Columns, first_name: str, first: Columns) -> str:
    """How the columns of a file differ from those of the first file of its table, in a few words; empty if they do not.

    Args:
        name: the file's name.
        part: its columns, and for Parquet their types.
        first_name: the first file's name.
        first: the same of the first file.
    """
    (columns, types), (first_columns, first_types) = part, first
    if not set(columns) & set(first_columns) and len(columns) == len(first_columns):
        names = quoted_first(columns, _SHOWN)
        return f"no column of {name} has a name as in {first_name}: {names} (perhaps it lacks the header line)"
    missing = [column for column in first_columns if column not in set(columns)]
    if missing:
        return f"{name} lacks {quoted_first(missing, _SHOWN)}, which {first_name} has"
    more = [column for column in columns if column not in set(first_columns)]
    if more:
        return f"{name} has {quoted_first(more, _SHOWN)}, which {first_name} lacks"
    for number, (column, first_column) in enumerate(zip(columns, first_columns, strict=True), start=1):
        if column != first_column:
            return f"column {number} is '{column}' in {name}, '{first_column}' in {first_name}"
    for column, own, first_type in zip(columns, types, first_types, strict=True):
        if own != first_type:
            return f"column '{column}' holds {own} in {name}, {first_type} in {first_name}"
    return ""


#: Names of columns, and the types of Parquet columns; no types for text.
Columns = tuple[Sequence[str], Sequence[object]]
