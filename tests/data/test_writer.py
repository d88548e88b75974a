"""Where a dataset may be written, and how its columns and folder are finished."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailcli.data.dataset import Dataset, dataset_names
from mailcli.data.writer import ColumnWriter, DatasetWriter, check_target
from mailcli.errors import MailError


@pytest.mark.parametrize("name", ["", "..", "a/b", "raw", "Big", ".hidden", "a b"])
def test_names_that_cannot_be_a_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(MailError, match="cannot name a dataset"):
        check_target(tmp_path, name)


def test_a_target_that_is_not_ours_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(MailError, match="exists and is not a dataset made by `mail`, so it is left untouched"):
        check_target(tmp_path, "mine")
    (tmp_path / "file").write_text("")
    with pytest.raises(MailError, match="is not a folder"):
        check_target(tmp_path, "file")


def test_a_dataset_of_an_older_version_may_be_replaced(tiny: Dataset, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny.folder, tmp_path / "tiny"))
    manifest = json.loads((folder / "dataset.json").read_text())
    (folder / "dataset.json").write_text(json.dumps({**manifest, "format": 99}))
    assert check_target(tmp_path, "tiny") == folder


@given(st.lists(st.lists(st.integers(0, 255), max_size=20), max_size=8))
def test_a_column_written_in_pieces_is_complete(
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


def test_a_kill_between_the_last_two_renames_loses_nothing(tiny: Dataset, tmp_path: Path) -> None:
    shutil.copytree(tiny.folder, tmp_path / ".tiny.old")
    with DatasetWriter(tmp_path / "tiny"):
        assert dataset_names(tmp_path) == ["tiny"]


def test_datasets_of_one_name_may_share_the_folder_for_intermediate_files(tmp_path: Path) -> None:
    first, second = (DatasetWriter(tmp_path / data / "tiny", tmp_path) for data in ("a", "b"))
    assert first.stages.folder != second.stages.folder
