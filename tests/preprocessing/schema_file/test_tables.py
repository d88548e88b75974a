"""Files of the user's own by a schema file: what becomes of their rows."""

from __future__ import annotations

import csv
import gzip
import io
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mailcli.data.dataset import Dataset
from mailcli.data.schema import FIRST_ID, PADDING, SPLITS, UNKNOWN
from mailcli.errors import MailError
from mailcli.preprocessing.engines.duckdb import Engine
from mailcli.preprocessing.pipeline import Options, preprocess
from mailcli.preprocessing.schema_file.definition import Files, Form, Place
from mailcli.preprocessing.schema_file.locate import locate
from mailcli.preprocessing.schema_file.table import MappedTable
from mailcli.preprocessing.sources._base import TABLES
from mailcli.preprocessing.sources.tabular import Source
from tests.helpers import grouplens
from tests.preprocessing.test_pipeline import columns

SCHEMA = """
[users]
files = "users.csv"
user = "id"
missing = ["?"]
[users.attributes]
city = "city"
hobbies = {column = "hobbies", separator = "|", most = 3}
age = {column = "age", edges = [18, 30]}
income = {column = "income", quantiles = 2}

[items]
files = "items.csv"
item = "sku"
[items.features]
kind = "kind"
price = {column = "price", dense = true}

[behaviors]
files = "log-*.csv"
user = "who"
time = "at"
action = {column = "what", values = ["view", "buy"]}
[behaviors.fields]
kind = "kind"

[impressions]
files = "shown.csv"
user = "who"
item = "sku"
time = "at"
click = "clicked"
[impressions.context]
page = "page"
hour = {clock = "hour"}
weekday = {clock = "weekday"}

[split]
by = "time"
validation_from = 2000
test_from = 3000
"""
FILES = {
    "users.csv": "id,city,hobbies,age,income\n"
    'ann,Rome,chess|go,17,10\nbob,"Paris, TX",go||go,18,20\ncid,?,,30,30\ndan,Oslo,chess,?,1000\n',
    "items.csv": "sku,kind,price\nx1,hat,10\nx2,shoe,20\n",
    "log-1.csv": "who,at,what,kind\nann,100,view,hat\nann,200,buy,shoe\nbob,50,view,hat\n",
    "log-2.csv": "who,at,what,kind\nann,300,view,boot\nbob,2500,buy,hat\n",
    "shown.csv": "who,sku,at,clicked,page\n"
    "ann,x1,200,1,p\nann,x2,300,0,p\nbob,x1,100,0,q\ncid,x2,100,1,q\n"
    "ann,x1,2000,1,r\nann,x2,2100,0,p\n"
    "bob,x1,3000,0,p\ndan,x1,3700,1,p\nann,x3,400000,1,p\n",
}  # fmt: skip


def write(folder: Path, files: dict[str, str]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def made(folder: Path, schema: str, files: dict[str, str] | None = None, **options: Any) -> Dataset:
    """The dataset of some files by a schema file."""
    raw = write(folder / "raw", FILES if files is None else files)
    path = folder / "my.toml"
    path.write_text(schema, encoding="utf-8")
    options = {"history": 10, **options}
    return preprocess("tabular", raw, folder / "data", "mine", Options(schema=path, **options))


def rows_of(folder: Path, schema: str, files: dict[str, str] | None = None, table: str = "impressions") -> list[Any]:
    """The rows of a raw table, as preprocessing gets them, in the order of their time."""
    raw = write(folder / "raw", FILES if files is None else files)
    (folder / "my.toml").write_text(schema, encoding="utf-8")
    source = Source(raw, folder, folder / "my.toml")
    with Engine(folder / "spill", 10**9, 1, None) as engine:
        found = engine.collect(getattr(source, table)(engine)).to_pylist()
    return sorted(found, key=lambda row: (str(row.get("time", "")), str(sorted(row.items(), key=str))))


def values(dataset: Dataset, table: str, name: str, vocabulary: str | None = None) -> list[Any]:
    """A column's raw values; None where unknown, a sorted list of a multi-valued field."""
    known = dataset.column("vocabularies", vocabulary or name)

    def value(each: int) -> Any:
        return None if each == UNKNOWN else known[each - FIRST_ID].item()

    ids = dataset.column(table, name)[:]
    if ids.ndim == 1:
        return [value(each) for each in ids]
    return [[value(each) for each in row if each != PADDING] for row in ids]


def by_user(dataset: Dataset, name: str) -> dict[Any, Any]:
    return dict(zip(dataset.column("users", "raw").tolist(), values(dataset, "users", name), strict=True))


def shown(dataset: Dataset) -> set[tuple[Any, ...]]:
    """(user, item, time, split) of all impressions."""
    return {
        (user, item, time, split)
        for split in SPLITS
        for user, item, time in zip(
            dataset.column("users", "raw")[dataset.column(split, "user")].tolist(),
            dataset.column("items", "raw")[dataset.column(split, "item")].tolist(),
            dataset.column(split, "time").tolist(),
            strict=True,
        )
    }


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return made(tmp_path_factory.mktemp("mine"), SCHEMA)


def test_attributes_are_texts_lists_and_buckets(dataset: Dataset) -> None:
    # dan has no training impression: Oslo is unknown. cid's city is the text for a missing value.
    assert by_user(dataset, "user") == {"ann": "ann", "bob": "bob", "cid": "cid", "dan": None}
    assert by_user(dataset, "city") == {"ann": "Rome", "bob": "Paris, TX", "cid": None, "dan": None}
    assert by_user(dataset, "hobbies") == {"ann": ["chess", "go"], "bob": ["go"], "cid": [None], "dan": ["chess"]}
    # Below 18, from 18, from 30.
    assert by_user(dataset, "age") == {"ann": 0, "bob": 1, "cid": 2, "dan": None}
    assert dataset.column("users", "hobbies").shape == (4, 3)


def test_quantiles_are_those_of_training_users(dataset: Dataset) -> None:
    # The median of 10, 20, 30 is 20; with dan's 1000 the lower of two medians would still be 20, so see below.
    assert dataset.manifest["mapping"]["edges"] == {"income": [20.0]}
    assert by_user(dataset, "income") == {"ann": 0, "bob": 1, "cid": 1, "dan": 1}


def test_users_of_other_splits_do_not_move_quantiles(tmp_path: Path) -> None:
    text = "id,city,hobbies,age,income\nann,R,,1,10\nbob,R,,1,20\ncid,R,,1,30\ndan,R,,1,1\neva,R,,1,2\nfay,R,,1,3\n"
    found = rows_of(tmp_path, SCHEMA, {**FILES, "users.csv": text}, "users")
    # The median of 10, 20, 30, not of 1, 2, 3, 10, 20, 30.
    assert {row["user"]: row["income"] for row in found} == {"ann": 0, "bob": 1, "cid": 1, "dan": 0, "eva": 0, "fay": 0}


def test_items_have_features_and_standardised_numbers(dataset: Dataset) -> None:
    assert dataset.column("items", "raw").tolist() == ["x1", "x2", "x3"]
    assert values(dataset, "items", "item") == ["x1", "x2", None]
    assert values(dataset, "items", "kind") == ["hat", "shoe", None]
    # Of the training impressions two show x1 and two x2: log(1 + x) has the mean (log 11 + log 21) / 2, which x3 gets.
    np.testing.assert_allclose(dataset.column("items", "price"), [-1, 1, 0], atol=1e-6)


def test_histories_are_what_was_before(dataset: Dataset) -> None:
    def history(split: str, row: int) -> list[tuple[int, int, str | None]]:
        end = dataset.column(split, "history_end")[row]
        begin = dataset.offsets[dataset.column(split, "user")[row]]
        kinds = values(dataset, "behaviors", "kind")
        actions, times = dataset.column("behaviors", "action"), dataset.column("behaviors", "time")
        return [(int(times[place]), int(actions[place]) - FIRST_ID, kinds[place]) for place in range(begin, end)]

    found = {}
    for split in SPLITS:
        for row, user in enumerate(dataset.column("users", "raw")[dataset.column(split, "user")].tolist()):
            found[user, int(dataset.column(split, "time")[row])] = history(split, row)
    assert found == {
        ("ann", 200): [(100, 0, "hat")],
        ("ann", 300): [(100, 0, "hat"), (200, 1, "shoe")],
        ("bob", 100): [(50, 0, "hat")],
        ("cid", 100): [],
        # No training impression sees the boot.
        ("ann", 2000): [(100, 0, "hat"), (200, 1, "shoe"), (300, 0, None)],
        ("ann", 2100): [(100, 0, "hat"), (200, 1, "shoe"), (300, 0, None)],
        ("bob", 3000): [(50, 0, "hat"), (2500, 1, "hat")],
        ("dan", 3700): [],
        ("ann", 400_000): [(100, 0, "hat"), (200, 1, "shoe"), (300, 0, None)],
    }


def test_context_labels_and_split(dataset: Dataset) -> None:
    assert shown(dataset) == {
        ("ann", "x1", 200, "train"), ("ann", "x2", 300, "train"), ("bob", "x1", 100, "train"),
        ("cid", "x2", 100, "train"), ("ann", "x1", 2000, "validation"), ("ann", "x2", 2100, "validation"),
        ("bob", "x1", 3000, "test"), ("dan", "x1", 3700, "test"), ("ann", "x3", 400_000, "test"),
    }  # fmt: skip
    times = dataset.column("test", "time").tolist()
    clicks = dict(zip(times, dataset.column("test", "click").tolist(), strict=True))
    assert clicks == {3000: 0, 3700: 1, 400_000: 1}
    # Page r, hour 1, hour 15 and the day after 1970-01-05 are not in train.
    assert dict(zip(times, values(dataset, "test", "page"), strict=True)) == {3000: "p", 3700: "p", 400_000: "p"}
    assert sorted(values(dataset, "validation", "page"), key=str) == [None, "p"]
    assert dict(zip(times, values(dataset, "test", "hour"), strict=True)) == {3000: 0, 3700: None, 400_000: None}
    assert dict(zip(times, values(dataset, "test", "weekday"), strict=True)) == {3000: 0, 3700: 0, 400_000: None}


def test_the_record_says_what_made_it(dataset: Dataset) -> None:
    assert dataset.manifest["source"] == "tabular"
    assert dataset.manifest["mapping"]["file"] == "my.toml"
    assert dataset.manifest["mapping"]["text"] == SCHEMA
    assert [each["file"] for each in dataset.manifest["files"]] == [
        "users.csv", "items.csv", "log-1.csv", "log-2.csv", "shown.csv"
    ]  # fmt: skip


def test_movielens_by_a_schema_file_is_the_source_ml_100k(tmp_path: Path) -> None:
    """The oracle: another reader of the same files. Its genres are flags in 19 columns, which no schema file maps."""
    grouplens.write(tmp_path / "raw")
    expected = columns(preprocess("ml-100k", tmp_path / "raw", tmp_path / "data", None))
    schema = tmp_path / "ml.toml"
    flags = ", ".join(f'"g{place}"' for place in range(19))
    schema.write_text(
        """
        integers = ["user", "item", "year"]
        [users]
        files = "u.user"
        columns = ["user", "age", "gender", "occupation", "zip"]
        separator = "|"
        user = "user"
        [users.attributes]
        gender = "gender"
        age = {column = "age", edges = [0, 18, 25, 35, 45, 50, 56]}
        occupation = "occupation"
        zip = {column = "zip", extract = "^(.)"}
        [items]
        files = "u.item"
        encoding = "latin-1"
        separator = "|"
        columns = ["item", "title", "date", "video", "url", FLAGS]
        item = "item"
        [items.features]
        year = {column = "title", extract = '\\((\\d{4})\\)\\s*$'}
        [behaviors]
        user = "user"
        time = "time"
        action = {column = "rating", values = [1, 2, 3, 4, 5]}
        fields = {item = "item"}
        [impressions]
        files = "u.data"
        columns = ["user", "item", "rating", "time"]
        separator = "\t"
        user = "user"
        item = "item"
        time = "time"
        click = {column = "rating", at_least = 4}
        context = {hour = {clock = "hour"}, weekday = {clock = "weekday"}}
        [split]
        by = "user_share"
        validation = 0.1
        test = 0.2
        """.replace("FLAGS", flags),
        encoding="utf-8",
    )
    found = columns(preprocess("tabular", tmp_path / "raw", tmp_path / "data", "by-schema", Options(schema=schema)))
    assert {key: each for key, each in expected.items() if "genres" not in key} == found


def replaced(*pairs: tuple[str, str], schema: str = SCHEMA) -> str:
    for old, new in pairs:
        assert old in schema, old
        schema = schema.replace(old, new)
    return schema


@pytest.mark.parametrize(
    ("cuts", "offset", "expected"),
    [
        ("validation_from = 2000\ntest_from = 3000", "+00:00", "000011222"),
        ('validation_from = "1970-01-01T00:33:20"\ntest_from = 1970-01-01T00:50:00Z', "+00:00", "000011222"),
        # 1970-01-01 01:00 in Berlin is 0 in UTC; a time with an offset of its own is not moved.
        ("validation_from = 1970-01-01T01:33:20\ntest_from = 1970-01-01T00:50:00Z", "+01:00", "000011222"),
        ("validation_from = 1970-01-01\ntest_from = 1970-01-02", "+00:00", "111111112"),
    ],
)
def test_cuts_may_be_dates(tmp_path: Path, cuts: str, offset: str, expected: str) -> None:
    schema = SCHEMA[: SCHEMA.index("validation_from")] + cuts
    schema = schema.replace('time = "at"\nclick', f'time = {{column = "at", utc_offset = "{offset}"}}\nclick')
    found = {(row["time"], row["item"]): row["split"] for row in rows_of(tmp_path, schema)}
    order = [(100, "x1"), (100, "x2"), (200, "x1"), (300, "x2"), (2000, "x1"), (2100, "x2"), (3000, "x1"), (3700, "x1")]
    assert found == {key: int(code) for key, code in zip([*order, (400_000, "x3")], expected, strict=True)}


DAYS = {
    **FILES,
    # Days 0, 1, 2 in UTC; with an offset of two hours, 165,600 (day 1, 22:00) is in day 2.
    "shown.csv": "who,sku,at,clicked,page,part\n"
    "ann,x1,5000,1,p,a\nann,x2,5001,0,p,a\nann,x1,86400,1,p,b\nann,x2,86401,0,p,b\n"
    "ann,x1,165600,0,p,c\nann,x1,172800,1,p,c\nann,x2,172801,0,p,d\n",
}  # fmt: skip


@pytest.mark.parametrize(
    ("split", "offset", "expected"),
    [
        ('by = "day"\nvalidation_days = 1\ntest_days = 1', "+00:00", "ttvvvss"),
        ('by = "day"\nvalidation_days = 1\ntest_days = 1', "+02:00", "ttvvsss"),
        ('by = "column"\ncolumn = "part"\ntrain = "a"\nvalidation = "b"\ntest = ["c", "d"]', "+00:00", "ttvvsss"),
        # 7 x 0.29 = 2.03 and 7 x 0.3 = 2.1: the last two, and the two before them.
        ('by = "user_share"\nvalidation = 0.3\ntest = 0.29', "+00:00", "tttvvss"),
    ],
)
def test_splits(tmp_path: Path, split: str, offset: str, expected: str) -> None:
    schema = SCHEMA[: SCHEMA.index('by = "time"')] + split
    schema = schema.replace('time = "at"\nclick', f'time = {{column = "at", utc_offset = "{offset}"}}\nclick')
    times = [5000, 5001, 86400, 86401, 165600, 172800, 172801]
    found = {row["time"]: row["split"] for row in rows_of(tmp_path, schema, DAYS)}
    assert found == {time: "tvs".index(part) for time, part in zip(times, expected, strict=True)}


def test_shares_are_rounded_down_as_numbers_are_written(tmp_path: Path) -> None:
    """100 x 0.29 is 28.999999999999996 in binary: 29 impressions are meant."""
    rows = "".join(f"ann,x1,{1000 + place},{place % 2},p\n" for place in range(100))
    files = {**FILES, "shown.csv": f"who,sku,at,clicked,page\n{rows}"}
    schema = SCHEMA[: SCHEMA.index('by = "time"')] + 'by = "user_share"\nvalidation = 0.1\ntest = 0.29'
    splits = [row["split"] for row in rows_of(tmp_path, schema, files)]
    assert splits == [0] * 61 + [1] * 10 + [2] * 29


def test_a_split_by_files_with_a_drawn_validation(tmp_path: Path) -> None:
    rows = "".join(f"ann,x1,{1000 + place},{place % 2},p\n" for place in range(400))
    files = {name: text for name, text in FILES.items() if name != "shown.csv"}
    files |= {f"shown_{part}.csv": f"who,sku,at,clicked,page\n{rows}" for part in ("a", "b")}
    schema = replaced(('"shown.csv"', '"shown_*.csv"'))
    schema = (
        schema[: schema.index('by = "time"')] + 'by = "file"\ntrain = "*_a.csv"\nvalidation = 0.25\ntest = "*_b.csv"'
    )
    found = rows_of(tmp_path, schema, files)
    counts = [sum(row["split"] == code for row in found) for code in range(3)]
    # 100 are expected, with a standard deviation of 8.7.
    assert counts[0] + counts[1] == counts[2] == 400
    assert 60 < counts[1] < 140
    assert rows_of(tmp_path / "again", schema, files) == found


@pytest.mark.parametrize(
    ("spec", "texts"),
    [
        ('{column = "at", unit = "ms"}', lambda time: str(1000 * time + 999)),
        ('{column = "at", unit = "us"}', lambda time: f"{1_000_000 * time}"),
        ('{column = "at", unit = "ms"}', lambda time: f"{1000 * time}.0"),
        (
            '{column = "at", format = "%d.%m.%Y %H:%M:%S"}',
            lambda time: datetime.fromtimestamp(time, UTC).strftime("%d.%m.%Y %H:%M:%S"),
        ),
        (
            '{column = "at", format = "%Y-%m-%dT%H:%M:%S", utc_offset = "-03:30"}',
            lambda time: datetime.fromtimestamp(time - 12600, UTC).strftime("%Y-%m-%dT%H:%M:%S"),
        ),
    ],
)
def test_times_may_be_written_otherwise(tmp_path: Path, spec: str, texts: Any) -> None:
    lines = FILES["shown.csv"].splitlines()
    rows = [line.split(",") for line in lines[1:]]
    text = "\n".join([lines[0], *(",".join([r[0], r[1], texts(int(r[2])), *r[3:]]) for r in rows)]) + "\n"
    schema = replaced(('time = "at"\nclick', f"time = {spec}\nclick"))
    found = rows_of(tmp_path, schema, {**FILES, "shown.csv": text})
    assert sorted(row["time"] for row in found) == [100, 100, 200, 300, 2000, 2100, 3000, 3700, 400_000]
    # 100 seconds after midnight in UTC, 20:31:40 of the day before where clocks are 3.5 hours behind.
    assert (found[0]["hour"], found[0]["weekday"]) == ((20, 6) if "-03:30" in spec else (0, 0))


@pytest.mark.parametrize(
    ("rule", "clicked"),
    [
        ('{column = "stars", at_least = 3}', {3, 4}),
        ('{column = "stars", above = 3}', {4}),
        ('{column = "stars", at_most = 2.5}', {1, 2}),
        ('{column = "stars", below = 2}', {1}),
        ('{column = "stars", equals = 2}', {2}),
        ('{column = "stars", one_of = [2, "4"]}', {2, 4}),
    ],
)
def test_a_label_may_be_a_rule(tmp_path: Path, rule: str, clicked: set[int]) -> None:
    times = (100, 2000, 3000)
    rows = "".join(f"ann,x1,{start + stars},{stars},p\n" for start in times for stars in (1, 2, 3, 4))
    schema = replaced(('click = "clicked"', f"click = {rule}"))
    found = rows_of(tmp_path, schema, {**FILES, "shown.csv": f"who,sku,at,stars,page\n{rows}"})
    assert [row["click"] for row in found] == [int(stars in clicked) for _ in times for stars in (1, 2, 3, 4)]


def test_rows_may_be_chosen(tmp_path: Path) -> None:
    schema = replaced(
        (
            'time = "at"\nclick',
            'time = "at"\nwhere = [{column = "at", below = 4000}, {column = "page", one_of = ["p", "r"]}]\nclick',
        ),
        ('time = "at"\naction', 'time = "at"\nwhere = {column = "what", equals = "view"}\naction'),
    )
    assert [row["time"] for row in rows_of(tmp_path, schema)] == [200, 2000, 2100, 300, 3000, 3700]
    assert [row["time"] for row in rows_of(tmp_path, schema, table="behaviors")] == [100, 300, 50]


def test_a_conversion_is_a_second_label(tmp_path: Path) -> None:
    schema = replaced(('click = "clicked"', 'click = "clicked"\nconversion = "page2"'))
    head, *rows = FILES["shown.csv"].splitlines()
    text = "\n".join([f"{head},page2", *(f"{row},{row.split(',')[3]}" for row in rows)]) + "\n"
    for row in rows_of(tmp_path, schema, {**FILES, "shown.csv": text}):
        assert row["conversion"] == row["click"]


def test_parquet_gives_the_same_dataset(tmp_path: Path) -> None:
    """Numbers, truth values, times and lists of Parquet in place of texts."""
    raw = write(tmp_path / "raw", FILES)
    for path in sorted(raw.glob("*.csv")):
        table = pa.csv.read_csv(path, convert_options=pa.csv.ConvertOptions(null_values=["?"]))
        if "hobbies" in table.column_names:
            lists = [each.split("|") if each else None for each in table["hobbies"].to_pylist()]
            table = table.set_column(2, "hobbies", pa.array(lists, pa.list_(pa.string())))
        if "clicked" in table.column_names:
            table = table.set_column(3, "clicked", table["clicked"].cast(pa.bool_()))
            table = table.set_column(2, "at", table["at"].cast(pa.timestamp("s")).cast(pa.timestamp("ms")))
        pq.write_table(table, path.with_suffix(".parquet"))
        path.unlink()
    schema = replaced((".csv", ".parquet"), ('separator = "|"', "list = true"))
    for table in TABLES:
        found, expected = rows_of(tmp_path, schema, {}, table), rows_of(tmp_path / "csv", SCHEMA, None, table)
        for rows in (found, expected):
            for row in rows:
                del row["line"]
                row["hobbies"] = sorted(row.get("hobbies") or [])
        assert sorted(map(str, found)) == sorted(map(str, expected))


def test_files_may_be_packed_and_in_folders(tmp_path: Path) -> None:
    write(tmp_path / "raw" / "day=1", {"log-1.csv": FILES["log-1.csv"]})
    write(tmp_path / "raw" / "day=2", {"log-1.csv": FILES["log-2.csv"]})
    rest = {name: text for name, text in FILES.items() if not name.startswith("log")}
    (tmp_path / "raw" / "shown.csv.gz").write_bytes(gzip.compress(rest.pop("shown.csv").encode()))
    schema = replaced(('"log-*.csv"', '"day=*/*.csv"'), ('"shown.csv"', '"shown.csv.gz"'))
    for table in TABLES:
        assert rows_of(tmp_path, schema, rest, table) == rows_of(tmp_path / "plain", SCHEMA, None, table)


WIDE = """
[users.attributes]
city = "city"
age = {column = "age", quantiles = 2}
[items.features]
kind = "kind"
[behaviors]
user = "who"
time = "at"
where = "clicked"
action = {constant = "click"}
[behaviors.fields]
kind = "kind"
[impressions]
files = "wide.csv"
user = "who"
item = "sku"
time = "at"
click = "clicked"
[split]
by = "time"
validation_from = 2000
test_from = 3000
"""
WIDE_FILE = (
    "who,city,age,sku,kind,at,clicked\n"
    "ann,Rome,20,x1,hat,200,1\nann,Oslo,21,x2,shoe,100,0\nbob,Kiev,40,x1,cap,300,1\n"
    "ann,Bonn,22,x1,hat,2000,1\nann,Bonn,22,x2,shoe,2001,0\n"
    "ann,Bonn,22,x1,hat,3000,1\nbob,Kiev,40,x2,shoe,3001,0\n"
)


def test_one_file_may_have_it_all(tmp_path: Path) -> None:
    found = {table: rows_of(tmp_path, WIDE, {"wide.csv": WIDE_FILE}, table) for table in TABLES}
    # A user's attributes are those of the earliest impression: 21 and 40 years, of which the lower median is 21.
    assert {row["user"]: (row["city"], row["age"]) for row in found["users"]} == {
        "ann": ("Oslo", 1),
        "bob": ("Kiev", 1),
    }
    assert {row["item"]: row["kind"] for row in found["items"]} == {"x1": "hat", "x2": "shoe"}
    steps = [(row["user"], row["time"], row["action"], row["kind"]) for row in found["behaviors"]]
    assert sorted(steps) == [
        ("ann", 200, 0, "hat"),
        ("ann", 2000, 0, "hat"),
        ("ann", 3000, 0, "hat"),
        ("bob", 300, 0, "cap"),
    ]


# What cannot be used


def test_unusable_rows_are_set_aside_with_the_reason(tmp_path: Path) -> None:
    bad = {
        "shown.csv": {
            ",x1,200,1,p": "column 'who' holds ''. Expected a text",
            "ann,x1,soon,1,p": "column 'at' holds 'soon'. Expected a time in s since 1970, from 0 to 68719476735",
            "ann,x1,1650485801301,1,p": "column 'at' holds '1650485801301'. "
            'Expected a time in s since 1970, from 0 to 68719476735; or unit = "ms"',
            "ann,x1,200,2,p": "column 'clicked' holds '2'. Expected 0 or 1, true or false; or impressions.click = "
            '{column = "clicked", equals = "2"}',
            "ann,x1,200": "has 3 fields. Expected 5: who,sku,at,clicked,page",
            "ann,x1,200,1,p,q,r": "has 7 fields. Expected 5: who,sku,at,clicked,page",
        },
        "users.csv": {
            "eva,Rome,,old,1": "column 'age' holds 'old'. Expected a number or nothing",
            "eva,Rome,a|b|c|d,1,1": "column 'hobbies' holds 'a|b|c|d'. Expected at most 3 values (most = 3)",
            "eva,Rome,,1,nan": "column 'income' holds 'nan'. Expected a number or nothing",
        },
        "items.csv": {"x9,hat,cheap": "column 'price' holds 'cheap'. Expected a number or nothing"},
        "log-1.csv": {"ann,100,look,hat": "column 'what' holds 'look'. Expected one of 'view', 'buy'"},
    }
    files = {name: text + "".join(f"{line}\n" for line in bad.get(name, {})) for name, text in FILES.items()}
    found = made(tmp_path, SCHEMA, files, max_bad_rows=0.5)
    for name, expected in bad.items():
        with open(found.folder / "rejected" / name, newline="") as file:
            assert {row["row"]: row["reason"] for row in csv.DictReader(file)} == expected
    assert columns(found) == columns(made(tmp_path / "clean", SCHEMA))


def test_too_many_stop_it_and_the_first_is_named(tmp_path: Path) -> None:
    files = {**FILES, "log-2.csv": FILES["log-2.csv"] + "ann,400,look,hat\n"}
    with pytest.raises(MailError) as error:
        made(tmp_path, SCHEMA, files)
    assert error.value.message == (
        f"{tmp_path}/raw/log-2.csv, line 4: column 'what' holds 'look'. Expected one of 'view', 'buy'. 1 of 6 rows "
        "(16.67%) cannot be used, --max-bad-rows allows 0.1%. Mend or remove them."
    )
    assert not (tmp_path / "data").exists()


def test_a_conversion_without_a_click_is_unusable(tmp_path: Path) -> None:
    schema = replaced(('click = "clicked"', 'click = "clicked"\nconversion = "bought"'))
    head, *rows = FILES["shown.csv"].splitlines()
    text = "\n".join([f"{head},bought", *(f"{row},0" for row in rows), "ann,x1,200,0,p,1"]) + "\n"
    with pytest.raises(MailError) as error:
        made(tmp_path, schema, {**FILES, "shown.csv": text})
    assert error.value.message.startswith(
        f"{tmp_path}/raw/shown.csv, line 11: column 'clicked' holds '0', column 'bought' holds '1'. Expected no "
        "conversion without a click. 1 of 10 rows"
    )


def test_whole_numbers_are_written_plainly(tmp_path: Path) -> None:
    schema = 'integers = ["page"]\n' + SCHEMA
    text = "who,sku,at,clicked,page\nann,x1,200,1,7\nann,x2,300,0,\nann,x1,310,0,07\nann,x1,2000,1,7\nann,x1,2001,0,8\n"
    text += "ann,x1,3000,1,7\nann,x1,3001,0,7\n"
    found = rows_of(tmp_path, schema, {**FILES, "shown.csv": text})
    assert [row["page"] for row in found if row["fault"] is None] == [7, 7, 8, None, 7, 7]
    assert [row["line"] for row in found if row["fault"] is not None] == ["ann,x1,310,0,07"]


def test_rows_that_span_lines_are_rows(tmp_path: Path) -> None:
    files = {**FILES, "users.csv": FILES["users.csv"].replace('"Paris, TX"', '"Paris\nTX ""south"""')}
    found = rows_of(tmp_path, SCHEMA, files, "users")
    assert {row["user"]: row["city"] for row in found}["bob"] == 'Paris\nTX "south"'


CELL = st.text(st.sampled_from(["a", "B", "7", " ", "é", "|", ";", ",", ":", "'", '"', "\\", "-"]), max_size=5)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(st.text(st.sampled_from("abXY9"), min_size=1, max_size=4), CELL, CELL), min_size=1, max_size=8),
    st.sampled_from([",", ";", "|", "\t", "::"]),
    st.sampled_from(["utf-8", "latin-1", "utf-16"]),
    st.booleans(),
)
def test_what_was_written_is_read(
    tmp_path: Path, rows: list[tuple[str, str, str]], separator: str, encoding: str, headed: bool
) -> None:
    """Any separator, encoding, header or none: the same cells as Python's csv module wrote."""
    names = ("key", "one", "two")
    whole = [names, *rows] if headed else rows
    if len(separator) > 1:
        # Without quotes nothing can hold the separator, or begin or end with a part of it.
        rows = [tuple(cell.replace(":", "") for cell in row) for row in rows]  # type: ignore[misc]
        whole = [names, *rows] if headed else rows
        text = "".join(separator.join(row) + "\n" for row in whole)
    else:
        out = io.StringIO()
        csv.writer(out, delimiter=separator, lineterminator="\n").writerows(whole)
        text = out.getvalue()
    (tmp_path / "f.csv").write_bytes(text.encode(encoding))
    quote = '"' if len(separator) == 1 else ""
    files = Files("users", ("f.csv",), () if headed else names, Form(separator, encoding, quote))
    faults: list[str] = []
    located = locate(files, tmp_path, faults)
    assert located is not None, faults
    table = MappedTable(located, frozenset())
    for name in names:
        table.values[name] = table.text(Place(name))
    with Engine(tmp_path / "spill", 10**9, 1, None) as engine:
        found = engine.collect(engine.sql(table.sql(), located.paths[0]))
    assert sorted(zip(*(found[name].to_pylist() for name in names), strict=True), key=repr) == sorted(
        ((key, one or None, two or None) for key, one, two in rows), key=repr
    )
    assert set(found["fault"].to_pylist()) == {None}


def test_a_split_by_folders(tmp_path: Path) -> None:
    head, *rows = FILES["shown.csv"].splitlines()
    for day, part in enumerate((rows[:4], rows[4:6], rows[6:]), start=1):
        write(tmp_path / "raw" / f"day={day}", {"part-0.csv": "\n".join([head, *part]) + "\n"})
    rest = {name: text for name, text in FILES.items() if name != "shown.csv"}
    by = 'by = "file"\ntrain = "day=1/*"\nvalidation = "day=2/*"\ntest = "day=3/*"'
    schema = replaced(('"shown.csv"', '"day=*/*.csv"'), (SCHEMA[SCHEMA.index('by = "time"') :], by))
    for table in TABLES:
        assert rows_of(tmp_path, schema, rest, table) == rows_of(tmp_path / "plain", SCHEMA, None, table)


def test_a_file_of_no_split_is_named_with_its_folder(tmp_path: Path) -> None:
    write(tmp_path / "raw" / "day=1", {"part-0.csv": FILES["shown.csv"]})
    by = 'by = "file"\ntrain = "day=2/*"\nvalidation = "day=3/*"\ntest = "day=4/*"'
    schema = replaced(('"shown.csv"', '"day=*/*.csv"'), (SCHEMA[SCHEMA.index('by = "time"') :], by))
    with pytest.raises(MailError) as error:
        rows_of(tmp_path, schema)
    assert error.value.message == (
        f"{tmp_path}/my.toml: split: the file day=1/part-0.csv belongs to no split. Expected one pattern that fits it."
    )


@pytest.mark.parametrize("by", ["column", "file"])
def test_validation_may_be_a_drawn_share_of_the_training_rows(tmp_path: Path, by: str) -> None:
    """The draw is a hash of the row's text, MD5's second half modulo a million: 57,051, 258,741, 575,312 and 50,374."""
    lines = [f"ann,x1,{time},{time % 2},p" for time in range(1000, 1006)]
    parts = {"tr": lines[:4], "te": lines[4:]}
    files = {name: text for name, text in FILES.items() if name != "shown.csv"}
    head = "who,sku,at,clicked,page,part\n"
    files |= {f"{part}.csv": head + "".join(f"{row},{part}\n" for row in rows) for part, rows in parts.items()}
    split = {
        "column": 'by = "column"\ncolumn = "part"\ntrain = "tr"\nvalidation = 0.2\ntest = "te"',
        "file": 'by = "file"\ntrain = "tr.*"\nvalidation = 0.2\ntest = "te.*"',
    }[by]
    schema = replaced(('"shown.csv"', '["tr.csv", "te.csv"]'), (SCHEMA[SCHEMA.index('by = "time"') :], split))
    found = {row["time"]: row["split"] for row in rows_of(tmp_path, schema, files)}
    assert found == {1000: 1, 1001: 0, 1002: 0, 1003: 1, 1004: 2, 1005: 2}
