"""Finished runs -> rows of tables, their test split scored anew."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from mailcli.errors import MailError
from mailcli.reporting.rows import Result, Row, row_of
from mailcli.training.run_folder import Run
from mailcli.utils.tensorflow_startup import load_tensorflow


def rescore(runs: Iterable[Run], data_dir: Path, draws: int = 0) -> list[list[Row]]:
    """Finished runs, their test split scored anew: a list of rows for each dataset, protocol and shared settings.

    Runs that differ by the seed alone share a row. A baseline comes from its own run's result.json.

    Args:
        runs: which; one that is given twice is scored once.
        data_dir: folder of the datasets.
        draws: how often the test's users are drawn anew. With any, results have `over_users` besides: the metrics of
            each draw, as `evaluation.measure_draws` gives them.

    Raises:
        MailError: a dataset is missing, or has changed since the run; or two folders hold the same run.
    """
    load_tensorflow()
    tables: dict[str, dict[str, list[tuple[Run, Result]]]] = {}
    seen: dict[str, Run] = {}
    for run in runs:
        first = seen.setdefault(repr(run.config), run).folder
        if first.resolve() != run.folder.resolve():
            raise MailError(f"{first} and {run.folder} are runs of the same settings and seed. Give one of them.")
    for run in seen.values():
        result = {**(run.result or {}), **_measured(run, data_dir, draws)}
        # Each seed of a row goes on with a run of its own.
        alike = replace(run.config, continues="", seed=0)
        shared = replace(alike.baseline(), ranker="", ranker_options={})
        table = tables.setdefault(repr(shared), {})
        table.setdefault(repr((alike, bool(run.config.continues))), []).append((run, result))
    return [_baselines_first([row_of(scored) for scored in table.values()]) for table in tables.values()]


def _baselines_first(rows: list[Row]) -> list[Row]:
    """As in the other tables, a ranker alone before its rows with a method; rankers in the order in which they come."""
    rankers = list(dict.fromkeys(row.config.ranker for row in rows))
    return sorted(rows, key=lambda row: (rankers.index(row.config.ranker), row.config.cold_start != "none"))


def _measured(run: Run, data_dir: Path, draws: int) -> Result:
    """The test's part of a result, by the run's best checkpoint."""
    from mailcli.training.evaluate import measure, measure_draws
    from mailcli.training.predictor import Predictor

    predictor = Predictor.open(run, data_dir)
    dataset, view = predictor.dataset, predictor.test
    scores = predictor.score(predictor.batches(), "scoring test")
    result = {"test": measure(dataset, view, scores)}
    return {**result, "over_users": measure_draws(dataset, view, scores, draws)} if draws else result
