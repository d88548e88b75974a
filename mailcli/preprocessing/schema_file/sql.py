"""Files in DuckDB's SQL: all their columns as texts."""

from __future__ import annotations

import glob

import pyarrow as pa

from mailcli.preprocessing.engines.duckdb import identifier, literal
from mailcli.preprocessing.schema_file.locate import Located, is_list

#: Bytes of the longest line (ours: lists of thousands of behaviors fit).
MAX_LINE = 4 << 20


def scan(located: Located, first: int, tell: bool) -> str:
    """All columns of a table's files in SQL, as texts `#0`, `#1`, ... (from `first` on) and `#file`, the path."""
    paths = f"[{', '.join(literal(glob.escape(str(path))) for path in located.paths)}]"
    places = [f"#{first + place}" for place in range(len(located.header))]
    if located.parquet:
        # By place, because DuckDB takes `a` and `A` for one name.
        columns = (
            f"{_as_text(identifier(place), located.types[name])} AS {identifier(place)}"
            for name, place in zip(located.header, places, strict=True)
        )
        source = f"read_parquet({paths}, hive_partitioning = false, filename = '#file')"
        names = ", ".join(map(identifier, [*places, "#file"]))
        return f'SELECT {", ".join(columns)}, "#file" FROM {source} AS t({names})'
    form = located.form
    types = ", ".join(f"{literal(place)}: 'VARCHAR'" for place in places)
    return (
        f"SELECT * FROM read_csv({paths}, auto_detect = false, header = {str(located.has_header).lower()}, "
        f"delim = {literal(form.separator)}, quote = {literal(form.quote)}, escape = {literal(form.quote)}, "
        f"encoding = {literal(form.encoding)}, columns = {{{types}}}, ignore_errors = true, "
        # A field that is not there is null, an empty one is not: the text that stands for null is in no file.
        f"store_rejects = {str(tell).lower()}, nullstr = {literal(chr(1))}, max_line_size = {MAX_LINE}, "
        "hive_partitioning = false, filename = '#file')"
    )


def _as_text(column: str, kind: pa.DataType) -> str:
    """A column of Parquet as a text or a list of texts; truth values as 0 and 1, times as seconds, NaN as missing."""
    if is_list(kind):
        numbers = pa.types.is_floating(kind.value_type)
        return f"list_filter({column}, lambda x: NOT isnan(x))::VARCHAR[]" if numbers else f"{column}::VARCHAR[]"
    if pa.types.is_floating(kind):
        return f"(CASE WHEN NOT isnan({column}) THEN {column} END)::VARCHAR"
    if pa.types.is_boolean(kind):
        return f"{column}::INTEGER::VARCHAR"
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        instant = column if pa.types.is_timestamp(kind) and kind.tz else f"{column}::TIMESTAMP"
        return f"(epoch_us({instant}) // 1000000)::VARCHAR"
    return f"{column}::VARCHAR"
