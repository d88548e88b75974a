"""Text files as other programs write them: separators, encodings, quotes, compression."""

from __future__ import annotations

import csv
import gzip
import io
import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mailcli.errors import MailError
from mailcli.preprocessing.engines.duckdb import Engine
from mailcli.preprocessing.schema_file.definition import ColumnRef, TableFiles, TextFormat
from mailcli.preprocessing.schema_file.locate import locate
from mailcli.preprocessing.schema_file.table import SqlTable
from mailcli.preprocessing.sources._base import TABLES
from tests.helpers.schema_files import (
    FILES,
    SCHEMA,
    edited,
    make_dataset,
    raw_rows,
    run_mail,
    values_by_user,
    write_files,
)

LOG = {
    "users.txt": "user_id,city\n1,Rome\n2,Oslo\n",
    "log.txt": "user_id,item_id,timestamp,click\n1,7,1700000000,1\n2,8,1700000001,0\n",
}


def test_whole_numbers_are_written_plainly(tmp_path: Path) -> None:
    schema = 'integers = ["page"]\n' + SCHEMA
    text = "who,sku,at,clicked,page\nann,x1,200,1,7\nann,x2,300,0,\nann,x1,310,0,07\nann,x1,2000,1,7\nann,x1,2001,0,8\n"
    text += "ann,x1,3000,1,7\nann,x1,3001,0,7\n"
    rows = raw_rows(tmp_path, schema, {**FILES, "shown.csv": text})
    assert [row["page"] for row in rows if row["fault"] is None] == [7, 7, 8, None, 7, 7]
    assert [row["line"] for row in rows if row["fault"] is not None] == ["ann,x1,310,0,07"]


def test_whole_numbers_may_be_written_as_floats(tmp_path: Path) -> None:
    """As pandas writes a column with gaps."""
    schema = 'integers = ["page"]\n' + SCHEMA
    pages = ["7.0", "7", "", "-3.00", "1.5", "07.0", "123456789012345.0", "1234567890123456.0"]
    text = "who,sku,at,clicked,page\n" + "".join(f"ann,x1,{time},1,{page}\n" for time, page in enumerate(pages))
    rows = raw_rows(tmp_path, schema, {**FILES, "shown.csv": text})
    assert [row["page"] for row in rows if row["fault"] is None] == [7, 7, None, -3, 123456789012345]
    assert [row["line"] for row in rows if row["fault"] is not None] == [
        "ann,x1,4,1,1.5",
        "ann,x1,5,1,07.0",
        "ann,x1,7,1,1234567890123456.0",
    ]


def test_whole_numbers_in_lists_may_be_written_as_floats(tmp_path: Path) -> None:
    schema = 'integers = ["hobbies"]\n' + SCHEMA
    text = "id,city,hobbies,age,income\nann,Rome,1.0|1|2,17,10\nbob,Rome,3|x,17,10\n"
    users = {row["user"]: row for row in raw_rows(tmp_path, schema, {**FILES, "users.csv": text}, "users")}
    assert sorted(users["ann"]["hobbies"]) == [1, 2]
    assert {user: row["fault"] is None for user, row in users.items()} == {"ann": True, "bob": False}


def test_values_that_are_whole_numbers_may_be_written_as_floats(tmp_path: Path) -> None:
    """Values of rules, actions and splits; a string is only itself."""
    log = "who,at,what,kind\n" + "".join(f"ann,{n},{what},hat\n" for n, what in enumerate(["1", "2.0", "1.0", "2.5"]))
    schema = edited(('values = ["view", "buy"]', "values = [1, 2]"))
    actions = raw_rows(tmp_path, schema, {**FILES, "log-1.csv": log, "log-2.csv": log}, "behaviors")
    assert sorted(str(row["action"]) for row in actions) == ["0", "0", "0", "0", "1", "1", "None", "None"]
    for rule, clicks in (
        ("equals = 1", [1, 1, 0, 0]),
        ('equals = "1"', [1, 0, 0, 0]),
        ("one_of = [1, 2]", [1, 1, 1, 0]),
    ):
        shown = "who,sku,at,clicked,page\n"
        shown += "".join(f"ann,x1,{n},{label},p\n" for n, label in enumerate(["1", "1.0", "2.0", ""]))
        schema = edited(('click = "clicked"', f'click = {{column = "clicked", {rule}}}'))
        rows = raw_rows(tmp_path, schema, {**FILES, "shown.csv": shown})
        assert [row["click"] for row in rows] == clicks
    by_column = 'by = "column"\ncolumn = "clicked"\ntrain = [0]\nvalidation = [1]\ntest = [2]\n'
    schema = SCHEMA[: SCHEMA.index("by = ")] + by_column
    schema = schema.replace('click = "clicked"', 'click = {column = "who", equals = "ann"}')
    shown = "who,sku,at,clicked,page\n" + "".join(f"ann,x1,{n},{n}.0,p\n" for n in range(4))
    rows = raw_rows(tmp_path, schema, {**FILES, "shown.csv": shown})
    assert [row["split"] for row in rows if row["fault"] is None] == [0, 1, 2]


def test_rows_that_span_lines_are_rows(tmp_path: Path) -> None:
    files = {**FILES, "users.csv": FILES["users.csv"].replace('"Paris, TX"', '"Paris\nTX ""south"""')}
    users = raw_rows(tmp_path, SCHEMA, files, "users")
    assert {row["user"]: row["city"] for row in users}["bob"] == 'Paris\nTX "south"'


CELL = st.text(st.sampled_from(["a", "B", "7", " ", "é", "|", ";", ",", ":", "'", '"', "\\", "-"]), max_size=5)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(st.text(st.sampled_from("abXY9"), min_size=1, max_size=4), CELL, CELL), min_size=1, max_size=8),
    st.sampled_from([",", ";", "|", "\t", "::", "\x01", "\x02"]),
    st.sampled_from(["utf-8", "latin-1", "utf-16"]),
    st.booleans(),
)
def test_what_was_written_is_read(
    tmp_path: Path, rows: list[tuple[str, str, str]], separator: str, encoding: str, headed: bool
) -> None:
    """Any separator and encoding, with or without a header: the same cells as Python's csv module wrote."""
    names = ("key", "a", "b")
    lines = [names, *rows] if headed else rows
    if len(separator) > 1:
        # Without quotes no value can contain the separator, nor begin or end with a part of it.
        rows = [tuple(cell.replace(":", "") for cell in row) for row in rows]  # type: ignore[misc]
        lines = [names, *rows] if headed else rows
        text = "".join(separator.join(row) + "\n" for row in lines)
    else:
        out = io.StringIO()
        csv.writer(out, delimiter=separator, lineterminator="\n").writerows(lines)
        text = out.getvalue()
    (tmp_path / "f.csv").write_bytes(text.encode(encoding))
    quote = '"' if len(separator) == 1 else ""
    files = TableFiles("users", ("f.csv",), () if headed else names, TextFormat(separator, encoding, quote))
    faults: list[str] = []
    located = locate(files, tmp_path, faults)
    assert located is not None, faults
    table = SqlTable(located, frozenset())
    for name in names:
        table.values[name] = table.text(ColumnRef(name))
    with Engine(tmp_path / "spill", 10**9, 1, None) as engine:
        columns = engine.collect(engine.sql(table.sql(), located.paths[0]))
    assert sorted(zip(*(columns[name].to_pylist() for name in names), strict=True), key=repr) == sorted(
        ((key, a or None, b or None) for key, a, b in rows), key=repr
    )
    assert set(columns["fault"].to_pylist()) == {None}


def test_files_may_be_packed_and_in_folders(tmp_path: Path) -> None:
    write_files(tmp_path / "raw" / "day=1", {"log-1.csv": FILES["log-1.csv"]})
    write_files(tmp_path / "raw" / "day=2", {"log-1.csv": FILES["log-2.csv"]})
    files = {name: text for name, text in FILES.items() if not name.startswith("log")}
    (tmp_path / "raw" / "shown.csv.gz").write_bytes(gzip.compress(files.pop("shown.csv").encode()))
    schema = edited(('"log-*.csv"', '"day=*/*.csv"'), ('"shown.csv"', '"shown.csv.gz"'))
    for table in TABLES:
        assert raw_rows(tmp_path, schema, files, table) == raw_rows(tmp_path / "plain", SCHEMA, None, table)


def test_truth_values_may_be_words(tmp_path: Path) -> None:
    words = ["1", "0", "true", "False", "TRUE", "false", "1.0", "yes"]
    rows = "".join(f"ann,x1,{time},{word},p\n" for time, word in enumerate(words, start=1))
    files = {**FILES, "shown.csv": f"who,sku,at,clicked,page\n{rows}"}
    clicks = {row["line"] or row["time"]: row["click"] for row in raw_rows(tmp_path, SCHEMA, files)}
    assert clicks == {1: 1, 2: 0, 3: 1, 4: 0, 5: 1, 6: 0, 7: 1, "ann,x1,8,yes,p": None}
    opposite = edited(('click = "clicked"', 'click = {column = "clicked", equals = false}'))
    clicks = {row["line"] or row["time"]: row["click"] for row in raw_rows(tmp_path, opposite, files)}
    assert clicks == {1: 0, 2: 1, 3: 0, 4: 1, 5: 0, 6: 1, 7: 0, "ann,x1,8,yes,p": None}


def test_most_rows_may_span_lines(tmp_path: Path) -> None:
    text = "id,city,hobbies,age,income\n" + "".join(f'{user},"Rome,\nItaly",go,1,1\n' for user in ("ann", "bob", "cid"))
    users = raw_rows(tmp_path, SCHEMA, {**FILES, "users.csv": text}, "users")
    assert [(row["user"], row["city"]) for row in users] == [(user, "Rome,\nItaly") for user in ("ann", "bob", "cid")]


def test_what_duckdb_cannot_convert_is_told_of_the_file(tmp_path: Path) -> None:
    with Engine(tmp_path / "spill", 10**9, 1, None) as engine, pytest.raises(MailError) as error:
        engine.collect(engine.sql("SELECT ('x' || range)::INTEGER AS a FROM range(1)", tmp_path / "users.csv"))
    assert error.value.message == (f"{tmp_path}/users.csv: Conversion Error: Could not convert string 'x0' to INT32")


def test_the_separator_of_hive_is_proposed(tmp_path: Path) -> None:
    raw = write_files(tmp_path, {name: text.replace(",", "\x01") for name, text in LOG.items()})
    run_mail("schema", "init", *(raw / name for name in LOG), "-o", tmp_path / "my.toml")
    assert 'separator = "\\u0001"' in (tmp_path / "my.toml").read_text()


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("inside", ["\n", "\r\n"])
def test_a_name_in_the_header_may_span_lines(tmp_path: Path, end: str, inside: str) -> None:
    files = {name: text.replace("\n", end) for name, text in FILES.items()}
    files["users.csv"] = files["users.csv"].replace(",city,", f',"city{inside}(home)",')
    schema = edited(('city = "city"', f"city = {json.dumps(f'city{inside}(home)')}"))
    assert values_by_user(make_dataset(tmp_path, schema, files), "city")["ann"] == "Rome"
