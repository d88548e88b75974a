"""Values that the training split does not contain: stored, read as UNKNOWN, and known to a run that continues."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from mailcli.data.dataset import Dataset
from mailcli.data.numbering import Numbering, RenumberedDataset, current_numbering, extend_numbering, missing_number
from mailcli.data.schema import UNKNOWN
from mailcli.experiments.retraining.checks import bucket_differences
from mailcli.preprocessing.pipeline import PreprocessOptions, preprocess
from mailcli.serving.served_model import ServedModel
from mailcli.serving.signatures import SignatureInputs

DAY = 86_400
#: Users and items both have a city, of the same vocabulary; items have tags.
SCHEMA = """
integers = ["user", "item"]

[users]
files = "users.csv"
user = "id"

[users.attributes]
city = "lives_in"

[items]
files = "items.csv"
item = "id"

[items.features]
city = "made_in"
tags = {column = "tags", separator = "|", most = 4}

[behaviors]
user = "user"
time = "time"

[behaviors.fields]
item = "item"

[impressions]
files = "log.csv"
user = "user"
item = "item"
time = "time"
click = "click"

[split]
by = "day"
validation_days = 1
test_days = 1
"""
USERS = "id,lives_in\n1,m\n2,z\n3,p\n"
ITEMS = "id,made_in,tags\n1,a,x|c\n2,n,b\n3,z,d|x|a|b\n"


def make_dataset(folder: Path, name: str, log: list[tuple[int, int, int, int]]) -> Dataset:
    """A dataset of impressions (user, item, time, click)."""
    raw = folder / f"raw-{name}"
    raw.mkdir()
    rows = "".join(",".join(map(str, row)) + "\n" for row in log)
    for file, text in (("users.csv", USERS), ("items.csv", ITEMS), ("log.csv", "user,item,time,click\n" + rows)):
        (raw / file).write_text(text)
    schema = folder / "s.toml"
    schema.write_text(SCHEMA)
    return preprocess("tabular", raw, folder / "data", name, PreprocessOptions(schema=schema))


@pytest.fixture
def first(tmp_path: Path) -> Dataset:
    """Users 1 and 2 and items 1 and 2 are in training; user 3 and item 3 only on the test day."""
    return make_dataset(
        tmp_path,
        "day1",
        [
            *((1, 1, 10, 1), (1, 2, 20, 0), (2, 2, 30, 1), (2, 1, 40, 0)),
            *((1, 1, DAY, 0), (2, 2, DAY, 1)),
            *((3, 3, 2 * DAY, 1), (3, 3, 2 * DAY + 5, 0), (1, 3, 2 * DAY + 9, 1)),
        ],
    )


def raw(dataset: Dataset, vocabulary: str, ids: Any) -> list[Any]:
    """The raw values of ids, None for UNKNOWN."""
    values = dataset.column("vocabularies", vocabulary)
    return [None if i == UNKNOWN else values[i - 2].item() for i in np.asarray(ids).ravel()]


def test_a_vocabulary_that_users_and_items_share_has_one_numbering(first: Dataset) -> None:
    # Values of users only, of items only, and z of both, which is a user's in training.
    assert first.column("vocabularies", "city").tolist() == ["a", "m", "n", "z"]
    assert first.column("unseen", "city").tolist() == ["p"]
    users = dict(
        zip(first.column("users", "raw").tolist(), raw(first, "city", first.column("users", "city")), strict=True)
    )
    items = dict(
        zip(first.column("items", "raw").tolist(), raw(first, "city", first.column("items", "city")), strict=True)
    )
    assert users == {1: "m", 2: "z", 3: None}
    assert items == {1: "a", 2: "n", 3: "z"}


def test_lists_are_read_in_ascending_order_with_unknown_first(first: Dataset) -> None:
    assert first.column("vocabularies", "tags").tolist() == ["b", "c", "x"]
    assert first.column("unseen", "tags").tolist() == ["a", "d"]
    row_of = {raw: row for row, raw in enumerate(first.column("items", "raw").tolist())}
    on_disk = np.load(first.folder / "items" / "tags.npy")
    assert on_disk[[row_of[1], row_of[2], row_of[3]]].tolist() == [[3, 4, 0, 0], [2, 0, 0, 0], [5, 6, 2, 4]]
    tags = first.column("items", "tags")
    assert tags[[row_of[1], row_of[2], row_of[3]]].tolist() == [[3, 4, 0, 0], [2, 0, 0, 0], [1, 1, 2, 4]]
    assert tags.shape == (3, 4)


def test_a_value_of_the_run_is_known_wherever_the_next_day_has_it(first: Dataset, tmp_path: Path) -> None:
    """Day 2 trains only on user 3 and item 3; user 1 and item 1, known from day 1, are in its test split."""
    second = make_dataset(
        tmp_path,
        "day2",
        [
            *((3, 3, 10, 1), (3, 3, 20, 0)),
            *((3, 3, DAY, 1), (3, 3, DAY + 1, 0)),
            *((1, 1, 2 * DAY, 1), (1, 2, 2 * DAY + 5, 0), (2, 1, 2 * DAY + 9, 1)),
        ],
    )
    assert raw(second, "user", second.column("users", "user")).count(None) == 2
    both = extend_numbering(current_numbering(first), second)
    assert both.values["user"].tolist() == [1, 2, 3]
    assert both.values["item"].tolist() == [1, 2, 3]
    after, before = RenumberedDataset(second.folder, both), RenumberedDataset(second.folder, current_numbering(first))
    users, items = second.column("users", "raw").tolist(), second.column("items", "raw").tolist()
    assert after.column("users", "user")[:].tolist() == [1 + user for user in users]
    assert after.column("items", "item")[:].tolist() == [1 + item for item in items]
    assert before.column("users", "user")[:].tolist() == [{1: 2, 2: 3, 3: 1}[user] for user in users]
    assert before.column("items", "item")[:].tolist() == [{1: 2, 2: 3, 3: 1}[item] for item in items]
    # Histories, too: nobody has item 1 in day 2's training.
    steps = second.column("behaviors", "item")[:]
    assert (steps == UNKNOWN).any()
    assert sorted(raw(after, "item", after.column("behaviors", "item"))) == sorted(
        np.concatenate([second.column("vocabularies", "item"), second.column("unseen", "item")])[
            np.load(second.folder / "behaviors" / "item.npy") - 2
        ].tolist()
    )
    # The first day's test, read with the extended numbering, has ids for what day 2 added.
    reread = RenumberedDataset(first.folder, both)
    assert reread.column("users", "user")[:].tolist() == [1 + user for user in first.column("users", "raw").tolist()]


def test_a_numbering_without_new_values_reads_what_the_dataset_reads(first: Dataset) -> None:
    same = RenumberedDataset(first.folder, Numbering(current_numbering(first).values, {}))
    for table, name in (("users", "city"), ("items", "tags"), ("behaviors", "item")):
        assert same.column(table, name)[:].tolist() == first.column(table, name)[:].tolist()


def test_a_missing_number_is_the_mean_of_its_own_dataset(tmp_path: Path) -> None:
    """log(1 + fee) is 1 and 3 in training: mean 2 and deviation 1. In units of 2 around 1, a mean of 2 is 0.5."""
    raw = tmp_path / "raw"
    raw.mkdir()
    (raw / "users.csv").write_text(USERS)
    fees = [*np.expm1([1.0, 3.0]).tolist(), "", "-1", "none"]
    (raw / "items.csv").write_text("id,fee\n" + "".join(f"{item},{fee}\n" for item, fee in enumerate(fees, start=1)))
    rows = [f"{user},{item},{day * DAY + user},{item % 2}\n" for day in range(3) for user in (1, 2) for item in (1, 2)]
    (raw / "log.csv").write_text("user,item,time,click\n" + "".join(rows) + f"1,3,{2 * DAY + 9},1\n")
    schema = SCHEMA.replace('city = "made_in"\ntags = {column = "tags", separator = "|", most = 4}', "@")
    schema = schema.replace('files = "items.csv"', 'files = "items.csv"\nmissing = ["-1", "none"]')
    (tmp_path / "s.toml").write_text(schema.replace("@", 'fee = {column = "fee", dense = true}'))
    own = preprocess("tabular", raw, tmp_path / "data", "d", PreprocessOptions(schema=tmp_path / "s.toml"))
    item = own.column("items", "raw").tolist().index(3)
    assert own.column("items", "fee")[item] == 0
    # A request gives numbers, so "none" is nothing to remember.
    assert own.manifest["derivations"]["dense"] == {"fee": {"missing": ["-1"]}}
    assert missing_number(own, "fee") == 0
    scale = {"fee": {"log1p_mean": 1.0, "log1p_std": 2.0}}
    other = RenumberedDataset(own.folder, Numbering(current_numbering(own).values, scale))
    assert other.column("items", "fee")[item] == pytest.approx(0.5)
    assert missing_number(other, "fee") == other.column("items", "fee")[item]
    # An exported model reads a missing fee of its item_features as that.
    served = ServedModel.__new__(ServedModel)
    served._dataset = other
    (fee,) = (input_ for input_ in SignatureInputs(other, 2).features if input_.field == "fee")
    missing = other.column("items", "fee")[item]
    assert served._scale(fee, tf.constant([np.nan, np.inf, -1.0, np.expm1(5.0)], fee.spec.dtype)).numpy().tolist() == [
        missing, missing, missing, 2.0,
    ]  # fmt: skip
    # Numbers of a request keep their digits: 32 bits would hold 1,700,000,000 here.
    scale["fee"] = {"log1p_mean": np.log1p(1.7e9), "log1p_std": 1e-8}
    (number,) = served._scale(fee, tf.constant([1_700_000_037], fee.spec.dtype)).numpy()
    assert number == pytest.approx(37 / 1.7e9 / 1e-8, rel=1e-4)


def test_buckets_of_the_other_day_are_shown_with_the_ends_to_give(tmp_path: Path) -> None:
    days = []
    for name, ages in (("one", (10, 20, 30, 40)), ("two", (10, 20, 35, 40))):
        raw = tmp_path / name
        raw.mkdir()
        (raw / "users.csv").write_text("id,age\n" + "".join(f"{u},{age}\n" for u, age in enumerate(ages)))
        rows = [f"{u},{1 + u % 2},{day * DAY + u},{u % 2}\n" for day in range(3) for u in range(4)]
        (raw / "log.csv").write_text("user,item,time,click\n" + "".join(rows))
        (raw / "s.toml").write_text(
            SCHEMA.split("[items]")[0].replace('city = "lives_in"', 'age = {column = "age", quantiles = 4}')
            + "[behaviors]"
            + SCHEMA.split("[behaviors]")[1]
        )
        days.append(preprocess("tabular", raw, tmp_path / "data", name, PreprocessOptions(schema=raw / "s.toml")))
    first, second = days
    # The quartiles of four users end at the ages of the first three; nobody is below the first one.
    assert bucket_differences(first, first) == []
    assert bucket_differences(first, second) == [
        "'age': other buckets; copy those of 'one' into the schema file, age: edges = [20.0, 30.0]"
    ]
