"""The first rows of files: format and header; files that are not tables are refused."""

from __future__ import annotations

import gzip
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mailcli.preprocessing.schema_init.sniff import sample_file
from tests.helpers.schema_files import (
    mail_error,
    write_files,
)


def test_what_cannot_be_guessed_is_refused(tmp_path: Path) -> None:
    raw = write_files(tmp_path, {"a.csv": "x,y\n1,2\n3,4\n", "empty.csv": "", "one.txt": "word\nother\n"})
    assert mail_error("schema", "init", raw / "a.csv") == (
        "none of the files looks like a log of what users were shown: a user, an item, a time, and a click or a "
        "rating. a.csv has nothing that is clearly a user, an item, a time or a click or a rating. Name its columns "
        "with --user, --item, --time and --click, or write the schema file by hand, starting from examples/schemas. "
        "Found: a.csv: x, y."
    )
    assert mail_error("schema", "init", raw / "b.csv") == (
        f"{raw}/b.csv: is not a file. Expected CSV, other separated text, or Parquet."
    )
    assert mail_error("schema", "init", raw / "empty.csv") == f"{raw}/empty.csv: the file is empty. Expected rows."
    assert mail_error("schema", "init", raw / "one.txt") == (
        f"{raw}/one.txt: no separator splits its first 2 lines into the same number of fields; the first line is "
        "'word'. Expected one of '::', '\\x01', '\\t', ';', '|', ','."
    )
    (raw / "bad.parquet").write_bytes(b"PAR")
    assert mail_error("schema", "init", raw / "bad.parquet").startswith(
        f"{raw}/bad.parquet: cannot be read as Parquet ("
    )


def test_files_that_are_no_tables_say_why(tmp_path: Path) -> None:
    raw = write_files(
        tmp_path,
        {"head.csv": "user_id,item_id,timestamp,click\n", "twice.csv": "user_id,click,click\n1,0,0\n2,1,1\n"},
    )
    assert mail_error("schema", "init", raw / "head.csv") == (
        f"{raw}/head.csv: has no row below the header line. Expected rows."
    )
    twice = "has more than one column 'click'. Expected distinct names: rename one in the file."
    assert mail_error("schema", "init", raw / "twice.csv") == f"{raw}/twice.csv: {twice}"
    table = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["click", "click"])
    pq.write_table(table, raw / "twice.parquet")
    assert mail_error("schema", "init", raw / "twice.parquet") == f"{raw}/twice.parquet: {twice}"
    pq.write_table(table.rename_columns(["a", "b"]).slice(1), raw / "none.PARQUET")
    assert mail_error("schema", "init", raw / "none.PARQUET") == f"{raw}/none.PARQUET: has no rows. Expected some."
    (raw / "big.csv").write_bytes("\ufeffuser_id,click\n1,0\n".encode("utf-16-be"))
    assert mail_error("schema", "init", raw / "big.csv") == (
        f"{raw}/big.csv: is big-endian UTF-16, which cannot be read. Save it as UTF-8."
    )
    (raw / "log.csv.zip").write_bytes(b"PK\x03\x04\x14\0\0\0log.csv")
    assert mail_error("schema", "init", raw / "log.csv.zip") == (
        f"{raw}/log.csv.zip: contains zero bytes, so it is not text. Expected CSV or other separated text (plain or "
        ".gz), or Parquet with a name that ends in .parquet; decompress it, or save it as UTF-8."
    )
    pq.write_table(pa.table({"user_id": [b"1"], "item_id": [2], "timestamp": [3], "click": [1]}), raw / "b.parquet")
    assert "Found: b.parquet: user_id (bytes), item_id, timestamp, click." in mail_error(
        "schema", "init", raw / "b.parquet"
    )


def test_rows_may_span_lines_and_a_quote_may_be_none(tmp_path: Path) -> None:
    raw = write_files(
        tmp_path,
        {"breaks.csv": 'a,b\n"x\n\ny",1\n\n"z\n",2\n', "quotes.csv": 'a,b\n5" disk,"x" or y\n6",z\n'},
    )
    with gzip.open(raw / "breaks.csv.gz", "wb") as file:
        file.write((raw / "breaks.csv").read_bytes())
    for name in ("breaks.csv", "breaks.csv.gz"):
        sample = sample_file(raw / name)
        assert [(column.name, column.values) for column in sample.columns] == [
            ("a", ("x\n\ny", "z\n")),
            ("b", ("1", "2")),
        ]
    assert sample_file(raw / "quotes.csv").format.quote == ""
    assert sample_file(raw / "quotes.csv").columns[0].values == ('5" disk', '6"')


def test_the_character_for_bytes_that_are_no_text_may_be_in_a_file_of_utf_8(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("user,city\n1,\ufffd\n", encoding="utf-8")
    assert sample_file(path).format.encoding == "utf-8"
    path.write_bytes("user,city\n1,\xe9\n".encode("latin-1"))
    assert sample_file(path).format.encoding == "latin-1"


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("user_id,age,7d_segment\nu1,30,a\nu2,31,b\n", ["user_id", "age", "7d_segment"]),
        ("user,item,at,2020\nu1,i1,100,1\nu2,i2,101,0\n", ["user", "item", "at", "2020"]),
        ("user,sex,7d_segment\nu1,f,3\nu2,m,4\n", ["user", "sex", "7d_segment"]),
        ("user,at,-1,x\n1,,5,y\n2,7.5,6,y\n", ["user", "at", "-1", "x"]),
        # A value that lacks, above numbers, makes no header, nor do words above words.
        ("ann,unknown,3\nbob,30,4\neva,31,5\n", ["column_1", "column_2", "column_3"]),
        ("ann,rome,3\nbob,oslo,4\neva,bonn,5\n", ["column_1", "column_2", "column_3"]),
        # What occurs below is no name.
        ("user,age,1\nu1,30,1\nu2,31,2\n", ["column_1", "column_2", "column_3"]),
        # Most are no words.
        ("user,1,2\n5,6,7\n8,9,10\n", ["column_1", "column_2", "column_3"]),
    ],
)
def test_a_few_names_of_a_header_may_be_no_words(tmp_path: Path, text: str, names: list[str]) -> None:
    path = tmp_path / "a.csv"
    path.write_text(text)
    assert list(sample_file(path).names) == names
