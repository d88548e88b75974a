"""The columns of a dataset against the raw files: values, ids and dense features."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from mailcli.data.dataset import Dataset
from mailcli.data.schema import FIRST_ID, SPLITS, UNKNOWN
from mailcli.errors import MailError
from mailcli.preprocessing.feature_table import standardize
from mailcli.preprocessing.pipeline import PreprocessOptions, preprocess
from tests.helpers import alimama, oracles
from tests.helpers.alimama import DAY, START
from tests.helpers.datasets import history_of
from tests.helpers.schema_files import FILES, SCHEMA, edited, make_dataset, raw_values


def test_impressions_keep_their_columns(simulated_raw: Path, tiny: Dataset) -> None:
    ads = {int(row["adgroup_id"]): row for row in oracles.read_csv(simulated_raw / "ad_feature.csv")}
    expected = sorted(
        (int(r["user"]), int(r["adgroup_id"]), int(r["time_stamp"]), int(r["clk"]))
        for r in oracles.read_csv(simulated_raw / "raw_sample.csv")
    )
    impressions = []
    for number, split in enumerate(SPLITS):
        columns = [
            tiny.column("users", "raw")[tiny.column(split, "user")],
            tiny.column("items", "raw")[tiny.column(split, "item")],
        ]
        columns += [tiny.column(split, name) for name in ("time", "click")]
        day = (columns[2] - START) // DAY
        assert set(np.unique(day)) == [{0, 1, 2, 3, 4, 5}, {6}, {7}][number]
        hours = tiny.column("vocabularies", "hour")[tiny.column(split, "hour") - FIRST_ID]
        np.testing.assert_array_equal(hours, (columns[2] - START) % DAY // 3600)
        impressions += list(zip(*(c.tolist() for c in columns), strict=True))
    assert sorted(impressions) == expected
    known = {int(value): FIRST_ID + number for number, value in enumerate(tiny.column("vocabularies", "cate"))}
    for number, raw in zip(tiny.column("items", "cate"), tiny.column("items", "raw"), strict=True):
        assert number == known.get(int(ads[int(raw)]["cate_id"]), UNKNOWN)


def test_attributes_of_users(simulated_raw: Path, tiny: Dataset) -> None:
    profiles = {int(row["userid"]): row for row in oracles.read_csv(simulated_raw / "user_profile.csv")}
    without_profile = 0
    for name in ("age_level", "pvalue_level", "new_user_class_level"):
        known = {int(value): FIRST_ID + number for number, value in enumerate(tiny.column("vocabularies", name))}
        ids = tiny.column("users", name)
        for user, number in zip(tiny.column("users", "raw"), ids, strict=True):
            text = profiles[int(user)][name] if int(user) in profiles else ""
            without_profile += int(user) not in profiles
            assert number == (known.get(int(text), UNKNOWN) if text else UNKNOWN)
    assert without_profile
    assert tiny.counts["users_without_profile"] == without_profile / 3


def test_ids_are_fitted_on_training_impressions_and_their_histories_alone(tmp_path: Path) -> None:
    alimama.write(
        tmp_path / "raw",
        impressions=[
            (1, START + 100, 10, 0),
            (1, START + 200, 10, 1),
            *alimama.both_classes(1, 10, day=6),
            *alimama.both_classes(1, 11, day=7),
            *alimama.both_classes(2, 12, day=7),
        ],
        ads=[(10, 500, 600), (11, 501, 601), (12, 502, None)],
        behaviors=[
            (1, START + 50, 700, 800),
            (1, START + 150, 701, 801),
            (1, START + 7 * DAY - 1, 702, 802),
            (2, START + 50, 703, 803),
        ],
    )
    dataset = preprocess("alimama", tmp_path / "raw", tmp_path / "data", None)
    known = {name: dataset.column("vocabularies", name).tolist() for name in ("user", "item", "cate", "brand")}
    assert known == {"user": [1], "item": [10], "cate": [500, 700, 701], "brand": [600, 800, 801]}
    # A category seen only on the test day, or only before it, has id 1; so has the missing brand.
    assert dataset.column("items", "cate")[:].tolist() == [2, UNKNOWN, UNKNOWN]
    assert dataset.column("items", "brand")[:].tolist() == [2, UNKNOWN, UNKNOWN]
    assert sorted(dataset.column("behaviors", "cate")[:].tolist()) == [UNKNOWN, UNKNOWN, 3, 4]
    # Values not seen in training are kept separately, for a run that continues another and may know them.
    unseen = {name: dataset.column("unseen", name).tolist() for name in ("user", "item", "cate", "brand")}
    assert unseen == {"user": [2], "item": [11, 12], "cate": [501, 502, 702, 703], "brand": [601, 802, 803]}
    assert np.load(dataset.folder / "items" / "cate.npy").tolist() == [2, 5, 6]
    assert np.load(dataset.folder / "items" / "brand.npy").tolist() == [2, 5, UNKNOWN]


def test_dense_features_are_standardized_on_training_impressions(simulated_raw: Path, tiny: Dataset) -> None:
    price = {int(r["adgroup_id"]): float(r["price"]) for r in oracles.read_csv(simulated_raw / "ad_feature.csv")}
    raw = tiny.column("items", "raw")
    in_train = np.log1p([price[int(raw[i])] for i in tiny.column("train", "item")])
    expected = (np.log1p([price[int(r)] for r in raw]) - in_train.mean()) / in_train.std()
    np.testing.assert_allclose(tiny.column("items", "price"), expected, atol=1e-5)


def test_equal_dense_values_are_not_divided_by_their_rounding_error(tmp_path: Path) -> None:
    """log(1 + 3.7) is not a binary fraction: the mean of three differs from each of them in the last bit."""
    shown = (
        "who,sku,at,clicked,page\nann,x1,201,1,p\nann,x2,300,0,p\nbob,x1,101,1,p\n"
        "ann,x3,2001,1,p\nann,x1,2000,0,p\nbob,x3,3001,1,p\nbob,x3,3000,0,p\n"
    )
    items = "sku,kind,price\nx1,hat,3.7\nx2,shoe,3.7\nx3,hat,4.2\n"
    dataset = make_dataset(tmp_path, SCHEMA, {**FILES, "items.csv": items, "shown.csv": shown})
    # log(5.2 / 4.7)
    np.testing.assert_allclose(dataset.column("items", "price"), [0, 0, 0.101096], atol=1e-6)


def test_negative_dense_values_are_refused() -> None:
    with pytest.raises(MailError) as error:
        standardize("fee", pa.chunked_array([[1.0, None, -2.5]]), np.array([0]))
    assert error.value.message == "fee: an item has -2.5. Expected 0 or more, of which log(1 + x) is used."


@pytest.mark.parametrize(
    ("values", "mean"), [([0.0, 1e-40, 1000.0], "5e-41"), ([0.0, 5e-324, 1000.0], "0"), ([0.0, 1e-200, 3.0], "5e-201")]
)
def test_a_value_too_far_from_those_of_training_is_refused(values: list[float], mean: str) -> None:
    """log(1001) = 6.9 is 1.4e41 standard deviations of 5e-41 from the mean; 32 bits end at 3.4e38."""
    with pytest.raises(MailError) as error:
        standardize("fee", pa.chunked_array([values]), np.array([0, 1]))
    assert error.value.message == (
        f"fee: an item has {values[2]:g}, and all training impressions have about {mean}, so its standardized value does "
        "not fit into 32 bits. Expected values that differ less, or training values that differ more. Check the column, "
        "or leave the feature out."
    )


def test_a_context_field_may_be_called_raw(tmp_path: Path) -> None:
    """Raw values wait in a table of their own for their ids."""
    schema = edited(('page = "page"\nhour =', 'raw_hour = "page"\nhour ='))
    dataset = make_dataset(tmp_path, schema)
    assert dataset.column("vocabularies", "raw_hour").tolist() == ["p", "q"]
    assert raw_values(dataset, "test", "raw_hour") == ["p", "p", "p"]
    assert not list(dataset.folder.glob("raw_*"))


def twins(folder: Path) -> Path:
    """A log with a row three times, and rows that differ in one column each."""
    log = [(1, START - 10, "pv", 5, 6)] * 3
    log += [(1, START - 9, "pv", 5, 6), (1, START - 10, "buy", 5, 6), (1, START - 10, "pv", 6, 6)]
    rows = alimama.good_rows()
    rows["behavior_log"] = [",".join(map(str, row)) for row in log]
    alimama.write_rows(folder, rows)
    return folder


@pytest.mark.parametrize(("drop", "stored"), [(False, 6), (True, 4)])
def test_exact_duplicates(tmp_path: Path, drop: bool, stored: int) -> None:
    dataset = preprocess("alimama", twins(tmp_path / "raw"), tmp_path, "twins", PreprocessOptions(drop_duplicates=drop))
    assert dataset.counts["behaviors"] == stored
    assert dataset.counts["duplicate_behaviors"] == 2
    assert len(history_of(dataset, "train", 0)) == stored
    text = (dataset.folder / "summary.md").read_text()
    assert "| exact duplicates among the other behaviors | 2 |  |" in text
    assert f"duplicates {'dropped' if drop else 'kept'}" in text
