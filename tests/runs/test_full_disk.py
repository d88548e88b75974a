"""A disk that is full when a run begins or writes: one line, and the same command goes on once there is space."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from mailcli.data.dataset import Dataset
from mailcli.errors import MailError
from mailcli.experiments.cells import RunLayout, train_if_missing
from mailcli.models.two_tower import TwoTower
from mailcli.runs.folder import RunFolder
from tests.helpers.command_line import SMALL, error_line, mail
from tests.helpers.models import mail_config
from tests.helpers.runs import Trained, config, copy_run, outcome


@contextmanager
def full_disk(function: str, ending: str) -> Iterator[None]:
    """Within the block, `os.mkdir`, `os.open` or `os.fsync` of paths that end so finds no space."""
    original = getattr(os, function)

    def without_space(file: Any, *arguments: Any, **options: Any) -> Any:
        path = os.readlink(f"/proc/self/fd/{file}") if isinstance(file, int) else os.fspath(file)
        if path.endswith(ending):
            # The system's error about an open file does not name it.
            raise OSError(errno.ENOSPC, "No space left on device", *([] if isinstance(file, int) else [path]))
        return original(file, *arguments, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, function, without_space)
        yield


pytestmark = pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="finds the names of files in /proc")


@pytest.mark.parametrize("function", ["open", "fsync"])
def test_a_run_that_cannot_begin_leaves_no_half_settings(function: str, tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "seed-0", config("base+mail"), {"seed": 0, "data": "tiny"})
    with full_disk(function, "-config.toml"), pytest.raises(OSError, match="No space left") as error:
        run.begin()
    assert error.value.filename == str(tmp_path / "seed-0" / "config.toml")
    assert [path.name for path in run.folder.iterdir()] == ["checkpoints"]
    assert not run.has_begun
    run.begin()
    assert (run.folder / "config.toml").read_text() == 'seed = 0\ndata = "tiny"\n'


def test_what_is_deleted_under_a_run_is_named(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "seed-0", config("base+mail"))
    run.begin()
    size = run.log([{"step": 1}])
    assert size == len('{"step": 1}\n')
    run.check_written(size, best_epoch=0)
    for best_epoch, name in ((1, "checkpoints/best.weights.h5"), (0, "history.jsonl")):
        (run.folder / name).unlink(missing_ok=True)
        with pytest.raises(MailError) as error:
            run.check_written(size, best_epoch)
        assert error.value.message == (
            f"{run.folder}/{name}: was changed or deleted by another program while the run was training. Training "
            "stopped; run the same command again."
        )


@pytest.mark.slow
def test_the_same_command_goes_on(with_data: Path) -> None:
    runs = with_data / "runs"
    folder = Path("runs/tiny/paper/base+none/seed-0")
    for function, ending, written in (
        ("mkdir", "tiny", "runs/tiny"),
        # The lock is no file that a user knows.
        ("open", ".lock", str(folder)),
        ("mkdir", "/checkpoints", f"{folder}/checkpoints"),
        ("fsync", "-config.toml", f"{folder}/config.toml"),
        ("fsync", "/history.jsonl", f"{folder}/history.jsonl"),
        ("fsync", "-best.weights.h5", f"{folder}/checkpoints/best.weights.h5"),
        ("fsync", "-predictions.npy", f"{folder}/predictions.npy"),
        ("open", "-environment.json", f"{folder}/environment.json"),
        ("fsync", "-result.json", f"{folder}/result.json"),
    ):
        with full_disk(function, ending):
            error = error_line(mail("train", *SMALL))
        assert error == f"{written}: No space left on device. Free some space and run the same command again."
        assert not list(runs.rglob(".partial-*"))
    assert mail("train", *SMALL).exit_code == 0
    assert mail("train", *SMALL, "--runs", "undisturbed").exit_code == 0
    settings = config("base+mail", cold_start="none")
    (run, other) = (
        RunFolder(path / "tiny/paper/base+none/seed-0", settings) for path in (runs, with_data / "undisturbed")
    )
    assert outcome(run) == outcome(other)


def test_weights_of_a_two_stage_method_are_whole_or_missing(
    tiny: Dataset, trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    method = mail_config(None, cold_start="conse", epochs=1, batch_size=256)
    copy_run(trained(method.baseline()), tmp_path)

    def save_half(model: TwoTower, path: Path) -> None:
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(TwoTower, "save_weights", save_half)
    with pytest.raises(OSError, match="No space left"):
        train_if_missing(method, tiny, tmp_path)
    folders = RunLayout(tmp_path)
    assert not folders.find(method, tiny).weights.exists()
    assert folders.find(method.baseline(), tiny).weights.exists()
