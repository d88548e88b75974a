"""mail schema init: a schema file proposed from the names and first rows of files, with what must be checked."""

from __future__ import annotations

import glob
import os
import re
import shlex
from collections.abc import Iterator, Sequence
from itertools import takewhile
from pathlib import Path

from mailcli.preprocessing.schema_init.column_profile import Profile
from mailcli.preprocessing.schema_init.guess_fields import (
    CHECK,
    array,
    field_lines,
    field_name,
    guesses,
    nameless,
    toml_string,
)
from mailcli.preprocessing.schema_init.sniff import sample
from mailcli.preprocessing.schema_init.table_roles import Role, Roles, find_roles

#: Most kinds of actions that are proposed (ours).
ACTIONS = 20
#: Characters of a value that a comment shows (ours).
_SHOWN = 40


def propose(paths: Sequence[Path], name: str) -> str:
    """The text of a schema file.

    Args:
        paths: the raw files; one that is given twice counts once.
        name: of the schema file, for the command that it shows.

    Raises:
        MailError: a file cannot be read, or none is a log of what users were shown.
    """
    once = {path.resolve(): path for path in paths}
    folder = Path(os.path.commonpath([path.parent for path in once]))
    roles = find_roles([sample(path) for path in once.values()])
    parts = (
        _head(folder, name, roles),
        _users(roles, folder),
        _items(roles.items, folder),
        _behaviors(roles, folder),
        _impressions(roles.shown, folder),
        _split(roles.shown),
    )
    text = "\n".join(line for part in parts for line in (*part, ""))
    return text + "".join(f"# Not used: {each.path.name}\n" for each in roles.lost)


def _head(folder: Path, name: str, roles: Roles) -> Iterator[str]:
    yield "# Proposed by `mail schema init` from the first rows of the files. Look at lines with `check this`, then:"
    yield "#"
    yield f"#   mail preprocess NAME --schema {shlex.quote(name)} --raw {shlex.quote(str(folder))}"
    yield "#"
    yield "# docs/your-own-data.md has all keys."
    whole = []
    for vocabulary in ("user", "item"):
        columns = [column for role in roles.used if (column := getattr(role, vocabulary))]
        if all(column.whole for column in columns):
            whole.append(vocabulary)
    if whole:
        yield ""
        yield "# Ids that are whole numbers; all others are texts."
        yield f"integers = {array(whole)}    {CHECK}: a later row with another id is set aside"


def _files(role: Role, folder: Path) -> Iterator[str]:
    names = [str(each.path.resolve().relative_to(folder)) for each in role.files]
    patterns = _patterns(names, folder)
    yield f"files = {toml_string(patterns[0]) if len(patterns) == 1 else array(patterns)}"
    first, form = role.first, role.form
    if first.parquet:
        return
    if not first.has_header:
        guessed = "" if not first.names[0].startswith("column_") else f"    {CHECK}: the file has no header line"
        yield f"columns = {array(first.names)}{guessed}"
    if form.separator != ",":
        yield f"separator = {toml_string(form.separator)}"
    elif not form.quote:
        yield 'quote = ""'
    if form.encoding != "utf-8":
        yield f"encoding = {toml_string(form.encoding)}    {CHECK}: the file is not UTF-8"
    missing = tuple(dict.fromkeys(text for column in role.columns for text in column.missing))
    if missing:
        yield f"missing = {array(missing)}    {CHECK}: texts that seem to stand for a missing value"


def _patterns(names: Sequence[str], folder: Path) -> list[str]:
    """One pattern that fits the files of one table and no other; else their names."""
    escaped = [glob.escape(name) for name in names]
    parts = [Path(name).parts for name in names]
    if len(names) == 1 or len({len(each) for each in parts}) > 1:
        return escaped
    pattern = os.path.join(*(_common(list(dict.fromkeys(column))) for column in zip(*parts, strict=True)))
    found = [name for name in glob.glob(pattern, root_dir=folder, recursive=True) if (folder / name).is_file()]
    return [pattern] if sorted(found) == sorted(names) else escaped


def _common(names: Sequence[str]) -> str:
    """A pattern of names that are numbered, or are values of one key (`day=1`); of others one that fits no file."""
    if len(names) == 1:
        return glob.escape(names[0])
    start = _same_start(names)
    if "=" in start:
        return f"{glob.escape(start.partition('=')[0])}=*"
    # Not in the midst of a number: log-10 and log-11 are log-*, not log-1*.
    start = start.rstrip("0123456789")
    ends = [name[len(start) :] for name in names]
    end = _same_start([each[::-1] for each in ends])[::-1].lstrip("0123456789")
    numbered = all(re.search(r"\d", each[: len(each) - len(end)]) for each in ends)
    return f"{glob.escape(start)}*{glob.escape(end)}" if numbered else ""


def _same_start(texts: Sequence[str]) -> str:
    return "".join(each[0] for each in takewhile(lambda each: len(set(each)) == 1, zip(*texts, strict=False)))


def _users(roles: Roles, folder: Path) -> Iterator[str]:
    users = roles.users
    yield "[users]"
    if users is None or users.user is None:
        yield f"{CHECK}: no file has one row per user. MAIL needs attributes of users; where they are columns of the"
        yield "# impressions, name them here, and delete those that are not the user's."
        yield ""
        yield "[users.attributes]"
        yield from (f"# {line.removeprefix('# ')}" for line in field_lines(roles.shown.others))
        return
    yield from _files(users, folder)
    yield f"user = {toml_string(users.user.name)}"
    yield ""
    yield "[users.attributes]"
    yield from field_lines([column for column in users.columns if column is not users.user])


def _items(items: Role | None, folder: Path) -> Iterator[str]:
    if items is None or items.item is None:
        yield "# No file has one row per item: the item's id is all that is known of it."
        return
    yield "[items]"
    yield from _files(items, folder)
    yield f"item = {toml_string(items.item.name)}"
    yield ""
    yield "[items.features]"
    yield from field_lines(_features(items))


def _features(items: Role) -> list[Profile]:
    return [column for column in items.columns if column is not items.item]


def _time(role: Role, note: str) -> Iterator[str]:
    """The time of a table, with a comment where nothing else must be said of it."""
    if role.unread:
        value = role.unread.values[0][:_SHOWN]
        column = toml_string(role.unread.name)
        yield f'# time = {{column = {column}, format = ""}}    {CHECK}: in which form is {value!r}?'
    if role.time is None:
        return
    column, forms = toml_string(role.time.name), role.time.time_formats
    value = column
    if forms:
        value = f"{{column = {column}, format = {toml_string(forms[0])}}}"
    elif not role.time.is_time and role.time.unit != "s":
        value = f'{{column = {column}, unit = "{role.time.unit}"}}'
    if forms[1:]:
        note = f"    {CHECK}: or is it {forms[1]}?"
    yield f"time = {value}{note}"


def _behaviors(roles: Roles, folder: Path) -> Iterator[str]:
    shown, items = roles.shown, roles.items
    log = roles.behaviors or shown
    yield "[behaviors]"
    if log is shown:
        yield "# What users did before an impression: the earlier rows of the impressions' files."
    else:
        yield from _files(log, folder)
    assert log.user is not None
    yield f"user = {toml_string(log.user.name)}"
    yield from _time(log, "")
    kinds = log.action or (log.rating if log is shown and not log.click else None)
    if kinds and 1 < kinds.distinct <= ACTIONS:
        order = sorted(set(kinds.values), key=lambda value: (float(value), value) if kinds.number else (0.0, value))
        yield f"action = {{column = {toml_string(kinds.name)}, values = {array(order)}}}    {CHECK}: are these all?"
    elif log is shown and log.click:
        yield f"where = {toml_string(log.click.name)}"
        yield 'action = {constant = "click"}'
    yield ""
    yield "[behaviors.fields]"
    if log.item:
        yield f"item = {toml_string(log.item.name)}"
    features = guesses(_features(items)) if items else {}
    used = {name for name, _ in features.values()}
    others = log.others if log is not shown else []
    for column in others:
        name, guess = features.get(column.name, ("", None))
        if guess and guess.plain and column.single:
            yield f"{name} = {toml_string(column.name)}"
        elif column.name:
            name = name or field_name(column.name, used)
            yield f"# {name} = {toml_string(column.name)}    {CHECK}: only a field that items have, too"
    yield from nameless(others)


def _impressions(shown: Role, folder: Path) -> Iterator[str]:
    assert shown.user is not None
    assert shown.item is not None
    yield "[impressions]"
    yield from _files(shown, folder)
    yield f"user = {toml_string(shown.user.name)}"
    yield f"item = {toml_string(shown.item.name)}"
    # These letters are no offset to the engine: of a local time it would subtract one more.
    utc = shown.time and any(form.endswith(("Z", " UTC")) for form in shown.time.time_formats)
    otherwise = "" if utc else '; utc_offset = "+08:00" says otherwise, for the behaviors too'
    yield from _time(shown, f"    {CHECK}: hours and days are in UTC{otherwise}")
    if shown.click:
        yield f"click = {toml_string(shown.click.name)}"
    elif shown.rating:
        greatest = max(map(float, shown.rating.values))
        rule = f"{{column = {toml_string(shown.rating.name)}, at_least = {0.8 * greatest:g}}}"
        yield f"click = {rule}    {CHECK}: what counts as a click"
    if shown.conversion:
        yield f"conversion = {toml_string(shown.conversion.name)}"
    yield ""
    yield "[impressions.context]"
    used: set[str] = {"hour", "weekday"}
    if shown.time:
        yield 'hour = {clock = "hour"}'
        yield 'weekday = {clock = "weekday"}'
    for column in shown.others:
        if column.name:
            note = f"{CHECK}: only what is known before the click"
            if not column.single:
                note = f"{CHECK}: {column.unfit or 'lists'} of Parquet cannot be context"
            yield f"# {field_name(column.name, used)} = {toml_string(column.name)}    {note}"
    yield from nameless(shown.others)


def _split(shown: Role) -> Iterator[str]:
    yield "[split]"
    if not shown.time and not shown.unread:
        yield f"{CHECK}: there is no time; name the column, or the files, that tell the splits apart"
        yield 'by = "column"'
        yield 'column = "split"'
        yield 'train = "train"'
        yield 'validation = "validation"'
        yield 'test = "test"'
    elif shown.click:
        yield f"# The last day tests, the one before it validates.    {CHECK}"
        yield 'by = "day"'
        yield "validation_days = 1"
        yield "test_days = 1"
    else:
        yield f"# Each user's last 20 % test, the 10 % before them validate.    {CHECK}"
        yield 'by = "user_share"'
        yield "validation = 0.1"
        yield "test = 0.2"
