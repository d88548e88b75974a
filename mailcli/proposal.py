"""mail schema init: a schema file proposed from the names and first rows of files, with what must be checked."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import tomli_w

from mailcli.errors import MailError
from mailcli.mapfields import RESERVED
from mailcli.profiles import Profile, Sampled, sample

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
ACTION = re.compile(r"(action|behavior|behaviour|event|btag|type|eventtype|behaviortype)")
#: Numbers with more different values than this are cut into quantiles (ours).
FEW, PARTS = 30, 8
#: Texts of which more than this share differ tell rows apart, not kinds of them (ours).
NAMES_SHARE, NAMES_LEAST = 0.8, 20
#: Most kinds of actions that are proposed (ours).
ACTIONS = 20
_CHECK = "# check this"


@dataclass(frozen=True)
class Role:
    """A table's files, and the columns that were recognised in them."""

    files: tuple[Sampled, ...]
    user: Profile | None
    item: Profile | None
    time: Profile | None
    click: Profile | None
    rating: Profile | None
    conversion: Profile | None
    action: Profile | None

    @property
    def first(self) -> Sampled:
        """The first file, which stands for all."""
        return self.files[0]

    @property
    def others(self) -> list[Profile]:
        """The columns that were not recognised."""
        own = (self.user, self.item, self.time, self.click, self.rating, self.conversion, self.action)
        return [column for column in self.first.columns if column not in own]


def propose(paths: Sequence[Path], name: str) -> str:
    """The text of a schema file.

    Args:
        paths: the raw files.
        name: of the schema file, for the command that it shows.

    Raises:
        MailError: a file cannot be read, or none is a log of what users were shown.
    """
    folder = Path(os.path.commonpath([path.resolve().parent for path in paths]))
    roles = _grouped([sample(path) for path in paths])
    logs = [role for role in roles if role.user and role.item and (role.time or role.click)]
    labelled = [role for role in logs if role.click or role.rating]
    if not labelled:
        held = "; ".join(f"{role.first.path.name}: {', '.join(role.first.names)}" for role in roles)
        raise MailError(
            f"none of the files looks like a log of what users were shown: a user, an item, a time, and a click or a "
            f"rating, under names such as user_id, item_id, timestamp, click. Found: {held}. Name the columns so, or "
            "write the schema file by hand from examples/schemas."
        )
    shown = max(labelled, key=lambda role: bool(role.click))
    one_each = [role for role in roles if role.user and role.user.unique and not role.item and not role.action]
    users = min(one_each, key=lambda role: bool(role.time), default=None)
    items = next((role for role in roles if role.item and not role.user and role.item.unique), None)
    behaviors = next(
        (role for role in roles if role.user and role.time and role not in labelled and role is not users), None
    )
    parts = (
        _head(folder, name, [role for role in (users, items, behaviors, shown) if role]),
        _users(users, shown, folder),
        _items(items, folder),
        _behaviors(behaviors or shown, shown, items, folder),
        _impressions(shown, folder),
        _split(shown),
    )
    used = [role for role in (users, items, behaviors, shown) if role]
    lost = [each.path.name for role in roles if role not in used for each in role.files]
    text = "\n".join(line for part in parts for line in (*part, ""))
    return text + "".join(f"# Not used: {each}\n" for each in lost)


def _grouped(files: Sequence[Sampled]) -> list[Role]:
    """Files with the same columns are one table's."""
    found: dict[tuple[str, ...], list[Sampled]] = {}
    for each in files:
        found.setdefault(each.names, []).append(each)
    return [_role(tuple(group)) for group in found.values()]


def _role(files: tuple[Sampled, ...]) -> Role:
    columns = files[0].columns

    def first(pattern: re.Pattern[str], binary: bool = False) -> Profile | None:
        for column in columns:
            plain = re.sub(r"[^a-z]", "", column.name.lower())
            if pattern.fullmatch(plain) and (column.binary or not binary):
                return column
        return None

    times = [
        column
        for column in columns
        if TIME.fullmatch(re.sub(r"[^a-z]", "", column.name.lower())) and _time_spec(column)
    ]
    # A date beside a time in milliseconds tells less.
    times.sort(key=lambda column: column.time_format == "%Y%m%d" or column.time_format == "%Y-%m-%d")
    rating = first(RATING)
    return Role(
        files, first(USER), first(ITEM), times[0] if times else None, first(CLICK, binary=True),
        rating if rating and rating.number else None, first(CONVERSION, binary=True), first(ACTION),
    )  # fmt: skip


# Pieces of the text


def _quoted(text: str) -> str:
    """A text as TOML has it."""
    return tomli_w.dumps({"a": text}).removeprefix("a = ").rstrip("\n")


def _array(texts: Sequence[str]) -> str:
    return f"[{', '.join(map(_quoted, texts))}]"


def _named(column: Profile, used: set[str]) -> str:
    """A field's name: lower-case letters, digits and `_`."""
    name = re.sub(r"[^a-z0-9]+", "_", column.name.lower()).strip("_") or "field"
    name = name if name[0].isalpha() else f"f_{name}"
    name = f"{name}_" if name in RESERVED else name
    while name in used:
        name += "_"
    used.add(name)
    return name


def _head(folder: Path, name: str, kept: Sequence[Role]) -> Iterator[str]:
    yield "# Proposed by `mail schema init` from the first rows of the files. Look at lines with `check this`, then:"
    yield "#"
    yield f"#   mail preprocess NAME --schema {name} --raw {shlex.quote(str(folder))}"
    yield "#"
    yield "# docs/your-own-data.md has all keys."
    whole = []
    for vocabulary in ("user", "item"):
        columns = [column for role in kept if (column := getattr(role, vocabulary))]
        if all(column.whole for column in columns):
            whole.append(vocabulary)
    if whole:
        yield ""
        yield "# Ids that are whole numbers; all others are texts."
        yield f"integers = {_array(whole)}"


def _files(role: Role, folder: Path) -> Iterator[str]:
    first = role.first
    names = [str(each.path.resolve().relative_to(folder)) for each in role.files]
    yield f"files = {_quoted(names[0]) if len(names) == 1 else _array(names)}"
    if first.parquet:
        return
    if not first.has_header:
        guessed = "" if not first.names[0].startswith("column_") else f"    {_CHECK}: the file has no header line"
        yield f"columns = {_array(first.names)}{guessed}"
    if first.form.separator != ",":
        yield f"separator = {_quoted(first.form.separator)}"
    elif not first.form.quote:
        yield 'quote = ""'
    if first.form.encoding != "utf-8":
        yield f"encoding = {_quoted(first.form.encoding)}    {_CHECK}: the file is not UTF-8"
    missing = tuple(dict.fromkeys(text for column in first.columns for text in column.missing))
    if missing:
        yield f"missing = {_array(missing)}    {_CHECK}: texts that seem to stand for a missing value"


def _fields(columns: Sequence[Profile], numbers: bool) -> Iterator[str]:
    """A line for each column: `numbers` where quantiles are allowed."""
    used: set[str] = set()
    for column in columns:
        name, quoted = _named(column, used), _quoted(column.name)
        years = [value for value in column.values if re.search(r"\((\d{4})\)\s*$", value)]
        differ = column.distinct > NAMES_LEAST and column.distinct > NAMES_SHARE * len(column.values)
        if not column.values:
            yield f"# {name} = {quoted}    {_CHECK}: no value in the first rows"
        elif column.is_list:
            yield f"{name} = {{column = {quoted}, list = true, most = {column.most}}}"
        elif years and len(years) > 0.9 * len(column.values):
            yield f"year = {{column = {quoted}, extract = '\\((\\d{{4}})\\)\\s*$'}}    # at its end"
        elif column.list_separator and not column.number:
            separator = _quoted(column.list_separator)
            yield f"{name} = {{column = {quoted}, separator = {separator}, most = {column.most}}}    {_CHECK}: a list?"
        elif column.number and column.distinct > FEW and numbers and not _is_code(column):
            yield f"{name} = {{column = {quoted}, quantiles = {PARTS}}}    {_CHECK}: a number, cut into {PARTS} parts"
        elif differ and not column.whole and not _is_code(column):
            yield f"# {name} = {quoted}    {_CHECK}: nearly every value is another, so it tells no kinds apart"
        else:
            yield f"{name} = {quoted}"


def _is_code(column: Profile) -> bool:
    """Whether digits are a code, such as a postcode or an id, and no number."""
    plain = re.sub(r"[^a-z]", "", column.name.lower())
    leading = any(len(value) > 1 and value.startswith("0") and "." not in value for value in column.values)
    return leading or plain.endswith("id") or "zip" in plain or "postcode" in plain or plain.endswith("code")


def _users(users: Role | None, shown: Role, folder: Path) -> Iterator[str]:
    yield "[users]"
    if users is None or users.user is None:
        yield f"{_CHECK}: no file has one row per user. MAIL needs attributes of users; where they are columns of the"
        yield "# impressions, name them here, and delete those that are not the user's."
        yield ""
        yield "[users.attributes]"
        yield from (f"# {line.removeprefix('# ')}" for line in _fields(shown.others, numbers=True))
        return
    yield from _files(users, folder)
    yield f"user = {_quoted(users.user.name)}"
    yield ""
    yield "[users.attributes]"
    columns = [column for column in users.first.columns if column is not users.user]
    yield from _fields(columns, numbers=True)


def _items(items: Role | None, folder: Path) -> Iterator[str]:
    if items is None or items.item is None:
        yield "# No file has one row per item: the item's id is all that is known of it."
        return
    yield "[items]"
    yield from _files(items, folder)
    yield f"item = {_quoted(items.item.name)}"
    yield ""
    yield "[items.features]"
    yield from _fields([column for column in items.first.columns if column is not items.item], numbers=True)


def _time_spec(column: Profile) -> str:
    """A time as the schema file has it; empty where the column holds none."""
    quoted = _quoted(column.name)
    if column.is_time:
        return quoted
    if column.number:
        greatest = max(map(float, column.values))
        for unit, least in (("us", 1e14), ("ms", 1e11), ("s", 1e8)):
            if greatest >= least:
                return quoted if unit == "s" else f'{{column = {quoted}, unit = "{unit}"}}'
    form = column.time_format
    return f"{{column = {quoted}, format = {_quoted(form)}}}" if form else ""


def _behaviors(log: Role, shown: Role, items: Role | None, folder: Path) -> Iterator[str]:
    yield "[behaviors]"
    if log is shown:
        yield "# What users did before an impression: the earlier rows of the impressions' files."
    else:
        yield from _files(log, folder)
    assert log.user is not None
    yield f"user = {_quoted(log.user.name)}"
    if log.time:
        yield f"time = {_time_spec(log.time)}"
    kinds = log.action or (log.rating if log is shown and not log.click else None)
    if kinds and 1 < kinds.distinct <= ACTIONS:
        order = sorted(set(kinds.values), key=lambda value: (float(value), value) if kinds.number else (0.0, value))
        yield f"action = {{column = {_quoted(kinds.name)}, values = {_array(order)}}}    {_CHECK}: are these all?"
    elif log is shown and log.click:
        yield f"where = {{column = {_quoted(log.click.name)}, equals = 1}}"
        yield 'action = {constant = "click"}'
    yield ""
    yield "[behaviors.fields]"
    if log.item:
        yield f"item = {_quoted(log.item.name)}"
    features = {column.name for column in items.others} if items else set()
    used: set[str] = set()
    for column in log.others if log is not shown else []:
        name = _named(column, used)
        if column.name in features:
            yield f"{name} = {_quoted(column.name)}"
        else:
            yield f"# {name} = {_quoted(column.name)}    {_CHECK}: only a field that items have, too"


def _impressions(shown: Role, folder: Path) -> Iterator[str]:
    assert shown.user is not None
    assert shown.item is not None
    yield "[impressions]"
    yield from _files(shown, folder)
    yield f"user = {_quoted(shown.user.name)}"
    yield f"item = {_quoted(shown.item.name)}"
    if shown.time:
        note = (
            ""
            if shown.time.is_time
            else f'    {_CHECK}: hours and days are in UTC; utc_offset = "+08:00" says otherwise'
        )
        yield f"time = {_time_spec(shown.time)}{note}"
    if shown.click:
        yield f"click = {_quoted(shown.click.name)}"
    elif shown.rating:
        greatest = max(map(float, shown.rating.values))
        rule = f"{{column = {_quoted(shown.rating.name)}, at_least = {0.8 * greatest:g}}}"
        yield f"click = {rule}    {_CHECK}: what counts as a click"
    if shown.conversion:
        yield f"conversion = {_quoted(shown.conversion.name)}"
    yield ""
    yield "[impressions.context]"
    used: set[str] = {"hour", "weekday"}
    if shown.time:
        yield 'hour = {clock = "hour"}'
        yield 'weekday = {clock = "weekday"}'
    for column in shown.others:
        yield f"# {_named(column, used)} = {_quoted(column.name)}    {_CHECK}: only what is known before the click"


def _split(shown: Role) -> Iterator[str]:
    yield "[split]"
    if shown.time and shown.click:
        yield f"# The last day tests, the one before it validates.    {_CHECK}"
        yield 'by = "day"'
        yield "validation_days = 1"
        yield "test_days = 1"
    elif shown.time:
        yield f"# Each user's last 20 % test, the 10 % before them validate.    {_CHECK}"
        yield 'by = "user_share"'
        yield "validation = 0.1"
        yield "test = 0.2"
    else:
        yield f"{_CHECK}: there is no time; name the column, or the files, that tell the splits apart"
        yield 'by = "column"'
        yield 'column = "split"'
        yield 'train = "train"'
        yield 'validation = "validation"'
        yield 'test = "test"'
