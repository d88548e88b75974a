"""The config and dataset that a command line asks for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mailcli.config import Options, RunConfig, make_config, parse_settings
from mailcli.errors import MailError

if TYPE_CHECKING:
    from mailcli.data.dataset import Dataset


def resolve_rows(
    rows: list[dict[str, Any]], seeds: int, data_dir: Path, options: dict[str, Any], has_ranker: bool = False
) -> tuple[list[RunConfig], Dataset]:
    """The checked configs of a table's rows (with seed 0) and their dataset.

    Args:
        rows: the ranker, cold-start method and variant of each row.
        seeds: the number of seeds of the table.
        data_dir: folder of the datasets.
        options: the options of RUN_OPTIONS, shared by all rows.
        has_ranker: whether the command has the option --ranker.

    Raises:
        MailError: a name or value is not known, or the dataset is not found.
    """
    if seeds < 1:
        raise MailError(f"--seeds is {seeds}. Expected 1 or more.")
    given = parse_settings(options["settings"])
    if has_ranker and "ranker" in given:
        raise MailError(f"--set ranker={given['ranker']}: use --ranker {given['ranker']}.")
    for key in ("ranker", "cold_start"):
        if key in given:
            raise MailError(f"--set {key}={given[key]}: the rows of a table name it. Leave it out.")
    if given.get("seed", "0") != "0":
        raise MailError(f"seed = {given['seed']}: the seeds of a table start at 0; set their number with --seeds.")
    first, dataset = resolve(data_dir, seed=0, **rows[0], **options)
    # Named, so that the choice among several is logged once.
    options = {**options, "data": dataset.name}
    configs = [first, *(resolve(data_dir, seed=0, **row, **options)[0] for row in rows[1:])]
    return configs, dataset


def resolve(
    data_dir: Path, variant: str | None, settings: tuple[str, ...], file: Path | None, **options: Any
) -> tuple[RunConfig, Dataset]:
    """The checked config of a command line, and its dataset.

    Args:
        data_dir: folder of the datasets.
        variant: the value of --variant, or None.
        settings: the `KEY=VALUE` texts of --set; they override those of the file.
        file: TOML file of settings; options override it.
        options: other settings by name, None if not set.

    Raises:
        MailError: a name or value is unknown, two contradict each other, or the dataset is not found.
    """
    from mailcli.data.last_used import open_chosen
    from mailcli.experiments.cells import config_on, resolve_config
    from mailcli.training.run_registry import read_settings

    layers = [read_settings(file)] if file else []
    if file:
        _check_file(file, layers[0])
    given = {key: value for key, value in options.items() if value is not None}
    overrides = parse_settings(settings)
    for key, value in overrides.items():
        if key in given and str(given[key]) != value:
            option = f"--{key.replace('_', '-')} {given[key]}"
            raise MailError(f"{option} and --set {key}={value} contradict each other. Leave one of them out.")
    layers += [given, overrides]
    # All settings are checked before the dataset is looked up.
    name = resolve_config(layers, variant=variant).data
    dataset = open_chosen(data_dir, name or None)
    return config_on(dataset, layers, variant), dataset


def _check_file(file: Path, settings: Options) -> None:
    """Reject invalid settings in a file, with the file's name in the error (MailError)."""
    try:
        make_config([{"data": ""}, settings])
    except MailError as error:
        raise MailError(f"{file}: {error.message}") from error
