"""A run that is killed goes on at the next step, and ends as if nothing had been."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from mailcli.config import RunConfig, make_config
from mailcli.data.batches import Batches
from mailcli.data.dataset import Dataset
from mailcli.data.protocol import views
from mailcli.errors import Interrupted, MailError
from mailcli.experiments.cells import train_if_missing
from mailcli.models.batch_spec import to_tensors
from mailcli.models.factory import make_model
from mailcli.models.rankers import dmr
from mailcli.models.step import Step
from mailcli.training import checkpoints
from mailcli.training.evaluate import Scorer
from mailcli.training.loop import Fit
from mailcli.training.run_folder import Run

#: 22 steps an epoch on the dataset `tiny`, so the ends of epochs are at 22, 44 and 66.
SETTINGS: dict[str, Any] = {
    "data": "tiny",
    "history": 20,
    "embedding_dim": 8,
    "batch_size": 256,
    "epochs": 3,
    "ranker.units": "16,8",
}
SMALL = {"cold_start.encoder_units": "16,16,16", "cold_start.decoder_units": "16,16"}
CELLS: dict[str, dict[str, str]] = {
    "base+mail": {"cold_start": "mail", "cold_start.variant": "base", **SMALL},
    "dmr+cvae": {"ranker": "dmr", "cold_start": "cvae", "cold_start.units": "16"},
    # Validated after steps 7, 14, 21 and 22 of an epoch.
    "deepfm+dropout": {"ranker": "deepfm", "cold_start": "dropout", "eval_every": "7", "patience": "9"},
}


def config(cell: str, **more: Any) -> RunConfig:
    return make_config([SETTINGS, CELLS[cell], more])


class Killed(BaseException):
    """Stands for the end of the process: nothing of ours catches it."""


def kill_in_step(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Let the given step, counted from now, not come back."""
    seen = 0
    call = Step.__call__

    def step(self: Step, batch: Any) -> Any:
        nonlocal seen
        seen += 1
        if seen == number:
            raise Killed
        return call(self, batch)

    monkeypatch.setattr(Step, "__call__", step)


def train_until(
    monkeypatch: pytest.MonkeyPatch, number: int, dataset: Dataset, runs: Path, cell: str = "base+mail"
) -> None:
    """Train with a checkpoint after every step until the given step, counted from now, which does not come back."""
    with monkeypatch.context() as patch:
        kill_in_step(patch, number)
        with pytest.raises(Killed):
            train_if_missing(config(cell), dataset, runs, minutes=0)


def outcome(run: Run) -> dict[str, Any]:
    """All that a run leaves but wall time: bytes of its files, and the weights as arrays."""
    found: dict[str, Any] = {
        name: (run.folder / name).read_bytes()
        for name in ("config.toml", "history.jsonl", "result.json", "predictions.npy")
    }
    with h5py.File(run.weights) as file:
        file.visititems(lambda name, item: found.update({name: item[()].tobytes()} if hasattr(item, "dtype") else {}))
    return found


@pytest.fixture(scope="module")
def undisturbed(tiny: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], dict[str, Any]]:
    """What each cell's run leaves when nothing happens; made once."""
    folder, known = tmp_path_factory.mktemp("undisturbed"), {}

    def found(cell: str) -> dict[str, Any]:
        if cell not in known:
            known[cell] = outcome(train_if_missing(config(cell), tiny, folder))
        return known[cell]

    return found


@pytest.fixture
def few_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    """DMR's match loss draws its classes at random, as it does for large vocabularies."""
    monkeypatch.setattr(dmr, "NEGATIVES", 10)


@pytest.mark.usefixtures("few_classes")
class TestKilled:
    """In this process: a step that does not come back."""

    @pytest.mark.parametrize(
        "cell",
        [pytest.param(cell, marks=[] if cell == "base+mail" else pytest.mark.slow) for cell in CELLS],
    )
    def test_goes_on_at_the_next_step(
        self,
        cell: str,
        tiny: Dataset,
        tmp_path: Path,
        undisturbed: Callable[[str], dict[str, Any]],
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        expected = undisturbed(cell)
        # Within the first epoch, right after its end, and in the last.
        for steps, told in ((9, 8), (15, 22), (30, 51)):
            train_until(monkeypatch, steps, tiny, tmp_path, cell)
            newest = max(int(path.stem.split("-")[1]) for path in tmp_path.glob("*/*/*/*/checkpoints/step-*.npz"))
            assert newest == told
        capsys.readouterr()
        run = train_if_missing(config(cell), tiny, tmp_path)
        assert capsys.readouterr().err.startswith(f"{run.folder}: goes on after step 51, in epoch 3.\n")
        assert outcome(run) == expected
        assert sorted(path.name for path in run.checkpoints.iterdir()) == ["best.optimizers.npz", "best.weights.h5"]
        assert [json.loads(line).get("step") for line in expected["history.jsonl"].splitlines()][:3] == [1, 2, 3]

    def test_in_validation_and_on_test_nothing_is_trained_again(
        self,
        tiny: Dataset,
        tmp_path: Path,
        undisturbed: Callable[[str], dict[str, Any]],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        for name in ("scoring validation", "scoring test"):
            with monkeypatch.context() as patch:
                call = Scorer.__call__

                def score(self: Scorer, batches: Any, title: str, name: str = name, call: Any = call) -> Any:
                    if title == name:
                        raise Killed
                    return call(self, batches, title)

                patch.setattr(Scorer, "__call__", score)
                with pytest.raises(Killed):
                    train_if_missing(config("base+mail"), tiny, tmp_path)
        with monkeypatch.context() as patch:
            kill_in_step(patch, 1)
            run = train_if_missing(config("base+mail"), tiny, tmp_path)
        assert outcome(run) == undisturbed("base+mail")

    def test_a_damaged_checkpoint_is_left_out_with_a_warning(
        self,
        tiny: Dataset,
        tmp_path: Path,
        undisturbed: Callable[[str], dict[str, Any]],
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        train_until(monkeypatch, 30, tiny, tmp_path)
        (folder,) = tmp_path.glob("*/*/*/*/checkpoints")
        newest = folder / "step-29.npz"
        whole = newest.read_bytes()
        for damage in (whole[: len(whole) // 2], flipped(whole), b"", b"no zip at all"):
            newest.write_bytes(damage)
            train_until(monkeypatch, 1, tiny, tmp_path)
            told = capsys.readouterr().err
            assert f"{newest}: is damaged and left out (" in told
            assert "goes on after step 28, in epoch 2." in told
        assert outcome(train_if_missing(config("base+mail"), tiny, tmp_path)) == undisturbed("base+mail")

    def test_without_a_whole_checkpoint_it_starts_again(
        self,
        tiny: Dataset,
        tmp_path: Path,
        undisturbed: Callable[[str], dict[str, Any]],
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        train_until(monkeypatch, 5, tiny, tmp_path)
        for path in tmp_path.glob("*/*/*/*/checkpoints/step-*.npz"):
            path.write_bytes(b"")
        run = train_if_missing(config("base+mail"), tiny, tmp_path)
        assert capsys.readouterr().err.count("is damaged and left out") == 2
        assert outcome(run) == undisturbed("base+mail")

    def test_a_checkpoint_beyond_its_epoch_is_left_out(
        self, tiny: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Such as one that was made with other data: it would skip the rest of the epoch."""
        train_until(monkeypatch, 5, tiny, tmp_path)
        (newest,) = tmp_path.glob("*/*/*/*/checkpoints/step-4.npz")
        with np.load(newest) as file:
            arrays = dict(file)
        told = json.loads(arrays["progress"].tobytes()) | {"step": 23}
        np.savez(newest, **{**arrays, "progress": np.frombuffer(json.dumps(told).encode(), np.uint8)})
        train_until(monkeypatch, 1, tiny, tmp_path)
        told = capsys.readouterr().err
        assert f"{newest}: is damaged and left out (it is at step 23 of an epoch of 22)." in told
        assert "goes on after step 3, in epoch 1." in told

    def test_a_checkpoint_without_its_history_is_left_out(
        self, tiny: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        train_until(monkeypatch, 5, tiny, tmp_path)
        (history,) = tmp_path.glob("*/*/*/*/history.jsonl")
        history.unlink()
        train_until(monkeypatch, 1, tiny, tmp_path)
        assert capsys.readouterr().err.count("(history.jsonl is shorter than it tells)") == 2


def flipped(data: bytes) -> bytes:
    """One bit in the middle is another."""
    changed = bytearray(data)
    changed[len(changed) // 2] ^= 1
    return bytes(changed)


class TestGuards:
    """What is refused before anything is lost."""

    def test_a_full_disk_leaves_the_checkpoint_before(
        self,
        tiny: Dataset,
        tmp_path: Path,
        undisturbed: Callable[[str], dict[str, Any]],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        written, write = 0, checkpoints._write

        def until_full(archive: Any, name: str, array: Any) -> None:
            nonlocal written
            written += name == "20"
            if written > 3:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            write(archive, name, array)

        with monkeypatch.context() as patch:
            patch.setattr(checkpoints, "_write", until_full)
            with pytest.raises(MailError) as error:
                train_if_missing(config("base+mail"), tiny, tmp_path, minutes=0)
        (folder,) = tmp_path.glob("*/*/*/*/checkpoints")
        assert error.value.message == (
            f"{folder}/step-4.npz: cannot be written (No space left on device). The last good checkpoint is "
            f"{folder}/step-3.npz. Free some space and give the same command again."
        )
        assert sorted(path.name for path in folder.iterdir()) == ["step-2.npz", "step-3.npz"]
        assert outcome(train_if_missing(config("base+mail"), tiny, tmp_path)) == undisturbed("base+mail")

    def test_too_little_space_is_told_before_training(
        self, tiny: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 9, 1_000_000))
        with pytest.raises(
            MailError, match=r"1 MB are free, and the checkpoints of this run may need \d+ MB. Free some"
        ):
            train_if_missing(config("base+mail"), tiny, tmp_path)

    def test_a_second_process_is_refused(self, tiny: Dataset, tmp_path: Path) -> None:
        folder = tmp_path / "tiny" / "paper" / "base+mail-base" / "seed-0"
        with Run(folder, config("base+mail")).lock(), pytest.raises(MailError) as error:
            train_if_missing(config("base+mail"), tiny, tmp_path)
        assert error.value.message == f"{folder}: another `mail` is training this run. Wait for it."
        assert list(tmp_path.iterdir()) == []

    def test_a_gradient_that_is_not_finite_stops_the_run(
        self, tiny: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        call = Step.__call__
        seen = 0

        def step(self: Step, batch: Any) -> Any:
            nonlocal seen
            seen += 1
            losses = call(self, batch)
            return {**losses, "gradient": losses["gradient"] * float("inf")} if seen == 60 else losses

        monkeypatch.setattr(Step, "__call__", step)
        with pytest.raises(MailError) as error:
            train_if_missing(config("base+mail"), tiny, tmp_path)
        (folder,) = tmp_path.glob("*/*/*/*")
        assert error.value.message == (
            f"{folder}: gradient is inf in step 60, of steps 45 to 66. Training stopped. The last good checkpoint is "
            f"{folder}/checkpoints/step-44.npz. A lower learning_rate may help."
        )


def command(data_dir: Path, runs: Path, cell: str = "base+mail") -> subprocess.Popen[str]:
    """`mail train` as typed, a checkpoint after every step."""
    settings = [f"{key}={value}" for key, value in {**SETTINGS, **CELLS[cell]}.items() if key != "data"]
    code = "from mailcli.cli import main; main()"
    where = ["--data", "tiny", "--data-dir", str(data_dir), "--runs", str(runs), "--checkpoint-every", "0"]
    return subprocess.Popen(
        [sys.executable, "-c", code, "train", *where, *(part for each in settings for part in ("--set", each))],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        # As a user has it: pytest's workers may ignore Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler) and None,
    )


def when(running: subprocess.Popen[str], happened: Callable[[], bool]) -> bool:
    """Wait until something has happened, or the process has ended; whether it happened."""
    while running.poll() is None:
        if happened():
            return True
        time.sleep(0.0005)
    return False


def passed(folder: Path, step: int) -> Callable[[], bool]:
    """Whether a checkpoint of the step or a later one is there."""
    return lambda: any(int(path.stem.split("-")[1]) >= step for path in folder.glob("step-*.npz"))


def run_of(runs: Path, cell: str) -> Run:
    return Run(runs / "tiny" / "paper" / config(cell).cell / "seed-0", config(cell))


def kill_often(data_dir: Path, runs: Path, cell: str, moments: Sequence[Any]) -> int:
    """Kill -9 at each moment, the command given again after each; how often it was killed."""
    folder = run_of(runs, cell).checkpoints
    killed = 0
    for moment in moments:
        running = command(data_dir, runs, cell)
        if when(running, moment(folder)):
            running.kill()
            killed += 1
        running.communicate()
    last = command(data_dir, runs, cell)
    _, told = last.communicate()
    assert last.returncode == 0, told
    return killed


@pytest.mark.slow
def test_kill_9_in_a_step_and_in_a_write(
    data_dir: Path, tmp_path: Path, undisturbed: Callable[[str], dict[str, Any]]
) -> None:
    moments: list[Callable[[Path], Callable[[], bool]]] = [
        lambda folder: passed(folder, 5),
        lambda folder: lambda: any(folder.glob(".partial-*.npz")) and passed(folder, 22)(),
    ]
    assert kill_often(data_dir, tmp_path, "base+mail", moments) == 2
    assert outcome(run_of(tmp_path, "base+mail")) == undisturbed("base+mail")


@pytest.mark.slow
@pytest.mark.parametrize("cell", ["base+mail", "dmr+cvae", "deepfm+dropout"])
def test_kill_9_at_eight_random_steps(
    cell: str, data_dir: Path, tmp_path: Path, tiny: Dataset, undisturbed: Callable[[str], dict[str, Any]]
) -> None:
    """24 kills over three runs: in and between epochs, in writes of checkpoints, in validation."""
    rng = np.random.default_rng(sum(map(ord, cell)))
    steps = [int(step) for step in [*np.sort(rng.integers(1, 62, 5)), 22, 44, 66]]
    moments = [lambda folder, step=step: passed(folder, step) for step in sorted(steps)]
    assert kill_often(data_dir, tmp_path, cell, moments) == 8
    assert outcome(run_of(tmp_path, cell)) == undisturbed(cell)


def test_ctrl_c_keeps_the_step_and_says_how_to_go_on(
    data_dir: Path, tmp_path: Path, undisturbed: Callable[[str], dict[str, Any]]
) -> None:
    run = run_of(tmp_path, "base+mail")
    running = command(data_dir, tmp_path)
    assert when(running, passed(run.checkpoints, 10))
    os.kill(running.pid, signal.SIGINT)
    _, told = running.communicate()
    assert running.returncode == 130
    assert "Traceback" not in told
    newest = max(run.checkpoints.glob("step-*.npz"), key=lambda path: int(path.stem.split("-")[1]))
    assert told.splitlines()[-1] == (
        f"Interrupted. The last good checkpoint is {newest}. The same command goes on from there."
    )
    again = command(data_dir, tmp_path)
    _, told = again.communicate()
    assert again.returncode == 0
    assert f"{run.folder}: goes on after step {newest.stem.split('-')[1]}, in epoch" in told
    assert outcome(run) == undisturbed("base+mail")


def test_the_second_ctrl_c_stops_at_once(tiny: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    call = Step.__call__
    seen = 0

    def step(self: Step, batch: Any) -> Any:
        nonlocal seen
        seen += 1
        if seen == 3:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
            raise AssertionError("the second signal came to nothing")
        return call(self, batch)

    monkeypatch.setattr(Step, "__call__", step)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(Interrupted, match="Interrupted. There is no checkpoint yet. The same command goes on"):
            train_if_missing(config("base+mail"), tiny, tmp_path)
    finally:
        signal.signal(signal.SIGINT, before)


def test_what_a_checkpoint_holds_is_all_that_a_step_changes(tiny: Dataset, tmp_path: Path) -> None:
    """Every variable that two steps change is among those of the checkpoint: none is forgotten."""
    settings = config("dmr+cvae")
    model = make_model(tiny, settings)
    batches = {name: Batches(tiny, view, 20, 256) for name, view in views(tiny, settings).items()}
    fit = Fit(Run(tmp_path / "run", settings), tiny, model, Scorer(model), batches, minutes=9)
    held = fit._checkpoints._variables
    kept = [np.asarray(variable) for variable in held]
    batch = to_tensors(next(batches["train"].shuffled(0, 1)))
    first = {name: float(value) for name, value in fit._step(batch).items()}
    assert {name: float(value) for name, value in fit._step(batch).items()} != first
    for variable, array in zip(held, kept, strict=True):
        variable.assign(array)
    assert {name: float(value) for name, value in fit._step(batch).items()} == first
