"""The config and dataset that a command line asks for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mailcli.config import OPTION_TABLES, Options, RunConfig, check_number_of_seeds, make_config, parse_settings
from mailcli.errors import MailError, errors_at

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
    check_number_of_seeds(seeds)
    overrides = parse_settings(options["settings"])
    _check_shared(overrides, has_ranker)
    from mailcli.experiments.cells import config_on
    from mailcli.experiments.shared_settings import share

    settings = _read_file(options["file"])
    names = [_given({key: row.get(key) for key in OPTION_TABLES}) for row in rows]
    of_file = share(settings, rows, f"{options['file']}: ")
    set_per_row = share(overrides, [{**settings, **name} for name in names], "--set ")
    given = {"seed": 0, **given_settings(options, overrides)}
    layers = [
        [file, {**name, **given}, override] for file, name, override in zip(of_file, names, set_per_row, strict=True)
    ]
    variants = [row["variant"] for row in rows]
    first, dataset = _on_dataset(data_dir, layers[0], variants[0])
    others = zip(layers[1:], variants[1:], strict=True)
    return [first, *(config_on(dataset, layer, variant) for layer, variant in others)], dataset


def resolve(data_dir: Path, variant: str | None, **options: Any) -> tuple[RunConfig, Dataset]:
    """The checked config of a command line, and its dataset.

    Args:
        data_dir: folder of the datasets.
        variant: the value of --variant, or None.
        options: other options by name, None if not set. `settings`: the `KEY=VALUE` texts of --set; they override those
            of `file`, a TOML file of settings. Any other is a setting, which overrides the file's.

    Raises:
        MailError: a name or value is unknown, two contradict each other, or the dataset is not found.
    """
    from mailcli.experiments.shared_settings import share

    overrides = parse_settings(options["settings"])
    given = given_settings(options, overrides)
    row = {**given, **overrides, "variant": variant}
    (of_file,) = share(_read_file(options["file"]), [row], f"{options['file']}: ")
    return _on_dataset(data_dir, [of_file, given, overrides], variant)


def _check_shared(overrides: Options, has_ranker: bool) -> None:
    """Refuse --set of what the rows and seeds of a table say (MailError)."""
    if has_ranker and "ranker" in overrides:
        raise MailError(f"--set ranker={overrides['ranker']}: use --ranker {overrides['ranker']}.")
    for key in (*OPTION_TABLES, "cold_start.variant"):
        if key in overrides:
            raise MailError(f"--set {key}={overrides[key]}: the rows of a table name it. Leave it out.")
    if overrides.get("seed", "0") != "0":
        raise MailError(f"seed = {overrides['seed']}: the seeds of a table start at 0; set their number with --seeds.")


def given_settings(options: dict[str, Any], overrides: Options) -> Options:
    """The options of a command that are settings and given (MailError: --set says otherwise)."""
    given = _given({key: value for key, value in options.items() if key not in {"settings", "file"}})
    for key, value in overrides.items():
        if key in given and str(given[key]) != value:
            option = f"--{key.replace('_', '-')} {given[key]}"
            raise MailError(f"{option} and --set {key}={value} contradict each other. Leave one of them out.")
    return given


def _given(options: dict[str, Any]) -> Options:
    return {key: value for key, value in options.items() if value is not None}


def _on_dataset(data_dir: Path, layers: list[Options], variant: str | None) -> tuple[RunConfig, Dataset]:
    """The config of layers of settings, and the dataset that they name, or the one used last."""
    from mailcli.data.last_used import open_chosen
    from mailcli.experiments.cells import config_on, resolve_config

    # All settings are checked before the dataset is looked up.
    name = resolve_config(layers, variant=variant).data
    dataset = open_chosen(data_dir, name or None)
    return config_on(dataset, layers, variant), dataset


def _read_file(file: Path | None) -> Options:
    """The settings of a file; none without a file (MailError: names the file)."""
    from mailcli.runs.opening import read_settings

    if not file:
        return {}
    settings = read_settings(file)
    with errors_at(str(file)):
        make_config([{"data": ""}, settings])
    return settings
