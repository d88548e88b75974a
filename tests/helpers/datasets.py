"""What is in a dataset, for tests to compare."""

from __future__ import annotations

import csv

import pytest

from mailcli.data.dataset import Dataset
from mailcli.data.schema import FIRST_ID, UNKNOWN
from tests.helpers.files import files_of


def forbid_test_split(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail the test where a column of the test split is read."""
    column = Dataset.column

    def without_test(self: Dataset, table: str, name: str) -> object:
        assert table != "test", f"{name} of the test split was read"
        return column(self, table, name)

    monkeypatch.setattr(Dataset, "column", without_test)


def columns(dataset: Dataset) -> dict[str, bytes]:
    """Every column of a dataset."""
    return {name: data for name, data in files_of(dataset.folder).items() if name.endswith(".npy")}


def history_of(dataset: Dataset, split: str, row: int) -> list[tuple[int, int, int]]:
    """(time, category, brand) of what an impression sees, as raw values."""
    end = dataset.column(split, "history_end")[row]
    begin = max(dataset.offsets[dataset.column(split, "user")[row]], end - dataset.history)
    behaviors = [dataset.column("behaviors", name)[begin:end] for name in ("time", "cate", "brand")]
    raw = {name: dataset.column("vocabularies", name) for name in ("cate", "brand")}

    def value(name: str, number: int) -> int:
        return -1 if number == UNKNOWN else int(raw[name][number - FIRST_ID])

    return [(int(t), value("cate", c), value("brand", b)) for t, c, b in zip(*behaviors, strict=True)]


def rejected(dataset: Dataset, stem: str) -> dict[str, str]:
    """The reason of each row of a raw file that was set aside."""
    with open(dataset.folder / "rejected" / f"{stem}.csv", newline="") as file:
        return {row["row"]: row["reason"] for row in csv.DictReader(file)}
