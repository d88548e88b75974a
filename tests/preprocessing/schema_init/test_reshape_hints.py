"""Forms of files that no schema file can describe: the command on the terminal rewrites them."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mailcli.errors import MailError
from mailcli.preprocessing.schema_init.propose import propose
from tests.helpers.reshaping import LOG, USERS, hints, rows, run, run_in_shell
from tests.helpers.schema_files import write_files


def test_pages_and_histories_as_mind_has_them(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    pages = "1\tU0\t11/9/2019 1:05:00 PM\tN7 N8\tN1-0 N2-1\n2\tU1\t11/9/2019 2:00:00 PM\t\tN1-1\n"
    news = "".join(f"N{n}\tsports\tx\tA title\tan abstract\turl\t[]\t[]\n" for n in (1, 2, 7, 8))
    files = {"users.csv": USERS, "news.tsv": news, "behaviors.tsv": pages}
    page, page_command, history, history_command = hints(caplog, tmp_path, files, is_log=False)
    assert page == (
        "Note: behaviors.tsv: left out: 'impressions' (what a page showed, with clicks, such as 'N1-1'). Write one row "
        "for each impression; then give behaviors-impressions.csv to `mail schema init` instead of behaviors.tsv."
    )
    assert history == (
        "Note: behaviors.tsv: left out: 'history' (lists of earlier behaviors without times). Histories are made from "
        "the log's earlier clicks; for these as well, write both as rows with times, and give behaviors-history.csv to "
        "`mail schema init` too."
    )
    run(page_command)
    run(history_command)
    assert rows(tmp_path / "behaviors-impressions.csv") == [
        {"impression_id": "1", "user_id": "U0", "time": "11/9/2019 1:05:00 PM", "item_id": "N1", "click": "0"},
        {"impression_id": "1", "user_id": "U0", "time": "11/9/2019 1:05:00 PM", "item_id": "N2", "click": "1"},
        {"impression_id": "2", "user_id": "U1", "time": "11/9/2019 2:00:00 PM", "item_id": "N1", "click": "1"},
    ]
    assert sorted(tuple(row.values()) for row in rows(tmp_path / "behaviors-history.csv")) == [
        ("U0", "N2", "11/9/2019 1:05:00 PM"),
        ("U0", "N7", "11/09/2019 01:04:58 PM"),
        ("U0", "N8", "11/09/2019 01:04:59 PM"),
        ("U1", "N1", "11/9/2019 2:00:00 PM"),
    ]
    again = [
        tmp_path / name for name in ("users.csv", "news.tsv", "behaviors-impressions.csv", "behaviors-history.csv")
    ]
    lines = propose(again, "my.toml").splitlines()
    assert lines.count('files = "behaviors-history.csv"') == 1
    assert 'click = "click"' in lines


@pytest.mark.parametrize(
    ("times", "before"),
    [
        (("1600000060000", "1600000000000", "1600000120000"), ("1599999998000", "1599999999000")),
        # As Python's isoformat writes them: only some have a fraction of a second.
        (
            ("2024-03-01T10:00:01.250000", "2024-03-01T10:00:00", "2024-03-01T10:02:00"),
            ("2024-03-01T09:59:58", "2024-03-01T09:59:59"),
        ),
    ],
)
def test_histories_of_a_log_with_items(
    times: tuple[str, ...], before: tuple[str, str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows_of_log = zip(("U0,5", "U0,7", "U1,9"), times, ("7|5,1", "5|9,0", ",1"), strict=True)
    log = "user_id,item_id,at,seen,click\n" + "".join(f"{','.join(row)}\n" for row in rows_of_log)
    note, command, *_ = hints(caplog, tmp_path, {"users.csv": USERS, "log.csv": log})
    assert note.startswith("Note: log.csv: left out: 'seen' (lists of earlier behaviors without times).")
    run(command)
    # The list of the earliest row, whose last value is a second before the log begins, and the two clicks.
    assert sorted(tuple(row.values()) for row in rows(tmp_path / "log-history.csv")) == [
        ("U0", "5", before[0]),
        ("U0", "5", times[0]),
        ("U0", "9", before[1]),
        ("U1", "9", times[2]),
    ]


def test_a_file_of_histories_alone_is_not_that_of_the_users(tmp_path: Path) -> None:
    files = {"baskets.csv": "user_id,past\nU0,N1;N2\nU1,N2;N1\n", "users.csv": USERS, "log.csv": LOG}
    raw = write_files(tmp_path, files)
    lines = propose([raw / name for name in files], "my.toml").splitlines()
    assert lines[lines.index("[users]") + 1] == 'files = "users.csv"'
    assert lines[-1].startswith("# Not used: baskets.csv")


def test_histories_in_the_users_file_are_no_attributes(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    users = "user_id,city,basket\nU0,Rome,N1;N2\nU1,Oslo,N2;N1\n"
    note, command, *_ = hints(caplog, tmp_path, {"users.csv": users, "log.csv": LOG})
    assert note.startswith("Note: users.csv: left out: 'basket' (lists of earlier behaviors without times).")
    run(command)
    assert sorted(tuple(row.values()) for row in rows(tmp_path / "users-history.csv")) == [
        ("U0", "N1", "1599999998"),
        ("U0", "N1", "1600000000"),
        ("U0", "N2", "1599999999"),
        ("U1", "N1", "1599999999"),
        ("U1", "N2", "1599999998"),
    ]


def test_lists_of_what_was_shown_and_clicked(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    table = {"user_id": [1, 1], "t": [1_600_000_000, 1_600_000_060], "inview": [[1, 2], [3]], "clicked": [[2], []]}
    pq.write_table(pa.table(table), tmp_path / "pages.parquet")
    pq.write_table(pa.table({"user_id": [1], "past": [[3, 1]]}), tmp_path / "history.parquet")
    with pytest.raises(MailError, match=r"pages.parquet: 'inview' and 1 more: none of the files is a log"):
        propose([tmp_path / "pages.parquet", tmp_path / "history.parquet"], "my.toml")
    assert caplog.messages[0].startswith(
        "Note: pages.parquet: left out: 'inview', 'clicked' (lists of what was shown and clicked)."
    )
    run(caplog.messages[1])
    assert pq.read_table(tmp_path / "pages-impressions.parquet").to_pylist() == [
        {"user_id": 1, "t": 1_600_000_000, "item_id": 1, "click": 0},
        {"user_id": 1, "t": 1_600_000_000, "item_id": 2, "click": 1},
        {"user_id": 1, "t": 1_600_000_060, "item_id": 3, "click": 0},
    ]
    run(caplog.messages[3])
    assert sorted(tuple(row.values()) for row in rows(tmp_path / "history-history.csv")) == [
        ("1", "1", "1599999999"),
        ("1", "2", "1600000000"),
        ("1", "3", "1599999998"),
    ]


@pytest.mark.parametrize(("count", "is_left_out"), [(8, False), (31, True)])
def test_many_columns_of_0_and_1_are_a_list(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, count: int, is_left_out: bool
) -> None:
    flags = [f"is it {number}" for number in range(count)]
    first = [str(int(number in {0, count - 2, count - 1})) for number in range(count)]
    cells = [["item_id", "kind $", *flags], ["N1", "hat", *first], ["N2", "cap", *["0"] * count]]
    items = "\n".join(map(",".join, cells))
    note, command, *_ = hints(caplog, tmp_path, {"users.csv": USERS, "items.csv": items + "\n", "log.csv": LOG})
    assert note.startswith(f"Note: items.csv: {'left out: ' if is_left_out else ''}'is it 0', 'is it 1', ")
    run_in_shell(command)
    last = f"is it 0|is it {count - 2}|is it {count - 1}"
    assert sorted(tuple(row.values()) for row in rows(tmp_path / "items-lists.csv")) == [("N1", "hat", last), ("N2", "cap", "")]  # fmt: skip
    lines = propose([tmp_path / name for name in ("users.csv", "items.csv", "log.csv")], "my.toml").splitlines()
    assert ('is_it_0 = "is it 0"' in lines) is not is_left_out
    left_out = f"# {count} columns, is it 0 to is it {count - 1}, are left out    # check this: columns of 0 and 1"
    assert (left_out in lines) is is_left_out


def test_a_matrix_of_ratings(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    matrix = "who," + ",".join(f"m{n}" for n in range(20)) + "\nann,5" + 19 * "," + "\nbob," + 18 * "," + "3,4\n"
    matrix = matrix.replace("\nbob," + 18 * "," + "3,4", "\nbob,1" + 18 * ",2" + ",4")
    _, command = hints(caplog, tmp_path, {"matrix.csv": matrix}, is_log=False)
    run(command)
    written = rows(tmp_path / "matrix-ratings.csv")
    assert written[:2] == [
        {"who": "ann", "item_id": "m0", "rating": "5"},
        {"who": "bob", "item_id": "m0", "rating": "1"},
    ]
    assert len(written) == 21


def test_json_objects_and_json_files(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    users = 'user_id;props\nU0;{"age": 3, "home town": "Rome"}\nU1;{"age": 4}\n'
    _, command, *_ = hints(caplog, tmp_path, {"users.csv": users, "log.csv": LOG})
    run(command)
    assert rows(tmp_path / "users-columns.csv") == [
        {"user_id": "U0", "age": "3", "home town": "Rome"},
        {"user_id": "U1", "age": "4", "home town": ""},
    ]
    for name in ("log.jsonl", "log.txt"):
        (tmp_path / name).write_text('{"user": 1, "click": 1}\n{"user": 2, "click": 0}\n', encoding="utf-8")
        with pytest.raises(MailError, match="is JSON. Expected CSV, other separated text, or Parquet") as error:
            propose([tmp_path / name], "my.toml")
        run(error.value.message.partition("writes it: ")[2])
        written = pq.read_table(tmp_path / "log.parquet").to_pylist()
        assert written == [{"user": 1, "click": 1}, {"user": 2, "click": 0}]


def test_lists_in_brackets_are_read_as_they_are(tmp_path: Path) -> None:
    users = "user_id;a;b;c;d\nU0;['x', 'y'];[\"p\"];[1, 2, 3];[]\nU1;['x'];[\"q\", \"r\"];[4];[]\n"
    raw = write_files(tmp_path, {"users.csv": users, "log.csv": LOG})
    lines = propose([raw / "users.csv", raw / "log.csv"], "my.toml").splitlines()
    note = "    # check this: a list? room for twice as many values as in the first rows"
    for line in (
        f'a = {{column = "a", extract_all = "\'([^\']*)\'", most = 4}}{note}',
        f'b = {{column = "b", extract_all = "\\"([^\\"]*)\\"", most = 4}}{note}',
        f'c = {{column = "c", extract_all = "([^\\\\[\\\\],\\\\s]+)", most = 6}}{note}',
        '# d = "d"    # check this: only empty lists',
    ):
        assert line in lines


def test_structs_of_parquet(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    raw = write_files(tmp_path, {"log.csv": LOG})
    pq.write_table(pa.table({"user_id": ["U0", "U1"], "home": [{"street": "a"}, {"street": "b"}]}), raw / "users.parquet")  # fmt: skip
    propose([raw / "users.parquet", raw / "log.csv"], "my.toml")
    run(caplog.messages[1])
    written = pq.read_table(raw / "users-columns.parquet").to_pylist()
    assert written == [{"user_id": "U0", "street": "a"}, {"user_id": "U1", "street": "b"}]


def test_a_day_and_a_time_in_two_columns(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    log = "user_id,item_id,date,clock,click\nU0,N1,2022-05-07,9:05,1\nU1,N2,2022-05-08,10:00,0\n"
    note, command, *_ = hints(caplog, tmp_path, {"users.csv": USERS, "log.csv": log})
    assert note.startswith("Note: log.csv: left out: 'clock' (times of the days in 'date').")
    run(command)
    assert [row["time"] for row in rows(tmp_path / "log-times.csv")] == ["2022-05-07 9:05", "2022-05-08 10:00"]
    lines = propose([tmp_path / "users.csv", tmp_path / "log-times.csv"], "my.toml").splitlines()
    assert 'time = {column = "time", format = "%Y-%m-%d %H:%M"}' in lines
