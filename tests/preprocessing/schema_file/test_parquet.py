"""Parquet files: types of columns, lists, Booleans."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from mailcli.errors import MailError
from mailcli.preprocessing.sources._base import TABLES
from tests.helpers.schema_files import (
    FILES,
    SCHEMA,
    edited,
    raw_rows,
    write_files,
)


def users_of(folder: Path, columns: dict[str, Any], attributes: str, head: str = "") -> list[Any]:
    """The rows of users with ids and some Parquet columns."""
    (folder / "raw").mkdir(exist_ok=True)
    count = len(next(iter(columns.values())))
    pq.write_table(pa.table({"id": [f"u{place}" for place in range(count)], **columns}), folder / "raw" / "u.parquet")
    schema = f'users.files = "u.parquet"\nusers.user = "id"\n{head}[users.attributes]\n{attributes}\n'
    schema += SCHEMA[SCHEMA.index("[items]") :]
    return sorted(raw_rows(folder, schema, FILES, "users"), key=lambda row: row["user"])


def error_of(folder: Path, columns: dict[str, Any], attributes: str) -> str:
    with pytest.raises(MailError) as error:
        users_of(folder, columns, attributes)
    return error.value.message.removeprefix(f"{folder}/my.toml: ")


def test_columns_that_differ_in_case_alone(tmp_path: Path) -> None:
    rows = users_of(tmp_path, {"a": ["p", "q"], "A": ["r", "s"], "n": [1, 2]}, 'upper = "A"\nlower = "a"')
    assert [(row["upper"], row["lower"]) for row in rows] == [("r", "p"), ("s", "q")]
    assert rows[1]["line"] == '{"id":"u1","a":"q","A":"s","n":"2"}'


def test_not_a_number_is_a_missing_value(tmp_path: Path) -> None:
    nan = float("nan")
    columns = {"a": pa.array([1.5, nan, None]), "b": pa.array([[1.5, nan], [nan], None], pa.list_(pa.float64()))}
    rows = users_of(tmp_path, columns, 'a = {column = "a", edges = [1]}\nb = {column = "b", list = true}')
    assert [(row["fault"], row["a"], row["b"]) for row in rows] == [
        (None, 1, ["1.5"]),
        (None, None, []),
        (None, None, None),
    ]


def test_a_number_that_means_missing_is_missing_in_a_column_of_floats(tmp_path: Path) -> None:
    columns = {
        "a": [-1.0, 2.0],
        "b": pa.array([[1.5, -1.0], [-1.0]], pa.list_(pa.float64())),
        "c": [-1, 2],
        "d": pa.array([Decimal("-1.00"), Decimal("2.00")], pa.decimal128(5, 2)),
        "e": pa.array([2.0, None]),
    }
    buckets = "\n".join(f'{name} = {{column = "{name}", edges = [0]}}' for name in "acde")
    for text in ("-1", "-1.0"):
        rows = users_of(
            tmp_path, columns, f'{buckets}\nb = {{column = "b", list = true}}', f'users.missing = ["{text}"]\n'
        )
        assert [[row[name] for name in "abcde"] for row in rows] == [
            [None, ["1.5"], None, None, 1],
            [1, [], 1, 1, None],
        ]


def test_lists_of_one_length_are_lists(tmp_path: Path) -> None:
    columns = {"a": pa.array([["x", "y"], ["z", "z"]], pa.list_(pa.string(), 2))}
    rows = users_of(tmp_path, columns, 'a = {column = "a", list = true}')
    assert [sorted(row["a"]) for row in rows] == [["x", "y"], ["z"]]


def test_lists_of_truth_values_and_times_hold_what_single_values_do(tmp_path: Path) -> None:
    """Seconds since 1970, of local time in UTC: 2020-01-01 is day 18,262."""
    noon = datetime(2020, 1, 1, 12, tzinfo=UTC)
    columns = {
        "a": pa.array([[True, None, False]], pa.list_(pa.bool_())),
        "b": pa.array([[noon]], pa.list_(pa.timestamp("us", "Asia/Tokyo"))),
        "c": pa.array([[noon.replace(tzinfo=None)]], pa.list_(pa.timestamp("ms"))),
        "d": pa.array([[noon.date()]], pa.list_(pa.date32())),
        "e": pa.array([[1.5, float("nan")]], pa.list_(pa.float32(), 2)),
    }
    (row,) = users_of(tmp_path, columns, "\n".join(f'{name} = {{column = "{name}", list = true}}' for name in "abcde"))
    assert {name: sorted(row[name]) for name in "abcde"} == {
        "a": ["0", "1"],
        "b": ["1577880000"],
        "c": ["1577880000"],
        "d": ["1577836800"],
        "e": ["1.5"],
    }


def test_categories_of_pandas_are_texts(tmp_path: Path) -> None:
    rows = users_of(tmp_path, {"a": pa.array(["x", "y"]).dictionary_encode()}, 'a = "a"')
    assert [row["a"] for row in rows] == ["x", "y"]


@pytest.mark.parametrize(
    ("values", "list_", "kind"),
    [
        (pa.array([{"x": 1}]), False, "struct<x: int64>"),
        (pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int64())), False, "map<string, int64 ('a')>"),
        (pa.array([b"ab"]), False, "binary"),
        (pa.array([b"ab"], pa.binary(2)), False, "fixed_size_binary[2]"),
        (pa.array([[[1]]]), True, "list<element: list<element: int64>>"),
    ],
)
def test_other_kinds_of_parquet_are_refused(tmp_path: Path, values: Any, list_: bool, kind: str) -> None:
    spec = '{column = "a", list = true}' if list_ else '"a"'
    assert error_of(tmp_path, {"a": values}, f"a = {spec}") == (
        f"users.attributes.a: column 'a' holds {kind}. Expected strings, numbers, Booleans, times, or lists of these."
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
    schema = edited(('"shown.csv"', '"shown.PARQUET"'), ('click = "clicked"', f"click = {rule}"))
    assert [row["click"] for row in raw_rows(tmp_path, schema)] == expected


@pytest.mark.parametrize(
    ("data_type", "numbers", "expected"),
    [
        (pa.float64(), [7.0, 1.5, 123456789012345.0, 2.0**53, None], [7, "fault", 123456789012345, "fault", None]),
        # 123,456,789 is not a number of 32 bits.
        (pa.float32(), [7.0, 9_999_999.0, 123_456_789.0], [7, 9_999_999, "fault"]),
        (pa.decimal128(20, 2), [7, 123456789012345678], [7, 123456789012345678]),
    ],
)
def test_whole_numbers_in_columns_of_floats(
    tmp_path: Path, data_type: pa.DataType, numbers: list[Any], expected: list[Any]
) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    count = len(numbers)
    table = {"who": ["ann"] * count, "sku": ["x1"] * count, "at": range(count), "clicked": [1] * count}
    pq.write_table(pa.table({**table, "page": pa.array(numbers, data_type)}), raw / "shown.parquet")
    schema = 'integers = ["page"]\n' + edited(('"shown.csv"', '"shown.parquet"'))
    rows = raw_rows(tmp_path, schema)
    assert sorted(str(row["page"] if row["fault"] is None else "fault") for row in rows) == sorted(map(str, expected))


def test_strings_of_rules_are_numbers_in_columns_of_floats(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    table = {"who": ["ann"] * 3, "sku": ["x1"] * 3, "at": [1, 2, 3], "b": [1.0, 2.0, None], "page": ["p"] * 3}
    pq.write_table(pa.table(table), raw / "shown.parquet")
    schema = edited(('"shown.csv"', '"shown.parquet"'), ('click = "clicked"', 'click = {column = "b", equals = "1"}'))
    assert [row["click"] for row in raw_rows(tmp_path, schema)] == [1, 0, 0]


def test_parquet_gives_the_same_dataset(tmp_path: Path) -> None:
    """Parquet numbers, Booleans, times and lists instead of text."""
    raw = write_files(tmp_path / "raw", FILES)
    for path in sorted(raw.glob("*.csv")):
        table = pa.csv.read_csv(path, convert_options=pa.csv.ConvertOptions(null_values=["?"]))
        if "hobbies" in table.column_names:
            lists = [text.split("|") if text else None for text in table["hobbies"].to_pylist()]
            table = table.set_column(2, "hobbies", pa.array(lists, pa.list_(pa.string())))
        if "clicked" in table.column_names:
            table = table.set_column(3, "clicked", table["clicked"].cast(pa.bool_()))
            table = table.set_column(2, "at", table["at"].cast(pa.timestamp("s")).cast(pa.timestamp("ms")))
        pq.write_table(table, path.with_suffix(".parquet"))
        path.unlink()
    schema = edited((".csv", ".parquet"), ('separator = "|"', "list = true"))
    for table in TABLES:
        rows, expected = raw_rows(tmp_path, schema, {}, table), raw_rows(tmp_path / "csv", SCHEMA, None, table)
        for some in (rows, expected):
            for row in some:
                del row["line"]
                row["hobbies"] = sorted(row.get("hobbies") or [])
        assert sorted(map(str, rows)) == sorted(map(str, expected))


def test_columns_may_have_the_names_that_duckdb_uses(tmp_path: Path) -> None:
    raw = write_files(tmp_path / "raw", {name: text for name, text in FILES.items() if name != "users.csv"})
    names = ["id", "#file", "#FILE#", "#0", "filename"]
    users = pa.table([pa.array(["ann", "bob"]), *(pa.array([name, None]) for name in names[1:])], names=names)
    pq.write_table(users, raw / "users.parquet")
    schema = SCHEMA[SCHEMA.index("[items]") :]
    fields = "".join(f'f{number} = "{name}"\n' for number, name in enumerate(names[1:]))
    schema = f'[users]\nfiles = "users.parquet"\nuser = "id"\n[users.attributes]\n{fields}' + schema
    rows = sorted(raw_rows(tmp_path, schema, {}, "users"), key=lambda row: str(row["user"]))
    assert [[row[f"f{number}"] for number in range(4)] for row in rows] == [
        ["#file", "#FILE#", "#0", "filename"],
        [None] * 4,
    ]


def test_a_damaged_page_is_one_line(tmp_path: Path) -> None:
    raw = write_files(tmp_path / "raw", {name: text for name, text in FILES.items() if name != "users.csv"})
    path = raw / "users.parquet"
    users = pa.table({"id": [f"user-{number}" for number in range(2000)], "city": ["Rome"] * 2000})
    schema = '[users]\nfiles = "users.parquet"\nuser = "id"\n[users.attributes]\ncity = "city"\n'
    schema += SCHEMA[SCHEMA.index("[items]") :]
    pq.write_table(users, path, compression="none")
    whole, errors = path.read_bytes(), set()
    for place in range(4, 60, 2):
        path.write_bytes(whole[:place] + bytes(code ^ 0xFF for code in whole[place : place + 8]) + whole[place + 8 :])
        try:
            raw_rows(tmp_path, schema, {}, "users")
        except MailError as error:
            errors.add(error.message)
    assert all(error.startswith(f"{path}: ") and "\n" not in error for error in errors)
    assert f"{path}: is cut off or damaged (Out of buffer). Get the file again." in errors


def damage(path: Path) -> None:
    """Spoil the beginning of the first page of an uncompressed file."""
    whole = path.read_bytes()
    path.write_bytes(whole[:24] + bytes(code ^ 0xFF for code in whole[24:32]) + whole[32:])


def test_of_several_files_the_damaged_one_is_named(tmp_path: Path) -> None:
    """Also if other tables are read with it: quantiles of users look at the impressions."""
    raw = write_files(
        tmp_path / "raw", {name: text for name, text in FILES.items() if not name.startswith(("log", "u"))}
    )
    log = pa.table({"who": [f"user-{number}" for number in range(2000)], "at": range(2000), "what": ["view"] * 2000})
    for part in range(3):
        pq.write_table(log.append_column("kind", log["what"]), raw / f"log-{part}.parquet", compression="none")
    users = {"id": [f"user-{number}" for number in range(2000)], "age": range(2000)}
    pq.write_table(pa.table(users), raw / "users.parquet", compression="none")
    schema = '[users]\nfiles = "users.parquet"\nuser = "id"\n[users.attributes]\n'
    schema += 'age = {column = "age", quantiles = 2}\n' + SCHEMA[SCHEMA.index("[items]") :].replace(
        "log-*.csv", "log-*.parquet"
    )
    for table, name in (("behaviors", "log-1.parquet"), ("users", "users.parquet")):
        damage(raw / name)
        with pytest.raises(MailError) as error:
            raw_rows(tmp_path, schema, {}, table)
        assert error.value.message == f"{raw}/{name}: is cut off or damaged (Out of buffer). Get the file again."


def test_a_compressed_page_that_is_damaged_is_that_of_its_file(tmp_path: Path) -> None:
    raw = write_files(tmp_path / "raw", {name: text for name, text in FILES.items() if not name.startswith("log")})
    log = pa.table({"who": [f"user-{number}" for number in range(2000)], "at": range(2000), "what": ["view"] * 2000})
    for part in range(3):
        pq.write_table(log.append_column("kind", log["what"]), raw / f"log-{part}.parquet", compression="snappy")
    whole = (raw / "log-1.parquet").read_bytes()
    (raw / "log-1.parquet").write_bytes(whole[:1000] + bytes(code ^ 0xFF for code in whole[1000:1040]) + whole[1040:])
    with pytest.raises(MailError) as error:
        raw_rows(tmp_path, SCHEMA.replace("log-*.csv", "log-*.parquet"), {}, "behaviors")
    assert error.value.message == (
        f'{raw}/log-1.parquet: Invalid Input Error: Failed to read file "{raw}/log-1.parquet": Snappy decompression failure'
    )


def test_a_date_that_no_time_can_hold_is_a_text(tmp_path: Path) -> None:
    """It stopped everything with an error of the engine; a time of an impression would be set aside."""
    columns = {"a": pa.array([18262, 2 * 10**9], pa.date32()), "b": pa.array([18262, None], pa.date32())}
    rows = users_of(tmp_path, columns, 'a = "a"\nb = "b"')
    assert [(row["a"], row["b"]) for row in rows] == [("1577836800", "1577836800"), ("5477784-01-06", None)]


def test_durations_are_refused(tmp_path: Path) -> None:
    error = error_of(tmp_path, {"a": pa.array([1, 2], pa.duration("s"))}, 'a = "a"')
    assert "users.attributes.a" in error
    assert "duration[s]" in error


def test_decimals_of_more_than_38_digits_are_refused(tmp_path: Path) -> None:
    """DuckDB reads 1.50 as 1.08e17."""
    error = error_of(
        tmp_path, {"a": pa.array([Decimal("1.50")], pa.decimal256(40, 2))}, 'a = {column = "a", edges = [1]}'
    )
    assert "users.attributes.a: column 'a' holds decimal256(40, 2). Expected strings, numbers" in error
    assert "of decimals, those of at most 38 digits" in error
