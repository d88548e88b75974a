"""Experiments over a grid of simulated worlds: their files, datasets and estimates, `mail run` and `mail results`."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mailcli.data.dataset import Dataset
from mailcli.errors import MailError
from mailcli.experiments.datasets import prepare_dataset
from mailcli.experiments.executors.tasks import Task
from mailcli.experiments.experiment import Experiment
from mailcli.experiments.experiment_file import read_experiment
from mailcli.experiments.grid import worlds
from mailcli.preprocessing.simulated_marker import write_marker
from mailcli.reporting.rows import Row
from tests.helpers.command_line import error_line, mail
from tests.helpers.experiments import assert_refused
from tests.helpers.worlds import mail_row, world

EXPERIMENT = """
title = "Map"
source = "alimama"
seeds = 1
rows = ["item-bias", "BaseDNN", "base+masked", "MAIL-Base"]
[settings]
history = 10
embedding_dim = 4
batch_size = 128
epochs = 1
"ranker.units" = "8,4"
[simulate]
name = "map"
users = 150
seed = 3
[grid]
attribute_strength = [0.0, 1]
behaviors_per_user = [5]
"""
NAMES = ["map-bpu5-as0", "map-bpu5-as1"]


def test_a_world_for_every_combination(experiment: Path) -> None:
    experiment.write_text(EXPERIMENT.replace("[5]", "[5, 2.5]"), encoding="utf-8")
    found = worlds(read_experiment(experiment))
    shared = {"users": 150, "seed": 3}
    assert [one.simulate for one in found] == [
        {"name": "map-bpu5-as0", **shared, "attribute_strength": 0.0, "behaviors_per_user": 5},
        {"name": "map-bpu2.5-as0", **shared, "attribute_strength": 0.0, "behaviors_per_user": 2.5},
        {"name": "map-bpu5-as1", **shared, "attribute_strength": 1, "behaviors_per_user": 5},
        {"name": "map-bpu2.5-as1", **shared, "attribute_strength": 1, "behaviors_per_user": 2.5},
    ]
    # Never on the published files.
    assert [one.datasets for one in found] == [(one.simulate["name"],) for one in found]


def test_the_projects_map_has_24_worlds_in_both_dimensions_of_the_figure() -> None:
    experiment = read_experiment(Path(__file__).parent.parent.parent / "experiments" / "map.toml")
    assert len({one.simulate["name"] for one in worlds(experiment)}) >= 24
    assert experiment.seeds == 3
    assert set(experiment.grid) == {"attribute_strength", "interactions", "behaviors_per_user", "clicks_per_category"}


def test_an_experiment_without_a_grid_is_its_only_world(experiment: Path) -> None:
    experiment.write_text(EXPERIMENT[: EXPERIMENT.index("[grid]")], encoding="utf-8")
    read = read_experiment(experiment)
    assert worlds(read) == [read]


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        (
            "attribute_strength",
            "attribute_strenght",
            "unknown key 'grid.attribute_strenght'. Did you mean 'attribute_str",
        ),
        ("[0.0, 1]", "0.5", "grid.attribute_strength = 0.5: expected a list of numbers, each once."),
        ("[0.0, 1]", "[]", "grid.attribute_strength = []: expected a list of numbers, each once."),
        ("[0.0, 1]", "[1, 1.0]", "grid.attribute_strength = [1, 1.0]: expected a list of numbers, each once."),
        ("[0.0, 1]", "[nan, inf]", "grid.attribute_strength = [nan, inf]: expected a list of numbers, each once."),
        (
            "[0.0, 1]",
            f"[1{400 * '0'}]",
            f"grid.attribute_strength = [1{58 * '0'}...: expected a list of numbers, each once.",
        ),
        ("[0.0, 1]", "['a', true]", "grid.attribute_strength = ['a', True]: expected a list of numbers, each once."),
        ("[0.0, 1]", "[0.5, 2]", "'simulate' and 'grid': attribute_strength is 2. Expected a number from 0 to 1."),
        ("[5]", "[5]\nseed = [1.5]", "'grid.seed' and 'simulate.seed' set the same. Leave one out."),
        ("seed = 3", "sed = 3", "unknown key 'simulate.sed'. Did you mean 'seed'?"),
        ("users = 150", "", "'simulate.users' is missing."),
        ('name = "map"', "", "'simulate' needs a 'name' for the dataset, and the source 'alimama'."),
        (
            "attribute_strength = [0.0, 1]\nbehaviors_per_user = [5]",
            "",
            "'grid' is empty: expected lists of values. Kn",
        ),
        (
            '"MAIL-Base"]',
            '"DMR"]',
            "'grid' needs a row whose ranker is trained with generated behavior, e.g. 'MAIL-Base': its table is ",
        ),
        (
            "seeds = 1",
            'seeds = 1\nagainst = [["MAIL-Base", "BaseDNN"]]',
            "'grid' and 'against' do not go together. Leave one out.",
        ),
        ("[grid]", "[tune]\ntrials = 2\n[grid]", "'grid' and 'tune' do not go together. Leave one out."),
    ],
)
def test_a_file_with_a_fault_is_refused_in_one_line(
    experiment: Path, tmp_path: Path, old: str, new: str, error: str
) -> None:
    experiment.write_text(EXPERIMENT.replace(old, new, 1), encoding="utf-8")
    assert_refused("run", experiment, tmp_path / "data", error)


def test_a_method_that_is_no_name_is_a_fault_of_its_row_only(experiment: Path, tmp_path: Path) -> None:
    experiment.write_text(EXPERIMENT.replace('"MAIL-Base"]', '{row = "DMR", cold_start = 5}]'), encoding="utf-8")
    done = mail("run", experiment, "--data-dir", tmp_path / "data")
    assert error_line(done) == f"{experiment}: row 'DMR': cold_start: set by the names of rows."


def test_a_grid_needs_the_simulator(experiment: Path, tmp_path: Path) -> None:
    text = EXPERIMENT.replace('[simulate]\nname = "map"\nusers = 150\nseed = 3\n', "")
    experiment.write_text(text, encoding="utf-8")
    assert_refused(
        "run", experiment, tmp_path / "data", "'grid' needs a table 'simulate' with the 'name' of the datasets"
    )


@pytest.mark.parametrize(
    ("command", "options", "error"),
    [
        (
            "run",
            ["--data", "toy"],
            "--data toy: {experiment} has a grid, whose worlds are its datasets. Leave --data out.",
        ),
        ("run", ["--columns", "auc"], "--columns: the table of a grid has columns of its own. Leave it out."),
        ("tune", [], "{experiment}: has a grid. Expected an experiment on one dataset."),
    ],
)
def test_what_does_not_suit_a_grid(
    experiment: Path, tmp_path: Path, command: str, options: list[str], error: str
) -> None:
    done = mail(command, experiment, "--data-dir", tmp_path / "data", "--runs", tmp_path / "runs", *options)
    assert (done.exit_code, done.stdout) == (2, "")
    assert error_line(done) == error.format(experiment=experiment)
    assert not (tmp_path / "data").exists()


def test_a_world_is_simulated_and_its_raw_files_are_deleted_once_they_are_read(
    experiment: Path, tmp_path: Path
) -> None:
    first = worlds(read_experiment(experiment))[1]
    published = tmp_path / "data/raw/alimama/raw_sample.csv"
    published.parent.mkdir(parents=True)
    published.write_text("real", encoding="utf-8")
    dataset = prepare_dataset(first, tmp_path / "data")
    assert dataset.display_name == "map-bpu5-as1 (simulated)"
    assert (dataset.simulation or {})["attribute_strength"] == 1
    assert [path.name for path in (tmp_path / "data" / "raw").iterdir()] == ["alimama"]
    # Those that a kill left are deleted by the next command, but nobody else's file.
    raw = tmp_path / "data" / "raw" / dataset.name
    raw.mkdir()
    for name in ("ad_feature.csv", "notes.txt"):
        (raw / name).write_text("", encoding="utf-8")
    write_marker(raw, [raw / "ad_feature.csv"], {})
    assert prepare_dataset(first, tmp_path / "data").manifest == dataset.manifest
    assert [path.name for path in raw.iterdir()] == ["notes.txt"]
    assert published.read_text(encoding="utf-8") == "real"


#: RI 10, 12 and 14%: half a width of 4.97, p .009, and .018 as the smaller one of two.
HELPS = mail_row([0.5, 0.5, 0.5], [0.55, 0.56, 0.57], [(0.5, 0.6)] * 3)
USELESS = mail_row([0.5, 0.5, 0.5], [0.49, 0.5, 0.51], [(0.56, 0.6)] * 3)


@pytest.fixture
def trained(tiny: Dataset, monkeypatch: pytest.MonkeyPatch) -> list[list[Row]]:
    """The rows of the two worlds, in place of their training."""
    rows = [list(world(USELESS).rows)[:4], list(world(HELPS).rows)[:4]]
    left = iter(rows)
    module = "mailcli.experiments.experiment_run"
    monkeypatch.setattr(f"{module}.prepare_dataset", lambda *_: tiny)
    monkeypatch.setattr(f"{module}.train_missing", lambda *_: None)
    monkeypatch.setattr(f"{module}.table_runs", lambda *_: None)
    monkeypatch.setattr(f"{module}.finished_rows", lambda *_: next(left))
    return rows


@pytest.mark.usefixtures("trained")
def test_the_tables_of_all_worlds(experiment: Path, tmp_path: Path) -> None:
    done = mail("run", experiment, "--runs", tmp_path / "runs", "--format", "json")
    assert done.exit_code == 0, done.output
    assert done.stderr == ""
    means, table = json.loads(done.stdout)
    assert (means["title"], table["title"]) == ("Map, simulated", "MAIL-Base against BaseDNN: Map, simulated")
    assert [(record["worlds"], record["RI"]) for record in means["results"]] == [
        ("as0", pytest.approx(0)),
        ("as1", pytest.approx(12)),
    ]
    assert [
        (record["world"], record["setting attribute_strength"], record["behavior_matters"])
        for record in table["results"]
    ] == [
        ("as0", 0.0, False),
        ("as1", 1, True),
    ]
    assert [record["RI"] for record in table["results"]] == pytest.approx([0, 12])
    assert table["results"][1]["p_holm"] == pytest.approx(0.01826, abs=1e-5)


def test_the_worlds_share_the_processes_and_the_first_seeds_come_first(
    experiment: Path, tmp_path: Path, tiny: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[tuple[str, int]] = []

    def train_all(tasks: Sequence[Task], *_: int) -> None:
        trained.extend((task.config.data, task.config.seed) for task in tasks)
        raise MailError("2 of 12 runs failed.")

    def dataset_of(world_plan: Experiment, _: Path) -> Dataset:
        folder = shutil.copytree(tiny.folder, tmp_path / world_plan.simulate["name"], copy_function=os.link)
        return Dataset(folder)

    monkeypatch.setattr("mailcli.experiments.experiment_run.prepare_dataset", dataset_of)
    monkeypatch.setattr("mailcli.experiments.matrix.train_all", train_all)
    done = mail("run", experiment, "--runs", tmp_path / "runs", "--seeds", "2")
    assert (done.exit_code, done.stdout) == (2, "")
    assert error_line(done) == "2 of 12 runs failed."
    # BaseDNN, base+masked and MAIL-Base; item-bias is fitted before.
    assert trained == [(name, seed) for seed in (0, 1) for name in NAMES for _ in range(3)]


def test_the_document_has_the_map(experiment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    versions = dict.fromkeys(("machine", "cores", "gpus", "commit", "python", "threads"), "9")
    environment = {**versions, "instructions": ["fma"], "finished": "2026-11-20T00:00:00Z", "seconds": 60.0}

    def archived(world_plan: Experiment, *_: Any) -> tuple[list[Row], list[Any]]:
        name = world_plan.simulate["name"]
        config = SimpleNamespace(data=name, protocol="strict", new_share=0.4, seed=0)
        result = {"dataset": f"{name} (simulated)", "protocol": "strict"}
        run = SimpleNamespace(folder=Path(name), config=config, result=result, environment=environment)
        return list(world(HELPS if name.endswith("as1") else USELESS).rows)[:4], [run]

    monkeypatch.setattr("mailcli.experiments.grid.archive_runs", archived)
    (tmp_path / "figures/toy").mkdir(parents=True)
    (tmp_path / "figures/toy/cost.png").touch()
    done = mail("results", experiment, "--figures", tmp_path / "figures", "--out", tmp_path / "R.md")
    assert done.exit_code == 0, done.output
    text = (tmp_path / "R.md").read_text(encoding="utf-8")
    for part in (
        "- [Map, simulated](#experiment-1)\n",
        "| as0 | 1 | +0.00 ±4.97 (+0.00 to +0.00) |\n",
        "### MAIL-Base against BaseDNN: Map, simulated\n",
        "| as0 | .5500 | .5000 | .6100 | .5000 | +0.00 ±4.97, p 1.000 n.s. | .5600 | .5700 | .6000 | no |\n",
        "| as1 | .5500 | .5000 | .6100 | .5600 | +12.00 ±4.97, p .018 | .5000 | .5700 | .6000 | yes |\n",
        "![map](figures/toy/map.png)\n\nMore figures: [cost](figures/toy/cost.png).\n\nMade by",
        ": 2 runs, 2 minutes of training",
    ):
        assert part in text, part
    assert "2 simulated worlds, protocol strict, seeds 0" in (tmp_path / "figures/toy/map.svg").read_text()


@pytest.mark.slow
def test_from_the_file_to_the_document(experiment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    planned = mail("run", "toy.toml", "--dry-run")
    assert planned.exit_code == 0, planned.output
    assert planned.stdout.splitlines()[:2] == [f"Map on {name} (simulated), runs to train: 3" for name in NAMES]
    assert "; scaled to the impressions of 1 other world)." in planned.stdout
    first = mail("run", "toy.toml", "--format", "json")
    assert first.exit_code == 0, first.output
    assert first.stderr.startswith("6 runs: 0 finished, 6 to train; ")
    means, table = json.loads(first.stdout)
    assert means["title"] == "Map, simulated"
    assert [record["world"] for record in table["results"]] == ["as0", "as1"]
    for record, name in zip(table["results"], NAMES, strict=True):
        scored = read_result(tmp_path / "runs", name, "base+none")
        assert record["AUC ranker"] == scored["test"]["new"]["AUC"]
        trivial = read_result(tmp_path / "runs", name, "item-bias+none")
        assert record["AUC trivial item-bias"] == trivial["test"]["new"]["AUC"]
        assert 0 < record["AUC audit: v = 0"] < 1
    # Finished runs are reused; a deleted one is trained again, with the same result.
    again = mail("run", "toy.toml", "--format", "json")
    assert (again.stdout, again.stderr) == (first.stdout, "")
    drawn = mail("plot", "map", "--out", "figures")
    assert drawn.stdout.split() == ["figures/map.png", "figures/map.svg"], drawn.output
    done = mail("results", "toy.toml", "--kept", "kept", "--figures", "figures", "--out", "R.md")
    assert done.exit_code == 0, done.output
    text = (tmp_path / "R.md").read_text(encoding="utf-8")
    assert "## Map, simulated" in text
    assert "| as1 | " in text
    assert "![map](figures/toy/map.png)" in text
    # From the runs alone, the same figure as from the experiment.
    assert (tmp_path / "figures/map.svg").read_text() == (tmp_path / "figures/toy/map.svg").read_text()


def read_result(runs: Path, data: str, cell: str) -> dict[str, dict[str, dict[str, float]]]:
    """The result of a run with seed 0, wherever its settings have put it."""
    (path,) = runs.rglob(f"{data}/*/{cell}/seed-0/result.json")
    read: dict[str, dict[str, dict[str, float]]] = json.loads(path.read_text(encoding="utf-8"))
    return read
