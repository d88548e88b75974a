"""Which columns of a log are its user and its item, where their names do not tell: by links to other files' keys, by
what they determine in their own file, and by how many values they have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mailcli.errors import MailError
from mailcli.preprocessing.schema_init.column_names import kind_of_entity, letters
from mailcli.preprocessing.schema_init.column_profile import ColumnProfile
from mailcli.preprocessing.schema_init.file_sample import SAMPLE_ROWS
from mailcli.preprocessing.schema_init.labels_by_values import may_be_click, may_be_rating
from mailcli.preprocessing.schema_init.recognized import RecognizedTable
from mailcli.preprocessing.schema_init.row_dependence import determined_by

#: Share of a column's values that the key of another file must hold, if that file was read to its end (the share below
#: which preprocessing warns), and the share of that key's values which must occur in the column (ours).
_LINKED, _COVERED = 0.8, 0.2
#: A column that holds this share of the keys that the best one holds may be meant as well (ours).
_AS_GOOD = 0.9
#: Fewer distinct values than this do not make an id, if nothing else says so (ours).
_FEW_IDS = 10


@dataclass(frozen=True)
class _Entity:
    """A column of a log that identifies something."""

    column: ColumnProfile
    kind: str
    """`user`, `item`, or empty."""
    reason: str


def key_of(table: RecognizedTable) -> ColumnProfile | None:
    """The column that identifies the rows of a table that is no log: the first that is unique and always there."""
    return next((column for column in table.columns if _may_be_key(column)), None)


def _may_be_key(column: ColumnProfile) -> bool:
    is_full = len(column.cells) == len(column.values) > 1
    return column.is_single and is_full and column.is_unique and _may_be_id(column)


def _may_be_id(column: ColumnProfile) -> bool:
    return column.is_single and not column.is_time and (column.is_whole or not column.is_number)


def is_link(column: ColumnProfile, key: ColumnProfile) -> bool:
    """Whether the values of a log's column are keys of another file."""
    values, keys = set(column.values), set(key.values)
    if not values or not _may_be_id(column):
        return False
    common = values & keys
    is_same_name = letters(column.name) == letters(key.name)
    if len(keys) >= SAMPLE_ROWS:  # the file goes on
        return bool(common) and is_same_name
    # Small whole numbers, such as ratings or ages, are keys of any file by chance.
    is_covered = is_same_name or not column.is_whole or len(common) >= _COVERED * len(keys)
    return is_covered and len(common) >= _LINKED * len(values)


def find_keys(log: RecognizedTable, other_tables: Sequence[RecognizedTable]) -> RecognizedTable:
    """A log with its user and its item, as far as the names or the values tell.

    Raises:
        MailError: the values fit several columns equally well.
    """
    if log.user and log.item:
        return log
    entities = _entities(log, other_tables)
    for role, other in (("user", "item"), ("item", "user")):
        if getattr(log, role):
            continue
        taken = getattr(log, other)
        candidates = [entity for entity in entities if entity.kind == role and entity.column is not taken]
        # What is no entity of the other kind must be one of this kind.
        unknown = [entity for entity in entities if not entity.kind and entity.column is not taken]
        is_other_known = taken or any(entity.kind == other for entity in entities)
        candidates = candidates or (unknown if is_other_known or len(unknown) > 1 else [])
        if not candidates and is_other_known and role == "item":
            candidates = _by_cardinality(log)
        if len(candidates) > 1:
            _refuse(log, role, candidates)
        if candidates:
            log = log.with_role(role, candidates[0].column, candidates[0].reason)
    return log


def _entities(log: RecognizedTable, other_tables: Sequence[RecognizedTable]) -> list[_Entity]:
    """Columns whose values are keys of another file, or that determine other columns of the log."""
    columns = [column for column in log.usable_columns if _may_be_id(column) and not column.is_unique]
    linked = _linked(columns, other_tables)
    known = [entity.column for entity in linked]
    dependent = [
        (column, determined_by(column, columns))
        for column in columns
        if column not in known and not may_be_click(column) and not column.is_likely_time
    ]
    inner = [column for _, determined in dependent for column in determined]
    return linked + [
        _Entity(column, kind_of_entity(column.name, (other.name for other in determined)), _determines(determined))
        for column, determined in dependent
        if determined and column not in inner
    ]


def _determines(columns: Sequence[ColumnProfile]) -> str:
    return f"'{columns[0].name}' has one value for each of its values"


def _linked(columns: Sequence[ColumnProfile], other_tables: Sequence[RecognizedTable]) -> list[_Entity]:
    """For the key of each other file, the column that is most likely to hold it; all that fit equally well."""
    entity_by_column: dict[str, _Entity] = {}
    for table in other_tables:
        key = key_of(table)
        if key is None or (table.user and table.item):
            continue
        links = [column for column in columns if is_link(column, key)]
        named = [column for column in links if letters(column.name) == letters(key.name)]
        keys = set(key.values)
        common = {column.name: len(keys & set(column.values)) for column in links}
        described = [column.name for column in table.columns if column is not key]
        for column in named or [column for column in links if common[column.name] >= _AS_GOOD * max(common.values())]:
            kind = kind_of_entity(column.name, described, table.first.path)
            reason = f"its values are those of '{key.name}' in {table.name}"
            entity_by_column.setdefault(column.name, _Entity(column, kind, reason))
    return list(entity_by_column.values())


def _by_cardinality(log: RecognizedTable) -> list[_Entity]:
    """Columns with many repeated values that are neither times, numbers, labels nor the user's."""
    by_user = determined_by(log.user, log.usable_columns) if log.user else []
    columns = [
        column
        for column in log.usable_columns
        if _may_be_id(column)
        and column not in by_user
        and not (column.is_unique or column.is_likely_time or may_be_click(column) or may_be_rating(column))
        and column.distinct >= _FEW_IDS
    ]
    return [_Entity(column, "item", f"it has {column.distinct:,} values in the first rows") for column in columns]


def _refuse(log: RecognizedTable, role: str, candidates: Sequence[_Entity]) -> None:
    columns = ", ".join(f"'{entity.column.name}' ({entity.reason})" for entity in candidates)
    raise MailError(
        f"{log.name}: the {role} may be {columns}. Say which it is, for example with --{role} "
        f"{candidates[0].column.name}."
    )
