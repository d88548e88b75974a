"""The file of an experiment, experiments/*.toml -> Experiment; every fault of it is named at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mailcli import plugins
from mailcli.config import MOST_SEEDS, OPTION_TABLES, Options
from mailcli.errors import MailError, did_you_mean, option_as_key, quoted, shorten
from mailcli.experiments.experiment import SCHEMA, SEEDS, Experiment
from mailcli.experiments.grid_file import grid_faults
from mailcli.experiments.search import USERS
from mailcli.experiments.simulate_file import simulation_faults, simulator_settings
from mailcli.preprocessing.source_options import TABULAR, dataset_name
from mailcli.reporting.paper import row_settings
from mailcli.reporting.rows import METRICS, TITLES
from mailcli.simulation.world import Settings
from mailcli.utils.parsing import read_toml
from mailcli.utils.validation import (
    NUMBER,
    STRING,
    TABLE,
    Rule,
    number_from,
    one_of,
    sentence,
    table_faults,
    whole_number,
)

#: What the value of each key must be; docs/experiment-files.md explains them.
RULES = {
    "title": STRING,
    "source": STRING,
    "schema": STRING,
    "label": STRING,
    "test": STRING,
    "seeds": whole_number(1, MOST_SEEDS),
    "first_seed": whole_number(0),
    "rows": Rule("a list of one row or more", lambda value: isinstance(value, list) and len(value) > 0),
    "settings": TABLE,
    "simulate": TABLE,
    "grid": TABLE,
    "reported": TABLE,
    "reading": STRING,
    "tune": TABLE,
    "tuned": TABLE,
    "against": Rule("a list of pairs of different rows, [ROW, OTHER], each pair once", lambda value: _are_pairs(value)),
}
_REQUIRED = ("title", "source", "rows")
#: Settings that neither a row nor the table `settings` has: what sets them instead.
_SET_BY = {
    "seed": "set by first_seed and seeds",
    "data": "set by source or --data",
    "ranker": "set by the names of rows",
    "cold_start": "set by the names of rows",
    "continues": "set by `mail train --continue`",
}
#: An AUC or GAUC.
_FRACTION = number_from(0, 1, "a number from 0 to 1")
#: Settings that a row has, but the table `settings` has not.
_SET_BY_ROWS = {**_SET_BY, "cold_start.variant": "set by the names of rows"}
#: Settings that no single row may have: the table's caption shows them once for all rows.
_SHARED = dict.fromkeys(("protocol", "new_share"), "the rows of a table share it, so put it in [settings]")
_TEXTS = Rule("a list of strings", lambda value: isinstance(value, list) and all(isinstance(x, str) for x in value))
#: What the values of the tables `tune` and `tuned` must be.
TUNE_RULES = {"trials": whole_number(1), "seeds": whole_number(1, MOST_SEEDS), "ranges": _TEXTS}
TUNED_RULES = {**TUNE_RULES, "data": STRING, "users": one_of(USERS), "seed": whole_number(0), "validation": TABLE}
#: Without `seeds`, which files written before `mail tune --seeds` do not have: a trial was one run.
_TUNED_REQUIRED = tuple(key for key in TUNED_RULES if key != "seeds")


def _not_found(path: Path) -> MailError:
    """The error for a missing file; lists the experiments in the folder `experiments`, if there is one."""
    files = sorted(Path("experiments").glob("*.toml"))
    hint = did_you_mean(path.stem, (file.stem for file in files))
    hint = hint.replace(" '", " 'experiments/").replace("'?", ".toml'?")
    contents = f" experiments holds {quoted(file.name for file in files)}." if files else ""
    return MailError(f"{path}: not found.{hint} Expected the TOML file of an experiment.{contents}")


def read_experiment(path: Path) -> Experiment:
    """The experiment in a file.

    Raises:
        MailError: it cannot be read, or some keys or values are wrong; every fault is named.
    """
    if not path.exists():
        raise _not_found(path)
    content = read_toml(path)
    faults = table_faults(content, RULES, required=_REQUIRED)
    if faults:
        raise MailError(f"{path}: {sentence(faults)}")
    labels = [_read_label(row, faults) for row in content["rows"]]
    rows = [_read_row(row, faults) for row in content["rows"]]
    faults += _content_faults(content, labels, rows)
    if faults:
        raise MailError(f"{path}: {sentence(faults)}")
    return Experiment(
        path=path,
        title=content["title"],
        source=content["source"],
        schema=Path(content["schema"]) if "schema" in content else None,
        rows=tuple(rows),
        seeds=content.get("seeds", SEEDS),
        first_seed=content.get("first_seed", 0),
        settings=content.get("settings", {}),
        simulate=content.get("simulate", {}),
        reported=content.get("reported"),
        reading=content.get("reading", "").strip(),
        against=tuple((row, other) for row, other in content.get("against", [])),
        labels=tuple(labels),
        source_options=_source_options(content),
        tune=content.get("tune", {}),
        content=content,
        tuned=content.get("tuned", {}),
        grid=content.get("grid", {}),
    )


def _are_pairs(value: Any) -> bool:
    are_pairs = isinstance(value, list) and all(
        isinstance(pair, list) and len(pair) == 2 and all(isinstance(name, str) for name in pair) and pair[0] != pair[1]
        for pair in value
    )
    # The same test twice would count twice in Holm's correction, in whichever direction.
    return are_pairs and len(set(map(frozenset, value))) == len(value)


def _content_faults(content: Options, labels: Sequence[str], rows: Sequence[Options]) -> list[str]:
    """What is wrong with the tables of a file, and with what belongs together."""
    faults = _repeated_labels(content["rows"], labels)
    faults += _misplaced(content.get("settings", {}), _SET_BY_ROWS, "settings.")
    faults += table_faults(content.get("tune", {}), TUNE_RULES, "tune.")
    if "tuned" in content:
        faults += table_faults(content["tuned"], TUNED_RULES, "tuned.", required=_TUNED_REQUIRED)
    faults += _source_faults(content["source"], content.get("schema"), _source_options(content))
    faults += _simulation_faults(content.get("simulate", {}), content, rows)
    return faults + _reported_faults(content.get("reported", {}))


def _source_options(content: Options) -> dict[str, str]:
    return {key: content[key] for key in ("label", "test") if key in content}


def _source_faults(source: str, schema: str | None, given: dict[str, str]) -> list[str]:
    if (source == SCHEMA) != (schema is not None):
        return [f"source = {source!r}: expected both source = '{SCHEMA}' and schema = FILE, or neither"]
    if source == SCHEMA:
        return [f"{key} = {value!r}: the schema file names its column itself" for key, value in given.items()]
    try:
        if source == TABULAR:
            raise MailError(f"source = {source!r}: expected source = '{SCHEMA}' and schema = FILE for your own files")
        plugins.check(plugins.SOURCES, source, hidden=[TABULAR])
        dataset_name(source, given)
    except MailError as error:
        return [error.message.removeprefix("--").removesuffix(".")]
    return []


def _read_label(row: Any, faults: list[str]) -> str:
    """The row's name in the table; empty if it has none."""
    label = row.get("label", "") if isinstance(row, Mapping) else ""
    if not isinstance(label, str):
        others = {key: value for key, value in row.items() if key != "label"}
        faults.append(f"row {shorten(others)}: label = {label!r}: expected a string")
        return ""
    return label


def _name_of(row: Any) -> Any:
    return row.get("row") if isinstance(row, Mapping) else row


def _repeated_labels(rows: Sequence[Any], labels: Sequence[str]) -> list[str]:
    """The labels that another row has as its label or name, so that the table would not tell which is which."""
    names = Counter(label or str(_name_of(row)) for row, label in zip(rows, labels, strict=True))
    repeated = [label for label in dict.fromkeys(labels) if label and names[label] > 1]
    return [f"label = {label!r}: expected another one, since another row has this name" for label in repeated]


def _read_row(row: Any, faults: list[str]) -> Options:
    """A row's settings: a name of the paper's, or `{row = NAME, KEY = VALUE, ...}`, without its label."""
    settings = dict(row) if isinstance(row, Mapping) else {"row": row}
    settings.pop("label", None)
    name = settings.pop("row", None)
    if not isinstance(name, str):
        faults.append(f"row {shorten(row)}: expected a name, or {{row = NAME, KEY = VALUE}}")
        return {}
    faults += _misplaced(settings, {**_SET_BY, **_SHARED}, f"row '{name}': ")
    try:
        return {**row_settings(name), **settings}
    except MailError as error:
        faults.append(error.message.removesuffix("."))
        return {}


def _misplaced(settings: Options, set_by: Mapping[str, str], place: str) -> list[str]:
    """The settings that would be ignored there, replace a row's, or set rows apart that share a caption."""
    return [f"{place}{key}: {_unquoted(key, settings[key]) or set_by[key]}" for key in settings if key in set_by]


def _unquoted(key: str, value: Any) -> str:
    """What to do about `ranker.KEY = ...` without quotes, which TOML reads as a table; empty if it is no such key."""
    if key not in OPTION_TABLES or not isinstance(value, Mapping):
        return ""
    return f'write an option\'s key in quotes, "{key}.{next(iter(value), "KEY")}"'


def _simulation_faults(simulate: Options, content: Options, rows: Sequence[Options]) -> list[str]:
    if "grid" in content and not simulate:
        return ["'grid' needs a table 'simulate' with the 'name' of the datasets, and the source 'alimama'"]
    if not simulate:
        return []
    if "name" in simulate and not isinstance(simulate["name"], str):
        return [f"simulate.name = {shorten(simulate['name'])}: expected a string"]
    if content["source"] != "alimama" or "name" not in simulate:
        return ["'simulate' needs a 'name' for the dataset, and the source 'alimama'"]
    if "grid" in content:
        return grid_faults(content, rows)
    faults = simulation_faults(simulate)
    if faults:
        return faults
    try:
        Settings(**simulator_settings(simulate))
    except MailError as error:
        return [option_as_key(error.message.removesuffix("."), "simulate.")]
    return []


def _reported_faults(reported: Options) -> list[str]:
    """The faults of `reported.ROW.USERS.METRIC = NUMBER`."""
    numbers = {**dict.fromkeys(METRICS, _FRACTION), **{f"RI {metric}": NUMBER for metric in METRICS}}
    users = dict.fromkeys(TITLES, TABLE)
    faults = table_faults(reported, dict.fromkeys(reported, TABLE), "reported.")
    for row, by_users in reported.items():
        if isinstance(by_users, dict):
            faults += table_faults(by_users, users, f"reported.{row}.")
            for group in users:
                if isinstance(by_users.get(group), dict):
                    faults += table_faults(by_users[group], numbers, f"reported.{row}.{group}.")
    return faults
