"""Which of some files are users, items, behaviors and impressions, by the names and first rows of their columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from mailcli.errors import MailError, did_you_mean, quoted, quoted_first
from mailcli.preprocessing.schema_init.column_names import kind_of_entity
from mailcli.preprocessing.schema_init.column_profile import ColumnProfile, merge_profiles
from mailcli.preprocessing.schema_init.column_roles import choose_time, recognize_columns
from mailcli.preprocessing.schema_init.file_sample import FileSample
from mailcli.preprocessing.schema_init.keys_by_values import find_keys, is_link, key_of
from mailcli.preprocessing.schema_init.labels_by_values import labels_by_values
from mailcli.preprocessing.schema_init.missing_parts import no_log
from mailcli.preprocessing.schema_init.recognized import (
    BY_VALUES,
    MAX_PROPOSED_ACTIONS,
    RecognizedTable,
    RecognizedTables,
)
from mailcli.preprocessing.schema_init.row_dependence import determined_by

#: Columns that an error lists (ours: it stays readable).
_LISTED = 20


def recognize_tables(groups: Sequence[RecognizedTable]) -> RecognizedTables:
    """The tables that some files contain.

    Args:
        groups: what `group_tables` makes of the files.

    Raises:
        MailError: none is a log of what users were shown, or their values fit several columns equally well.
    """
    tables = list(groups)
    if not any(map(_is_labeled_log, tables)):
        tables = _recognize_log_by_values(tables)
    labeled = [table for table in tables if _is_labeled_log(table)]
    if not labeled:
        raise MailError(no_log(tables))
    impressions = max(labeled, key=lambda table: (bool(table.click), bool(table.time)))
    tables = [_with_key(table, impressions) for table in tables]
    one_row_per_user = [table for table in tables if _describes_users(table)]
    users = min(one_row_per_user, key=lambda table: bool(table.time), default=None)
    items = next((table for table in tables if table.item and not table.user and table.item.is_unique), None)
    behaviors = next(
        (
            table
            for table in tables
            if table.user and (table.time or table.unknown_time) and table not in labeled and table is not users
        ),
        None,
    )
    used = (users, items, behaviors, impressions)
    unused = tuple(file for table in tables if table not in used for file in table.files)
    described = _describe_entities(impressions, bool(users), bool(items))
    described, behaviors = _without_unused_roles(described, behaviors)
    return RecognizedTables(users, items, behaviors, described, unused)


def _describes_users(table: RecognizedTable) -> bool:
    """Whether a table has one row per user, and more than what has to be rewritten first."""
    has_attributes = any(column is not table.user and column.name not in table.set_aside for column in table.columns)
    return bool(table.user and table.user.is_unique and not table.item and not table.action and has_attributes)


def _without_unused_roles(
    impressions: RecognizedTable, behaviors: RecognizedTable | None
) -> tuple[RecognizedTable, RecognizedTable | None]:
    """Both logs; columns whose role says nothing about a row of theirs are columns like others."""
    if impressions.click:
        impressions = replace(impressions, rating=None)
    if behaviors or not _has_actions(impressions):
        impressions = replace(impressions, action=None)
    if behaviors:
        action = behaviors.action if _has_actions(behaviors) else None
        behaviors = replace(behaviors, click=None, rating=None, conversion=None, action=action)
    return impressions, behaviors


def _has_actions(log: RecognizedTable) -> bool:
    return bool(log.action and 1 < log.action.distinct <= MAX_PROPOSED_ACTIONS)


def _is_labeled_log(table: RecognizedTable) -> bool:
    is_log = table.user and table.item and (table.time or table.unknown_time or table.click)
    return bool(is_log and (table.click or table.rating))


def _refuse_unknown(files: Sequence[FileSample], given: Mapping[str, str]) -> None:
    names = list(dict.fromkeys(name for file in files for name in file.names))
    for role, column in given.items():
        if column not in names:
            raise MailError(
                f"--{role} {column}: no file has such a column. They have: {quoted_first(names, _LISTED)}."
                f"{did_you_mean(column, names)}"
            )


def group_tables(files: Sequence[FileSample], given: Mapping[str, str] | None = None) -> list[RecognizedTable]:
    """Files with the same columns belong to the same table, with the roles that the names of the columns tell.

    Args:
        files: the first rows of each.
        given: column names for some of the roles `user`, `item`, `time` and `click`.

    Raises:
        MailError: no file has a given column, or it has no values.
    """
    given = given or {}
    _refuse_unknown(files, given)
    groups: dict[tuple[object, ...], list[FileSample]] = {}
    for file in files:
        key = (file.names, file.types, file.has_header, file.format.separator, file.format.quote)
        groups.setdefault(key, []).append(file)
    tables = []
    for group in groups.values():
        columns = tuple(merge_profiles(parts) for parts in zip(*(file.columns for file in group), strict=True))
        tables.append(recognize_columns(tuple(group), columns, given))
    for role, name in given.items():
        named = [column for table in tables for column in table.columns if column.name == name]
        if not any(column.values for column in named):
            unusable = next((column.unusable for column in named if column.unusable), "")
            fault = f"holds Parquet {unusable}" if unusable else "has no values in the first rows"
            raise MailError(f"--{role} {name}: {fault}. Name another column.")
    return tables


def _recognize_log_by_values(tables: list[RecognizedTable]) -> list[RecognizedTable]:
    """The tables; the one that is most likely the log gets the roles that its values imply."""
    logs = [table for table in tables if _may_be_log(table)]
    if not logs:
        return tables
    log = max(logs, key=lambda table: (bool(_labels(table)), bool(table.user and table.item), bool(table.time)))
    completed = find_keys(log, [table for table in tables if table is not log])
    if completed.user and completed.item:
        completed = choose_time(completed)
        if not completed.click and not completed.rating:
            completed = _with_label(completed)
    return [completed if table is log else table for table in tables]


def _may_be_log(table: RecognizedTable) -> bool:
    """Whether a table has times or labels, and is not about users or items alone."""
    has_time = table.time or table.unknown_time or any(column.is_likely_time for column in table.columns)
    keys = [key for key in (table.user, table.item) if key]
    is_of_one = len(keys) == 1 and keys[0].is_unique
    return bool(has_time or _labels(table)) and not is_of_one and len(table.columns) > 2


def _labels(table: RecognizedTable) -> list[ColumnProfile]:
    """The columns that are the label by their names, or may be it by their values."""
    named = [column for column in (table.click, table.rating) if column]
    return named or labels_by_values(_unnamed_labels(table))[1]


def _unnamed_labels(table: RecognizedTable) -> list[ColumnProfile]:
    # A conversion alone is the label.
    return [*table.usable_columns, *([table.conversion] if table.conversion else [])]


def _with_label(log: RecognizedTable) -> RecognizedTable:
    """A log with the one column that may be its label by its values.

    Raises:
        MailError: there are several.
    """
    assert log.user is not None
    assert log.item is not None
    known = {column.name for key in (log.user, log.item) for column in determined_by(key, log.usable_columns)}
    role, columns = labels_by_values([column for column in _unnamed_labels(log) if column.name not in known])
    if len(columns) > 1:
        raise MailError(
            f"{log.name}: the label may be {quoted(column.name for column in columns)}. Say which it is, for example "
            f"with --click {columns[0].name}."
        )
    if not columns:
        return log
    conversion = log.conversion if columns[0] is not log.conversion else None
    return replace(log, conversion=conversion).with_role(role, columns[0], BY_VALUES)


def _with_key(table: RecognizedTable, log: RecognizedTable) -> RecognizedTable:
    """A table whose key is not named like one, with the role of the log's column that holds it.

    Raises:
        MailError: it may be the user's or the item's.
    """
    assert log.user is not None
    assert log.item is not None
    key = None if table.user or table.item or table is log else key_of(table)
    # A part of the log has users and items.
    parts = [column for column in table.columns if column is not key and not column.is_whole]
    if key is None or any(is_link(column, owner) for column in parts for owner in (log.user, log.item)):
        return table
    roles = [role for role, column in (("user", log.user), ("item", log.item)) if is_link(column, key)]
    if len(roles) == 2:
        described = [column.name for column in table.columns if column is not key]
        kind = kind_of_entity(key.name, described, table.first.path)
        if not kind:
            raise MailError(
                f"{table.name}: the values of '{key.name}' are both users and items of {log.name}. Rename the column "
                f"to '{log.user.name}' or '{log.item.name}'."
            )
        roles = [kind]
    if not roles:
        return table
    column = log.user if roles == ["user"] else log.item
    return table.with_role(roles[0], key, f"its values are those of '{column.name}' in {log.name}")


def _describe_entities(log: RecognizedTable, has_users: bool, has_items: bool) -> RecognizedTable:
    """The log with the columns that describe its users or items, if these have no files of their own."""
    assert log.user is not None
    assert log.item is not None
    by_user = [] if has_users else determined_by(log.user, log.usable_columns)
    by_item = [] if has_items else determined_by(log.item, log.usable_columns)
    both = [column for column in by_user if column in by_item]
    return replace(
        log,
        user_columns=tuple(column for column in by_user if column not in both),
        item_columns=tuple(column for column in by_item if column not in both),
    )
