"""The lines of a proposed schema file that turn columns into fields."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mailcli.escape import toml_string
from mailcli.preprocessing.schema_file.definition import LIST_LIMIT
from mailcli.preprocessing.schema_file.read_fields import RESERVED
from mailcli.preprocessing.schema_init.column_profile import ColumnProfile

#: Marks every guess.
CHECK = "# check this"
#: Numbers with more distinct values than FEW are cut into QUANTILES (ours).
FEW, QUANTILES = 30, 8
#: Strings of which more than this share are distinct identify rows and do not group them (ours).
DISTINCT_SHARE, DISTINCT_MIN = 0.8, 20
#: A year in parentheses at the end, as in film titles.
_YEAR = r"\((\d{4})\)\s*$"


@dataclass(frozen=True)
class FieldGuess:
    """How a column may become a field."""

    value: str
    """In TOML: the column, or a table."""
    note: str = ""
    """The comment after it."""
    active: bool = True
    """False: the line is commented out."""
    is_category: bool = False
    """Whether the column is used as it is."""
    name: str = ""
    """Name of the field; empty: that of the column."""

    def line(self, name: str) -> str:
        """The line of the schema file."""
        return f"{'' if self.active else '# '}{name} = {self.value}{'    ' if self.note else ''}{self.note}"


def toml_array(texts: Sequence[str]) -> str:
    """A list of strings in TOML."""
    return f"[{', '.join(map(toml_string, texts))}]"


def field_name(column: str, used: set[str]) -> str:
    """An unused field name for a column, which is added to `used`: lower-case letters, digits and `_`."""
    name = re.sub(r"[^a-z0-9]+", "_", column.lower()).strip("_")[:90] or "field"
    name = name if name[0].isalpha() else f"f_{name}"
    name = f"{name}_" if name in RESERVED else name
    while name in used:
        name += "_"
    used.add(name)
    return name


def guess_fields(columns: Sequence[ColumnProfile]) -> dict[str, tuple[str, FieldGuess]]:
    """Field name and guess of each column, by the column's name."""
    used: set[str] = set()
    guesses = {}
    for column in columns:
        if column.name:
            guess = guess_field(column)
            guesses[column.name] = (field_name(guess.name or column.name, used), guess)
    return guesses


def field_lines(columns: Sequence[ColumnProfile]) -> Iterator[str]:
    """A line for each column."""
    yield from (guess.line(name) for name, guess in guess_fields(columns).values())
    yield from unnamed_note(columns)


def unnamed_note(columns: Sequence[ColumnProfile]) -> Iterator[str]:
    """A comment about columns without a name."""
    if any(not column.name for column in columns):
        yield "# A column without a name is left out."


def guess_field(column: ColumnProfile) -> FieldGuess:
    """How a column may become a field of users or items."""
    name = toml_string(column.name)
    if column.unusable:
        return FieldGuess(name, f"{CHECK}: Parquet {column.unusable} cannot be a field", active=False)
    if not column.values:
        return FieldGuess(name, f"{CHECK}: no values in the first rows", active=False)
    if column.lengths is not None:
        return _guess_list(column, "list = true", "")
    if _has_years(column):
        return FieldGuess(f"{{column = {name}, extract = '{_YEAR}'}}", "# the year at its end", name="year")
    quantiles = f"{{column = {name}, quantiles = {QUANTILES}}}"
    if column.is_time and column.distinct > FEW:
        return FieldGuess(quantiles, f"{CHECK}: a time, in {QUANTILES} quantiles")
    if column.is_time:
        return FieldGuess(name, f"{CHECK}: a time, in seconds since 1970", is_category=True)
    if column.time_formats:
        return FieldGuess(f"{{column = {name}, extract = '(\\d{{4}})'}}", f"{CHECK}: a date; only its year is used")
    if column.list_separator and not column.is_number:
        return _guess_list(column, f"separator = {toml_string(column.list_separator)}", "a list? ")
    if column.is_number and column.distinct > FEW and not _is_code(column):
        return FieldGuess(quantiles, f"{CHECK}: a number, in {QUANTILES} quantiles")
    is_distinct = column.distinct > DISTINCT_MIN and column.distinct > DISTINCT_SHARE * len(column.values)
    if is_distinct and not column.is_whole and not _is_code(column):
        return FieldGuess(name, f"{CHECK}: nearly all values are distinct: a poor category", active=False)
    note = f"{CHECK}: strings, because decimal commas are not read as numbers" if column.has_decimal_comma else ""
    return FieldGuess(name, note, is_category=True)


def _guess_list(column: ColumnProfile, keys: str, note: str) -> FieldGuess:
    room = min(max(2 * column.max_values, 1), LIST_LIMIT)
    value = f"{{column = {toml_string(column.name)}, {keys}, most = {room}}}"
    if column.max_values > LIST_LIMIT:
        note = f"{CHECK}: lists of up to {column.max_values:,} values, but at most {LIST_LIMIT:,} are allowed"
        return FieldGuess(value, note, active=False)
    return FieldGuess(value, f"{CHECK}: {note}room for twice as many values as in the first rows")


def _has_years(column: ColumnProfile) -> bool:
    """Whether nearly all values end in a year in parentheses, as film titles do."""
    years = [value for value in column.values if re.search(_YEAR, value)]
    return bool(years) and len(years) > 0.9 * len(column.values)


def _is_code(column: ColumnProfile) -> bool:
    """Whether digits are a code, such as a postcode or an id, rather than a number."""
    letters = re.sub(r"[^a-z]", "", column.name.lower())
    has_leading_zero = any(len(value) > 1 and value.startswith("0") and "." not in value for value in column.values)
    return has_leading_zero or "zip" in letters or "postcode" in letters or letters.endswith(("id", "code"))
