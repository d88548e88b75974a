from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mailcli.csvfile import Column, CsvFile
from mailcli.engines import DuckDBEngine
from mailcli.errors import MailError

COLUMNS = (
    Column("id"),
    Column("maybe", optional=True, missing="NULL"),
    Column("price", "double"),
    Column("tag", "string", values=("pv", "buy")),
    Column("when", at_least=10, below=20),
)
GOOD = {"id": "7", "maybe": "3", "price": "1.5", "tag": "pv", "when": "10"}


def write(path: Path, *rows: dict[str, str]) -> CsvFile:
    lines = [",".join(GOOD), *(",".join(row.values()) for row in rows)]
    path.write_text("\n".join(lines) + "\n")
    return CsvFile(path, COLUMNS)


def read(csv: CsvFile, temp: Path) -> list[dict[str, object]]:
    with DuckDBEngine(temp) as engine:
        return engine.collect(csv.frame(engine)).to_pylist()


def test_values_are_typed(tmp_path: Path) -> None:
    rows = [GOOD, {**GOOD, "maybe": "NULL", "id": "-5"}, {**GOOD, "maybe": "", "when": "19"}]
    found = read(write(tmp_path / "f.csv", *rows), tmp_path)
    first = {"id": 7, "maybe": 3, "price": 1.5, "tag": "pv", "when": 10, "bad": False}
    assert found == [first, {**first, "maybe": None, "id": -5}, {**first, "maybe": None, "when": 19}]


@pytest.mark.parametrize(
    ("column", "value", "expected"),
    [
        ("id", "x1", "a whole number"),
        ("id", "", "a whole number"),
        ("id", "1.0", "a whole number"),
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
def test_a_bad_value_is_found_and_its_row_named(tmp_path: Path, column: str, value: str, expected: str) -> None:
    csv = write(tmp_path / "f.csv", GOOD, {**GOOD, column: value}, GOOD)
    assert [row["bad"] for row in read(csv, tmp_path)] == [False, True, False]
    assert csv.bad_row().message == (
        f"{tmp_path / 'f.csv'}, line 3: column '{column}' holds {value!r}. Expected {expected}. Mend or remove the row."
    )


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(["id", "maybe", "price", "when"]),
    st.one_of(
        st.text(st.sampled_from("0123456789.eE+-_ xNULinfa"), max_size=8),
        st.integers().map(str),
        st.floats().map(str),
    ),
)
def test_engine_and_line_by_line_rules_agree(tmp_path: Path, column: str, value: str) -> None:
    csv = write(tmp_path / "f.csv", {**GOOD, column: value})
    (row,) = read(csv, tmp_path)
    rule = next(c for c in COLUMNS if c.name == column)
    assert row["bad"] == rule.fault(value)


def test_a_short_row_is_bad(tmp_path: Path) -> None:
    csv = write(tmp_path / "f.csv", GOOD, {"id": "7", "maybe": "3"})
    assert [row["bad"] for row in read(csv, tmp_path)] == [False, True]
    assert "line 3: column 'price' holds ''" in csv.bad_row().message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty. Expected a header line and rows."),
        ("id,maybe,price,tag,when\n", "there is no row below the header."),
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
