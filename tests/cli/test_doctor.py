"""`mail doctor`: what it looks at, and what it calls broken."""

from __future__ import annotations

import json
import shutil
import sys
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from mailcli.reporting.health import software
from mailcli.utils import hardware
from tests.helpers.command_line import error_line, mail, without_importing
from tests.helpers.run_folders import begin_run, finish_trivial


def examined(*options: str, exit_code: int = 0) -> dict[tuple[str, str], dict[str, Any]]:
    """The records of `mail doctor`, by topic and name."""
    done = mail("doctor", "--format", "json", *options)
    assert done.exit_code == exit_code, done.output
    records = json.loads(done.stdout)["results"]
    return {(record["topic"], record["name"]): record for record in records}


def broken(records: dict[tuple[str, str], dict[str, Any]]) -> dict[str, str]:
    """What is broken, by name."""
    return {name: record["broken"] for (_, name), record in records.items() if record["broken"]}


def test_all_is_well_in_an_empty_folder(home: Path) -> None:
    records = examined()
    assert broken(records) == {}
    for name in ("tensorflow", "keras", "numpy", "pandas", "duckdb"):
        assert records["versions", name]["state"] == metadata.version(name)
    assert sys.executable in records["versions", "Python"]["state"]
    assert records["machine", "cores"]["state"].endswith(" threads")
    assert records["disk", "data"]["state"].endswith(" free")
    assert records["datasets", "data"]["state"] == "none yet; `mail preprocess ml-100k` makes one"
    assert records["runs", "runs"]["state"] == "none yet; `mail train` makes one"
    assert mail("doctor").stdout.splitlines()[-1] == "nothing is broken"


def test_datasets_and_runs_that_are_whole(with_data: Path) -> None:
    finish_trivial("item-rate")
    finish_trivial("item-bias")
    begin_run()
    records = examined()
    assert broken(records) == {}
    counts = json.loads(Path("data/tiny/dataset.json").read_text())["counts"]
    impressions = counts["train"] + counts["validation"] + counts["test"]
    assert records["datasets", "tiny"]["state"].startswith(f"whole: {impressions:,} impressions, ")
    assert records["runs", "runs"]["state"].startswith("1 stopped, 2 finished; ")


def test_what_is_broken_is_named_and_the_exit_code_is_1(with_data: Path) -> None:
    shutil.copytree("data/tiny", "data/cut")
    with open("data/cut/train/user.npy", "r+b") as file:
        file.truncate(1000)
    run = finish_trivial("item-rate", "--data", "tiny")
    (run / "predictions.npy").write_bytes(b"")
    faults = broken(examined(exit_code=1))
    assert sorted(faults) == ["cut", str(run)]
    assert faults["cut"].startswith("data/cut/train/user.npy: the column cannot be read (its ")
    assert faults["cut"].endswith("make it again with `mail preprocess`.")
    assert faults[str(run)].startswith(f"{run}/predictions.npy: was changed after the run had finished")
    text = mail("doctor").stdout
    assert text.splitlines()[-1] == "2 problems found"
    assert "BROKEN: data/cut" in text


def test_a_changed_value_is_noticed_by_a_thorough_look(with_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(software, "_tensorflow_fault", lambda: "")
    path = Path("data/tiny/behaviors/time.npy")
    content = bytearray(path.read_bytes())
    content[-8] ^= 1
    path.write_bytes(content)
    assert broken(examined()) == {}
    faults = broken(examined("--thorough", exit_code=1))
    assert faults["tiny"].startswith("data/tiny/behaviors/time.npy: the column cannot be read (its values have the")


def test_a_stale_run_is_named_and_not_broken(with_data: Path) -> None:
    run = finish_trivial("item-rate")
    manifest = Path("data/tiny/dataset.json")
    manifest.write_text(manifest.read_text() + "\n")
    records = examined()
    assert broken(records) == {}
    assert records["runs", str(run)]["state"].startswith(
        "stale: `mail evaluate` and `mail export` refuse it, since it was trained on another version of the dataset"
    )


def test_a_run_is_not_stale_because_its_dataset_is_damaged(with_data: Path) -> None:
    """The dataset has a finding of its own, and the run may fit it once it is whole again."""
    run = finish_trivial("item-rate")
    with open("data/tiny/train/user.npy", "r+b") as file:
        file.truncate(1000)
    records = examined(exit_code=1)
    assert list(broken(records)) == ["tiny"]
    assert ("runs", str(run)) not in records


class _Disk(NamedTuple):
    free: int


def test_the_disk(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("taken").touch()
    faults = broken(examined("--data-dir", "taken", exit_code=1))
    assert faults == {"taken": f"is not a folder. Move {Path('taken')} away, or name another folder"}
    monkeypatch.setattr(shutil, "disk_usage", lambda path: _Disk(free=25_000_000))
    faults = broken(examined(exit_code=1))
    text = "only 25 MB are free. Free some space, or name a folder on another disk"
    assert faults == {"data": text, "runs": text}


def test_threads_that_tensorflow_aborts_at(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "-1")
    done = mail("doctor")
    assert done.exit_code == 1
    fault = "TF_NUM_INTRAOP_THREADS is -1. Expected a number of threads, or 0 for one per core."
    assert f"BROKEN: {fault}" in " ".join(done.stdout.replace("│", " ").split())


def test_packages_that_are_missing_or_too_old(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    versions = {"tensorflow": "2.20.0", "keras": "3.15.1", "click": "8.2"}
    needed = ["click>=8.2", "tensorflow>=2.21", "scipy<3,>=1.14", 'optuna>=4.5; extra == "tune"']

    def version(name: str) -> str:
        if name not in versions:
            raise metadata.PackageNotFoundError(name)
        return versions[name]

    monkeypatch.setattr(metadata, "requires", lambda name: needed)
    monkeypatch.setattr(metadata, "version", version)
    records = examined(exit_code=1)
    assert broken(records) == {
        "tensorflow": "has version 2.20.0, expected >=2.21. Install it with: pip install 'tensorflow>=2.21'",
        "scipy": "is not installed. Install it with: pip install 'scipy<3,>=1.14'",
        **{name: f"is not installed. Install it with: pip install '{name}'" for name in ("numpy", "pandas", "duckdb")},
    }
    assert records["versions", "keras"]["state"] == "3.15.1"
    assert records["versions", "optuna"]["state"] == "not installed; only `mail tune` needs it"
    monkeypatch.setattr(metadata, "metadata", lambda name: {"Requires-Python": "<3"})
    assert broken(examined(exit_code=1))["Python"].endswith(
        "expected <3. Make the virtual environment with another Python"
    )


_WITH_GPUS = "class config:\n    list_physical_devices = staticmethod(lambda kind: [kind] * {})"
_NO_GPU = "does not find the graphics card. Install NVIDIA's libraries: pip install 'tensorflow[and-cuda]'"
_AGAIN = " Install it again: pip install --force-reinstall tensorflow"


@pytest.mark.parametrize(
    ("code", "has_card", "fault"),
    [
        (
            "raise ImportError('libtensorflow.so: not found')",
            False,
            f"fails (ImportError: libtensorflow.so: not found).{_AGAIN}",
        ),
        ("import os; os.abort()", False, f"fails (exit code -6).{_AGAIN}"),
        (_WITH_GPUS.format(0), False, ""),
        (_WITH_GPUS.format(0), True, _NO_GPU),
        (_WITH_GPUS.format(2), True, ""),
    ],
)
def test_a_broken_tensorflow(
    home: Path, monkeypatch: pytest.MonkeyPatch, code: str, has_card: bool, fault: str
) -> None:
    (home / "tensorflow.py").write_text(code)
    monkeypatch.setenv("PYTHONPATH", str(home))
    monkeypatch.setattr(hardware, "has_graphics_card", lambda: has_card)
    assert software._tensorflow_fault() == fault


def test_nothing_slow_is_imported(with_data: Path) -> None:
    """Where there are a dataset and a run to look at."""
    finish_trivial("item-rate")
    for command in ("doctor", "settings", "runs"):
        done = without_importing(("tensorflow", "keras", "pandas", "sklearn", "duckdb"), command)
        assert done.returncode == 0, done.stderr


def test_an_unknown_format(home: Path) -> None:
    assert error_line(mail("doctor", "--format", "xml")).startswith("--format xml: unknown format.")
