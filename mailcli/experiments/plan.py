"""An experiment: a TOML file with the dataset, rows, seeds and settings of a table (experiments/*.toml)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mailcli import plugins
from mailcli.config import Options, RunConfig
from mailcli.errors import MailError, did_you_mean, quoted, shorten
from mailcli.experiments.cells import resolve_config
from mailcli.reporting.paper import row_label, row_settings
from mailcli.reporting.rows import METRICS, TITLES, Row
from mailcli.reporting.tables import Reported, ResultTable, make_table
from mailcli.simulation.world import Settings
from mailcli.utils.parsing import read_toml
from mailcli.utils.validation import NUMBER, STRING, TABLE, Rule, sentence, table_faults, whole_number

_RULES = {
    "title": STRING,
    "source": STRING,
    "schema": STRING,
    "seeds": whole_number(1),
    "rows": Rule("a list of one row or more", lambda value: isinstance(value, list) and len(value) > 0),
    "settings": TABLE,
    "simulate": TABLE,
    "reported": TABLE,
    "reading": STRING,
    "against": Rule("a list of pairs of rows, [ROW, OTHER]", lambda value: _are_pairs(value)),
}
_REQUIRED = ("title", "source", "rows")
#: The source of an experiment whose dataset is defined by a schema file.
SCHEMA = "schema"
#: As many as the commands' --seeds.
SEEDS = 3


@dataclass(frozen=True)
class Plan:
    """The contents of an experiment's file."""

    path: Path
    title: str
    source: str
    """The raw format, a file of mailcli/preprocessing/sources, which also names the dataset; or SCHEMA."""
    schema: Path | None
    """The schema file, relative to the current folder; the dataset has its name, without the extension."""
    rows: tuple[Options, ...]
    """Settings of each row, including its ranker and cold-start method."""
    seeds: int
    settings: Options
    """Settings that all rows share."""
    simulate: Options
    """`name` of the dataset and settings of the simulator, used if there are no raw files; empty: never simulate."""
    reported: Reported | None
    """The paper's numbers, shown next to ours; None for no such columns."""
    reading: str
    """What the numbers show, in words, for RESULTS.md."""
    against: tuple[tuple[str, str], ...] = ()
    """Pairs of rows, by their names in the table: by how much the first is better than the second, seed by seed."""

    @property
    def datasets(self) -> tuple[str, ...]:
        """Possible names of its dataset: the name for real files or the schema file, then that for simulated ones."""
        real = self.schema.stem if self.schema else self.source
        return (real, *([self.simulate["name"]] if self.simulate else []))

    def title_on(self, dataset: str) -> str:
        """The title of the table on a dataset, given by its `Dataset.label`; says so if the data is simulated."""
        return f"{self.title}, simulated" if dataset.endswith("(simulated)") else self.title

    def configs(self, data: str, history: int) -> tuple[list[RunConfig], RunConfig]:
        """The configs of the rows, seed 0, on a dataset with n_v = history; and the settings that they share.

        Raises:
            MailError: a name or value is unknown; the message names the file.
        """
        try:
            shared = resolve_config([self.settings], data, history)
            configs = [resolve_config([self.settings, row], data, history) for row in self.rows]
        except MailError as error:
            raise MailError(f"{self.path}: {error.message}") from error
        labels = [row_label(config) for config in configs]
        for name in (name for pair in self.against for name in pair):
            if labels.count(name) != 1:
                raise MailError(
                    f"{self.path}: 'against': {labels.count(name) or 'no'} rows are called '{name}'."
                    f"{did_you_mean(name, labels)} Rows: {quoted(labels)}."
                )
        return [replace(config, seed=0) for config in configs], shared

    def tables(self, rows: Sequence[Row], dataset: str, columns: Sequence[str] = METRICS) -> list[ResultTable]:
        """The table of all rows, and one of the rows in `against`, if there are any.

        Args:
            rows: those of `configs`, in the same order.
            dataset: its `Dataset.label`.
            columns: the metrics to show.
        """
        title = self.title_on(dataset)
        tables = [make_table(rows, title, self.reported, columns)]
        if self.against:
            by_label = {row_label(row.config): row for row in rows}
            compared = [
                replace(by_label[first], baseline=by_label[second].results, against=second)
                for first, second in self.against
            ]
            tables.append(make_table(compared, f"{title}: row against row", columns=columns))
        return tables


def _not_found(path: Path) -> MailError:
    """The error for a missing file; lists the experiments in the folder `experiments`, if there is one."""
    files = sorted(Path("experiments").glob("*.toml"))
    hint = did_you_mean(path.stem, (file.stem for file in files))
    hint = hint.replace(" '", " 'experiments/").replace("'?", ".toml'?")
    contents = f" experiments holds {quoted(file.name for file in files)}." if files else ""
    return MailError(f"{path}: not found.{hint} Expected the TOML file of an experiment.{contents}")


def read_plan(path: Path) -> Plan:
    """The plan in a file.

    Raises:
        MailError: it cannot be read, or some keys or values are wrong; every fault is named.
    """
    if not path.exists():
        raise _not_found(path)
    content = read_toml(path)
    faults = table_faults(content, _RULES, required=_REQUIRED)
    if faults:
        raise MailError(f"{path}: {sentence(faults)}")
    simulate = content.get("simulate", {})
    rows = [_read_row(row, faults) for row in content["rows"]]
    faults += _source_faults(content["source"], content.get("schema"))
    faults += _simulation_faults(simulate, content["source"])
    faults += _reported_faults(content.get("reported", {}))
    if faults:
        raise MailError(f"{path}: {sentence(faults)}")
    return Plan(
        path,
        content["title"],
        content["source"],
        Path(content["schema"]) if "schema" in content else None,
        tuple(rows),
        content.get("seeds", SEEDS),
        content.get("settings", {}),
        simulate,
        content.get("reported"),
        content.get("reading", "").strip(),
        tuple((row, other) for row, other in content.get("against", [])),
    )


def _are_pairs(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(pair, list) and len(pair) == 2 and all(isinstance(name, str) for name in pair) for pair in value
    )


def _source_faults(source: str, schema: str | None) -> list[str]:
    if (source == SCHEMA) != (schema is not None):
        return [f"source = {source!r}: expected both source = '{SCHEMA}' and schema = FILE, or neither"]
    if source == SCHEMA:
        return []
    try:
        plugins.check(plugins.SOURCES, source)
    except MailError as error:
        return [error.message.removesuffix(".")]
    return []


def _read_row(row: Any, faults: list[str]) -> Options:
    """A row's settings: a name of the paper's, or `{row = NAME, KEY = VALUE, ...}`."""
    settings = dict(row) if isinstance(row, Mapping) else {"row": row}
    name = settings.pop("row", None)
    if not isinstance(name, str):
        faults.append(f"row {shorten(row)}: expected a name, or {{row = NAME, KEY = VALUE}}")
        return {}
    try:
        return {**row_settings(name), **settings}
    except MailError as error:
        faults.append(error.message.removesuffix("."))
        return {}


def _simulation_faults(simulate: Options, source: str) -> list[str]:
    if not simulate:
        return []
    if source != "alimama" or not isinstance(simulate.get("name"), str):
        return ["'simulate' needs a 'name' for the dataset, and the source 'alimama'"]
    try:
        Settings(**{key: value for key, value in simulate.items() if key != "name"})
    except (TypeError, MailError) as error:
        return [f"'simulate': {error}"]
    return []


def _reported_faults(reported: Options) -> list[str]:
    """The faults of `reported.ROW.USERS.METRIC = NUMBER`."""
    numbers = dict.fromkeys([*METRICS, *(f"RI {metric}" for metric in METRICS)], NUMBER)
    users = dict.fromkeys(TITLES, TABLE)
    faults = table_faults(reported, dict.fromkeys(reported, TABLE), "reported.")
    for row, by_users in reported.items():
        if isinstance(by_users, dict):
            faults += table_faults(by_users, users, f"reported.{row}.")
            for group in users:
                if isinstance(by_users.get(group), dict):
                    faults += table_faults(by_users[group], numbers, f"reported.{row}.{group}.")
    return faults
