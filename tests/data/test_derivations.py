"""How values were made from raw ones: kept with the dataset, computed from the time, and checked when it is read."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mailcli.data.dataset import Dataset
from mailcli.data.derivations import Derivation
from mailcli.errors import MailError
from mailcli.preprocessing.pipeline import preprocess
from tests.helpers import grouplens
from tests.helpers.manifests import edit_manifest


def test_hours_and_weekdays_are_those_of_preprocessing(tiny: Dataset) -> None:
    # Midnight of Saturday, 2017-05-06, in China.
    clocks = {"clock": 0, "origin": 1494000000}
    assert tiny.manifest["derivations"] == {
        "context": {name: {**clocks, "clock": name} for name in ("hour", "weekday")},
    }
    for field in tiny.schema.group("context")[1:]:
        ids = tiny.column("train", field.name)[:]
        values = tiny.column("vocabularies", field.name)[ids - 2]
        assert (tiny.derivation(field).of_time(tiny.column("train", "time")[:]) == values).all()
    hour, weekday = (Derivation(clock=clock, origin=-7200) for clock in ("hour", "weekday"))
    # Local time is two hours ahead; 1970-01-01 was a Thursday, weekday 0.
    time = np.array([0, 79199, 79200, 600000])
    assert hour.of_time(time).tolist() == [2, 23, 0, 0]
    assert weekday.of_time(time).tolist() == [0, 0, 1, 0]


def test_ages_of_movielens_are_cut_as_its_readme_says(tmp_path: Path) -> None:
    grouplens.write(tmp_path / "raw")
    dataset = preprocess("ml-100k", tmp_path / "raw", tmp_path / "data", "own")
    assert dataset.manifest["derivations"] == {
        "attributes": {"age": {"edges": [0.0, 18.0, 25.0, 35.0, 45.0, 50.0, 56.0]}},
        "context": {"hour": {"clock": "hour", "origin": 0}, "weekday": {"clock": "weekday", "origin": 0}},
    }


@pytest.mark.parametrize(
    "derivations",
    [
        [],
        {"context": {"hour": {"clock": "minute", "origin": 0}}},
        {"context": {"hour": {"clock": "hour", "origin": 0.5}}},
        {"context": {"nothing": {"clock": "hour", "origin": 0}}},
        {"nothing": {"hour": {"clock": "hour", "origin": 0}}},
        {"context": {"hour": {"edges": [2, 1]}}},
        {"context": {"hour": {"edges": "12"}}},
        {"context": {"hour": {"unit": "s"}}},
        {"context": {"hour": {"missing": [1]}}},
        {"context": {"hour": 3}},
    ],
)
def test_derivations_that_are_none_are_refused(derivations: Any, tiny: Dataset, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny.folder, tmp_path / "tiny"))
    edit_manifest(folder, derivations=derivations)
    with pytest.raises(MailError, match="derivations = .*: expected how values of the dataset's fields were made"):
        Dataset(folder)
