"""docs/experiment-files.md: every key of an experiment's file, each with an example that `mail run` accepts."""

from __future__ import annotations

import re
import tomllib
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from mailcli.errors import MailError
from mailcli.experiments.experiment_file import RULES, TUNE_RULES, TUNED_RULES, read_experiment
from mailcli.reporting.rows import METRICS
from mailcli.simulation.world import Settings
from tests.helpers.documents import ROOT

PAGE = (ROOT / "docs" / "experiment-files.md").read_text(encoding="utf-8")
SMALLEST = {"title": "Any", "source": "alimama", "rows": ["BaseDNN", "MAIL-Base"]}


def tables() -> list[dict[str, str]]:
    """The tables of the page, in its order: the lines of TOML of each key or form of a row."""
    found: list[dict[str, str]] = []
    for line in PAGE.splitlines():
        cells = re.split(r" \| ", line.strip("| "))
        if not line.startswith("|") or len(cells) != 3:
            continue
        if cells[2] == "example":
            found.append({})
        elif not line.startswith("|---"):
            key = re.fullmatch(r"`(.+)`|(.+)", cells[0])
            assert key
            found[-1][key[1] or key[2]] = "\n".join(re.findall(r"`([^`]+)`", cells[2]))
    return found


FILE, ROWS, TUNE, TUNED, SIMULATE, REPORTED = tables()


def accepted(folder: Path, content: dict[str, Any]) -> dict[str, Any]:
    """The content of the experiment that these keys make, with those of the smallest file (MailError if it is refused)."""
    path = folder / "experiment.toml"
    path.write_text(tomli_w.dumps({**SMALLEST, **content}), encoding="utf-8")
    experiment = read_experiment(path)
    experiment.configs("any", 100)
    return experiment.content


def test_the_page_has_every_key_and_no_other() -> None:
    assert set(FILE) == set(RULES)
    assert (set(TUNE), set(TUNED)) == (set(TUNE_RULES), set(TUNED_RULES))
    assert set(SIMULATE) == {"name", *(field.name for field in fields(Settings))}
    assert set(REPORTED) == {*METRICS, *(f"RI {metric}" for metric in METRICS)}
    assert len(ROWS) == 4


@pytest.mark.parametrize("key", FILE)
def test_the_example_of_a_key_is_accepted(key: str, tmp_path: Path) -> None:
    example = tomllib.loads(FILE[key])
    assert key in example
    assert accepted(tmp_path, example).items() >= example.items()


@pytest.mark.parametrize("form", ROWS)
def test_the_example_of_a_row_is_accepted(form: str, tmp_path: Path) -> None:
    example = tomllib.loads(ROWS[form])
    assert list(example) == ["rows"]
    accepted(tmp_path, example)


@pytest.mark.parametrize(
    ("table", "keys"), [("tune", TUNE), ("tuned", TUNED), ("simulate", SIMULATE)], ids=["tune", "tuned", "simulate"]
)
def test_the_examples_of_a_table_are_accepted_together(table: str, keys: dict[str, str], tmp_path: Path) -> None:
    examples = {key: tomllib.loads(text) for key, text in keys.items()}
    assert [[key] for key in examples] == [list(example) for example in examples.values()]
    accepted(tmp_path, {table: {key: example[key] for key, example in examples.items()}})


def test_the_paper_s_numbers_are_accepted_together(tmp_path: Path) -> None:
    numbers = tomllib.loads("\n".join(REPORTED.values()))
    assert set(numbers) == set(REPORTED)
    groups = re.findall(r"`(\w+)`", PAGE.partition("number of a row for some users (")[2].partition(")")[0])
    assert groups == ["new", "old", "all", "natural"]
    for users in groups:
        accepted(tmp_path, {"reported": {"MAIL-Base": {users: numbers}}})


def test_a_key_that_the_page_does_not_have_is_refused(tmp_path: Path) -> None:
    """So that what is accepted above is not accepted anyhow."""
    for wrong in ({"sead": 3}, {"tune": {"trails": 3}}, {"simulate": {"name": "x", "users": 50, "sead": 1}}):
        with pytest.raises(MailError, match="sead|trails"):
            accepted(tmp_path, wrong)
