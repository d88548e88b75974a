"""A process that is killed or interrupted: the same command resumes at the next step and ends as if undisturbed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mailcli.data.dataset import Dataset
from mailcli.experiments.cells import train_if_missing
from mailcli.models.step import Step
from mailcli.runs.folder import RunFolder
from tests.helpers.command_line import mail
from tests.helpers.runs import CELLS, SETTINGS, Capture, Killed, Undisturbed, config, kill_in_step, outcome


def arguments(data_dir: Path, runs: Path, cell: str = "base") -> list[str]:
    """Those of `mail train` with a checkpoint after every step."""
    settings = [f"{key}={value}" for key, value in {**SETTINGS, **CELLS[cell]}.items() if key != "data"]
    folders = ["--data", "tiny", "--data-dir", str(data_dir), "--runs", str(runs), "--checkpoint-every", "0"]
    return ["train", *folders, *(part for setting in settings for part in ("--set", setting))]


def start(data_dir: Path, runs: Path, cell: str = "base") -> subprocess.Popen[str]:
    """`mail train` as typed."""
    code = "from mailcli.cli import main; main()"
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments(data_dir, runs, cell)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        # As in a user's shell: pytest's workers may ignore Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler) and None,
    )


def wait_for(process: subprocess.Popen[str], condition: Callable[[], bool]) -> bool:
    """Wait until a condition holds or the process has ended; whether the condition holds."""
    while process.poll() is None:
        if condition():
            return True
        time.sleep(0.0005)
    return False


def has_passed(folder: Path, step: int) -> Callable[[], bool]:
    """Whether there is a checkpoint of the step or a later one."""
    return lambda: any(int(path.stem.split("-")[1]) >= step for path in folder.glob("step-*.npz"))


def run_of(runs: Path, cell: str) -> RunFolder:
    return RunFolder(runs / "tiny" / "paper" / config(cell).cell / "seed-0", config(cell))


def kill_often(data_dir: Path, runs: Path, cell: str, moments: Sequence[Any]) -> int:
    """Kill -9 at each moment and run the command again after each; the number of kills."""
    folder = run_of(runs, cell).checkpoints
    kills = 0
    for moment in moments:
        process = start(data_dir, runs, cell)
        if wait_for(process, moment(folder)):
            process.kill()
            kills += 1
        process.communicate()
    last = start(data_dir, runs, cell)
    _, stderr = last.communicate()
    assert last.returncode == 0, stderr
    return kills


@pytest.mark.slow
def test_kill_9_in_a_step_and_in_a_write(data_dir: Path, tmp_path: Path, undisturbed: Undisturbed) -> None:
    moments: list[Callable[[Path], Callable[[], bool]]] = [
        lambda folder: has_passed(folder, 5),
        lambda folder: lambda: any(folder.glob(".partial-*.npz")) and has_passed(folder, 22)(),
    ]
    assert kill_often(data_dir, tmp_path, "base+mail", moments) == 2
    assert outcome(run_of(tmp_path, "base+mail")) == undisturbed("base+mail")


@pytest.mark.slow
@pytest.mark.parametrize("cell", ["base+mail", "dmr+cvae", "base+poso", "base+match", "deepfm+dropout"])
def test_kill_9_at_eight_random_steps(cell: str, data_dir: Path, tmp_path: Path, undisturbed: Undisturbed) -> None:
    """40 kills over five runs: within and between epochs, while checkpoints are written, in validation."""
    rng = np.random.default_rng(sum(map(ord, cell)))
    steps = [int(step) for step in [*np.sort(rng.integers(1, 62, 5)), 22, 44, 66]]
    moments = [lambda folder, step=step: has_passed(folder, step) for step in sorted(steps)]
    assert kill_often(data_dir, tmp_path, cell, moments) == 8
    assert outcome(run_of(tmp_path, cell)) == undisturbed(cell)


def check_interrupted(run: RunFolder, exit_code: int | None, stderr: str) -> Path:
    """Ctrl-C left one line that names the newest checkpoint, which is returned."""
    assert exit_code == 130
    assert "Traceback" not in stderr
    newest = max(run.checkpoints.glob("step-*.npz"), key=lambda path: int(path.stem.split("-")[1]))
    assert stderr.splitlines()[-1] == (
        f"Interrupted. The last good checkpoint is {newest}. Run the same command to resume."
    )
    return newest


def check_resumed(run: RunFolder, newest: Path, tiny: Dataset, expected: dict[str, bytes], capsys: Capture) -> None:
    """This process goes on after the newest checkpoint, and ends as if nothing had happened."""
    capsys.readouterr()
    assert train_if_missing(run.config, tiny, run.folder.parents[3]).folder == run.folder
    assert f"{run.folder}: resuming after step {newest.stem.split('-')[1]} (epoch" in capsys.readouterr().err
    assert outcome(run) == expected


def test_ctrl_c_keeps_the_step_and_says_how_to_go_on(
    data_dir: Path,
    tiny: Dataset,
    tmp_path: Path,
    undisturbed: Undisturbed,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Capture,
) -> None:
    """In this process; the next test presses it in another."""
    run = run_of(tmp_path, "base")
    call, calls = Step.__call__, 0

    def step(self: Step, batch: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 10:
            os.kill(os.getpid(), signal.SIGINT)
        return call(self, batch)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with monkeypatch.context() as patch:
            patch.setattr(Step, "__call__", step)
            done = mail(*arguments(data_dir, tmp_path))
    finally:
        signal.signal(signal.SIGINT, before)
    newest = check_interrupted(run, done.exit_code, done.stderr)
    assert newest.name == "step-10.npz"
    check_resumed(run, newest, tiny, undisturbed("base"), capsys)


@pytest.mark.slow
def test_ctrl_c_in_another_process(
    data_dir: Path, tiny: Dataset, tmp_path: Path, undisturbed: Undisturbed, capsys: Capture
) -> None:
    run = run_of(tmp_path, "base")
    process = start(data_dir, tmp_path)
    assert wait_for(process, has_passed(run.checkpoints, 10))
    os.kill(process.pid, signal.SIGINT)
    _, stderr = process.communicate()
    newest = check_interrupted(run, process.returncode, stderr)
    check_resumed(run, newest, tiny, undisturbed("base"), capsys)


@pytest.mark.slow
def test_a_tower_that_is_trained_in_every_third_step_resumes_between_two_of_them(
    tiny: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    every_third = config("base+mail", epochs=1, **{"cold_start.update_every": 3})
    undisturbed = train_if_missing(every_third, tiny, tmp_path / "undisturbed")
    with monkeypatch.context() as patch:
        kill_in_step(patch, 6)
        with pytest.raises(Killed):
            train_if_missing(every_third, tiny, tmp_path / "killed", checkpoint_minutes=0)
    assert outcome(train_if_missing(every_third, tiny, tmp_path / "killed")) == outcome(undisturbed)
    steps = [line for line in undisturbed.history() if "L_rt" in line]
    assert [line["step"] for line in steps if "L_zst" in line] == list(range(1, 23, 3))
