"""The config and dataset that a command line asks for."""

from __future__ import annotations

import logging
from functools import cache
from pathlib import Path
from typing import Any

from mailcli.config import Options, RunConfig, make_config, parse_settings
from mailcli.errors import MailError
from mailcli.utils.hardware import has_bfloat16

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
        settings: `KEY=VALUE` texts; they override everything else.
        file: TOML file of settings; options override it.
        given: other settings by name, None where not given.

    Raises:
        MailError: a name or value is unknown, two contradict each other, or the dataset is not found.
    """
    from mailcli.data import dataset as datasets
    from mailcli.experiments.cells import resolve_config
    from mailcli.training.run_registry import settings_of

    layers = [settings_of(file)] if file else []
    if file:
        _check_file(file, layers[0])
    layers += [{key: value for key, value in given.items() if value is not None}, parse_settings(settings)]
    # Everything is checked before the dataset is looked for; without a name, it is the only dataset there is.
    name = resolve_config(layers, variant=variant).data
    dataset = datasets.open_dataset(data_dir, name or None)
    config = resolve_config(layers, dataset.name, dataset.history, variant)
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


@cache
def _tell_if_slow() -> None:
    """Once, however many rows a table has."""
    if not has_bfloat16():
        logger.info("This processor has no products of bfloat16 numbers: float32 would be quicker.")
