"""Which of some files are users, items, behaviors and impressions, by the names and first rows of their columns."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from mailcli.errors import MailError
from mailcli.preprocessing.schema_file.definition import Form
from mailcli.preprocessing.schema_init.column_profile import Profile, merged
from mailcli.preprocessing.schema_init.sniff import Sampled

#: Names of columns, in lower case without what is no letter, by what they are likely to hold.
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
ACTION = re.compile(r"(action|behavior|behavior|event|btag|type|eventtype|behaviortype)")
#: Forms of dates, which tell less than a time beside them.
_DAYS = ("%Y%m%d", "%Y-%m-%d")


@dataclass(frozen=True)
class Role:
    """A table's files, and the columns that were recognized in them."""

    files: tuple[Sampled, ...]
    columns: tuple[Profile, ...]
    """By the rows of all files."""
    user: Profile | None
    item: Profile | None
    time: Profile | None
    unread: Profile | None
    """A time by its name, of a form that is not known; None beside a time."""
    click: Profile | None
    rating: Profile | None
    conversion: Profile | None
    action: Profile | None

    @property
    def first(self) -> Sampled:
        """The first file, with which the others agree in names, types, separator and quotes."""
        return self.files[0]

    @property
    def form(self) -> Form:
        """How the files are written; the encoding is that of the first that is not UTF-8, as plain letters are both."""
        encodings = [each.form.encoding for each in self.files]
        return replace(self.first.form, encoding=next((each for each in encodings if each != "utf-8"), "utf-8"))

    @property
    def others(self) -> list[Profile]:
        """The columns that were not recognized."""
        own = (self.user, self.item, self.time, self.unread, self.click, self.rating, self.conversion, self.action)
        return [column for column in self.columns if column not in own]


@dataclass(frozen=True)
class Roles:
    """The tables that were found."""

    users: Role | None
    items: Role | None
    behaviors: Role | None
    """None where they are the earlier rows of the impressions."""
    shown: Role
    lost: tuple[Sampled, ...]
    """Files that are none of these."""

    @property
    def used(self) -> list[Role]:
        """The tables that there are."""
        return [role for role in (self.users, self.items, self.behaviors, self.shown) if role]


def find_roles(files: Sequence[Sampled]) -> Roles:
    """The tables that files are.

    Raises:
        MailError: none is a log of what users were shown.
    """
    roles = _grouped(files)
    logs = [role for role in roles if role.user and role.item and (role.time or role.unread or role.click)]
    labelled = [role for role in logs if role.click or role.rating]
    if not labelled:
        held = "; ".join(f"{role.first.path.name}: {', '.join(map(_told, role.columns))}" for role in roles)
        raise MailError(
            f"none of the files looks like a log of what users were shown: a user, an item, a time, and a click or a "
            f"rating, under names such as user_id, item_id, timestamp, click. Found: {held}. Name the columns so, or "
            "write the schema file by hand from examples/schemas."
        )
    shown = max(labelled, key=lambda role: (bool(role.click), bool(role.time)))
    one_each = [role for role in roles if role.user and role.user.unique and not role.item and not role.action]
    users = min(one_each, key=lambda role: bool(role.time), default=None)
    items = next((role for role in roles if role.item and not role.user and role.item.unique), None)
    earlier = (
        role
        for role in roles
        if role.user and (role.time or role.unread) and role not in labelled and role is not users
    )
    found = Roles(users, items, next(earlier, None), shown, ())
    return replace(found, lost=tuple(each for role in roles if role not in found.used for each in role.files))


def _told(column: Profile) -> str:
    return f"{column.name} ({column.unfit})" if column.unfit else column.name


def _grouped(files: Sequence[Sampled]) -> list[Role]:
    """Files with the same columns are one table's."""
    found: dict[tuple[object, ...], list[Sampled]] = {}
    for each in files:
        key = (each.names, each.types, each.has_header, each.form.separator, each.form.quote)
        found.setdefault(key, []).append(each)
    return [_role(tuple(group)) for group in found.values()]


def _role(files: tuple[Sampled, ...]) -> Role:
    columns = tuple(merged(parts) for parts in zip(*(each.columns for each in files), strict=True))

    def all_named(pattern: re.Pattern[str]) -> list[Profile]:
        return [each for each in columns if each.single and pattern.fullmatch(re.sub(r"[^a-z]", "", each.name.lower()))]

    def first(pattern: re.Pattern[str], binary: bool = False) -> Profile | None:
        return next((each for each in all_named(pattern) if each.binary or not binary), None)

    named = all_named(TIME)
    times = [each for each in named if each.is_time or each.time_formats or each.unit]
    times.sort(key=lambda each: each.time_formats[:1] in [(form,) for form in _DAYS])
    unread = [each for each in named if each.values and not times]
    rating = first(RATING)
    return Role(
        files, columns, first(USER), first(ITEM), times[0] if times else None, unread[0] if unread else None,
        first(CLICK, binary=True), rating if rating and rating.number else None, first(CONVERSION, binary=True),
        first(ACTION),
    )  # fmt: skip
