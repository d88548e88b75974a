"""Which of some files are users, items, behaviors and impressions, by the names and first rows of their columns."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from mailcli.errors import MailError
from mailcli.preprocessing.schema_file.definition import TextFormat
from mailcli.preprocessing.schema_init.column_profile import ColumnProfile, merge_profiles, times_by_values
from mailcli.preprocessing.schema_init.file_sample import FileSample

#: Column names, reduced to lower-case letters, by what such columns are likely to hold.
USER = re.compile(r"(user|member|customer|visitor|client|person|account)(id|index|no|key)?|uid|memberid")
ITEM = re.compile(
    r"(item|movie|video|product|ad|adgroup|article|book|news|song|track|photo|goods|content|listing)(id|index|no|key)?"
    r"|iid|sku|asin|isbn"
)
TIME = re.compile(
    r"(event|unix|click|rating|log)?(time|timestamp|timems|ts|datetime|date|at)(ms|s|us)?|timestampms|createdat"
)
CLICK = re.compile(r"(is)?(click|clicked|clk)|label|target")
RATING = re.compile(r"ratings?|stars|score")
CONVERSION = re.compile(r"(is)?(conversion|converted|purchase|purchased|buy|bought|order|ordered)")
ACTION = re.compile(r"(action|behaviou?r|event|btag|type|eventtype|behaviortype)")
#: What a page showed, with labels, as MIND has it; and characters of it that an error quotes (ours).
_PAGE, _SHOWN = re.compile(r"\S+-[01]( \S+-[01])*"), 40
#: Date formats, which say less than a time in the same file.
_DATES = ("%Y%m%d", "%Y-%m-%d")


@dataclass(frozen=True)
class RecognizedTable:
    """The files of a table, and the columns that were recognized in them."""

    files: tuple[FileSample, ...]
    columns: tuple[ColumnProfile, ...]
    """Judged by the rows of all files."""
    user: ColumnProfile | None
    item: ColumnProfile | None
    time: ColumnProfile | None
    unknown_time: ColumnProfile | None
    """A time by its name, in an unknown format; None if there is a `time`."""
    click: ColumnProfile | None
    rating: ColumnProfile | None
    conversion: ColumnProfile | None
    action: ColumnProfile | None

    @property
    def first(self) -> FileSample:
        """The first file; the others have the same names, types, separator and quotes."""
        return self.files[0]

    @property
    def format(self) -> TextFormat:
        """How the files are written. The encoding is the first that is not UTF-8, since ASCII files look like UTF-8."""
        encodings = [file.format.encoding for file in self.files]
        encoding = next((encoding for encoding in encodings if encoding != "utf-8"), "utf-8")
        return replace(self.first.format, encoding=encoding)

    @property
    def other_columns(self) -> list[ColumnProfile]:
        """The columns that were not recognized."""
        recognized = (
            self.user, self.item, self.time, self.unknown_time, self.click, self.rating, self.conversion, self.action
        )  # fmt: skip
        return [column for column in self.columns if column not in recognized]


@dataclass(frozen=True)
class RecognizedTables:
    """The tables that were recognized."""

    users: RecognizedTable | None
    items: RecognizedTable | None
    behaviors: RecognizedTable | None
    """None if they are the earlier rows of the impressions."""
    impressions: RecognizedTable
    unused: tuple[FileSample, ...]
    """Files that belong to none of these."""

    @property
    def all(self) -> list[RecognizedTable]:
        """The tables that exist."""
        return [table for table in (self.users, self.items, self.behaviors, self.impressions) if table]


def recognize_tables(files: Sequence[FileSample]) -> RecognizedTables:
    """The tables that some files contain.

    Raises:
        MailError: none is a log of what users were shown.
    """
    tables = _group(files)
    logs = [
        table for table in tables if table.user and table.item and (table.time or table.unknown_time or table.click)
    ]
    labeled = [table for table in logs if table.click or table.rating]
    if not labeled:
        columns = "; ".join(f"{table.first.path.name}: {', '.join(map(_describe, table.columns))}" for table in tables)
        raise MailError(
            "none of the files looks like a log of what users were shown: a user, an item, a time, and a click or a "
            f"rating, with names such as user_id, item_id, timestamp, click. Found: {columns}. {_page_hint(tables)}"
            "Rename the columns, or write the schema file by hand, starting from examples/schemas."
        )
    impressions = max(labeled, key=lambda table: (bool(table.click), bool(table.time)))
    one_row_per_user = [
        table for table in tables if table.user and table.user.is_unique and not table.item and not table.action
    ]
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
    recognized = RecognizedTables(users, items, behaviors, impressions, ())
    unused = tuple(file for table in tables if table not in recognized.all for file in table.files)
    return replace(recognized, unused=unused)


def _page_hint(tables: Sequence[RecognizedTable]) -> str:
    """A sentence about a column that holds what a page showed, as a list: `N1-0 N2-1`, or a Parquet list."""
    for table in tables:
        for column in table.columns:
            is_page = column.values and all(map(_PAGE.fullmatch, column.values))
            if is_page or (column.lengths is not None and table.user and not table.item):
                example = f" such as {min(column.values, key=len)[:_SHOWN]!r}" if is_page else ""
                return (
                    f"{table.first.path.name}: '{column.name}' may hold lists of impressions{example}: write one row "
                    "for each first, for example with pandas (docs/your-own-data.md, Other forms of files). "
                )
    return ""


def _describe(column: ColumnProfile) -> str:
    return f"{column.name} ({column.unusable})" if column.unusable else column.name


def _group(files: Sequence[FileSample]) -> list[RecognizedTable]:
    """Files with the same columns belong to the same table."""
    groups: dict[tuple[object, ...], list[FileSample]] = {}
    for file in files:
        key = (file.names, file.types, file.has_header, file.format.separator, file.format.quote)
        groups.setdefault(key, []).append(file)
    return [_recognize_columns(tuple(group)) for group in groups.values()]


def is_named_time(column: ColumnProfile) -> bool:
    """Whether a column is called what times are usually called."""
    return bool(TIME.fullmatch(_letters(column)))


def _letters(column: ColumnProfile) -> str:
    return re.sub(r"[^a-z]", "", column.name.lower())


def _recognize_columns(files: tuple[FileSample, ...]) -> RecognizedTable:
    columns = tuple(merge_profiles(parts) for parts in zip(*(file.columns for file in files), strict=True))

    def all_named(pattern: re.Pattern[str]) -> list[ColumnProfile]:
        return [column for column in columns if column.is_single and pattern.fullmatch(_letters(column))]

    def first_named(pattern: re.Pattern[str], binary: bool = False) -> ColumnProfile | None:
        return next((column for column in all_named(pattern) if column.is_binary or not binary), None)

    time_names = all_named(TIME)
    times = [column for column in time_names if column.is_time or column.time_formats or column.unit]
    times.sort(key=lambda column: column.time_formats[:1] in [(date,) for date in _DATES])
    user, item, rating = first_named(USER), first_named(ITEM), first_named(RATING)
    others = (user, item, rating, first_named(CLICK), first_named(CONVERSION), first_named(ACTION))
    if not times and user and not user.is_unique:
        times = times_by_values([column for column in columns if column not in others])
    unknown_times = [column for column in time_names if column.values and not times]
    return RecognizedTable(
        files,
        columns,
        user=user,
        item=item,
        time=times[0] if times else None,
        unknown_time=unknown_times[0] if unknown_times else None,
        click=first_named(CLICK, binary=True),
        rating=rating if rating and rating.is_number else None,
        conversion=first_named(CONVERSION, binary=True),
        action=first_named(ACTION),
    )
