"""One contract for every figure of `mail plot`; a new file is tested as soon as it is there."""

from __future__ import annotations

import inspect

import pytest

from mailcli import plugins


@pytest.mark.parametrize("name", plugins.names(plugins.PLOTS))
def test_every_figure_has_its_class_and_a_summary(name: str) -> None:
    figure = plugins.load(plugins.PLOTS, name)
    assert plugins.summaries(plugins.PLOTS)[name]
    assert list(inspect.signature(figure().draw).parameters) == ["runs", "data_dir"]
