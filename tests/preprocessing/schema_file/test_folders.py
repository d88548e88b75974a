"""Columns in the names of folders, folders given for files, and parts that differ."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mailcli.errors import MailError
from mailcli.preprocessing.schema_file.definition import TableFiles
from mailcli.preprocessing.schema_file.folders import example_pattern, folder_columns
from mailcli.preprocessing.schema_file.locate import locate
from tests.helpers.schema_files import FILES, SCHEMA, edited, impressions_of, make_dataset, raw_rows, write_files

HEAD, *ROWS = FILES["shown.csv"].splitlines()
PATTERN = ('"shown.csv"', '"day/*/part-0.csv"')


def partitioned(folders: dict[str, list[str]]) -> dict[str, str]:
    """FILES with the impressions' rows in folders."""
    parts = {f"day/{folder}/part-0.csv": "\n".join([HEAD, *rows]) + "\n" for folder, rows in folders.items()}
    return {**{name: text for name, text in FILES.items() if name != "shown.csv"}, **parts}


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def test_a_folder_is_a_column_for_the_split(tmp_path: Path) -> None:
    # The raw folder's own name is no value of the column.
    raw = tmp_path / "date=x" / "raw"
    write(raw, partitioned({"date=1": ROWS[:4], "date=2": ROWS[4:6], "date=3": ROWS[6:]}))
    schema = edited(PATTERN).split("[split]")[0]
    schema += '[split]\nby = "column"\ncolumn = "date"\ntrain = "1"\nvalidation = "2"\ntest = "3"\n'
    dataset = make_dataset(tmp_path / "date=x", schema, {})
    assert impressions_of(dataset) == impressions_of(make_dataset(tmp_path / "plain", SCHEMA))


def test_values_are_decoded_and_may_be_missing(tmp_path: Path) -> None:
    missing = "__HIVE_DEFAULT_PARTITION__"
    folders = {"a b=x%3Ay%20'z": ROWS[:1], "a b=it's": ROWS[1:2], f"a b={missing}": ROWS[2:3]}
    write(tmp_path / "raw", partitioned(folders))
    schema = edited(PATTERN, ('page = "page"', 'page = "page"\nplace = "a b"'))
    assert [(row["time"], row["place"]) for row in raw_rows(tmp_path, schema, {})] == [
        (100, None), (200, "x:y 'z"), (300, "it's"),
    ]  # fmt: skip


def test_a_column_of_the_files_hides_that_of_the_folders(tmp_path: Path) -> None:
    write(tmp_path / "raw", partitioned({"page=other": ROWS[:2]}))
    assert [row["page"] for row in raw_rows(tmp_path, edited(PATTERN), {})] == ["p", "p"]


def test_a_time_may_be_in_the_folder(tmp_path: Path) -> None:
    write(tmp_path / "raw", partitioned({"dt=1970-01-02": ROWS[:1]}))
    schema = edited(PATTERN, ('time = "at"\nclick', 'time = {column = "dt", format = "%Y-%m-%d"}\nclick'))
    assert [row["time"] for row in raw_rows(tmp_path, schema, {})] == [86400]


def test_only_folders_that_all_files_have_are_columns() -> None:
    paths = [Path("r/a=1/b=2/x"), Path("r/b=3/a=4/x")]
    assert folder_columns(paths, Path("r")) == ("a", "b")
    assert folder_columns([*paths, Path("r/a=5/c/y=1")], Path("r")) == ("a",)
    assert folder_columns([Path("r/=1/b=/x")], Path("r")) == ()


def test_a_column_of_folders_cannot_be_joined_on(tmp_path: Path) -> None:
    files = partitioned({"date=1": ROWS})
    schema = edited(
        PATTERN, ("[impressions.context]", '[impressions.join]\nfiles = "j.csv"\non = "date"\n[impressions.context]')
    )
    write(tmp_path / "raw", {**files, "j.csv": "date,more\n1,2\n"})
    with pytest.raises(MailError, match=r"impressions.join.on = 'date': part-0.csv has no such column"):
        raw_rows(tmp_path, schema, {})


def test_a_folder_is_not_a_file(tmp_path: Path) -> None:
    (tmp_path / "log" / "date=1").mkdir(parents=True)
    for name in ("_SUCCESS", ".part-0.parquet.crc", "part-0.parquet"):
        (tmp_path / "log" / "date=1" / name).write_text("")
    faults: list[str] = []
    assert locate(TableFiles("users", ("log",)), tmp_path, faults) is None
    assert faults == ["users.files = 'log': is a folder. Expected files, or a pattern such as 'log/*/*.parquet'"]
    assert example_pattern(tmp_path / "log" / "date=1", "there/") == "there/*.parquet"
    (tmp_path / "empty").mkdir()
    assert example_pattern(tmp_path / "empty", "empty") == "empty/*.csv"


@pytest.mark.parametrize(
    ("first", "second", "reason"),
    [
        (
            {"id": [1], "a": [2]},
            {"id": [1], "a": [2.0]},
            "column 'a' holds double in p-1.parquet, int64 in p-0.parquet",
        ),
        ({"id": [1], "a": [2]}, {"a": [2], "id": [1]}, "column 1 is 'a' in p-1.parquet, 'id' in p-0.parquet"),
        ({"id": [1], "a": [2]}, {"id": [1]}, "p-1.parquet lacks 'a', which p-0.parquet has"),
        ({"id": [1]}, {"id": [1], "a": [2]}, "p-1.parquet has 'a', which p-0.parquet lacks"),
        (
            {"id": [1]},
            {"id": [1], **{f"a{number}": [2] for number in range(7)}},
            "p-1.parquet has 'a0', 'a1', 'a2', 'a3', 'a4' and 2 more, which p-0.parquet lacks",
        ),
    ],
)
def test_parts_that_differ_are_named_with_the_column(
    tmp_path: Path, first: dict[str, list[object]], second: dict[str, list[object]], reason: str
) -> None:
    for number, columns in enumerate((first, second)):
        pq.write_table(pa.table(columns), tmp_path / f"p-{number}.parquet")
    faults: list[str] = []
    assert locate(TableFiles("users", ("p-*.parquet",)), tmp_path, faults) is None
    assert faults == [
        f"users.files: p-1.parquet and p-0.parquet have different columns: {reason}. Expected the same columns and "
        "types in the same order"
    ]


def test_a_part_without_a_header_line_is_recognized(tmp_path: Path) -> None:
    write_files(tmp_path, {"c-0.csv": "id,a\nx,1\n", "c-1.csv": "y,2\nz,3\n"})
    faults: list[str] = []
    assert locate(TableFiles("users", ("c-*.csv",)), tmp_path, faults) is None
    assert faults == [
        "users.files: c-1.csv and c-0.csv have different columns: no column of c-1.csv has a name as in c-0.csv: 'y', "
        "'2' (perhaps it lacks the header line). Expected the same columns and types in the same order"
    ]
