"""Files as other programs write them: kinds of Parquet's columns, truth values, rows that span lines, packed files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mailcli.errors import MailError
from mailcli.preprocessing.engines.duckdb import Engine
from mailcli.preprocessing.schema_file.definition import Files, Form
from mailcli.preprocessing.schema_file.locate import locate
from tests.preprocessing.schema_file.test_tables import FILES, SCHEMA, made, replaced, rows_of, write


def users_of(folder: Path, columns: dict[str, Any], attributes: str) -> list[Any]:
    """The rows of users with ids and some columns of Parquet."""
    (folder / "raw").mkdir(exist_ok=True)
    count = len(next(iter(columns.values())))
    pq.write_table(pa.table({"id": [f"u{place}" for place in range(count)], **columns}), folder / "raw" / "u.parquet")
    schema = 'users.files = "u.parquet"\nusers.user = "id"\n[users.attributes]\n' + f"{attributes}\n"
    schema += SCHEMA[SCHEMA.index("[items]") :]
    return sorted(rows_of(folder, schema, FILES, "users"), key=lambda row: row["user"])


def refused(folder: Path, columns: dict[str, Any], attributes: str) -> str:
    with pytest.raises(MailError) as error:
        users_of(folder, columns, attributes)
    return error.value.message.removeprefix(f"{folder}/my.toml: ")


def test_columns_that_differ_in_case_alone(tmp_path: Path) -> None:
    found = users_of(tmp_path, {"a": ["p", "q"], "A": ["r", "s"], "n": [1, 2]}, 'one = "A"\ntwo = "a"')
    assert [(row["one"], row["two"]) for row in found] == [("r", "p"), ("s", "q")]
    assert found[1]["line"] == '{"id":"u1","a":"q","A":"s","n":"2"}'


def test_names_that_are_there_twice_are_refused(tmp_path: Path) -> None:
    raw = write(tmp_path, {})
    pq.write_table(pa.table([pa.array([1]), pa.array([2])], names=["a", "a"]), raw / "u.parquet")
    faults: list[str] = []
    assert locate(Files("users", ("u.parquet",)), raw, faults) is None
    assert faults == ["users.files: u.parquet has more than one column 'a'. Expected names that differ"]


def test_not_a_number_is_a_missing_value(tmp_path: Path) -> None:
    nan = float("nan")
    columns = {"a": pa.array([1.5, nan, None]), "b": pa.array([[1.5, nan], [nan], None], pa.list_(pa.float64()))}
    found = users_of(tmp_path, columns, 'a = {column = "a", edges = [1]}\nb = {column = "b", list = true}')
    assert [(row["fault"], row["a"], row["b"]) for row in found] == [
        (None, 1, ["1.5"]),
        (None, None, []),
        (None, None, None),
    ]


def test_lists_of_one_length_are_lists(tmp_path: Path) -> None:
    columns = {"a": pa.array([["x", "y"], ["z", "z"]], pa.list_(pa.string(), 2))}
    found = users_of(tmp_path, columns, 'a = {column = "a", list = true}')
    assert [sorted(row["a"]) for row in found] == [["x", "y"], ["z"]]


def test_categories_of_pandas_are_texts(tmp_path: Path) -> None:
    found = users_of(tmp_path, {"a": pa.array(["x", "y"]).dictionary_encode()}, 'a = "a"')
    assert [row["a"] for row in found] == ["x", "y"]


@pytest.mark.parametrize(
    ("values", "list_", "kind"),
    [
        (pa.array([{"x": 1}]), False, "struct<x: int64>"),
        (pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int64())), False, "map<string, int64 ('a')>"),
        (pa.array([b"ab"]), False, "binary"),
        (pa.array([[[1]]]), True, "list<element: list<element: int64>>"),
    ],
)
def test_other_kinds_of_parquet_are_refused(tmp_path: Path, values: Any, list_: bool, kind: str) -> None:
    spec = '{column = "a", list = true}' if list_ else '"a"'
    assert refused(tmp_path, {"a": values}, f"a = {spec}") == (
        f"users.attributes.a: column 'a' holds {kind}. Expected texts, numbers, true and false, times, or lists of these."
    )


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ('"b"', [1, 0]),
        ('{column = "b"}', [1, 0]),
        ('{column = "b", equals = true}', [1, 0]),
        ('{column = "b", equals = false}', [0, 1]),
        ('{column = "b", equals = "True"}', [1, 0]),
        ('{column = "b", one_of = ["false"]}', [0, 1]),
        ('{column = "b", equals = 1}', [1, 0]),
    ],
)
def test_truth_values_of_parquet_in_rules(tmp_path: Path, rule: str, expected: list[int]) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    table = {"who": ["ann", "ann"], "sku": ["x1", "x1"], "at": [1, 2], "b": [True, False], "page": ["p", "p"]}
    pq.write_table(pa.table(table), raw / "shown.PARQUET")
    schema = replaced(('"shown.csv"', '"shown.PARQUET"'), ('click = "clicked"', f"click = {rule}"))
    assert [row["click"] for row in rows_of(tmp_path, schema)] == expected


def test_truth_values_may_be_words(tmp_path: Path) -> None:
    words = ["1", "0", "true", "False", "TRUE", "false", "1.0", "yes"]
    rows = "".join(f"ann,x1,{time},{word},p\n" for time, word in enumerate(words, start=1))
    files = {**FILES, "shown.csv": f"who,sku,at,clicked,page\n{rows}"}
    found = {row["line"] or row["time"]: row["click"] for row in rows_of(tmp_path, SCHEMA, files)}
    assert found == {1: 1, 2: 0, 3: 1, 4: 0, 5: 1, 6: 0, 7: 1, "ann,x1,8,yes,p": None}
    opposite = replaced(('click = "clicked"', 'click = {column = "clicked", equals = false}'))
    found = {row["line"] or row["time"]: row["click"] for row in rows_of(tmp_path, opposite, files)}
    assert found == {1: 0, 2: 1, 3: 0, 4: 1, 5: 0, 6: 1, 7: 0, "ann,x1,8,yes,p": None}


@pytest.mark.parametrize(
    ("row", "told"),
    [
        (
            "ann,x1,200,yes,p",
            "column 'clicked' holds 'yes'. Expected 0 or 1, true or false; or impressions.click = "
            '{column = "clicked", equals = "yes"}',
        ),
        (
            "ann,x1,1650485801301,1,p",
            "column 'at' holds '1650485801301'. Expected a time in s since 1970, from 0 to 68719476735; or unit = \"ms\"",
        ),
        (
            "ann,x1,1650485801301000,1,p",
            "column 'at' holds '1650485801301000'. Expected a time in s since 1970, from 0 to 68719476735; or unit = "
            '"us"',
        ),
        (
            "ann,x1,2022-04-20,1,p",
            "column 'at' holds '2022-04-20'. Expected a time in s since 1970, from 0 to 68719476735; or a format such as "
            '"%Y-%m-%d %H:%M:%S", if it is a text',
        ),
    ],
)
def test_the_reason_says_what_the_schema_file_may_need(tmp_path: Path, row: str, told: str) -> None:
    with pytest.raises(MailError) as error:
        made(tmp_path, SCHEMA, {**FILES, "shown.csv": FILES["shown.csv"] + f"{row}\n"})
    assert error.value.message == (
        f"{tmp_path}/raw/shown.csv, line 11: {told}. 1 of 10 rows (10.00%) cannot be used, --max-bad-rows allows 0.1%. "
        "Mend or remove them."
    )


def test_bytes_that_are_no_utf_8_are_named_with_their_line(tmp_path: Path) -> None:
    raw = write(tmp_path / "raw", FILES)
    (raw / "users.csv").write_bytes(FILES["users.csv"].encode() + b"eva,K\xf6ln,,1,1\n")
    with pytest.raises(MailError) as error:
        made(tmp_path, SCHEMA, {})
    assert error.value.message == (
        f'{raw}/users.csv, line 6: is not utf-8 text with whole quotes. Expected such text; or encoding = "latin-1", '
        "which reads any bytes. 1 of 5 rows (20.00%) cannot be used, --max-bad-rows allows 0.1%. Mend or remove them."
    )


def test_most_rows_may_span_lines(tmp_path: Path) -> None:
    text = "id,city,hobbies,age,income\n" + "".join(f'{user},"Rome,\nItaly",go,1,1\n' for user in ("ann", "bob", "cid"))
    found = rows_of(tmp_path, SCHEMA, {**FILES, "users.csv": text}, "users")
    assert [(row["user"], row["city"]) for row in found] == [(each, "Rome,\nItaly") for each in ("ann", "bob", "cid")]


def test_a_wrong_number_of_fields_is_told_of_the_first_row(tmp_path: Path) -> None:
    files = {**FILES, "users.csv": 'id,city,hobbies,age,income\nann,"Rome\nItaly",go,1\n'}
    with pytest.raises(MailError) as error:
        rows_of(tmp_path, SCHEMA, files)
    assert error.value.message == (
        f"{tmp_path}/my.toml: users.files: users.csv: 'ann,Rome\\nItaly,go,1' has 4 fields. Expected 5, separated by ',': "
        "id,city,hobbies,age,income."
    )


@pytest.mark.parametrize("name", ["users.zip", "users.csv.ZST"])
def test_packed_files_are_refused(tmp_path: Path, name: str) -> None:
    raw = write(tmp_path / "raw", FILES)
    (raw / name).write_bytes(b"PK\3\4\n\n")
    with pytest.raises(MailError) as error:
        rows_of(tmp_path, replaced(('"users.csv"', f'"{name}"')))
    assert error.value.message == (
        f"{tmp_path}/my.toml: users.files: {name} is packed. Expected it unpacked, or packed as .gz."
    )


def test_the_folder_of_the_raw_files_may_be_a_file(tmp_path: Path) -> None:
    raw = write(tmp_path, FILES)
    faults: list[str] = []
    assert locate(Files("users", ("users.csv",)), raw / "items.csv", faults) is None
    assert faults == [f"users.files = 'users.csv': no such file in the folder {raw}/items.csv, which is a file"]


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_utf_16_is_told_by_its_mark(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "users.csv").write_bytes(FILES["users.csv"].encode("utf-16"))
    faults: list[str] = []
    assert locate(Files("users", ("users.csv",), form=Form(encoding=encoding)), tmp_path, faults) is None
    assert faults == [
        f"users.files: users.csv is UTF-16 text, and encoding is '{encoding}'. Expected encoding = \"utf-16\""
    ]


def test_what_duckdb_cannot_convert_is_told_of_the_file(tmp_path: Path) -> None:
    with Engine(tmp_path / "spill", 10**9, 1, None) as engine, pytest.raises(MailError) as error:
        engine.collect(engine.sql("SELECT ('x' || range)::INTEGER AS a FROM range(1)", tmp_path / "users.csv"))
    assert error.value.message == (f"{tmp_path}/users.csv: Conversion Error: Could not convert string 'x0' to INT32")
