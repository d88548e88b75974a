"""Cells x seeds -> rows of a table: what is finished is reused, what is missing is trained, several runs at once."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from mailcli.config import RunConfig
from mailcli.data.dataset import Dataset
from mailcli.experiments.cells import Folders
from mailcli.experiments.executors.processes import Task, at_once, train_all
from mailcli.reporting.rows import Result, Row
from mailcli.training.run_folder import Run
from mailcli.training.run_registry import find_run
from mailcli.utils.hardware import table_bytes

logger = logging.getLogger(__name__)


def make_rows(
    configs: Iterable[RunConfig],
    seeds: Iterable[int],
    dataset: Dataset,
    runs: Path | Folders,
    minutes: float | None = None,
    jobs: int | None = None,
    trainer: Callable[[Sequence[Task]], None] | None = None,
) -> list[Row]:
    """Rows for cells, each with its baseline: the same ranker alone with the same seed, hence the same draw.

    Args:
        configs: the cells, with any seed.
        seeds: those of the rows.
        dataset: the dataset.
        runs: folder of the runs.
        minutes: between two checkpoints of a training; None for the default.
        jobs: how many runs at once; None for as many as cores and memory allow.
        trainer: what makes the missing runs, or is told that none is missing; None for processes of this machine.

    Raises:
        MailError: a run cannot be made, or has failed; the others are finished then.
        Interrupted: by Ctrl-C; what was done is kept.
    """
    folders = runs if isinstance(runs, Folders) else Folders(runs)
    configs, seeds = list(configs), tuple(seeds)
    wanted = with_baselines(configs, seeds)
    found = {repr(config): find_run(folders.of(config), config, dataset) for config in wanted}
    missing = [run for run in found.values() if run.result is None]
    if trainer:
        trainer([Task(run.config, dataset.folder, folders, minutes) for run in missing])
    elif missing:
        # Of all runs, not of the missing ones: a run's threads decide its last bits, and a run that is made again
        # should be the same.
        jobs, threads_each = at_once(len(wanted), max(_memory(config, dataset) for config in wanted), jobs)
        if len(found) > 1:
            _tell(list(found.values()), jobs)
        train_all([Task(run.config, dataset.folder, folders, minutes) for run in missing], jobs, threads_each)
    return [row(config, seeds, found) for config in configs]


def with_baselines(configs: Sequence[RunConfig], seeds: Sequence[int]) -> list[RunConfig]:
    """Each config and its baseline with each seed, once; by seed, so that few seeds are whole before many."""
    every = [replace(each, seed=seed) for seed in seeds for config in configs for each in (config.baseline(), config)]
    return list({repr(config): config for config in every}.values())


def _memory(config: RunConfig, dataset: Dataset) -> int:
    """About what a run takes, in bytes: the table and what goes with it, and 2 GB (ours: benchmarks/RESULTS.md)."""
    return 2 * 10**9 + table_bytes(sum(dataset.vocabulary_sizes.values()), config.embedding_dim)


def _tell(runs: Sequence[Run], jobs: int) -> None:
    """Say on stderr what there is and what is yet to be done."""
    finished = sum(run.result is not None for run in runs)
    begun = sum(run.has_begun and run.result is None for run in runs)
    rest = len(runs) - finished - begun
    parts = [f"{finished} finished", *([f"{begun} to go on with"] if begun else []), f"{rest} to train"]
    logger.info(f"{len(runs)} runs: {', '.join(parts)}; {jobs} at once.")


def row(config: RunConfig, seeds: tuple[int, ...], runs: Mapping[str, Run]) -> Row:
    """The row of a cell; all its runs are finished."""

    def results(wanted: RunConfig) -> tuple[Result, ...]:
        found = [runs[repr(replace(wanted, seed=seed))].result for seed in seeds]
        return tuple(result for result in found if result is not None)

    return Row(config, seeds, results(config), results(config.baseline()) if config.cold_start != "none" else None)
