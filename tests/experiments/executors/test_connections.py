"""How workers notice that another one has ended; each worker is a thread here."""

from __future__ import annotations

import time

import pytest

from mailcli.experiments.executors import connections as module
from mailcli.experiments.executors.connections import RESTART, Connections
from tests.helpers.workers import connect_all, local_clusters


@pytest.fixture
def exits(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Collects the exit codes of processes that would be ended, a moment after a worker is lost."""
    codes: list[int] = []
    monkeypatch.setattr(module, "GRACE", 0.2)
    monkeypatch.setattr("os._exit", codes.append)
    return codes


def wait_for_exits(exits: list[int], count: int) -> None:
    deadline = time.monotonic() + 10
    while len(exits) < count and time.monotonic() < deadline:
        time.sleep(0.05)


def error_of(connections: Connections) -> str:
    connections._lost_is_known.wait(10)
    error = connections.error()
    assert error is not None
    return error.message


def test_the_end_of_one_reaches_all(exits: list[int]) -> None:
    clusters = local_clusters(3)
    chief, first, second = connect_all(clusters, [{}] * 3)
    second.close("the disk is full")
    expected = f"{clusters[2].name(2)} stopped before training finished (the disk is full)."
    assert [error_of(connections) for connections in (chief, first)] == [f"{expected} {RESTART}"] * 2
    # Even if TensorFlow still waits for something.
    wait_for_exits(exits, 2)
    assert exits == [2, 2]
    for connections in (chief, first):
        connections.close("")


def test_the_advice_is_given_once(exits: list[int]) -> None:
    chief, worker = connect_all(local_clusters(2), [{}] * 2)
    worker.close(f"a worker has not answered for 300 seconds. Check all workers. {RESTART}")
    assert error_of(chief) == (
        f"{chief.cluster.name(1)} stopped before training finished (a worker has not answered for 300 seconds. "
        "Check all workers). Start all workers again with the same commands to resume from the last checkpoint."
    )
    chief.close("")
    wait_for_exits(exits, 1)
    assert exits == [2]


def test_the_error_is_shown_before_a_process_is_ended(exits: list[int], capfd: pytest.CaptureFixture[str]) -> None:
    """If TensorFlow waits for the lost worker forever, no exception reaches the terminal."""
    chief, worker = connect_all(local_clusters(2), [{}] * 2)
    worker.close("the disk is full")
    wait_for_exits(exits, 1)
    chief.close("")
    assert exits == [2]
    name = chief.cluster.name(1)
    assert capfd.readouterr().err == f"Error: {name} stopped before training finished (the disk is full). {RESTART}\n"
