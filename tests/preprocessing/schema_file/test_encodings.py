"""Text in other encodings than UTF-8 is read as what it says, or is one line of error."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from mailcli.errors import MailError
from tests.helpers.command_line import mail
from tests.helpers.schema_files import FILES, SCHEMA, edited, mail_error, make_dataset, values_by_user, write_files

CITIES = "id,city,hobbies,age,income\nann,\u5317\u4eac,chess|go,17,10\nbob,\u4e0a\u6d77,go,18,20\ncid,?,,30,30\ndan,\u5317\u4eac,chess,?,1000\n"
BY_USER = {"ann": "\u5317\u4eac", "bob": "\u4e0a\u6d77", "cid": None, "dan": "\u5317\u4eac"}


def schema_in(encoding: str, name: str = "users.csv") -> str:
    return edited(('files = "users.csv"', f'files = "{name}"\nencoding = "{encoding}"'))


@pytest.mark.parametrize("encoding", ["gb18030", "gbk", "gb2312", "big5", "shift_jis", "euc-jp", "utf-16"])
def test_texts_are_those_of_the_encoding(tmp_path: Path, encoding: str) -> None:
    raw = write_files(tmp_path / "raw", FILES)
    (raw / "users.csv").write_bytes(CITIES.encode(encoding))
    assert values_by_user(make_dataset(tmp_path, schema_in(encoding), {}), "city") == BY_USER


def test_compressed_files_and_splits_by_file_are_read(tmp_path: Path) -> None:
    """The rows' files are the user's, not the copies."""
    head, *rows = FILES["shown.csv"].splitlines()
    parts = {"a.csv.gz": rows[:4], "b.csv.gz": rows[4:6], "c.csv.gz": rows[6:]}
    raw = write_files(tmp_path / "raw", FILES)
    for name, lines in parts.items():
        text = "\n".join([head, *(line.replace(",p", ",\u5317") for line in lines)])
        (raw / name).write_bytes(gzip.compress(text.encode("gbk")))
    schema = edited(('files = "shown.csv"', 'files = "*.csv.gz"\nencoding = "gbk"'))
    schema = schema[: schema.index("[split]")] + '[split]\nby = "file"\ntrain = "a*"\nvalidation = "b*"\ntest = "c*"\n'
    dataset = make_dataset(tmp_path, schema, {})
    assert [len(dataset.column(split, "user")) for split in ("train", "validation", "test")] == [4, 2, 3]
    assert dataset.column("vocabularies", "page").tolist() == ["q", "\u5317"]


def test_a_compressed_file_whose_checksum_is_wrong_is_damaged(tmp_path: Path) -> None:
    """Behind the rows that are read first, so that it shows in the copy."""
    raw = write_files(tmp_path / "raw", FILES)
    rows = "".join(f"u{number},\u5317\u4eac,,17,10\n" for number in range(100_000))
    compressed = bytearray(gzip.compress((CITIES + rows).encode("gbk")))
    # The checksum is the first four of the last eight bytes.
    compressed[-8] ^= 1
    (raw / "users.csv.gz").write_bytes(compressed)
    with pytest.raises(MailError) as error:
        make_dataset(tmp_path, schema_in("gbk", "users.csv.gz"), {})
    assert error.value.message.startswith(f"{raw}/users.csv.gz: is cut off or damaged (CRC check failed ")


def test_bytes_that_are_no_text_are_set_aside_with_their_line(tmp_path: Path) -> None:
    raw = write_files(tmp_path / "raw", FILES)
    (raw / "users.csv").write_bytes(CITIES.encode("gbk") + b"eva,\xff,,1,1\n")
    with pytest.raises(MailError) as error:
        make_dataset(tmp_path, schema_in("gbk"), {})
    assert error.value.message == (
        f"{raw}/users.csv, line 6: is not gbk text. Expected such text. 1 of 5 rows (20.00%) cannot be used, "
        "--max-bad-rows allows 0.1%. Fix or remove them."
    )
    assert values_by_user(make_dataset(tmp_path, schema_in("gbk"), {}, max_bad_rows=0.2), "city") == BY_USER


def test_a_wrong_encoding_is_one_line(tmp_path: Path) -> None:
    raw = write_files(tmp_path / "raw", {**FILES, "users.csv": CITIES})
    for encoding in ("latin-1", "gbk"):
        with pytest.raises(MailError) as error:
            make_dataset(tmp_path, schema_in(encoding), {})
        assert error.value.message == (
            f"{tmp_path}/my.toml: users.files: users.csv is UTF-8, but encoding is '{encoding}'. "
            'Expected encoding = "utf-8".'
        )
    (raw / "users.csv").write_bytes(CITIES.encode("gbk"))
    with pytest.raises(MailError, match='is not utf-8 text. Expected such text; or encoding = "gb18030", which'):
        make_dataset(tmp_path, SCHEMA, {})


@pytest.mark.parametrize(
    ("text", "encoding", "proposed"),
    [
        ("\u5317\u4eac", "gbk", "gb18030"),
        ("\u5e7f\u5dde, \u6df1\u5733", "gb18030", "gb18030"),
        ("K\xf6ln", "latin-1", "latin-1"),
        ("Orl\xe9ans", "latin-1", "latin-1"),
        ("\u201cOrl\xe9ans\u201d", "windows-1252", "windows-1252"),
    ],
)
def test_the_encoding_is_proposed(tmp_path: Path, text: str, encoding: str, proposed: str) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    (raw / "users.csv").write_bytes(f'user_id,city\n1,"{text}"\n2,Rome\n'.encode(encoding))
    (raw / "log.csv").write_text("user_id,item_id,timestamp,click\n1,7,1700000000,1\n2,8,1700000001,0\n")
    mail("schema", "init", raw / "users.csv", raw / "log.csv", "-o", tmp_path / "my.toml")
    assert f'encoding = "{proposed}"' in (tmp_path / "my.toml").read_text()


def test_bytes_that_latin_1_does_not_have_are_one_line(tmp_path: Path) -> None:
    raw = write_files(tmp_path / "raw", FILES)
    (raw / "users.csv").write_bytes(FILES["users.csv"].encode().replace(b"Rome", b"\x93Rome\x94"))
    with pytest.raises(MailError) as error:
        make_dataset(tmp_path, schema_in("latin-1"), {})
    assert error.value.message == (
        f"{raw}/users.csv: holds bytes from 0x80 to 0x9f, which are not latin-1. Expected encoding = "
        '"windows-1252", or other bytes.'
    )
    cities = values_by_user(make_dataset(tmp_path, schema_in("windows-1252"), {}), "city")
    assert cities["ann"] == "\u201cRome\u201d"


def test_unknown_encodings_are_refused(tmp_path: Path) -> None:
    raw = write_files(tmp_path / "raw", FILES)
    (tmp_path / "my.toml").write_text(schema_in("gb-2312"))
    error = mail_error(
        "preprocess", "d", "--schema", tmp_path / "my.toml", "--raw", raw, "--data-dir", tmp_path / "data"
    )
    assert "users.encoding = 'gb-2312': expected one of 'utf-8', 'latin-1', 'utf-16', 'gb18030'" in error
