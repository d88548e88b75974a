"""One table of a schema file as an SQL query."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from mailcli.preprocessing.duckdb_sql import identifier, literal, sql_tuple
from mailcli.preprocessing.extracted_tables import FILTERED
from mailcli.preprocessing.schema_file.definition import ColumnRef
from mailcli.preprocessing.schema_file.locate import LocatedFiles
from mailcli.preprocessing.schema_file.raw_file import SchemaRawFile
from mailcli.preprocessing.schema_file.sql import numbered, parquet_line, select_text
from mailcli.preprocessing.schema_file.typed_columns import TypedColumns
from mailcli.preprocessing.whole_numbers import exact_digits, without_zeros

#: A column with the text of another column; no field has a point in its name.
_TEXT = "file.text"


@dataclass
class SqlTable(TypedColumns):
    """The typed columns of one table, and the rows that belong to it.

    Args:
        on: the column shared with `joined`.
    """

    on: str = ""
    has_whole_keys: bool = False
    """Whether the shared columns are compared as whole numbers, 1.0 as 1; otherwise as texts."""
    conditions: list[str] = field(default_factory=list)
    """SQL; a row belongs to the table only if none of these is false. The others have the fault FILTERED."""

    @property
    def paths(self) -> tuple[Path, ...]:
        """All files that are read."""
        return self.files.paths + (self.joined.paths if self.joined else ())

    @property
    def raw_file(self) -> SchemaRawFile:
        """The table's files, which explain its faults."""
        return SchemaRawFile(self.files, self.checks, joined=self.joined.paths[0].name if self.joined else "")

    def sql(self, keep_lines: bool = False, keep_rejects: bool = True) -> str:
        """A query for the typed columns, `fault` and `line`.

        Args:
            keep_lines: whether every row has its `line`, not only a faulty one.
            keep_rejects: whether the engine keeps the lines that it cannot split, to report them in `write`.
        """
        values = ", ".join(f"{sql} AS {identifier(name)}" for name, sql in self.values.items())
        tests = [(f"({condition}) IS FALSE", FILTERED) for condition in self.conditions]
        tests += [(check.is_wrong, number) for number, check in enumerate(self.checks)]
        faults = " ".join(f"WHEN {test} THEN {number}" for test, number in tests)
        fault = f"(CASE {faults} END)::INTEGER" if faults else "NULL::INTEGER"
        line = self.line() if keep_lines else f"CASE WHEN fault >= 0 THEN {self.line()} END"
        names = ", ".join(map(self._unless_filtered, self.values))
        return (
            f'SELECT {names}, fault, {line} AS line, "#file" FROM '
            f"(SELECT *, {values}, {fault} AS fault FROM ({self._source(keep_rejects)}))"
        )

    def _unless_filtered(self, name: str) -> str:
        """SQL for a column; without values where these would only take up space."""
        column = identifier(name)
        return (
            f"CASE WHEN fault IS DISTINCT FROM {FILTERED} THEN {column} END AS {column}" if self.conditions else column
        )

    def text_range(self, column: ColumnRef, value: str) -> str:
        """A query for the `least` and the `greatest` text of a column in the rows that can be used.

        And for whether a value, in SQL, is the same in all of them.
        """
        with_text = replace(self, values={**self.values, _TEXT: self.text(column)})
        text = identifier(_TEXT)
        rows = f"({with_text.sql(keep_rejects=False)}) WHERE fault IS NULL"
        is_constant = f"min({value}) IS NOT DISTINCT FROM max({value})"
        ends = f"min({text}::VARCHAR) AS least, max({text}::VARCHAR) AS greatest"
        return f"SELECT {ends}, {is_constant} AS constant FROM {rows}"

    def _source(self, keep_rejects: bool) -> str:
        """The columns of the files, and of the joined ones, as text."""
        rows = select_text(self.files, 0, keep_rejects)
        if self.joined is None:
            return rows
        count = len(self.files.header)
        own_key, key = self._keys()
        columns = [f'"#{count + number}"' for number in self.joined.numbers]
        # With several rows for one value, each row of the table would be repeated.
        joined = (
            f"SELECT *, {key} AS key FROM ({select_text(self.joined, count, False)}) "
            f"QUALIFY row_number() OVER (PARTITION BY {key} ORDER BY {', '.join(columns)}) = 1"
        )
        names = ", ".join(f"b.{column}" for column in columns)
        return f"SELECT a.*, {names} FROM ({rows}) a LEFT JOIN ({joined}) b ON {own_key} = b.key"

    def _keys(self) -> tuple[str, str]:
        """SQL for the shared column in the files and in the joined ones, null where it is missing."""
        assert self.joined is not None
        return self._key(self.files, 0), self._key(self.joined, len(self.files.header))

    def _key(self, files: LocatedFiles, first: int) -> str:
        """The shared column of files whose columns are numbered from `first`; null equals nothing."""
        key = f'"#{first + files.header.index(self.on)}"'
        key = f"(CASE WHEN {key} NOT IN {sql_tuple(files.format.missing)} THEN {key} END)"
        return without_zeros(key, exact_digits(files.types.get(self.on))) if self.has_whole_keys else key

    def key_counts(self) -> str:
        """A query for the shared column's link: `count`, `missing`, `example` and `target_example`, as in Link."""
        assert self.joined is not None
        own_key, key = self._keys()
        own_rows = select_text(self.files, 0, False)
        joined_rows = select_text(self.joined, len(self.files.header), False)
        own = f"SELECT DISTINCT {own_key} AS key FROM ({own_rows}) WHERE {own_key} IS NOT NULL"
        other = f"SELECT DISTINCT {key} AS key FROM ({joined_rows}) WHERE {key} IS NOT NULL"
        return (
            "SELECT count(*) AS count, count(*) FILTER (b.key IS NULL) AS missing, "
            "min(a.key) FILTER (b.key IS NULL) AS example, "
            f"(SELECT min(key) FROM ({other})) AS target_example FROM ({own}) a LEFT JOIN ({other}) b ON a.key = b.key"
        )

    def line(self) -> str:
        """SQL for the text of the columns read: as in the file, except for needless quotes; for Parquet, JSON."""
        if self.files.parquet:
            return parquet_line(self.files)
        separator, quote = self.files.format.separator, self.files.format.quote
        cells = f"[{', '.join(numbered(self.files).values())}]"
        cell = "coalesce(cell, '')"
        if quote:
            needs_quotes = " OR ".join(
                f"contains({cell}, {literal(special)})" for special in (separator, quote, "\n", "\r")
            )
            doubled = f"replace({cell}, {literal(quote)}, {literal(quote * 2)})"
            quoted = f"{literal(quote)} || {doubled} || {literal(quote)}"
            cell = f"CASE WHEN {needs_quotes} THEN {quoted} ELSE {cell} END"
        # One expression per cell would take DuckDB minutes in a file of thousands of columns.
        return f"array_to_string(list_transform({cells}, lambda cell: {cell}), {literal(separator)})"
