"""`compare`: a table of several rankers and methods, as by `mail compare`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from mailcli import plugins
from mailcli.api.arguments import arguments_in_errors, as_kept_path, check_count, check_flags, check_minutes
from mailcli.api.definitions import plugin_name
from mailcli.api.messages import messages_shown
from mailcli.api.module_text import Definition
from mailcli.api.scripts import script_hidden
from mailcli.api.training import check_dataset
from mailcli.config import MOST_SEEDS, OPTION_TABLES
from mailcli.data.dataset import Dataset
from mailcli.errors import MailError, shorten
from mailcli.experiments.cells import RunLayout, config_on
from mailcli.experiments.estimate import announce
from mailcli.experiments.matrix import make_rows
from mailcli.experiments.plan import PlannedTable
from mailcli.experiments.shared_settings import share
from mailcli.reporting.paper import TABLE_2, TRIVIAL, row_settings
from mailcli.reporting.tables import make_table

if TYPE_CHECKING:
    import pandas as pd

Row = str | Definition | tuple[str | Definition, str | Definition | None]
"""A row's name, a ranker's class, or a ranker and a cold-start method (None for none, as for `train`)."""


def compare(
    data: Dataset,
    rows: Iterable[Row] = (*TRIVIAL, *TABLE_2),
    seeds: int = 3,
    runs: str | Path = "runs",
    *,
    jobs: int | None = None,
    checkpoint_minutes: float | None = None,
    overwrite: bool = False,
    quiet: bool = False,
    **settings: Any,
) -> pd.DataFrame:
    """Train several rows with several seeds and compare them on the test split, as `mail compare` does.

    Finished runs in the folder are reused, those of the command line, too.

    Args:
        data: the dataset, from `load`.
        rows: the paper's names (BaseDNN, MAIL-Base), trivial rows, `ranker+method`; a ranker's class, or a pair of a
            ranker and a cold-start method, each a name or a class.
        seeds: number of seeds, starting from 0.
        runs: folder of the runs.
        jobs: number of runs in parallel; None for as many as cores and memory allow, one core each.
        checkpoint_minutes: time between two checkpoints; None for the default.
        overwrite: whether runs are trained anew where their folders hold others, as for `train`.
        quiet: whether only warnings are shown, no notes or progress.
        settings: settings that all rows share, as for `train`; a row takes the options that its ranker or method has.

    Returns:
        A row for each group of users and model; see docs/python.md for the columns.

    Raises:
        MailError: a name or value is unknown or does not suit the dataset, or a run has failed.
        Interrupted: by Ctrl-C; what is done is kept.
    """
    from mailcli.api.frames import result_frame

    check_dataset(data)
    check_flags(overwrite=overwrite, quiet=quiet)
    check_count("seeds", seeds, MOST_SEEDS)
    if jobs is not None:
        check_count("jobs", jobs)
    if checkpoint_minutes is not None:
        check_minutes(checkpoint_minutes)
    _check_rows(rows, settings)
    with messages_shown(quiet), arguments_in_errors("runs", "jobs", "overwrite"):
        named_rows = [_names(row) for row in rows]
        if not named_rows:
            raise MailError("rows is empty. Expected names of rows, e.g. ['item-bias', 'BaseDNN', 'MAIL-Base'].")
        names, variants, row_labels = zip(*named_rows, strict=True)
        shares = share(settings, names)
        cells = [
            config_on(data, [row, own], variant) for row, own, variant in zip(names, shares, variants, strict=True)
        ]
        labels = {config.key: label for config, label in zip(cells, row_labels, strict=True)}
        configs = list({config.key: config for config in cells}.values())
        folders, numbers = RunLayout(as_kept_path("runs", runs), overwrite=overwrite), range(int(seeds))
        with script_hidden():
            announce([PlannedTable(configs, numbers, data, folders)], jobs)
            results = make_rows(configs, numbers, data, folders, checkpoint_minutes, jobs)
    named = [replace(row, name=labels[config.key]) for row, config in zip(results, configs, strict=True)]
    return result_frame(make_table(named, f"Comparison on {data.name}"))


def _check_rows(rows: object, settings: Mapping[str, Any]) -> None:
    """Refuse what is no list of rows, and settings that the rows or `seeds` give (MailError)."""
    if "seed" in settings:
        raise MailError("seed: the seeds of a table start at 0. Set their number with seeds.")
    for key in ("ranker", "cold_start"):
        if key in settings:
            raise MailError(f"{key} = {shorten(settings[key])}: the rows of a table name it. Leave it out.")
    if not isinstance(rows, Iterable):
        raise MailError(f"rows is {shorten(rows)}. Expected a list of rows, e.g. ['BaseDNN', 'MAIL-Base'].")
    if isinstance(rows, str):
        names = [name.strip() for name in rows.split(",")]
        raise MailError(f"rows is {shorten(rows)}. Expected a list of rows, e.g. {shorten(names)}.")


class _NamedRow(NamedTuple):
    """A row by the names of its ranker and method."""

    names: dict[str, str]
    variant: str | None
    label: str
    """Empty for a row that has only names."""


def _names(row: Row) -> _NamedRow:
    if isinstance(row, str):
        cell = row_settings(row)
        return _NamedRow({key: cell[key] for key in OPTION_TABLES}, cell.get("cold_start.variant"), "")
    if (isinstance(row, tuple) and len(row) != 2) or row is None or isinstance(row, list):
        raise MailError(f"{shorten(row)}: expected a ranker and a cold-start method, e.g. ('din', 'masked').")
    ranker, method = row if isinstance(row, tuple) else (row, None)
    method = "none" if method is None else method
    names = {
        "ranker": plugin_name(plugins.RANKERS, ranker),
        "cold_start": plugin_name(plugins.COLD_STARTS, method),
    }
    return _NamedRow(names, None, "+".join(_own_name(part) for part in (ranker, method) if part != "none"))


def _own_name(plugin: str | Definition) -> str:
    return plugin if isinstance(plugin, str) else plugin.__name__
