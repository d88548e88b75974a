"""The table `[split]` of a schema file."""

from __future__ import annotations

from contextlib import suppress
from datetime import date, datetime

from mailcli.errors import quoted, repeated
from mailcli.preprocessing.schema_file.definition import SPLIT_KINDS, TIME_LIMIT, SplitDefinition
from mailcli.preprocessing.schema_file.toml_table import TomlTable

#: Most days of a split (ours: 27 years, so that a typo is refused).
MOST_DAYS = 10_000


def read_split(table: TomlTable) -> SplitDefinition:
    """How the impressions are split."""
    by = table.choice("by", SPLIT_KINDS, "", required=True)
    if not by:  # already a fault; which other keys are allowed depends on it
        return SplitDefinition(by)
    if by == "time":
        split = SplitDefinition(
            by, validation_from=_moment(table, "validation_from"), test_from=_moment(table, "test_from")
        )
    elif by in {"day", "user_share"}:
        split = _split_by_size(table, by)
    else:
        split = _split_by_name(table, by)
    table.check_unknown_keys()
    return split


def _split_by_size(table: TomlTable, by: str) -> SplitDefinition:
    """By the last days, or by the last share of each user's impressions."""
    keys = ("validation_days", "test_days") if by == "day" else ("validation", "test")
    sizes = [table.number(key, 0, whole=by == "day", required=True) for key in keys]
    low, high = (1, MOST_DAYS) if by == "day" else (0, 1)
    for key, size in zip(keys, sizes, strict=True):
        if not (low <= size <= high) or (by == "user_share" and size in {0, 1}):
            table.fault(key, f"a whole number from 1 to {MOST_DAYS}" if by == "day" else "a share between 0 and 1")
    if by == "user_share" and sum(sizes) >= 1:
        table.fault("test", "shares of validation and test that leave some for train")
    return SplitDefinition(by, validation_size=sizes[0], test_size=sizes[1])


def _split_by_name(table: TomlTable, by: str) -> SplitDefinition:
    """By the values of a column, or by file; the validation split may also be a random share of the training rows."""
    column = table.string("column", required=True) if by == "column" else ""
    is_share = isinstance(table.get("validation"), float)
    splits = ["train", "test"] if is_share else ["train", "validation", "test"]
    names = {split: table.strings(split, required=True) for split in splits}
    size = table.number("validation", 0) if is_share else 0
    if is_share and not 0 < size < 1:
        table.fault("validation", "a share of the training rows between 0 and 1, or values of the split")
    twice = sorted(repeated(name for group in names.values() for name in group))
    if twice:
        table.fault("test", f"each value in only one split; repeated: {quoted(twice)}")
    return SplitDefinition(
        by,
        column=column,
        train=names["train"],
        validation=names.get("validation", ()),
        test=names["test"],
        validation_size=size,
    )


def _moment(table: TomlTable, key: str) -> int | datetime:
    """Seconds since 1970, or a date or time; local time if it is a datetime without an offset."""
    value = table.require(key)
    if value is None:  # already a fault
        return 0
    if type(value) is int and abs(value) < TIME_LIMIT:
        return value
    if isinstance(value, str):
        with suppress(ValueError):  # a fault, below
            value = datetime.fromisoformat(value)
    if isinstance(value, datetime):
        return value
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day)
    table.fault(key, "seconds since 1970, or a date or time such as 2022-05-07")
    return 0
