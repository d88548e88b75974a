"""`mail simulate`."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb
import pytest

from mailcli.utils.folder_lock import FolderLock
from tests.helpers.command_line import error_line, mail

FILES = ["simulate", "alimama", "--users", "50", "--out", "raw", "--behaviors-per-user", "5"]


def test_simulate_leaves_a_strangers_file_alone(home: Path) -> None:
    assert mail(*FILES).exit_code == 0
    (home / "raw" / "notes.txt").write_text("mine")
    assert "was not written by `mail simulate`" in error_line(mail(*FILES))
    assert (home / "raw" / "notes.txt").read_text() == "mine"


def test_without_out_the_files_are_where_preprocess_looks_for_them(home: Path) -> None:
    """tests/cli/test_default_dataset.py has the README's commands, with the folder `data`."""
    command, options = ("simulate", "alimama", "--users", "150"), ("--data-dir", "elsewhere")
    done = mail(*command, *options)
    assert (done.exit_code, done.stdout.split(" ")[0]) == (0, "elsewhere/raw/alimama:"), done.output
    assert mail("preprocess", "alimama", "--history", "5", *options).exit_code == 0
    assert (home / "elsewhere" / "alimama" / "dataset.json").is_file()
    # Not even by default are a stranger's files replaced.
    (home / "elsewhere" / "raw" / "alimama" / "notes.txt").write_text("mine")
    assert "was not written by `mail simulate`" in error_line(mail(*command, *options))


def test_two_do_not_write_one_folder(home: Path) -> None:
    with FolderLock(home / "raw", ""):
        error = error_line(mail(*FILES))
    assert error == f"{home / 'raw'}: another `mail simulate` is writing this folder. Wait for it."
    assert list(home.iterdir()) == []


@pytest.mark.parametrize(
    ("fault", "line"),
    [
        (
            duckdb.IOException('IO Error: Could not write file "x": No space left on device'),
            'Could not write file "x": No space left on device. Free some space and run the same command again.',
        ),
        # More space on the disk would not help.
        (
            duckdb.OutOfMemoryException("Out of Memory Error: could not allocate block of size 256.0 KiB\n\nMore"),
            "DuckDB has too little memory: could not allocate block of size 256.0 KiB. Close other programs and run the "
            "same command again.",
        ),
        (
            duckdb.OutOfMemoryException(
                "Out of Memory Error: failed to offload data block of size 64.0 KiB (9.5 MiB/9.5 MiB used).\n"
                "This limit was set by the 'max_temp_directory_size' setting."
            ),
            "DuckDB's intermediate files fill the disk: failed to offload data block of size 64.0 KiB (9.5 MiB/9.5 MiB "
            "used). Free some space, or set another folder of intermediate files, and run the same command again.",
        ),
    ],
)
def test_a_full_disk_or_memory_under_duckdb_is_one_line(
    home: Path, monkeypatch: pytest.MonkeyPatch, fault: duckdb.Error, line: str
) -> None:
    def connect() -> None:
        raise fault

    monkeypatch.setattr(duckdb, "connect", connect)
    assert error_line(mail(*FILES)) == line
    assert list(home.iterdir()) == []


def test_it_says_how_far_a_model_can_get(home: Path) -> None:
    result = mail("simulate", "alimama", "--users", "300", "--out", "raw", "--interactions", "1", "--seed", "3")
    line = result.stdout.splitlines()[1]
    note = json.loads((home / "raw" / "SIMULATED.json").read_text())
    true, behavior, attributes, item = (
        note[f"ceiling_{name}auc"] for name in ("", "behavior_", "attributes_", "item_")
    )
    assert line == (
        f"Best possible AUC on the test day: {true:.4f} with the true click probability (GAUC "
        f"{note['ceiling_gauc']:.4f}), {behavior:.4f} from behavior and item, {attributes:.4f} from attributes and "
        f"item, {item:.4f} from the item alone."
    )
    assert note["interactions"] == 1
    assert true > behavior > item
