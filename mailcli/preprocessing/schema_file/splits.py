"""The split of the impressions of a schema file, in SQL."""

from __future__ import annotations

from mailcli.preprocessing.engines.duckdb import identifier, literal
from mailcli.preprocessing.schema_file.definition import SplitMap, seconds
from mailcli.preprocessing.schema_file.locate import Located
from mailcli.preprocessing.schema_file.table import MappedTable
from mailcli.preprocessing.schema_file.tables import DAY, DRAW, SPLIT, Tables

#: Against the rounding of count x share, e.g. 100 x 0.29 (ours).
_ROUNDING = 1e-9


def split_sql(tables: Tables, table: MappedTable, tell: bool) -> str:
    """The impressions with all that is made of them, and `split`, an index into SPLITS.

    Args:
        tables: all tables.
        table: the impressions.
        tell: as of MappedTable.sql.
    """
    split, time = tables.map.split, tables.map.time
    own = table.sql(tell=tell)
    if split.by == "column":
        return f"SELECT *, {_drawn(identifier(SPLIT), split.validation_size)} AS split FROM ({own})"
    if split.by == "file":
        code = split_of_file(tables, table.located)
        return f"SELECT *, {_drawn(code, split.validation_size)} AS split FROM ({own})"
    assert time is not None, "mapfile.py refuses a split by time without one"
    if split.by == "time":
        validation, test = (seconds(each, time.offset) for each in (split.validation_from, split.test_from))
        return f"SELECT *, {_code('time', validation, test)} AS split FROM ({own})"
    if split.by == "day":
        # A week more, so that a local time before 1970 is not negative: SQL would round it the other way.
        day = f"((time + {time.offset + 7 * DAY}) // {DAY})"
        of_last = f"(SELECT max({day}) FROM ({table.sql(tell=False)}) WHERE fault IS NULL)"
        from_end = [
            f"({of_last} - {int(days) - 1})" for days in (split.validation_size + split.test_size, split.test_size)
        ]
        return f"SELECT *, {_code(day, *from_end)} AS split FROM ({own})"
    return _by_share(tables, split, own)


def _code(value: str, validation: object, test: object) -> str:
    """The split's code by where validation and test begin."""
    return f"(CASE WHEN {value} >= {test} THEN 2 WHEN {value} >= {validation} THEN 1 ELSE 0 END)"


def _by_share(tables: Tables, split: SplitMap, own: str) -> str:
    """Each user's last impressions, their number rounded down; equal times are in order of item, then of the rest."""
    context = [each.name for each in tables.map.context]
    order = ", ".join(map(identifier, ("time", "item", "click", *context)))
    # A row that cannot be used is of no user.
    window = "PARTITION BY fault IS NULL, user"
    test, validation = (f"floor(n * {share!r} + {_ROUNDING})" for share in (split.test_size, split.validation_size))
    return (
        f"SELECT *, {_code('place', f'n - {test} - {validation}', f'n - {test}')} AS split FROM "
        f"(SELECT *, row_number() OVER ({window} ORDER BY {order}) - 1 AS place, count(*) OVER ({window}) AS n "
        f"FROM ({own}))"
    )


def split_of_file(tables: Tables, located: Located) -> str:
    """The split's code by the file that a row is from; 0 of a file that belongs to none or to several."""
    cases = [(path, tables.splits_of(path)) for path in located.paths]
    whens = " ".join(f"WHEN {literal(str(path))} THEN {codes[0]}" for path, codes in cases if len(codes) == 1)
    return f'(CASE "#file" {whens} ELSE 0 END)' if whens else "0"


def _drawn(code: str, share: float) -> str:
    """The code, with a share of the training rows for validation, by a hash of their text."""
    return f"(CASE WHEN {code} = 0 AND {identifier(DRAW)} < {share!r} THEN 1 ELSE {code} END)"
