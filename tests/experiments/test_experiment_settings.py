"""The settings that the rows of an experiment share, and the name of its simulated dataset."""

from __future__ import annotations

from pathlib import Path

import pytest

from mailcli.errors import MailError
from mailcli.experiments.cells import RunLayout
from mailcli.experiments.datasets import prepare_dataset
from mailcli.experiments.experiment_file import read_experiment
from mailcli.experiments.grid import worlds
from tests.helpers.experiments import write_experiment

EXPERIMENT = """
title = "Toy"
source = "alimama"
rows = ["DMR", "MAIL-DMR"]
[settings]
"ranker.match_weight" = 0.5
[simulate]
name = "toy"
users = 150
behaviors_per_user = 10
"""
DUAL = 'rows = [{row = "MAIL-Dual", learning_rate = 0.1}]'


def refused(folder: Path, text: str) -> str:
    """The error of the configs of a file, without the file's name."""
    path = write_experiment(folder, text)
    with pytest.raises(MailError) as error:
        read_experiment(path).configs("any", 100)
    return error.value.message.removeprefix(f"{path}: ")


def test_shared_options_are_those_of_the_rows(tmp_path: Path) -> None:
    configs, shared = read_experiment(write_experiment(tmp_path, EXPERIMENT)).configs("any", 20)
    assert [config.ranker_options for config in configs] == [{"match_weight": "0.5"}, {"match_weight": "0.5"}]
    assert [config.history for config in (*configs, shared)] == [20, 20, 20]
    # They are shared, so that no row has a folder of its own.
    assert [RunLayout(tmp_path, shared).folder_for(config) for config in configs] == [tmp_path, tmp_path]
    co_trained = EXPERIMENT.replace('"DMR", ', "").replace('"ranker.match_weight" = 0.5', '"cold_start.sigma" = 2')
    (config,), _ = read_experiment(write_experiment(tmp_path, co_trained)).configs("any", 20)
    assert config.cold_start_options == {"variant": "base", "sigma": "2"}


def test_a_row_takes_the_shared_options_that_it_has(tmp_path: Path) -> None:
    rows = EXPERIMENT.replace('"DMR", "MAIL-DMR"', '"item-bias", "BaseDNN", "MAIL-Base", "DMR"')
    text = rows.replace('"ranker.match_weight" = 0.5', '"ranker.match_weight" = 0.5\n"cold_start.sigma" = 2')
    configs, _ = read_experiment(write_experiment(tmp_path, text)).configs("any", 20)
    assert [config.ranker_options for config in configs] == [{}, {}, {}, {"match_weight": "0.5"}]
    assert [config.cold_start_options for config in configs] == [{}, {}, {"variant": "base", "sigma": "2"}, {}]


def test_a_shared_option_that_no_row_has_is_refused(tmp_path: Path) -> None:
    base = EXPERIMENT.replace('"DMR", "MAIL-DMR"', '"BaseDNN"')
    expected = "settings: ranker.match_weight: ranker 'base' has no option 'match_weight'. Known: 'units', 'dropout', "
    assert refused(tmp_path, base).startswith(expected)
    typed = EXPERIMENT.replace("match_weight", "match_wieght")
    expected = "settings: ranker.match_wieght: ranker 'dmr' has no option 'match_wieght'. Did you mean 'match_weight'?"
    assert refused(tmp_path, typed).startswith(expected)
    several = EXPERIMENT.replace('"DMR", "MAIL-DMR"', '"item-bias", "BaseDNN", "DMR"').replace(
        "match_weight", "match_wieght"
    )
    expected = "settings: ranker.match_wieght: no row has this option. Did you mean 'ranker.match_weight'?"
    assert refused(tmp_path, several) == expected
    # A trivial row has none.
    trivial = EXPERIMENT.replace('"DMR", "MAIL-DMR"', '"item-bias"')
    assert refused(tmp_path, trivial) == "settings: ranker.match_weight: no row has this option."


@pytest.mark.parametrize(
    ("name", "is_grid", "dataset"),
    [
        ("", False, ""),
        ("../evil", False, "../evil"),
        ("raw", False, "raw"),
        ("", True, "-u150"),
        ("../evil", True, "../evil-u150"),
    ],
)
def test_a_name_that_no_dataset_has_is_refused_before_anything_is_written(
    name: str, is_grid: bool, dataset: str, tmp_path: Path
) -> None:
    text = EXPERIMENT.replace('name = "toy"', f'name = "{name}"')
    if is_grid:
        text = text.replace("users = 150\n", "") + "[grid]\nusers = [150, 200]\n"
    experiment, *_ = worlds(read_experiment(write_experiment(tmp_path, text)))
    with pytest.raises(MailError) as error:
        prepare_dataset(experiment, tmp_path / "a" / "data")
    assert error.value.message == (
        f"{experiment.path}: simulate.name: '{dataset}' cannot name a dataset. Expected lower-case letters, digits, '.', '_' "
        "and '-' (not 'raw')."
    )
    assert [path.name for path in tmp_path.rglob("*")] == ["toy.toml"]
