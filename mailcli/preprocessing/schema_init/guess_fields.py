"""The lines of a proposed schema file that turn columns into fields."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from mailcli.escape import toml_string
from mailcli.preprocessing.schema_file.definition import LIST_LIMIT
from mailcli.preprocessing.schema_file.read_fields import RESERVED
from mailcli.preprocessing.schema_init.column_names import letters, without_type
from mailcli.preprocessing.schema_init.column_profile import ColumnProfile

#: Marks every guess.
CHECK = "# check this"
#: Numbers with more distinct values than FEW are cut into QUANTILES (ours).
FEW, QUANTILES = 30, 8
#: Strings of which more than this share are distinct identify rows and do not group them (ours).
DISTINCT_SHARE, DISTINCT_MIN = 0.8, 20
#: A year in parentheses at the end, as in film titles.
_YEAR = r"\((\d{4})\)\s*$"
#: The year of a date such as 14/11/23.
_SHORT_YEAR = r"^\d+/\d+/(\d\d)"
#: Most lines for columns that are left out for the same reason (ours).
MANY_LINES = 30
#: Characters of a proposed name (ours: a name may have 100, and the rest is for `_`).
_NAME_LENGTH = 90
#: Share of a column's values that makes a form its own (ours: a few titles lack their year).
_NEARLY_ALL = 0.9


@dataclass(frozen=True)
class FieldGuess:
    """How a column may become a field."""

    value: str
    """In TOML: the column, or a table."""
    note: str = ""
    """What to check in it."""
    comment: str = ""
    """A comment about a guess that needs no check."""
    left_out: str = ""
    """Why the line is commented out; empty if it is not."""
    is_category: bool = False
    """Whether the column is used as it is."""
    name: str = ""
    """Name of the field; empty: that of the column."""

    def line(self, name: str) -> str:
        """The line of the schema file."""
        check = self.left_out or self.note
        comment = f"{CHECK}: {check}" if check else f"# {self.comment}" if self.comment else ""
        return f"{'# ' if self.left_out else ''}{name} = {self.value}{'    ' if comment else ''}{comment}"


def toml_array(texts: Sequence[str]) -> str:
    """A list of strings in TOML."""
    return f"[{', '.join(map(toml_string, texts))}]"


def field_name(column: str, used: set[str]) -> str:
    """An unused field name for a column, which is added to `used`: lower-case letters, digits and `_`."""
    name = re.sub(r"[^a-z0-9]+", "_", without_type(column.lower())).strip("_")[:_NAME_LENGTH] or "field"
    name = name if name[0].isalpha() else f"f_{name}"
    name = f"{name}_" if name in RESERVED else name
    while name in used:
        name += "_"
    used.add(name)
    return name


def guess_fields(columns: Sequence[ColumnProfile], set_aside: Mapping[str, str]) -> dict[str, tuple[str, FieldGuess]]:
    """Field name and guess of each column, by the column's name.

    Args:
        columns: the columns.
        set_aside: why some of them, by their names, cannot be used.
    """
    used: set[str] = set()
    guesses = {}
    for column in columns:
        if column.name:
            reason = set_aside.get(column.name, "")
            guess = FieldGuess(toml_string(column.name), left_out=reason) if reason else guess_field(column)
            guesses[column.name] = (field_name(guess.name or column.name, used), guess)
    return guesses


def field_lines(columns: Sequence[ColumnProfile], set_aside: Mapping[str, str]) -> Iterator[str]:
    """A line for each column; one line for many that are left out for the same reason."""
    guesses = guess_fields(columns, set_aside)
    left_out: dict[str, list[str]] = {}
    for column, (_, guess) in guesses.items():
        left_out.setdefault(guess.left_out, []).append(column)
    for column, (name, guess) in guesses.items():
        same = left_out[guess.left_out]
        if not guess.left_out or len(same) <= MANY_LINES:
            yield guess.line(name)
        elif column == same[0]:
            yield f"# {len(same):,} columns, {column} to {same[-1]}, are left out    {CHECK}: {guess.left_out}"
    yield from unnamed_note(columns)


def left_out_fields(columns: Sequence[ColumnProfile], set_aside: Mapping[str, str]) -> list[tuple[str, str]]:
    """The columns that do not become fields, and why."""
    guesses = guess_fields(columns, set_aside)
    return [(column, guess.left_out) for column, (_, guess) in guesses.items() if guess.left_out]


def unnamed_note(columns: Sequence[ColumnProfile]) -> Iterator[str]:
    """A comment about columns without a name."""
    if any(not column.name for column in columns):
        yield "# A column without a name is left out."


def guess_field(column: ColumnProfile) -> FieldGuess:
    """How a column may become a field of users or items."""
    name = toml_string(column.name)
    if column.unusable:
        return FieldGuess(name, left_out=f"Parquet {column.unusable} cannot be a field")
    if not column.values:
        return FieldGuess(name, left_out="no values in the first rows")
    if column.lengths is not None:
        return _guess_list(column, column.max_values, "list = true", "")
    if all(value[0] in "[{" and value[-1] in "]}" for value in column.values):
        expression, most = _written_list(column)
        if not most:
            return FieldGuess(name, left_out="JSON objects" if not expression else "only empty lists")
        return _guess_list(column, most, f"extract_all = {toml_string(expression)}", "a list? ")
    if _has_years(column):
        return FieldGuess(f"{{column = {name}, extract = '{_YEAR}'}}", comment="the year at its end", name="year")
    quantiles = f"{{column = {name}, quantiles = {QUANTILES}}}"
    if column.is_time and column.distinct > FEW:
        return FieldGuess(quantiles, f"a time, in {QUANTILES} quantiles")
    if column.is_time:
        return FieldGuess(name, "a time, in seconds since 1970", is_category=True)
    if column.time_formats and "%y%m%d%H" not in column.time_formats[:1]:
        year = r"(\d{4})" if "%Y" in column.time_formats[0] else _SHORT_YEAR
        return FieldGuess(f"{{column = {name}, extract = '{year}'}}", "a date; only its year is used")
    if column.list_separator and not column.is_number:
        return _guess_list(column, column.max_values, f"separator = {toml_string(column.list_separator)}", "a list? ")
    if column.is_number and column.distinct > FEW and not _is_code(column):
        return FieldGuess(quantiles, f"a number, in {QUANTILES} quantiles")
    is_distinct = column.distinct > DISTINCT_MIN and column.distinct > DISTINCT_SHARE * len(column.values)
    if is_distinct and not column.is_whole and not _is_code(column):
        return FieldGuess(name, left_out="nearly all values are distinct: a poor category")
    note = 'strings; numbers with decimal = "," in this table' if column.has_decimal_comma else ""
    return FieldGuess(name, note, is_category=True)


def _written_list(column: ColumnProfile) -> tuple[str, int]:
    """The expression for the values of lists as JSON or Python writes them, and the most values in one."""
    if any("{" in value for value in column.values):
        return "", 0
    quote = next((quote for quote in "\"'" if any(quote in value for value in column.values)), "")
    expression = f"{quote}([^{quote}]*){quote}" if quote else r"([^\[\],\s]+)"
    return expression, max(len(set(re.findall(expression, value))) for value in column.values)


def _guess_list(column: ColumnProfile, most: int, keys: str, note: str) -> FieldGuess:
    room = min(max(2 * most, 2), LIST_LIMIT)
    value = f"{{column = {toml_string(column.name)}, {keys}, most = {room}}}"
    if most > LIST_LIMIT:
        reason = f"lists of up to {most:,} values, but at most {LIST_LIMIT:,} are allowed"
        return FieldGuess(value, left_out=reason)
    return FieldGuess(value, f"{note}room for twice as many values as in the first rows")


def _has_years(column: ColumnProfile) -> bool:
    """Whether nearly all values end in a year in parentheses, as film titles do."""
    years = [value for value in column.values if re.search(_YEAR, value)]
    return bool(years) and len(years) > _NEARLY_ALL * len(column.values)


def _is_code(column: ColumnProfile) -> bool:
    """Whether digits are a code, such as a postcode or an id, rather than a number."""
    name = letters(column.name)
    has_leading_zero = any(len(value) > 1 and value.startswith("0") and "." not in value for value in column.values)
    return has_leading_zero or "zip" in name or "postcode" in name or name.endswith(("id", "code"))
