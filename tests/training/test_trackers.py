"""Where runs are logged besides their folders: TensorBoard and MLflow."""

from __future__ import annotations

import os
import re
import shutil
import sys
from contextlib import nullcontext
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from mailcli.data.dataset import Dataset
from mailcli.errors import MailError
from mailcli.experiments.cells import train_if_missing
from mailcli.experiments.matrix import make_rows
from mailcli.runs.folder import RunFolder
from mailcli.training import trackers
from tests.helpers.command_line import error_line, mail
from tests.helpers.models import mail_config
from tests.helpers.runs import Trained, copy_run


def events(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Steps and values by name."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.util import tensor_util

    accumulator = EventAccumulator(str(folder), size_guidance={"tensors": 0})
    accumulator.Reload()
    return {
        name: [(event.step, float(tensor_util.make_ndarray(event.tensor_proto))) for event in accumulator.Tensors(name)]
        for name in accumulator.Tags()["tensors"]
    }


@pytest.mark.parametrize("name", ["tensorboard", "mlflow"])
def test_the_option_tracks_all_processes(name: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    del home
    # So that it is restored.
    monkeypatch.setenv(trackers.VARIABLES[name], "")
    monkeypatch.delenv(trackers.VARIABLES[name])
    monkeypatch.setattr("importlib.util.find_spec", lambda _: object())
    assert error_line(mail("train", f"--{name}", "--ranker", "bsae")).startswith("unknown ranker")
    assert os.environ[trackers.VARIABLES[name]] == "1"


@pytest.mark.slow
def test_event_files_hold_what_the_history_holds(
    tiny: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(trackers.VARIABLES["tensorboard"], "1")
    run = train_if_missing(mail_config("base", epochs=1, batch_size=256), tiny, tmp_path)
    history, logged = run.history(), events(run.folder / "tensorboard")
    for name in ("L_rt", "L_a", "L_v", "L_d"):
        expected = [(line["step"], line[name]) for line in history if "step" in line]
        np.testing.assert_allclose(logged[f"training/{name}"], expected, rtol=1e-6)
    (validation,) = [line for line in history if "validation" in line]
    expected = [(validation["after_step"], validation["validation"]["new"]["AUC"])]
    np.testing.assert_allclose(logged["validation/new AUC"], expected, rtol=1e-6)
    # A run folder with event files is reused as any other; without the option there are none.
    monkeypatch.delenv(trackers.VARIABLES["tensorboard"])
    assert train_if_missing(mail_config("base", epochs=1, batch_size=256), tiny, tmp_path).result == run.result
    shutil.rmtree(run.folder)
    assert not (
        train_if_missing(mail_config("base", epochs=1, batch_size=256), tiny, tmp_path).folder / "tensorboard"
    ).exists()


def test_event_files_that_cannot_be_written_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import tensorflow as tf

    def create_file_writer(path: str) -> None:
        raise tf.errors.ResourceExhaustedError(None, None, f"{path}/events; No space left on device")

    monkeypatch.setattr(tf.summary, "create_file_writer", create_file_writer)
    monkeypatch.setenv(trackers.VARIABLES["tensorboard"], "1")
    with pytest.raises(MailError) as error:
        trackers.start(RunFolder(tmp_path, mail_config("base")))
    assert error.value.message == (
        f"{tmp_path}/tensorboard: cannot be written ({tmp_path}/tensorboard/events; No space left on device). Free some "
        "space and run the same command again, or leave out --tensorboard."
    )


def test_a_link_in_a_run_folder_is_replaced_and_what_it_leads_to_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    (shared / "mine.txt").write_text("mine")
    run = RunFolder(tmp_path / "run", mail_config("base"))
    run.folder.mkdir()
    run.checkpoints.symlink_to(shared)
    run.tensorboard.symlink_to(shared)
    monkeypatch.setenv(trackers.VARIABLES["tensorboard"], "1")
    trackers.start(run)
    assert not run.tensorboard.is_symlink()
    run.begin()
    assert not run.checkpoints.is_symlink()
    assert [path.name for path in shared.iterdir()] == ["mine.txt"]


class Recorder(ModuleType):
    """Takes the place of `mlflow`, which has too many dependencies to be installed for a test, and records its calls."""

    def __init__(self) -> None:
        super().__init__("mlflow")
        self.runs: list[str] = []
        self.tags: dict[str, str] = {}
        self.params: dict[str, object] = {}
        self.metrics: list[tuple[str, float, int | None]] = []

    def start_run(self, run_name: str) -> object:
        self.runs.append(run_name)
        return nullcontext()

    def set_tags(self, tags: dict[str, str]) -> None:
        self.tags |= tags

    def log_params(self, params: dict[str, object]) -> None:
        self.params |= params

    def log_metric(self, key: str, value: float, step: int | None = None) -> None:
        # MLflow's rule for names.
        assert re.fullmatch(r"[\w. /-]+", key), key
        self.metrics.append((key, value, step))


def test_mlflow_logs_what_the_run_folder_holds(tiny: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow = Recorder()
    monkeypatch.setitem(sys.modules, "mlflow", mlflow)
    monkeypatch.setenv(trackers.VARIABLES["mlflow"], "1")
    run = train_if_missing(mail_config(None, epochs=1, batch_size=256), tiny, tmp_path)
    assert run.result is not None
    assert mlflow.runs == ["base+none seed 0"]
    assert mlflow.tags == {"dataset": "tiny (simulated)", "folder": str(run.folder.resolve())}
    assert (mlflow.params["ranker"], mlflow.params["batch_size"], mlflow.params["ranker_options.units"]) == (
        "base",
        256,
        run.config.ranker_options["units"],
    )
    steps = [(line["step"], line["L_rt"]) for line in run.history() if "step" in line]
    assert [(step, value) for key, value, step in mlflow.metrics if key == "training.L_rt"] == steps
    assert ("test.new AUC", run.result["test"]["new"]["AUC"], None) in mlflow.metrics


class MlflowException(Exception):  # noqa: N818 (MLflow's name)
    """What MLflow raises, for example if its server cannot be reached."""


def test_a_run_that_mlflow_cannot_take_is_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    mlflow = Recorder()

    def start_run(run_name: str) -> object:
        raise MlflowException("API request failed")

    monkeypatch.setattr(mlflow, "start_run", start_run)
    monkeypatch.setattr(mlflow, "exceptions", SimpleNamespace(MlflowException=MlflowException), raising=False)
    monkeypatch.setitem(sys.modules, "mlflow", mlflow)
    monkeypatch.setenv(trackers.VARIABLES["mlflow"], "1")
    run = RunFolder(tmp_path / "seed-0", mail_config(None))
    trackers.finish(run)
    assert caplog.messages == [f"{run.folder}: is finished, but could not be logged to MLflow (API request failed)."]


@pytest.mark.parametrize("name", ["tensorboard", "mlflow"])
def test_a_tracker_that_is_not_installed_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    done = mail("train", f"--{name}")
    assert done.exit_code == 2
    assert error_line(done) == f"--{name}: {name} is not installed. Install it with `pip install {name}`."
    assert trackers.VARIABLES[name] not in os.environ


def test_runs_that_are_reused_are_not_tracked(
    tiny: Dataset, trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    config = mail_config(None, epochs=1, batch_size=256)
    run = copy_run(trained(config), tmp_path)
    make_rows([config], [0], tiny, tmp_path)
    assert "Note" not in caplog.text
    monkeypatch.setenv(trackers.VARIABLES["tensorboard"], "1")
    make_rows([config], [0], tiny, tmp_path)
    assert caplog.messages[-1] == (
        "Note: --tensorboard: nothing is written for finished runs, which are reused (1, such as "
        f"{run.folder}). Delete the folder of a run to train it again."
    )


def test_a_search_has_nothing_for_mlflow(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    del home
    monkeypatch.setenv(trackers.VARIABLES["mlflow"], "1")
    assert error_line(mail("tune", "--range", "epochs=1|2")) == (
        "--mlflow: the runs of a search are not tested, so nothing would be logged. Leave it out."
    )
