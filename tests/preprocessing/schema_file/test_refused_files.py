"""Files and columns of a schema file that cannot be used: one line, and no dataset."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from mailcli.errors import MailError
from tests.helpers.schema_files import FILES, SCHEMA, edited, make_dataset, raw_rows, refusal, write_files

JOINED = edited(
    ("[impressions.context]", '[impressions.join]\nfiles = "pages.csv"\non = "page"\n[impressions.context]'),
    ('page = "page"', 'width = {column = "width", edges = [3]}'),
)


def test_a_gzip_file_by_another_name_is_refused(tmp_path: Path) -> None:
    raw = write_files(tmp_path / "raw", FILES)
    (raw / "users.csv.GZ").write_bytes(gzip.compress(FILES["users.csv"].encode()))
    with pytest.raises(MailError) as error:
        make_dataset(tmp_path, edited(('"users.csv"', '"users.csv.GZ"')), {})
    assert "users.csv.GZ ends in .GZ. Expected the extension .gz: rename the file" in error.value.message
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (
            gzip.compress(FILES["users.csv"].encode(), mtime=0),
            "is compressed by gzip. Expected a name that ends in .gz: rename ",
        ),
        (b"PAR1\x15\x04", "is Parquet. Expected a name that ends in .parquet: rename the file"),
        (FILES["users.csv"].encode("utf-32"), "begins as UTF-32 does, or UTF-16 without a byte order mark"),
        (FILES["users.csv"].encode("utf-16-le"), "begins as UTF-32 does, or UTF-16 without a byte order mark"),
        (FILES["users.csv"].encode("utf-16-be"), "begins as UTF-32 does, or UTF-16 without a byte order mark"),
    ],
    ids=["gzip", "parquet", "utf-32", "utf-16-le", "utf-16-be"],
)
def test_a_file_whose_first_bytes_are_of_another_format_is_refused(tmp_path: Path, content: bytes, fault: str) -> None:
    raw = write_files(tmp_path / "raw", FILES)
    (raw / "users.csv").write_bytes(content)
    for schema in (SCHEMA, edited(('files = "users.csv"', 'files = "users.csv"\nencoding = "utf-16"'))):
        with pytest.raises(MailError) as error:
            make_dataset(tmp_path, schema, {})
        assert f"users.csv {fault}" in error.value.message


def test_a_number_with_an_underscore_is_none(tmp_path: Path) -> None:
    """DuckDB reads 18_24 as 1824."""
    files = FILES | {"users.csv": FILES["users.csv"].replace(",17,", ",17_18,")}
    assert "column 'age' holds '17_18'. Expected a number or nothing." in refusal(tmp_path, SCHEMA, files)
    files = FILES | {"shown.csv": FILES["shown.csv"].replace("ann,x1,200,1", "ann,x1,2_00,1")}
    assert "column 'at' holds '2_00'. Expected a time in s since 1970" in refusal(tmp_path, SCHEMA, files)
    files = FILES | {"shown.csv": FILES["shown.csv"].replace("ann,x1,200,1", "ann,x1,200,1_0")}
    rule = edited(('click = "clicked"', 'click = {column = "clicked", at_least = 5}'))
    assert "column 'clicked' holds '1_0'. Expected a number" in refusal(tmp_path, rule, files)


def test_an_empty_pattern_is_said_to_be_empty(tmp_path: Path) -> None:
    message = refusal(tmp_path, edited(('files = "items.csv"', 'files = [""]')), FILES)
    assert "items.files = '': is empty. Expected a file in the folder " in message


def test_what_an_expression_takes_is_expected_to_be_a_time(tmp_path: Path) -> None:
    schema = edited(('time = "at"\nclick', 'time = {column = "at", extract = "t(.*)"}\nclick'))
    message = refusal(tmp_path, schema, FILES)
    assert "column 'at' holds '200'. Expected a time in s since 1970" in message
    assert " in what extract = 't(.*)' takes from it" in message


def test_a_value_of_a_joined_file_names_the_file(tmp_path: Path) -> None:
    message = refusal(tmp_path, JOINED, FILES | {"pages.csv": "page,width\np,wide\nq,4\nr,5\n"})
    assert "the column 'width' of pages.csv holds another value. Expected a number or nothing" in message


def test_an_attribute_may_be_called_n_and_have_quantiles(tmp_path: Path) -> None:
    schema = edited(("income = {column", "n = {column"))
    rows = raw_rows(tmp_path, schema, FILES, "users")
    assert {row["user"]: row["n"] for row in rows} == {"ann": 0, "bob": 1, "cid": 1, "dan": 1}
