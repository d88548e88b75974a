"""How long runs take, from measured speeds: every number by hand."""

from __future__ import annotations

import pytest

from mailcli.config import make_config
from mailcli.experiments.run_time import Speed, duration, run_seconds, seconds_in_parallel

#: 10 steps of .5 s in an epoch, and 2 s of validation; 3 s for the test.
SPEED = Speed(steps=10, validations=1, step=0.5, validation=2.0, test=3.0, numbers=0)


@pytest.mark.parametrize(
    ("per_epoch", "done", "expected"),
    [
        # 5 + 4 (5 + 2) + 3
        (1, 0, 36.0),
        # 5 + 4 (5 + 3 * 2) + 3
        (3, 0, 52.0),
        # 2.5 epochs are left: 5 + 2.5 * 7 + 3.
        (1, 15, 25.5),
        # Only the test is left.
        (1, 40, 8.0),
        (1, 41, 8.0),
    ],
)
def test_a_run_that_goes_to_its_last_epoch(per_epoch: int, done: int, expected: float) -> None:
    config = make_config([{"data": "x", "epochs": 4}])
    assert run_seconds(SPEED._replace(validations=per_epoch), config, done) == expected


@pytest.mark.parametrize(
    ("done", "expected"),
    [
        # Besides 36 s: 4 epochs, in each of which 3 teachers take 2/3 of 5 s, and 2 s of validation.
        (0, 36.0 + 4 * (10 + 6)),
        # They are trained before the first step.
        (15, 25.5),
    ],
)
def test_teachers_come_first(done: int, expected: float) -> None:
    config = make_config([{"data": "x", "epochs": 4}])
    assert run_seconds(SPEED._replace(teachers=3), config, done) == pytest.approx(expected)


def test_a_two_stage_run_has_no_epochs() -> None:
    fitted = Speed(steps=0, validations=1, step=0.0, validation=2.0, test=3.0, numbers=0)
    assert run_seconds(fitted, make_config([{"data": "x", "epochs": 4}])) == 5 + 2 + 3


@pytest.mark.parametrize(
    ("runs", "jobs", "expected"),
    [([], 2, 0.0), ([1.0, 2.0, 3.0], 1, 6.0), ([3.0, 1.0, 1.0, 1.0], 2, 3.0), ([1.0, 1.0, 3.0], 2, 4.0)],
)
def test_runs_begin_as_soon_as_a_process_is_free(runs: list[float], jobs: int, expected: float) -> None:
    assert seconds_in_parallel(runs, jobs) == expected


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(59.0, "1 min"), (60.0, "1 min"), (61.0, "2 min"), (3600.0, "1 h 0 min"), (6541.0, "1 h 50 min")],
)
def test_durations_are_rounded_up(seconds: float, text: str) -> None:
    assert duration(seconds) == text
