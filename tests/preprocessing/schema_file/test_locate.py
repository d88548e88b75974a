"""Files of a table that cannot be used are refused with the reason."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mailcli.errors import MailError
from mailcli.preprocessing.schema_file.definition import TableFiles, TextFormat
from mailcli.preprocessing.schema_file.locate import locate
from tests.helpers.schema_files import (
    FILES,
    SCHEMA,
    edited,
    raw_rows,
    write_files,
)


def test_names_that_are_there_twice_are_refused(tmp_path: Path) -> None:
    raw = write_files(tmp_path, {})
    pq.write_table(pa.table([pa.array([1]), pa.array([2])], names=["a", "a"]), raw / "u.parquet")
    faults: list[str] = []
    assert locate(TableFiles("users", ("u.parquet",)), raw, faults) is None
    assert faults == ["users.files: u.parquet has more than one column 'a'. Expected distinct names"]


def test_a_wrong_number_of_fields_is_told_of_the_first_row(tmp_path: Path) -> None:
    files = {**FILES, "users.csv": 'id,city,hobbies,age,income\nann,"Rome\nItaly",go,1\n'}
    with pytest.raises(MailError) as error:
        raw_rows(tmp_path, SCHEMA, files)
    assert error.value.message == (
        f"{tmp_path}/my.toml: users.files: users.csv: 'ann,Rome\\nItaly,go,1' has 4 fields. Expected 5, separated by ',': "
        "id,city,hobbies,age,income."
    )


@pytest.mark.parametrize("name", ["users.zip", "users.csv.ZST"])
def test_packed_files_are_refused(tmp_path: Path, name: str) -> None:
    raw = write_files(tmp_path / "raw", FILES)
    (raw / name).write_bytes(b"PK\3\4\n\n")
    with pytest.raises(MailError) as error:
        raw_rows(tmp_path, edited(('"users.csv"', f'"{name}"')))
    assert error.value.message == (
        f"{tmp_path}/my.toml: users.files: {name} is compressed. Expected an uncompressed file, or .gz."
    )


def test_the_folder_of_the_raw_files_may_be_a_file(tmp_path: Path) -> None:
    raw = write_files(tmp_path, FILES)
    faults: list[str] = []
    assert locate(TableFiles("users", ("users.csv",)), raw / "items.csv", faults) is None
    assert faults == [f"users.files = 'users.csv': no such file in the folder {raw}/items.csv, which is a file"]


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_utf_16_is_told_by_its_mark(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "users.csv").write_bytes(FILES["users.csv"].encode("utf-16"))
    faults: list[str] = []
    assert locate(TableFiles("users", ("users.csv",), format=TextFormat(encoding=encoding)), tmp_path, faults) is None
    assert faults == [f"users.files: users.csv is UTF-16, but encoding is '{encoding}'. Expected encoding = \"utf-16\""]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_big_endian_utf_16_is_refused(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "users.csv").write_bytes(f"\ufeff{FILES['users.csv']}".encode("utf-16-be"))
    faults: list[str] = []
    assert locate(TableFiles("users", ("users.csv",), format=TextFormat(encoding=encoding)), tmp_path, faults) is None
    assert faults == [
        "users.files: users.csv is big-endian UTF-16, which cannot be read. Expected UTF-8: save it as that"
    ]


@pytest.mark.parametrize("part", ["who,at,what,kind\n", "who,at,what,kind", "", "\n"])
def test_a_part_may_have_no_rows(tmp_path: Path, part: str) -> None:
    """Spark and Hive write such files for empty partitions; their place among the parts does not matter."""
    expected = raw_rows(tmp_path / "without", SCHEMA, FILES, "behaviors")
    for name in ("log-0.csv", "log-9.csv"):
        assert raw_rows(tmp_path / name, SCHEMA, {**FILES, name: part}, "behaviors") == expected


def test_a_part_without_rows_must_have_the_same_columns(tmp_path: Path) -> None:
    with pytest.raises(MailError) as error:
        raw_rows(tmp_path, SCHEMA, {**FILES, "log-0.csv": "who,at,kind,what\n"}, "behaviors")
    assert error.value.message == (
        f"{tmp_path}/my.toml: behaviors.files: log-0.csv and log-1.csv have different columns: column 3 "
        "is 'kind' in log-0.csv, 'what' in log-1.csv. Expected the same columns and types in the same order."
    )


@pytest.mark.parametrize("blank", ["\n", " \n", "\r\n\r\n"])
def test_a_blank_line_before_the_header_is_an_error(tmp_path: Path, blank: str) -> None:
    files = {**FILES, "log-2.csv": f"{blank}who,at,what,kind\nann,300,view,boot\n"}
    with pytest.raises(MailError) as error:
        raw_rows(tmp_path, SCHEMA, files, "behaviors")
    assert error.value.message == (
        f"{tmp_path}/my.toml: behaviors.files: log-2.csv begins with a blank line. Expected the names of its columns "
        "there."
    )


def test_a_table_needs_rows_in_one_part_at_least(tmp_path: Path) -> None:
    files = {**FILES, "log-1.csv": "who,at,what,kind\n", "log-2.csv": ""}
    with pytest.raises(MailError) as error:
        raw_rows(tmp_path, SCHEMA, files, "behaviors")
    assert error.value.message == (
        f"{tmp_path}/my.toml: behaviors.files: log-1.csv is empty. Expected a header line and rows."
    )


def test_a_name_that_is_there_is_not_suggested(tmp_path: Path) -> None:
    (tmp_path / "a[1].csv").write_text("id\n1\n")
    (tmp_path / "gone.csv").symlink_to("nowhere.csv")
    faults: list[str] = []
    for name in ("a[1].csv", "gone.csv"):
        assert locate(TableFiles("users", (name,)), tmp_path, faults) is None
    end = f"Expected a file in the folder {tmp_path}"
    assert faults == [
        f"users.files = 'a[1].csv': is not a file, or has a [, which begins a pattern: write [[] instead. {end}",
        f"users.files = 'gone.csv': is a broken link. {end}",
    ]
    assert locate(TableFiles("users", ("a[[]1].csv",)), tmp_path, []) is not None
