"""Finished runs that a user has moved, copied, linked or edited."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mailcli.errors import MailError
from mailcli.experiments.archive import _archived
from mailcli.reporting.health.runs import runs as health_of_runs
from mailcli.runs.folder import RunFolder
from mailcli.runs.inventory import DAMAGED, inspect_run
from mailcli.runs.opening import baseline_result, open_run
from mailcli.runs.selection import finished_runs
from tests.helpers.models import mail_config
from tests.helpers.runs import Trained, copy_run

QUICK = {"epochs": 1, "batch_size": 256}
REMEDY = "Delete the folder and repeat the command that made it."


@pytest.fixture
def run(trained: Trained, tmp_path: Path) -> RunFolder:
    """A copy of a finished run of the ranker alone."""
    return copy_run(trained(mail_config(None, **QUICK)), tmp_path / "runs")


def test_a_run_has_its_baseline_also_from_its_own_folder(
    run: RunFolder, trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = copy_run(trained(mail_config("base", **QUICK)), tmp_path / "runs")
    for folder, path in ((own.folder, "."), (own.folder.parent, "seed-0"), (tmp_path, own.folder)):
        monkeypatch.chdir(folder)
        assert baseline_result(open_run(Path(path))) == run.result


def edited(run: RunFolder, change: Callable[[dict[str, Any]], object]) -> str:
    """The error of a run without SHA256SUMS whose result.json was changed."""
    path = run.folder / "result.json"
    result = json.loads(path.read_text())
    change(result)
    path.write_text(json.dumps(result))
    (run.folder / "SHA256SUMS").unlink()
    with pytest.raises(MailError) as error:
        open_run(run.folder)
    return error.value.message


@pytest.mark.parametrize(
    "change",
    [
        lambda result: result["curve"][0].pop("new"),
        lambda result: result["curve"][0].update(old="high"),
        lambda result: result["curve"][0].update(all=1.5),
        lambda result: result.pop("best_step"),
        lambda result: result.update(best_step=7),
        lambda result: result.update(best_epoch=None),
    ],
    ids=["no new", "text", "above 1", "no best step", "another step", "no best epoch"],
)
def test_a_curve_that_cannot_be_is_damage(run: RunFolder, change: Callable[[dict[str, Any]], object]) -> None:
    assert edited(run, change) == f"{run.folder}/result.json: is damaged. {REMEDY}"


@pytest.mark.parametrize("scores", [np.float32(0.5), np.array(["0.5"]), np.zeros((2, 1, 1), np.float32)])
def test_scores_that_cannot_be_are_damage(run: RunFolder, scores: Any) -> None:
    np.save(run.folder / "predictions.npy", scores)
    with pytest.raises(MailError) as error:
        run.predictions()
    assert error.value.message == f"{run.folder}/predictions.npy: is damaged (it holds no scores). {REMEDY}"


def test_a_history_with_a_line_that_is_no_step_is_damage(run: RunFolder) -> None:
    size = run.history_bytes()
    with open(run.folder / "history.jsonl", "a") as file:
        file.write("5\n")
    with pytest.raises(MailError, match=r"history.jsonl, line \d+: is damaged \('int' object is not iterable\)"):
        run.truncate_history(size + 2)


@pytest.mark.parametrize("name", ["config.toml", "SHA256SUMS", "environment.json", "result.json"])
def test_a_file_that_cannot_be_read_is_a_damaged_run(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """The other runs of the folder are listed and compared all the same."""
    other = run.folder.with_name("seed-1")
    shutil.copytree(run.folder, other)
    read = io.open

    def refused(file: Any, *arguments: Any, **options: Any) -> Any:
        if str(file) == str(other / name):
            raise PermissionError(13, "Permission denied", str(file))
        return read(file, *arguments, **options)

    for module in ("builtins", "io"):
        monkeypatch.setattr(f"{module}.open", refused)
    listed = inspect_run(other)
    assert listed.status == DAMAGED
    assert listed.damage == (
        f"{other / name}: cannot be read (Permission denied). Check the path and its permissions, or choose another."
    )
    assert [usable.folder for usable in finished_runs(run.folder.parent)] == [run.folder]


def test_a_config_that_is_no_toml_says_how_to_fix_it(run: RunFolder) -> None:
    (run.folder / "config.toml").write_text("epochs = \n")
    assert inspect_run(run.folder).damage.endswith(f"(at line 1, column 10)). {REMEDY}")


def test_a_kept_copy_is_whole_but_has_neither_weights_nor_losses(run: RunFolder, tmp_path: Path) -> None:
    _archived(run, tmp_path / "results/base+none/seed-0")
    (kept,) = finished_runs(tmp_path / "results")
    assert kept.result == run.result
    assert [finding.state for finding in health_of_runs(tmp_path / "results", tmp_path, thorough=True)][1:] == []
    for use, message in (
        (
            kept.check_weights,
            f"{kept.folder}: holds no weights: it is a copy of a run's small files, as `mail results` keeps them. "
            "Expected the folder of the run itself.",
        ),
        (
            kept.history,
            f"{kept.folder}: holds no history.jsonl, so the losses and validations of its training are not known. "
            "Expected the folder of the run itself, not a copy of its small files.",
        ),
    ):
        with pytest.raises(MailError) as error:
            use()
        assert error.value.message == message


def test_weights_that_h5py_cannot_walk_are_damage(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    class Model:
        variables: tuple[Any, ...] = ()

    def fail(*_: object) -> None:
        raise RuntimeError("Object visitation failed")

    monkeypatch.setattr("mailcli.runs.folder.check_weights_file", fail)
    with pytest.raises(
        MailError, match=r"best.weights.h5: is damaged, or does not fit .* \(Object visitation failed\)"
    ):
        run.restore(Model())  # type: ignore[arg-type]
