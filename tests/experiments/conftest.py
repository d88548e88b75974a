"""The experiment of a test module: its EXPERIMENT as a file, and a data folder with its dataset."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers.experiments import make_data, write_experiment


@pytest.fixture(scope="module")
def toy_data(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder that holds the experiment's dataset."""
    return make_data(tmp_path_factory.mktemp("toy"), request.module.EXPERIMENT)


@pytest.fixture
def experiment(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The experiment's file."""
    return write_experiment(tmp_path, request.module.EXPERIMENT)
