"""What `mail schema init` says on the terminal: what is left out, what was judged by values, how to rewrite files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from mailcli.errors import quoted_first
from mailcli.preprocessing.schema_init.guess_fields import left_out_fields
from mailcli.preprocessing.schema_init.propose_logs import left_out_behavior_fields, left_out_context
from mailcli.preprocessing.schema_init.recognized import RecognizedTable, RecognizedTables
from mailcli.preprocessing.schema_init.reshape_hints import ReshapeHint

#: Names that a note lists (ours).
_LISTED = 10
_ROLES = {"user": "the user", "item": "the item", "time": "the time", "click": "the label", "rating": "the label"}


def hint_notes(hints: Iterable[tuple[RecognizedTable, ReshapeHint]]) -> Iterator[str]:
    """A note for each hint, and its command below it."""
    for table, hint in hints:
        columns = quoted_first([column.name for column in hint.columns], _LISTED)
        yield f"Note: {table.name}: {'left out: ' if hint.is_left_out else ''}{columns} ({hint.holds}). {hint.advice}."
        if hint.command:
            yield f"  {hint.command}"


def proposal_notes(tables: RecognizedTables) -> Iterator[str]:
    """The notes about a proposal: roles that names do not tell, missing attributes, and columns that are left out."""
    for table in tables.all:
        yield from _judged(table, tables)
        if any(not column.name for column in table.columns):
            yield f"Note: {table.name}: left out: a column without a name."
    if not tables.users and not tables.impressions.user_columns:
        yield (
            f"Note: no file has one row per user, and no column of {tables.impressions.name} is known to have one "
            "value for each user. MAIL needs user attributes: name them in [users.attributes]."
        )
    yield from _left_out(tables)


def _judged(table: RecognizedTable, tables: RecognizedTables) -> Iterator[str]:
    """The roles that are used of a table, and that names do not tell."""
    is_log = table in (tables.behaviors, tables.impressions)
    for role, reason in table.reasons.items():
        if getattr(table, role) is None:
            continue
        is_said = table is not tables.impressions and role in tables.impressions.reasons
        if not is_said and (is_log or role in {"user", "item"}):
            yield f"Note: {table.name}: '{getattr(table, role).name}' is taken as {_ROLES[role]} ({reason})."
    if is_log and table.time and table.time.time_formats[1:]:
        first, second, *_ = table.time.time_formats
        yield f"Note: {table.name}: the times in '{table.time.name}' are read as {first}, but may be {second}."
    if is_log and table.unknown_time and not table.may_count_rows:
        column = table.unknown_time.name
        yield f"Note: {table.name}: the form of the times in '{column}' is unknown: write it into the schema file."


def _left_out(tables: RecognizedTables) -> Iterator[str]:
    users, items, behaviors, impressions = tables.users, tables.items, tables.behaviors, tables.impressions
    for table, columns in ((users, users and users.columns), (items, items and items.columns)):
        if table and columns:
            others = [column for column in columns if column not in (table.user, table.item)]
            yield from _by_reason(table, left_out_fields(others, table.set_aside))
    if behaviors:
        yield from _by_reason(behaviors, left_out_behavior_fields(items, behaviors))
    described = (*impressions.user_columns, *impressions.item_columns)
    yield from _by_reason(impressions, left_out_fields(described, impressions.set_aside))
    yield from _by_reason(impressions, left_out_context(impressions))


def _by_reason(table: RecognizedTable, left_out: Sequence[tuple[str, str]]) -> Iterator[str]:
    names: dict[str, list[str]] = {}
    for name, reason in left_out:
        # A hint has said so.
        if name not in table.set_aside:
            names.setdefault(reason, []).append(name)
    for reason, columns in names.items():
        yield f"Note: {table.name}: left out: {quoted_first(columns, _LISTED)} ({reason})."
