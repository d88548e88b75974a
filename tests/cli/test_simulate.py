"""`mail simulate`."""

from __future__ import annotations

from pathlib import Path

from tests.helpers.command_line import error_line, mail


def test_simulate_leaves_a_strangers_file_alone(home: Path) -> None:
    arguments = ["simulate", "alimama", "--users", "50", "--out", "raw", "--behaviors-per-user", "5"]
    assert mail(*arguments).exit_code == 0
    (home / "raw" / "notes.txt").write_text("mine")
    assert "was not written by `mail simulate`" in error_line(mail(*arguments))
    assert (home / "raw" / "notes.txt").read_text() == "mine"
