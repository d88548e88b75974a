"""SQL that turns text columns into ids, times, labels and fields, and the checks that each row must pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pyarrow as pa

from mailcli.preprocessing.duckdb_sql import double, double_of, literal, sql_tuple
from mailcli.preprocessing.schema_file.definition import (
    COMPARISONS,
    TIME_LIMIT,
    UNITS,
    ColumnRef,
    FieldDefinition,
    RuleDefinition,
    TimeDefinition,
)
from mailcli.preprocessing.schema_file.folders import folder_value
from mailcli.preprocessing.schema_file.locate import LocatedFiles, missing_values
from mailcli.preprocessing.schema_file.parquet import is_list, is_number, is_time
from mailcli.preprocessing.schema_file.raw_file import Hint, RowCheck, rule_hint, time_hint
from mailcli.preprocessing.whole_numbers import exact_digits, without_zeros
from mailcli.utils.parsing import numbers_among

#: How Boolean values, which sql.py reads as digits, may be written.
_BOOLEANS = {"true": "1", "false": "0"}
#: What a text must be: datasets keep texts without NUL at their ends.
_NO_NUL = "text without the character NUL"


@dataclass
class TypedColumns:
    """The columns of one table, added one by one.

    Args:
        files: its files.
        integers: vocabularies whose values are whole numbers.
        joined: more files, joined to the rows of `files`.
    """

    files: LocatedFiles
    integers: frozenset[str]
    joined: LocatedFiles | None = None
    values: dict[str, str] = field(default_factory=dict)
    """SQL of each new column, by its name."""
    checks: list[RowCheck] = field(default_factory=list)

    @property
    def path(self) -> Path:
        """The first file."""
        return self.files.paths[0]

    def _raw(self, column: str) -> str:
        """A column of the files as text (or a list of texts), null where it is missing."""
        if column in self.files.header:
            number = self.files.header.index(column)
        elif self.joined and column in self.joined.header:
            number = len(self.files.header) + self.joined.header.index(column)
        else:
            assert column in self.files.folder_columns, column
            return folder_value(column, self.path, self.files.raw)
        return f'"#{number}"'

    def _parquet_type(self, column: str) -> pa.DataType | None:
        return {**(self.joined.types if self.joined else {}), **self.files.types}.get(column)

    def _element_type(self, column: str) -> pa.DataType | None:
        """The type of a Parquet column's values, or of their elements if they are lists."""
        data_type = self._parquet_type(column)
        return data_type.value_type if data_type is not None and is_list(data_type) else data_type

    def text(self, column: ColumnRef, holds_numbers: bool = False) -> str:
        """A value as text, null where it is missing.

        Args:
            column: the column.
            holds_numbers: whether its values are read as numbers.
        """
        text = self._unless_missing(column.name, self._raw(column.name), holds_numbers)
        if not column.extract:
            return text
        part = f"regexp_extract({text}, {literal(column.extract)}, 1)"
        return self._unless_missing(column.name, part, holds_numbers)

    def _unless_missing(self, column: str, text: str, holds_numbers: bool) -> str:
        """SQL for a text of a column, null where it stands for a missing value."""
        missing = missing_values(column, self.files, self.joined)
        is_given, numbers = f"{text} NOT IN {sql_tuple(missing)}", numbers_among(missing)
        data_type = self._element_type(column)
        if numbers and (holds_numbers or (data_type is not None and is_number(data_type))):
            # In a column of numbers, -1 may be written as -1.0 or -1.00: by us from Parquet, or by pandas.
            is_one = f"{self._number(column, text)} IN ({', '.join(map(double, numbers))})"
            is_given += f" AND NOT coalesce({is_one}, false)"
        return f"(CASE WHEN {is_given} THEN {text} END)"

    def _number(self, column: str, text: str) -> str:
        """SQL for a text of a column as a number, null where it is none."""
        is_joined = column not in self.files.header and self.joined and column in self.joined.header
        text_format = self.joined.format if self.joined and is_joined else self.files.format
        data_type = self._parquet_type(column)
        is_text = data_type is None or pa.types.is_string(data_type) or pa.types.is_large_string(data_type)
        if text_format.decimal == "," and is_text:
            # A point may group thousands there: 1.234 is not taken for a number at all.
            text = f"(CASE WHEN NOT contains({text}, '.') THEN replace({text}, ',', '.') END)"
        return double_of(text)

    def whole(self, column: str, text: str) -> str:
        """SQL for a text of a column; that of a whole number is without `.0`."""
        return without_zeros(text, exact_digits(self._element_type(column)))

    def add_key(self, name: str, column: ColumnRef) -> None:
        """The user or item, which is never missing."""
        text = self._add_id(name, name, column)
        expected = "a whole number" if name in self.integers else "a value"
        self._check(column, expected, f"{self._is_not_id(text, name)} OR {text} IS NULL")

    def _add_id(self, name: str, vocabulary: str, column: ColumnRef) -> str:
        """A column of ids; returns SQL for their texts."""
        text = self.text(column, holds_numbers=vocabulary in self.integers)
        if vocabulary in self.integers:
            text = self.whole(column.name, text)
            self.values[name] = f"try_cast({text} AS BIGINT)"
        else:
            self.values[name] = text
            self._check(column, _NO_NUL, f"coalesce(contains({text}, chr(0)), false)")
        return text

    def _check(self, column: ColumnRef, expected: str, is_wrong: str, hint: Hint | None = None) -> None:
        if column.extract:
            expected += f" in what extract = {literal(column.extract)} takes from it"
        self.checks.append(RowCheck((column.name,), expected, is_wrong, hint))

    def _is_not_id(self, text: str, vocabulary: str) -> str:
        """Whether a text should be a whole number and is not: casting it back and forth refuses '1.5' and '01'."""
        if vocabulary not in self.integers:
            return "false"
        return f"({text} IS NOT NULL AND coalesce(try_cast({text} AS BIGINT)::VARCHAR <> {text}, true))"

    def add_time(self, time: TimeDefinition) -> None:
        """The column `time`, in seconds since 1970."""
        text = self.text(time.column)
        data_type = self._parquet_type(time.column.name)
        if data_type is not None and is_time(data_type):
            is_local = pa.types.is_date(data_type) or data_type.tz is None
            value = f"(try_cast({text} AS BIGINT) - {time.offset if is_local else 0})"
            expected = "a time"
        elif time.format:
            moment = f"epoch_us(try_strptime({text}, {literal(time.format)}))"
            value = f"({moment} // 1000000 - {0 if time.zoned else time.offset})"
            expected = f"a time written as {time.format}"
        else:
            # Casting to a whole number would round: half a second before an impression would become its own second.
            floored = f"try_cast(floor({double_of(text)}) AS BIGINT)"
            is_whole = f"regexp_full_match({text}, '[0-9]+')"
            number = f"(CASE WHEN {is_whole} THEN try_cast({text} AS BIGINT) ELSE {floored} END)"
            value = f"({number} // {UNITS[time.unit]})"
            # DuckDB's whole numbers end before the limit in nanoseconds does, in the year 2262.
            largest = min(TIME_LIMIT * UNITS[time.unit], 1 << 63) - 1
            expected = f"a time in {time.unit} since 1970, from 0 to {largest}"
        is_wrong = f"coalesce({value} NOT BETWEEN 0 AND {TIME_LIMIT - 1}, true)"
        # Arithmetic with a huge number would overflow.
        self.values["time"] = f"(CASE WHEN NOT {is_wrong} THEN {value} END)"
        self._check(time.column, expected, is_wrong, partial(time_hint, time))

    def rule(self, rule: RuleDefinition) -> str:
        """A rule in SQL: true, false, or null and a fault where the column does not hold what it compares."""
        column = ColumnRef(rule.column)
        text = self.text(column)
        if rule.comparison == "one_of":
            # A missing value is none of them.
            return f"coalesce({self._is_one_of(rule, text)}, false)"
        number = self._number(rule.column, text)
        if rule.comparison:
            # DuckDB orders NaN above all numbers.
            number = f"(CASE WHEN isfinite({number}) THEN {number} END)"
            holds = f"({number} {COMPARISONS[rule.comparison]} {double(rule.number)})"
            self._check(column, "a number", f"{holds} IS NULL")
            return holds
        words = " ".join(f"WHEN '{word}' THEN {digit}" for word, digit in _BOOLEANS.items())
        value = f"coalesce(CASE lower({text}) {words} END, {number})"
        if_one, if_zero = ("true", "false") if rule.holds_if else ("false", "true")
        holds = f"(CASE {value} WHEN 1 THEN {if_one} WHEN 0 THEN {if_zero} END)"
        self._check(column, "0 or 1, true or false", f"{holds} IS NULL", partial(rule_hint, rule))
        return holds

    def _is_one_of(self, rule: RuleDefinition, text: str) -> str:
        """Whether a column holds one of the rule's values, in SQL; 1 is also 1.0, but the string "1" is not."""
        data_type, values = self._parquet_type(rule.column), tuple(map(str, rule.values))
        if data_type is not None and pa.types.is_boolean(data_type):
            values = tuple(_BOOLEANS.get(value.lower(), value) for value in values)
        whole = tuple(str(value) for value in rule.values if isinstance(value, int))
        if data_type is not None and (pa.types.is_floating(data_type) or pa.types.is_decimal(data_type)):
            # These texts are ours, not the file's.
            whole = values
        is_whole = f" OR {self.whole(rule.column, text)} IN {sql_tuple(whole)}" if whole else ""
        return f"({text} IN {sql_tuple(values)}{is_whole})"

    def add_field(self, field: FieldDefinition, edges: Sequence[float] = (), ordered: bool = False) -> None:
        """A field; a number without edges stays a number (a dense field, or one whose quantiles are not yet known)."""
        if field.kind == "list":
            self._add_list(field, ordered)
            return
        column = field.column
        if field.kind == "category":
            text = self._add_id(field.name, field.vocabulary, column)
            if field.vocabulary in self.integers:
                self._check(column, "a whole number or nothing", self._is_not_id(text, field.vocabulary))
            return
        text = self.text(column, holds_numbers=True)
        number = self._number(column.name, text)
        is_good, expected = f"isfinite({number})", "a number or nothing"
        if field.kind == "dense":
            is_good, expected = f"{is_good} AND {number} >= 0", "a number of 0 or more, or nothing"
        self._check(column, expected, f"({text} IS NOT NULL AND NOT coalesce({is_good}, false))")
        self.values[field.name] = bucket_sql(number, edges) if edges else number

    def _add_list(self, field: FieldDefinition, ordered: bool) -> None:
        """Several values; where their order means nothing, without missing and repeated ones."""
        column = field.column
        if field.separator:
            parts = f"string_split({self.text(column)}, {literal(field.separator)})"
        elif field.extract_all:
            parts = f"regexp_extract_all({self.text(column)}, {literal(field.extract_all)}, 1)"
        else:
            parts = self._raw(column.name)
        value = self._unless_missing(column.name, "trim(x)", field.vocabulary in self.integers)
        values = f"list_transform({parts}, lambda x: {value})"
        if field.vocabulary in self.integers:
            values = f"list_transform({values}, lambda x: {self.whole(column.name, 'x')})"
        # It drops nulls, too.
        values = values if ordered else f"list_distinct({values})"
        if field.vocabulary in self.integers:
            self.values[field.name] = f"list_transform({values}, lambda x: try_cast(x AS BIGINT))"
            is_not_whole = "x IS NOT NULL AND coalesce(try_cast(x AS BIGINT)::VARCHAR <> x, true)"
            not_whole = f"list_filter({values}, lambda x: {is_not_whole})"
            self._check(column, "whole numbers", f"coalesce(len({not_whole}) > 0, false)")
        else:
            self.values[field.name] = values
            with_nul = f"list_filter({values}, lambda x: contains(x, chr(0)))"
            self._check(column, _NO_NUL, f"coalesce(len({with_nul}) > 0, false)")
        if not ordered:
            expected = f"at most {field.max_values} values (most = {field.max_values})"
            self._check(column, expected, f"coalesce(len({values}) > {field.max_values}, false)")


def bucket_sql(number: str, edges: Sequence[float]) -> str:
    """The bucket of a number: how many of the edges it reaches."""
    ends = ", ".join(map(double, map(float, edges)))
    return f"(CASE WHEN {number} IS NOT NULL THEN len(list_filter([{ends}], lambda edge: {number} >= edge)) END)"
