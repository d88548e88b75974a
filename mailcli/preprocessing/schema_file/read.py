"""Reads a schema file and checks it as far as that needs no data; every fault is told at once, with its key."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path

from mailcli.errors import MailError, quoted
from mailcli.preprocessing.schema_file.cross_checks import contradictions
from mailcli.preprocessing.schema_file.definition import (
    ENCODINGS,
    LATEST,
    SPLIT_KINDS,
    Files,
    Form,
    Join,
    Mapping,
    Place,
    RuleMap,
    SplitMap,
)
from mailcli.preprocessing.schema_file.read_fields import (
    read_action,
    read_fields,
    read_place,
    read_rule,
    read_rules,
    read_time,
)
from mailcli.preprocessing.schema_file.toml_table import Section
from mailcli.utils.parsing import read_toml


def read_mapping(path: Path) -> Mapping:
    """A schema file, checked as far as that needs no data.

    Raises:
        MailError: it cannot be read as TOML, or one line with all its faults.
    """
    mapping, faults = parse_mapping(path)
    if faults:
        raise MailError(f"{path}: {'; '.join(faults)}.")
    return mapping


def parse_mapping(path: Path) -> tuple[Mapping, list[str]]:
    """A schema file and its faults; what is wrong or missing is empty in the mapping (MailError: it is no TOML)."""
    faults: list[str] = []
    root = Section(read_toml(path), "", faults)
    mapping = _mapping(path, root)
    root.done()
    return mapping, faults + contradictions(mapping, faults)


def _mapping(path: Path, root: Section) -> Mapping:
    form = _form(root.section("format"), Form())
    integers = frozenset(root.texts("integers"))
    impressions = root.section("impressions", required=True)
    shown = _files(impressions, "impressions", form, None)
    users, items, behaviors = (root.section(name) for name in ("users", "items", "behaviors"))
    if "users" not in root.given or not users.peek("attributes"):
        root.faults.append(
            "users.attributes: there is no user attribute besides the id. Expected one or more, such as age, gender "
            "or city: MAIL invents a new user's behavior from the attributes, so it cannot be used without"
        )
    if "behaviors" not in root.given:
        root.faults.append(
            "'behaviors' is missing. Expected what users did before an impression; it may be in the impressions' files"
        )
    of_users, of_items = (_files(each, name, form, shown) for each, name in ((users, "users"), (items, "items")))
    of_behaviors = _files(behaviors, "behaviors", form, shown)
    joined = impressions.section("join") if impressions.peek("join") else None
    time = read_time(impressions)
    mapping = Mapping(
        path,
        of_users,
        _key(users, "user", of_users),
        read_fields(users, "attributes", {"category", "list", "bucket"}),
        of_items,
        _key(items, "item", of_items),
        read_fields(items, "features", {"category", "list", "bucket", "dense"}),
        of_behaviors,
        read_place(behaviors, "user", "behaviors" in root.given),
        read_time(behaviors, time.offset if time else 0),
        read_action(behaviors),
        read_fields(behaviors, "fields", {"category", "bucket", "list"}),
        read_rules(behaviors, "where"),
        shown,
        _join(joined, form) if joined else None,
        read_place(impressions, "user"),
        read_place(impressions, "item"),
        time,
        read_rule(impressions, "click", required=True) or RuleMap("", ""),
        read_rule(impressions, "conversion"),
        read_fields(impressions, "context", {"category", "bucket", "clock"}),
        read_rules(impressions, "where"),
        _split(root.section("split", required=True)),
        integers,
        path.read_text(encoding="utf-8"),
    )
    for section in (users, items, behaviors, impressions, *([joined] if joined else [])):
        section.done()
    if "behaviors" in root.given and not mapping.steps:
        root.faults.append("behaviors.fields: there is none. Expected the item, or a field of items.features")
    return mapping


def _form(section: Section, default: Form, own: bool = True) -> Form:
    """The keys that say how a table's files are written; `own` for a section that has no others."""
    separator = section.text("separator", default.separator)
    if not 1 <= len(separator.encode()) <= 4:
        section.fault("separator", "a text of 1 to 4 bytes")
        separator = default.separator
    quote = section.text("quote", default.quote if len(separator) == 1 else "")
    if len(quote.encode()) > 1 or (quote and len(separator) > 1):
        section.fault("quote", "one ASCII character, or '' for none (and none with a separator of several)")
        quote = default.quote if len(separator) == 1 else ""
    encoding = section.choice("encoding", ENCODINGS, default.encoding)
    missing = section.texts("missing") or default.missing
    if own:
        section.done()
    return Form(separator, encoding, quote, tuple(dict.fromkeys(("", *missing))))


def _files(section: Section, role: str, form: Form, shown: Files | None) -> Files:
    form = _form(section, form, own=False)
    patterns, columns = section.texts("files"), section.texts("columns")
    if not patterns:
        if shown is None:
            section.fault("files", "a file, or several")
        elif columns:
            section.fault("columns", "nothing without 'files': the table is read from the impressions' files")
        return Files(role, (), (), shown.form if shown else form)
    if len(set(columns)) != len(columns):
        section.fault("columns", "names that differ")
    return Files(role, patterns, columns, form)


def _join(section: Section, form: Form) -> Join:
    files = _files(section, "join", form, None)
    return Join(files, section.text("on", required=True))


def _key(section: Section, name: str, files: Files) -> Place | None:
    """The key of a table with files of its own."""
    if files.patterns:
        return read_place(section, name)
    if section.peek(name):
        section.fault(name, "nothing without 'files': the table is read from the impressions' files")
        section.text(name, "")
    return None


def _split(section: Section) -> SplitMap:
    by = section.choice("by", SPLIT_KINDS, "", required=True)
    made = SplitMap(by)
    if not by:  # which is noted; the other keys are those of one kind
        return made
    if by == "time":
        made = SplitMap(
            by, validation_from=_moment(section, "validation_from"), test_from=_moment(section, "test_from")
        )
    elif by in {"day", "user_share"}:
        names = ("validation_days", "test_days") if by == "day" else ("validation", "test")
        sizes = [section.number(name, 0, whole=by == "day", required=True) for name in names]
        low, high = (1, 10_000) if by == "day" else (0, 1)
        for name, size in zip(names, sizes, strict=True):
            if not (low <= size <= high) or (by == "user_share" and size in {0, 1}):
                section.fault(name, "a whole number from 1" if by == "day" else "a share between 0 and 1")
        if by == "user_share" and sum(sizes) >= 1:
            section.fault("test", "shares of validation and test that leave some for train")
        made = SplitMap(by, validation_size=sizes[0], test_size=sizes[1])
    elif by in {"column", "file"}:
        column = section.text("column", required=True) if by == "column" else ""
        share = section.peek("validation")
        drawn = isinstance(share, float)
        named = ["train", "test"] if drawn else ["train", "validation", "test"]
        lists = {name: section.texts(name, required=True) for name in named}
        size = section.number("validation", 0) if drawn else 0
        if drawn and not 0 < size < 1:
            section.fault("validation", "a share of the training rows between 0 and 1, or values of the split")
        made = SplitMap(
            by,
            column=column,
            train=lists["train"],
            validation=lists.get("validation", ()),
            test=lists["test"],
            validation_size=size,
        )
        values = [value for each in lists.values() for value in each]
        twice = sorted({value for value in values if values.count(value) > 1})
        if twice:
            section.fault("test", f"values of one split each, and {quoted(twice)} are in several")
    section.done()
    return made


def _moment(section: Section, key: str) -> int | datetime:
    """Seconds since 1970, or a date or time; without an offset of its own it is local, which is told by its type."""
    value = section.take(key)
    if value is None:  # which is noted
        return 0
    if type(value) is int and abs(value) < LATEST:
        return value
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            section.fault(key, "seconds since 1970, or a date or time such as 2022-05-07")
            return 0
    if isinstance(value, datetime):
        return value
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day)
    section.fault(key, "seconds since 1970, or a date or time such as 2022-05-07")
    return 0
