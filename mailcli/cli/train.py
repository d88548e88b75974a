"""One cell, trained and evaluated."""

from __future__ import annotations

import logging
import os
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import click

from mailcli.cli._options import (
    COLD_START,
    FORMAT,
    RANKER,
    VARIANT,
    check_form,
    print_tables,
    print_text_tables,
    run_options,
)
from mailcli.cli._resolve import resolve
from mailcli.config import parse_settings
from mailcli.errors import MailError
from mailcli.experiments.executors.cluster import TIMEOUT, parse

logger = logging.getLogger(__name__)


@click.command(short_help="Train a ranker with a cold-start method.")
@COLD_START
@VARIANT
@click.option("--seed", type=int, help="Decides new users, initialization, order and dropout. [default: 0]")
@click.option(
    "--continue",
    "parent",
    type=click.Path(path_type=Path),
    metavar="RUN",
    help="Go on with a finished run on the dataset of the next day (--data): its settings, weights and moments, its "
    "table extend_numbering by the new ids. Forgetting and gain are shown for both days.",
)
@click.option(
    "--workers",
    metavar="HOST:PORT,...",
    help="Train with so many machines, each with this command and its own --index; the first writes the run's folder "
    "and prints the table. Or by the variable TF_CONFIG.",
)
@click.option("--index", type=int, metavar="I", help="Which of --workers this is, from 0.")
@click.option(
    "--worker-timeout",
    type=float,
    default=TIMEOUT,
    show_default=True,
    metavar="SECONDS",
    help="How long workers wait for one another.",
)
@click.option("--devices", metavar="N|all", help="Graphics cards of this machine to train on. [default: one]")
@RANKER
@FORMAT
@run_options
def train(
    parent: Path | None,
    cold_start: str | None,
    variant: str | None,
    seed: int | None,
    data_dir: Path,
    runs: Path,
    minutes: float | None,
    form: str,
    workers: str | None,
    index: int | None,
    worker_timeout: float,
    devices: str | None,
    **options: Any,
) -> None:
    """Train a ranker with a cold-start method, evaluate it on test, print the table.

    The same ranker alone is trained too, or reused, so that RI can be shown. A finished run is reused.
    """
    check_form(form)
    cluster = parse(workers, index, worker_timeout, os.environ)
    if parent is not None:
        if cluster or devices is not None:
            raise MailError(
                "--continue trains in one process on one device. Leave out --workers, --devices and the variable "
                "TF_CONFIG."
            )
        given = {"cold_start": cold_start, "variant": variant, "seed": seed, **options}
        _continue(parent, given, data_dir, runs, minutes, form)
        return
    from mailcli.experiments.executors.distributed import OnDevices, OnWorkers, parse_devices
    from mailcli.experiments.matrix import make_rows
    from mailcli.reporting.tables import make_table

    # Before the dataset is looked for, as all that is typed.
    asked = parse_devices(devices)
    config, dataset = resolve(data_dir, cold_start=cold_start, seed=seed, variant=variant, **options)

    configs = [config] if config.cold_start == "none" else [config.baseline(), config]
    trainer: OnWorkers | OnDevices | None = None
    if cluster:
        trainer = OnWorkers(cluster, asked, config, dataset)
        if not trainer.is_chief:
            done = trainer.follow(configs, dataset)
            logger.info(f"{cluster.name(cluster.index)}: finished, {done} runs. {cluster.name(0)} has them.")
            return
    elif devices is not None:
        trainer = OnDevices(asked)
    # One after the other, on all cores.
    with trainer.refusals_told() if isinstance(trainer, OnWorkers) else nullcontext():
        rows = make_rows(configs, [config.seed], dataset, runs, minutes, jobs=1, trainer=trainer)
    print_tables([make_table(rows, f"{config.cell} on {config.data}")], form)


def _continue(
    parent: Path, given: dict[str, Any], data_dir: Path, runs: Path, minutes: float | None, form: str
) -> None:
    """`--continue`; `given` are all other options, None where not given."""
    from mailcli.experiments.retraining.run import continue_run
    from mailcli.experiments.retraining.table import retraining_table

    data, settings = given.pop("data"), given.pop("settings")
    changes = {name: given.pop(name) for name in ("precision", "eval_every")}
    wrong = ["config" if name == "file" else name for name, value in given.items() if value is not None]
    if wrong:
        names = ", ".join(f"--{name.replace('_', '-')}" for name in wrong)
        raise MailError(f"--continue takes the settings of {parent}. Leave out {names}.")
    asked = {key: value for key, value in changes.items() if value is not None}
    run = continue_run(parent, data, {**asked, **parse_settings(settings)}, data_dir, runs, minutes)
    print_text_tables(retraining_table(run, parent), form)
