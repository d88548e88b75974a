"""What a schema file says: which columns of files are users, items, behaviors and impressions.

docs/your-own-data.md has all keys; mapfile.py reads them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Literal

#: What DuckDB reads without an extension.
ENCODINGS = ("utf-8", "latin-1", "utf-16")
#: Units of a time that is a number, and how many of each are in a second.
UNITS = {"s": 1, "ms": 1000, "us": 1_000_000}
#: Times of the dataset are seconds since 1970, below this (ours: the year 4147; milliseconds of our days are above).
LATEST = 1 << 36
#: Context that is made of the time.
CLOCKS = ("hour", "weekday")
#: How the impressions may be split.
SPLIT_KINDS = ("time", "day", "user_share", "column", "file")
#: Comparisons of a rule with a number, in SQL.
COMPARISONS = {"at_least": ">=", "at_most": "<=", "above": ">", "below": "<"}
#: Values that a multi-valued field keeps room for (ours; ml-100k's films have six genres at most).
MOST = 10
#: Actions have ids in one byte, and two ids are no actions.
MOST_ACTIONS = 254
#: Parts that quantiles may cut a number into (ours).
MOST_QUANTILES = 1000

Kind = Literal["category", "list", "bucket", "dense", "clock"]


@dataclass(frozen=True)
class Form:
    """How the texts of a table's files are written."""

    separator: str = ","
    encoding: str = "utf-8"
    quote: str = '"'
    """Empty: quotes have no meaning."""
    missing: tuple[str, ...] = ("",)
    """Texts that stand for a missing value."""


@dataclass(frozen=True)
class Place:
    """Where a value is: a column, or what a regular expression's first group finds in it."""

    column: str
    extract: str = ""


@dataclass(frozen=True)
class FieldMap:
    """A field, and how its values come from a column."""

    name: str
    key: str
    """In the schema file, for errors."""
    place: Place
    kind: Kind
    vocabulary: str
    separator: str = ""
    """Of a list in a text; empty for a list of Parquet, or what `extract_all` finds."""
    extract_all: str = ""
    clock: str = ""
    """One of CLOCKS: made of the time, not of a column."""
    most: int = 1
    edges: tuple[float, ...] = ()
    """Lower ends of all buckets but the first."""
    quantiles: int = 0
    """Parts with as many training users (or items) each, in place of edges; 0: not."""


@dataclass(frozen=True)
class TimeMap:
    """A time: a number of units since 1970, or a text."""

    place: Place
    unit: str = "s"
    format: str = ""
    """strptime's, for a text."""
    offset: int = 0
    """Seconds that local time is ahead of UTC."""

    @property
    def zoned(self) -> bool:
        """Whether the texts say by themselves how far they are from UTC; the offset is then that of hours and days."""
        return not {"%z", "%Z"}.isdisjoint(re.findall(r"%-?.", self.format))


@dataclass(frozen=True)
class RuleMap:
    """True or false of a row."""

    key: str
    column: str
    comparison: str = ""
    """One of COMPARISONS, `one_of`, or empty: the column itself is true or false."""
    number: float = 0.0
    texts: tuple[str, ...] = ()
    holds: bool = True
    """Of a column that is true or false: which of them is meant."""

    @property
    def expected(self) -> str:
        """What the column must hold, for an error text."""
        return {"": "0 or 1, true or false", "one_of": "a text"}.get(self.comparison, "a number")


@dataclass(frozen=True)
class ActionMap:
    """The action of a behavior: a constant, or a column of a few known values."""

    names: tuple[str, ...]
    column: str = ""


@dataclass(frozen=True)
class Files:
    """The files of a table. Without `patterns` the table comes from the impressions' files."""

    role: str
    patterns: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    """Names of the columns of files without a header line."""
    form: Form = field(default_factory=Form)


@dataclass(frozen=True)
class Join:
    """Further columns of the impressions, from files with a row per value of a common column."""

    files: Files
    on: str


@dataclass(frozen=True)
class SplitMap:
    """How impressions are split; what does not belong to `by` is empty."""

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
class Mapping:
    """A checked schema file."""

    path: Path
    users: Files
    user_key: Place | None
    """None where the users' attributes are in the impressions' files."""
    attributes: tuple[FieldMap, ...]
    items: Files
    item_key: Place | None
    features: tuple[FieldMap, ...]
    behaviors: Files
    behavior_user: Place
    behavior_time: TimeMap | None
    """None: each user has lists of behaviors, older than every impression."""
    action: ActionMap
    steps: tuple[FieldMap, ...]
    behaviors_where: tuple[RuleMap, ...]
    impressions: Files
    join: Join | None
    user: Place
    item: Place
    time: TimeMap | None
    """None: impressions have no time."""
    click: RuleMap
    conversion: RuleMap | None
    context: tuple[FieldMap, ...]
    impressions_where: tuple[RuleMap, ...]
    split: SplitMap
    integers: frozenset[str]
    """Vocabularies whose values are whole numbers; the others' are texts."""
    text: str
    """The file as it was read, for the dataset's record."""


def seconds(moment: int | datetime, offset: int) -> int:
    """A moment of `_moment` as UTC seconds; one without an offset is local time, `offset` seconds ahead of UTC."""
    if isinstance(moment, int):
        return moment
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=timezone(timedelta(seconds=offset)))
    return int(moment.timestamp())
