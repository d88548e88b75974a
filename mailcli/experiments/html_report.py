"""Experiments and run folders -> the sections of `mail report`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mailcli.errors import MailError
from mailcli.experiments.archive import archive_runs
from mailcli.experiments.experiment import Experiment
from mailcli.experiments.experiment_file import read_experiment
from mailcli.experiments.grid import archive_worlds
from mailcli.reporting.captions import table_titles
from mailcli.reporting.map_table import map_tables
from mailcli.reporting.plots.map import map_caption
from mailcli.reporting.report.content import ReportSection
from mailcli.reporting.report.section import ReportRows, section_of_rows, section_of_worlds
from mailcli.reporting.rescore import group_by_table
from mailcli.reporting.rows import METRICS, Row, result_of, row_of
from mailcli.reporting.tables import make_table
from mailcli.reporting.warm_up import check_known
from mailcli.reporting.warm_up_table import WarmUpLine, measure_lines
from mailcli.runs.folder import RunFolder
from mailcli.runs.origin import check_same_origin
from mailcli.runs.selection import finished_runs, runs_in


@dataclass(frozen=True)
class ReportOptions:
    """What `mail report` is asked for."""

    runs: Path
    """Folder of the runs."""
    data_dir: Path
    """Folder of the datasets; read only to measure the warm-up."""
    columns: Sequence[str] = METRICS
    """The metrics to show."""
    known: Sequence[int] = ()
    """Numbers of known behaviors to measure the warm-up at; none for no warm-up."""
    data: str | None = None
    """The dataset that experiments were run on instead of their own."""
    seeds: int | None = None
    """The number of seeds of experiments; None for their own."""


def make_report(sources: Sequence[Path], options: ReportOptions) -> list[ReportSection]:
    """A section for each experiment, and then one for each dataset, protocol and shared settings of the other runs.

    Args:
        sources: files of experiments, folders of runs, and folders that hold runs; none for all runs in `options.runs`.
        options: what to show of them.

    Raises:
        MailError: a file or folder is missing or faulty, a run is missing, the warm-up cannot be measured, or --columns
            or --known is given for a grid, whose table has columns of its own.
    """
    files = [source for source in sources if is_experiment(source)]
    folders = [source for source in sources if source not in files]
    if not files and (options.data or options.seeds is not None):
        raise MailError("--data and --seeds are of an experiment. Name its FILE, or leave them out.")
    experiments = [read_experiment(path).with_options(options.data, options.seeds) for path in files]
    runs = [run for folder in folders for run in runs_in(folder)] if sources else finished_runs(options.runs)
    sections = [
        _experiment_section(experiment, f"s{number}", options) for number, experiment in enumerate(experiments, start=1)
    ]
    return sections + _run_sections(runs, options, len(experiments) + 1)


def is_experiment(source: Path) -> bool:
    """Whether a path names the file of an experiment, and not a folder; it need not exist."""
    return source.is_file() or source.suffix == ".toml"


def _experiment_section(experiment: Experiment, name: str, options: ReportOptions) -> ReportSection:
    """The section of an experiment, whose runs are all finished."""
    if experiment.grid:
        if options.known or options.columns != METRICS:
            raise MailError(
                f"{experiment.path}: the table of a grid has columns of its own. Leave out --columns and --known."
            )
        worlds, runs = archive_worlds(experiment, options.runs, options.runs)
        of_grid = map_tables(worlds, f"{experiment.title}, simulated")
        return section_of_worlds(worlds, runs, of_grid, map_caption(runs), name, experiment.reading, experiment.command)
    rows, runs = archive_runs(experiment, options.runs, options.runs)
    tables = experiment.tables(rows, (runs[0].result or {})["dataset"], options.columns)
    by_config = {run.config.key: run for run in runs}
    by_row = [[by_config[replace(row.config, seed=seed).key] for seed in row.seeds] for row in rows]
    warm_up = _warm_up(list(zip(rows, by_row, strict=True)), options)
    return section_of_rows(ReportRows(rows, runs, warm_up), tables, name, experiment.reading, experiment.command)


def _run_sections(runs: Sequence[RunFolder], options: ReportOptions, first: int) -> list[ReportSection]:
    """The sections of some runs, numbered from `first`."""
    tables = [
        [(row_of([(run, result_of(run)) for run in runs_of_row]), runs_of_row) for runs_of_row in table]
        for table in group_by_table(runs)
    ]
    titles = table_titles([("Test metrics", [row.config for row, _ in table]) for table in tables])
    return [
        _run_section(table, title, f"s{number}", options)
        for number, (table, title) in enumerate(zip(tables, titles, strict=True), start=first)
    ]


def _run_section(
    rows_and_runs: Sequence[tuple[Row, Sequence[RunFolder]]], title: str, name: str, options: ReportOptions
) -> ReportSection:
    """The section of one table of runs that were trained one by one."""
    rows = [row for row, _ in rows_and_runs]
    runs = [run for _, runs_of_row in rows_and_runs for run in runs_of_row]
    check_same_origin(runs)
    report_rows = ReportRows(rows, runs, _warm_up(rows_and_runs, options))
    return section_of_rows(report_rows, [make_table(rows, title, columns=options.columns)], name)


def _warm_up(rows: Sequence[tuple[Row, Sequence[RunFolder]]], options: ReportOptions) -> list[WarmUpLine]:
    """The measurements of some rows with their runs; none if they are not asked for."""
    if not options.known:
        return []
    check_known(options.known, [run for _, runs in rows for run in runs])
    return measure_lines(rows, options.data_dir, options.known)
