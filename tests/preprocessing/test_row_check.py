"""Rows of the raw files = rows used + rows set aside, for every table and every reader; or one line of error."""

from __future__ import annotations

import gzip
import re
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailcli.data.dataset import Dataset
from mailcli.data.schema import SPLITS
from mailcli.errors import MailError
from mailcli.preprocessing.pipeline import PreprocessOptions, preprocess
from tests.helpers import alimama
from tests.helpers.schema_files import FILES, WIDE, WIDE_FILE, edited, make_dataset, write_files

JOINED = edited(
    (
        "[impressions.context]",
        '[impressions.join]\nfiles = "pages.csv"\non = "page"\n[impressions.context]\ntopic = "topic"',
    ),
)
JOINED_FILES = {**FILES, "pages.csv": "page,topic\np,news\nq,sport\nq,sport\n"}
#: A further good row of each file, with a number in it.
GOOD = {
    "users.csv": "zoe%d,Rome,chess,20,10",
    "items.csv": "y%d,hat,5",
    "log-1.csv": "ann,%d,view,hat",
    "shown.csv": "ann,x1,%d,1,p",
    "pages.csv": "r%d,news",
}
#: What is done to a row, and how many rows it makes; None: rows after it are swallowed.
FAULTS: dict[str, tuple[str, int | None]] = {
    "good": ("{row}", 1),
    "missing column": ("{start}", 1),
    "two more columns": ("{row},8,9", 1),
    "comma at the end": ("{row},", 1),
    "no number": ("{start},?!", 1),
    "other value": ("{row}odd", 1),
    "only commas": (",,,,", 1),
    "empty line": ("", 0),
    "blank line": (" \t ", 0),
    "wrong encoding": ("{row}\udcff", 1),
    "quote within": ('x"{row}', 1),
    "text behind a quote": ('"x"{row}', 1),
    "quoted": ('"x"', 1),
    "value of two lines": ('"x\ny",{row}', 1),
    "open quote": ('"{row}', None),
    "open quote in the last column": ('{start},"z', None),
    "NUL": ("{row}\0", 1),
}


def with_faults(text: str, good: str, faults: list[str]) -> tuple[bytes, int | None]:
    """A file with faulty rows at its end, and how many rows it has; None if some are swallowed."""
    lines, counts = [], []
    for number, fault in enumerate(faults, start=1):
        pattern, rows = FAULTS[fault]
        row = good % number
        lines.append(pattern.format(row=row, start=row.rpartition(",")[0]) + "\n")
        counts.append(rows)
    data = (text + "".join(lines)).encode("utf-8", "surrogateescape")
    return data, None if None in counts else text.count("\n") - 1 + sum(rows or 0 for rows in counts)


def files_of(dataset: Dataset) -> dict[str, tuple[int, int]]:
    """Rows and rows set aside of each table, as the summary gives them; as many are in rejected/."""
    text = (dataset.folder / "summary.md").read_text()
    rows = re.findall(r"^\| (\w+) \| \S+(?:, \S+)* \| ([\d,]+) \| ([\d,]+) \|$", text, re.MULTILINE)
    return {table: (int(count.replace(",", "")), int(aside.replace(",", ""))) for table, count, aside in rows}


def finding(dataset: Dataset, start: str) -> int:
    """A number of the summary."""
    (number,) = re.findall(
        rf"^\| {re.escape(start)}.* \| ([\d,]+) \|", (dataset.folder / "summary.md").read_text(), re.M
    )
    return int(number.replace(",", ""))


def used(dataset: Dataset) -> dict[str, int]:
    """Impressions in the dataset; behaviors in it, or left out for a reason that the summary gives."""
    return {
        "impressions": sum(len(dataset.column(split, "user")) for split in SPLITS),
        "behaviors": sum(
            finding(dataset, start)
            for start in (
                "behaviors of users without an impression",
                "behaviors not before",
                "behaviors older than",
                "behaviors in the dataset",
            )
        ),
    }


def check_reconciled(faults: dict[str, list[str]]) -> None:
    """Make a dataset of files with these faults, and compare rows of the files with rows used and set aside."""
    made = {name: with_faults(JOINED_FILES[name], GOOD[name], faults.get(name, [])) for name in GOOD}
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        raw = write_files(folder / "raw", JOINED_FILES)
        for name, (data, _) in made.items():
            (raw / name).write_bytes(data)
        if any(count is None for _, count in made.values()):
            with pytest.raises(MailError) as error:
                make_dataset(folder, JOINED, {}, max_bad_rows=1.0)
            assert "\n" not in error.value.message
            assert not (folder / "data" / "mine").exists()
            return
        dataset = make_dataset(folder, JOINED, {}, max_bad_rows=1.0)
        tables = files_of(dataset)
        names = {"users": "users.csv", "items": "items.csv", "impressions": "shown.csv", "join": "pages.csv"}
        assert {table: tables[table][0] for table in names} == {table: made[name][1] for table, name in names.items()}
        assert tables["behaviors"][0] == (made["log-1.csv"][1] or 0) + 2
        assert used(dataset) == {name: tables[name][0] - tables[name][1] for name in ("impressions", "behaviors")}


SOME = st.fixed_dictionaries({name: st.lists(st.sampled_from(list(FAULTS)), max_size=4) for name in GOOD})
HARMLESS = [fault for fault, (_, rows) in FAULTS.items() if rows is not None]
COUNTED = st.fixed_dictionaries({name: st.lists(st.sampled_from(HARMLESS), max_size=6) for name in GOOD})


@settings(max_examples=4, deadline=None)
@given(COUNTED)
def test_all_rows_are_used_or_set_aside(faults: dict[str, list[str]]) -> None:
    check_reconciled(faults)


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(st.one_of(SOME, COUNTED))
def test_all_rows_are_used_or_set_aside_in_many_files(faults: dict[str, list[str]]) -> None:
    check_reconciled(faults)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name in {"items.csv", "pages.csv"} else []) for name in GOOD]
)
def test_every_fault_of_every_file_is_counted(name: str) -> None:
    check_reconciled({"log-1.csv": [], name: HARMLESS})


@pytest.mark.parametrize("packed", [False, True])
def test_an_open_quote_is_one_error_with_its_line(tmp_path: Path, packed: bool) -> None:
    """Not 'no impression falls into the test split', which is what the lost rows lead to."""
    lines = FILES["shown.csv"].splitlines()
    lines[3] = 'bob,x1,100,0,"q'
    text = "\n".join(lines) + "\n"
    raw = write_files(tmp_path / "raw", FILES)
    name = "shown.csv.gz" if packed else "shown.csv"
    (raw / name).write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    schema = edited(('"shown.csv"', f'"{name}"'))
    with pytest.raises(MailError) as error:
        make_dataset(tmp_path, schema, {})
    assert error.value.message == (
        f'{raw}/{name}, line 4: a value begins with a quote (") that is never closed, so the rows after it become part of '
        'the value. Expected quotes around whole values. Correct the line; or set impressions.quote = "", if quotes have '
        "no meaning in this file."
    )
    dataset = make_dataset(tmp_path, schema.replace("[impressions]", '[impressions]\nquote = ""'), {})
    assert files_of(dataset)["impressions"] == (9, 0)


def test_rows_between_two_stray_quotes_are_noted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """They are read as one value of several lines, which may be meant; a word says so and how to read them."""
    text = FILES["log-2.csv"] + 'ann,300,view,"hat\nann,301,view,cap\nann,302,view,pen"\n'
    dataset = make_dataset(tmp_path, edited(), FILES | {"log-2.csv": text})
    note = (
        "2 line breaks are within quotes, the first in log-2.csv, line 4: the text before and after it is one row. If "
        'they are separate rows, set behaviors.quote = ""'
    )
    assert f"Note: {note}." in caplog.text
    assert f"- {note}." in (dataset.folder / "summary.md").read_text()
    rows = files_of(dataset)["behaviors"][0]
    schema = edited(("[behaviors]", '[behaviors]\nquote = ""'))
    caplog.clear()
    assert (
        files_of(make_dataset(tmp_path / "unquoted", schema, FILES | {"log-2.csv": text}))["behaviors"][0] == rows + 2
    )
    assert "line break" not in caplog.text


def test_an_open_quote_of_joined_files_is_located(tmp_path: Path) -> None:
    files = {**JOINED_FILES, "pages.csv": 'page,topic\np,"news\nq,"sport\n'}
    with pytest.raises(MailError, match=r"pages.csv, line 2: .* closed in line 3, .* impressions\.join\.quote = "):
        make_dataset(tmp_path, JOINED, files)


def test_rows_of_joined_files_are_set_aside(tmp_path: Path) -> None:
    files = {**JOINED_FILES, "pages.csv": "page,topic\np,news\nq\nq,sport,x\nq,sport\n"}
    with pytest.raises(MailError, match=r"pages.csv, line 3: has 1 field. .* 2 of 4 rows \(50.00%\) cannot be used"):
        make_dataset(tmp_path, JOINED, files)
    dataset = make_dataset(tmp_path, JOINED, files, max_bad_rows=0.5)
    assert files_of(dataset)["join"] == (4, 2)
    assert (dataset.folder / "rejected" / "pages.csv").read_text() == (
        'reason,row\n"has 1 field. Expected 2: page,topic",q\n"has 3 fields. Expected 2: page,topic","q,sport,x"\n'
    )


def test_shares_of_bad_rows_are_of_the_files_rows(tmp_path: Path) -> None:
    """Behaviors are the clicks among the impressions: 4 of 7 rows; one more row has no time."""
    files = {"wide.csv": WIDE_FILE + "ann,Rome,20,x1,hat,never,1\n"}
    with pytest.raises(MailError, match=r"1 of 8 rows \(12.50%\) cannot be used"):
        make_dataset(tmp_path, WIDE, files)
    assert files_of(make_dataset(tmp_path, WIDE, files, max_bad_rows=0.2)) == {
        "users": (2, 0),
        "items": (2, 0),
        "impressions": (8, 1),
        "behaviors": (8, 1),
    }
    assert used(Dataset(tmp_path / "data" / "mine")) == {"impressions": 7, "behaviors": 4}


def test_rows_of_parquet_are_counted(tmp_path: Path) -> None:
    raw = write_files(tmp_path / "raw", FILES)
    text = FILES["log-1.csv"] + "ann,never,view,hat\n"
    table = pa.csv.read_csv(
        pa.py_buffer(text.encode()), convert_options=pa.csv.ConvertOptions(column_types={"at": "str"})
    )
    pq.write_table(table, raw / "log.parquet")
    dataset = make_dataset(tmp_path, edited(('"log-*.csv"', '"log.parquet"')), {}, max_bad_rows=0.25)
    assert files_of(dataset)["behaviors"] == (4, 1)


def test_a_bad_row_of_one_of_several_parquet_files_is_located(tmp_path: Path) -> None:
    raw = write_files(tmp_path / "raw", FILES)
    times = {1: ["100", "200"], 2: ["50", "never", "never"], 3: ["never"]}
    for number, at in times.items():
        table = {"who": ["ann"] * len(at), "at": at, "what": ["view"] * len(at), "kind": ["hat"] * len(at)}
        pq.write_table(pa.table(table), raw / f"log-{number}.parquet")
    with pytest.raises(MailError) as error:
        make_dataset(tmp_path, edited(('"log-*.csv"', '"log-*.parquet"')), {})
    expected = f"{raw / 'log-2.parquet'}, row 2: column 'at' holds 'never'. Expected"
    assert error.value.message.startswith(expected)
    assert "3 of 6 rows" in error.value.message


def test_a_bad_row_that_spans_lines_is_not_said_to_be_in_the_first_file(tmp_path: Path) -> None:
    files = FILES | {"log-2.csv": FILES["log-2.csv"] + '"ann\nor bob",never,view,hat\n'}
    with pytest.raises(MailError) as error:
        make_dataset(tmp_path, edited(), files)
    first = tmp_path / "raw" / "log-1.csv"
    assert error.value.message.startswith(
        f"{first} or another file of this table: the row '\"ann\\nor bob\",never,view,hat': column 'at' holds 'never'."
    )


#: Lines at the end of Alimama's files, and how many rows they are.
ALIMAMA_FAULTS = {"1,2": 1, "": 0, "   ": 0, ",": 1, '"': 1, '1,"2': 1, "a,b,c,d,e,f,g,h,i,j,k": 1, "\xe9": 1, "1\0": 1}


def check_alimama(faults: list[str], encoding: str) -> None:
    with TemporaryDirectory() as temporary:
        raw = Path(temporary) / "raw"
        rows = alimama.good_rows()
        alimama.write_rows(raw, rows)
        for stem in rows:
            with open(raw / f"{stem}.csv", "ab") as file:
                file.write("".join(f"{line}\n" for line in faults).encode(encoding))
        dataset = preprocess("alimama", raw, Path(temporary), "d", PreprocessOptions(max_bad_rows=1.0))
        added = sum(ALIMAMA_FAULTS[fault] for fault in faults)
        tables = files_of(dataset)
        stems = {
            "users": "user_profile",
            "items": "ad_feature",
            "impressions": "raw_sample",
            "behaviors": "behavior_log",
        }
        assert tables == {table: (len(rows[stem]) + added, added) for table, stem in stems.items()}
        assert used(dataset) == {name: tables[name][0] - tables[name][1] for name in ("impressions", "behaviors")}


def test_all_rows_of_alimama_are_counted() -> None:
    check_alimama(list(ALIMAMA_FAULTS), "latin-1")


@pytest.mark.slow
@settings(max_examples=20, deadline=None)
@given(st.lists(st.sampled_from(sorted(ALIMAMA_FAULTS)), max_size=8), st.sampled_from(["latin-1", "utf-8"]))
def test_all_rows_of_alimama_are_counted_whatever_they_hold(faults: list[str], encoding: str) -> None:
    check_alimama(faults, encoding)
