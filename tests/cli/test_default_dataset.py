"""Commands as the README and `mail --help` show them, without `--data`, where there are two datasets."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from mailcli.experiments import estimate as estimates
from mailcli.experiments.executors.measuring import MeasuredModel
from mailcli.experiments.run_time import Speed
from tests.helpers.command_line import SMALL, error_line, mail
from tests.helpers.documents import ROOT, words_of

SPEED = Speed(steps=1, validations=1, step=0.01, validation=0.0, test=0.0, numbers=1)
TOLD = "Dataset: {}, the one used or made last; --data NAME takes another.\n"
EXPERIMENT = """
title = "Like make demo"
source = "ml-100k"
seeds = 1
rows = ["item-bias"]
settings = {protocol = "strict", history = 5}
"""


@pytest.fixture
def after_demo(with_data: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder as `make demo` leaves it where there was a dataset `alimama` before; nothing is measured in it."""

    def measure_cells(cells: Sequence[MeasuredModel], jobs: int, threads_each: int) -> list[Speed]:
        del jobs, threads_each
        return [SPEED] * len(cells)

    monkeypatch.setattr(estimates, "measure_cells", measure_cells)
    data = with_data / "data"
    shutil.copytree(data / "tiny", data / "alimama")
    (data / "tiny").rename(data / "ml-100k")
    (with_data / "demo.toml").write_text(EXPERIMENT, encoding="utf-8")
    done = mail("run", "demo.toml")
    assert done.exit_code == 0, done.output
    return with_data


def of_help() -> list[list[str]]:
    """The commands that `mail --help` begins with, but for those that make their dataset themselves."""
    lines = re.findall(r"^ +mail (\w+ .*?)   ", mail("--help").stdout, re.MULTILINE)
    return [line.split() for line in lines if line.split()[0] not in {"preprocess", "run", "models"}]


def first_steps() -> list[list[str]]:
    """Those of the README's first steps."""
    text = (ROOT / "README.md").read_text(encoding="utf-8").partition("## First steps")[2]
    return [words[1:] for words in words_of(text.partition("```sh\n")[2].partition("```")[0])]


def test_the_commands_of_the_help_work_as_typed(after_demo: Path) -> None:
    commands = of_help()
    assert [command[0] for command in commands] == ["compare", "ablate"]
    for command in commands:
        done = mail(*command, "--dry-run")
        assert (done.exit_code, done.stderr) == (0, TOLD.format("ml-100k")), done.output
        assert done.stdout.splitlines()[0].endswith(" on ml-100k (simulated)")
    assert (after_demo / "data/.last-dataset").read_text() == "ml-100k\n"


def test_the_readmes_first_steps_work_as_typed(after_demo: Path) -> None:
    commands = first_steps()
    assert [command[0] for command in commands] == ["simulate", "preprocess", "describe", "train", "evaluate"]
    simulate, preprocess, describe, train, evaluate = commands
    small = [word if word != "5000" else "150" for word in simulate]
    assert mail(*small).exit_code == 0
    assert mail(*preprocess).exit_code == 0
    assert mail(*describe).exit_code == 0
    # `--data alimama` could be left out: it is the one made last.
    at = train.index("--data")
    done = mail(*train[:at], *train[at + 2 :], "--dry-run")
    assert (done.exit_code, done.stderr) == (0, TOLD.format("alimama"))
    assert mail(*train, "--dry-run").stderr == ""
    assert mail(*evaluate).exit_code == 0


def test_a_use_by_name_changes_the_default_and_a_dry_run_does_not(after_demo: Path) -> None:
    assert mail("train", "--data", "alimama", "--ranker", "item-bias", "--dry-run").exit_code == 0
    assert (after_demo / "data/.last-dataset").read_text() == "ml-100k\n"
    assert mail("train", "--data", "alimama", "--ranker", "item-bias", "--set", "history=5").exit_code == 0
    done = mail("describe")
    assert done.stderr == "Dataset: alimama, the one used or made last; `mail describe NAME` shows another.\n"
    assert "alimama" in done.stdout.splitlines()[0]
    shutil.rmtree(after_demo / "data/alimama")
    # The only one that is left is not told.
    assert mail("describe").stderr == ""
    assert mail("doctor").stdout.count("whole: ") == 1
    for name in ("b", "c"):
        shutil.copytree(after_demo / "data/ml-100k", after_demo / "data" / name)
    assert error_line(mail("train", *SMALL)) == "data holds several datasets: name one of 'b', 'c', 'ml-100k'."
