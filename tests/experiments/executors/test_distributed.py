"""Training with several workers, each a process, gives what one process gives; errors reach all workers."""

from __future__ import annotations

import json
import re
import signal
import socket
import time
from pathlib import Path

import numpy as np
import pytest

from mailcli.data.dataset import Dataset
from mailcli.data.protocol import views
from mailcli.runs.audit import measure_audit
from mailcli.runs.opening import open_run
from mailcli.training.audit_scores import audit_run
from mailcli.training.predictor import Predictor
from tests.helpers.models import QUICK
from tests.helpers.workers import (
    BASE_MAIL,
    finish,
    predictions,
    start,
    thread_counts_of_epochs,
    train_commands,
    training_steps,
    wait_for,
    without_norms,
)


@pytest.fixture(scope="module")
def two_workers(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The runs of base+none and base+mail by two processes on the loopback interface."""
    runs = tmp_path_factory.mktemp("two")
    done = finish(start(train_commands(data_dir, runs, 2, BASE_MAIL)))
    assert [code for code, _ in done] == [0, 0], done
    assert re.fullmatch(r"worker 1 \(.*\): finished, 2 runs. worker 0 \(.*\) has the results.", done[1][1][-1])
    return runs


@pytest.mark.slow
def test_two_workers_have_the_loss_curve_of_one_process(two_workers: Path, data_dir: Path, tmp_path: Path) -> None:
    (done,) = finish(start(train_commands(data_dir, tmp_path, 1, BASE_MAIL)))
    assert done[0] == 0, done
    one, two = training_steps(tmp_path), training_steps(two_workers)
    assert sorted(one) == sorted(two) == ["base+mail-base", "base+none"]
    for cell in one:
        assert len(one[cell]) == len(two[cell]) == 44
        for expected, losses in zip(one[cell], two[cell], strict=True):
            # Norms of gradients are up to 136 here, where neighboring float32 numbers lie 1.5e-5 apart.
            norms = {name: losses.pop(name) for name in expected if name.startswith("gradient")}
            assert norms == pytest.approx({name: expected.pop(name) for name in norms}, rel=1e-5), cell
            assert losses == pytest.approx(expected, abs=1e-5), cell
    results = [
        json.loads((runs / "tiny/paper/base+none/seed-0/result.json").read_text()) for runs in (tmp_path, two_workers)
    ]
    assert results[1]["test"]["all"]["AUC"] == pytest.approx(results[0]["test"]["all"]["AUC"], abs=1e-3)
    audits = [open_run(runs / "tiny/paper/base+mail-base/seed-0").audit for runs in (tmp_path, two_workers)]
    assert audits[0] is not None
    assert audits[1] is not None
    assert audits[1].users == audits[0].users
    np.testing.assert_allclose(audits[1].values, audits[0].values, atol=1e-3)
    np.testing.assert_allclose(audits[1].draws, audits[0].draws, atol=2e-3)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["pfd", "prior", "match"])
def test_two_workers_prepare_a_method_as_one_process_does(method: str, data_dir: Path, tmp_path: Path) -> None:
    """Teachers are trained by both; statistics are counted by each."""
    cell = {"cold_start": method, **QUICK[method]}
    for workers in (1, 2):
        done = finish(start(train_commands(data_dir, tmp_path / str(workers), workers, cell)))
        assert all(code == 0 for code, _ in done), done
    one, two = (training_steps(tmp_path / str(workers))[f"base+{method}"] for workers in (1, 2))
    assert len(one) == len(two) == 44
    for expected, losses in zip(one, two, strict=True):
        assert without_norms(losses) == pytest.approx(without_norms(expected), abs=1e-4)
    assert not list(tmp_path.rglob("teachers"))


@pytest.mark.slow
def test_the_audit_of_two_workers_is_that_of_their_weights(two_workers: Path, data_dir: Path) -> None:
    """Computed again by this process alone."""
    run, dataset = open_run(two_workers / "tiny/paper/base+mail-base/seed-0"), Dataset(data_dir / "tiny")
    scored = audit_run(run, Predictor(run, dataset).model, dataset, views(dataset, run.config))
    audit, again = run.audit, measure_audit(scored, dataset.counts["users"])
    assert audit is not None
    assert audit.users == again.users
    np.testing.assert_allclose(audit.values, again.values, atol=1e-6)
    np.testing.assert_allclose(audit.draws, again.draws, atol=1e-6)


@pytest.mark.slow
def test_training_resumes_after_a_worker_was_killed(two_workers: Path, data_dir: Path, tmp_path: Path) -> None:
    """SIGKILL in the second epoch of base+mail; after a restart both end with the same bits."""
    for victim in (1, 0):
        runs = tmp_path / f"victim-{victim}"
        running = start(train_commands(data_dir, runs, 2, BASE_MAIL, "--checkpoint-every", "0"))
        folder = runs / "tiny/paper/base+mail-base/seed-0/checkpoints"
        wait_for((folder / "step-27.npz").exists, running)
        running[victim].kill()
        killed = time.monotonic()
        done = finish(running, 60)
        assert time.monotonic() - killed < 40
        code, lines = done[1 - victim]
        assert code == 2
        assert re.fullmatch(
            rf"Error: worker {victim} \(127.0.0.1:\d+\) stopped before training finished. Start all workers again with "
            "the same commands to resume from the last checkpoint.",
            lines[-1],
        )
        assert len([line for line in lines if line.startswith(("Error", "Traceback"))]) == 1
        again = finish(start(train_commands(data_dir, runs, 2, BASE_MAIL)))
        assert [code for code, _ in again] == [0, 0], again
        assert any("resuming after step" in line for line in again[0][1])
        # The other worker only reports that it has finished.
        assert len(again[1][1]) == 1, again[1][1]
        assert training_steps(runs) == training_steps(two_workers)
        assert predictions(runs) == predictions(two_workers)


@pytest.mark.slow
@pytest.mark.parametrize("victim", [0, 1])
def test_a_worker_that_pauses_is_waited_for(victim: int, data_dir: Path, tmp_path: Path) -> None:
    """For longer than TensorFlow's own health check would wait; over IPv6 if the machine has it."""
    host = "[::1]" if socket.has_dualstack_ipv6() else "127.0.0.1"
    cell = {"epochs": "20", "patience": "20"}
    running = start(train_commands(data_dir, tmp_path, 2, cell, host=host))
    history = tmp_path / "tiny/paper/base+none/seed-0/history.jsonl"
    wait_for(lambda: history.exists() and history.stat().st_size > 0, running)
    running[victim].send_signal(signal.SIGSTOP)
    time.sleep(40)
    exit_code = running[1 - victim].poll()
    running[victim].send_signal(signal.SIGCONT)
    done = finish(running)
    assert exit_code is None, done
    assert [code for code, _ in done] == [0, 0], done


@pytest.mark.slow
@pytest.mark.parametrize("victim", [0, 1])
def test_a_worker_that_pauses_for_too_long_is_reported(victim: int, data_dir: Path, tmp_path: Path) -> None:
    """It has not ended, so that its connections stay open: only TensorFlow's heartbeats stop."""
    setup = "from mailcli.experiments.executors import replicas; replicas._SHORTEST_HEARTBEAT_TIMEOUT = 10.0"
    cell = {"epochs": "200", "patience": "200"}
    running = start(train_commands(data_dir, tmp_path, 2, cell, "--worker-timeout", "10", setup=setup))
    history = tmp_path / "tiny/paper/base+none/seed-0/history.jsonl"
    wait_for(lambda: history.exists() and history.stat().st_size > 0, running)
    running[victim].send_signal(signal.SIGSTOP)
    running[1 - victim].wait(60)
    running[victim].send_signal(signal.SIGCONT)
    code, lines = finish(running, 60)[1 - victim]
    assert code == 2
    name = r"worker 1 \(127.0.0.1:\d+\)" if victim else "a worker"
    assert re.fullmatch(
        rf"Error: {name} has not answered for 10 seconds. Check all workers. Start all workers again with the same "
        "commands to resume from the last checkpoint.",
        lines[-1],
    ), lines


@pytest.mark.slow
def test_two_workers_keep_their_number_of_threads(data_dir: Path, tmp_path: Path) -> None:
    """From the first validation, after 22 steps, to the fourth, after 88."""
    cell = {"epochs": "50", "patience": "50"}
    running = start(train_commands(data_dir, tmp_path, 2, cell))
    history = tmp_path / "tiny/paper/base+none/seed-0/history.jsonl"
    first, last = thread_counts_of_epochs(running, history, (1, 4))
    assert [after - before for before, after in zip(first, last, strict=True) if after > before + 5] == [], (
        first,
        last,
    )


@pytest.mark.slow
def test_a_run_that_another_process_finishes_in_the_meantime(two_workers: Path, data_dir: Path, tmp_path: Path) -> None:
    """After the workers have agreed on the missing runs: none trains them, and none waits for the others."""
    setup = f"""
import shutil
from mailcli.experiments.executors import distributed
connect = distributed.connect
def connect_and_copy(cluster, job, cells=None):
    connections = connect(cluster, job, cells)
    if cluster.index == 0:
        shutil.copytree({str(two_workers)!r}, {str(tmp_path)!r}, dirs_exist_ok=True)
    return connections
distributed.connect = connect_and_copy
"""
    running = start(train_commands(data_dir, tmp_path, 2, BASE_MAIL, setup=setup))
    done = finish(running, 100)
    assert [code for code, _ in done] == [0, 0], done
    assert training_steps(tmp_path) == training_steps(two_workers)


@pytest.mark.slow
def test_a_chief_that_cannot_start_notifies_the_others(data_dir: Path, tmp_path: Path) -> None:
    folder = tmp_path / "tiny/paper/base+none/seed-0"
    folder.mkdir(parents=True)
    (folder / "mine.txt").write_text("")
    (chief_code, chief_lines), (worker_code, worker_lines) = finish(
        start(train_commands(data_dir, tmp_path, 2, {})), 60
    )
    assert (chief_code, worker_code) == (2, 2)
    reason = f"{folder}: is not a run folder; it holds mine.txt. Choose another --runs folder."
    chief = chief_lines[0].partition(")")[0] + ")"
    assert chief_lines == [
        f"{chief} cannot start. Waiting to notify the other workers; press Ctrl-C to quit.",
        f"Error: {reason}",
    ]
    assert worker_lines == [f"Error: {chief} cannot start: {reason}"]


@pytest.mark.slow
def test_a_port_that_another_process_takes_before_tensorflow_does(data_dir: Path, tmp_path: Path) -> None:
    setup = """
import socket
from mailcli.experiments.executors import distributed
connect = distributed.connect
def connect_and_listen(cluster, job, cells=None):
    global server
    connections = connect(cluster, job, cells)
    if cluster.index == 1:
        server = socket.create_server(("", cluster.host_and_port(1)[1]))
    return connections
distributed.connect = connect_and_listen
"""
    running = start(train_commands(data_dir, tmp_path, 2, {}, setup=setup))
    deadline = time.monotonic() + 100
    while running[1].poll() is None and time.monotonic() < deadline:
        time.sleep(0.1)
    # The chief's TensorFlow waits for worker 1 in C++, where no Python thread can stop it.
    running[0].kill()
    _, (code, lines) = finish(running, 10)
    assert code == 2
    assert re.fullmatch(
        r"Error: worker 1 \(127.0.0.1:(\d+)\): port \1 cannot be used on this machine \(TensorFlow: Could not start gRPC "
        r"server\). Choose another port, or stop the process that uses it.",
        lines[-1],
    ), lines
    assert not [line for line in lines if line.startswith("Traceback")]


@pytest.mark.slow
def test_ctrl_c_in_one_worker_stops_all_with_a_checkpoint(data_dir: Path, tmp_path: Path) -> None:
    running = start(train_commands(data_dir, tmp_path, 2, {"epochs": "200", "patience": "200"}))
    history = tmp_path / "tiny/paper/base+none/seed-0/history.jsonl"
    wait_for(lambda: history.exists() and history.stat().st_size > 0, running)
    running[1].send_signal(signal.SIGINT)
    (chief_code, chief_lines), (worker_code, worker_lines) = finish(running, 60)
    assert (chief_code, worker_code) == (130, 130), (chief_lines, worker_lines)
    (newest,) = sorted(history.parent.glob("checkpoints/step-*.npz"), key=lambda path: path.stat().st_mtime)[-1:]
    assert chief_lines[-1] == f"Interrupted. The last good checkpoint is {newest}. Run the same command to resume."
    assert worker_lines[-1] == "Interrupted. Worker 0 has the checkpoints. Run the same commands to resume."
