"""The options of an experiment's rows, checked before a dataset is made or a trivial row is fitted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from mailcli.config import RunConfig
from mailcli.errors import MailError
from mailcli.experiments.cells import RunLayout
from mailcli.experiments.experiment import Experiment
from mailcli.runs.folder import RESULT
from mailcli.utils.tensorflow_startup import load_tensorflow


def check_row_options(experiment: Experiment, runs: Path) -> None:
    """Refuse an option whose value a row's ranker or method refuses.

    Only of rows that have options and runs to train: the check imports TensorFlow, which takes seconds.

    Args:
        experiment: the experiment; of a grid, one of its worlds.
        runs: folder of the runs.

    Raises:
        MailError: the message names the file and the row.
    """
    unfinished = set(range(len(experiment.rows)))
    for data in experiment.datasets:
        configs, shared = experiment.configs(data, RunConfig.history)
        unfinished &= {row for row in unfinished if not _is_finished(experiment, configs[row], RunLayout(runs, shared))}
    for row in sorted(unfinished):
        if any(configs[row].shown_options.values()):
            _check(experiment, experiment.row_names()[row], configs[row])


def _is_finished(experiment: Experiment, config: RunConfig, layout: RunLayout) -> bool:
    """Whether all runs of a row are finished, by their folders."""
    folder = layout.folder_for(config)
    paths = (replace(config, seed=seed).run_path for seed in experiment.seed_numbers())
    return all((folder / path / RESULT).is_file() for path in paths)


def _check(experiment: Experiment, row: str, config: RunConfig) -> None:
    load_tensorflow()
    # It imports TensorFlow.
    from mailcli.models.factory import check_option_values

    try:
        check_option_values(config)
    except MailError as error:
        raise MailError(f"{experiment.path}: row '{row}': {error.message}") from error
