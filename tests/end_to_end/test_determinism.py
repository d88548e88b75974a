"""The same command gives the same bytes, in a new process as well as after other trainings in the same one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mailcli.config import RunConfig, make_config
from mailcli.data.dataset import Dataset
from mailcli.data.hashing import share_of_users
from mailcli.experiments.cells import train_if_missing
from mailcli.runs.folder import RunFolder
from mailcli.runs.opening import open_run
from mailcli.utils import hardware
from tests.helpers.runs import outcome

#: CVAE samples and BaseDNN has dropout, so steps are random. Small, for speed.
SETTINGS = {
    "history": 20,
    "embedding_dim": 8,
    "batch_size": 256,
    "epochs": 2,
    "ranker.units": "16,8",
    "cold_start.units": "16",
}
CELL = {"ranker": "base", "cold_start": "cvae"}
#: As different as possible: labels, losses, optimizer, seed, and the precision, which Keras keeps in a global variable.
OTHER = {
    "data": "buys",
    "ranker": "esmm",
    "cold_start": "none",
    "history": 10,
    "embedding_dim": 4,
    "seed": 7,
    "epochs": 1,
    "optimizer": "adam",
    "precision": "bfloat16",
    "ranker.units": "8",
}
#: All that may differ between two runs of one command on one machine.
WALL_TIME = {"seconds", "finished", "cost"}


def config(**changes: Any) -> RunConfig:
    return make_config([{"data": "tiny"}, SETTINGS, CELL, changes])


def environment(run: RunFolder) -> dict[str, Any]:
    return dict(json.loads((run.folder / "environment.json").read_text()))


@pytest.fixture(scope="module")
def first(tiny: Dataset, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return train_if_missing(config(), tiny, tmp_path_factory.mktemp("first"))


@pytest.mark.slow
def test_another_dataset_in_between_changes_nothing(
    first: RunFolder, tiny: Dataset, with_buys: Dataset, tmp_path: Path
) -> None:
    train_if_missing(make_config([OTHER]), with_buys, tmp_path)
    again = train_if_missing(config(), tiny, tmp_path)
    assert again.folder != first.folder
    assert outcome(again) == outcome(first)


def command(data: Path, runs: Path, settings: dict[str, Any]) -> list[str]:
    """The arguments of `mail train` for a cell."""
    own_options = {key: str(settings[key]) for key in ("ranker", "cold_start", "seed") if key in settings}
    options = [part for key, value in own_options.items() for part in (f"--{key.replace('_', '-')}", value)]
    set_texts = [f"{key}={value}" for key, value in settings.items() if key not in {*own_options, "data"}]
    sets = [part for text in set_texts for part in ("--set", text)]
    return ["train", "--data", data.name, "--data-dir", str(data.parent), "--runs", str(runs), *options, *sets]


def in_a_new_process(commands: list[list[str]], folder: Path, hash_seed: str) -> None:
    """Run several commands in one process, in a new folder."""
    folder.mkdir()
    code = (
        "import json, sys; from mailcli.cli import main\n"
        "for arguments in json.loads(sys.argv[1]): main(arguments, standalone_mode=False)"
    )
    completed = subprocess.run(
        [sys.executable, "-c", code, json.dumps(commands)],
        cwd=folder,
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=False,
    )
    assert completed.returncode == 0, completed.stderr


@pytest.mark.slow
def test_new_processes_give_the_same_bytes(first: RunFolder, tiny: Dataset, with_buys: Dataset, tmp_path: Path) -> None:
    """One trains only this run, the other trains on another dataset first; strings hash differently in the two."""
    train = [command(tiny.folder, tmp_path / name / "runs", {**SETTINGS, **CELL}) for name in ("single", "after")]
    in_a_new_process([train[0]], tmp_path / "single", hash_seed="1")
    in_a_new_process(
        [command(with_buys.folder, tmp_path / "after" / "runs", OTHER), train[1]], tmp_path / "after", hash_seed="2"
    )
    cells = ("base+cvae", "base+none")
    single, after = (
        {cell: open_run(tmp_path / name / "runs" / "tiny" / "paper" / cell / "seed-0") for cell in cells}
        for name in ("single", "after")
    )
    for cell in cells:
        assert outcome(single[cell]) == outcome(after[cell])
        assert {
            key for key, value in environment(single[cell]).items() if environment(after[cell])[key] != value
        } <= WALL_TIME
    assert outcome(single["base+cvae"]) == outcome(first)


def test_the_environment_tells_what_else_a_result_depends_on(small_runs: Path) -> None:
    versions = environment(open_run(small_runs / "tiny/paper/base+none/seed-0"))
    assert set(versions) == {
        *("mail", "commit", "python", "keras", "numpy", "pandas", "scipy", "scikit-learn", "tensorflow"),
        *("machine", "cores", "threads", "onednn", "instructions", "gpus", "workers", "replicas"),
        *WALL_TIME,
    }
    assert versions["threads"] >= 1
    assert isinstance(versions["onednn"], bool)


def test_threads_and_onednn_are_those_that_were_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("TF_NUM_INTRAOP_THREADS", "3"), ("TF_ENABLE_ONEDNN_OPTS", "0")):
        monkeypatch.setenv(name, value)
    assert (hardware.describe()["threads"], hardware.describe()["onednn"]) == (3, False)
    for name in ("TF_NUM_INTRAOP_THREADS", "TF_ENABLE_ONEDNN_OPTS"):
        monkeypatch.delenv(name)
    # A container may have fewer cores than the machine.
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(os.cpu_count() or 1)), raising=False)
    machine = hardware.describe()
    assert (machine["threads"], machine["onednn"]) == (machine["cores"], True)


@pytest.mark.slow
def test_another_seed_draws_other_new_users_and_gives_other_numbers(
    first: RunFolder, tiny: Dataset, tmp_path: Path
) -> None:
    other_seed = train_if_missing(config(seed=1), tiny, tmp_path)
    assert first.result is not None
    assert other_seed.result is not None
    tests = first.result["test"], other_seed.result["test"]
    users = tiny.column("test", "user")
    for seed, test in enumerate(tests):
        # Users whose hash, salted with twice the seed, is in the lowest 40%; and whoever has no behavior.
        drawn = share_of_users(tiny.column("users", "raw"), 0.4, 2 * seed)[users]
        new = drawn | (tiny.earlier_behaviors("test") == 0)
        assert (test["new"]["users"], test["new"]["impressions"]) == (len(set(users[new].tolist())), new.sum())
    assert tests[0]["new"] != tests[1]["new"]
    # The test split is the same, whoever is new in it.
    assert tests[0]["all"]["impressions"] == tests[1]["all"]["impressions"] == len(users)
    for group in ("new", "old", "all"):
        for metric in ("AUC", "GAUC"):
            assert tests[0][group][metric] != tests[1][group][metric]
