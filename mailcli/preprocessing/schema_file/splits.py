"""The split of the impressions of a schema file, in SQL."""

from __future__ import annotations

from mailcli.data.derivations import DAY
from mailcli.preprocessing.duckdb_sql import identifier, literal
from mailcli.preprocessing.schema_file.definition import SplitDefinition, utc_seconds
from mailcli.preprocessing.schema_file.locate import LocatedFiles
from mailcli.preprocessing.schema_file.table import SqlTable
from mailcli.preprocessing.schema_file.tables import DRAW, SPLIT, SchemaTables, local_time_sql

#: Guards against the rounding of count x share, e.g. 100 x 0.29 (ours).
_ROUNDING = 1e-9
#: Columns with the place of an impression among its user's, and their number; no field has a point in its name.
_PLACE, _COUNT = "split.place", "split.count"


def split_sql(tables: SchemaTables, impressions: SqlTable, keep_rejects: bool) -> str:
    """The impressions with all their columns, and `split`, an index into SPLITS.

    Args:
        tables: all tables.
        impressions: the impressions.
        keep_rejects: see SqlTable.sql.
    """
    split, time = tables.schema.split, tables.schema.time
    rows = impressions.sql(keep_rejects=keep_rejects)
    if split.by == "column":
        return f"SELECT *, {_with_validation(identifier(SPLIT), split.validation_size)} AS split FROM ({rows})"
    if split.by == "file":
        code = split_of_file(tables, impressions.files)
        return f"SELECT *, {_with_validation(code, split.validation_size)} AS split FROM ({rows})"
    assert time is not None, "cross_checks.py refuses a split by time without one"
    if split.by == "time":
        starts = (utc_seconds(moment, time.offset) for moment in (split.validation_from, split.test_from))
        return f"SELECT *, {_code('time', *starts)} AS split FROM ({rows})"
    if split.by == "day":
        day = f"({local_time_sql('time', time.offset)} // {DAY})"
        last = f"(SELECT max({day}) FROM ({impressions.sql(keep_rejects=False)}) WHERE fault IS NULL)"
        first_days = [
            f"({last} - {int(days) - 1})" for days in (split.validation_size + split.test_size, split.test_size)
        ]
        return f"SELECT *, {_code(day, *first_days)} AS split FROM ({rows})"
    return _by_share(tables, impressions, split, rows)


def _code(value: str, validation: object, test: object) -> str:
    """The split's code by where validation and test begin."""
    return f"(CASE WHEN {value} >= {test} THEN 2 WHEN {value} >= {validation} THEN 1 ELSE 0 END)"


def _by_share(tables: SchemaTables, impressions: SqlTable, split: SplitDefinition, rows: str) -> str:
    """Each user's last impressions, rounded down; equal times are ordered by item, click, context and all else."""
    context = [field.name for field in tables.schema.context]
    order = ", ".join(map(identifier, dict.fromkeys(("time", "item", "click", *context, *impressions.values))))
    # A row that cannot be used belongs to no user.
    window = "PARTITION BY fault IS NULL, user"
    place, count = identifier(_PLACE), identifier(_COUNT)
    test, validation = (
        f"floor({count} * {share!r} + {_ROUNDING})" for share in (split.test_size, split.validation_size)
    )
    return (
        f"SELECT *, {_code(place, f'{count} - {test} - {validation}', f'{count} - {test}')} AS split FROM "
        f"(SELECT *, row_number() OVER ({window} ORDER BY {order}) - 1 AS {place}, count(*) OVER ({window}) AS {count} "
        f"FROM ({rows}))"
    )


def split_of_file(tables: SchemaTables, files: LocatedFiles) -> str:
    """The split's code by the file that a row is from; 0 for a file that belongs to none or to several."""
    codes_by_path = [(path, tables.splits_of(path)) for path in files.paths]
    cases = " ".join(f"WHEN {literal(str(path))} THEN {codes[0]}" for path, codes in codes_by_path if len(codes) == 1)
    return f'(CASE "#file" {cases} ELSE 0 END)' if cases else "0"


def _with_validation(code: str, share: float) -> str:
    """The code, where a share of the training rows goes to validation, chosen by a hash of their text."""
    return f"(CASE WHEN {code} = 0 AND {identifier(DRAW)} < {share!r} THEN 1 ELSE {code} END)"
