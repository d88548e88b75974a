"""Training processes of `mail run` whose parent is killed, or loses its terminal, or which are killed themselves."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

import pytest

from mailcli.config import make_config
from mailcli.errors import Interrupted, MailError
from mailcli.experiments.cells import RunLayout
from mailcli.experiments.executors import processes
from mailcli.experiments.executors.failures import Failures
from mailcli.experiments.executors.tasks import Task
from mailcli.utils.process_progress import Ended
from tests.helpers.files import outcomes_of

EXPERIMENT = """
title = "Two runs"
source = "alimama"
seeds = 1
rows = ["BaseDNN", {row = "MAIL-Base", "cold_start.encoder_units" = "8,8,8", "cold_start.decoder_units" = "8,8"}]
[settings]
embedding_dim = 4
batch_size = 64
epochs = 3
patience = 3
"ranker.units" = "8,4"
"""


@pytest.fixture
def start_run(data_dir: Path, tmp_path: Path) -> Callable[..., subprocess.Popen[str]]:
    """Starts `mail run` with two processes on the dataset `tiny`, which writes to the given folder of runs."""
    experiment = tmp_path / "experiment.toml"
    experiment.write_text(EXPERIMENT, encoding="utf-8")
    where = ["run", str(experiment), "--data", "tiny", "--data-dir", str(data_dir), "--jobs", "2", "--runs"]
    code = "from mailcli.cli import main; main()"

    def start(runs: str, *options: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", code, *where, str(tmp_path / runs), *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # A session of its own, as in a terminal; all its processes are found by its number.
            start_new_session=True,
        )

    return start


def processes_of_session(session: int) -> list[int]:
    """The processes of a session that are still alive."""
    alive = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            # The name in parentheses may hold spaces; state, parent, group and session follow it.
            state, _, _, number = path.read_text().rpartition(")")[2].split()[:4]
        except (FileNotFoundError, ProcessLookupError):
            continue  # It has ended since.
        if int(number) == session and state not in "ZX":
            alive.append(int(path.parent.name))
    return alive


def ends_within(seconds: float, session: int) -> bool:
    """Whether all processes of a session end in time; those that do not are killed."""
    deadline = time.monotonic() + seconds
    while processes_of_session(session) and time.monotonic() < deadline:
        time.sleep(0.05)
    left = processes_of_session(session)
    for process in left:
        os.kill(process, signal.SIGKILL)
    return not left


def ended(error: BaseException) -> Future[None]:
    future: Future[None] = Future()
    future.set_exception(error)
    return future


def task_of(folder: Path, **settings: object) -> Task:
    return Task(make_config([{"data": "tiny", **settings}]), folder, RunLayout(folder), None)


@pytest.fixture
def pool() -> processes._Pool:
    return processes._Pool(2, 1)


def test_a_run_that_meets_an_error_of_the_system_is_listed_and_the_others_go_on(
    pool: processes._Pool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    task = task_of(tmp_path, seed=3)
    failures = Failures([task] * 5)
    for error in (
        OSError(errno.ENOSPC, "No space left on device", "runs/a/history.jsonl"),
        MailError("a loss is not finite."),
    ):
        future = ended(error)
        pool._running[future] = task
        pool._finish(future, failures)
    assert capsys.readouterr().err == (
        "base+none, seed 3 failed: runs/a/history.jsonl: No space left on device. Free some space and run the same "
        "command again.\nbase+none, seed 3 failed: a loss is not finite.\n"
    )
    with pytest.raises(MailError) as failed:
        failures.raise_any()
    assert failed.value.message == (
        "2 of 5 runs failed. base+none, seed 3: runs/a/history.jsonl: No space left on device. Free some space and run "
        "the same command again. base+none, seed 3: a loss is not finite."
    )
    # Without a file or a known cause it is a bug, which keeps its traceback.
    future = ended(OSError("odd"))
    pool._running[future] = task
    with pytest.raises(OSError, match="odd"):
        pool._finish(future, failures)


def test_runs_on_several_datasets_are_told_apart(tmp_path: Path) -> None:
    task = task_of(tmp_path, seed=3)
    failures = Failures([task, task._replace(dataset=tmp_path / "other")])
    failures.add(task, MailError("a loss is not finite."))
    with pytest.raises(MailError) as failed:
        failures.raise_any()
    assert failed.value.message == "1 of 2 runs failed. tiny, base+none, seed 3: a loss is not finite."


def test_one_by_one_the_others_go_on_and_a_failed_baseline_is_not_trained_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cells: list[tuple[str, str]] = [("base", "none"), ("base", "metaemb"), ("din", "none"), ("din", "metaemb")]
    tasks = [task_of(tmp_path, ranker=ranker, cold_start=method) for ranker, method in cells]
    two_stage = [False, True, False, True]
    worked_on: list[str] = []

    def work(task: Task) -> None:
        worked_on.append(task.config.cell)
        if task.config.cell == "base+none":
            raise MailError("a loss is not finite.")
        if task.config.cell == "din+metaemb":
            raise OSError(errno.ENOSPC, "No space left on device", "runs/a")

    with pytest.raises(MailError) as failed:
        processes._work_one_by_one(work, tasks, two_stage)
    assert worked_on == ["base+none", "din+none", "din+metaemb"]
    # Each failure is reported when it happens: the others may take hours.
    assert capsys.readouterr().err.splitlines() == [
        "base+none, seed 0 failed: a loss is not finite.",
        "0 of 4 runs done, 1 failed",
        "base+metaemb, seed 0 failed: its baseline base+none, seed 0, failed.",
        "0 of 4 runs done, 2 failed",
        "1 of 4 runs done, 2 failed, about 0:00 left",
        "din+metaemb, seed 0 failed: runs/a: No space left on device. Free some space and run the same command again.",
    ]
    assert failed.value.message == (
        "3 of 4 runs failed. base+none, seed 0: a loss is not finite. "
        "base+metaemb, seed 0: its baseline base+none, seed 0, failed. "
        "din+metaemb, seed 0: runs/a: No space left on device. Free some space and run the same command again."
    )
    # A single run's error is as it was.
    with pytest.raises(MailError) as failed:
        processes._work_one_by_one(work, tasks[:1], two_stage[:1])
    assert failed.value.message == "a loss is not finite."
    assert capsys.readouterr().err == "", "the command reports it"


@pytest.mark.parametrize("error", [Interrupted("Interrupted."), ValueError("a bug"), OSError("odd")])
def test_one_by_one_an_interruption_or_a_bug_ends_at_once(error: Exception, tmp_path: Path) -> None:
    worked_on: list[int] = []

    def work(task: Task) -> None:
        worked_on.append(task.config.seed)
        raise error

    with pytest.raises(type(error)) as raised:
        processes._work_one_by_one(work, [task_of(tmp_path, seed=seed) for seed in (0, 1)], [False, False])
    assert raised.value is error
    assert worked_on == [0]


def test_in_parallel_a_failed_baseline_is_not_trained_again(pool: processes._Pool, tmp_path: Path) -> None:
    baseline, method = task_of(tmp_path), task_of(tmp_path, cold_start="metaemb")
    other_seed = task_of(tmp_path, cold_start="metaemb", seed=1)
    failures = Failures([baseline, method, other_seed])
    failures.add(baseline, MailError("a loss is not finite."))
    # With every worker busy, the method is not left waiting for one.
    pool._running = {Future(): task_of(tmp_path, ranker="din"), Future(): task_of(tmp_path, ranker="din")}
    waiting = pool._start([(1, method, True), (2, other_seed, True)], processes._train, failures)
    assert waiting == [(2, other_seed, True)]
    assert pool._events.get() == Ended(1, failed=True)
    with pytest.raises(MailError) as failed:
        failures.raise_any()
    assert failed.value.message == (
        "2 of 3 runs failed. base+none, seed 0: a loss is not finite. "
        "base+metaemb, seed 0: its baseline base+none, seed 0, failed."
    )


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds the processes in /proc")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGHUP])
def test_workers_end_with_their_parent_and_the_same_command_resumes(
    number: signal.Signals, start_run: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    undisturbed = start_run("undisturbed")
    table, messages = undisturbed.communicate()
    assert undisturbed.returncode == 0, messages
    # Without periodic checkpoints: the only one of the first epoch is that which the parent's end causes.
    parent = start_run("killed", "--checkpoint-every", "1000")
    histories = tmp_path / "killed"
    while parent.poll() is None and not any(path.stat().st_size for path in histories.rglob("history.jsonl")):
        time.sleep(0.001)
    assert len(processes_of_session(parent.pid)) > 2
    parent.send_signal(number)
    assert ends_within(10, parent.pid)
    parent.communicate()
    # A closed terminal is as Ctrl-C; nobody can answer a SIGKILL.
    assert parent.returncode == (-number if number == signal.SIGKILL else 130)
    assert list(histories.rglob("step-*.npz"))
    assert not list(histories.rglob(".partial-*"))
    assert len(list(histories.rglob("result.json"))) < 2
    resumed = start_run("killed")
    resumed_table, messages = resumed.communicate()
    assert resumed.returncode == 0, messages
    assert "resuming after step" in messages
    assert resumed_table == table
    assert outcomes_of(histories) == outcomes_of(tmp_path / "undisturbed")
