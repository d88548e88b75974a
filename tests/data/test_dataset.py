from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailcli.data.dataset import Dataset, open_dataset
from mailcli.data.schema import Schema
from mailcli.data.writer import ColumnWriter, check_target
from mailcli.errors import MailError
from mailcli.preprocessing.vocabulary import MISSING, VocabularyBuilder


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
        (lambda path: path.write_text("{"), "is not a dataset's description"),
        (lambda path: path.write_text("[]"), "is not a dataset's description"),
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
    with pytest.raises(MailError, match=r"train/click.npy: the column cannot be read .* Make it again|make it again"):
        Dataset(copy).column("train", "click")


def test_columns_are_memory_mapped(tiny: Dataset) -> None:
    assert isinstance(tiny.column("behaviors", "cate"), np.memmap)
    assert not tiny.column("behaviors", "cate").flags.writeable


def test_find(data_dir: Path, tmp_path: Path) -> None:
    assert open_dataset(data_dir, None).name == "tiny"
    assert open_dataset(data_dir, "tiny").name == "tiny"
    with pytest.raises(MailError, match="unknown dataset 'tny'. Did you mean 'tiny'. .* holds: 'tiny'."):
        open_dataset(data_dir, "tny")
    with pytest.raises(MailError, match="holds no dataset yet. Make one with `mail preprocess ml-100k`."):
        open_dataset(tmp_path, None)
    with pytest.raises(MailError) as error:
        open_dataset(tmp_path, "shop")
    assert error.value.message == (
        f"{tmp_path}: holds no dataset, and 'shop' is needed. Make it with `mail preprocess`, or name its folder "
        "with --data-dir."
    )
    for name in ("one", "two"):
        shutil.copytree(data_dir / "tiny", tmp_path / name)
    with pytest.raises(MailError, match="holds several datasets: name one of 'one', 'two'."):
        open_dataset(tmp_path, None)


@pytest.mark.parametrize("name", ["", "..", "a/b", "raw", "Big", ".hidden", "a b"])
def test_names_that_cannot_be_a_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(MailError, match="cannot name a dataset"):
        check_target(tmp_path, name)


def test_a_target_that_is_not_ours_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(MailError, match="exists and is not a dataset of ours, so it is left alone"):
        check_target(tmp_path, "mine")
    (tmp_path / "file").write_text("")
    with pytest.raises(MailError, match="is not a folder"):
        check_target(tmp_path, "file")


def test_a_dataset_of_an_older_version_may_be_replaced(copy: Path) -> None:
    set_version(copy / "dataset.json")
    assert check_target(copy.parent, "tiny") == copy


@given(st.lists(st.lists(st.integers(0, 255), max_size=20), max_size=8))
def test_a_column_written_in_pieces_is_the_whole(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[list[int]]
) -> None:
    path = tmp_path_factory.mktemp("column") / "c.npy"
    with ColumnWriter(path, np.uint8) as writer:
        for piece in pieces:
            writer.append(np.array(piece, np.uint8))
    np.testing.assert_array_equal(np.load(path), [value for piece in pieces for value in piece])


def test_a_column_keeps_its_type(tmp_path: Path) -> None:
    with (
        ColumnWriter(tmp_path / "c.npy", np.uint8) as writer,
        pytest.raises(TypeError, match="uint8 cannot take int64"),
    ):
        writer.append(np.array([1]))


def test_schema_round_trip(tiny: Dataset) -> None:
    assert Schema.from_json(json.loads(json.dumps(tiny.schema.to_json()))) == tiny.schema


texts = st.lists(st.one_of(st.none(), st.sampled_from(["b", "a", "", "ä", "10", "9"])), max_size=20)
numbers = st.lists(st.one_of(st.none(), st.integers(-5, 5)), max_size=20)


@given(st.one_of(texts, numbers), st.randoms(use_true_random=False))
def test_vocabulary(values: list[str | int | None], random: object) -> None:
    import pyarrow as pa

    column = pa.array(values, pa.string() if any(isinstance(v, str) for v in values) else pa.int64())
    builder = VocabularyBuilder()
    codes = builder.codes(column)
    half = len(values) // 2
    builder.see(codes, np.arange(len(values)) < half)
    known = sorted({v for v in values[:half] if v is not None})  # type: ignore[type-var]
    others = sorted({v for v in values[half:] if v is not None} - {*known})  # type: ignore[type-var]
    assert builder.values().tolist() == known
    assert builder.unseen().tolist() == others
    assert len(builder) == 2 + len(known)
    assert builder.total == 2 + len(known) + len(others)
    expected = [1 if v is None else 2 + [*known, *others].index(v) for v in values]
    assert builder.ids(codes).tolist() == expected
    assert [code == MISSING for code in codes] == [v is None for v in values]
