"""The time that several tasks will still take: every number by hand."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from mailcli.utils.time_left import TimeLeft, Work


class Clock:
    """Stands still until it is set."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("mailcli.utils.time_left.time", SimpleNamespace(monotonic=clock.monotonic))
    return clock


def test_it_is_known_from_the_first_steps_on_and_learns_from_what_has_ended(clock: Clock) -> None:
    time_left = TimeLeft([Work("a"), Work("a"), Work("b"), Work("b")], jobs=2)
    assert time_left.seconds() is None
    time_left.start(0)
    time_left.start(1)
    assert time_left.seconds() is None
    time_left.report(0, 0.1, spent=10, left=90)
    # All are taken to be as long as the first: (90 + 100 + 2 * 100) / 2.
    assert time_left.seconds() == 195
    time_left.report(1, 0.25, spent=20, left=60)
    # A run takes (100 + 80) / 2: (90 + 60 + 2 * 90) / 2.
    assert time_left.seconds() == 165
    clock.now = 40
    time_left.end(0)
    time_left.start(2)
    # The first has taken 40 s; the second has taken longer, so it goes to its end: (60 + 40 + 40) / 2.
    assert time_left.seconds() == 70
    clock.now = 100
    time_left.end(1)
    time_left.report(2, 0.25, spent=10, left=30)
    time_left.start(3)
    # The last two share nothing: the slower of 30 and 40.
    assert time_left.seconds() == 40
    time_left.end(2)
    time_left.end(3)
    assert (time_left.ended, time_left.seconds()) == (4, 0)


def test_a_run_is_as_long_as_those_of_its_kind_that_have_ended(clock: Clock) -> None:
    time_left = TimeLeft([Work("a")] * 3, jobs=1)
    time_left.start(0)
    time_left.report(0, 0.02, spent=10, left=490)
    clock.now = 80
    time_left.end(0)
    time_left.start(1)
    clock.now = 100
    # The first has stopped early: (80 - 20) + 80, whatever the second would take to its last epoch.
    time_left.report(1, 0.04, spent=20, left=480)
    assert time_left.seconds() == 140


def test_a_search_has_many_runs(clock: Clock) -> None:
    time_left = TimeLeft([Work("a", runs=3)], jobs=1)
    time_left.start(0)
    time_left.report(0, 0.333333, spent=10, left=20)
    assert time_left.seconds() == 20 + 2 * 30
    # Less than before: it is the next run.
    time_left.report(0, 0.0333333, spent=1, left=29)
    assert time_left.seconds() == 29 + 30
    clock.now = 60
    time_left.end(0)
    assert time_left.seconds() == 0


def test_what_has_failed_does_not_show_how_long_others_take(clock: Clock) -> None:
    time_left = TimeLeft([Work("a")] * 4, jobs=1)
    time_left.start(0)
    time_left.report(0, 0.02, spent=10, left=490)
    time_left.end(0, failed=True)
    assert time_left.seconds() is None
    # This one could not begin.
    time_left.end(1, failed=True)
    time_left.start(2)
    clock.now = 50
    time_left.end(2)
    assert (time_left.ended, time_left.failed, time_left.seconds()) == (3, 2, 50)
