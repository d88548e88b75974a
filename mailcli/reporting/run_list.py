"""`mail runs list`: a table of the runs of each dataset and protocol."""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from mailcli.errors import counted
from mailcli.reporting.rows import METRICS
from mailcli.reporting.text_table import TextTable, text_block
from mailcli.runs.environment import TIME_FORMAT
from mailcli.runs.inventory import DAMAGED, FINISHED, RUNNING, STOPPED, UNTESTED, ListedRun
from mailcli.utils.sizes import size_text

_HEAD = ("run", "status", "best", "new", "old", "size", "age")
_USERS = ("new", "old")
#: What can be done about an unfinished run.
_ADVICE = {
    RUNNING: "",
    STOPPED: "; the command that began it resumes it",
    UNTESTED: "; a trial of `mail tune`, which does not read the test split",
}
_UNITS = ((86400, "d"), (3600, "h"), (60, "m"), (1, "s"))


def run_list_tables(runs: Sequence[ListedRun], now: float) -> list[TextTable]:
    """A table for each folder that holds cells, in the order of the runs.

    Args:
        runs: those of a folder share neighboring places.
        now: seconds since 1970.
    """
    by_folder = groupby(runs, key=lambda run: run.folder.parent.parent)
    return [_table(folder, list(group), now) for folder, group in by_folder]


def _table(folder: Path, runs: Sequence[ListedRun], now: float) -> TextTable:
    lines = [
        [_name(run), run.status, *_numbers(run), size_text(run.bytes), age_text(now - run.changed)] for run in runs
    ]
    count = f"{counted(len(runs), 'run')}, {size_text(sum(run.bytes for run in runs))}"
    notes = [f"{count}; best: the best epoch; new, old: AUC and GAUC of these users in the test split"]
    notes += [f"{_name(run)}: {state_text(run)}" for run in runs if run.status != FINISHED]
    return TextTable(str(folder), _HEAD, (text_block("", lines),), tuple(notes), [record(run) for run in runs])


def _name(run: ListedRun) -> str:
    """Cell and seed: what follows the table's title in the path."""
    folder = run.folder.absolute()
    return f"{folder.parent.name}/{folder.name}"


def _numbers(run: ListedRun) -> list[str]:
    """The best epoch, and the metrics of new and of old users."""
    if run.result is None:
        return ["", "", ""]
    best = run.result.get("best_epoch")
    groups = [" ".join(_short(_metric(run, users, metric)) for metric in METRICS) for users in _USERS]
    return ["" if best is None else str(best), *groups]


def _metric(run: ListedRun, users: str, metric: str) -> float | None:
    value: float | None = (run.result or {}).get("test", {}).get(users, {}).get(metric)
    return value


def _short(value: float | None) -> str:
    """Three digits, so that a line fits 80 columns; `mail runs show` has four, and JSON all."""
    return "-" if value is None else f"{value:.3f}".removeprefix("0")


def state_text(run: ListedRun) -> str:
    """What has become of a run, and what can be done about it."""
    if run.status == FINISHED:
        return run.status
    if run.status == DAMAGED:
        return f"{DAMAGED}: {run.damage}"
    progress = "" if run.status == UNTESTED else f" at {run.progress}" if run.epoch else f", {run.progress}"
    return f"{run.status}{progress}{_ADVICE[run.status]}"


def age_text(seconds: float) -> str:
    """`3 d`: in whole units of the largest unit that fits; `0 s` if the clock was set back."""
    for unit, name in _UNITS:
        if seconds >= unit:
            return f"{int(seconds // unit)} {name}"
    return "0 s"


def time_text(seconds: float) -> str:
    """A time in UTC, as environment.json has it."""
    return time.strftime(TIME_FORMAT, time.gmtime(seconds))


def record(run: ListedRun) -> dict[str, Any]:
    """The run in a record of JSON or CSV."""
    config = run.config
    return {
        "run": str(run.folder),
        "dataset": config and config.data,
        "protocol": config and config.protocol,
        "ranker": config and config.ranker,
        "cold_start": config and config.cold_start,
        "cell": config and config.cell,
        "seed": config and config.seed,
        "status": run.status,
        "damage": run.damage or None,
        "epoch": run.epoch,
        "step": run.step,
        "best_epoch": (run.result or {}).get("best_epoch"),
        "epoch_cap": config and config.epochs,
        **{f"{users}_{metric}": _metric(run, users, metric) for users in _USERS for metric in METRICS},
        "bytes": run.bytes,
        "changed": time_text(run.changed),
    }
