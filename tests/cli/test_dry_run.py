"""`--dry-run` of `mail train`, `compare` and `ablate`; tests/experiments/test_estimate.py has the estimate itself."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from mailcli.experiments import estimate as estimates
from mailcli.experiments.executors.measuring import MeasuredModel
from mailcli.experiments.run_time import Speed
from tests.helpers.command_line import SMALL, error_line, mail

#: 100 steps of an epoch, 40 ms each with a method and 20 ms without, 1 s of validation and of test.
ALONE = Speed(steps=100, validations=1, step=0.02, validation=1.0, test=1.0, numbers=10**6)
WITH_METHOD = Speed(steps=100, validations=1, step=0.04, validation=1.0, test=1.0, numbers=2 * 10**6)
# One epoch: 5 + 2 + 1 + 1 = 9 s, with a method 5 + 4 + 1 + 1 = 11 s.
MEASURED = "of steps and scoring if every run goes to epoch 1 (measured: "


@pytest.fixture(autouse=True)
def _measured(monkeypatch: pytest.MonkeyPatch) -> None:
    def measure_cells(cells: Sequence[MeasuredModel], jobs: int, threads_each: int) -> list[Speed]:
        del jobs, threads_each
        return [ALONE if cell.config.cold_start == "none" else WITH_METHOD for cell in cells]

    monkeypatch.setattr(estimates, "measure_cells", measure_cells)


def files(folder: Path) -> list[tuple[str, int]]:
    """Everything below a folder, with the time of its last change."""
    return sorted((str(path), path.stat().st_mtime_ns) for path in folder.rglob("*"))


@pytest.mark.parametrize(
    ("command", "lines"),
    [
        (
            ("train", "--cold-start", "mail", "--seed", 4),
            [
                "base+mail-base on tiny (simulated)",
                "  BaseDNN, seeds to train: 4",
                "  MAIL-Base, seeds to train: 4",
                # 9 + 11 s; 4 bytes of 3 million numbers, and three checkpoints of 8 MB.
                f"2 runs to train, 1 at once: at most 1 min {MEASURED}MAIL-Base 40 ms/step, BaseDNN 20 ms/step).",
                "Memory: up to 2.0 GB. Disk: up to 36 MB.",
            ],
        ),
        (
            ("compare", "--rows", "item-bias,BaseDNN,MAIL-Base", "--seeds", 2, "--jobs", 2),
            [
                "Comparison (MAIL Table 2) on tiny (simulated)",
                "  BaseDNN, seeds to train: 0, 1",
                "  MAIL-Base, seeds to train: 0, 1",
                f"4 runs to train, 2 at once: at most 1 min {MEASURED}MAIL-Base 40 ms/step, BaseDNN 20 ms/step).",
                # 2 x 12 MB, and three checkpoints of the two that train at once, which may be those of 8 MB.
                "Memory: up to 4.0 GB. Disk: up to 72 MB.",
            ],
        ),
        (
            ("ablate", "--variants", "none,dual", "--seeds", 2, "--jobs", 1),
            [
                "Ablation (MAIL Table 3) on tiny (simulated)",
                "  BaseDNN, seeds to train: 0, 1",
                "  MAIL-None, seeds to train: 0, 1",
                "  MAIL-Dual, seeds to train: 0, 1",
                # 2 (9 + 11 + 11) = 62 s.
                f"6 runs to train, 1 at once: at most 2 min {MEASURED}MAIL-None 40 ms/step, MAIL-Dual 40 ms/step, "
                "BaseDNN 20 ms/step).",
                "Memory: up to 2.0 GB. Disk: up to 64 MB.",
            ],
        ),
    ],
    ids=["train", "compare", "ablate"],
)
def test_it_says_what_a_table_takes_and_writes_nothing(
    with_data: Path, command: tuple[object, ...], lines: list[str]
) -> None:
    before = files(with_data)
    done = mail(*command, "--dry-run", *SMALL[:-2])
    assert (done.exit_code, done.stderr, done.stdout.splitlines()) == (0, "", lines)
    assert files(with_data) == before


def test_trivial_rows_are_not_estimated(with_data: Path) -> None:
    done = mail("train", "--ranker", "item-bias", "--dry-run")
    assert done.stdout.splitlines() == [
        "item-bias+none on tiny (simulated)",
        "Only trivial rows, which take seconds, or minutes on millions of impressions.",
    ]
    assert not (with_data / "runs").exists()


@pytest.mark.parametrize("option", [("--workers", "a:1,b:2", "--index", 0), ("--devices", 2), ("--continue", "a/run")])
def test_what_is_not_estimated_is_refused(home: Path, option: tuple[object, ...]) -> None:
    assert error_line(mail("train", "--dry-run", *option)) == (
        "--dry-run: only training from the start in one process on one device is estimated. Leave out --continue, "
        "--workers and --devices, and unset TF_CONFIG."
    )
    assert list(home.iterdir()) == []


def test_a_folder_with_other_settings_is_refused_as_it_will_be(with_data: Path, small_runs: Path) -> None:
    shutil.copytree(small_runs, with_data / "runs")
    other = mail("train", *SMALL, "--set", "epochs=2", "--dry-run")
    assert "holds a run with other settings (epochs: 1 -> 2)" in error_line(other)


def test_a_trivial_row_with_other_settings_is_refused_as_well(with_data: Path) -> None:
    assert mail("train", "--ranker", "item-rate").exit_code == 0
    folder = Path("runs/tiny/paper/item-rate+none/seed-0")
    refused = mail("compare", "--rows", "item-rate,BaseDNN", "--seeds", 1, "--set", "batch_size=64", "--dry-run")
    assert error_line(refused) == (
        f"{folder}: holds a run with other settings (batch_size: 1024 -> 64). Add --overwrite to train it anew, or choose "
        "another --runs folder."
    )


@pytest.mark.parametrize("command", ["run experiment.toml", "compare", "ablate", "train"])
@pytest.mark.parametrize(("option", "value"), [("--format", "json"), ("--columns", "ne")])
def test_what_forms_a_table_is_refused_for_a_list(home: Path, command: str, option: str, value: str) -> None:
    done = mail(*command.split(), "--dry-run", option, value)
    assert error_line(done) == f"{option} {value}: --dry-run prints a list, not a table. Leave {option} out."
