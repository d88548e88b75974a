"""The tables and columns that were recognized in some files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from mailcli.preprocessing.schema_file.definition import TextFormat
from mailcli.preprocessing.schema_init.column_profile import ColumnProfile
from mailcli.preprocessing.schema_init.file_sample import FileSample

#: Roles that a column may have, by the attributes of RecognizedTable.
ROLES = ("user", "item", "time", "unknown_time", "click", "rating", "conversion", "action")


#: Most actions that are proposed (ours).
MAX_PROPOSED_ACTIONS = 20
#: The reason for a column that has a role by its values.
BY_VALUES = "by its values"


@dataclass(frozen=True)
class RecognizedTable:
    """The files of a table, and the columns that were recognized in them."""

    files: tuple[FileSample, ...]
    columns: tuple[ColumnProfile, ...]
    """Judged by the rows of all files."""
    user: ColumnProfile | None = None
    item: ColumnProfile | None = None
    time: ColumnProfile | None = None
    unknown_time: ColumnProfile | None = None
    """A time by its name, in an unknown format; None if there is a `time`."""
    click: ColumnProfile | None = None
    rating: ColumnProfile | None = None
    conversion: ColumnProfile | None = None
    action: ColumnProfile | None = None
    reasons: Mapping[str, str] = field(default_factory=dict)
    """Why a role has its column, where the name alone does not say so; or what else it may be."""
    set_aside: Mapping[str, str] = field(default_factory=dict)
    """Why columns cannot be used as they are, by their names."""
    user_columns: tuple[ColumnProfile, ...] = ()
    """Columns of a log that have one value for each user."""
    item_columns: tuple[ColumnProfile, ...] = ()
    """Columns of a log that have one value for each item."""

    @property
    def first(self) -> FileSample:
        """The first file; the others have the same names, types, separator and quotes."""
        return self.files[0]

    @property
    def name(self) -> str:
        """The name of the first file."""
        return self.first.path.name

    @property
    def format(self) -> TextFormat:
        """How the files are written. The encoding is the first that is not UTF-8, since ASCII files look like UTF-8."""
        encodings = [file.format.encoding for file in self.files]
        encoding = next((encoding for encoding in encodings if encoding != "utf-8"), "utf-8")
        return replace(self.first.format, encoding=encoding)

    @property
    def may_count_rows(self) -> bool:
        """Whether the time is whole numbers that are too small for times since 1970, such as the rows' own numbers."""
        return bool(self.unknown_time and self.unknown_time.is_whole)

    @property
    def other_columns(self) -> list[ColumnProfile]:
        """The columns without a role."""
        recognized = [getattr(self, role) for role in ROLES]
        return [column for column in self.columns if column not in recognized]

    @property
    def usable_columns(self) -> list[ColumnProfile]:
        """Those of them that need not be rewritten first."""
        return [column for column in self.other_columns if column.name not in self.set_aside]

    def question(self, role: str, name: str) -> str:
        """What to check about the column of a role; empty if its name says enough."""
        reason = self.reasons.get(role, "")
        return f"is this the {name}?{'' if reason == BY_VALUES else f' {reason}'}" if reason else ""

    def with_role(self, role: str, column: ColumnProfile, reason: str = "") -> RecognizedTable:
        """The table with a column in a role, and why."""
        reasons = {**self.reasons, role: reason} if reason else self.reasons
        return replace(self, **{role: column}, reasons=reasons)  # type: ignore[arg-type]


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
