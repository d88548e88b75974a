"""Interrupted preprocessing resumes after its last finished stage, and gives the same dataset."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mailcli.data.dataset import dataset_names
from mailcli.errors import MailError
from mailcli.preprocessing.pipeline import PreprocessOptions, preprocess
from mailcli.simulation.alimama import simulate_alimama
from mailcli.simulation.world import Settings
from mailcli.utils.resumable import ResumableStages
from tests.helpers.files import files_of

STAGES = ("users", "items", "impressions", "keys", "behaviors", "shown")
#: The default suite stops after the first and the last one.
QUICK_STAGES = ("shown",)


def stop_after(monkeypatch: pytest.MonkeyPatch, last: str) -> list[str]:
    """Simulate Ctrl-C after a stage; returns the list to which the stages are added as they are made."""
    run = ResumableStages.run
    stages: list[str] = []

    def patched(self: ResumableStages, name: str, make: Callable[[Path], object]) -> Path:
        def record_and_make(folder: Path) -> None:
            stages.append(name)
            make(folder)

        folder = run(self, name, record_and_make)
        if name == last:
            raise KeyboardInterrupt
        return folder

    monkeypatch.setattr(ResumableStages, "run", patched)
    return stages


@pytest.mark.parametrize(
    "last", [pytest.param(name, marks=[] if name in QUICK_STAGES else pytest.mark.slow) for name in STAGES]
)
def test_goes_on_after_the_last_finished_stage(
    simulated_raw: Path,
    data_dir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    last: str,
) -> None:
    with monkeypatch.context() as patch:
        stop_after(patch, last)
        with pytest.raises(KeyboardInterrupt) as interrupted:
            preprocess("alimama", simulated_raw, tmp_path, "tiny", PreprocessOptions(history=20))
    work = tmp_path / ".tiny.work"
    assert str(interrupted.value) == f"Interrupted. Progress is saved in {work}; run the same command to resume."
    assert capsys.readouterr().err == ""
    assert dataset_names(tmp_path) == []
    finished = STAGES[: STAGES.index(last) + 1]
    stages = stop_after(monkeypatch, "none")
    dataset = preprocess("alimama", simulated_raw, tmp_path, "tiny", PreprocessOptions(history=20))
    assert capsys.readouterr().err == f"Resuming the interrupted preprocessing: {', '.join(finished)} already done.\n"
    assert stages == list(STAGES[len(finished) :])
    assert files_of(dataset.folder) == files_of(data_dir / "tiny")
    assert [path.name for path in tmp_path.iterdir()] == ["tiny"]


def test_starts_over_and_says_why_when_the_input_is_another(
    simulated_raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with monkeypatch.context() as patch:
        stop_after(patch, "behaviors")
        with pytest.raises(KeyboardInterrupt):
            preprocess("alimama", simulated_raw, tmp_path, "tiny")
    capsys.readouterr()
    stages = stop_after(monkeypatch, "none")
    dataset = preprocess("alimama", simulated_raw, tmp_path, "tiny", PreprocessOptions(sample=0.5))
    assert capsys.readouterr().err == "Starting over: --sample changed since the interrupted run.\n"
    assert stages == list(STAGES)
    assert dataset.counts["users"] < 200


@pytest.mark.slow
@pytest.mark.parametrize("unlinked", [1, 2, 3, 4, 6])
def test_a_kill_while_stages_are_deleted_does_no_harm(
    simulated_raw: Path, data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unlinked: int
) -> None:
    """The folder of stages is deleted after success; the power fails when some of its files are gone."""
    remaining = [unlinked]
    unlink = os.unlink

    def unlink_some(path: Path, **options: int) -> None:
        if not remaining[0]:
            raise KeyboardInterrupt
        remaining[0] -= 1
        unlink(path, **options)

    def remove(self: ResumableStages) -> None:
        self._delete_key()
        with monkeypatch.context() as patch:
            patch.setattr(os, "unlink", unlink_some)
            shutil.rmtree(self.folder)

    with monkeypatch.context() as patch:
        patch.setattr(ResumableStages, "remove", remove)
        with pytest.raises(KeyboardInterrupt):
            preprocess("alimama", simulated_raw, tmp_path, "tiny", PreprocessOptions(history=20))
    assert (tmp_path / ".tiny.work").is_dir()
    dataset = preprocess("alimama", simulated_raw, tmp_path, "tiny", PreprocessOptions(history=20))
    assert files_of(dataset.folder) == files_of(data_dir / "tiny")


def test_the_record_goes_before_what_it_speaks_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stages = ResumableStages(tmp_path / "work")
    stages.open()
    stages.begin({"--sample": 1.0})
    stages.run("one", lambda folder: None)
    deleted = []

    def record(folder: Path, **options: bool) -> None:
        assert not (stages.folder / "key.json").exists()
        deleted.append(folder.name)

    monkeypatch.setattr(shutil, "rmtree", record)
    stages.begin({"--sample": 0.5})
    stages.remove()
    assert deleted == ["one", "work"]


def test_stages_of_an_older_version_are_made_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Version 1 kept no conversions by split, and no rows for which `where` is false."""
    stages = ResumableStages(tmp_path / "work")
    stages.open()
    (stages.folder / "key.json").write_text('{"version of the stages": 1, "source": "alimama"}')
    (stages.folder / "keys").mkdir()
    stages.begin({"source": "alimama"})
    assert not stages.any_finished
    assert "Starting over: version of the stages changed since the interrupted run." in capsys.readouterr().err


def test_a_record_half_written_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / ".partial-0123456789abcdef-key.json").write_text("{")
    stages = ResumableStages(tmp_path / "work")
    stages.open()
    assert [path.name for path in stages.folder.iterdir()] == ["temp"]


def test_an_error_keeps_nothing(simulated_raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr("mailcli.preprocessing.transform.Transform._write_log_ids", stop)
    with pytest.raises(RuntimeError, match="a bug"):
        preprocess("alimama", simulated_raw, tmp_path, "half")
    assert list(tmp_path.iterdir()) == []


def test_a_typo_in_the_next_command_costs_no_progress(
    simulated_raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mailcli.preprocessing.transform.Transform._write_log_ids", stop_here)
    with pytest.raises(KeyboardInterrupt):
        preprocess("alimama", simulated_raw, tmp_path, "half")
    stages = {path.name for path in (tmp_path / ".half.work").iterdir()}
    assert {"users", "items", "behaviors"} <= stages
    with pytest.raises(MailError, match="rwa: raw_sample.csv, .* not found"):
        preprocess("alimama", tmp_path / "rwa", tmp_path, "half")
    assert stages <= {path.name for path in (tmp_path / ".half.work").iterdir()}


def stop_here(*_: object) -> None:
    raise KeyboardInterrupt


def command(raw: Path, data: Path) -> subprocess.Popen[bytes]:
    code = "from mailcli.cli import main; main()"
    options: list[str | Path] = ["preprocess", "alimama", "--raw", raw, "--data-dir", data]
    return subprocess.Popen(
        [sys.executable, "-c", code, *options],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        # As in a shell: pytest's workers may ignore Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler) and None,
    )


def until_work_begins(data: Path) -> None:
    while not (data / ".alimama.work").is_dir():
        time.sleep(0.01)


@pytest.mark.slow
def test_kill_9_at_ten_random_moments(tmp_path: Path) -> None:
    raw, undisturbed = tmp_path / "raw", tmp_path / "undisturbed"
    simulate_alimama(Settings(users=1000, behaviors_per_user=100), raw)
    running = command(raw, undisturbed)
    until_work_begins(undisturbed)
    start = time.monotonic()
    assert running.wait() == 0
    duration = time.monotonic() - start
    resumed = killed = 0
    for number, moment in enumerate(np.random.default_rng(0).uniform(0, 0.9 * duration, 30)):
        data = tmp_path / f"data{number}"
        running = command(raw, data)
        until_work_begins(data)
        time.sleep(moment)
        running.kill()
        if running.wait() == 0:
            continue  # it finished before the kill
        assert dataset_names(data) in ([], ["alimama"])
        again = command(raw, data)
        _, messages = again.communicate()
        assert again.returncode == 0, messages
        killed += 1
        resumed += b"Resuming" in messages
        assert files_of(data / "alimama") == files_of(undisturbed / "alimama"), f"killed after {moment:.2f} s"
        assert [path.name for path in data.iterdir()] == ["alimama"]
        if killed == 10:
            break
    assert killed == 10
    assert resumed >= 3


def test_ctrl_c_keeps_what_is_done(simulated_raw: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    running = command(simulated_raw, data)
    until_work_begins(data)
    while not (data / ".alimama.work" / "impressions").is_dir():
        time.sleep(0.01)
    os.kill(running.pid, signal.SIGINT)
    _, messages = running.communicate()
    assert running.returncode == 130
    assert b"run the same command to resume." in messages
    assert b"Traceback" not in messages
    assert dataset_names(data) == []
