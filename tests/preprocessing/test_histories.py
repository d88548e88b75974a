"""Which behaviors an impression sees: by hand, against a slow oracle, and on random logs."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mailcli.data.batches import Batches
from mailcli.data.dataset import Dataset
from mailcli.data.protocol import View
from mailcli.data.schema import SPLITS
from mailcli.preprocessing.histories import history_bounds, visible
from mailcli.preprocessing.pipeline import PreprocessOptions, preprocess
from tests.helpers import alimama, oracles
from tests.helpers.alimama import DAY, START
from tests.helpers.datasets import history_of

#: user, time from START, category, brand
LOGS = st.lists(
    st.tuples(st.integers(1, 3), st.integers(-3, 12), st.integers(1, 4), st.integers(1, 3)),
    min_size=1,
    max_size=30,
)
#: user, time from START
IMPRESSIONS = st.lists(st.tuples(st.integers(1, 4), st.integers(0, 10)), min_size=0, max_size=10)


def test_history_bounds_by_hand() -> None:
    b_row, b_time = np.array([0, 0, 0, 2, 2]), np.array([5, 5, 9, 1, 7])
    row, time = np.array([0, 0, 0, 1, 2, 2]), np.array([5, 6, 100, 6, 7, 8])
    begin, end = history_bounds(b_row, b_time, row, time)
    assert begin.tolist() == [0, 0, 0, 3, 3, 3]
    assert end.tolist() == [0, 2, 3, 3, 4, 5]


def test_visible_by_hand() -> None:
    begin, end = np.array([0, 0, 6]), np.array([3, 6, 6])
    # Windows of two: 1-2, 4-5, and none.
    assert visible(begin, end, 8, history=2).tolist() == [False, True, True, False, True, True, False, False]


def test_histories_are_what_the_slow_oracle_says(simulated_raw: Path, tiny: Dataset) -> None:
    expected = oracles.histories(simulated_raw, n_v=20)
    seen = 0
    for split in SPLITS:
        users = tiny.column("users", "raw")[tiny.column(split, "user")]
        for row, (user, time) in enumerate(zip(users, tiny.column(split, "time"), strict=True)):
            history = history_of(tiny, split, row)
            truth = expected[int(user), int(time)]
            assert [t for t, _, _ in history] == [t for t, _, _ in truth]
            for (_, c, b), (_, true_c, true_b) in zip(history, truth, strict=True):
                assert c in {int(true_c), -1}
                assert b in {int(true_b), -1}
                if split == "train":
                    assert (c, b) == (int(true_c), int(true_b)), "a value of a training history is in the vocabulary"
            seen += len(history)
    assert seen > 1000


def test_behaviors_that_no_impression_sees_are_not_stored(tmp_path: Path) -> None:
    times = [START - 100 + i for i in range(10)]
    alimama.write(
        tmp_path / "raw",
        impressions=[
            *alimama.both_classes(1, 10, day=0),
            *alimama.both_classes(1, 10, day=6),
            *alimama.both_classes(1, 10, day=7),
            (1, START + 8 * DAY - 1, 10, 0),
        ],
        ads=[(10, 500, 600)],
        behaviors=[*((1, t, 7, 8) for t in times), (1, START + 8 * DAY - 1, 7, 8), (2, START, 9, 9)],
    )
    dataset = preprocess("alimama", tmp_path / "raw", tmp_path / "data", None, PreprocessOptions(history=4))
    assert dataset.column("behaviors", "time").tolist() == times[-4:]


def test_a_time_equal_to_the_impressions_is_not_history(tmp_path: Path) -> None:
    alimama.write(
        tmp_path / "raw",
        impressions=[(1, START + 50, 10, 0), (1, START + 51, 10, 1), *alimama.validation_and_test(1, 10)],
        ads=[(10, 500, 600)],
        behaviors=[(1, START + 49, 1, 1), (1, START + 50, 2, 2), (1, START + 50, 3, 3)],
    )
    dataset = preprocess("alimama", tmp_path / "raw", tmp_path / "data", None)
    seen = [[t - START for t, _, _ in history_of(dataset, "train", row)] for row in range(2)]
    assert seen == [[49], [49, 50, 50]]


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(LOGS, IMPRESSIONS, st.integers(1, 5))
@pytest.mark.slow
def test_no_history_contains_the_present_or_the_future(
    log: list[tuple[int, int, int, int]], impressions: list[tuple[int, int]], n_v: int
) -> None:
    """Random logs: a batch holds the last n_v behaviors strictly before each impression."""
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder) / "raw"
        alimama.write(
            raw,
            impressions=[(u, START + t, 10, (t + u) % 2) for u, t in impressions]
            + alimama.validation_and_test(1, 10)
            + alimama.both_classes(1, 10, day=0),
            # Of every category and brand: where no value of a field is on both sides, the files are refused.
            ads=[(10, 1, 1), (11, 2, 2), (12, 3, 3), (13, 4, 3)],
            behaviors=[(u, START + t, c, b) for u, t, c, b in log] + [(1, START - DAY, 1, 1)],
        )
        dataset = preprocess("alimama", raw, Path(folder) / "data", None, PreprocessOptions(history=n_v))
        truth = oracles.histories(raw, n_v)
        nobody = np.zeros(dataset.counts["users"], bool)
        for split in SPLITS:
            rows = np.arange(dataset.counts[split])
            nothing = np.zeros(len(rows), bool)
            view = View(split, rows, nobody, nobody, nothing, nothing)
            batch = Batches(dataset, view, n_v, 99).gather(rows)
            times = dataset.column("behaviors", "time")
            for row in rows.tolist():
                user = int(dataset.column("users", "raw")[dataset.column(split, "user")[row]])
                now = int(dataset.column(split, "time")[row])
                history = history_of(dataset, split, row)
                assert all(t < now for t, _, _ in history)
                assert [t for t, _, _ in history] == [t for t, _, _ in truth[user, now]]
                assert np.count_nonzero(batch["actions"][row]) == len(history)
            assert len(times) == dataset.counts["behaviors"]
