"""The tables of a schema file: what becomes of their rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mailcli.data.dataset import Dataset
from mailcli.data.schema import FIRST_ID, SPLITS
from mailcli.preprocessing.pipeline import PreprocessOptions, preprocess
from mailcli.preprocessing.sources._base import TABLES
from tests.helpers import grouplens
from tests.helpers.datasets import columns
from tests.helpers.schema_files import (
    FILES,
    SCHEMA,
    WIDE,
    WIDE_FILE,
    edited,
    impressions_of,
    make_dataset,
    raw_rows,
    raw_values,
    values_by_user,
)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return make_dataset(tmp_path_factory.mktemp("mine"), SCHEMA)


def test_attributes_are_texts_lists_and_buckets(dataset: Dataset) -> None:
    # dan has no training impression, so Oslo is unknown. cid's city is '?', a missing value.
    assert values_by_user(dataset, "user") == {"ann": "ann", "bob": "bob", "cid": "cid", "dan": None}
    assert values_by_user(dataset, "city") == {"ann": "Rome", "bob": "Paris, TX", "cid": None, "dan": None}
    assert values_by_user(dataset, "hobbies") == {
        "ann": ["chess", "go"],
        "bob": ["go"],
        "cid": [None],
        "dan": ["chess"],
    }
    # Below 18, from 18, from 30.
    assert values_by_user(dataset, "age") == {"ann": 0, "bob": 1, "cid": 2, "dan": None}
    assert dataset.column("users", "hobbies").shape == (4, 3)


def test_quantiles_are_those_of_training_users(dataset: Dataset) -> None:
    # The median of 10, 20, 30 is 20. With dan's 1000 the lower median would be 20 as well, hence the next test.
    assert dataset.manifest["mapping"]["edges"] == {"income": [20.0]}
    assert values_by_user(dataset, "income") == {"ann": 0, "bob": 1, "cid": 1, "dan": 1}


@pytest.mark.parametrize(
    ("ages", "buckets"), [([0, 0, 0, 1], [0, 0, 0, 1]), ([0, 1, 1, 1], [0, 1, 1, 1]), ([3, 3, 5, 7], [0, 0, 1, 1])]
)
def test_a_number_that_most_users_have_is_a_bucket(tmp_path: Path, ages: list[int], buckets: list[int]) -> None:
    """The lower median of the first is 0, and nobody is below it."""
    users = "id,city,hobbies,age,income\n" + "".join(
        f"{user},Rome,go,20,{age}\n" for user, age in zip(("ann", "bob", "cid", "dan"), ages, strict=True)
    )
    # All four are users of the training split.
    shown = FILES["shown.csv"] + "dan,x1,150,0,p\n"
    rows = raw_rows(tmp_path, SCHEMA, {**FILES, "users.csv": users, "shown.csv": shown}, "users")
    assert [row["income"] for row in sorted(rows, key=lambda row: row["user"])] == buckets


def test_users_of_other_splits_do_not_move_quantiles(tmp_path: Path) -> None:
    text = "id,city,hobbies,age,income\nann,R,,1,10\nbob,R,,1,20\ncid,R,,1,30\ndan,R,,1,1\neva,R,,1,2\nfay,R,,1,3\n"
    rows = raw_rows(tmp_path, SCHEMA, {**FILES, "users.csv": text}, "users")
    # The median of 10, 20, 30, not of 1, 2, 3, 10, 20, 30.
    assert {row["user"]: row["income"] for row in rows} == {"ann": 0, "bob": 1, "cid": 1, "dan": 0, "eva": 0, "fay": 0}


def test_quantiles_are_those_of_the_rows_that_are_kept(tmp_path: Path) -> None:
    """Of two rows of a user, the first in the order of their text is kept, `cid,A,...`, not that of the least number."""
    text = "id,city,hobbies,age,income\nann,R,,1,10\nbob,R,,1,20\ncid,B,,1,5\ncid,A,,1,30\n"
    dataset = make_dataset(tmp_path, SCHEMA, {**FILES, "users.csv": text}, max_bad_rows=0.5)
    # The median of 10, 20, 30, not of 5, 10, 20.
    assert dataset.manifest["mapping"]["edges"] == {"income": [20.0]}
    assert values_by_user(dataset, "income") == {"ann": 0, "bob": 1, "cid": 1, "dan": None}


def test_items_have_features_and_standardised_numbers(dataset: Dataset) -> None:
    assert dataset.column("items", "raw").tolist() == ["x1", "x2", "x3"]
    assert raw_values(dataset, "items", "item") == ["x1", "x2", None]
    assert raw_values(dataset, "items", "kind") == ["hat", "shoe", None]
    # Two training impressions show x1 and two show x2: the mean of log(1 + x), which x3 gets, is (log 11 + log 21) / 2.
    np.testing.assert_allclose(dataset.column("items", "price"), [-1, 1, 0], atol=1e-6)


def test_histories_are_what_was_before(dataset: Dataset) -> None:
    def history(split: str, row: int) -> list[tuple[int, int, str | None]]:
        end = dataset.column(split, "history_end")[row]
        begin = dataset.offsets[dataset.column(split, "user")[row]]
        kinds = raw_values(dataset, "behaviors", "kind")
        actions, times = dataset.column("behaviors", "action"), dataset.column("behaviors", "time")
        return [(int(times[place]), int(actions[place]) - FIRST_ID, kinds[place]) for place in range(begin, end)]

    histories = {}
    for split in SPLITS:
        for row, user in enumerate(dataset.column("users", "raw")[dataset.column(split, "user")].tolist()):
            histories[user, int(dataset.column(split, "time")[row])] = history(split, row)
    assert histories == {
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
    assert impressions_of(dataset) == {
        ("ann", "x1", 200, "train"), ("ann", "x2", 300, "train"), ("bob", "x1", 100, "train"),
        ("cid", "x2", 100, "train"), ("ann", "x1", 2000, "validation"), ("ann", "x2", 2100, "validation"),
        ("bob", "x1", 3000, "test"), ("dan", "x1", 3700, "test"), ("ann", "x3", 400_000, "test"),
    }  # fmt: skip
    times = dataset.column("test", "time").tolist()
    clicks = dict(zip(times, dataset.column("test", "click").tolist(), strict=True))
    assert clicks == {3000: 0, 3700: 1, 400_000: 1}
    # Page r, hour 1, hour 15 and the day after 1970-01-05 are not in train.
    assert dict(zip(times, raw_values(dataset, "test", "page"), strict=True)) == {3000: "p", 3700: "p", 400_000: "p"}
    assert sorted(raw_values(dataset, "validation", "page"), key=str) == [None, "p"]
    assert dict(zip(times, raw_values(dataset, "test", "hour"), strict=True)) == {3000: 0, 3700: None, 400_000: None}
    assert dict(zip(times, raw_values(dataset, "test", "weekday"), strict=True)) == {3000: 0, 3700: 0, 400_000: None}


def test_the_record_says_what_made_it(dataset: Dataset) -> None:
    assert dataset.manifest["source"] == "tabular"
    assert dataset.manifest["mapping"]["file"] == "my.toml"
    assert dataset.manifest["mapping"]["text"] == SCHEMA
    assert [file["file"] for file in dataset.manifest["files"]] == [
        "users.csv", "items.csv", "log-1.csv", "log-2.csv", "shown.csv"
    ]  # fmt: skip


def test_movielens_by_a_schema_file_is_the_source_ml_100k(tmp_path: Path) -> None:
    """The oracle: another reader of the same files. Its genres are 19 columns of flags, which a schema file cannot map."""
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
    by_schema = columns(
        preprocess("tabular", tmp_path / "raw", tmp_path / "data", "by-schema", PreprocessOptions(schema=schema))
    )
    assert {key: column for key, column in expected.items() if "genres" not in key} == by_schema


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
    schema = edited(('click = "clicked"', f"click = {rule}"))
    impressions = raw_rows(tmp_path, schema, {**FILES, "shown.csv": f"who,sku,at,stars,page\n{rows}"})
    assert [row["click"] for row in impressions] == [int(stars in clicked) for _ in times for stars in (1, 2, 3, 4)]


def test_rows_may_be_chosen(tmp_path: Path) -> None:
    schema = edited(
        (
            'time = "at"\nclick',
            'time = "at"\nwhere = [{column = "at", below = 4000}, {column = "page", one_of = ["p", "r"]}]\nclick',
        ),
        ('time = "at"\naction', 'time = "at"\nwhere = {column = "what", equals = "view"}\naction'),
    )
    assert [row["time"] for row in raw_rows(tmp_path, schema)] == [200, 2000, 2100, 300, 3000, 3700]
    assert [row["time"] for row in raw_rows(tmp_path, schema, table="behaviors")] == [100, 300, 50]


def test_a_conversion_is_a_second_label(tmp_path: Path) -> None:
    schema = edited(('click = "clicked"', 'click = "clicked"\nconversion = "page2"'))
    head, *rows = FILES["shown.csv"].splitlines()
    text = "\n".join([f"{head},page2", *(f"{row},{row.split(',')[3]}" for row in rows)]) + "\n"
    for row in raw_rows(tmp_path, schema, {**FILES, "shown.csv": text}):
        assert row["conversion"] == row["click"]


def test_one_file_may_have_it_all(tmp_path: Path) -> None:
    tables = {table: raw_rows(tmp_path, WIDE, {"wide.csv": WIDE_FILE}, table) for table in TABLES}
    # A user's attributes are those of the earliest impression: 21 and 40 years, of which the lower median is 21. Nobody
    # is below it, so the upper bucket begins at 40.
    assert {row["user"]: (row["city"], row["age"]) for row in tables["users"]} == {
        "ann": ("Oslo", 0),
        "bob": ("Kiev", 1),
    }
    assert {row["item"]: row["kind"] for row in tables["items"]} == {"x1": "hat", "x2": "shoe"}
    steps = [(row["user"], row["time"], row["action"], row["kind"]) for row in tables["behaviors"]]
    assert sorted(steps) == [
        ("ann", 200, 0, "hat"),
        ("ann", 2000, 0, "hat"),
        ("ann", 3000, 0, "hat"),
        ("bob", 300, 0, "cap"),
    ]


def test_each_action_may_have_a_rule(tmp_path: Path) -> None:
    """Of several actions of a row the last counts; a row without any is no behavior, and a damaged one is a fault."""
    schema = edited(
        (
            '{column = "what", values = ["view", "buy"]}',
            '{rules = {view = "seen", like = {column = "stars", at_least = 4}, buy = "bought"}}',
        )
    )
    rows = "ann,100,hat,1,1,0\nann,110,hat,1,5,0\nann,120,hat,1,5,1\nann,130,hat,0,3,0\nann,140,hat,0,1,1\n"
    faulty = "ann,150,hat,1,5,?\nann,160,hat,?,1,0\n"
    files = {**FILES, "log-1.csv": f"who,at,kind,seen,stars,bought\n{rows}{faulty}"}
    del files["log-2.csv"]
    behaviors = raw_rows(tmp_path, schema, files, "behaviors")
    assert [(row["time"], row["action"]) for row in behaviors if row["fault"] is None] == [
        (100, 0),
        (110, 1),
        (120, 2),
        (140, 2),
    ]
    assert [row["line"] for row in behaviors if row["fault"] is not None] == ["ann,150,hat,1,5,?", "ann,160,hat,?,1,0"]


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ("{column = \"zip\", extract = '^(.)'}", ["1", None, None, None]),
        ("{column = \"zip\", extract_all = '([A-Z0-9])'}", [["1", "2"], None, None, []]),
        ("{column = \"zip\", extract_all = '([A-Z0-9]+)'}", [["12"], None, None, []]),
    ],
)
def test_a_missing_value_has_no_parts(tmp_path: Path, field: str, expected: list[object]) -> None:
    """And a part that stands for a missing value is one."""
    schema = edited(('missing = ["?"]', 'missing = ["UNKNOWN", "-"]'), ('city = "city"', f"city = {field}"))
    users = "id,zip,hobbies,age,income\na,12,,1,1\nb,UNKNOWN,,1,1\nc,,,1,1\nd,-x,,1,1\n"
    rows = raw_rows(tmp_path, schema, {**FILES, "users.csv": users}, "users")
    cities = [row["city"] for row in sorted(rows, key=lambda row: row["user"])]
    assert [sorted(city) if isinstance(city, list) else city for city in cities] == expected


def test_a_number_that_means_missing_may_be_written_as_a_float(tmp_path: Path) -> None:
    """As pandas writes a column with gaps; as a string, -1.0 is another value."""
    schema = 'integers = ["kind"]\n' + edited(
        ('files = "items.csv"', 'files = "items.csv"\nmissing = ["-1"]'),
        ('kind = "kind"\nprice', 'kind = "kind"\nsize = {column = "size", edges = [0]}\nname = "size"\nprice'),
    )
    items = "sku,kind,price,size\nx1,-1.0,-1.0,-1.0\nx2,7.0,2.5,3.0\nx3,-1,-1,-1\n"
    rows = sorted(raw_rows(tmp_path, schema, {**FILES, "items.csv": items}, "items"), key=lambda row: row["item"])
    assert [[row[name] for name in ("kind", "size", "name", "price", "fault")] for row in rows] == [
        [None, None, "-1.0", None, None],
        [7, 1, "3.0", 2.5, None],
        [None, None, None, None, None],
    ]


def test_edges_and_rules_are_floats_of_64_bits(tmp_path: Path) -> None:
    """DuckDB makes a decimal number of 0.9876543210987655, and of that another float than Python does."""
    number = "0.9876543210987655"
    schema = edited(
        ("edges = [18, 30]", f"edges = [{number}]"), ('"clicked"', f'{{column = "clicked", at_least = {number}}}')
    )
    users = f"id,city,hobbies,age,income\na,r,,{number},1\nb,r,,0.9876543210987654,1\n"
    shown = f"who,sku,at,clicked,page\na,x1,1,{number},p\na,x1,2,0.9876543210987654,p\n"
    files = {**FILES, "users.csv": users, "shown.csv": shown}
    assert {row["user"]: row["age"] for row in raw_rows(tmp_path, schema, files, "users")} == {"a": 1, "b": 0}
    assert [row["click"] for row in raw_rows(tmp_path, schema, files)] == [1, 0]
