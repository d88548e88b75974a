"""Rows that cannot be used: the reason, the line, and what the schema file may need."""

from __future__ import annotations

import csv
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mailcli.errors import MailError
from tests.helpers.datasets import columns
from tests.helpers.schema_files import (
    FILES,
    SCHEMA,
    WIDE,
    WIDE_FILE,
    edited,
    make_dataset,
    write_files,
)


def test_unusable_rows_are_set_aside_with_the_reason(tmp_path: Path) -> None:
    bad = {
        "shown.csv": {
            ",x1,200,1,p": "column 'who' holds ''. Expected a value",
            "ann,x1,soon,1,p": "column 'at' holds 'soon'. Expected a time in s since 1970, from 0 to 68719476735",
            "ann,x1,1650485801301,1,p": "column 'at' holds '1650485801301'. "
            'Expected a time in s since 1970, from 0 to 68719476735; or unit = "ms"',
            "ann,x1,200,2,p": "column 'clicked' holds '2'. Expected 0 or 1, true or false; or impressions.click = "
            '{column = "clicked", equals = "..."}, with the value for which it holds',
            "ann,x1,200": "has 3 fields. Expected 5: who,sku,at,clicked,page",
            "ann,x1,200,1,p,q,r": "has 7 fields. Expected 5: who,sku,at,clicked,page",
        },
        "users.csv": {
            "eva,Rome,,old,1": "column 'age' holds 'old'. Expected a number or nothing",
            "eva,Rome,a|b|c|d,1,1": "column 'hobbies' holds 'a|b|c|d'. Expected at most 3 values (most = 3)",
            "eva,Rome,,1,nan": "column 'income' holds 'nan'. Expected a number or nothing",
        },
        "items.csv": {
            "x9,hat,cheap": "column 'price' holds 'cheap'. Expected a number of 0 or more, or nothing",
            "x8,hat,-5": "column 'price' holds '-5'. Expected a number of 0 or more, or nothing",
        },
        "log-1.csv": {
            "ann,100,look,hat": "column 'what' holds 'look'. Expected one of 'view', 'buy'"
            '; or behaviors.where = {column = "what", one_of = ["view", "buy"]}, which leaves other rows out'
        },
    }
    files = {name: text + "".join(f"{line}\n" for line in bad.get(name, {})) for name, text in FILES.items()}
    dataset = make_dataset(tmp_path, SCHEMA, files, max_bad_rows=0.5)
    for name, expected in bad.items():
        with open(dataset.folder / "rejected" / name, newline="") as file:
            assert {row["row"]: row["reason"] for row in csv.DictReader(file)} == expected
    assert columns(dataset) == columns(make_dataset(tmp_path / "clean", SCHEMA))


#: A text with which a row has more than 10,000 characters.
LONG = 12_000 * "a"


def test_a_long_row_is_cut_and_its_values_before_the_cut_are_known(tmp_path: Path) -> None:
    rows = {
        f"eva,Rome,,old,{LONG}": "column 'age' holds 'old'. Expected a number or nothing",
        f"eva,{LONG},,old,1": "column 'age' holds another value, in a row of more than 10,000 characters. Expected a number or "
        "nothing",
        f"eva,{LONG}": "has another number of fields. Expected 5: id,city,hobbies,age,income",
    }
    for number, (row, reason) in enumerate(rows.items()):
        files = {**FILES, "users.csv": f"{FILES['users.csv']}{row}\n"}
        dataset = make_dataset(tmp_path / str(number), SCHEMA, files, max_bad_rows=0.5)
        with open(dataset.folder / "rejected" / "users.csv", newline="") as file:
            assert list(csv.DictReader(file)) == [{"reason": reason, "row": row[:10_000]}]


def test_a_long_row_of_parquet_is_cut(tmp_path: Path) -> None:
    users = pa.table({"id": ["ann", "bob", "eva"], "city": ["Rome", "Oslo", LONG], "age": ["20", "30", "old"]})
    schema = SCHEMA[SCHEMA.index("[items]") :] + "[users]\nfiles = 'u.parquet'\nuser = 'id'\n[users.attributes]\n"
    (tmp_path / "raw").mkdir()
    pq.write_table(users, tmp_path / "raw" / "u.parquet")
    schema += "city = 'city'\nage = {column = 'age', edges = [18]}\n"
    dataset = make_dataset(tmp_path, schema, max_bad_rows=0.5)
    with open(dataset.folder / "rejected" / "u.parquet.csv", newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["reason"] == (
        "column 'age' holds another value, in a row of more than 10,000 characters. Expected a number or nothing"
    )


def test_too_many_stop_it_and_the_first_is_named(tmp_path: Path) -> None:
    files = {**FILES, "log-2.csv": FILES["log-2.csv"] + "ann,400,look,hat\n"}
    with pytest.raises(MailError) as error:
        make_dataset(tmp_path, SCHEMA, files)
    assert error.value.message == (
        f"{tmp_path}/raw/log-2.csv, line 4: column 'what' holds 'look'. Expected one of 'view', 'buy'; or behaviors.where = "
        '{column = "what", one_of = ["view", "buy"]}, which leaves other rows out. 1 of 6 rows '
        "(16.67%) cannot be used, --max-bad-rows allows 0.1%. Fix or remove them."
    )
    assert not (tmp_path / "data").exists()


def test_a_conversion_without_a_click_is_unusable(tmp_path: Path) -> None:
    schema = edited(('click = "clicked"', 'click = "clicked"\nconversion = "bought"'))
    head, *rows = FILES["shown.csv"].splitlines()
    text = "\n".join([f"{head},bought", *(f"{row},0" for row in rows), "ann,x1,200,0,p,1"]) + "\n"
    with pytest.raises(MailError) as error:
        make_dataset(tmp_path, schema, {**FILES, "shown.csv": text})
    assert error.value.message.startswith(
        f"{tmp_path}/raw/shown.csv, line 11: column 'clicked' holds '0', column 'bought' holds '1'. Expected no "
        "conversion without a click. 1 of 10 rows"
    )


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (
            "ann,x1,200,yes,p",
            "column 'clicked' holds 'yes'. Expected 0 or 1, true or false; or impressions.click = "
            '{column = "clicked", equals = "yes"}',
        ),
        (
            "ann,x1,200,-1,p",
            "column 'clicked' holds '-1'. Expected 0 or 1, true or false; or impressions.click = "
            '{column = "clicked", equals = 1}',
        ),
        (
            "ann,x1,200,No,p",
            "column 'clicked' holds 'No'. Expected 0 or 1, true or false; or impressions.click = "
            '{column = "clicked", equals = "..."}, with the value for which it holds',
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
            '"%Y-%m-%d %H:%M:%S", if it is text',
        ),
    ],
)
def test_the_reason_says_what_the_schema_file_may_need(tmp_path: Path, row: str, reason: str) -> None:
    with pytest.raises(MailError) as error:
        make_dataset(tmp_path, SCHEMA, {**FILES, "shown.csv": FILES["shown.csv"] + f"{row}\n"})
    assert error.value.message == (
        f"{tmp_path}/raw/shown.csv, line 11: {reason}. 1 of 10 rows (10.00%) cannot be used, --max-bad-rows allows 0.1%. "
        "Fix or remove them."
    )


def test_bytes_that_are_no_utf_8_are_named_with_their_line(tmp_path: Path) -> None:
    raw = write_files(tmp_path / "raw", FILES)
    (raw / "users.csv").write_bytes(FILES["users.csv"].encode() + b"eva,K\xf6ln,,1,1\n")
    with pytest.raises(MailError) as error:
        make_dataset(tmp_path, SCHEMA, {})
    assert error.value.message == (
        f'{raw}/users.csv, line 6: is not utf-8 text. Expected such text; or encoding = "windows-1252", as '
        "of many Western European files. 1 of 5 rows (20.00%) cannot be used, --max-bad-rows allows 0.1%. Fix or remove them."
    )


@pytest.mark.parametrize(
    ("name", "old", "new", "line", "fault"),
    [
        ("users.csv", "ann,Rome", "ann\0,Rome", 2, "column 'id' holds 'ann\\x00'"),
        ("users.csv", "Rome", "Ro\0me", 2, "column 'city' holds 'Ro\\x00me'"),
        ("users.csv", "chess|go", "che\0ss|go", 2, "column 'hobbies' holds 'che\\x00ss|go'"),
        ("shown.csv", "bob,x1,100,0,q", "bob,x1,100,0,q\0", 4, "column 'page' holds 'q\\x00'"),
    ],
)
def test_a_text_with_nul_is_set_aside(tmp_path: Path, name: str, old: str, new: str, line: int, fault: str) -> None:
    """NumPy drops NUL at the end of a text, so 'q' and 'q' with NUL would be one value."""
    with pytest.raises(MailError) as error:
        make_dataset(tmp_path, SCHEMA, {**FILES, name: FILES[name].replace(old, new, 1)})
    assert error.value.message.startswith(
        f"{tmp_path}/raw/{name}, line {line}: {fault}. Expected text without the character NUL. 1 of "
    )


def test_rows_of_two_tables_of_one_file_are_both_kept(tmp_path: Path) -> None:
    """Impressions and behaviors are read from wide.csv, and one row each cannot be used."""
    schema = edited(('action = {constant = "click"}', 'action = {column = "what", values = ["view"]}'), schema=WIDE)
    schema = schema.replace('where = "clicked"\n', "")
    head, *rows = WIDE_FILE.splitlines()
    lines = [f"{head},what", *(f"{row},view" for row in rows), "ann,Rome,20,x1,hat,200,7,view"]
    lines.append("ann,Rome,20,x1,hat,201,1,odd")
    dataset = make_dataset(tmp_path, schema, {"wide.csv": "\n".join(lines) + "\n"}, max_bad_rows=0.5)
    assert {path.name: path.read_text() for path in (dataset.folder / "rejected").iterdir()} == {
        "impressions-wide.csv": "reason,row\n"
        "\"column 'clicked' holds '7'. Expected 0 or 1, true or false; or impressions.click = "
        '{column = ""clicked"", equals = ""...""}, with the value for which it holds","ann,Rome,20,x1,hat,200,7,view"\n',
        "behaviors-wide.csv": "reason,row\n"
        "\"column 'what' holds 'odd'. Expected one of 'view'; or behaviors.where = {column = "
        '""what"", one_of = [""view""]}, which leaves other rows out","ann,Rome,20,x1,hat,201,1,odd"\n',
    }


def test_rows_of_files_with_one_name_are_both_kept(tmp_path: Path) -> None:
    """Users and items are in files of the same name, in other folders."""
    schema = edited(('"users.csv"', '"users/part.csv"'), ('"items.csv"', '"items/PART.csv"'))
    for folder in ("users", "items"):
        (tmp_path / "raw" / folder).mkdir(parents=True)
    files = {name: text for name, text in FILES.items() if name not in {"users.csv", "items.csv"}}
    files["users/part.csv"] = FILES["users.csv"] + "eva,Rome,,old,1\n"
    files["items/PART.csv"] = FILES["items.csv"] + "x9,hat,cheap\n"
    dataset = make_dataset(tmp_path, schema, files, max_bad_rows=0.5)
    assert {path.name for path in (dataset.folder / "rejected").iterdir()} == {"users-part.csv", "items-PART.csv"}
