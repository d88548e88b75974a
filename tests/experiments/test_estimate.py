"""`mail run` says before it begins how long it will take at most; `--dry-run` says no more than that."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mailcli.config import RunConfig, make_config
from mailcli.data.batches import Batches
from mailcli.data.dataset import Dataset
from mailcli.errors import MailError
from mailcli.experiments import estimate as estimates
from mailcli.experiments.cells import RunLayout, resolve_config
from mailcli.experiments.dry_run import describe, disk_bytes
from mailcli.experiments.estimate import announce, estimate_time, is_small
from mailcli.experiments.executors.measuring import MeasuredModel
from mailcli.experiments.plan import PlannedTable, check_folders
from mailcli.experiments.run_time import Speed
from tests.helpers.command_line import SMALL, error_line, mail
from tests.helpers.models import QUICK

#: 100 steps of an epoch, 40 ms each with a method and 20 ms without, 1 s of validation and of test.
FAST = Speed(steps=100, validations=1, step=0.02, validation=1.0, test=1.0, numbers=10**6)
SLOW = Speed(steps=100, validations=1, step=0.04, validation=1.0, test=1.0, numbers=2 * 10**6)
EXPERIMENT = """
title = "Tiny"
source = "alimama"
seeds = 2
rows = ["item-bias", "BaseDNN"]
[settings]
epochs = 20
batch_size = 256
embedding_dim = 8
history = 5
"""


@pytest.fixture(autouse=True)
def folders_are_not_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    """The finished runs of these tests are empty files."""
    monkeypatch.setattr(PlannedTable, "check", lambda _: None)


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[str], int, int]]:
    """Cells have the speeds above; the calls: cells, processes, threads."""
    calls = []

    def measure_cells(cells: Sequence[MeasuredModel], jobs: int, threads_each: int) -> list[Speed]:
        calls.append(([cell.config.cell for cell in cells], jobs, threads_each))
        return [FAST if cell.config.cold_start == "none" else SLOW for cell in cells]

    monkeypatch.setattr(estimates, "measure_cells", measure_cells)
    return calls


def planned(dataset: Dataset, runs: Path, seeds: int = 2, epochs: int = 20, rows: Sequence[str] = ()) -> PlannedTable:
    """A table of these cold-start methods, with the ranker alone."""

    def config(method: str) -> RunConfig:
        return resolve_config([{"cold_start": method, "history": 5, "epochs": epochs}], dataset.name)

    return PlannedTable([config(name) for name in ("none", *rows)], range(seeds), dataset, RunLayout(runs))


def test_the_line_by_hand(tiny: Dataset, tmp_path: Path, measured: list[tuple[list[str], int, int]]) -> None:
    estimate = estimate_time([planned(tiny, tmp_path, rows=["dropout"])], jobs=2)
    # 5 + 20 (2 + 1) + 1 = 66 s and 5 + 20 (4 + 1) + 1 = 106 s, in turn: the first process is free again after 66 s, and
    # takes the third run; the second one after 106 s.
    assert estimate.seconds == 106 + 106
    assert estimate.text() == (
        "4 runs to train, 2 at once: at most 4 min of steps and scoring if every run goes to epoch 20 "
        "(measured: base+dropout 40 ms/step, "
        "BaseDNN 20 ms/step)."
    )
    # Once for all seeds, with as many processes and threads as training has.
    assert measured == [(["base+none", "base+dropout"], 2, 1)]
    assert estimate_time([planned(tiny, tmp_path, seeds=1)], jobs=2).text() == (
        "1 run to train: at most 2 min of steps and scoring if it goes to epoch 20 (measured: BaseDNN 20 ms/step)."
    )


@pytest.mark.usefixtures("measured")
def test_finished_runs_count_nothing_and_interrupted_ones_what_is_left(tiny: Dataset, tmp_path: Path) -> None:
    table = planned(tiny, tmp_path)
    first, second = (run.folder for run in table.runs())
    (second / "checkpoints").mkdir(parents=True)
    for name in ("step-500.npz", "step-1500.npz", "best.weights.h5"):
        (second / "checkpoints" / name).touch()
    # 5 of 20 epochs are left: 5 + 5 * 3 + 1 = 21 s, after 66 s.
    assert estimate_time([table], jobs=1).seconds == 66 + 21
    first.mkdir(parents=True)
    (first / "result.json").touch()
    assert estimate_time([table], jobs=1).seconds == 21


def test_a_run_of_several_tables_is_trained_and_counted_once(
    tiny: Dataset, tmp_path: Path, measured: list[tuple[list[str], int, int]]
) -> None:
    both = [planned(tiny, tmp_path, rows=["dropout"]), planned(tiny, tmp_path, rows=["masked"])]
    estimate = estimate_time(both, jobs=1)
    assert estimate.seconds == 2 * 66 + 2 * 106 + 2 * 106
    assert estimate.text().startswith(
        "6 runs to train, 1 at once: at most 10 min of steps and scoring if every run goes to epoch 20 ("
    )
    assert [cells for cells, _, _ in measured] == [["base+none", "base+dropout"], ["base+masked"]]


def test_tables_that_need_one_folder_for_different_runs_are_refused(tiny: Dataset, tmp_path: Path) -> None:
    check_folders([planned(tiny, tmp_path, rows=["dropout"]), planned(tiny, tmp_path, rows=["masked"])])
    trivial = make_config([{"data": "tiny", "ranker": "item-rate", "history": 20}])
    tables = [PlannedTable([replace(trivial, epochs=epochs)], [0], tiny, RunLayout(tmp_path)) for epochs in (10, 20)]
    with pytest.raises(MailError, match=r"item-rate\+none/seed-0: two of the experiments need it"):
        check_folders(tables)
    with pytest.raises(MailError) as error:
        check_folders([planned(tiny, tmp_path), planned(tiny, tmp_path, epochs=10)])
    assert error.value.message == (
        f"{tmp_path}/tiny/paper/base+none/seed-0: two of the experiments need it, with different settings (epochs: 20 -> "
        "10). Run each with a --runs folder of its own."
    )


def test_a_grid_is_measured_in_one_world_and_scaled_to_the_impressions_of_the_others(
    tiny: Dataset, tmp_path: Path, measured: list[tuple[list[str], int, int]]
) -> None:
    other = copy.copy(tiny)
    other.folder = tiny.folder.with_name("other")
    # Half again as many impressions for training, twice as many for validation, a half for the test.
    other.counts = {
        "train": 3 * tiny.counts["train"] // 2,
        "validation": 2 * tiny.counts["validation"],
        "test": tiny.counts["test"] // 2,
    }
    tables = [
        replace(planned(dataset, tmp_path / dataset.folder.name, seeds=1), grid="map.toml") for dataset in (tiny, other)
    ]
    estimate = estimate_time(tables, jobs=1)
    # 66 s as measured; 150 steps of .02 s and 2 s of validation: 5 + 20 (3 + 2) + .5 s.
    assert estimate.seconds == pytest.approx(66 + 105.5, abs=0.01)
    assert [cells for cells, _, _ in measured] == [["base+none"]]
    assert estimate.text() == (
        "2 runs to train, 1 at once: at most 3 min of steps and scoring if every run goes to epoch 20 (measured: BaseDNN "
        "20 ms/step; scaled to the impressions of 1 other world)."
    )
    # Both worlds share the processes: all is done when the longer run ends.
    measured.clear()
    at_once = estimate_time(tables, jobs=2)
    assert at_once.jobs == 2
    assert at_once.seconds == pytest.approx(105.5, abs=0.01)
    assert [processes for _, processes, _ in measured] == [2]
    assert describe(["One", "Two"], tables, jobs=1)[:2] == [
        "One on tiny (simulated), runs to train: 1",
        "Two on tiny (simulated), runs to train: 1",
    ]


def test_small_work_is_not_measured(
    tiny: Dataset, tmp_path: Path, measured: list[tuple[list[str], int, int]], capsys: pytest.CaptureFixture[str]
) -> None:
    announce([planned(tiny, tmp_path, epochs=1)], jobs=1)
    assert (measured, capsys.readouterr().err) == ([], "")
    many = planned(tiny, tmp_path, epochs=500_000 // tiny.counts["train"] + 1)
    assert is_small(planned(tiny, tmp_path, epochs=1).runs())
    assert not is_small(many.runs())
    announce([many], jobs=1)
    assert len(measured) == 1
    assert capsys.readouterr().err.startswith("2 runs to train, 1 at once: at most ")


def test_what_takes_less_than_a_minute_needs_no_line(
    tiny: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    speed = Speed(steps=1, validations=1, step=0.0, validation=0.0, test=0.0, numbers=0)
    monkeypatch.setattr(estimates, "measure_cells", lambda cells, jobs, threads: [speed] * len(cells))
    monkeypatch.setattr(estimates, "SMALL_IMPRESSIONS", 0)
    for runs, expected in ((11, ""), (12, "12 runs to train, 1 at once: at most 1 min of steps and scoring if")):
        # Each takes the 5 s of a start.
        announce([planned(tiny, tmp_path, seeds=runs)], jobs=1)
        line = capsys.readouterr().err
        assert line.startswith(expected)
        assert bool(line) == bool(expected), line


@pytest.mark.usefixtures("measured")
def test_a_dry_run_lists_runs_and_what_they_take(tiny: Dataset, tmp_path: Path) -> None:
    table = planned(tiny, tmp_path, seeds=3, rows=["dropout"])
    runs = {(run.config.cold_start, run.config.seed): run.folder for run in table.runs()}
    for key in (("none", 0), ("none", 1), ("dropout", 0)):
        runs[key].mkdir(parents=True)
        (runs[key] / "result.json").touch()
    (runs["dropout", 2] / "checkpoints").mkdir(parents=True)
    (runs["dropout", 2] / "checkpoints/step-100.npz").touch()
    *lines, needs = describe(["A title"], [table], jobs=1)
    assert lines == [
        "A title on tiny (simulated)",
        "  BaseDNN, seeds finished: 0, 1; to train: 2",
        "  base+dropout, seeds finished: 0; to train: 1; to resume: 2",
        # 66 + 106 + (5 + 19 * 5 + 1) = 273 s.
        "3 runs to train, 1 at once: at most 5 min of steps and scoring if every run goes to epoch 20 "
        "(measured: base+dropout 40 ms/step, "
        "BaseDNN 20 ms/step).",
    ]
    # Weights and optimizers of all three, 4 bytes per number, and three checkpoints of the largest.
    assert disk_bytes(estimate_time([table], jobs=1)) == 4 * 10**6 * (1 + 2 + 2) + 3 * 8 * 10**6
    assert needs == "Memory: up to 2.0 GB. Disk: up to 44 MB."
    for folder in runs.values():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "result.json").touch()
    assert describe(["A title"], [table], jobs=1)[-1] == "Nothing to train: all runs are finished."


@pytest.mark.slow
def test_a_dry_run_trains_nothing(with_data: Path) -> None:
    """Measured, not replaced: in a process of its own."""
    (with_data / "experiment.toml").write_text(EXPERIMENT, encoding="utf-8")
    done = mail("run", "experiment.toml", "--data", "tiny", "--dry-run", "--jobs", 1)
    assert (done.exit_code, done.stderr) == (0, ""), done.stderr
    first, *cells, line, needs = done.stdout.splitlines()
    assert first == "Tiny on tiny (simulated)"
    assert cells == ["  BaseDNN, seeds to train: 0, 1"]
    assert line.startswith("2 runs to train, 1 at once: at most ")
    assert " if every run goes to epoch 20 (measured: BaseDNN " in line
    assert needs.count(" GB. Disk: up to ") == 1
    assert sorted(path.name for path in with_data.iterdir()) == ["data", "experiment.toml"]


@pytest.mark.parametrize(
    ("eval_every", "validations"), [pytest.param(0, 1, marks=pytest.mark.slow), pytest.param(7, None)]
)
def test_what_is_measured(tiny: Dataset, eval_every: int, validations: int | None) -> None:
    from mailcli.experiments.speed import measure_speed

    settings = {"history": 5, "batch_size": 256, "embedding_dim": 4, "eval_every": eval_every}
    speed = measure_speed(resolve_config([settings], tiny.name), tiny)
    steps = len(range(0, tiny.counts["train"], 256))
    after = {step for step in range(1, steps + 1) if step == steps or (eval_every and step % eval_every == 0)}
    assert (speed.steps, speed.validations) == (steps, validations or len(after))
    assert min(speed.step, speed.validation, speed.test) > 0


@pytest.mark.parametrize(("method", "has_numbers"), [("match", True), ("none", False)])
def test_a_method_that_is_prepared_is_measured_as_it_trains(
    tiny: Dataset, monkeypatch: pytest.MonkeyPatch, method: str, has_numbers: bool
) -> None:
    from mailcli.experiments import speed

    measured: list[Batches] = []

    def seconds(step: Any, batches: Batches, seed: int) -> float:
        del step, seed
        measured.append(batches)
        return 0.1

    monkeypatch.setattr(speed, "_time_steps", seconds)
    settings = {"history": 5, "batch_size": 256, "embedding_dim": 4, "cold_start": method}
    speed.measure_speed(resolve_config([settings, QUICK.get(method, {})], tiny.name), tiny)
    assert (measured[0].prepared is not None) == has_numbers


@pytest.mark.slow
def test_measuring_changes_no_run(with_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = ("train", "--cold-start", "metaemb", *SMALL)
    unmeasured = mail(*command, "--runs", "unmeasured")
    monkeypatch.setattr(estimates, "SMALL_IMPRESSIONS", 0)
    monkeypatch.setattr(estimates, "SMALL_SECONDS", 0.0)
    done = mail(*command, "--runs", "measured")
    assert done.stderr.startswith(
        "2 runs to train, 1 at once: at most 1 min of steps and scoring if every run goes to epoch 1 (measured: "
    )
    assert done.stdout == unmeasured.stdout
    names = ("history.jsonl", "predictions.npy", "result.json")
    files = sorted(path.relative_to("measured") for path in Path("measured").rglob("seed-0/*") if path.name in names)
    assert len(files) == 6
    for path in files:
        assert ("measured" / path).read_bytes() == ("unmeasured" / path).read_bytes(), path
    # An option that does not exist: the same line as without an estimate, and nothing is written.
    wrong = mail("train", *SMALL, "--set", "ranker.units_=4", "--runs", "wrong")
    assert "ranker 'base' has no option 'units_'. Did you mean 'units'?" in error_line(wrong)
    assert not Path("wrong").exists()
