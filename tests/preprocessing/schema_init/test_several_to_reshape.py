"""Several columns or parts that have to be rewritten: one command for all, or a file for each."""

from __future__ import annotations

import gzip
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mailcli.errors import MailError
from mailcli.preprocessing.schema_init.propose import propose
from tests.helpers.reshaping import LOG, USERS, hints, rows, run
from tests.helpers.schema_files import write_files


def test_several_columns_of_json_are_rewritten_by_one_command(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    users = 'user_id;props;more\nU0;{"age": 3};{"size": "L"}\nU1;{"age": 4};{"size": "M"}\n'
    note, command, *_ = hints(caplog, tmp_path, {"users.csv": users, "log.csv": LOG})
    assert note.startswith("Note: users.csv: left out: 'props', 'more' (JSON objects).")
    run(command)
    assert rows(tmp_path / "users-columns.csv") == [
        {"user_id": "U0", "age": "3", "size": "L"},
        {"user_id": "U1", "age": "4", "size": "M"},
    ]


def test_several_structs_are_rewritten_by_one_command(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    raw = write_files(tmp_path, {"log.csv": LOG})
    table = {"user_id": ["U0", "U1"], "home": [{"street": "a"}, {"street": "b"}], "work": [{"floor": 1}, {"floor": 2}]}
    pq.write_table(pa.table(table), raw / "users.parquet")
    propose([raw / "users.parquet", raw / "log.csv"], "my.toml")
    run(caplog.messages[1])
    assert pq.read_table(raw / "users-columns.parquet").to_pylist() == [
        {"user_id": "U0", "street": "a", "floor": 1},
        {"user_id": "U1", "street": "b", "floor": 2},
    ]


def test_each_of_several_histories_has_a_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    users = "user_id,city,basket,seen\nU0,Rome,N1;N2,N2;N1\nU1,Oslo,N2;N1,N1;N2\n"
    first, command, second, other, *_ = hints(caplog, tmp_path, {"users.csv": users, "log.csv": LOG})
    assert "and give users-basket-history.csv to" in first
    assert "and give users-seen-history.csv to" in second
    run(command)
    run(other)
    basket, seen = (
        [row["item_id"] for row in rows(tmp_path / f"users-{name}-history.csv") if row["user_id"] == "U0"]
        for name in ("basket", "seen")
    )
    # The lists, and the click of the log.
    assert (basket, seen) == (["N1", "N2", "N1"], ["N2", "N1", "N1"])


def test_times_of_parquet_make_a_history_of_parquet(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The note names the file that the command writes."""
    times = pa.array([1_600_000_000, 1_600_000_060], pa.timestamp("s"))
    log = pa.table({"user_id": ["U0", "U1"], "item_id": ["N1", "N2"], "timestamp": times, "click": [1, 0]})
    raw = write_files(tmp_path, {"users.csv": "user_id,city,basket\nU0,Rome,N1;N2\nU1,Oslo,N2;N1\n"})
    pq.write_table(log, raw / "log.parquet")
    propose([raw / "users.csv", raw / "log.parquet"], "my.toml")
    assert "and give users-history.parquet to" in caplog.messages[0]
    run(caplog.messages[1])
    assert pq.read_table(raw / "users-history.parquet").num_rows == 5


def test_the_clicks_of_a_label_of_numbers_are_in_the_history(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Of so few numbers, those from .8 of the largest on are clicks, as in the proposal."""
    users = "user_id,city,basket\nU0,Rome,N0;N4\nU1,Oslo,N4;N0\n"
    seconds = [12.5, 40.0, 77.25, 101.0, 3.0]
    log = "user_id,item_id,timestamp,seconds\n" + "".join(
        f"U{n % 2},N{n},16000000{n}0,{value}\n" for n, value in enumerate(seconds)
    )
    raw = write_files(tmp_path, {"users.csv": users, "log.csv": log})
    lines = propose([raw / "users.csv", raw / "log.csv"], "my.toml", {"click": "seconds"})
    assert 'click = {column = "seconds", at_least = 80.8}' in lines
    run(caplog.messages[1])
    written = {(row["user_id"], row["item_id"]) for row in rows(tmp_path / "users-history.csv")}
    assert written == {("U0", "N0"), ("U0", "N4"), ("U1", "N0"), ("U1", "N4"), ("U1", "N3")}


@pytest.mark.parametrize(
    ("label", "values", "clicked"),
    [("rating", ["5", "4", "2", "1", "3"], {("U0", "N0"), ("U1", "N1")}), ("label", ["b", "b", "a", "c", "b"], None)],
)
def test_the_clicks_of_other_labels_are_those_of_the_proposal(
    label: str,
    values: list[str],
    clicked: set[tuple[str, str]] | None,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Ratings from .8 of the largest, 4, and the most common of the words, b."""
    users = "user_id,city,basket\nU0,Rome,N8;N9\nU1,Oslo,N9;N8\n"
    log = f"user_id,item_id,timestamp,{label}\n" + "".join(
        f"U{n % 2},N{n},16000000{n}0,{value}\n" for n, value in enumerate(values)
    )
    items = "item_id,kind\n" + "".join(f"N{n},hat\n" for n in range(10))
    raw = write_files(tmp_path, {"users.csv": users, "items.csv": items, "log.csv": log})
    propose(
        [raw / name for name in ("users.csv", "items.csv", "log.csv")], "my.toml", {} if clicked else {"click": label}
    )
    run(caplog.messages[1])
    written = {(row["user_id"], row["item_id"]) for row in rows(tmp_path / "users-history.csv")}
    lists = {("U0", "N8"), ("U0", "N9"), ("U1", "N8"), ("U1", "N9")}
    assert written - lists == (clicked or {("U0", "N0"), ("U1", "N1"), ("U0", "N4")})


def test_a_table_of_several_parts_is_given_instead_of_all(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    users = 'user_id;props\nU{};{{"age": 3}}\n'
    files = {"users-1.csv": users.format(0), "users-2.csv": users.format(1), "log.csv": LOG}
    note, *_ = hints(caplog, tmp_path, files)
    assert "then give users-1-columns.csv to `mail schema init` instead of users-1.csv and its 1 other part" in note


def test_flags_of_parquet_are_a_list(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    raw = write_files(tmp_path, {"users.csv": USERS, "log.csv": LOG})
    flags = {f"flag{number}": pa.array([number % 2, 0], pa.int8()) for number in range(8)}
    pq.write_table(pa.table({"item_id": ["N1", "N2"], **flags}), raw / "items.parquet")
    propose([raw / "users.csv", raw / "items.parquet", raw / "log.csv"], "my.toml")
    run(caplog.messages[1])
    assert sorted(tuple(row.values()) for row in rows(raw / "items-lists.csv")) == [
        ("N1", "flag1|flag3|flag5|flag7"),
        ("N2", ""),
    ]


def test_compressed_json_becomes_a_file_that_can_be_given(tmp_path: Path) -> None:
    path = tmp_path / "log.json.gz"
    path.write_bytes(gzip.compress(b'{"user": 1, "click": 1}\n{"user": 2, "click": 0}\n'))
    with pytest.raises(MailError, match="is JSON. Expected CSV, other separated text, or Parquet") as error:
        propose([path], "my.toml")
    run(error.value.message.partition("writes it: ")[2])
    assert pq.read_table(tmp_path / "log.parquet").to_pylist() == [{"user": 1, "click": 1}, {"user": 2, "click": 0}]


def test_files_whose_names_share_a_beginning_are_written_apart(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    users = 'user_id;props\nU0;{"age": 3}\nU1;{"age": 4}\n'
    items = 'item_id;props\nN1;{"size": 3}\nN2;{"size": 4}\n'
    notes = hints(caplog, tmp_path, {"ml.users.csv": users, "ml.items.csv": items, "log.csv": LOG})
    assert "then give ml.users-columns.csv to" in notes[0]
    assert "then give ml.items-columns.csv to" in notes[2]


@pytest.mark.parametrize("role", ["click", "time"])
def test_a_role_of_a_column_without_values_is_refused(role: str, tmp_path: Path) -> None:
    log = "user_id,item_id,timestamp,click,empty\nU0,N1,1600000000,1,\nU1,N2,1600000060,0,\n"
    raw = write_files(tmp_path, {"users.csv": USERS, "log.csv": log})
    with pytest.raises(MailError) as error:
        propose([raw / "users.csv", raw / "log.csv"], "my.toml", {role: "empty"})
    assert error.value.message == f"--{role} empty: has no values in the first rows. Name another column."


def test_numbers_of_rows_are_a_time(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """As docs/your-own-data.md advises for logs without times."""
    log = "user_id,item_id,time,click\n" + "".join(f"U{n % 2},N{n % 3},{n},{n % 2}\n" for n in range(6))
    raw = write_files(tmp_path, {"users.csv": USERS, "log.csv": log})
    lines = propose([raw / "users.csv", raw / "log.csv"], "my.toml").splitlines()
    check = "# check this: too small for times since 1970; if they count the rows, it is right"
    assert f'time = "time"    {check}' in lines
    assert 'by = "user_share"' in lines
    assert not any(line.startswith(("hour", "weekday")) for line in lines)
    assert "unknown" not in caplog.text
