"""Reads a schema file and checks it without looking at the data; all faults are reported at once, with their keys."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mailcli.errors import MailError
from mailcli.preprocessing.schema_file.cross_checks import contradictions
from mailcli.preprocessing.schema_file.definition import (
    COPIED_ENCODINGS,
    DECIMALS,
    ENCODINGS,
    ColumnRef,
    Join,
    RuleDefinition,
    SchemaFile,
    TableFiles,
    TextFormat,
)
from mailcli.preprocessing.schema_file.read_columns import (
    read_action,
    read_column,
    read_rule,
    read_rules,
    read_time,
)
from mailcli.preprocessing.schema_file.read_fields import read_fields
from mailcli.preprocessing.schema_file.read_split import read_split
from mailcli.preprocessing.schema_file.toml_table import TomlTable, check_texts
from mailcli.utils.parsing import read_toml

#: How text files are written, in `[format]` or in a table with files of its own.
_FORMAT_KEYS = ("separator", "quote", "encoding", "missing", "decimal")
_NOT_WITHOUT_FILES = "no such key without 'files': the table is read from the impressions' files"


def read_schema_file(path: Path) -> SchemaFile:
    """A schema file, checked as far as possible without the data.

    Raises:
        MailError: it is not valid TOML, or one line with all its faults.
    """
    schema, faults = parse_schema_file(path)
    if faults:
        raise MailError(f"{path}: {'; '.join(faults)}.")
    return schema


def parse_schema_file(path: Path) -> tuple[SchemaFile, list[str]]:
    """A schema file and its faults; what is wrong or missing is left empty (MailError: it is not valid TOML)."""
    values = read_toml(path)
    return parse_schema(path, values, path.read_text(encoding="utf-8-sig"))


def parse_schema(path: Path, values: Mapping[str, Any], text: str) -> tuple[SchemaFile, list[str]]:
    """A schema and its faults, from the values of its TOML text; `path` is its name in messages."""
    faults: list[str] = []
    check_texts(path, values)
    root = TomlTable(values, "", faults)
    schema = _read(path, root, text)
    root.check_unknown_keys()
    return schema, faults + contradictions(schema, faults)


def _read(path: Path, root: TomlTable, text: str) -> SchemaFile:
    text_format = _text_format(root.table("format"), TextFormat())
    integers = frozenset(root.strings("integers"))
    impressions = root.table("impressions", required=True)
    impression_files = _table_files(impressions, "impressions", text_format, None)
    users, items, behaviors = (root.table(role) for role in ("users", "items", "behaviors"))
    _check_given(root, users)
    user_files, item_files, behavior_files = (
        _table_files(table, table.name, text_format, impression_files) for table in (users, items, behaviors)
    )
    joined = impressions.table("join") if impressions.get("join") else None
    time = read_time(impressions)
    # The arguments are evaluated in this order, which is that of the faults in the error message.
    schema = SchemaFile(
        path=path,
        users=user_files,
        user_key=_key(users, "user", user_files),
        attributes=read_fields(users, "attributes", {"category", "list", "bucket"}),
        items=item_files,
        item_key=_key(items, "item", item_files),
        features=read_fields(items, "features", {"category", "list", "bucket", "dense"}),
        behaviors=behavior_files,
        behavior_user=read_column(behaviors, "user", "behaviors" in root.values),
        behavior_time=read_time(behaviors, time.offset if time else 0),
        action=read_action(behaviors),
        behavior_fields=read_fields(behaviors, "fields", {"category", "bucket", "list"}),
        behaviors_where=read_rules(behaviors, "where"),
        impressions=impression_files,
        join=_join(joined, text_format) if joined else None,
        user=read_column(impressions, "user"),
        item=read_column(impressions, "item"),
        time=time,
        click=read_rule(impressions, "click", required=True) or RuleDefinition("", ""),
        conversion=read_rule(impressions, "conversion"),
        context=read_fields(impressions, "context", {"category", "bucket", "clock"}),
        impressions_where=read_rules(impressions, "where"),
        split=read_split(root.table("split", required=True)),
        integers=integers,
        text=text,
        takes_first_list=behaviors.choice("several_lists", ("first",), "") == "first",
    )
    for table in (users, items, behaviors, impressions, *([joined] if joined else [])):
        table.check_unknown_keys()
    if "behaviors" in root.values and not schema.behavior_fields:
        root.faults.append("behaviors.fields: there is none. Expected the item, or a field of items.features")
    return schema


def _check_given(root: TomlTable, users: TomlTable) -> None:
    """There are attributes and behaviors."""
    if "users" not in root.values or not users.get("attributes"):
        root.faults.append(
            "users.attributes: there is no user attribute except the id. Expected at least one, such as age, gender "
            "or city: MAIL generates a new user's behavior from the attributes and cannot work without them"
        )
    if "behaviors" not in root.values:
        root.faults.append(
            "'behaviors' is missing. Expected what users did before an impression; it may be in the impressions' files"
        )


def _text_format(table: TomlTable, default: TextFormat) -> TextFormat:
    """`[format]`: how the files of all tables are written."""
    text_format = _format_keys(table, default)
    table.check_unknown_keys()
    return text_format


def _format_keys(table: TomlTable, default: TextFormat) -> TextFormat:
    """How text files are written, by the keys of `[format]` or of a table."""
    separator = table.string("separator", default.separator)
    if not 1 <= len(separator.encode()) <= 4:
        table.fault("separator", "a string of 1 to 4 bytes")
        separator = default.separator
    quote = table.string("quote", default.quote if len(separator) == 1 else "")
    if len(quote.encode()) > 1 or (quote and len(separator) > 1):
        table.fault("quote", "one ASCII character, or '' for none (required with a separator of several characters)")
        quote = default.quote if len(separator) == 1 else ""
    encoding = table.choice("encoding", (*ENCODINGS, *COPIED_ENCODINGS), default.encoding)
    missing = table.strings("missing") or default.missing
    decimal = table.choice("decimal", DECIMALS, default.decimal)
    return TextFormat(separator, encoding, quote, tuple(dict.fromkeys(("", *missing))), decimal)


def _table_files(
    table: TomlTable, role: str, text_format: TextFormat, impression_files: TableFiles | None
) -> TableFiles:
    """The files of a table; without its own, `impression_files` must be given."""
    text_format = _format_keys(table, text_format)
    patterns, columns = table.strings("files"), table.strings("columns")
    if not patterns:
        if impression_files is None:
            table.fault("files", "one or more files")
        else:
            for key in ("columns", *_FORMAT_KEYS):
                if table.get(key) is not None:
                    table.fault(key, _NOT_WITHOUT_FILES)
        return TableFiles(role, (), (), impression_files.format if impression_files else text_format)
    if len(set(columns)) != len(columns):
        table.fault("columns", "distinct names")
    return TableFiles(role, patterns, columns, text_format)


def _join(table: TomlTable, text_format: TextFormat) -> Join:
    files = _table_files(table, "join", text_format, None)
    return Join(files, table.string("on", required=True))


def _key(table: TomlTable, key: str, files: TableFiles) -> ColumnRef | None:
    """The id column of a table with its own files."""
    if files.patterns:
        return read_column(table, key)
    if table.get(key):
        table.fault(key, _NOT_WITHOUT_FILES)
    return None
