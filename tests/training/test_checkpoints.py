"""Checkpoints: damaged ones are skipped, a full disk spares the older one, and nothing is missing from them."""

from __future__ import annotations

import errno
import json
import logging
import os
import re
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from mailcli.data.batches import Batches
from mailcli.data.dataset import Dataset
from mailcli.data.protocol import views
from mailcli.errors import MailError
from mailcli.experiments.cells import train_if_missing
from mailcli.models.batch_spec import to_tensors
from mailcli.models.factory import make_model
from mailcli.runs import variable_files
from mailcli.runs.checkpoints import Checkpoints, TrainingState
from mailcli.runs.folder import RunFolder
from mailcli.training.loop import TrainingLoop
from mailcli.training.scorer import Scorer
from tests.helpers.runs import Capture, Undisturbed, config, outcome, train_until


def flip_bit(data: bytes) -> bytes:
    """One bit in the middle is flipped."""
    changed = bytearray(data)
    changed[len(changed) // 2] ^= 1
    return bytes(changed)


def with_byte(data: bytes, place: int, value: int) -> bytes:
    return data[:place] + bytes([value]) + data[place + 1 :]


@pytest.mark.usefixtures("few_classes")
class TestDamaged:
    """A checkpoint that is damaged, or does not belong to the run, is skipped with a warning."""

    @pytest.mark.parametrize(
        "damage",
        [
            lambda data: data[: len(data) // 2],
            flip_bit,
            lambda _: b"",
            lambda _: b"no zip at all",
            # The directory's entry says that a newer version of zip, or a password, is needed.
            lambda data: with_byte(data, data.index(b"PK\x01\x02") + 6, 255),
            lambda data: with_byte(data, data.index(b"PK\x01\x02") + 8, 1),
        ],
    )
    def test_a_damaged_checkpoint_is_left_out_with_a_warning(
        self, damage: Callable[[bytes], bytes], tmp_path: Path, capsys: Capture
    ) -> None:
        variables = [keras.Variable(np.zeros(shape, np.float32)) for shape in ((50, 4), (4,))]
        checkpoints = Checkpoints(tmp_path, variables)
        for step in (28, 29):
            for variable in variables:
                variable.assign(np.full(variable.shape, step, np.float32))
            checkpoints.save(TrainingState(epoch=2, step=step - 22, steps=step))
        newest = tmp_path / "step-29.npz"
        newest.write_bytes(damage(newest.read_bytes()))
        state = checkpoints.restore(history_bytes=0, steps_per_epoch=22)
        assert state is not None
        assert state.steps == 28
        assert all((variable.numpy() == 28).all() for variable in variables)
        assert f"{newest}: is damaged; skipping it (" in capsys.readouterr().err

    def test_an_absurd_shape_is_damage_and_not_an_endless_read(self, tmp_path: Path, capsys: Capture) -> None:
        variable = keras.Variable(np.zeros((50, 4), np.float32))
        checkpoints = Checkpoints(tmp_path, [variable])
        checkpoints.save(TrainingState(epoch=1, step=3, steps=3))
        path = tmp_path / "step-3.npz"
        with zipfile.ZipFile(path) as archive:
            contents = {name: archive.read(name) for name in archive.namelist()}
        contents["0.npy"] = contents["0.npy"].replace(b"(50, 4), }" + b" " * 17, b"(" + b"9" * 18 + b", 4), } ")
        assert b"(9999" in contents["0.npy"]
        # With the CRC-32 that it should have.
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in contents.items():
                archive.writestr(name, content)
        assert checkpoints.restore(history_bytes=0, steps_per_epoch=22) is None
        assert f"{path}: is damaged; skipping it (it has an array of another length than its shape)." in (
            capsys.readouterr().err
        )

    @pytest.mark.slow
    def test_a_run_goes_on_from_the_checkpoint_before_a_damaged_one(
        self, tiny: Dataset, tmp_path: Path, undisturbed: Undisturbed, monkeypatch: pytest.MonkeyPatch, capsys: Capture
    ) -> None:
        train_until(monkeypatch, 30, tiny, tmp_path)
        (newest,) = tmp_path.glob("*/*/*/*/checkpoints/step-29.npz")
        newest.write_bytes(flip_bit(newest.read_bytes()))
        run = train_if_missing(config("base"), tiny, tmp_path)
        stderr = capsys.readouterr().err
        assert f"{newest}: is damaged; skipping it (" in stderr
        assert "resuming after step 28 (epoch 2)." in stderr
        assert outcome(run) == undisturbed("base")

    @pytest.mark.slow
    def test_without_a_whole_checkpoint_it_starts_again(
        self, tiny: Dataset, tmp_path: Path, undisturbed: Undisturbed, monkeypatch: pytest.MonkeyPatch, capsys: Capture
    ) -> None:
        train_until(monkeypatch, 5, tiny, tmp_path)
        for path in tmp_path.glob("*/*/*/*/checkpoints/step-*.npz"):
            path.write_bytes(b"")
        run = train_if_missing(config("base"), tiny, tmp_path)
        assert capsys.readouterr().err.count("is damaged; skipping it") == 2
        assert outcome(run) == undisturbed("base")

    @pytest.mark.slow
    def test_a_checkpoint_beyond_its_epoch_is_left_out(
        self, tiny: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
    ) -> None:
        """For example one that was made with other data: it would skip the rest of the epoch."""
        train_until(monkeypatch, 5, tiny, tmp_path)
        (newest,) = tmp_path.glob("*/*/*/*/checkpoints/step-4.npz")
        with np.load(newest) as file:
            arrays = dict(file)
        state = json.loads(arrays["progress"].tobytes()) | {"step": 23}
        np.savez(newest, **{**arrays, "progress": np.frombuffer(json.dumps(state).encode(), np.uint8)})
        train_until(monkeypatch, 1, tiny, tmp_path)
        stderr = capsys.readouterr().err
        assert f"{newest}: is damaged; skipping it (it is at step 23 of an epoch of 22)." in stderr
        assert "resuming after step 3 (epoch 1)." in stderr

    def test_a_checkpoint_without_its_history_is_left_out(
        self, tiny: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
    ) -> None:
        train_until(monkeypatch, 5, tiny, tmp_path)
        (history,) = tmp_path.glob("*/*/*/*/history.jsonl")
        history.unlink()
        train_until(monkeypatch, 1, tiny, tmp_path)
        assert capsys.readouterr().err.count("(history.jsonl is shorter than it expects)") == 2

    @pytest.mark.parametrize(("line", "reason"), [(1, "Expecting"), (3, "it is cut off")])
    def test_a_damaged_history_is_found_before_training(
        self, line: int, reason: str, tiny: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The end of training, which reads it as well, would be too late."""
        train_until(monkeypatch, 4, tiny, tmp_path)
        (history,) = tmp_path.glob("*/*/*/*/history.jsonl")
        lines = history.read_bytes().splitlines(keepends=True)
        # As long as before, so that checkpoints fit it.
        lines[line - 1] = {1: lines[0].replace(b":", b";"), 3: lines[2].replace(b"\n", b" ")}[line]
        history.write_bytes(b"".join(lines[:3]))
        with pytest.raises(MailError) as raised:
            train_if_missing(config("base"), tiny, tmp_path)
        assert raised.value.message.startswith(f"{history}, line {line}: is damaged ({reason}")
        assert raised.value.message.endswith("Delete the folder and repeat the command that made it.")


def test_a_full_disk_leaves_the_checkpoint_before(
    tiny: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    checkpoints, write = 0, variable_files._write

    def until_full(archive: Any, name: str, array: Any) -> None:
        nonlocal checkpoints
        checkpoints += name == "20"
        if checkpoints > 3:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(archive, name, array)

    with monkeypatch.context() as patch:
        patch.setattr(variable_files, "_write", until_full)
        with pytest.raises(MailError) as error:
            train_if_missing(config("base"), tiny, tmp_path, checkpoint_minutes=0)
    (folder,) = tmp_path.glob("*/*/*/*/checkpoints")
    assert error.value.message == (
        f"{folder}/step-4.npz: cannot be written (No space left on device). The last good checkpoint is "
        f"{folder}/step-3.npz. Free some space and run the same command again."
    )
    assert sorted(path.name for path in folder.iterdir()) == ["step-2.npz", "step-3.npz"]
    train_until(monkeypatch, 1, tiny, tmp_path)
    assert "resuming after step 3 (epoch 1)." in capsys.readouterr().err


def test_too_little_space_is_told_before_training(
    tiny: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 9, 1_000_000))
    with pytest.raises(
        MailError,
        match=r"1.0 MB are free, and the checkpoints of this run may need [\d.]+ MB, \d+ kB more. Free some",
    ):
        train_if_missing(config("base+mail"), tiny, tmp_path)


def test_what_a_checkpoint_holds_is_all_that_a_step_changes(tiny: Dataset, tmp_path: Path) -> None:
    """Every variable that two steps change is in the checkpoint: none is forgotten."""
    settings = config("dmr+cvae")
    model = make_model(tiny, settings)
    batches = {name: Batches(tiny, view, 20, 256) for name, view in views(tiny, settings).items()}
    loop = TrainingLoop(
        RunFolder(tmp_path / "run", settings), tiny, model, Scorer(model), batches, checkpoint_minutes=9
    )
    variables = loop._checkpoints._variables
    arrays = [np.asarray(variable) for variable in variables]
    batch = to_tensors(next(batches["train"].shuffled(0, 1)))
    losses = {name: float(value) for name, value in loop._step(batch).items()}
    assert {name: float(value) for name, value in loop._step(batch).items()} != losses
    for variable, array in zip(variables, arrays, strict=True):
        variable.assign(array)
    assert {name: float(value) for name, value in loop._step(batch).items()} == losses


def test_debug_messages_report_what_a_run_reads_and_writes(
    tiny: Dataset, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """As `-v` shows them."""
    with caplog.at_level(logging.DEBUG, logger="mailcli"):
        run = train_if_missing(config("base", epochs=1), tiny, tmp_path)
        train_if_missing(config("base", epochs=1), tiny, tmp_path)
    debugged = [record.message for record in caplog.records if record.levelno == logging.DEBUG]
    messages = [re.sub(r"\d\.\d+", "#", message) for message in debugged]
    assert messages == [
        f"{run.folder}: no run of this config.",
        f"{run.folder}: starting a new run.",
        f"{run.checkpoints}/step-22.npz: checkpoint of step 22 written in # s.",
        f"{run.folder}: best validation AUC so far, #, after step 22 (epoch 1); weights written.",
        f"{run.weights}: weights loaded in # s.",
        f"{run.folder}: not audited: {run.folder}: 'none' generates no behavior, so there is nothing to audit. Expected "
        "a run of one of 'conse', 'cvae', 'eszsl', 'llae', 'mail', 'mail-pooled', 'mail-softmax', 'match', 'neighbors'.",
        f"{run.folder}: finished run of this config.",
    ]
