"""`--log FILE`: all messages of a command in a file, with the time of each."""

from __future__ import annotations

import logging
import re
from pathlib import Path

import pytest

from mailcli.utils.log import LOGGER, log_to_file, note_in_file
from tests.helpers.command_line import SMALL, error_line, mail

#: A line of the file: the time, the level, the message.
LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} (DEBUG|INFO|WARNING|ERROR|CRITICAL) +(.*)")


def logged(path: Path) -> list[tuple[str, str]]:
    """Level and message of each line."""
    matches = [LINE.fullmatch(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [(match[1], match[2]) for match in matches if match]


def test_the_file_has_what_stderr_shows_and_the_details(with_data: Path) -> None:
    done = mail("train", *SMALL, "--log", "train.log")
    assert done.exit_code == 0, done.output
    lines = logged(Path("train.log"))
    assert [message for level, message in lines[1:] if level != "DEBUG"] == done.stderr.splitlines()
    assert re.match(r"mail train: mail \d", lines[0][1])
    assert "DEBUG" in {level for level, _ in lines}
    begin, validation, end = done.stderr.splitlines()
    assert begin.startswith("base+none, seed 0: at most 1 epoch of ")
    assert re.match(r"epoch 1 of 1 · step \d+ · L_rt [\d.]+ · validation AUC ", validation)
    assert end.endswith(" · runs/tiny/paper/base+none/seed-0")
    # The next command appends; -q hides nothing from the file, and the file ends with the error.
    before = len(lines)
    assert error_line(mail("train", *SMALL, "--set", "epochs=0", "--log", "train.log", "-q")).startswith("epochs = 0")
    assert logged(Path("train.log"))[before:][-1][0] == "ERROR"
    # Nothing goes there once the command has ended.
    size = Path("train.log").stat().st_size
    mail("train", *SMALL)
    assert Path("train.log").stat().st_size == size


def test_a_file_that_cannot_be_written_is_one_line(home: Path) -> None:
    (home / "experiment.toml").write_text("", encoding="utf-8")
    for arguments in (["train"], ["compare"], ["ablate"], ["tune"], ["run", "experiment.toml"]):
        assert error_line(mail(*arguments, "--log", "nowhere/x.log")).endswith(
            "nowhere/x.log: No such file or directory. Check the path and its permissions, or choose another."
        )


@pytest.mark.parametrize("text", ['title = "Table 2"\n', "2026-01-31 12:00:00 INFO not ours\n"])
def test_a_file_that_is_no_log_is_not_written(home: Path, text: str) -> None:
    """`mail run --log FILE.toml`, where the log's own name was forgotten."""
    (home / "experiment.toml").write_text(text, encoding="utf-8")
    assert error_line(mail("run", "--log", "experiment.toml")) == (
        "--log experiment.toml: already exists and is not a log of `mail`. Name another file."
    )
    assert (home / "experiment.toml").read_text(encoding="utf-8") == text


@pytest.mark.parametrize("text", ["", "2026-01-31 12:00:00,123 WARNING old\n", "2026-01-31 12:00:00,123 INFO    old\n"])
def test_an_empty_file_or_a_log_is_continued(home: Path, text: str) -> None:
    (home / "x.log").write_text(text, encoding="utf-8")
    assert mail("train", "--log", "x.log", "--help").exit_code == 0
    lines = (home / "x.log").read_text(encoding="utf-8").splitlines()
    assert lines[:-1] == text.splitlines()
    assert re.match(r"mail train: mail \d", logged(home / "x.log")[-1][1])


def test_help_is_no_bug(home: Path) -> None:
    assert mail("train", "--log", "x.log", "--help").exit_code == 0
    assert [level for level, _ in logged(Path("x.log"))] == ["INFO"]


def test_a_bug_leaves_its_traceback_in_the_file(with_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("planted")

    monkeypatch.setattr("mailcli.experiments.estimate.announce", fail)
    done = mail("train", *SMALL, "--log", "x.log")
    assert isinstance(done.exception, ZeroDivisionError)
    text = Path("x.log").read_text(encoding="utf-8")
    assert "CRITICAL ZeroDivisionError: planted\nTraceback (most recent call last):" in text
    assert f'File "{__file__}", line ' in text


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_work_goes_on_without_a_file_that_is_full(capsys: pytest.CaptureFixture[str]) -> None:
    stop = log_to_file(Path("/dev/full"))
    LOGGER.info("first")
    LOGGER.info("second")
    stop()
    assert capsys.readouterr().err == (
        "first\n--log /dev/full: cannot be written ([Errno 28] No space left on device). Nothing more is logged.\n"
        "second\n"
    )


def test_what_is_for_the_file_only_is_not_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stop = log_to_file(tmp_path / "x.log")
    note_in_file(logging.ERROR, "an error \x1b]0;title\x07")
    stop()
    note_in_file(logging.ERROR, "another")
    assert logged(tmp_path / "x.log") == [("ERROR", r"an error \x1b]0;title\x07")]
    assert capsys.readouterr().err == ""
