"""mail schema init on files as others write them: what it proposes is used as it is, and what cannot be is told."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mailcli.data.dataset import Dataset
from mailcli.errors import MailError
from mailcli.preprocessing.pipeline import Options, preprocess
from mailcli.preprocessing.schema_file.read import read_mapping
from mailcli.preprocessing.schema_init.column_profile import TIME_FORMATS, Profile
from mailcli.preprocessing.schema_init.propose import propose
from mailcli.preprocessing.schema_init.sniff import sample
from tests.end_to_end.test_schema_examples import ok, refused
from tests.preprocessing.schema_file.test_tables import by_user, shown, values, write

UTC_CHECK = '    # check this: hours and days are in UTC; utc_offset = "+08:00" says otherwise, for the behaviors too'
#: Noon of 2023-11-14, -15 and -16, in seconds since 1970.
NOONS = (1_699_963_200, 1_700_049_600, 1_700_136_000)


def log(time: Callable[[int], str] = str, label: tuple[str, str] = ("0", "1"), separator: str = ",") -> str:
    """Two users, each shown both items on each of three days at noon and the second after; the first is clicked."""
    rows = [("user_id", "item_id", "timestamp", "click")]
    for noon in NOONS:
        for user in ("u1", "u2"):
            rows += [(user, "i1", time(noon), label[1]), (user, "i2", time(noon + 1), label[0])]
    return "".join(separator.join(row) + "\n" for row in rows)


USERS = "user_id,city\nu1,Rome\nu2,Oslo\n"
FILES = {"users.csv": USERS, "log.csv": log()}
#: What is made of the log: user, item, time and split.
SHOWN = {
    (user, item, noon + second, split)
    for noon, split in zip(NOONS, ("train", "validation", "test"), strict=True)
    for user in ("u1", "u2")
    for item, second in (("i1", 0), ("i2", 1))
}


def proposed(folder: Path, files: list[Path]) -> tuple[str, Dataset]:
    """The proposal for files, and the dataset that is made by it as it is."""
    path, data = folder / "my.toml", folder / "data"
    ok("schema", "init", *files, "-o", path)
    text = path.read_text(encoding="utf-8")
    raw = next(line for line in text.splitlines() if "--raw" in line).partition("--raw ")[2]
    return text, preprocess("tabular", Path(raw), data, "mine", Options(schema=path, threads=1))


def clicks(dataset: Dataset) -> list[int]:
    return [int(dataset.column(split, "click").sum()) for split in ("train", "validation", "test")]


@dataclass(frozen=True)
class Form:
    """Files, and lines of the proposal for them."""

    lines: tuple[str, ...]
    files: dict[str, str] = field(default_factory=dict)
    encoding: str = "utf-8"
    users: dict[str, tuple[object, object]] = field(default_factory=lambda: {"city": ("Rome", "Oslo")})
    """Attributes of u1 and u2."""


def at(form: str) -> Callable[[int], str]:
    return lambda second: datetime.fromtimestamp(second, UTC).strftime(form)


FORMS = {
    "seconds": Form(
        (f'time = "timestamp"{UTC_CHECK}', 'time = "timestamp"', 'where = "click"', 'click = "click"'),
    ),
    "local texts": Form(
        (
            f'time = {{column = "timestamp", format = "%Y-%m-%d %H:%M:%S"}}{UTC_CHECK}',
            'time = {column = "timestamp", format = "%Y-%m-%d %H:%M:%S"}',
        ),
        {"log.csv": log(at("%Y-%m-%d %H:%M:%S"))},
    ),
    "texts that end in Z": Form(
        (
            'time = {column = "timestamp", format = "%Y-%m-%dT%H:%M:%SZ"}    # check this: hours and days are in UTC',
        ),
        {"log.csv": log(at("%Y-%m-%dT%H:%M:%SZ"))},
    ),
    "texts with an offset": Form(
        (f'time = {{column = "timestamp", format = "%Y-%m-%d %H:%M:%S%z"}}{UTC_CHECK}',),
        {"log.csv": log(at("%Y-%m-%d %H:%M:%S+00:00"))},
    ),
    "labels with a point": Form(('where = "click"', 'click = "click"'), {"log.csv": log(label=("0.0", "1.0"))}),
    "row numbers, and a separator at the end": Form(
        ("# A column without a name is left out.",),
        {
            "users.csv": USERS.replace("\n", ",\n"),
            "log.csv": "".join(
                f"{place - 1 if place else ''},{line}\n" for place, line in enumerate(log().splitlines())
            ),
        },
    ),
    "users' columns": Form(
        (
            "birth = {column = \"birth\", extract = '(\\d{4})'}    # check this: a date, of which the year is taken",
            'income = "income"    # check this: texts, as numbers with a comma for a point are no numbers here',
            'likes = {column = "likes", separator = ",", most = 6}    # check this: a list? room for twice the values of the '
            "first rows",
        ),
        {"users.csv": "user_id;city;birth;income;likes\nu1;Rome;03/04/1990;1,50;1,2,3\nu2;Oslo;25/12/1985;12,00;1\n"},
        users={
            "city": ("Rome", "Oslo"), "birth": ("1990", "1985"), "income": ("1,50", "12,00"),
            "likes": (["1", "2", "3"], ["1"]),
        },
    ),
    "UTF-16": Form(
        ('encoding = "utf-16"    # check this: the file is not UTF-8',),
        {"users.csv": USERS.replace("Oslo", "Malmö")},
        "utf-16",
        {"city": ("Rome", "Malmö")},
    ),
    "line breaks in quotes": Form(
        (),
        {"users.csv": 'user_id,city,note\nu1,"Ro\nme",a\nu2,Oslo,b\n'},
        users={"city": ("Ro\nme", "Oslo")},
    ),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS.values(), ids=list(FORMS))
def test_what_is_proposed_is_used_as_it_is(tmp_path: Path, form: Form) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    for name, text in {**FILES, **form.files}.items():
        (raw / name).write_text(text, encoding=form.encoding, newline="")
    text, dataset = proposed(tmp_path, sorted(raw.iterdir()))
    lines = text.splitlines()
    assert [line for line in form.lines if line not in lines] == []
    assert shown(dataset) == SHOWN
    assert clicks(dataset) == [2, 2, 2]
    for name, (one, other) in form.users.items():
        assert by_user(dataset, name) == {"u1": one, "u2": other}


def test_what_is_proposed_of_parquet_is_used_as_it_is(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    rows = [
        (user, item, noon + second, item == "i1")
        for noon in NOONS
        for user in ("u1", "u2")
        for item, second in (("i1", 0), ("i2", 1))
    ]
    for place, noon in enumerate(NOONS):
        part = [row for row in rows if row[2] // 86400 == noon // 86400]
        folder = raw / f"day={place}"
        folder.mkdir(parents=True)
        moments = pa.array([row[2] * 10**9 + 5 for row in part], pa.timestamp("ns"))
        table = {
            "user_id": [row[0] for row in part],
            "item_id": [row[1] for row in part],
            "timestamp": moments,
            "click": [row[3] for row in part],
            "seen": [{"x": 1}] * len(part),
            "near": [["x"]] * len(part),
        }
        pq.write_table(pa.table(table), folder / "part-0.parquet")
    users: dict[str, Any] = {
        "user_id": ["u1", "u2"],
        "city": ["Rome", "Oslo"],
        "born": [date(1970, 1, 3), date(1985, 12, 25)],
        "likes": [["x", "y"], []],
        "vip": [True, False],
        "home": [{"street": "a"}, {"street": "b"}],
        "groups": [[["x"]], [["y"]]],
        "key": [b"1", b"2"],
        "shares": pa.array([[("a", 1)], []], pa.map_(pa.string(), pa.int64())),
        "score": [float("nan"), None],
    }
    pq.write_table(pa.table(users), raw / "users.parquet")
    text, dataset = proposed(tmp_path, sorted(raw.rglob("*.parquet")))
    lines = text.splitlines()
    attributes = lines[lines.index("[users.attributes]") + 1 : lines.index("[behaviors]") - 3]
    assert attributes == [
        'city = "city"',
        'born = "born"    # check this: a time, by its seconds since 1970',
        'likes = {column = "likes", list = true, most = 4}    # check this: room for twice the values of the first rows',
        'vip = "vip"',
        '# home = "home"    # check this: structs of Parquet cannot be a field',
        '# groups = "groups"    # check this: nested lists of Parquet cannot be a field',
        '# key = "key"    # check this: bytes of Parquet cannot be a field',
        '# shares = "shares"    # check this: maps of Parquet cannot be a field',
        '# score = "score"    # check this: no value in the first rows',
    ]  # fmt: skip
    assert 'files = "day=*/part-0.parquet"' in lines
    assert f'time = "timestamp"{UTC_CHECK}' in lines
    assert '# seen = "seen"    # check this: structs of Parquet cannot be context' in lines
    assert '# near = "near"    # check this: lists of Parquet cannot be context' in lines
    assert shown(dataset) == SHOWN
    assert clicks(dataset) == [2, 2, 2]
    assert by_user(dataset, "likes") == {"u1": ["x", "y"], "u2": [None]}
    assert by_user(dataset, "vip") == {"u1": "1", "u2": "0"}
    # Two days after 1970-01-01; and 5,837 days.
    assert by_user(dataset, "born") == {"u1": "172800", "u2": "504316800"}


TRUTHS = pytest.mark.parametrize("label", [("False", "True"), ("false", "true")])


@TRUTHS
def test_true_and_false_are_labels(tmp_path: Path, label: tuple[str, str]) -> None:
    raw = write(tmp_path / "raw", {**FILES, "log.csv": log(label=label)})
    lines = propose(sorted(raw.iterdir()), "my.toml").splitlines()
    assert 'click = "click"' in lines
    assert 'where = "click"' in lines


@TRUTHS
def test_labels_that_are_true_and_false_are_used_as_proposed(tmp_path: Path, label: tuple[str, str]) -> None:
    raw = write(tmp_path / "raw", {**FILES, "log.csv": log(label=label)})
    _, dataset = proposed(tmp_path, sorted(raw.iterdir()))
    assert clicks(dataset) == [2, 2, 2]
    assert dataset.counts["behaviors"] == 6


@pytest.mark.parametrize("form", TIME_FORMATS)
def test_a_form_of_times_is_read_by_the_engine_as_it_was_meant(form: str) -> None:
    written = datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC).strftime(form)
    assert Profile("a", (written,)).time_formats[0] == form
    (found,) = duckdb.execute(f"SELECT epoch_us(try_strptime('{written}', '{form}')) // 1000000").fetchall()
    # 2023-11-14 is 19,675 days after 1970-01-01.
    day, clock = 19_675 * 86_400, 22 * 3600 + 13 * 60
    if "%H" not in form and "%I" not in form:
        clock = 0
    elif "%S" in form:
        clock += 20
    assert found == (day + clock,)


def test_numbers_are_times_of_digits_alone_only_if_nothing_else_is_likely() -> None:
    assert Profile("a", ("20231114", "20240101")).time_formats == ("%Y%m%d",)
    assert Profile("a", ("199011",)).time_formats == ()
    assert Profile("a", ("12340506",)).time_formats == ()
    assert Profile("a", ("2024-01-01T10:00:00Z", "2024-01-01T10:00:00+00:00")).time_formats == ()
    assert Profile("a", ("1700000000",)).unit == "s"
    assert Profile("a", ("1700000000000",)).unit == "ms"
    assert Profile("a", ("1700000000000000",)).unit == "us"
    # Nanoseconds are no unit of a schema file.
    assert Profile("a", ("1700000000000000000",)).unit == ""


def test_the_day_or_the_month_first(tmp_path: Path) -> None:
    raw = write(tmp_path, {**FILES, "log.csv": "user_id,item_id,date,click\nu1,i1,02/03/2024,1\nu2,i1,04/05/2024,0\n"})
    lines = propose([raw / "users.csv", raw / "log.csv"], "my.toml").splitlines()
    line = 'time = {column = "date", format = "%d/%m/%Y"}    # check this: or is it %m/%d/%Y?'
    assert lines.count(line) == 2


def test_a_time_of_unknown_form_is_asked_for(tmp_path: Path) -> None:
    raw = write(
        tmp_path, {**FILES, "log.csv": "user_id,item_id,created_at,click\nu1,i1,14th Nov,1\nu2,i1,15th Nov,0\n"}
    )
    path = tmp_path / "my.toml"
    path.write_text(propose([raw / "users.csv", raw / "log.csv"], "my.toml"), encoding="utf-8")
    line = '# time = {column = "created_at", format = ""}    # check this: in which form is \'14th Nov\'?'
    assert path.read_text(encoding="utf-8").splitlines().count(line) == 2
    with pytest.raises(MailError, match=r"split.by = 'day': needs impressions.time, which is missing"):
        read_mapping(path)


def test_files_that_are_no_tables_say_why(tmp_path: Path) -> None:
    raw = write(
        tmp_path,
        {"head.csv": "user_id,item_id,timestamp,click\n", "twice.csv": "user_id,click,click\n1,0,0\n2,1,1\n"},
    )
    assert refused("schema", "init", raw / "head.csv") == (
        f"{raw}/head.csv: has no row below the header line. Expected rows."
    )
    twice = "has more than one column 'click'. Expected names that differ: rename one in the file."
    assert refused("schema", "init", raw / "twice.csv") == f"{raw}/twice.csv: {twice}"
    table = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["click", "click"])
    pq.write_table(table, raw / "twice.parquet")
    assert refused("schema", "init", raw / "twice.parquet") == f"{raw}/twice.parquet: {twice}"
    pq.write_table(table.rename_columns(["a", "b"]).slice(1), raw / "none.PARQUET")
    assert refused("schema", "init", raw / "none.PARQUET") == f"{raw}/none.PARQUET: has no rows. Expected some."
    (raw / "big.csv").write_bytes("\ufeffuser_id,click\n1,0\n".encode("utf-16-be"))
    assert refused("schema", "init", raw / "big.csv") == (
        f"{raw}/big.csv: is UTF-16 with the higher byte first, which cannot be read. Save it as UTF-8."
    )
    (raw / "log.csv.zip").write_bytes(b"PK\x03\x04\x14\0\0\0log.csv")
    assert refused("schema", "init", raw / "log.csv.zip") == (
        f"{raw}/log.csv.zip: holds zero bytes, which no text does. Expected CSV, another separated text (.gz at most is "
        "unpacked), or Parquet whose name ends in .parquet; unpack it, or save it as UTF-8."
    )
    pq.write_table(pa.table({"user_id": [b"1"], "item_id": [2], "timestamp": [3], "click": [1]}), raw / "b.parquet")
    assert "Found: b.parquet: user_id (bytes), item_id, timestamp, click." in refused(
        "schema", "init", raw / "b.parquet"
    )


def test_rows_may_span_lines_and_a_quote_may_be_none(tmp_path: Path) -> None:
    raw = write(
        tmp_path,
        {"breaks.csv": 'a,b\n"x\n\ny",1\n\n"z\n",2\n', "quotes.csv": 'a,b\n5" disk,"x" or y\n6",z\n'},
    )
    with gzip.open(raw / "breaks.csv.gz", "wb") as file:
        file.write((raw / "breaks.csv").read_bytes())
    for name in ("breaks.csv", "breaks.csv.gz"):
        found = sample(raw / name)
        assert [(each.name, each.values) for each in found.columns] == [("a", ("x\n\ny", "z\n")), ("b", ("1", "2"))]
    assert sample(raw / "quotes.csv").form.quote == ""
    assert sample(raw / "quotes.csv").columns[0].values == ('5" disk', '6"')


def test_a_list_has_room_for_more_than_the_first_rows_have(tmp_path: Path) -> None:
    long = "|".join(map(str, range(501)))
    longer = "|".join(map(str, range(1001)))
    users = f"user_id,city,a,b,c\nu1,Rome,x|y|x,{long},{longer}\nu2,Oslo,x,1,1\n"
    raw = write(tmp_path, {**FILES, "users.csv": users})
    lines = propose([raw / "users.csv", raw / "log.csv"], "my.toml").splitlines()
    note = "    # check this: a list? room for twice the values of the first rows"
    for line in (
        f'a = {{column = "a", separator = "|", most = 4}}{note}',
        f'b = {{column = "b", separator = "|", most = 1000}}{note}',
        '# c = {column = "c", separator = "|", most = 1000}    # check this: lists of up to 1,001 values, 1,000 at most may be',
    ):  # fmt: skip
        assert line in lines


@pytest.mark.parametrize(
    ("names", "others", "expected"),
    [
        (("log-1.csv", "log-2.csv", "log-10.csv"), (), "log-*.csv"),
        (("log-10.csv", "log-11.csv"), (), "log-*.csv"),
        (("day=1/part-0.csv", "day=2/part-0.csv", "day=2/part-1.csv"), (), "day=*/part-*.csv"),
        (("to=de/log.csv", "to=dk/log.csv"), (), "to=*/log.csv"),
        (("[x]-1.csv", "[x]-2.csv"), (), "[[]x]-*.csv"),
        # The pattern would fit another file, and the one below it another folder's.
        (("log-1.csv", "log-2.csv"), ("log-3.csv",), ["log-1.csv", "log-2.csv"]),
        (("train.csv", "test.csv"), (), ["train.csv", "test.csv"]),
        (("a/log-1.csv", "log-2.csv"), (), ["a/log-1.csv", "log-2.csv"]),
    ],
)
def test_files_in_parts_are_one_pattern(
    tmp_path: Path, names: tuple[str, ...], others: tuple[str, ...], expected: str | list[str]
) -> None:
    for name in (*names, *others):
        path = tmp_path / "raw" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(log(), encoding="utf-8")
    write(tmp_path / "raw", {"users.csv": USERS})
    text = propose([tmp_path / "raw" / name for name in ("users.csv", *names)], "my.toml")
    path = tmp_path / "my.toml"
    path.write_text(text, encoding="utf-8")
    assert read_mapping(path).impressions.patterns == tuple([expected] if isinstance(expected, str) else expected)


def test_columns_are_judged_by_all_parts(tmp_path: Path) -> None:
    raw = write(
        tmp_path,
        {
            "users.csv": "user_id,city\n1,Rome\nb,Oslo\n",
            "log-1.csv": "user_id,item_id,timestamp,click\n1,1,1700000000,1\n",
            "log-2.csv": "user_id,item_id,timestamp,click\nb,2,1700000000,NA\n",
        },
    )
    lines = propose(sorted(raw.glob("*.csv")), "my.toml").splitlines()
    assert 'integers = ["item"]    # check this: a later row with another id is set aside' in lines
    assert 'missing = ["NA"]    # check this: texts that seem to stand for a missing value' in lines


def test_a_behavior_has_the_fields_that_items_have_as_they_are(tmp_path: Path) -> None:
    items = "item_id,kind,price,tags\n" + "".join(f"{item},hat,{item * 3},a|b\n" for item in range(40))
    history = "user_id,timestamp,item_id,kind,price,tags\nu1,1699000000,1,hat,3,a|b\nu1,1699000001,2,hat,6,a|b\n"
    shown_ = log().replace(",i1,", ",1,").replace(",i2,", ",2,")
    raw = write(tmp_path / "raw", {**FILES, "log.csv": shown_, "items.csv": items, "history.csv": history})
    text, dataset = proposed(tmp_path, sorted(raw.iterdir()))
    lines = text.splitlines()
    note = "    # check this: only a field that items have, too"
    fields = lines[lines.index("[behaviors.fields]") + 1 : lines.index("[impressions]") - 1]
    assert fields == ['item = "item_id"', 'kind = "kind"', f'# price = "price"{note}', f'# tags = "tags"{note}']
    assert values(dataset, "behaviors", "kind") == ["hat", "hat"]


def test_a_column_may_be_called_as_the_year_of_a_title_is(tmp_path: Path) -> None:
    items = "item_id,title,year\ni1,A (1990),1991\ni2,B (1992),1993\n"
    raw = write(tmp_path / "raw", {**FILES, "items.csv": items})
    _, dataset = proposed(tmp_path, sorted(raw.iterdir()))
    assert values(dataset, "items", "year") == ["1990", "1992"]
    assert values(dataset, "items", "year_") == ["1991", "1993"]


def test_a_file_that_is_given_twice_counts_once(tmp_path: Path) -> None:
    raw = write(tmp_path / "raw", FILES)
    out = tmp_path / "my.toml"
    twice = raw / ".." / "raw" / "log.csv"
    assert ok("schema", "init", raw / "log.csv", raw / "users.csv", twice, "-o", out) == (
        f"{out}: proposed from 2 files; look at its lines with `check this`.\n"
    )
    assert read_mapping(out).impressions.patterns == ("log.csv",)


def test_a_folder_that_is_missing_is_told_by_its_name(tmp_path: Path) -> None:
    raw = write(tmp_path / "raw", FILES)
    out = tmp_path / "no" / "my.toml"
    assert refused("schema", "init", *sorted(raw.iterdir()), "-o", out) == (
        f"{out}: there is no folder {tmp_path}/no. Make it first, or choose another with -o."
    )
    assert not out.parent.exists()
    long = tmp_path / ("x" * 250 + ".toml")
    assert refused("schema", "init", *sorted(raw.iterdir()), "-o", long) == (
        f"{long}: cannot be written (File name too long). Choose another with -o."
    )
