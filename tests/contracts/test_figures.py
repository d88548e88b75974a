"""One contract for every figure of `mail plot`; a new file is tested as soon as it is there."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

from mailcli import plugins

TESTS = Path(__file__).parent.parent / "reporting" / "test_plots.py"


@pytest.mark.parametrize("name", plugins.names(plugins.PLOTS))
def test_every_figure_has_its_class_and_a_test(name: str) -> None:
    figure = plugins.load(plugins.PLOTS, name)
    assert figure.__name__ == plugins.PLOTS.class_name
    assert plugins.summaries(plugins.PLOTS)[name]
    assert list(inspect.signature(figure().draw).parameters) == ["runs", "data_dir"]
    assert f'"{name}"' in TESTS.read_text(encoding="utf-8"), f"no test draws {name}"
