"""The dataset that is taken where none is named."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import pytest

from mailcli.data.dataset import Dataset
from mailcli.data.last_used import open_chosen, remember
from mailcli.errors import MailError


@pytest.fixture
def folder(data_dir: Path, tmp_path: Path) -> Path:
    """A folder with the datasets `one` and `two`."""
    for name in ("one", "two"):
        shutil.copytree(data_dir / "tiny", tmp_path / name)
    return tmp_path


def test_the_only_one_is_neither_told_nor_noted(data_dir: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "mailcli"):
        dataset = open_chosen(data_dir, None)
    remember(dataset)
    assert (dataset.name, caplog.messages) == ("tiny", [])
    assert not (data_dir / ".last-dataset").exists()


def test_the_last_one_is_taken_and_told(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("one", "two", "one"):
        remember(Dataset(folder / name))
        assert (folder / ".last-dataset").read_text() == f"{name}\n"
        caplog.clear()
        with caplog.at_level(logging.INFO, "mailcli"):
            assert open_chosen(folder, None).name == name
        assert caplog.messages == [f"Dataset: {name}, the one used or made last; --data NAME takes another."]
    caplog.clear()
    # One that is named is not told; what was noted changes by use only.
    assert open_chosen(folder, "two").name == "two"
    assert caplog.messages == []
    assert open_chosen(folder, None).name == "one"


def test_an_empty_name_is_not_the_first_dataset(folder: Path) -> None:
    with pytest.raises(MailError) as error:
        open_chosen(folder, "")
    assert error.value.message == f"unknown dataset ''. {folder} holds: 'one', 'two'."


@pytest.mark.parametrize("text", [None, "", "one", "three\n", "one\ntwo\n", "../one\n", "\udcff\n"])
def test_a_marker_that_names_no_dataset_is_none(folder: Path, text: str | None) -> None:
    """It may be missing or cut off, or its dataset was deleted."""
    if text is not None:
        (folder / ".last-dataset").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(MailError) as error:
        open_chosen(folder, None)
    assert error.value.message == f"{folder} holds several datasets: name one of 'one', 'two'."
    remember(Dataset(folder / "two"))
    assert open_chosen(folder, None).name == "two"


def test_a_folder_that_cannot_be_written_can_be_used(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    (folder / ".last-dataset").mkdir()
    with caplog.at_level(logging.DEBUG, "mailcli"):
        remember(Dataset(folder / "two"))
    assert caplog.messages == [f"{folder}/.last-dataset: cannot be written (Is a directory); two is not the default."]
    with pytest.raises(MailError, match="name one of 'one', 'two'"):
        open_chosen(folder, None)


def test_a_marker_of_a_folder_that_cannot_be_read_is_none(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    remember(Dataset(folder / "one"))

    def denied(*_: object, **__: object) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_text", denied)
    with pytest.raises(MailError, match="name one of 'one', 'two'"):
        open_chosen(folder, None)
