"""Finished runs -> rows of tables, with the test split scored again."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from mailcli import plugins
from mailcli.config import RunConfig
from mailcli.data.dataset import open_dataset
from mailcli.errors import MailError
from mailcli.reporting.rows import Result, Row, result_of, row_of
from mailcli.runs.folder import RunFolder
from mailcli.runs.origin import check_unchanged
from mailcli.training.evaluate import measure, measure_draws
from mailcli.training.trivial_run import score_trivial_row
from mailcli.utils.paths import real_path
from mailcli.utils.tensorflow_startup import load_tensorflow


def rescore(runs: Iterable[RunFolder], data_dir: Path, draws: int = 0) -> list[list[Row]]:
    """Score the test split of finished runs again: a list of rows per dataset, protocol and shared settings.

    Runs that differ only by their seed share a row. A baseline's result comes from its own run's result.json.

    Args:
        runs: a run that is given twice is scored once.
        data_dir: folder of the datasets.
        draws: how often to draw the test users with replacement. If any, results also have `over_users`: the metrics
            of each draw, as returned by `evaluate.measure_draws`.

    Raises:
        MailError: a dataset is missing, or has changed since the run; or two folders hold the same run.
    """
    return [
        [row_of([(run, {**result_of(run), **_score_test(run, data_dir, draws)}) for run in row]) for row in table]
        for table in group_by_table(runs)
    ]


def group_by_table(runs: Iterable[RunFolder]) -> list[list[list[RunFolder]]]:
    """The runs by table, that is, by dataset, protocol and shared settings, and by row: its runs differ by their seed.

    Args:
        runs: a run that is given twice occurs once.

    Raises:
        MailError: two folders hold the same run.
    """
    tables: dict[str, dict[str, list[RunFolder]]] = {}
    for run in distinct(runs):
        cell = cell_of(run.config)
        shared = replace(cell.baseline(), ranker="", ranker_options={}, continues="")
        tables.setdefault(shared.key, {}).setdefault(cell.key, []).append(run)
    return [_baselines_first(list(table.values())) for table in tables.values()]


def cell_of(config: RunConfig) -> RunConfig:
    """The config that the seeds of a row share, without the runs that they continue: each seed has its own."""
    return replace(config.without_seed(), continues="a run" if config.continues else "")


def distinct(runs: Iterable[RunFolder]) -> list[RunFolder]:
    """The runs, each once (MailError if two folders hold the same run)."""
    by_config: dict[str, RunFolder] = {}
    for run in runs:
        folder = by_config.setdefault(run.config.key, run).folder
        if real_path(folder) != real_path(run.folder):
            raise MailError(f"{folder} and {run.folder} are runs with the same settings and seed. Give one of them.")
    return list(by_config.values())


def _baselines_first(rows: list[list[RunFolder]]) -> list[list[RunFolder]]:
    """Each ranker without a method before its rows with one, as in all tables; rankers in the order of the runs."""
    rankers = list(dict.fromkeys(row[0].config.ranker for row in rows))
    return sorted(rows, key=lambda row: (rankers.index(row[0].config.ranker), row[0].config.cold_start != "none"))


def _score_test(run: RunFolder, data_dir: Path, draws: int) -> Result:
    """The test metrics of a result, by the run's best checkpoint; a trivial row is fitted again."""
    if plugins.is_trivial(run.config.ranker):
        dataset = open_dataset(data_dir, run.config.data)
        check_unchanged(run, dataset)
        view, scores = score_trivial_row(run.config, dataset)["test"]
    else:
        load_tensorflow()
        from mailcli.training.predictor import Predictor

        predictor = Predictor.open(run, data_dir)
        dataset, view = predictor.dataset, predictor.test
        scores = predictor.scorer(predictor.batches(), "scoring test")
    result = {"test": measure(dataset, view, scores)}
    return {**result, "over_users": measure_draws(dataset, view, scores, draws)} if draws else result
