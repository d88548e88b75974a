"""Progress on a terminal."""

from __future__ import annotations

import io
from contextlib import redirect_stderr
from queue import Queue

import pytest

from mailcli.utils.process_progress import Report, show_worker_progress
from mailcli.utils.progress import progress

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


def test_a_workers_bar_shows_the_name_of_its_task() -> None:
    reports: Queue[Report | None] = Queue()
    with redirect_stderr(Terminal()) as terminal, show_worker_progress(reports, 1):
        reports.put(Report(1, TITLE, 1, 2))
    assert r"cell [/] \x1b]0;title\x07" in terminal.getvalue()
    assert "\x1b]" not in terminal.getvalue()
