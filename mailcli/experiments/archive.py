"""The archive of an experiment: its runs' small files, from which tables are made without dataset or training."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

from mailcli.config import RunConfig, differences, to_toml
from mailcli.errors import MailError
from mailcli.experiments.cells import RunFolders
from mailcli.experiments.matrix import make_row, with_baselines
from mailcli.experiments.plan import Plan
from mailcli.reporting.rows import Row
from mailcli.runs.checksums import copy_sums
from mailcli.runs.folder import AUDIT, CONFIG, ENVIRONMENT, RESULT, Run, check_finished_files
from mailcli.runs.registry import check_same_origin, open_run
from mailcli.utils.files import replace_file

#: Enough for tables, captions, and the summary of versions and times; not every run has an audit.
ARCHIVED = (CONFIG, ENVIRONMENT, AUDIT, RESULT)


def archive_runs(plan: Plan, runs: Path, archive: Path) -> tuple[list[Row], list[Run]]:
    """The rows of an experiment and all runs behind them, with baselines, from the archive.

    The small files of finished runs in `runs` are copied to the archive first.

    Args:
        plan: the experiment.
        runs: folder of the runs; it need not exist.
        archive: folder of the archived runs, with the same subfolders as `runs`; if it is `runs`, nothing is copied.

    Raises:
        MailError: a run is in neither folder, has other settings, or is on another version of the dataset.
    """
    configs, folders = _locate(plan, runs, archive)
    seeds = tuple(plan.seed_numbers())
    archived: dict[str, Run] = {}
    missing: list[Path] = []
    baseline_of = plan.baseline_of(configs)
    for config in with_baselines(configs, seeds, baseline_of):
        place = folders.runs_folder(config) / config.run_path
        _copy(runs / place, archive / place)
        if (archive / place / RESULT).is_file():
            archived[config.key] = _open_checked(archive / place, config)
        else:
            missing.append(place)
    if missing:
        places = f"neither in {runs} nor in {archive}" if runs != archive else f"not in {runs}"
        raise MailError(
            f"{plan.path}: {len(missing)} of {len(missing) + len(archived)} runs are {places}, for example "
            f"{missing[0]}. Train them with `{plan.command}`."
        )
    check_same_origin(list(archived.values()))
    rows = plan.name_rows([make_row(config, seeds, archived, baseline_of) for config in configs])
    return rows, list(archived.values())


def _locate(plan: Plan, runs: Path, archive: Path) -> tuple[list[RunConfig], RunFolders]:
    """The rows' configs and the places of their runs in either folder; on the real dataset if that was used."""
    for data in plan.datasets:
        configs, shared = plan.configs(data, _history(plan, data, runs, archive))
        folders = RunFolders(Path(), shared)
        first = _first_run(plan, folders, configs[0])
        if (runs / first / RESULT).is_file() or (archive / first / RESULT).is_file():
            break
    return configs, folders


def _history(plan: Plan, data: str, runs: Path, archive: Path) -> int:
    """n_v where an experiment leaves it to the dataset: the default, or less if the dataset has less.

    The dataset need not be there: the first run of a row that does not set n_v has it. The others must agree.
    """
    configs, shared = plan.configs(data, RunConfig.history)
    folders = RunFolders(Path(), shared)
    for row, config in zip(plan.rows, configs, strict=True):
        place = _first_run(plan, folders, config)
        for run in (runs / place, archive / place):
            if "history" not in row and (run / RESULT).is_file():
                return min(open_run(run).config.history, RunConfig.history)
    return RunConfig.history


def _first_run(plan: Plan, folders: RunFolders, config: RunConfig) -> Path:
    """The place of the first seed's run of a row."""
    return folders.runs_folder(config) / replace(config, seed=plan.first_seed).run_path


def _copy(run: Path, archive: Path) -> None:
    """Copy a finished run's small files and their checksums, the result last: it marks the run as finished."""
    if not (run / RESULT).is_file() or run.resolve() == archive.resolve():
        return
    # Before what was archived earlier is replaced.
    check_finished_files(run)
    archive.mkdir(parents=True, exist_ok=True)
    for name in ARCHIVED[:-1]:
        if name == AUDIT and not (run / name).is_file():
            (archive / name).unlink(missing_ok=True)
            continue
        _copy_file(run / name, archive / name)
    copy_sums(run, archive, ARCHIVED)
    _copy_file(run / RESULT, archive / RESULT)


def _copy_file(source: Path, target: Path) -> None:
    with replace_file(target) as partial:
        shutil.copyfile(source, partial)


def _open_checked(folder: Path, config: RunConfig) -> Run:
    """An archived run; refused if it has another config (MailError)."""
    run = open_run(folder)
    differ = differences(to_toml(run.config), to_toml(config))
    if differ:
        raise MailError(
            f"{folder}: has other settings than the experiment ({'; '.join(differ)}). Delete it and run again."
        )
    return run
