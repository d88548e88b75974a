"""The lines of a proposed schema file that make fields of columns."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import tomli_w

from mailcli.preprocessing.schema_file.read_fields import RESERVED
from mailcli.preprocessing.schema_init.column_profile import Profile

#: What is written behind whatever was guessed.
CHECK = "# check this"
#: Numbers with more different values than this are cut into quantiles (ours).
FEW, PARTS = 30, 8
#: Texts of which more than this share differ tell rows apart, not kinds of them (ours).
NAMES_SHARE, NAMES_LEAST = 0.8, 20
#: The most values that a schema file may give a list room for.
MOST_ROOM = 1000


@dataclass(frozen=True)
class Guess:
    """How a column may be a field."""

    value: str
    """In TOML: the column, or a table."""
    note: str = ""
    """The comment behind it."""
    used: bool = True
    """False: the line is commented out."""
    plain: bool = False
    """Whether it is categorical: the column as it is."""
    name: str = ""
    """What to call it; empty: as the column."""

    def line(self, name: str) -> str:
        """The line of the schema file."""
        return f"{'' if self.used else '# '}{name} = {self.value}{'    ' if self.note else ''}{self.note}"


def toml_string(text: str) -> str:
    """A text as TOML has it."""
    return tomli_w.dumps({"a": text}).removeprefix("a = ").rstrip("\n")


def array(texts: Sequence[str]) -> str:
    """A list of texts as TOML has it."""
    return f"[{', '.join(map(toml_string, texts))}]"


def field_name(name: str, used: set[str]) -> str:
    """A field's name for a column's, which is then one of those used: lower-case letters, digits and `_`."""
    name = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")[:90] or "field"
    name = name if name[0].isalpha() else f"f_{name}"
    name = f"{name}_" if name in RESERVED else name
    while name in used:
        name += "_"
    used.add(name)
    return name


def guesses(columns: Sequence[Profile]) -> dict[str, tuple[str, Guess]]:
    """The fields that columns may be: by the column's name, the field's name and its line."""
    used: set[str] = set()
    found = {}
    for column in columns:
        if column.name:
            guess = guess_field(column)
            found[column.name] = (field_name(guess.name or column.name, used), guess)
    return found


def field_lines(columns: Sequence[Profile]) -> Iterator[str]:
    """A line for each column."""
    yield from (guess.line(name) for name, guess in guesses(columns).values())
    yield from nameless(columns)


def nameless(columns: Sequence[Profile]) -> Iterator[str]:
    """What is said of a column that has no name."""
    if any(not column.name for column in columns):
        yield "# A column without a name is left out."


def guess_field(column: Profile) -> Guess:
    """How a column may be a field of users or items."""
    name = toml_string(column.name)
    differ = column.distinct > NAMES_LEAST and column.distinct > NAMES_SHARE * len(column.values)
    if column.unfit:
        return Guess(name, f"{CHECK}: {column.unfit} of Parquet cannot be a field", used=False)
    if not column.values:
        return Guess(name, f"{CHECK}: no value in the first rows", used=False)
    if column.lengths is not None:
        return _list(column, "list = true", "")
    if _has_years(column):
        return Guess(f"{{column = {name}, extract = '\\((\\d{{4}})\\)\\s*$'}}", "# at its end", name="year")
    if column.is_time and column.distinct > FEW:
        return Guess(f"{{column = {name}, quantiles = {PARTS}}}", f"{CHECK}: a time, cut into {PARTS} parts")
    if column.is_time:
        return Guess(name, f"{CHECK}: a time, by its seconds since 1970", plain=True)
    if column.time_formats:
        return Guess(f"{{column = {name}, extract = '(\\d{{4}})'}}", f"{CHECK}: a date, of which the year is taken")
    if column.list_separator and not column.number:
        return _list(column, f"separator = {toml_string(column.list_separator)}", "a list? ")
    if column.number and column.distinct > FEW and not _is_code(column):
        return Guess(f"{{column = {name}, quantiles = {PARTS}}}", f"{CHECK}: a number, cut into {PARTS} parts")
    if differ and not column.whole and not _is_code(column):
        return Guess(name, f"{CHECK}: nearly every value is another, so it tells no kinds apart", used=False)
    note = f"{CHECK}: texts, as numbers with a comma for a point are no numbers here" if column.decimal_comma else ""
    return Guess(name, note, plain=True)


def _list(column: Profile, how: str, note: str) -> Guess:
    room = min(max(2 * column.most, 1), MOST_ROOM)
    value = f"{{column = {toml_string(column.name)}, {how}, most = {room}}}"
    if column.most > MOST_ROOM:
        return Guess(value, f"{CHECK}: lists of up to {column.most:,} values, {MOST_ROOM:,} at most may be", used=False)
    return Guess(value, f"{CHECK}: {note}room for twice the values of the first rows")


def _has_years(column: Profile) -> bool:
    """Whether nearly all values end in a year in brackets, as titles of films do."""
    years = [value for value in column.values if re.search(r"\((\d{4})\)\s*$", value)]
    return bool(years) and len(years) > 0.9 * len(column.values)


def _is_code(column: Profile) -> bool:
    """Whether digits are a code, such as a postcode or an id, and no number."""
    plain = re.sub(r"[^a-z]", "", column.name.lower())
    leading = any(len(value) > 1 and value.startswith("0") and "." not in value for value in column.values)
    return leading or plain.endswith("id") or "zip" in plain or "postcode" in plain or plain.endswith("code")
