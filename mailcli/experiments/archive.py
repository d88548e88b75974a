"""The archive of an experiment: its runs' small files, from which tables are made without dataset or training."""

from __future__ import annotations

import filecmp
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from mailcli.config import RunConfig, differences, to_toml
from mailcli.errors import MailError
from mailcli.experiments.cells import RunLayout
from mailcli.experiments.experiment import Experiment
from mailcli.experiments.matrix import make_row, with_baselines
from mailcli.reporting.rows import Row
from mailcli.runs.checksums import SUMS, copy_sums
from mailcli.runs.folder import AUDIT, CONFIG, ENVIRONMENT, RESULT, RunFolder
from mailcli.runs.opening import open_run
from mailcli.runs.origin import check_same_origin
from mailcli.settings.option_defaults import spell_alike
from mailcli.utils.files import make_folder_atomically
from mailcli.utils.folder_lock import FolderLock
from mailcli.utils.paths import real_path
from mailcli.utils.system_errors import name_in_write_errors

#: Enough for tables, captions, and the summary of versions and times; not every run has an audit.
ARCHIVED = (CONFIG, ENVIRONMENT, AUDIT, RESULT)


def archive_runs(experiment: Experiment, runs: Path, archive: Path) -> tuple[list[Row], list[RunFolder]]:
    """The rows of an experiment and all runs behind them, with baselines, from the archive.

    The small files of finished runs in `runs` are copied to the archive, once all runs are known to fit.

    Args:
        experiment: the experiment.
        runs: folder of the runs; it need not exist.
        archive: folder of the archived runs, with the same subfolders as `runs`; if it is `runs`, nothing is copied.

    Raises:
        MailError: a run is in neither folder, has other settings, or is on another version of the dataset.
    """
    configs, folders = _locate(experiment, runs, archive)
    seeds = tuple(experiment.seed_numbers())
    baseline_of = experiment.baseline_of(configs)
    places = {
        config.key: (config, folders.folder_for(config) / config.run_path)
        for config in with_baselines(configs, seeds, baseline_of)
    }
    accepted: dict[str, RunFolder] = {}
    for key, (config, place) in places.items():
        # A run that was trained anew takes the place of its archived copy.
        folder = next((top / place for top in (runs, archive) if (top / place / RESULT).is_file()), None)
        if folder:
            accepted[key] = _open_checked(folder, config, experiment.path)
            if folder != archive / place:
                # A damaged file must not take the place of a kept one.
                _ = accepted[key].environment, accepted[key].audit
    missing = [place for key, (_, place) in places.items() if key not in accepted]
    if missing:
        searched = f"neither in {runs} nor in {archive}" if runs != archive else f"not in {runs}"
        raise MailError(
            f"{experiment.path}: {len(missing)} of {len(places)} runs are {searched}, for example {missing[0]}. Train "
            f"them with `{experiment.command}`."
        )
    check_same_origin(list(accepted.values()))
    archived = {key: _archived(accepted[key], archive / place) for key, (_, place) in places.items()}
    rows = experiment.name_rows([make_row(config, seeds, archived, baseline_of) for config in configs])
    return rows, list(archived.values())


def _locate(experiment: Experiment, runs: Path, archive: Path) -> tuple[list[RunConfig], RunLayout]:
    """The rows' configs and the places of their runs in either folder; on the real dataset if that was used."""
    for data in experiment.datasets:
        configs, shared = experiment.configs(data, _history(experiment, data, runs, archive))
        folders = RunLayout(Path(), shared)
        first = _first_run(experiment, folders, configs[0])
        if (runs / first / RESULT).is_file() or (archive / first / RESULT).is_file():
            break
    return configs, folders


def _history(experiment: Experiment, data: str, runs: Path, archive: Path) -> int:
    """n_v where an experiment leaves it to the dataset: the default, or less if the dataset has less.

    The dataset need not be there: the first run of a row that does not set n_v has it. The others must agree.
    """
    configs, shared = experiment.configs(data, RunConfig.history)
    folders = RunLayout(Path(), shared)
    for row, config in zip(experiment.rows, configs, strict=True):
        place = _first_run(experiment, folders, config)
        for run in (runs / place, archive / place):
            if "history" not in row and (run / RESULT).is_file():
                return min(open_run(run).config.history, RunConfig.history)
    return RunConfig.history


def _first_run(experiment: Experiment, folders: RunLayout, config: RunConfig) -> Path:
    """The place of the first seed's run of a row."""
    return folders.folder_for(config) / replace(config, seed=experiment.first_seed).run_path


def _archived(run: RunFolder, archive: Path) -> RunFolder:
    """The archived copy of a finished run, made if it is missing or differs: its small files and their checksums."""
    if real_path(run.folder) == real_path(archive):
        return run
    names = [name for name in ARCHIVED if (run.folder / name).is_file()]
    archived = [name for name in ARCHIVED if (archive / name).is_file()]
    same, _, _ = filecmp.cmpfiles(run.folder, archive, names, shallow=False)
    if not (same == names == archived and (archive / SUMS).is_file()):
        _copy(run.folder, archive, names)
    return open_run(archive)


def _copy(run: Path, archive: Path, names: Sequence[str]) -> None:
    """Copy some files of a run and their checksums, in place of what is archived."""
    # At once, so that an interruption leaves the run that was archived earlier whole.
    lock = FolderLock(archive, f"{archive}: another `mail` process is archiving this run. Wait for it.")
    with lock, make_folder_atomically(archive, replace=True) as folder:
        for name in names:
            with name_in_write_errors(archive / name, folder / name):
                (folder / name).write_bytes((run / name).read_bytes())
        copy_sums(run, folder, ARCHIVED)


def _open_checked(folder: Path, config: RunConfig, experiment: Path) -> RunFolder:
    """A finished run; refused if it has another config than a row of the experiment's file (MailError)."""
    run = open_run(folder)
    differ = differences(spell_alike(to_toml(run.config)), spell_alike(to_toml(config)))
    if differ:
        raise MailError(
            f"{folder}: has other settings than {experiment} ({'; '.join(differ)}). Set these as they were, "
            "name another --runs folder, or delete the run and train it again."
        )
    return run
