"""Progress on a terminal."""

from __future__ import annotations

import io
import logging
import re
from contextlib import redirect_stderr
from queue import Queue
from types import SimpleNamespace

import pytest

from mailcli.escape import wrapped
from mailcli.utils import progress as progress_module
from mailcli.utils.log import LOGGER
from mailcli.utils.process_progress import Ended, Report, Started, show_workers
from mailcli.utils.progress import Pace, WorkDone, progress
from mailcli.utils.time_left import Work

#: Rich would take the brackets for a style that ends; a terminal would set its title.
TITLE = "cell [/] \x1b]0;title\x07"


class Terminal(io.StringIO):
    """Claims to be a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("TERM", "xterm")


def test_a_bar_shows_the_name_of_its_task() -> None:
    with redirect_stderr(Terminal()) as terminal, progress(TITLE, 2, "rows") as advance:
        advance(1)
    assert r"cell [/] \x1b]0;title\x07" in terminal.getvalue()
    assert "\x1b]" not in terminal.getvalue()


Event = Report | Started | Ended | logging.LogRecord | None


def test_the_bars_of_workers_show_their_names_and_the_time_that_is_left() -> None:
    events: Queue[Event] = Queue()
    with redirect_stderr(Terminal()) as terminal, show_workers(events, [Work("a")] * 2, 2):
        for event in (Started(0), Started(1), Report(0, TITLE, 1, 10, spent=10, left=90)):
            events.put(event)
    assert r"cell [/] \x1b]0;title\x07" in terminal.getvalue()
    assert "\x1b]" not in terminal.getvalue()
    # The other run takes as long: 100 s.
    shown = re.sub(r"\x1b\[[\d;?]*\w", "", terminal.getvalue())
    assert re.search(r"2 runs .* 0% about 1:40 left", shown)
    assert "10% 1:30 left" in shown


def test_messages_of_workers_are_lines_above_the_bars(capsys: pytest.CaptureFixture[str]) -> None:
    message = LOGGER.makeRecord("mailcli.x", logging.INFO, "", 0, "base+none, seed 0: epoch 1 of 3", (), None)
    events: Queue[Event] = Queue()
    with redirect_stderr(Terminal()) as terminal, show_workers(events, [Work("a")], 1):
        events.put(Started(0))
        events.put(message)
    assert "base+none, seed 0: epoch 1 of 3\n" in terminal.getvalue()
    with show_workers(events, [Work("a"), Work("a")], 1):
        for event in (Started(0), message, Ended(0)):
            events.put(event)
    assert capsys.readouterr().err == "base+none, seed 0: epoch 1 of 3\n1 of 2 runs done, about 0:00 left\n"
    # `mail tune FILE` works on rows, each a search of several runs.
    with show_workers(events, [Work("a", 3, "searches"), Work("b", 3, "searches")], 1):
        for event in (Started(0), Ended(0)):
            events.put(event)
    assert capsys.readouterr().err == "1 of 2 searches done, about 0:00 left\n"


def test_the_time_that_is_left_is_that_of_the_whole_task(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress_module, "time", SimpleNamespace(monotonic=lambda: 1000.0))
    # 300 of 1,000 are done, 200 of them in the 50 s of this process: 700 are left.
    pace = Pace(1000, WorkDone(done=300, measured=200, seconds=50))
    assert (pace.seconds_per_unit, pace.seconds_left, pace.speed("rows")) == (0.25, 175, "4 rows/s")
    pace.advance(50)
    # 50 s for 250, which is .2 s each.
    assert pace.seconds_left == 650 * 0.2


def test_the_first_piece_of_work_builds_what_the_others_need(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(progress_module, "time", SimpleNamespace(monotonic=lambda: clock.now))
    pace = Pace(10)
    clock.now = 60.0
    pace.advance(1)
    assert (pace.seconds_left, pace.speed("rows")) == (None, "")
    clock.now = 64.0
    pace.advance(2)
    # Two in 4 s; seven are left.
    assert pace.seconds_left == 14


def test_a_line_elsewhere_says_how_long_the_whole_task_takes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(progress_module, "time", SimpleNamespace(monotonic=lambda: clock.now))
    with progress("run, epoch 2 of 4", 400, "rows", WorkDone(done=100, measured=100, seconds=40)) as advance:
        clock.now = 1010.0
        advance(100)
    # 50 s for 200: as long for the other 200.
    assert capsys.readouterr().err == "run, epoch 2 of 4: 50%, 4 rows/s, 0:50 left\n"


@pytest.mark.parametrize("width", [80, 120, 200])
def test_messages_on_a_terminal_are_broken_between_words(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    message = "base+mail-base, seed 0: epoch 12 of 50 · step 12,345 · L_rt 0.5432, L_zst 0.1234, " * 4
    lines = wrapped(message + "runs/a-long-name/" * 3).splitlines()
    assert max(map(len, lines)) <= width
    assert " ".join(line.strip() for line in lines) == message + "runs/a-long-name/" * 3


def test_commands_to_be_copied_are_not_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    command = f'  python -c "{"SELECT 1, " * 20}"'
    assert wrapped(command) == command


def test_no_time_is_left_to_tell_of_a_task_that_stands_still(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten units, one each second; then, eleven seconds later, nobody knows. A task of slow units goes on as it did."""
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr(progress_module, "time", SimpleNamespace(monotonic=lambda: clock.now))
    quick, slow = Pace(100), Pace(100)
    for number in range(11):
        clock.now += 1
        quick.advance(1)
        if number % 5 == 0:
            slow.advance(5)
    assert quick.speed("rows") == "1 rows/s"
    clock.now += 11
    assert (quick.speed("rows"), quick.seconds_left) == ("", None)
    assert slow.speed("rows") == "0.48 rows/s"
    clock.now += 60
    assert slow.seconds_left is None
    quick.advance(1)
    assert quick.seconds_left is not None
