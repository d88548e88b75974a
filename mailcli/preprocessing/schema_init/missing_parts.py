"""What is missing in files of which none is a log of what users were shown."""

from __future__ import annotations

from collections.abc import Sequence

from mailcli.preprocessing.schema_init.column_profile import ColumnProfile
from mailcli.preprocessing.schema_init.recognized import RecognizedTable

#: The parts of a log: the role, which is also its option (`--user`), and what it is called.
_PARTS = (("user", "a user"), ("item", "an item"), ("time", "a time"), ("click", "a click or a rating"))
#: Columns of a file that an error lists (ours: it stays readable).
_LISTED = 20


def no_log(tables: Sequence[RecognizedTable]) -> str:
    """The error: what was recognized in the file that is most like a log, and which options name the rest."""
    to_rewrite = next((table for table in tables if table.set_aside), None)
    if to_rewrite:
        first, *more = to_rewrite.set_aside
        columns = f"'{first}'" + (f" and {len(more):,} more" if more else "")
        return (
            f"{to_rewrite.name}: {columns}: none of the files is a log with one row for each impression yet. Rewrite "
            "this one first, as the note above says, and propose again."
        )
    nearest = max(tables, key=lambda table: (len(_recognized(table)), len(table.columns)))
    recognized = _recognized(nearest)
    missing = {role: name for role, name in _PARTS if role not in recognized}
    has = f" has {_listed(list(recognized.values()))}, but" if recognized else " has"
    options = _listed([f"--{role}" for role in missing])
    columns = "; ".join(f"{table.name}: {_columns(table)}" for table in tables)
    return (
        "none of the files looks like a log of what users were shown: a user, an item, a time, and a click or a "
        "rating. "
        f"{nearest.name}{has} nothing that is clearly {_listed(list(missing.values()), 'or')}. Name its columns with "
        f"{options}, or write the schema file by hand, starting from examples/schemas. Found: {columns}."
    )


def _recognized(table: RecognizedTable) -> dict[str, str]:
    columns = {
        "user": table.user,
        "item": table.item,
        "time": table.time or table.unknown_time,
        "click": table.click or table.rating,
    }
    return {role: f"{name} ('{column.name}')" for role, name in _PARTS if (column := columns[role])}


def _listed(names: Sequence[str], last: str = "and") -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} {last} {names[-1]}"


def _columns(table: RecognizedTable) -> str:
    names = [_describe(column) for column in table.columns[:_LISTED]]
    more = len(table.columns) - _LISTED
    return ", ".join(names) + (f" and {more:,} more" if more > 0 else "")


def _describe(column: ColumnProfile) -> str:
    return f"{column.name} ({column.unusable})" if column.unusable else column.name
