"""A raw CSV file: typed values, faulty rows explained, faults of the whole file reported at once."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mailcli.errors import MailError
from mailcli.preprocessing.csv_columns import Column, Rule
from mailcli.preprocessing.csv_file import CsvFile
from mailcli.preprocessing.engines._base import BrokenLine
from mailcli.preprocessing.engines.duckdb import Engine

COLUMNS = (
    Column("id"),
    Column("maybe", optional=True, missing="NULL"),
    Column("price", "double"),
    Column("tag", "string", values=("pv", "buy")),
    Column("when", at_least=10, below=20),
)
RULES = (Rule(("id", "when"), "id below when", lambda F: F.col("id") >= F.col("when")),)
GOOD = {"id": "7", "maybe": "3", "price": "1.5", "tag": "pv", "when": "10"}
GOOD_LINE = "7,3,1.5,pv,10"


def write(path: Path, *rows: dict[str, str]) -> CsvFile:
    lines = [",".join(GOOD), *(",".join(row.values()) for row in rows)]
    path.write_text("\n".join(lines) + "\n")
    return CsvFile(path, COLUMNS, RULES)


def read(csv: CsvFile, temp: Path) -> list[dict[str, object]]:
    """All rows that can be split into fields, by id and then text."""
    with Engine(temp, 10**9, None, None) as engine:
        return engine.collect(csv.frame(engine).orderBy("id", "line")).to_pylist()


def test_values_are_typed(tmp_path: Path) -> None:
    rows = [GOOD, {**GOOD, "maybe": "NULL", "id": "8"}, {**GOOD, "maybe": "", "when": "19", "id": "9"}]
    rows_read = read(write(tmp_path / "f.csv", *rows), tmp_path)
    first = {"id": 7, "maybe": 3, "price": 1.5, "tag": "pv", "when": 10, "fault": None, "line": None}
    assert rows_read == [first, {**first, "maybe": None, "id": 8}, {**first, "maybe": None, "when": 19, "id": 9}]


def test_whole_numbers_may_be_written_as_floats(tmp_path: Path) -> None:
    row = {**GOOD, "id": "-7.00", "maybe": "123456789012345.0", "when": "10.0"}
    (row_read,) = read(write(tmp_path / "f.csv", row), tmp_path)
    good = {"id": -7, "maybe": 123456789012345, "price": 1.5, "tag": "pv", "when": 10}
    assert row_read == {**good, "fault": None, "line": None}


@pytest.mark.parametrize(
    ("column", "value", "expected"),
    [
        ("id", "x1", "a whole number"),
        ("id", "", "a whole number"),
        ("id", "1.5", "a whole number"),
        ("id", "1.0e1", "a whole number"),
        ("id", "01.0", "a whole number"),
        ("id", "-0.0", "a whole number"),
        ("id", "1234567890123456.0", "a whole number"),
        ("id", "1e3", "a whole number"),
        ("id", " 1", "a whole number"),
        ("id", "99999999999999999999", "a whole number"),
        ("maybe", "none", "a whole number or nothing"),
        ("price", "cheap", "a number"),
        ("price", "inf", "a number"),
        ("price", "nan", "a number"),
        ("tag", "view", "one of 'pv', 'buy'"),
        ("when", "20", "a whole number from 10 to 19"),
        ("when", "9", "a whole number from 10 to 19"),
    ],
)
def test_a_bad_value_is_found_and_explained(tmp_path: Path, column: str, value: str, expected: str) -> None:
    csv = write(tmp_path / "f.csv", GOOD, {**GOOD, column: value}, GOOD)
    (bad,) = [row for row in read(csv, tmp_path) if row["fault"] is not None]
    line = ",".join({**GOOD, column: value}.values())
    assert bad["line"] == line
    assert csv.explain(int(str(bad["fault"])), line) == f"column '{column}' holds {value!r}. Expected {expected}"
    assert csv.expected(int(str(bad["fault"]))) == f"{column}: {expected}"
    assert csv.first_of([line]) == (f"{csv.path}, line 3", line)


def test_a_rule_sees_typed_values(tmp_path: Path) -> None:
    csv = write(tmp_path / "f.csv", GOOD, {**GOOD, "id": "9", "when": "10"}, {**GOOD, "id": "10", "when": "10"})
    rows = read(csv, tmp_path)
    assert [row["fault"] for row in rows] == [None, None, 5]
    assert csv.explain(5, str(rows[2]["line"])) == "'id' holds '10', 'when' holds '10'. Expected id below when"
    assert csv.expected(5) == "id below when"


def allowed(column: str, value: str) -> bool:
    """The rules again, with regular expressions and Python's own numbers."""
    if column == "maybe" and value in {"", "NULL"}:
        return True
    if column == "price":
        number = re.fullmatch(r"[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]+)?", value)
        return bool(number) and abs(float(value)) < 1e308
    value = re.sub(r"^(-?[0-9]{1,15})[.]0+$", r"\1", value)
    if not re.fullmatch("0|-?[1-9][0-9]*", value) or not -(2**63) <= int(value) < 2**63:
        return False
    return column != "when" or 10 <= int(value) < 20


VALUES = st.one_of(
    st.text(st.sampled_from("0123456789.eE+-_ xNULinfad"), max_size=8), st.integers().map(str), st.floats().map(str)
)


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.sampled_from(["maybe", "price", "when"]), VALUES), min_size=20, max_size=30))
def test_a_value_is_bad_when_the_rules_say_so(tmp_path: Path, values: list[tuple[str, str]]) -> None:
    """Many values in one file, a row for each: reading a file takes longer than its rows."""
    by_id = {-number: value for number, value in enumerate(values, start=1)}
    csv = write(
        tmp_path / "f.csv", *({**GOOD, "id": str(key), column: value} for key, (column, value) in by_id.items())
    )
    assert {row["id"]: row["fault"] for row in read(csv, tmp_path)} == {
        key: None if allowed(column, value) else list(GOOD).index(column) for key, (column, value) in by_id.items()
    }


def test_lines_that_cannot_be_split_are_told_by_write(tmp_path: Path) -> None:
    path = tmp_path / "f.csv"
    lines = [",".join(GOOD), GOOD_LINE, "7,3", "7,3", "1,2,3,4,5,6,7,8", '"7,3,1.5,pv,10', GOOD_LINE]
    path.write_bytes("\n".join(lines).encode() + b"\n\xff,3,1.5,pv,10\n\n")
    csv = CsvFile(path, COLUMNS)
    with Engine(tmp_path / "spill", 10**9, None, None) as engine:
        frame = csv.frame(engine).withColumn("part", engine.functions.lit(0))
        lines = engine.collect(frame)["line"].to_pylist()
        broken = engine.write(frame, tmp_path / "out", "reading", "part")
    # The stray quote spoils only its own row.
    assert sorted(line or "" for line in lines) == ["", "", '"7,3,1.5,pv,10', "7,3", "7,3"]
    # Lines that DuckDB cannot split at all; it shows bytes that are not UTF-8 as "?".
    assert sorted(broken) == [("1,2,3,4,5,6,7,8", "fields"), ("?,3,1.5,pv,10", "encoding")]
    faulty = csv.broken([BrokenLine("7,3"), BrokenLine("7,3,1.5,pv,10", "encoding")])
    assert faulty["line"].to_pylist() == ["7,3", "7,3,1.5,pv,10"]
    too_few, not_utf8 = [csv.explain(fault, line) for fault, line in zip(*faulty.to_pydict().values(), strict=True)]
    assert too_few == "has 2 fields. Expected 5: id,maybe,price,tag,when"
    assert not_utf8 == "is not UTF-8 text. Expected UTF-8"
    assert csv.expected(faulty["fault"][0].as_py()) == "5 fields of UTF-8 text"


def test_another_separator_is_told_at_once(tmp_path: Path) -> None:
    path = tmp_path / "f.csv"
    path.write_text(",".join(GOOD) + "\n" + "7;3;1.5;pv;10\n" * 1000)
    with pytest.raises(MailError) as error:
        CsvFile(path, COLUMNS)
    assert error.value.message == (f"{path}, line 2: '7;3;1.5;pv;10' has 1 field. Expected 5: id,maybe,price,tag,when.")


def test_mixed_line_ends_are_told(tmp_path: Path) -> None:
    path = tmp_path / "f.csv"
    path.write_bytes((",".join(GOOD) + "\n" + GOOD_LINE + "\r\n" + GOOD_LINE + "\n").encode())
    with pytest.raises(
        MailError, match=r"f.csv: has mixed line endings \(\\n, \\r\\n or \\r\). Convert them all to \\n."
    ):
        read(CsvFile(path, COLUMNS), tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty. Expected a header line and rows."),
        ("\nid,maybe,price,tag,when\n", "begins with a blank line. Expected a header line and rows."),
        (" \r\n\nid,maybe\n", "begins with a blank line. Expected a header line and rows."),
        ("id,maybe,price,tag,when\n", "there is no row below the header. Expected rows: get the file again."),
        (
            "id,maybe,prize,tag,when\n1,1,1,pv,10\n",
            "no column 'price'. Did you mean 'prize'? The file's header is: id,maybe,prize,tag,when. "
            "Expected: id,maybe,price,tag,when.",
        ),
        (
            "id,id,maybe,price,tag,when\n1,1,1,1,pv,10\n",
            "more than one column 'id'. The file's header is: id,id,maybe,price,tag,when. "
            "Expected: id,maybe,price,tag,when.",
        ),
    ],
)
def test_a_wrong_header_is_told_at_once(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "f.csv"
    path.write_text(text)
    with pytest.raises(MailError) as error:
        CsvFile(path, COLUMNS)
    assert error.value.message == f"{path}: {message}"


def test_not_a_gzip_file(tmp_path: Path) -> None:
    path = tmp_path / "f.csv.gz"
    path.write_text("id\n1\n")
    with pytest.raises(MailError, match=r"cannot be read \(Not a gzipped file"):
        CsvFile(path, COLUMNS)


def test_blank_lines_count_where_a_row_is_named(tmp_path: Path) -> None:
    path = tmp_path / "f.csv"
    path.write_text(",".join(GOOD) + "\n\n\n" + "7;3\n" * 3)
    with pytest.raises(MailError) as error:
        CsvFile(path, COLUMNS)
    assert error.value.message.startswith(f"{path}, line 4: '7;3' has 1 field. ")
