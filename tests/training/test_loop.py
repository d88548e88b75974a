"""The training loop: an interrupted run ends like one that was not, and diverging losses stop it."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pytest
import tensorflow as tf

from mailcli.config import make_config
from mailcli.data.dataset import Dataset
from mailcli.errors import Interrupted, MailError
from mailcli.experiments.cells import train_if_missing
from mailcli.models.step import Step
from mailcli.runs.checkpoints import TrainingState
from mailcli.runs.folder import RunFolder
from mailcli.runs.remote import RemoteRun
from mailcli.training import train
from mailcli.training.loop import TrainingLoop
from mailcli.training.scorer import Scorer
from tests.helpers.runs import CELLS, Capture, Killed, Undisturbed, config, kill_in_step, outcome, train_until


@pytest.mark.usefixtures("few_classes")
class TestKilled:
    """In this process: a step that does not return."""

    @pytest.mark.parametrize(
        "cell",
        [pytest.param(cell, marks=[] if cell == "base" else pytest.mark.slow) for cell in CELLS],
    )
    def test_goes_on_at_the_next_step(
        self,
        cell: str,
        tiny: Dataset,
        tmp_path: Path,
        undisturbed: Undisturbed,
        monkeypatch: pytest.MonkeyPatch,
        capsys: Capture,
    ) -> None:
        expected = undisturbed(cell)
        # Within the first epoch, right after its end, and in the last epoch.
        for steps, last_checkpoint in ((9, 8), (15, 22), (30, 51)):
            train_until(monkeypatch, steps, tiny, tmp_path, cell)
            newest = max(int(path.stem.split("-")[1]) for path in tmp_path.glob("*/*/*/*/checkpoints/step-*.npz"))
            assert newest == last_checkpoint
        capsys.readouterr()
        run = train_if_missing(config(cell), tiny, tmp_path)
        assert capsys.readouterr().err.startswith(f"{run.folder}: resuming after step 51 (epoch 3).\n")
        assert outcome(run) == expected
        assert sorted(path.name for path in run.checkpoints.iterdir()) == ["best.optimizers.npz", "best.weights.h5"]
        assert [json.loads(line).get("step") for line in expected["history.jsonl"].splitlines()][:3] == [1, 2, 3]

    @pytest.mark.slow
    def test_in_validation_and_on_test_nothing_is_trained_again(
        self, tiny: Dataset, tmp_path: Path, undisturbed: Undisturbed, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        kill_in_scoring(monkeypatch, tiny, tmp_path, "base")
        with monkeypatch.context() as patch:
            kill_in_step(patch, 1)
            run = train_if_missing(config("base"), tiny, tmp_path)
        assert outcome(run) == undisturbed("base")

    @pytest.mark.slow
    def test_in_validation_on_test_and_in_the_audit_nothing_is_trained_again(
        self, tiny: Dataset, tmp_path: Path, undisturbed: Undisturbed, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        kill_in_scoring(monkeypatch, tiny, tmp_path, "base+mail")
        # An error in the audit keeps its traceback, and loses nothing of the training.
        with monkeypatch.context() as patch:
            patch.setattr(train, "measure_audit", raise_a_bug)
            with pytest.raises(RuntimeError, match="a bug"):
                train_if_missing(config("base+mail"), tiny, tmp_path)
        with monkeypatch.context() as patch:
            patch.setattr(np, "savez_compressed", write_half)
            with pytest.raises(Killed):
                train_if_missing(config("base+mail"), tiny, tmp_path)
        (folder,) = tmp_path.glob("*/*/*/seed-0")
        assert not (folder / "audit.npz").exists()
        # Unlike this kill, a real one leaves the half of audit.npz.
        (folder / ".partial-0123456789abcdef-audit.npz").write_bytes(b"PK")
        with monkeypatch.context() as patch:
            kill_in_step(patch, 1)
            run = train_if_missing(config("base+mail"), tiny, tmp_path)
        assert outcome(run) == undisturbed("base+mail")
        assert "audit.npz" in outcome(run)
        assert not list(tmp_path.rglob(".partial-*"))


def kill_in_scoring(monkeypatch: pytest.MonkeyPatch, tiny: Dataset, runs: Path, cell: str) -> None:
    """Train until the end of the first epoch, and then to the end of the last one: killed while a split is scored."""
    call = Scorer.__call__
    for name in ("scoring validation", "scoring test"):
        with monkeypatch.context() as patch:

            def score(self: Scorer, batches: Any, title: str, name: str = name) -> Any:
                if title == name:
                    raise Killed
                return call(self, batches, title)

            patch.setattr(Scorer, "__call__", score)
            with pytest.raises(Killed):
                train_if_missing(config(cell), tiny, runs)


def raise_a_bug(*_: object) -> None:
    raise RuntimeError("a bug")


def write_half(file: BinaryIO, **arrays: object) -> None:
    """In place of np.savez_compressed: get killed while audit.npz is written."""
    assert set(arrays) >= {"sources", "draws"}
    file.write(b"PK")
    raise Killed


def test_a_second_process_is_refused(tiny: Dataset, tmp_path: Path) -> None:
    folder = tmp_path / "tiny" / "paper" / "base+none" / "seed-0"
    with RunFolder(folder, config("base")).lock(), pytest.raises(MailError) as error:
        train_if_missing(config("base"), tiny, tmp_path)
    assert error.value.message == f"{folder}: another `mail` process is training this run. Wait for it."
    assert list(tmp_path.iterdir()) == []


def test_a_gradient_that_is_not_finite_stops_the_run(
    tiny: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = Step.__call__
    calls = 0

    def step(self: Step, batch: Any) -> Any:
        nonlocal calls
        calls += 1
        losses = call(self, batch)
        return {**losses, "gradient": losses["gradient"] * float("inf")} if calls == 60 else losses

    monkeypatch.setattr(Step, "__call__", step)
    with pytest.raises(MailError) as error:
        train_if_missing(config("base"), tiny, tmp_path)
    (folder,) = tmp_path.glob("*/*/*/*")
    assert error.value.message == (
        f"{folder}: gradient is inf in step 60, of steps 45 to 66. Training stopped. The last good checkpoint is "
        f"{folder}/checkpoints/step-44.npz. A lower learning_rate may help."
    )


def test_the_second_ctrl_c_stops_at_once(tiny: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    call = Step.__call__
    calls = 0

    def step(self: Step, batch: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 3:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
            raise AssertionError("the second signal was ignored")
        return call(self, batch)

    monkeypatch.setattr(Step, "__call__", step)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(
            Interrupted, match="Interrupted. There is no checkpoint yet. Run the same command to resume"
        ):
            train_if_missing(config("base"), tiny, tmp_path)
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_worker_names_no_folder_that_it_does_not_have(tiny: Dataset) -> None:
    settings = make_config([{"data": "tiny", "seed": 3, "cold_start": "mail", "cold_start.variant": "base"}])
    loop = object.__new__(TrainingLoop)
    loop._run, loop._state = RemoteRun(Path(), settings), TrainingState(steps=7)
    loop._pending = [{"L_rt": tf.constant(1.0)}, {"L_rt": tf.constant(float("nan"))}]
    with pytest.raises(MailError) as error:
        loop._flush()
    assert error.value.message == (
        "base+mail-base, seed 3: L_rt is nan in step 7, of steps 6 to 7. Training stopped. Worker 0 has the checkpoints. "
        "A lower learning_rate may help."
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", ["history.jsonl", "checkpoints/best.weights.h5"])
def test_what_is_deleted_under_a_run_is_missed_and_the_same_command_ends_it(
    name: str, tiny: Dataset, tmp_path: Path, undisturbed: Undisturbed, monkeypatch: pytest.MonkeyPatch
) -> None:
    call, calls = Step.__call__, 0

    def step(self: Step, batch: Any) -> Any:
        nonlocal calls
        calls += 1
        # In the second epoch, after the first validation.
        if calls == 30:
            (path,) = tmp_path.rglob(Path(name).name)
            path.unlink()
        return call(self, batch)

    with monkeypatch.context() as patch:
        patch.setattr(Step, "__call__", step)
        with pytest.raises(MailError) as error:
            train_if_missing(config("base"), tiny, tmp_path)
    (folder,) = tmp_path.glob("*/*/*/seed-0")
    assert error.value.message == (
        f"{folder}/{name}: was changed or deleted by another program while the run was training. Training stopped; run "
        "the same command again."
    )
    run = train_if_missing(config("base"), tiny, tmp_path)
    assert outcome(run) == undisturbed("base")


def test_a_ctrl_c_during_the_checkpoint_before_a_validation_stops_before_it(
    tiny: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the last step of the epoch, when no other step looks for it."""
    save, validate = TrainingLoop._save, TrainingLoop._validate
    validations: list[int] = []

    def interrupted_save(loop: TrainingLoop) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        save(loop)

    def counted_validate(loop: TrainingLoop) -> bool:
        validations.append(loop._state.steps)
        return validate(loop)

    monkeypatch.setattr(TrainingLoop, "_save", interrupted_save)
    monkeypatch.setattr(TrainingLoop, "_validate", counted_validate)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(Interrupted, match=r"The last good checkpoint is .*/step-22\.npz\."):
            train_if_missing(config("base"), tiny, tmp_path)
    finally:
        signal.signal(signal.SIGINT, before)
    assert validations == []
