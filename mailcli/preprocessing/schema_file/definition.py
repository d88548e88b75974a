"""What a schema file says: which columns of which files are users, items, behaviors and impressions.

docs/your-own-data.md lists all keys; read.py reads them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Literal

#: What may separate a number's fraction.
DECIMALS = (".", ",")
#: Encodings that DuckDB reads without an extension.
ENCODINGS = ("utf-8", "latin-1", "utf-16")
#: Encodings whose files are copied as UTF-8 before DuckDB reads them, by their names in Python.
COPIED_ENCODINGS = ("gb18030", "gbk", "gb2312", "big5", "shift_jis", "euc-jp", "euc-kr", "windows-1251", "windows-1252")
#: Units of numeric times, with the number of each in a second.
UNITS = {"s": 1, "ms": 1000, "us": 1_000_000, "ns": 1_000_000_000}
#: Times of the dataset are seconds since 1970, below this (ours: the year 4147; today's times in ms are above it).
TIME_LIMIT = 1 << 36
#: Ways to split the impressions.
SPLIT_KINDS = ("time", "day", "user_share", "column", "file")
#: Comparisons of a rule with a number, in SQL.
COMPARISONS = {"at_least": ">=", "at_most": "<=", "above": ">", "below": "<"}
#: Default room of a multi-valued field (ours; films of ml-100k have at most six genres).
DEFAULT_MAX_VALUES = 10
#: Largest room of a multi-valued field (ours).
LIST_LIMIT = 1000
#: Action ids are one byte, and two of them are reserved.
MAX_ACTIONS = 254
#: Most quantiles of a field (ours).
MAX_QUANTILES = 1000

FieldKind = Literal["category", "list", "bucket", "dense", "clock"]


@dataclass(frozen=True)
class TextFormat:
    """How the text files of a table are written."""

    separator: str = ","
    encoding: str = "utf-8"
    quote: str = '"'
    """Empty: quotes have no meaning."""
    missing: tuple[str, ...] = ("",)
    """Strings that stand for a missing value."""
    decimal: str = "."
    """What separates a number's fraction: a point or a comma."""


@dataclass(frozen=True)
class ColumnRef:
    """Where a value comes from: a column, or the first group of a regular expression in it."""

    name: str
    extract: str = ""


@dataclass(frozen=True)
class FieldDefinition:
    """A field, and how its values are made from a column."""

    name: str
    key: str
    """Its key in the schema file, for error messages."""
    column: ColumnRef
    kind: FieldKind
    vocabulary: str
    separator: str = ""
    """Of a list written as text; empty for a Parquet list or for `extract_all`."""
    extract_all: str = ""
    clock: str = ""
    """`hour` or `weekday`: derived from the time, not from a column."""
    max_values: int = 1
    edges: tuple[float, ...] = ()
    """Lower bounds of all buckets but the first."""
    quantiles: int = 0
    """Number of buckets with equally many training users (or items), instead of edges; 0: none."""


@dataclass(frozen=True)
class TimeDefinition:
    """A time: a number of units since 1970, or text."""

    column: ColumnRef
    unit: str = "s"
    format: str = ""
    """Of text, for strptime."""
    offset: int = 0
    """Seconds by which local time is ahead of UTC."""

    @property
    def zoned(self) -> bool:
        """Whether the text contains its own UTC offset; `offset` is then only that of hours and days."""
        return not {"%z", "%Z"}.isdisjoint(re.findall(r"%-?.", self.format))


@dataclass(frozen=True)
class RuleDefinition:
    """A condition on one column, true or false for each row."""

    key: str
    column: str
    comparison: str = ""
    """One of COMPARISONS, `one_of`, or empty: the column itself is true or false."""
    number: float = 0.0
    values: tuple[str | int, ...] = ()
    """Of `one_of`; whole numbers are those that were given as numbers."""
    holds_if: bool = True
    """Of a true/false column: the value for which the rule holds."""


@dataclass(frozen=True)
class ActionDefinition:
    """The action of a behavior: a constant, a column with a few known values, or one rule for each action."""

    names: tuple[str, ...]
    column: str = ""
    rules: tuple[RuleDefinition, ...] = ()
    """When a row has each of the actions. Of several, the last counts; a row without any is no behavior."""


@dataclass(frozen=True)
class TableFiles:
    """The files of a table. Without `patterns` the table is read from the impressions' files."""

    role: str
    patterns: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    """Column names of files without a header line."""
    format: TextFormat = field(default_factory=TextFormat)


@dataclass(frozen=True)
class Join:
    """More columns for the impressions, from files with one row per value of a shared column."""

    files: TableFiles
    on: str


@dataclass(frozen=True)
class SplitDefinition:
    """How the impressions are split; whatever `by` does not need is empty."""

    by: str
    validation: tuple[str, ...] = ()
    """Column values or file patterns."""
    test: tuple[str, ...] = ()
    train: tuple[str, ...] = ()
    column: str = ""
    validation_from: int | datetime = 0
    """UTC seconds, or a date and time."""
    test_from: int | datetime = 0
    validation_size: float = 0
    """Days, or a share of each user's impressions."""
    test_size: float = 0


@dataclass(frozen=True)
class SchemaFile:
    """A checked schema file."""

    path: Path
    users: TableFiles
    user_key: ColumnRef | None
    """None where the users' attributes are in the impressions' files."""
    attributes: tuple[FieldDefinition, ...]
    items: TableFiles
    item_key: ColumnRef | None
    features: tuple[FieldDefinition, ...]
    behaviors: TableFiles
    behavior_user: ColumnRef
    behavior_time: TimeDefinition | None
    """None: each user has lists of behaviors, older than every impression."""
    action: ActionDefinition
    behavior_fields: tuple[FieldDefinition, ...]
    behaviors_where: tuple[RuleDefinition, ...]
    impressions: TableFiles
    join: Join | None
    user: ColumnRef
    item: ColumnRef
    time: TimeDefinition | None
    """None: impressions have no time."""
    click: RuleDefinition
    conversion: RuleDefinition | None
    context: tuple[FieldDefinition, ...]
    impressions_where: tuple[RuleDefinition, ...]
    split: SplitDefinition
    integers: frozenset[str]
    """Vocabularies whose values are whole numbers; all others hold strings."""
    text: str
    """The file as it was read, for the dataset's record."""
    takes_first_list: bool = False
    """Whether one list of behaviors is taken for all rows of a user; otherwise, different lists are refused."""

    @property
    def fields(self) -> tuple[FieldDefinition, ...]:
        """The fields of all tables."""
        return (*self.attributes, *self.features, *self.behavior_fields, *self.context)


def utc_seconds(moment: int | datetime, offset: int) -> int:
    """A moment in UTC seconds; a datetime without an offset is local time, `offset` seconds ahead of UTC."""
    if isinstance(moment, int):
        return moment
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=timezone(timedelta(seconds=offset)))
    return int(moment.timestamp())
