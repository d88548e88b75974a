"""`mail schema init`: proposes a schema file from the names and first rows of some files, and marks what to check."""

from __future__ import annotations

import logging
import os
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from mailcli.escape import terminal
from mailcli.preprocessing.schema_file.part_differences import part_difference
from mailcli.preprocessing.schema_init.file_sample import FileSample
from mailcli.preprocessing.schema_init.guess_fields import CHECK, field_lines, toml_array
from mailcli.preprocessing.schema_init.proposal_notes import hint_notes, proposal_notes
from mailcli.preprocessing.schema_init.propose_logs import behavior_lines, file_lines, impression_lines, role_line
from mailcli.preprocessing.schema_init.recognized import RecognizedTable, RecognizedTables
from mailcli.preprocessing.schema_init.reshape_hints import set_aside
from mailcli.preprocessing.schema_init.sniff import sample_file
from mailcli.preprocessing.schema_init.table_roles import group_tables, recognize_tables
from mailcli.utils.paths import real_path

logger = logging.getLogger(__name__)


def propose(paths: Sequence[Path], name: str, given: Mapping[str, str] | None = None) -> str:
    """The text of a schema file; what it leaves out is logged.

    Args:
        paths: the raw files; repeated files count once.
        name: of the schema file, for the command in its header.
        given: column names for some of the roles `user`, `item`, `time` and `click`.

    Raises:
        MailError: a file cannot be read, none is a log of what users were shown, or the values of several columns fit.
    """
    once = {real_path(path): path for path in paths}
    folder = Path(os.path.commonpath([path.parent for path in once]))
    groups, hints = set_aside(group_tables([sample_file(path) for path in once.values()], given or {}))
    try:
        tables = recognize_tables(groups)
    finally:
        # If there is no log, they may be the reason.
        for line in hint_notes(hints):
            logger.warning(line)
    parts = (
        _header(folder, name, tables),
        _users(tables, folder),
        _items(tables, folder),
        behavior_lines(tables, folder),
        impression_lines(tables.impressions, folder),
        _split(tables.impressions),
    )
    # Texts are escaped already, so this changes only comments.
    text = "\n".join(terminal(line) for part in parts for line in (*part, ""))
    if not tables.impressions.time and not tables.impressions.unknown_time:
        logger.warning(_no_time(tables.impressions))
    for line in proposal_notes(tables):
        logger.warning(line)
    unused = [_unused_file(file, tables, folder) for file in tables.unused]
    for sentence in unused:
        logger.warning(f"Note: not used: {sentence}.")
    return text + "".join(f"# Not used: {terminal(sentence)}\n" for sentence in unused)


def _no_time(impressions: RecognizedTable) -> str:
    """What to do with a log without times, perhaps with a history in columns such as hist_1, hist_2."""
    names = [name for name in impressions.first.names if re.fullmatch(r"\D+[1-9]\d*", name)]
    stems = {name.rstrip("0123456789") for name in names}
    lists = [f"{stem}1, {stem}2, ..." for stem in sorted(stems) if {f"{stem}1", f"{stem}2"} <= {*names}]
    history = f" If {' and '.join(lists)} are what the user did before, leave them out then." if lists else ""
    return (
        f"Note: no column of {impressions.first.path.name} looks like a time, so behaviors have to be lists, one per "
        f"user. If the rows are in order, add their number as a time first (docs/your-own-data.md, Other forms of "
        f"files).{history}"
    )


def _unused_file(file: FileSample, tables: RecognizedTables, folder: Path) -> str:
    """A file that is not used, and how it differs from the table that it may be a part of."""
    names = set(file.names)

    def likeness(table: RecognizedTable) -> tuple[int, bool]:
        return len(names & set(table.first.names)), len(file.names) == len(table.first.names)

    table = max(tables.all, key=likeness)
    first, (common, is_as_wide) = table.first, likeness(table)
    own_name, first_name = (str(real_path(sample.path).relative_to(folder)) for sample in (file, first))
    if file.parquet != first.parquet or not (is_as_wide or 2 * common >= len(names)):
        return own_name
    if file.has_header != first.has_header:
        lacking, having = (first_name, own_name) if file.has_header else (own_name, first_name)
        return f"{own_name}, because {lacking} has no header line and {having} has one"
    if common and file.format.separator != first.format.separator:
        return f"{own_name}, which is separated by {file.format.separator!r}, unlike {first_name}"
    difference = part_difference(own_name, (file.names, file.types), first_name, (first.names, first.types))
    return f"{own_name}, because {difference}" if difference and common else own_name


def _header(folder: Path, name: str, tables: RecognizedTables) -> Iterator[str]:
    yield "# Proposed by `mail schema init` from the files' first rows. Review the lines marked `check this`, then run:"
    yield "#"
    yield f"#   mail preprocess NAME --schema {shlex.quote(name)} --raw {shlex.quote(str(folder))}"
    yield "#"
    yield "# docs/your-own-data.md lists all keys."
    integers = []
    for vocabulary in ("user", "item"):
        columns = [column for table in tables.all if (column := getattr(table, vocabulary))]
        if all(column.is_whole for column in columns):
            integers.append(vocabulary)
    if integers:
        yield ""
        yield "# Ids that are whole numbers; all others are strings."
        yield f"integers = {toml_array(integers)}    {CHECK}: later rows with other ids are set aside"


def _users(tables: RecognizedTables, folder: Path) -> Iterator[str]:
    users, impressions = tables.users, tables.impressions
    yield "[users]"
    if users and users.user:
        yield from file_lines(users, folder)
        yield role_line(users, "user")
        yield ""
        yield "[users.attributes]"
        yield from field_lines([column for column in users.columns if column is not users.user], users.set_aside)
    elif impressions.user_columns:
        yield "# No file has one row per user: these columns of the impressions have one value for each user."
        yield f"{CHECK}: delete what became known only later, such as a user's number of clicks."
        yield ""
        yield "[users.attributes]"
        yield from field_lines(impressions.user_columns, impressions.set_aside)
    else:
        yield f"{CHECK}: no file has one row per user. MAIL needs user attributes; if they are columns of the"
        yield "# impressions, name them here and delete those that do not describe the user."
        yield ""
        yield "[users.attributes]"
        lines = field_lines(impressions.other_columns, impressions.set_aside)
        yield from (f"# {line.removeprefix('# ')}" for line in lines)


def _items(tables: RecognizedTables, folder: Path) -> Iterator[str]:
    items, impressions = tables.items, tables.impressions
    if items and items.item:
        yield "[items]"
        yield from file_lines(items, folder)
        yield role_line(items, "item")
        yield ""
        yield "[items.features]"
        yield from field_lines([column for column in items.columns if column is not items.item], items.set_aside)
    elif impressions.item_columns:
        yield "# No file has one row per item: these columns of the impressions have one value for each item."
        yield f"{CHECK}: delete what became known only later, such as an item's share of clicks."
        yield "[items.features]"
        yield from field_lines(impressions.item_columns, impressions.set_aside)
    else:
        yield "# No file has one row per item: items have no features but their id."


def _split(impressions: RecognizedTable) -> Iterator[str]:
    yield "[split]"
    if not impressions.time and not impressions.unknown_time:
        yield f"{CHECK}: there is no time; name the column, or the files, that define the splits"
        yield 'by = "column"'
        yield 'column = "split"'
        yield 'train = "train"'
        yield 'validation = "validation"'
        yield 'test = "test"'
    elif impressions.click and not impressions.may_count_rows:
        yield f"# Test on the last day, validate on the day before it.    {CHECK}"
        yield 'by = "day"'
        yield "validation_days = 1"
        yield "test_days = 1"
    else:
        yield f"# Test on each user's last 20%, validate on the 10% before them.    {CHECK}"
        yield 'by = "user_share"'
        yield "validation = 0.1"
        yield "test = 0.2"
