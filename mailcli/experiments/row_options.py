"""The options of an experiment's rows, checked before a dataset is made or a trivial row is fitted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from mailcli.config import RunConfig
from mailcli.errors import errors_at
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
    unfinished = list(range(len(experiment.rows)))
    for data in experiment.datasets:
        configs, shared = experiment.configs(data, RunConfig.history)
        layout = RunLayout(runs, shared)
        unfinished = [row for row in unfinished if not _is_finished(experiment, configs[row], layout)]
    for row in unfinished:
        if any(configs[row].shown_options.values()):
            load_tensorflow()
            # It imports TensorFlow.
            from mailcli.models.factory import check_option_values

            with errors_at(f"{experiment.path}: row '{experiment.row_names()[row]}'"):
                check_option_values(configs[row])


def _is_finished(experiment: Experiment, config: RunConfig, layout: RunLayout) -> bool:
    """Whether all runs of a row are finished, by their folders."""
    folder = layout.folder_for(config)
    paths = (replace(config, seed=seed).run_path for seed in experiment.seed_numbers())
    return all((folder / path / RESULT).is_file() for path in paths)
