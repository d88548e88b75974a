"""`mail train`: one cell, trained and evaluated."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mailcli import plugins
from mailcli.cli._begin import DRY_RUN, announce_work, print_plan
from mailcli.cli._completion import complete_runs, plugin_names
from mailcli.cli._options import COLD_START, OVERWRITE, RANKER_HELP, RUN_OPTIONS, VARIANT
from mailcli.cli._resolve import given_settings, resolve
from mailcli.cli._tables import COLUMNS, FORMAT, check_columns, check_form, print_tables, print_text_tables
from mailcli.cli._types import path_option
from mailcli.config import parse_settings
from mailcli.errors import MailError, counted, quoted
from mailcli.experiments.executors.cluster import TIMEOUT, Cluster, parse_cluster

if TYPE_CHECKING:
    from mailcli.config import RunConfig
    from mailcli.experiments.executors.replicas import Devices
    from mailcli.experiments.plan import PlannedTable
    from mailcli.reporting.rows import Row

logger = logging.getLogger(__name__)


@click.command(short_help="Train a ranker with a cold-start method.")
@COLD_START
@VARIANT
@click.option(
    "--seed", type=int, help="Random seed: draw of new users, initialization, shuffling, dropout. [default: 0]"
)
@path_option(
    "--continue",
    "parent",
    metavar="RUN",
    shell_complete=complete_runs,
    text="Continue a finished run on the next day's dataset (--data), keeping settings, weights and optimizer state; "
    "new ids extend its embedding table. Forgetting and gain are shown for both days.",
)
@click.option(
    "--workers",
    metavar="HOST:PORT,...",
    help="Train on several machines: run this command on each with its own --index. The first writes the run's folder "
    "and prints the table. TF_CONFIG works as well.",
)
@click.option("--index", type=int, metavar="I", help="Index of this machine in --workers, from 0.")
@click.option(
    "--worker-timeout",
    type=float,
    default=TIMEOUT,
    show_default=True,
    metavar="SECONDS",
    help="How long workers wait for each other.",
)
@click.option("--devices", metavar="N|all", help="Number of this machine's GPUs to train on. [default: 1]")
@DRY_RUN
@OVERWRITE
@click.option(
    "--ranker",
    metavar="NAME",
    shell_complete=plugin_names(plugins.RANKERS, plugins.TRIVIAL_ROWS),
    help=f"{RANKER_HELP}; or a trivial row, fitted without a network: {quoted(plugins.names(plugins.TRIVIAL_ROWS))}. "
    "[default: base]",
)
@FORMAT
@COLUMNS
@RUN_OPTIONS
def train(
    parent: Path | None,
    cold_start: str | None,
    variant: str | None,
    seed: int | None,
    data_dir: Path,
    runs: Path,
    checkpoint_minutes: float | None,
    form: str,
    columns: str | None,
    workers: str | None,
    index: int | None,
    worker_timeout: float,
    devices: str | None,
    dry_run: bool,
    overwrite: bool,
    **options: Any,
) -> None:
    """Train a ranker with a cold-start method, evaluate it on the test split, and print the table.

    The same ranker without a method is trained as well, since RI is relative to it. Finished runs are reused.
    """
    check_form(form, dry_run)
    metric_columns = check_columns(columns, dry_run)
    cluster = parse_cluster(workers, index, worker_timeout, os.environ)
    _check_distributed(parent, dry_run, is_distributed=bool(cluster) or devices is not None)
    if parent is not None:
        cell = {"cold_start": cold_start, "variant": variant, "seed": seed}
        _continue(parent, {**cell, "columns": columns, **options}, data_dir, runs, checkpoint_minutes, form, overwrite)
        return
    from mailcli.experiments.cells import RunLayout
    from mailcli.experiments.executors.replicas import parse_devices
    from mailcli.experiments.matrix import make_rows, with_baselines
    from mailcli.experiments.plan import PlannedTable
    from mailcli.reporting.tables import make_table

    # Checked before the dataset is looked up, like all other options.
    gpus = parse_devices(devices)
    config, dataset = resolve(data_dir, cold_start=cold_start, seed=seed, variant=variant, **options)
    folders, seeds = RunLayout(runs, overwrite=overwrite), [config.seed]
    table = PlannedTable(with_baselines([config], seeds), seeds, dataset, folders)
    if dry_run:
        print_plan([config.cell], [table], jobs=1)
        return
    rows: list[Row] | None
    if cluster or devices is not None:
        rows = _rows_on_replicas(config, table, cluster, gpus, checkpoint_minutes)
    else:
        announce_work([table], jobs=1)
        # One run after the other, each on all cores.
        rows = make_rows(table.configs, seeds, dataset, folders, checkpoint_minutes, jobs=1)
    if rows:
        print_tables([make_table(rows, f"{config.cell} on {config.data}", columns=metric_columns)], form)


def _rows_on_replicas(
    config: RunConfig, table: PlannedTable, cluster: Cluster | None, gpus: Devices, checkpoint_minutes: float | None
) -> list[Row] | None:
    """Train on several machines or devices.

    Args:
        config: the requested cell.
        table: it and its baseline.
        cluster: the machines; None for this one.
        gpus: the GPUs of this machine.
        checkpoint_minutes: time between checkpoints.

    Returns:
        The rows of the table; None on all machines but the first, which has the results.

    Raises:
        MailError: the cell is a trivial row, or cannot be trained this way.
    """
    from mailcli.data.last_used import remember
    from mailcli.experiments.executors.distributed import ClusterTrainer, MultiGpuTrainer
    from mailcli.experiments.matrix import make_rows

    if plugins.is_trivial(config.ranker):
        raise MailError(
            f"'{config.ranker}' is a trivial row, fitted by one process. Leave out --workers and --devices, "
            "and unset TF_CONFIG."
        )
    needed = (table.configs, table.seeds, table.dataset, table.folders, checkpoint_minutes)
    if not cluster:
        remember(table.dataset)
        return make_rows(*needed, trainer=MultiGpuTrainer(gpus))
    trainer = ClusterTrainer(cluster, gpus, config, table.dataset)
    if not trainer.is_chief:
        trained = counted(trainer.follow(table.configs, table.dataset), "run")
        logger.info(f"{cluster.name(cluster.index)}: finished, {trained}. {cluster.name(0)} has the results.")
        return None
    remember(table.dataset)
    with trainer.errors_reported():
        return make_rows(*needed, trainer=trainer)


def _check_distributed(parent: Path | None, dry_run: bool, is_distributed: bool) -> None:
    """Refuse options that do not go together (MailError).

    Args:
        parent: the run to continue, if any.
        dry_run: whether training is only estimated.
        is_distributed: whether it has several machines or devices.
    """
    if dry_run and (parent is not None or is_distributed):
        raise MailError(
            "--dry-run: only training from the start in one process on one device is estimated. Leave out --continue, "
            "--workers and --devices, and unset TF_CONFIG."
        )
    if parent is not None and is_distributed:
        raise MailError(
            "--continue trains in one process on one device. Leave out --workers and --devices, and unset TF_CONFIG."
        )


def _continue(
    parent: Path,
    options: dict[str, Any],
    data_dir: Path,
    runs: Path,
    checkpoint_minutes: float | None,
    form: str,
    overwrite: bool,
) -> None:
    """`mail train --continue`.

    Args:
        parent: folder of the run to continue.
        options: all other options by name, None if not set.
        data_dir: folder of the datasets.
        runs: folder of the runs.
        checkpoint_minutes: time between checkpoints.
        form: format of the table.
        overwrite: the value of --overwrite.
    """
    from mailcli.experiments.retraining.run import continue_run
    from mailcli.experiments.retraining.table import retraining_table

    data, settings = options.pop("data"), options.pop("settings")
    allowed = {name: options.pop(name) for name in ("precision", "eval_every")}
    if options.pop("columns") is not None:
        raise MailError("--columns: the table of a continued run has columns of its own. Leave it out.")
    refused = ["config" if name == "file" else name for name, value in options.items() if value is not None]
    if refused:
        names = ", ".join(f"--{name.replace('_', '-')}" for name in refused)
        raise MailError(f"--continue keeps the settings of {parent}. Leave out {names}.")
    overrides = parse_settings(settings)
    changes = {**given_settings(allowed, overrides), **overrides}
    run = continue_run(parent, data, changes, data_dir, runs, checkpoint_minutes, overwrite)
    print_text_tables(retraining_table(run, parent), form)
