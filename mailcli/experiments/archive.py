"""The small files of an experiment's finished runs, kept so that its tables can be made without dataset or training."""

from __future__ import annotations

import shutil
from pathlib import Path

from mailcli.config import RunConfig, differences, to_toml
from mailcli.errors import MailError
from mailcli.experiments.cells import Folders
from mailcli.experiments.matrix import row, with_baselines
from mailcli.experiments.plan import Plan
from mailcli.reporting.rows import Row
from mailcli.training.run_folder import CONFIG, ENVIRONMENT, RESULT, Run
from mailcli.training.run_registry import open_run
from mailcli.utils.files import write_atomically
from mailcli.utils.parsing import read_toml

#: What tables, captions and the account of versions and times are made of.
KEPT = (CONFIG, ENVIRONMENT, RESULT)


def keep(plan: Plan, runs: Path, kept: Path) -> tuple[list[Row], list[Run]]:
    """The rows of an experiment and all runs behind them, baselines too, from a folder of kept results.

    Runs that the folder of runs holds finished are copied into it before, their small files alone.

    Args:
        plan: the experiment.
        runs: folder of the runs; it need not be there.
        kept: folder of the kept results, with the same places in it as in `runs`.

    Raises:
        MailError: a run is in neither folder, has other settings, or is of another version of the dataset.
    """
    configs, folders = _places(plan, runs, kept)
    seeds = tuple(range(plan.seeds))
    found: dict[str, Run] = {}
    missing: list[Path] = []
    for config in with_baselines(configs, seeds):
        place = folders.of(config) / config.run_path
        _copy(runs / place, kept / place)
        if (kept / place / RESULT).is_file():
            found[repr(config)] = _checked(kept / place, config)
        else:
            missing.append(place)
    if missing:
        raise MailError(
            f"{plan.path}: {len(missing)} of {len(missing) + len(found)} runs are neither in {runs} nor in {kept}, "
            f"{missing[0]} for one. `mail run {plan.path}` makes them."
        )
    _check_dataset(list(found.values()))
    return [row(config, seeds, found) for config in configs], list(found.values())


def _places(plan: Plan, runs: Path, kept: Path) -> tuple[list[RunConfig], Folders]:
    """The configs of the rows, and where their runs are in either folder; on the real dataset where that was used."""
    for data in plan.datasets:
        configs, shared = plan.configs(data, RunConfig.history)
        folders = Folders(Path(), shared)
        first = folders.of(configs[0]) / configs[0].run_path
        if (runs / first / RESULT).is_file() or (kept / first / RESULT).is_file():
            break
    return configs, folders


def _copy(run: Path, kept: Path) -> None:
    """Copy a finished run's small files, the result last: it marks the run as finished."""
    if not (run / RESULT).is_file() or run.resolve() == kept.resolve():
        return
    kept.mkdir(parents=True, exist_ok=True)
    for name in KEPT:
        with write_atomically(kept / name) as partial:
            shutil.copyfile(run / name, partial)


def _checked(folder: Path, config: RunConfig) -> Run:
    """A kept run, refused when it is not of the config (MailError)."""
    run = open_run(folder)
    differ = differences(to_toml(run.config), to_toml(config))
    if differ:
        raise MailError(
            f"{folder}: is of other settings than the experiment ({'; '.join(differ)}). Delete it and run again."
        )
    return run


def _check_dataset(runs: list[Run]) -> None:
    """Refuse a table of runs on two versions of a dataset (MailError)."""
    version = {run.folder: read_toml(run.folder / CONFIG).get("dataset_sha256") for run in runs}
    first = runs[0].folder
    for folder, found in version.items():
        if found != version[first]:
            raise MailError(
                f"{first} and {folder} are of two versions of the dataset '{runs[0].config.data}'. Delete one of them "
                "and run again."
            )
