"""Finished runs, their exported models, and the answers of these models."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from mailcli.data.dataset import Dataset
from mailcli.experiments.cells import train_if_missing
from mailcli.runs.folder import RunFolder
from tests.helpers.command_line import mail
from tests.helpers.serving import CELL, CELLS, RawRequests, config_of, drawn_as_new, run_models
from tests.helpers.serving_requests import around_last_behavior, misfit_requests, request_variants, unknown_impressions


@pytest.fixture(scope="session")
def runs(tiny: Dataset, tmp_path_factory: pytest.TempPathFactory) -> dict[str, RunFolder]:
    """A finished run of each cell."""
    folder = tmp_path_factory.mktemp("runs")
    return {cell: train_if_missing(config_of(tiny, cell), tiny, folder) for cell in CELLS}


@pytest.fixture(scope="session")
def exported(runs: dict[str, RunFolder], data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Each cell's exported model."""
    folder = tmp_path_factory.mktemp("models")
    for cell, run in runs.items():
        options, names = [], "serving_default, new_users, item_features, unknown_values"
        if cell == CELL:
            options, names = ["--with-users"], names.replace("unknown", "known_users, unknown")
        result = mail("export", run.folder, folder / cell, *options, "--data-dir", data_dir)
        assert result.exit_code == 0, result.output
        full_name = f"{cell}-base" if "mail" in cell else cell
        assert result.stdout == f"{folder / cell}: {full_name} on tiny (simulated), signatures {names}.\n"
    return {cell: folder / cell for cell in runs}


@pytest.fixture(scope="session")
def raw(simulated_raw: Path, tiny: Dataset) -> RawRequests:
    """Makes requests from the raw files of `tiny`."""
    return RawRequests(simulated_raw, tiny)


@pytest.fixture(scope="session")
def answers(
    runs: dict[str, RunFolder], exported: dict[str, Path], raw: RawRequests, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, dict[str, np.ndarray]]:
    """Request -> the outputs of an exported model, by the names of tests/helpers/serving_requests.py."""
    requests = {}
    for cell, folder in exported.items():
        hidden = drawn_as_new(raw.dataset, runs[cell].config)
        requests[f"{cell} test"] = (folder, "serving_default", raw.request(raw.test, hidden))
    folder = exported[CELL]
    for name, (signature, request) in {**request_variants(raw), **misfit_requests(raw)}.items():
        requests[name] = (folder, signature, request)
    example = json.loads((folder / "request.json").read_text())
    requests["example"] = (folder, example["signature_name"], example["inputs"])
    requests["strangers"] = (folder, "serving_default", unknown_impressions(raw)[1])
    requests["just before"] = (folder, "serving_default", around_last_behavior(raw, runs[CELL])[1])
    return run_models(requests, tmp_path_factory.mktemp("server"))
