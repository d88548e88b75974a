"""Cells x seeds -> rows of a table: finished runs are reused, missing ones are trained, several at once."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mailcli import plugins
from mailcli.config import RunConfig
from mailcli.data.dataset import Dataset
from mailcli.errors import MailError
from mailcli.experiments.cells import RunLayout, train_if_missing
from mailcli.experiments.executors.processes import jobs_and_threads, train_all
from mailcli.experiments.executors.tasks import Task
from mailcli.reporting.rows import Result, Row, result_of
from mailcli.runs.folder import RunFolder
from mailcli.runs.registry import still_holds
from mailcli.training import trackers
from mailcli.utils.progress import progress
from mailcli.utils.table_memory import table_bytes, table_memory

logger = logging.getLogger(__name__)

BaselineOf = Callable[[RunConfig], RunConfig]


@dataclass(frozen=True)
class TableRuns:
    """The runs that a table needs, with baselines; those of trivial rows are finished."""

    dataset: Dataset
    folders: RunLayout
    by_config: Mapping[str, RunFolder]
    """By the `key` of their config."""

    @property
    def of_networks(self) -> list[RunFolder]:
        """All but those of trivial rows."""
        return [run for run in self.by_config.values() if not plugins.is_trivial(run.config.ranker)]

    def missing(self, checkpoint_minutes: float | None) -> list[Task]:
        """A task for each unfinished run, with the minutes between two checkpoints (None: the default)."""
        unfinished = [run for run in self.of_networks if run.result is None]
        return [Task(run.config, self.dataset.folder, self.folders, checkpoint_minutes) for run in unfinished]


def make_rows(
    configs: Iterable[RunConfig],
    seeds: Iterable[int],
    dataset: Dataset,
    runs: Path | RunLayout,
    checkpoint_minutes: float | None = None,
    jobs: int | None = None,
    trainer: Callable[[Sequence[Task]], None] | None = None,
) -> list[Row]:
    """Rows for cells, each with its baseline: the same ranker without a method, same seed, hence same new users.

    Args:
        configs: the cells, with any seed.
        seeds: the seeds of every row.
        dataset: the dataset.
        runs: folder of the runs.
        checkpoint_minutes: between two checkpoints of a training; None for the default.
        jobs: how many runs to train at once; None for as many as cores and memory allow.
        trainer: trains the missing runs; also called when none is missing. None for processes of this machine.

    Raises:
        MailError: a run cannot be made, or has failed; the others are finished by then.
        Interrupted: by Ctrl-C; what is done is kept.
    """
    folders = runs if isinstance(runs, RunLayout) else RunLayout(runs)
    configs, seeds = list(configs), tuple(seeds)
    table = table_runs(configs, seeds, dataset, folders)
    if trainer:
        trackers.note_reused(table.of_networks)
        trainer(table.missing(checkpoint_minutes))
    else:
        train_missing([table], checkpoint_minutes, jobs)
    return finished_rows(table, configs, seeds, RunConfig.baseline)


def table_runs(
    configs: Sequence[RunConfig],
    seeds: Sequence[int],
    dataset: Dataset,
    folders: RunLayout,
    baseline_of: BaselineOf = RunConfig.baseline,
) -> TableRuns:
    """Find the runs of a table, and fit those of trivial rows; other arguments and errors as `make_rows`.

    `baseline_of` gives the cell that a cell is compared with, of the same seed.

    Trivial rows come first: they take seconds, or minutes on millions of impressions, and a dataset that does not suit
    one is refused before hours of training.
    """
    needed = with_baselines(configs, seeds, baseline_of)
    runs = {config.key: folders.find(config, dataset) for config in needed}
    trivial = [run.config for run in runs.values() if plugins.is_trivial(run.config.ranker)]
    if trivial:
        with progress("fitting trivial rows", len(trivial), "rows") as advance:
            for config in trivial:
                train_if_missing(config, dataset, folders)
                advance(1)
    return TableRuns(dataset, folders, runs)


def train_missing(tables: Sequence[TableRuns], checkpoint_minutes: float | None, jobs: int | None) -> None:
    """Train the missing runs of some tables in processes of this machine; arguments and errors as `make_rows`.

    The tables share the processes, so that none is idle while the last run of a table ends. The first seeds of all
    tables are complete early.
    """
    trackers.note_reused(run for table in tables for run in table.of_networks)
    tasks = sorted(
        (task for table in tables for task in table.missing(checkpoint_minutes)), key=lambda task: task.config.seed
    )
    if not tasks:
        return
    # Computed from all runs, not from the missing ones: the number of threads decides the last bits of a result,
    # and a run that is trained again should give the same result.
    memory = max(run_memory(run.config, table.dataset) for table in tables for run in table.of_networks)
    runs = [run for table in tables for run in table.of_networks]
    jobs, threads_per_run = jobs_and_threads(len(runs), memory, jobs)
    if len(runs) > 1:
        _log_progress(runs, jobs)
    train_all(tasks, jobs, threads_per_run)


def finished_rows(
    table: TableRuns, configs: Sequence[RunConfig], seeds: Sequence[int], baseline_of: BaselineOf
) -> list[Row]:
    """The rows of a table whose runs are all finished; arguments as `make_rows`.

    Raises:
        MailError: the dataset has changed since it was opened, or a run was deleted or replaced since it was found.
    """
    # Each run opens the dataset itself: a table is of one version of it.
    table.dataset.check_files()
    # While missing runs are trained, nothing protects the finished ones from other processes.
    for run in table.by_config.values():
        if not still_holds(run):
            raise MailError(
                f"{run.folder}: was deleted or replaced while the table was made. Run the same command again."
            )
    return [make_row(config, tuple(seeds), table.by_config, baseline_of) for config in configs]


def with_baselines(
    configs: Sequence[RunConfig], seeds: Sequence[int], baseline_of: BaselineOf = RunConfig.baseline
) -> list[RunConfig]:
    """Each config and its baseline with each seed, once; seed by seed, so that the first seeds are complete early."""
    configs = [replace(x, seed=seed) for seed in seeds for config in configs for x in (baseline_of(config), config)]
    return list({config.key: config for config in configs}.values())


def run_memory(config: RunConfig, dataset: Dataset) -> int:
    """About what a run takes, in bytes: the table with its optimizer, and 2 GB (ours: benchmarks/RESULTS.md)."""
    table = table_bytes(sum(dataset.vocabulary_sizes.values()), config.embedding_dim)
    return 2 * 10**9 + min(table, table_memory() or table)


def _log_progress(runs: Sequence[RunFolder], jobs: int) -> None:
    """Report how many runs are finished and how many are left."""
    finished = sum(run.result is not None for run in runs)
    begun = sum(run.has_begun and run.result is None for run in runs)
    counts = [f"{finished} finished"]
    counts += [f"{begun} to resume"] if begun else []
    counts.append(f"{len(runs) - finished - begun} to train")
    unfinished = len(runs) - finished
    at_once = f"; {min(jobs, unfinished)} at once" if unfinished else ""
    logger.info(f"{len(runs)} runs: {', '.join(counts)}{at_once}.")


def make_row(
    config: RunConfig,
    seeds: tuple[int, ...],
    runs: Mapping[str, RunFolder],
    baseline_of: BaselineOf = RunConfig.baseline,
) -> Row:
    """The row of a cell whose runs are all finished.

    Args:
        config: the cell, with any seed.
        seeds: the seeds of the row.
        runs: by the `key` of their config; the baseline's runs, too.
        baseline_of: the cell that it is compared with.
    """

    def results(cell: RunConfig) -> tuple[Result, ...]:
        return tuple(result_of(runs[replace(cell, seed=seed).key]) for seed in seeds)

    return Row(config, seeds, results(config), results(baseline_of(config)) if config.cold_start != "none" else None)
