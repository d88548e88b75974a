"""The config and dataset that a command line asks for."""

from __future__ import annotations

import logging
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mailcli import plugins
from mailcli.config import VARIANTS, Options, RunConfig, make_config, parse_settings
from mailcli.errors import MailError, did_you_mean, quoted
from mailcli.utils.hardware import has_bfloat16

if TYPE_CHECKING:
    pass

logger = logging.getLogger(__name__)


def resolve_rows(
    rows: list[dict[str, Any]], seeds: int, data_dir: Path, options: dict[str, Any]
) -> tuple[list[RunConfig], Any]:
    """The checked configs of a table's rows, seed 0, and their dataset.

    Args:
        rows: a ranker, cold-start method and variant each.
        seeds: how many seeds the table will have.
        data_dir: folder of the datasets.
        options: those of `run_options`, shared by all rows.

    Raises:
        MailError: a name or value is not known, or the dataset is not found.
    """
    if seeds < 1:
        raise MailError(f"--seeds is {seeds}. Expected 1 or more.")
    resolved = [resolve(data_dir, seed=0, **row, **options) for row in rows]
    configs = [config for config, _ in resolved]
    if configs[0].seed:
        raise MailError(f"seed = {configs[0].seed}: a table has the seeds from 0 on; say how many with --seeds.")
    return configs, resolved[0][1]


def resolve(
    data_dir: Path, variant: str | None, settings: tuple[str, ...], file: Path | None, **given: Any
) -> tuple[RunConfig, Any]:
    """The checked config of a command line, and its dataset.

    Args:
        data_dir: folder of the datasets.
        variant: MAIL's variant, if given.
        settings: `KEY=VALUE` texts; they win over all else.
        file: TOML file of settings; options win over it.
        given: other settings by name, None where not given.

    Raises:
        MailError: a name or value is not known, two contradict each other, or the dataset is not found.
    """
    from mailcli.data import dataset as datasets
    from mailcli.experiments.cells import complete
    from mailcli.training.run_registry import read_settings

    layers = [read_settings(file)] if file else []
    if file:
        _check_file(file, layers[0])
    layers += [{key: value for key, value in given.items() if value is not None}, parse_settings(settings)]
    # Checked whole before the dataset is looked for; without a name, the only dataset there is.
    asked = make_config([{"data": ""}, *layers])
    _check_names(asked, variant)
    dataset = datasets.open_dataset(data_dir, asked.data or None)
    chosen = {"cold_start.variant": variant} if variant else {}
    config = complete([*layers, chosen], dataset.name, dataset.history)
    if config.continues:
        raise MailError(
            "continues: names another run's weights. Give that run with `mail train --continue RUN` instead."
        )
    if config.precision == "bfloat16":
        _tell_if_slow()
    return config, dataset


def _check_file(file: Path, settings: Options) -> None:
    """Refuse what is wrong in a file of settings, the file named (MailError)."""
    try:
        make_config([{"data": ""}, settings])
    except MailError as error:
        raise MailError(f"{file}: {error.message}") from error


def _check_names(config: RunConfig, variant: str | None) -> None:
    """Refuse a ranker, method or variant that is not known, or a variant of nothing (MailError).

    Args:
        config: what is asked for besides `variant`.
        variant: the value of --variant, if given.
    """
    plugins.check(plugins.RANKERS, config.ranker)
    plugins.check(plugins.COLD_STARTS, config.cold_start)
    if config.cold_start != "mail":
        if variant is not None:
            raise MailError(f"--variant goes with --cold-start mail, not with '{config.cold_start}'.")
        return
    other = config.cold_start_options.get("variant")
    if variant and other and variant != other:
        raise MailError(f"variant '{variant}' and cold_start.variant = '{other}' contradict each other. Give one.")
    for name in (variant, other):
        if name is not None:
            check_variant(name)


@cache
def _tell_if_slow() -> None:
    """Once, however many rows a table has."""
    if not has_bfloat16():
        logger.info("This processor has no products of bfloat16 numbers: float32 would be quicker.")


def check_variant(name: str) -> None:
    """Refuse a variant that MAIL does not have (MailError)."""
    if name not in VARIANTS:
        raise MailError(f"unknown variant '{name}'.{did_you_mean(name, VARIANTS)} Known: {quoted(VARIANTS)}.")
