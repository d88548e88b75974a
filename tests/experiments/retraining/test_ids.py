"""Ids of a continued run: known ones keep their places, new ones are put behind them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mailcli.config import make_config
from mailcli.data.batches import Batches
from mailcli.data.dataset import Dataset
from mailcli.data.numbering import (
    Numbering,
    RenumberedDataset,
    current_numbering,
    extend_numbering,
    load_numbering,
    numbering_sha256,
    save_numbering,
)
from mailcli.data.protocol import views
from mailcli.errors import MailError
from tests.helpers.retraining import SETTINGS


def raw_values(values: np.ndarray, ids: np.ndarray) -> list[Any]:
    """The raw value of each id; None for padding and unknown values."""
    return [values[i - 2] if i > 1 else None for i in np.asarray(ids).ravel()]


def test_new_values_are_put_behind_the_known_ones(tiny: Dataset) -> None:
    own = current_numbering(tiny)
    half = {name: values[::2][::-1] for name, values in own.values.items()}
    extended = extend_numbering(Numbering(half, {"price": {"log1p_mean": 1.0, "log1p_std": 2.0}}), tiny)
    for name, values in own.values.items():
        expected = [*values[::2][::-1], *(value for row, value in enumerate(values) if row % 2)]
        assert extended.values[name].tolist() == expected
    assert extended.dense == {"price": {"log1p_mean": 1.0, "log1p_std": 2.0}}
    # A third day moves none of them.
    assert extend_numbering(extended, tiny).values["cate"].tolist() == extended.values["cate"].tolist()


def test_columns_are_read_with_the_ids_of_the_other_day(days: tuple[Dataset, Dataset]) -> None:
    first, second = days
    known = current_numbering(first)
    both = extend_numbering(known, second)
    assert all(both.sizes[name] >= size for name, size in first.vocabulary_sizes.items())
    assert both.sizes["user"] > first.vocabulary_sizes["user"]
    assert both.sizes["brand"] > first.vocabulary_sizes["brand"]
    before, after = RenumberedDataset(second.folder, known), RenumberedDataset(second.folder, both)
    unknown = 0
    for table, name, vocabulary in (
        ("users", "user", "user"), ("users", "age_level", "age_level"), ("items", "item", "item"),
        ("items", "brand", "brand"), ("behaviors", "cate", "cate"), ("train", "pid", "pid"), ("test", "hour", "hour"),
    ):  # fmt: skip
        own = raw_values(second.column("vocabularies", vocabulary), second.column(table, name))
        assert raw_values(both.values[vocabulary], after.column(table, name)[:]) == own
        old = set(first.column("vocabularies", vocabulary).tolist())
        expected = [value if value in old else None for value in own]
        assert raw_values(known.values[vocabulary], before.column(table, name)[:]) == expected
        unknown += sum(value is not None and value not in old for value in own)
        assert after.column(table, name)[:].max() < both.sizes[vocabulary]
    assert unknown
    # Columns without ids stay, and the first day is read as it is.
    assert (after.column("test", "click") == second.column("test", "click")).all()
    same = RenumberedDataset(first.folder, both)
    assert (same.column("behaviors", "cate")[:] == first.column("behaviors", "cate")).all()
    assert (same.column("items", "price") == first.column("items", "price")).all()


def test_prices_are_on_the_scale_of_the_first_day(days: tuple[Dataset, Dataset]) -> None:
    first, second = days
    prices = RenumberedDataset(second.folder, extend_numbering(current_numbering(first), second)).column(
        "items", "price"
    )
    price = {raw: prices[row] for row, raw in enumerate(second.column("items", "raw").tolist())}
    for row, raw in enumerate(first.column("items", "raw").tolist()):
        assert price[raw] == pytest.approx(first.column("items", "price")[row], abs=1e-5)
    assert not np.allclose(prices, second.column("items", "price"), atol=1e-3)


def test_a_batch_has_other_ids_and_nothing_else(days: tuple[Dataset, Dataset]) -> None:
    first, second = days
    config = make_config([{**SETTINGS, "data": "tiny"}])
    numbering = extend_numbering(current_numbering(first), second)
    rows = np.arange(0, second.counts["test"], 7)
    batches = [
        Batches(dataset, views(dataset, config)["test"], 20, 64).gather(rows)
        for dataset in (second, RenumberedDataset(second.folder, numbering))
    ]
    for number, field in enumerate(second.schema.group("behavior")):
        own, renumbered = (batch["behaviors"][:, :, number] for batch in batches)
        assert ((own == 0) == (renumbered == 0)).all()
        values = raw_values(second.column("vocabularies", field.vocabulary), own)
        assert raw_values(numbering.values[field.vocabulary], renumbered) == values
    for name in ("actions", "click", "user"):
        assert (batches[0][name] == batches[1][name]).all()  # type: ignore[literal-required]


def test_values_of_another_type_are_refused(tiny: Dataset) -> None:
    known = current_numbering(tiny)
    texts = Numbering({**known.values, "brand": np.array(["a"])}, known.dense)
    with pytest.raises(MailError) as error:
        extend_numbering(texts, tiny)
    assert error.value.message == (
        f"{tiny.folder}: the values of 'brand' are whole numbers, those of the previous day strings. "
        "Expected a later part of the same log."
    )


def test_ids_are_kept_in_a_file(tmp_path: Path) -> None:
    numbering = Numbering(
        {"user": np.array([7, 3]), "pid": np.array(["b", "ä"])}, {"price": {"log1p_mean": 0.5, "log1p_std": 1.0}}
    )
    path, checksum = tmp_path / "ids.npz", numbering_sha256(numbering)
    save_numbering(path, numbering)
    data = path.read_bytes()
    loaded = load_numbering(path, checksum)
    assert loaded.values["user"].tolist() == [7, 3]
    assert loaded.values["pid"].tolist() == ["b", "ä"]
    assert loaded.dense == numbering.dense
    save_numbering(path, numbering)
    assert path.read_bytes() == data, "the same bytes"
    save_numbering(path, Numbering({**numbering.values, "user": np.array([3, 7])}, numbering.dense))
    for damage in (path.read_bytes(), data[:-30], b"", None):
        path.unlink() if damage is None else path.write_bytes(damage)
        with pytest.raises(MailError) as error:
            load_numbering(path, checksum)
        assert error.value.message == (
            f"{path}: is missing or was changed. Delete the run's folder and repeat the command that made it."
        )
