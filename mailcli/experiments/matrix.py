"""Cells x seeds -> rows of a table: finished runs are reused, missing ones are trained, several at once."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from mailcli import plugins
from mailcli.config import RunConfig
from mailcli.data.dataset import Dataset
from mailcli.experiments.cells import RunFolders, train_if_missing
from mailcli.experiments.executors.processes import Task, jobs_and_threads, train_all
from mailcli.reporting.rows import Result, Row, result_of
from mailcli.training.run_folder import Run
from mailcli.utils.hardware import table_bytes, table_memory

logger = logging.getLogger(__name__)

BaselineOf = Callable[[RunConfig], RunConfig]


def make_rows(
    configs: Iterable[RunConfig],
    seeds: Iterable[int],
    dataset: Dataset,
    runs: Path | RunFolders,
    minutes: float | None = None,
    jobs: int | None = None,
    trainer: Callable[[Sequence[Task]], None] | None = None,
    baseline_of: BaselineOf = RunConfig.baseline,
) -> list[Row]:
    """Rows for cells, each with its baseline: the same ranker without a method, same seed, hence same new users.

    Args:
        configs: the cells, with any seed.
        seeds: the seeds of every row.
        dataset: the dataset.
        runs: folder of the runs.
        minutes: between two checkpoints of a training; None for the default.
        jobs: how many runs to train at once; None for as many as cores and memory allow.
        trainer: trains the missing runs; also called when none is missing. None for processes of this machine.
        baseline_of: the cell that a cell is compared with, of the same seed.

    Raises:
        MailError: a run cannot be made, or has failed; the others are finished by then.
        Interrupted: by Ctrl-C; what is done is kept.
    """
    folders = runs if isinstance(runs, RunFolders) else RunFolders(runs)
    configs, seeds = list(configs), tuple(seeds)
    needed = with_baselines(configs, seeds, baseline_of)
    runs_by_config = {repr(config): folders.find(config, dataset) for config in needed}
    trivial_runs = [run for run in runs_by_config.values() if plugins.is_trivial(run.config.ranker)]
    for run in trivial_runs:
        # In seconds, so that a dataset that does not suit them is refused before hours of training.
        train_if_missing(run.config, dataset, folders)
    network_runs = [run for run in runs_by_config.values() if run not in trivial_runs]
    missing = [run for run in network_runs if run.result is None]
    tasks = [Task(run.config, dataset.folder, folders, minutes) for run in missing]
    if trainer:
        trainer(tasks)
    elif missing:
        # Computed from all runs, not from the missing ones: the number of threads decides the last bits of a result,
        # and a run that is trained again should give the same result.
        jobs, threads_per_run = jobs_and_threads(
            len(network_runs), max(run_memory(run.config, dataset) for run in network_runs), jobs
        )
        if len(network_runs) > 1:
            _log_progress(network_runs, jobs)
        train_all(tasks, jobs, threads_per_run)
    # Each run opens the dataset itself: a table is of one version of it.
    dataset.check_files()
    return [make_row(config, seeds, runs_by_config, baseline_of) for config in configs]


def with_baselines(
    configs: Sequence[RunConfig], seeds: Sequence[int], baseline_of: BaselineOf = RunConfig.baseline
) -> list[RunConfig]:
    """Each config and its baseline with each seed, once; seed by seed, so that the first seeds are complete early."""
    configs = [replace(x, seed=seed) for seed in seeds for config in configs for x in (baseline_of(config), config)]
    return list({repr(config): config for config in configs}.values())


def run_memory(config: RunConfig, dataset: Dataset) -> int:
    """About what a run takes, in bytes: the table with its optimizer, and 2 GB (ours: benchmarks/RESULTS.md)."""
    table = table_bytes(sum(dataset.vocabulary_sizes.values()), config.embedding_dim)
    return 2 * 10**9 + min(table, table_memory() or table)


def _log_progress(runs: Sequence[Run], jobs: int) -> None:
    """Report how many runs are finished and how many are left."""
    finished = sum(run.result is not None for run in runs)
    begun = sum(run.has_begun and run.result is None for run in runs)
    counts = [f"{finished} finished"]
    counts += [f"{begun} to resume"] if begun else []
    counts.append(f"{len(runs) - finished - begun} to train")
    logger.info(f"{len(runs)} runs: {', '.join(counts)}; {jobs} at once.")


def make_row(
    config: RunConfig, seeds: tuple[int, ...], runs: Mapping[str, Run], baseline_of: BaselineOf = RunConfig.baseline
) -> Row:
    """The row of a cell whose runs are all finished.

    Args:
        config: the cell, with any seed.
        seeds: the seeds of the row.
        runs: by the `repr` of their config; the baseline's runs, too.
        baseline_of: the cell that it is compared with.
    """

    def results(cell: RunConfig) -> tuple[Result, ...]:
        by_seed = [result_of(runs[repr(replace(cell, seed=seed))]) for seed in seeds]
        return tuple(result for result in by_seed if result)

    return Row(config, seeds, results(config), results(baseline_of(config)) if config.cold_start != "none" else None)
