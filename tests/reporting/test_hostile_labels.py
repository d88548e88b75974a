"""Figures and RESULTS.md with hostile names of rows, datasets, experiments and machines."""

from __future__ import annotations

import dataclasses
import io
import re
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings

from mailcli.experiments.experiment import Experiment
from mailcli.experiments.results_document import ExperimentSection, render_document
from mailcli.reporting.plots._style import caption, group_by_cell
from mailcli.reporting.plots.forest import forest
from mailcli.reporting.rows import Row
from mailcli.reporting.tables import ResultTable, make_table
from mailcli.runs.folder import RunFolder
from tests.helpers.hostile_names import NAMES, WORST, assert_harmless, markdown_texts, seen
from tests.helpers.results import BASE, result, three_rows


def rows_called(name: str) -> list[Row]:
    """The rows of a table, on a dataset with a hostile name, whose ranker has an option with one."""
    named = []
    for row in three_rows():
        config = dataclasses.replace(row.config, ranker_options={"size": name})
        results = tuple({**scored, "dataset": name} for scored in row.results)
        named.append(dataclasses.replace(row, config=config, results=results))
    return named


def run_on(name: str) -> RunFolder:
    """A finished run of a hostile dataset."""
    config = dataclasses.replace(BASE, ranker_options={"size": name})
    environment: dict[str, Any] = dict.fromkeys(("machine", "cores", "gpus", "commit", "python", "threads"), name)
    environment |= {"instructions": [name], "finished": "2026-11-20T00:00:00Z", "seconds": 60.0}
    fields = {"config": config, "result": {**result(0.5, 0.7), "dataset": name}, "environment": environment}
    return cast(RunFolder, SimpleNamespace(folder=Path("x"), **fields))


@pytest.mark.parametrize("name", [WORST, "_$\\frac{$ \\$", "$a$ $b -->"])
def test_a_figure_shows_names_and_obeys_none(name: str) -> None:
    runs = [run_on(name)]
    figure = forest(rows_called(name), caption(runs))
    ((label, _),) = group_by_cell(runs)
    figure.axes[0].plot([0], [0], label=label)
    legend, svg = figure.axes[0].legend(), io.StringIO()
    with warnings.catch_warnings():
        # The font lacks glyphs, and there is little room.
        warnings.simplefilter("ignore")
        figure.savefig(svg, format="svg")
    assert_harmless(svg.getvalue())
    ElementTree.fromstring(svg.getvalue())
    assert label in {text.get_text() for text in legend.get_texts()}


@pytest.fixture(scope="module")
def plain_table() -> ResultTable:
    return make_table(three_rows(), "Title")


@settings(deadline=None)
@given(name=NAMES)
def test_the_document_has_every_name_as_text(plain_table: ResultTable, name: str) -> None:
    title, row = f"A {name}.", f"row {name}."
    lines = tuple(dataclasses.replace(line, name=row) for line in plain_table.lines)
    table = dataclasses.replace(plain_table, title=title, lines=lines, notes=(f"data {name}.",))
    experiment: Any = SimpleNamespace(title=title, reading="", command="mail run experiments/a b.toml")
    text = render_document([ExperimentSection(cast(Experiment, experiment), [table, table], [run_on(name)], [])], "")
    assert_harmless(text)
    # The document's own HTML and links: marks of second best cells, anchors, and the contents.
    text = re.sub(r'</?u>|<a id="[a-z0-9-]+"></a>\n\n', "", text)
    own = "old users|row against row|How to read the tables|What it was made with|Further tables"
    text = re.sub(rf"\[({own})\]\(#[a-z0-9-]+\)", r"\1", text)
    text = re.sub(r"^- \[(.*)\]\(#[a-z0-9-]+\)$", r"- \1", text, flags=re.MULTILINE)
    texts = markdown_texts(text)
    # In the contents, as the heading, and above the second table of new and the one of old users.
    assert texts.count(f"A {seen(name)}.") == 3
    assert texts.count(f"Old users: A {seen(name)}.") == 1
    assert texts.count(f"row {seen(name)}.") == 2 * 6
    assert f"data {seen(name)}.".replace("|", "/") in texts
    assert any(line.startswith(f"machine: {seen(name)}, {seen(name)} cores") for line in texts)
    assert "Made by mail run experiments/a b.toml: 1 run, 1 minute" in "\n".join(texts)
