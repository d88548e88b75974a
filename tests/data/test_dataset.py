from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mailcli.data.dataset import Dataset, open_dataset
from mailcli.data.schema import Schema
from mailcli.errors import MailError


@pytest.fixture
def copy(tiny: Dataset, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny.folder, tmp_path / "tiny"))


def set_version(path: Path) -> None:
    manifest = json.loads(path.read_text())
    path.write_text(json.dumps({**manifest, "format": 99}))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (set_version, "the dataset has format version 99, this `mail` reads version 4. Make the dataset again"),
        (lambda path: path.write_text("{"), "is not a valid dataset.json"),
        (lambda path: path.write_text("[]"), "is not a valid dataset.json"),
        (lambda path: path.unlink(), "holds no dataset.json, so it is not a dataset"),
    ],
)
def test_refuses_what_is_not_ours(copy: Path, damage: Callable[[Path], None], message: str) -> None:
    damage(copy / "dataset.json")
    with pytest.raises(MailError, match=message):
        Dataset(copy)


def test_a_damaged_column_is_named(copy: Path) -> None:
    path = copy / "train" / "click.npy"
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(MailError, match=r"train/click.npy: the column cannot be read .*make it again"):
        Dataset(copy).column("train", "click")


def test_a_column_of_another_version_of_the_dataset_is_not_damaged(copy: Path) -> None:
    """`mail preprocess` made it anew after it was opened: the new column does not have the old checksum."""
    dataset = Dataset(copy)
    path = copy / "train" / "click.npy"
    np.save(path, 1 - np.load(path))
    with pytest.raises(MailError, match=r"train/click.npy: was overwritten while the dataset was in use"):
        dataset.column("train", "click")
    with pytest.raises(MailError, match=r"train/click.npy: the column cannot be read \(its values have the checksum"):
        Dataset(copy).column("train", "click")


def test_columns_are_memory_mapped(tiny: Dataset) -> None:
    assert isinstance(tiny.column("behaviors", "cate"), np.memmap)
    assert not tiny.column("behaviors", "cate").flags.writeable


def test_open_dataset(data_dir: Path, tmp_path: Path) -> None:
    assert open_dataset(data_dir, "tiny").name == "tiny"
    with pytest.raises(MailError, match="unknown dataset 'tny'. Did you mean 'tiny'. .* holds: 'tiny'."):
        open_dataset(data_dir, "tny")
    with pytest.raises(MailError, match="holds no dataset yet. Make one with `mail preprocess ml-100k`."):
        open_dataset(tmp_path, "")
    with pytest.raises(MailError) as error:
        open_dataset(tmp_path, "shop")
    assert error.value.message == (
        f"{tmp_path}: holds no dataset, and 'shop' is needed. Make it with `mail preprocess`, or name its folder "
        "with --data-dir."
    )


def test_schema_round_trip(tiny: Dataset) -> None:
    assert Schema.from_json(json.loads(json.dumps(tiny.schema.to_json()))) == tiny.schema
