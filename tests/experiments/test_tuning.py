"""`mail tune`: a search on the validation split, which can be stopped; and event files of runs."""

from __future__ import annotations

import csv
import os
import re
import shutil
import sys
from contextlib import nullcontext
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from click.testing import CliRunner

from mailcli.cli import main
from mailcli.data.dataset import Dataset
from mailcli.errors import MailError
from mailcli.experiments.cells import ensure
from mailcli.experiments.tuning import Range, parse_ranges
from mailcli.training import trackers
from mailcli.training.loop import TrainingLoop
from tests.helpers.models import mail_config

SMALL = [
    *("--set", "epochs=1", "--set", "batch_size=256", "--set", "embedding_dim=4", "--set", "history=5"),
    *("--set", "ranker.units=8,4"),
]
RANGES = ["--range", "learning_rate=log:1e-4..1e-2", "--range", "ranker.dropout=0|0.5"]


def mail(*arguments: object) -> tuple[int, str, str]:
    done = CliRunner().invoke(main, [str(each) for each in arguments])
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.stdout, done.stderr


def tune(data_dir: Path, runs: Path, trials: int, *more: str) -> tuple[int, str, str]:
    return mail("tune", "--data-dir", data_dir, "--runs", runs, "--trials", trials, *SMALL, *RANGES, *more)


def read(runs: Path) -> list[dict[str, str]]:
    with open(runs / "tune" / "search" / "trials.csv", encoding="utf-8") as file:
        return sorted(csv.DictReader(file), key=lambda row: int(row["trial"]))


def test_ranges_by_hand() -> None:
    assert parse_ranges(["learning_rate=log:1e-4..1e-2", "history=5..20", "ranker.units=64,32|8"]) == [
        Range("learning_rate", 1e-4, 1e-2, True, False, ()),
        Range("history", 5, 20, False, True, ()),
        Range("ranker.units", 0, 0, False, False, ("64,32", "8")),
    ]


@pytest.mark.parametrize("text", ["history", "history=5", "history=9..5", "x=log:0..1", "=1..2", "x=a..b", "x="])
def test_a_wrong_range_is_told(text: str) -> None:
    with pytest.raises(MailError, match=r"expected KEY=LOW..HIGH, KEY=log:LOW..HIGH or KEY=A\|B\|C."):
        parse_ranges([text])


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ([], "nothing to search: name one setting or more with --range, e.g. learning_rate=log:1e-4..1e-2."),
        (["--range", "epochs=1..2", "--range", "epochs=1..3"], "--range epochs: is named twice."),
        (["--range", "epoch=1..2"], "unknown setting 'epoch'. Did you mean 'epochs'?"),
        (["--range", "epochs=0..2"], "epochs = 0: expected a whole number from 1 to 1000000."),
        (
            ["--range", "epochs=1..2", "--users", "nwe"],
            "--users nwe: no such group. Did you mean 'new'? Known: 'all', ",
        ),
        (["--range", "epochs=1..2", "--name", "../x"], "--name '../x': expected letters, digits, '.', '_' or '-'."),
    ],
)
def test_what_cannot_be_searched_is_told_in_one_line(
    options: list[str], told: str, data_dir: Path, tmp_path: Path
) -> None:
    code, out, err = mail("tune", "--data-dir", data_dir, "--runs", tmp_path / "runs", *options)
    assert (code, out) == (2, "")
    assert err.startswith(f"Error: {told}")
    assert not (tmp_path / "runs").exists()


def test_a_search_that_is_stopped_goes_on_and_never_reads_the_test_split(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    column = Dataset.column

    def without_test(self: Dataset, table: str, name: str) -> object:
        assert table != "test", f"{name} of the test split was read"
        return column(self, table, name)

    monkeypatch.setattr(Dataset, "column", without_test)
    whole = tmp_path / "whole"
    code, told, _ = tune(data_dir, whole, 3)
    assert code == 0
    assert "Best of 3 on the validation split: --set learning_rate=" in told
    assert not list(whole.rglob("result.json"))
    # Stopped in the second trial, before its validation.
    runs, seen, validate = tmp_path / "runs", 0, TrainingLoop._validate

    def killed(self: TrainingLoop) -> bool:
        nonlocal seen
        seen += 1
        if seen == 2:
            raise KeyboardInterrupt
        return validate(self)

    with monkeypatch.context() as patch:
        patch.setattr(TrainingLoop, "_validate", killed)
        assert tune(data_dir, runs, 2)[0] == 130
    code, _, err = tune(data_dir, runs, 3)
    assert code == 0
    assert "1 of 3 trials are done." in err
    assert "resuming after step" in err
    expected = [{key: row[key] for key in row if key != "trial"} for row in read(whole)]
    assert [{key: row[key] for key in row if key != "trial"} for row in read(runs)] == expected
    assert len(expected) == 3
    # Nothing is left to do, and another search does not mix with it.
    assert "3 of 3 trials are done." in tune(data_dir, runs, 3)[2]
    code, _, err = tune(data_dir, runs, 4, "--users", "new")
    assert code == 2
    assert "holds a search with other users (all -> new). Choose another --name, or delete the folder." in err


def events(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Steps and values by name."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.util import tensor_util

    found = EventAccumulator(str(folder), size_guidance={"tensors": 0})
    found.Reload()
    return {
        name: [(event.step, float(tensor_util.make_ndarray(event.tensor_proto))) for event in found.Tensors(name)]
        for name in found.Tags()["tensors"]
    }


@pytest.mark.slow
def test_event_files_tell_what_history_tells(tiny: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(trackers.VARIABLES["tensorboard"], "1")
    run = ensure(mail_config("base", epochs=1, batch_size=256), tiny, tmp_path)
    history, told = run.history(), events(run.folder / "tensorboard")
    for name in ("L_rt", "L_a", "L_v", "L_d"):
        expected = [(line["step"], line[name]) for line in history if "step" in line]
        np.testing.assert_allclose(told[f"training/{name}"], expected, rtol=1e-6)
    (validation,) = [line for line in history if "validation" in line]
    expected = [(validation["after_step"], validation["validation"]["new"]["AUC"])]
    np.testing.assert_allclose(told["validation/new AUC"], expected, rtol=1e-6)
    # A run folder with event files is reused as any other, and without being asked for there are none.
    monkeypatch.delenv(trackers.VARIABLES["tensorboard"])
    assert ensure(mail_config("base", epochs=1, batch_size=256), tiny, tmp_path).result == run.result
    shutil.rmtree(run.folder)
    assert not (ensure(mail_config("base", epochs=1, batch_size=256), tiny, tmp_path).folder / "tensorboard").exists()


class Recorder(ModuleType):
    """What `mlflow` is asked to log, in its place: the package has too many dependencies to be installed for a test."""

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


def test_mlflow_is_told_what_the_run_folder_tells(
    tiny: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mlflow = Recorder()
    monkeypatch.setitem(sys.modules, "mlflow", mlflow)
    monkeypatch.setenv(trackers.VARIABLES["mlflow"], "1")
    run = ensure(mail_config(None, epochs=1, batch_size=256), tiny, tmp_path)
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


@pytest.mark.parametrize("name", ["tensorboard", "mlflow"])
def test_what_is_not_installed_is_told(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    code, _, err = mail("train", f"--{name}")
    assert code == 2
    assert err == f"Error: --{name}: {name} is not installed. Install it with: pip install {name}.\n"
    assert trackers.VARIABLES[name] not in os.environ
