"""Impression files: how they are read, and how every fault is reported."""

from __future__ import annotations

import csv
import gzip
import io
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mailcli.errors import MailError
from mailcli.runs.folder import RunFolder
from mailcli.serving.faults import Faults
from mailcli.serving.impression_file import ImpressionFile
from mailcli.serving.impression_writer import ImpressionWriter
from tests.helpers.command_line import error_line
from tests.helpers.serving import CELL, PROFILE, RawRequests, score


def test_a_csv_is_written_as_it_was_read(tmp_path: Path) -> None:
    text = 'a,b,c\n1,x,\n007,"say ""so"", or",\n,-1.50,é\n'
    (tmp_path / "in.csv").write_text(text, encoding="utf-8")
    source = ImpressionFile(tmp_path / "in.csv")
    schema = source.schema.append(pa.field("score", pa.float32()))
    with ImpressionWriter(tmp_path / "out.csv", schema) as writer:
        for rows in source.read(2, Faults(source.path)):
            scores = pa.array([0.1, 1 / 3][: len(rows)], pa.float32())
            writer.write(pa.record_batch([*rows.columns, scores], schema=schema))
    assert (tmp_path / "out.csv").read_text(encoding="utf-8") == (
        'a,b,c,score\n1,x,,0.1\n007,"say ""so"", or",,0.33333334\n,-1.50,é,0.1\n'
    )


BAD_FILES = {
    "no column": (
        lambda impressions: impressions.drop(columns=["pid", "item"]).rename(columns={"time": "tme"}).assign(hour=1),
        "no column 'item', 'time', 'pid'. Did you mean 'tme'? The file's columns are: user, tme, hour. Expected: "
        "user, item, time, pid.",
    ),
    "an unknown user": (
        lambda impressions: impressions.assign(user=[*impressions["user"].iloc[:3], -5, -6]),
        "row 4 (2 rows): column 'user' holds '-5'. Expected a user of the dataset 'tiny'. Remove such rows, or add "
        f"columns with the users' attributes: {', '.join(PROFILE)}.",
    ),
    "values": (
        lambda impressions: impressions.assign(
            time=["soon", *impressions["time"].astype(str)[:3], None],
            item=["1", "2", "3", "4", "1.5"],
            hour=["x", "y", 1, 2, 3],
        ),
        "row 5: column 'item' holds '1.5'. Expected a whole number. row 1 (2 rows): column 'time' holds 'soon'. Expected a "
        "whole number of seconds since 1970.",
    ),
    "a score": (
        lambda impressions: impressions.assign(score=1),
        "has a column 'score' already. Rename it: the scores get that name.",
    ),
    "no rows": (lambda impressions: impressions.iloc[:0], "there is no row. Expected impressions."),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_a_file_that_cannot_be_scored_says_why(
    case: str, runs: dict[str, RunFolder], raw: RawRequests, data_dir: Path, tmp_path: Path
) -> None:
    spoil, text = BAD_FILES[case]
    spoil(raw.test.iloc[:5]).to_csv(tmp_path / "in.csv", index=False)
    result = score(runs[CELL], tmp_path / "in.csv", tmp_path / "out.csv", data_dir)
    assert error_line(result) == f"{tmp_path / 'in.csv'}: {text}"
    assert [path.name for path in tmp_path.iterdir()] == ["in.csv"]


def test_files_that_cannot_be_read_or_written(
    runs: dict[str, RunFolder], raw: RawRequests, data_dir: Path, tmp_path: Path
) -> None:
    run = runs[CELL]
    good = tmp_path / "in.csv"
    raw.test.iloc[:5].to_csv(good, index=False)
    (tmp_path / "taken.csv").write_text("mine")
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "twice.csv").write_text("user,user\n1,1\n")
    (tmp_path / "lines.csv").write_text("\n\r\n")
    (tmp_path / "header.csv").write_text("user,item,time,pid")
    (tmp_path / "latin.csv").write_bytes(b"us\xe9r\n")
    for name, mark in (("semicolon", ";"), ("tab", "\t")):
        (tmp_path / f"{name}.csv").write_text(mark.join(("user", "item", "time", "pid\n")))
    (tmp_path / "nul.csv").write_bytes(b"user\0,item,time,pid\n")
    (tmp_path / "text.parquet").write_text("user,item\n")
    raw.test.assign(note=b"x", tags=pd.Series([[1]] * len(raw.test))).to_parquet(tmp_path / "bytes.parquet")
    raw.test.assign(time=pd.to_datetime(raw.test["time"], unit="s")).to_parquet(tmp_path / "dates.parquet")
    cases = [
        (good, "out.tsv", "{out}: the name must end in .csv or .parquet, which says the file's format."),
        (good, "taken.csv", "{out}: exists already. Expected the name of a new file; choose another, or delete it."),
        (good, "a/out.csv", f"{{out}}: there is no folder {tmp_path / 'a'}. Create it first, or choose another path."),
        (tmp_path / "in.txt", "out.csv", "{file}: the name must end in .csv or .parquet, which says the file's format."),
        (tmp_path / "no.csv", "out.csv", "{file}: there is no such file."),
        (tmp_path / "empty.csv", "out.csv", "{file}: the file is empty. Expected a header line and rows."),
        (tmp_path / "twice.csv", "out.csv", "{file}: more than one column is named 'user'. Expected each name once."),
        (tmp_path / "lines.csv", "out.csv", "{file}: the file is empty. Expected a header line and rows."),
        (tmp_path / "header.csv", "out.csv", "{file}: there is no row. Expected impressions."),
        (tmp_path / "latin.csv", "out.csv", "{file}: the header is not UTF-8 ('utf-8' codec can't decode byte 0xe9 in position 2: invalid continuation byte). Save the file in that encoding."),
        (tmp_path / "semicolon.csv", "out.csv", "{file}: the header is 'user;item;time;pid'. Expected ',' between the names and values, not ';'."),
        (tmp_path / "tab.csv", "out.csv", "{file}: the header is 'user\\titem\\ttime\\tpid'. Expected ',' between the names and values, not '\\t'."),
        (tmp_path / "nul.csv", "out.csv", "{file}: no column 'user'. The file's columns are: 'user\\x00', item, time, pid. Expected: user, item, time, pid."),
        (tmp_path / "text.parquet", "out.csv", "{file}: cannot be read (Parquet magic bytes not found in footer. Either the file is corrupted or this is not a parquet file.)."),
        (tmp_path / "bytes.parquet", "out.csv", "{file}: 'note' holds binary; 'tags' holds list<element: int64>, which a CSV cannot hold. Give the result a name that ends in .parquet."),
        (tmp_path / "dates.parquet", "out.csv", "{file}: 'time' holds timestamp[us], expected seconds since 1970, or times with a time zone."),
    ]  # fmt: skip
    before = sorted(path.name for path in tmp_path.iterdir())
    for file, name, text in cases:
        out = tmp_path / name
        assert error_line(score(run, file, out, data_dir)) == text.format(file=file, out=out)
    assert sorted(path.name for path in tmp_path.iterdir()) == before
    assert (tmp_path / "taken.csv").read_text() == "mine"


#: The header of a file for `tiny`; its hours and weekdays are not needed.
HEADER = "user,item,time,pid,hour,weekday"
ONE_VALUE_EACH = "one value for each name in the header; quote strings that contain a comma or a line break."
UNCLOSED = "does not end. Expected a row of at most 16 MB whose quotes are closed."
#: Rows below that header, and the error; U is a user and T a time of the dataset.
BAD_ROWS = {
    # Blank lines are not numbered; malformed rows are.
    "ragged, not UTF-8 and wrong": (
        [b"U,1,T,a,1,1", b"", b"U,1,1", b"U,x,T,caf\xe9,1,1", b"U,1,T,a,1,1,7,8", b"U,y,T,\xe9,1,1", b"U,1,1"],
        f"row 2 (3 rows): has 3 values. Expected 6, {ONE_VALUE_EACH} "
        "row 3 (2 rows): column 'pid' holds b'caf\\xe9'. Expected UTF-8: save the file in that encoding. "
        "row 3 (2 rows): column 'item' holds 'x'. Expected a whole number.",
    ),
    "too large": (
        [b"U,-9223372036854775808,99999999999999999999,a,1,1"],
        "row 1: column 'item' holds '-9223372036854775808'. Expected a whole number between -9223372036854775807 and "
        "9223372036854775807. row 1: column 'time' holds '99999999999999999999'. Expected a whole number between "
        "-9223372036854775807 and 9223372036854775807.",
    ),
    "an open quote": (
        [b"U,1,T,a,1,1", b'U,1,T,"a,1,1', b"U,1,T,a,1,1"],
        f"row 2: has 4 values. Expected 6, {ONE_VALUE_EACH}",
    ),
    "an open quote and many rows": (
        [b"U,1,T,a,1,1", b'U,1,T,"a,1,1', *[b"U,1,T,a,1,1"] * 3_000_000],
        f"row 2: {UNCLOSED}",
    ),
    "a row beyond what is read at once": ([b"U,1,T,a,1,1", b"U,1,T," + b"a" * (40 << 20) + b",1,1"], f"row 2: {UNCLOSED}"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_ROWS)
def test_rows_that_cannot_be_read_are_told_with_all_other_faults(
    case: str, runs: dict[str, RunFolder], raw: RawRequests, data_dir: Path, tmp_path: Path
) -> None:
    rows, text = BAD_ROWS[case]
    user, time = (str(raw.test[name].iloc[0]).encode() for name in ("user", "time"))
    lines = b"\n".join(rows).replace(b"U,", user + b",").replace(b",T,", b"," + time + b",")
    (tmp_path / "in.csv").write_bytes(HEADER.encode() + b"\n" + lines + b"\n")
    result = score(runs[CELL], tmp_path / "in.csv", tmp_path / "out.csv", data_dir, "--batch", "2000000")
    assert error_line(result) == f"{tmp_path / 'in.csv'}: {text}"
    assert [path.name for path in tmp_path.iterdir()] == ["in.csv"]


def test_an_open_quote_in_the_last_value_is_no_value(tmp_path: Path) -> None:
    path, text = tmp_path / "in.csv", "a,b\n1,2\n"
    for last, message in (
        (b'3,"x\n4,5', f"{path}: row 2: {UNCLOSED}"),
        (b'3,"x\n4,5"', None),
        (b'3,"x\n4,5"\r\n', None),
    ):
        path.write_bytes(text.encode() + last)
        faults = Faults(path)
        assert sum(len(rows) for rows in ImpressionFile(path).read(9, faults)) == 2
        if message:
            with pytest.raises(MailError) as error:
                faults.check()
            assert error.value.message == message
        else:
            faults.check()


def test_rows_of_more_than_a_megabyte_and_blank_lines_are_read(tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_text(f'\n\n"a\nb",c\n\n{"x" * 2_000_000},2\n')
    source, faults = ImpressionFile(path), Faults(path)
    assert source.columns == ["a\nb", "c"]
    (rows,) = source.read(9, faults)
    faults.check()
    assert rows.to_pylist() == [{"a\nb": "x" * 2_000_000, "c": "2"}]


def test_a_time_beyond_the_year_9999_is_shown_and_written(tmp_path: Path) -> None:
    """Milliseconds that are taken for seconds; Python has no such times."""
    times = pa.array([1494605000000], pa.timestamp("s", "UTC"))
    faults = Faults("in.parquet")
    faults.add("time", "a time.", pa.array([True]), times, 0)
    with pytest.raises(MailError, match="holds 1494605000000"):
        faults.check()
    rows = pa.record_batch({"time": times})
    with ImpressionWriter(tmp_path / "out.csv", rows.schema) as writer:
        writer.write(rows)
    assert (tmp_path / "out.csv").read_text() == "time\n1494605000000\n"


def test_control_characters_of_a_value_end_no_row(tmp_path: Path) -> None:
    values = ["a\rb", "c\nd", "e\r\nf", 'g"h', "i,j", "k\r"]
    rows = pa.record_batch({"note": values, "score": [0.5] * 6})
    with ImpressionWriter(tmp_path / "out.csv", rows.schema) as writer:
        writer.write(rows)
    content = (tmp_path / "out.csv").read_bytes()
    assert content.startswith(b'note,score\n"a\rb",0.5\n"c\nd",0.5\n"e\r\nf",0.5\n"g""h",0.5\n')
    assert list(csv.DictReader(io.StringIO(content.decode(), newline=""))) == [
        {"note": value, "score": "0.5"} for value in values
    ]


def test_rows_behind_an_unclosed_quote_are_not_lost(tmp_path: Path) -> None:
    """The last value is in quotes, so that the file ends as one whose quotes are all closed."""
    path = tmp_path / "in.csv"

    def message(text: str) -> str:
        path.write_text(f"user,note\n{text}")
        faults = Faults(path)
        rows = [row for batch in ImpressionFile(path).read(10, faults) for row in batch.to_pylist()]
        try:
            faults.check()
        except MailError as error:
            return error.message
        return f"{len(rows)} rows"

    assert message('1,"abc\n2,x\n3,"y"\n') == f"{path}: row 1: {UNCLOSED}"
    assert message('1,"abc\n2,x\n3,y"\n') == "1 rows"
    assert message('1,"abc\ndef"\n2,"x"\n') == "2 rows"


def test_names_may_have_spaces_around_them(
    runs: dict[str, RunFolder], raw: RawRequests, data_dir: Path, tmp_path: Path
) -> None:
    """As in preprocessing; the result has them as they were."""
    impressions = raw.test.iloc[:5]
    impressions.to_csv(tmp_path / "plain.csv", index=False)
    impressions.rename(columns={"item": " item", "pid": "pid "}).to_csv(tmp_path / "spaces.csv", index=False)
    for name in ("plain", "spaces"):
        result = score(runs[CELL], tmp_path / f"{name}.csv", tmp_path / f"{name}-out.csv", data_dir)
        assert result.exit_code == 0, result.output
    plain, spaces = ((tmp_path / f"{name}-out.csv").read_text().split("\n", 1) for name in ("plain", "spaces"))
    assert plain[1] == spaces[1]
    assert plain[0].replace("item", " item").replace("pid", "pid ") == spaces[0]


def test_row_groups_do_not_follow_the_batches(tmp_path: Path) -> None:
    """A group is complete with 2^20 = 1,048,576 rows, here in 1,049 batches, or 64 MB: 70 rows of 1 MB are 64 and 6."""
    small = pa.record_batch({"user": pa.array(range(1000))})
    with ImpressionWriter(tmp_path / "small.parquet", small.schema) as writer:
        for _ in range(1050):
            writer.write(small)
    large = pa.record_batch({"note": ["x" * (1 << 20)]})
    with ImpressionWriter(tmp_path / "large.parquet", large.schema) as writer:
        for _ in range(70):
            writer.write(large)
    groups = {}
    for name in ("small", "large"):
        metadata = pq.ParquetFile(tmp_path / f"{name}.parquet").metadata
        groups[name] = [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]
    assert groups == {"small": [1_049_000, 1000], "large": [64, 6]}
    assert pq.read_table(tmp_path / "small.parquet")["user"].to_pylist() == [*range(1000)] * 1050


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (gzip.compress(b"user,item\n1,2\n", mtime=0), "is compressed by gzip. Expected a plain CSV: decompress it."),
        (b"user,item\r1,2\r", r"its lines end in \r alone. Expected \n or \r\n."),
    ],
)
def test_a_csv_of_another_form_than_its_name_says_is_refused(tmp_path: Path, content: bytes, fault: str) -> None:
    path = tmp_path / "in.csv"
    path.write_bytes(content)
    with pytest.raises(MailError) as error:
        ImpressionFile(path)
    assert error.value.message == f"{path}: {fault}"
