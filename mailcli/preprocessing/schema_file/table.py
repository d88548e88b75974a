"""A table of a schema file in SQL: its columns typed, and what makes a row unusable."""

from __future__ import annotations

import csv
import io
import json
import zlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pyarrow as pa

from mailcli.errors import MAX_QUOTED
from mailcli.preprocessing.csv_file import damaged
from mailcli.preprocessing.engines.duckdb import identifier, literal
from mailcli.preprocessing.schema_file.definition import COMPARISONS, LATEST, UNITS, FieldMap, Place, RuleMap, TimeMap
from mailcli.preprocessing.schema_file.locate import Located, open_text
from mailcli.preprocessing.schema_file.row_checks import Check, as_told, rule_tip, time_tip
from mailcli.preprocessing.schema_file.sql import scan

#: How the truth values that Parquet's are read as may be written.
_TRUTH = {"true": "1", "false": "0"}


def _list(texts: Sequence[str]) -> str:
    return f"({', '.join(map(literal, texts))})"


@dataclass
class MappedTable:
    """The columns of one table, made one by one; it explains rows that cannot be used, as a CsvFile does.

    Args:
        located: its files.
        joined: further files, with a row per value of the column `on`.
        integers: vocabularies whose values are whole numbers.
    """

    located: Located
    integers: frozenset[str]
    joined: Located | None = None
    on: str = ""
    values: dict[str, str] = field(default_factory=dict)
    """SQL by the name of the column made."""
    checks: list[Check] = field(default_factory=list)
    conditions: list[str] = field(default_factory=list)
    """Rows of which one of these is false are not of the table."""

    @property
    def path(self) -> Path:
        """The first file."""
        return self.located.paths[0]

    # What becomes of columns

    def _base(self, column: str) -> str:
        """A column of the files as a text (or a list of texts), null where the value is missing."""
        if column in self.located.header:
            place = self.located.header.index(column)
        else:
            assert self.joined is not None
            place = len(self.located.header) + self.joined.header.index(column)
        return f'"#{place}"'

    def _type(self, column: str) -> pa.DataType | None:
        return {**(self.joined.types if self.joined else {}), **self.located.types}.get(column)

    def text(self, place: Place) -> str:
        """A value as a text, null where it is missing."""
        text = self._base(place.column)
        if place.extract:
            text = f"regexp_extract({text}, {literal(place.extract)}, 1)"
        return f"(CASE WHEN {text} NOT IN {_list(self.located.form.missing)} THEN {text} END)"

    def key(self, name: str, place: Place) -> None:
        """The user or item: never missing."""
        text = self.text(place)
        self.values[name] = self._id(text, name)
        whole = name in self.integers
        self.checks.append(
            Check(
                (place.column,),
                "a whole number" if whole else "a text",
                f"{self._not_id(text, name)} OR {text} IS NULL",
            )
        )

    def _id(self, text: str, vocabulary: str) -> str:
        return f"try_cast({text} AS BIGINT)" if vocabulary in self.integers else text

    def _not_id(self, text: str, vocabulary: str) -> str:
        """Whether a text is no whole number where one is asked for: the round trip refuses '1.0' and '01'."""
        if vocabulary not in self.integers:
            return "false"
        return f"({text} IS NOT NULL AND coalesce(try_cast({text} AS BIGINT)::VARCHAR <> {text}, true))"

    def time(self, time: TimeMap) -> None:
        """Seconds since 1970."""
        text = self.text(time.place)
        kind = self._type(time.place.column)
        if kind is not None and (pa.types.is_timestamp(kind) or pa.types.is_date(kind)):
            local = pa.types.is_date(kind) or kind.tz is None
            value = f"(try_cast({text} AS BIGINT) - {time.offset if local else 0})"
            expected = "a time"
        elif time.format:
            moment = f"epoch_us(try_strptime({text}, {literal(time.format)}))"
            value = f"({moment} // 1000000 - {0 if time.zoned else time.offset})"
            expected = f"a time written as {time.format}"
        else:
            # A cast to whole numbers would round: half a second before an impression would be its own second.
            floored = f"try_cast(floor(try_cast({text} AS DOUBLE)) AS BIGINT)"
            whole = f"regexp_full_match({text}, '[0-9]+')"
            number = f"(CASE WHEN {whole} THEN try_cast({text} AS BIGINT) ELSE {floored} END)"
            value = f"({number} // {UNITS[time.unit]})"
            expected = f"a time in {time.unit} since 1970, from 0 to {LATEST * UNITS[time.unit] - 1}"
        wrong = f"coalesce({value} NOT BETWEEN 0 AND {LATEST - 1}, true)"
        # Arithmetic with an absurd number would overflow.
        self.values["time"] = f"(CASE WHEN NOT {wrong} THEN {value} END)"
        self.checks.append(Check((time.place.column,), expected, wrong, partial(time_tip, time)))

    def rule(self, rule: RuleMap) -> str:
        """A rule in SQL: true, false, or null and a fault where the column does not hold what it compares."""
        text = self.text(Place(rule.column))
        if rule.comparison == "one_of":
            kind, texts = self._type(rule.column), rule.texts
            if kind is not None and pa.types.is_boolean(kind):
                texts = tuple(_TRUTH.get(each.lower(), each) for each in texts)
            # A missing value is none of them.
            return f"coalesce({text} IN {_list(texts)}, false)"
        number = f"try_cast({text} AS DOUBLE)"
        if rule.comparison:
            holds = f"({number} {COMPARISONS[rule.comparison]} {rule.number!r})"
            self.checks.append(Check((rule.column,), rule.expected, f"{holds} IS NULL"))
            return holds
        words = " ".join(f"WHEN '{word}' THEN {number}" for word, number in _TRUTH.items())
        value = f"coalesce(CASE lower({text}) {words} END, {number})"
        yes, no = ("true", "false") if rule.holds else ("false", "true")
        holds = f"(CASE {value} WHEN 1 THEN {yes} WHEN 0 THEN {no} END)"
        self.checks.append(Check((rule.column,), rule.expected, f"{holds} IS NULL", partial(rule_tip, rule)))
        return holds

    def field(self, each: FieldMap, edges: Sequence[float] = (), ordered: bool = False) -> None:
        """A field; a number without edges stays a number (that of a dense field, or one to find quantiles of)."""
        columns = (each.place.column,)
        if each.kind == "list":
            self._list_field(each, ordered)
            return
        text = self.text(each.place)
        if each.kind == "category":
            self.values[each.name] = self._id(text, each.vocabulary)
            if each.vocabulary in self.integers:
                self.checks.append(Check(columns, "a whole number or nothing", self._not_id(text, each.vocabulary)))
            return
        number = f"try_cast({text} AS DOUBLE)"
        wrong = f"({text} IS NOT NULL AND NOT coalesce(isfinite({number}), false))"
        self.checks.append(Check(columns, "a number or nothing", wrong))
        ends = ", ".join(map(repr, map(float, edges)))
        bucket = f"len(list_filter([{ends}], lambda edge: {number} >= edge))"
        self.values[each.name] = f"(CASE WHEN {number} IS NOT NULL THEN {bucket} END)" if edges else number

    def _list_field(self, each: FieldMap, ordered: bool) -> None:
        """Several values; missing ones are left out, and so are second ones where order means nothing."""
        text = self._base(each.place.column)
        if each.separator:
            found = f"string_split({self.text(each.place)}, {literal(each.separator)})"
        elif each.extract_all:
            found = f"regexp_extract_all({text}, {literal(each.extract_all)}, 1)"
        else:
            found = text
        missing = _list(self.located.form.missing)
        kept = f"list_filter(list_transform({found}, lambda x: trim(x)), lambda x: x NOT IN {missing})"
        kept = kept if ordered else f"list_distinct({kept})"
        columns = (each.place.column,)
        if each.vocabulary in self.integers:
            self.values[each.name] = f"list_transform({kept}, lambda x: try_cast(x AS BIGINT))"
            wrong = f"len(list_filter({kept}, lambda x: coalesce(try_cast(x AS BIGINT)::VARCHAR <> x, true))) > 0"
            self.checks.append(Check(columns, "whole numbers", f"coalesce({wrong}, false)"))
        else:
            self.values[each.name] = kept
        if not ordered:
            self.checks.append(
                Check(
                    columns,
                    f"at most {each.most} values (most = {each.most})",
                    f"coalesce(len({kept}) > {each.most}, false)",
                )
            )

    # The whole

    def sql(self, keep_lines: bool = False, tell: bool = True) -> str:
        """The table: the columns made, `fault` and `line`.

        Args:
            keep_lines: whether `line` is wanted for every row.
            tell: whether lines that cannot be split are kept aside for the engine's `write` to tell of.
        """
        made = ", ".join(f"{sql} AS {identifier(name)}" for name, sql in self.values.items())
        faults = " ".join(f"WHEN {check.wrong} THEN {number}" for number, check in enumerate(self.checks))
        fault = f"(CASE {faults} END)::INTEGER" if faults else "NULL::INTEGER"
        line = self.line()
        line = line if keep_lines else f"CASE WHEN fault IS NOT NULL THEN {line} END"
        names = ", ".join(map(identifier, self.values))
        kept = " AND ".join(f"({condition}) IS NOT FALSE" for condition in self.conditions) or "true"
        return (
            f'SELECT {names}, fault, {line} AS line, "#file" FROM '
            f"(SELECT *, {made}, {fault} AS fault FROM ({self._scan(tell)}) WHERE {kept})"
        )

    def _scan(self, tell: bool) -> str:
        own = scan(self.located, 0, tell)
        if self.joined is None:
            return own
        key = f'"#{len(self.located.header) + self.joined.header.index(self.on)}"'
        others = scan(self.joined, len(self.located.header), False)
        places = [f'"#{len(self.located.header) + place}"' for place in range(len(self.joined.header))]
        # A value that has several rows would make several of each row.
        once = (
            f"SELECT * FROM ({others}) QUALIFY row_number() OVER (PARTITION BY {key} ORDER BY {', '.join(places)}) = 1"
        )
        columns = ", ".join(f"b.{place}" for place in places)
        on = f'a."#{self.located.header.index(self.on)}" = b.{key}'
        return f"SELECT a.*, {columns} FROM ({own}) a LEFT JOIN ({once}) b ON {on}"

    def line(self) -> str:
        """The text of a row: as it is in the file, up to quotes that are not needed; of Parquet, as JSON."""
        if self.located.parquet:
            pairs = (f'{literal(name)}, "#{place}"' for place, name in enumerate(self.located.header))
            return f"json_object({', '.join(pairs)})::VARCHAR"
        form = self.located.form
        cells = []
        for place in range(len(self.located.header)):
            cell = f"coalesce(\"#{place}\", '')"
            if form.quote:
                special = [form.separator, form.quote, "\n", "\r"]
                needs = " OR ".join(f"contains({cell}, {literal(each)})" for each in special)
                quote = literal(form.quote)
                doubled = f"replace({cell}, {quote}, {literal(form.quote * 2)})"
                cell = f"CASE WHEN {needs} THEN {quote} || {doubled} || {quote} ELSE {cell} END"
            cells.append(cell)
        return f"concat_ws({literal(form.separator)}, {', '.join(cells)})"

    # What is wrong with a row, as a CsvFile tells it

    def expected(self, fault: int) -> str:
        """What rows with a fault should have held, in a few words."""
        if fault == len(self.checks):
            return f"{len(self.located.header)} fields of {self.located.form.encoding} text"
        check = self.checks[fault]
        return f"{', '.join(check.columns)}: {check.expected}"

    def explain(self, fault: int, line: str) -> str:
        """What is wrong with a row: what was found, and what was expected."""
        cells = self._cells(line)
        if fault == len(self.checks) or cells is None:
            found = 0 if cells is None else len(cells)
            count = len(self.located.header)
            if found == count:
                encoding = self.located.form.encoding
                tip = '; or encoding = "latin-1", which reads any bytes' if encoding == "utf-8" else ""
                return f"is not {encoding} text with whole quotes. Expected such text{tip}"
            return f"has {found} fields. Expected {count}: {','.join(self.located.header)}"
        check = self.checks[fault]
        held = dict(zip(self.located.header, cells, strict=False))
        found_ = ", ".join(
            f"column '{name}' holds {held[name][:MAX_QUOTED]!r}"
            if name in held
            else f"joined column '{name}' holds another"
            for name in check.columns
        )
        tip = check.tip(held.get(check.columns[0], "")) if check.tip else ""
        return f"{found_}. Expected {check.expected}{tip}"

    def _cells(self, line: str) -> list[str] | None:
        if self.located.parquet:
            return ["" if value is None else str(value) for value in json.loads(line).values()]
        form = self.located.form
        try:
            if not form.quote:
                return line.split(form.separator)
            return next(csv.reader(io.StringIO(line, newline=""), delimiter=form.separator, quotechar=form.quote), [])
        except csv.Error:
            return None

    def broken(self, lines: Sequence[str]) -> pa.Table:
        """`fault` and `line` of lines that the engine could not split."""
        texts = [line.strip("\r\n") for line in lines]
        return pa.table(
            {"fault": pa.array([len(self.checks)] * len(texts), pa.int32()), "line": pa.array(texts, pa.string())}
        )

    def scattered(self, folder: Path, count: int) -> None:
        """No look at rows from all over the file: its first lines were looked at when it was found."""
        del folder, count

    def check_whole(self) -> None:
        """Read .gz files to their end (MailError): of one that is damaged, rows look wrong that are not."""
        if any(path.suffix == ".gz" for path in self.located.paths):
            self.first_of(())

    def first_of(self, lines: Collection[str]) -> tuple[str, str] | None:
        """Place and text of the first line that is among `lines`; None of Parquet, or where a row spans lines."""
        if self.located.parquet:
            return None
        wanted, encoding = set(lines), self.located.form.encoding
        errors = "surrogateescape" if encoding == "utf-8" else "replace"
        for path in self.located.paths:
            try:
                with open_text(path, encoding, errors) as file:
                    for number, text in enumerate(file, start=1):
                        line = text.rstrip("\r\n")
                        line = line if line in wanted else as_told(line, wanted)
                        if line in wanted and (number > 1 or not self.located.has_header):
                            return f"{path}, line {number}", line
            except (OSError, EOFError, zlib.error) as error:
                raise damaged(path, error) from error
        return None
