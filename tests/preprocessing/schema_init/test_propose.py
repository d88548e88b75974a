"""`mail schema init`: the proposed lines, and proposals for files in the form of published datasets."""

from __future__ import annotations

import csv
import tomllib
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mailcli.data.dataset import Dataset
from mailcli.errors import MailError
from mailcli.preprocessing.pipeline import PreprocessOptions, preprocess
from mailcli.preprocessing.schema_file.read import read_schema_file
from mailcli.preprocessing.schema_init.propose import propose
from mailcli.preprocessing.sources.tabular import Source
from tests.helpers import rawforms
from tests.helpers.datasets import columns
from tests.helpers.proposals import FILES, log
from tests.helpers.schema_files import (
    EXAMPLES,
    mail_error,
    run_mail,
    write_files,
)


def by_file(folder: Path, raw: Path, schema: Path, name: str) -> Dataset:
    return preprocess("tabular", raw, folder / "data", name, PreprocessOptions(schema=schema))


def test_movielens_1m_is_proposed_as_it_is(tmp_path: Path) -> None:
    raw, out = tmp_path / "raw", tmp_path / "mydata.toml"
    rawforms.movielens(raw)
    files = sorted(raw.glob("*.dat"))
    assert (
        run_mail("schema", "init", *files, "-o", out)
        == f"{out}: proposed from 3 files. Review the lines marked `check this`.\n"
    )
    text = out.read_text(encoding="utf-8")
    assert run_mail("schema", "init", *files) == text
    proposed_columns = columns(by_file(tmp_path, raw, out, "proposed"))
    expected = columns(by_file(tmp_path, raw, EXAMPLES / "movielens-1m.toml", "example"))
    # The example uses only the region of a postcode.
    assert {key for key in proposed_columns if "zip" not in key} == {key for key in expected if "zip" not in key}
    assert all(proposed_columns[key] == expected[key] for key in proposed_columns if "zip" not in key)
    for line in (
        'columns = ["UserID", "Gender", "Age", "Occupation", "Zip-code"]',
        'click = {column = "Rating", at_least = 4}    # check this: what counts as a click?',
        'genres = {column = "Genres", separator = "|", most = 6}    # check this: a list? room for twice as many values as in the first rows',
        'encoding = "latin-1"    # check this: the file is not UTF-8',
        'integers = ["user", "item"]    # check this: later rows with other ids are set aside',
    ):
        assert line in text.splitlines()


def test_kuairand_is_proposed_and_read(tmp_path: Path) -> None:
    raw, out = tmp_path / "raw", tmp_path / "k.toml"
    rawforms.kuairand(raw)
    run_mail("schema", "init", *sorted(raw.glob("*.csv")), "-o", out)
    schema = read_schema_file(out)
    assert schema.impressions.patterns == ("log_standard_4_*_1k.csv",)
    assert (schema.time.column.name, schema.time.unit) == ("time_ms", "ms") if schema.time else None
    assert schema.click.column == "is_click"
    # What a user did with a video is not context.
    assert [field.name for field in schema.context] == ["hour", "weekday"]
    assert schema.users.format.missing == ("", "UNKNOWN")
    assert {field.name: field.kind for field in schema.features}["tag"] == "list"
    assert {field.name: field.kind for field in schema.attributes}["fans_user_num_range"] == "category"
    Source(raw, tmp_path, out)


def test_parquet_and_several_tables(tmp_path: Path) -> None:
    tables = {
        "people": {"uid": ["a", "b"], "born": [1970, 1980], "likes": [["x", "y"], ["x"]]},
        "goods": {"sku": ["s1", "s2"], "kind": ["hat", "shoe"]},
        "history": {
            "uid": ["a", "b"],
            "ts": [1_600_000_000, 1_600_000_100],
            "kind": ["hat", "hat"],
            "event": ["v", "b"],
        },
        "shown": {
            "uid": ["a", "a"],
            "sku": ["s1", "s2"],
            "ts": [1_600_000_000, 1_600_000_100],
            "clicked": [True, False],
        },
    }
    for name, table in tables.items():
        pq.write_table(pa.table(table), tmp_path / f"{name}.parquet")
    text = propose(sorted(tmp_path.glob("*.parquet")), "mydata.toml")
    path = tmp_path / "mydata.toml"
    path.write_text(text, encoding="utf-8")
    schema = read_schema_file(path)
    assert schema.users.patterns == ("people.parquet",)
    assert [(field.name, field.kind, field.max_values) for field in schema.attributes] == [
        ("born", "category", 1),
        ("likes", "list", 4),
    ]
    assert schema.behaviors.patterns == ("history.parquet",)
    assert schema.action.names == ("b", "v")
    assert [field.name for field in schema.behavior_fields] == ["kind"]
    assert schema.impressions.patterns == ("shown.parquet",)
    assert schema.split.by == "day"
    assert schema.integers == frozenset()
    Source(tmp_path, tmp_path, path)


def test_an_older_file_is_left_as_it_is(tmp_path: Path) -> None:
    rawforms.movielens(tmp_path / "raw")
    out = tmp_path / "mine.toml"
    out.write_text("mine")
    assert mail_error("schema", "init", *sorted((tmp_path / "raw").iterdir()), "-o", out) == (
        f"{out}: exists already and is left untouched. Choose another name with -o, or move it away."
    )
    assert out.read_text() == "mine"


def test_without_attributes_there_is_a_place_for_them(tmp_path: Path) -> None:
    raw = write_files(
        tmp_path, {"log.csv": "user_id,item_id,timestamp,clicked,city\nu1,i1,1600000000,1,R\nu1,i2,1600000001,0,R\n"}
    )
    path = tmp_path / "my.toml"
    path.write_text(propose([raw / "log.csv"], "my.toml"), encoding="utf-8")
    with pytest.raises(MailError, match=r"users.attributes: there is no user attribute except the id"):
        read_schema_file(path)
    text = path.read_text(encoding="utf-8")
    assert '# city = "city"' in text
    path.write_text(text.replace('# city = "city"', 'city = "city"', 1), encoding="utf-8")
    Source(raw, tmp_path, path)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.text(min_size=1, max_size=6).filter(str.strip), min_size=1, max_size=4, unique=True),
    st.lists(st.text(max_size=5), min_size=1, max_size=4),
)
def test_whatever_the_columns_are_called_the_proposal_is_toml(
    tmp_path: Path, names: list[str], cells: list[str]
) -> None:
    whole = ["user_id", "item_id", "timestamp", "click", *(f"x{name}" for name in names)]
    with open(tmp_path / "log.csv", "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(whole)
        for place, cell in enumerate(cells):
            writer.writerow([f"u{place}", "i", 1_600_000_000 + place, place % 2, *(cell for _ in names)])
    try:
        text = propose([tmp_path / "log.csv"], "my.toml")
    except MailError as error:
        # A zero byte, names that differ only in blanks, or a first line that is not a header.
        reasons = ("zero bytes", "more than one column", "none of the files")
        assert any(reason in error.message for reason in reasons)  # noqa: PT017
        return
    assert tomllib.loads(text)["impressions"]["click"] == "click"


@pytest.mark.parametrize("label", [("False", "True"), ("false", "true")])
def test_true_and_false_are_labels(tmp_path: Path, label: tuple[str, str]) -> None:
    raw = write_files(tmp_path / "raw", {**FILES, "log.csv": log(label=label)})
    lines = propose(sorted(raw.iterdir()), "my.toml").splitlines()
    assert 'click = "click"' in lines
    assert 'where = "click"' in lines


def test_the_day_or_the_month_first(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    raw = write_files(
        tmp_path, {**FILES, "log.csv": "user_id,item_id,date,click\nu1,i1,02/03/2024,1\nu2,i1,04/05/2024,0\n"}
    )
    lines = propose([raw / "users.csv", raw / "log.csv"], "my.toml").splitlines()
    line = 'time = {column = "date", format = "%d/%m/%Y"}    # check this: or is it %m/%d/%Y?'
    assert lines.count(line) == 2
    assert "Note: log.csv: the times in 'date' are read as %d/%m/%Y, but may be %m/%d/%Y." in caplog.messages


def test_a_time_of_unknown_form_is_asked_for(tmp_path: Path) -> None:
    raw = write_files(
        tmp_path, {**FILES, "log.csv": "user_id,item_id,created_at,click\nu1,i1,14th Nov,1\nu2,i1,15th Nov,0\n"}
    )
    path = tmp_path / "my.toml"
    path.write_text(propose([raw / "users.csv", raw / "log.csv"], "my.toml"), encoding="utf-8")
    line = '# time = {column = "created_at", format = ""}    # check this: what is the format of \'14th Nov\'?'
    assert path.read_text(encoding="utf-8").splitlines().count(line) == 2
    with pytest.raises(MailError, match=r"split.by = 'day': needs impressions.time, which is missing"):
        read_schema_file(path)


def test_a_list_has_room_for_more_than_the_first_rows_have(tmp_path: Path) -> None:
    long = "|".join(map(str, range(501)))
    longer = "|".join(map(str, range(1001)))
    users = f"user_id,city,a,b,c\nu1,Rome,x|y|x,{long},{longer}\nu2,Oslo,x,1,1\n"
    raw = write_files(tmp_path, {**FILES, "users.csv": users})
    lines = propose([raw / "users.csv", raw / "log.csv"], "my.toml").splitlines()
    note = "    # check this: a list? room for twice as many values as in the first rows"
    for line in (
        f'a = {{column = "a", separator = "|", most = 4}}{note}',
        f'b = {{column = "b", separator = "|", most = 1000}}{note}',
        '# c = {column = "c", separator = "|", most = 1000}    # check this: lists of up to 1,001 values, but at most 1,000 are allowed',
    ):  # fmt: skip
        assert line in lines


def test_columns_are_judged_by_all_parts(tmp_path: Path) -> None:
    raw = write_files(
        tmp_path,
        {
            "users.csv": "user_id,city\n1,Rome\nb,Oslo\n",
            "log-1.csv": "user_id,item_id,timestamp,click\n1,1,1700000000,1\n",
            "log-2.csv": "user_id,item_id,timestamp,click\nb,2,1700000000,NA\n",
        },
    )
    lines = propose(sorted(raw.glob("*.csv")), "my.toml").splitlines()
    assert 'integers = ["item"]    # check this: later rows with other ids are set aside' in lines
    assert 'missing = ["NA"]    # check this: these seem to be missing values' in lines


def test_a_folder_that_is_missing_is_told_by_its_name(tmp_path: Path) -> None:
    raw = write_files(tmp_path / "raw", FILES)
    out = tmp_path / "no" / "my.toml"
    assert mail_error("schema", "init", *sorted(raw.iterdir()), "-o", out) == (
        f"{out}: there is no folder {tmp_path}/no. Create it first, or choose another path with -o."
    )
    assert not out.parent.exists()
    long = tmp_path / ("x" * 250 + ".toml")
    assert mail_error("schema", "init", *sorted(raw.iterdir()), "-o", long) == (
        f"{long}: cannot be written (File name too long). Choose another path with -o."
    )


@pytest.mark.parametrize(
    ("part", "reason"),
    [
        (
            "item_id,user_id,timestamp,click\ni1,u1,1700000000,1\n",
            "column 1 is 'item_id' in log-1.csv, 'user_id' in log.csv",
        ),
        ("user_id,item_id\nu1,i1\n", "log-1.csv lacks 'timestamp', 'click', which log.csv has"),
        ("u1,i1,1700000000,1\nu1,i2,1700000001,1\n", "log-1.csv has no header line and log.csv has one"),
    ],
)
def test_a_part_that_is_left_out_is_named_on_the_terminal(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, part: str, reason: str
) -> None:
    text = "user_id,item_id,timestamp,click\nu1,i1,1700000000,1\nu2,i2,1700000001,0\n"
    raw = write_files(tmp_path, {**FILES, "log.csv": text, "log-1.csv": part})
    proposed = propose([raw / name for name in (*FILES, "log-1.csv")], "my.toml")
    assert caplog.messages == [f"Note: not used: log-1.csv, because {reason}."]
    assert proposed.splitlines()[-1] == f"# Not used: log-1.csv, because {reason}"


def test_the_names_of_folders_are_proposed_as_columns(tmp_path: Path) -> None:
    for day in (1, 2):
        write_files(tmp_path / "log" / f"day={day}", {"part.csv": log()})
    users = write_files(tmp_path, FILES) / "users.csv"
    lines = propose([users, *sorted(tmp_path.glob("log/*/part.csv"))], "my.toml").splitlines()
    assert 'files = "log/day=*/part.csv"' in lines
    assert '# day = "day"    # check this: from the names of the folders' in lines


def test_a_folder_is_refused_with_a_pattern(tmp_path: Path) -> None:
    write_files(tmp_path / "log" / "day=1", {"part.csv": log()})
    with pytest.raises(MailError) as error:
        propose([tmp_path / "log"], "my.toml")
    assert error.value.message == f"{tmp_path}/log: is a folder. Expected its files, such as {tmp_path}/log/*/*.csv."


def test_a_time_that_is_called_otherwise_is_to_be_checked(tmp_path: Path) -> None:
    raw = write_files(tmp_path, {**FILES, "log.csv": FILES["log.csv"].replace("timestamp", "shown")})
    lines = propose([raw / "users.csv", raw / "log.csv"], "my.toml").splitlines()
    assert [line for line in lines if line.startswith("time = ")] == [
        'time = "shown"    # check this: is this the time?',
        'time = "shown"    # check this: is this the time? hours and days are in UTC; for local time add '
        'utc_offset = "+08:00", to the behaviors too',
    ]


def test_a_log_without_times_is_named_with_a_way(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    text = "user_id,item_id,click,hist_1,hist_2\n1,5,1,0,5\n1,3,0,8,4\n"
    raw = write_files(tmp_path, {**FILES, "ctr.csv": text})
    propose([raw / "users.csv", raw / "ctr.csv"], "my.toml")
    assert caplog.messages == [
        "Note: no column of ctr.csv looks like a time, so behaviors have to be lists, one per user. If the rows are in "
        "order, add their number as a time first (docs/your-own-data.md, Other forms of files). If hist_1, hist_2, ... "
        "are what the user did before, leave them out then.",
        "Note: ctr.csv: left out: 'hist_1', 'hist_2' (use it only if it is known before the click).",
    ]
