"""An experiment: a TOML file that names a dataset, rows, seeds and settings, and so a table (experiments/*.toml)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mailcli import plugins
from mailcli.config import Options, RunConfig
from mailcli.errors import MailError, did_you_mean, quoted, shorten
from mailcli.experiments.cells import complete
from mailcli.reporting.paper import row_settings
from mailcli.reporting.rows import Row
from mailcli.reporting.tables import METRICS, TITLES, Reported, Table, label, make_table
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
#: The source of a plan whose dataset is made by a schema file.
SCHEMA = "schema"
#: As many as the commands' --seeds.
SEEDS = 3


@dataclass(frozen=True)
class Plan:
    """What an experiment's file says."""

    path: Path
    title: str
    source: str
    """The raw form, a file of mailcli/sources, whose dataset has this name; or SCHEMA."""
    schema: Path | None
    """The schema file, from the current folder on; its dataset has the file's name, without its end."""
    rows: tuple[Options, ...]
    """Settings of each row, its ranker and cold-start method among them."""
    seeds: int
    settings: Options
    """Those that all rows share."""
    simulate: Options
    """`name` of the dataset and settings of the simulator, where the raw files are not there; empty: never."""
    reported: Reported | None
    """The paper's numbers, to stand beside; empty where it gives none."""
    reading: str
    """What the numbers say, in plain words, for RESULTS.md."""
    against: tuple[tuple[str, str], ...] = ()
    """Pairs of rows, by the names that the table has: how much better the first is than the second, seed by seed."""

    @property
    def datasets(self) -> tuple[str, ...]:
        """The names that its dataset may have: of the real files or the schema file, and of the simulated ones."""
        real = self.schema.stem if self.schema else self.source
        return (real, *([self.simulate["name"]] if self.simulate else []))

    def title_on(self, dataset: str) -> str:
        """The title of the table on a dataset, given as `Dataset.label` does: it never hides that data is simulated."""
        return f"{self.title}, simulated" if dataset.endswith("(simulated)") else self.title

    def configs(self, data: str, history: int) -> tuple[list[RunConfig], RunConfig]:
        """The configs of the rows, seed 0, on a dataset with n_v = history; and the settings that they share.

        Raises:
            MailError: a name or value is not known; the file is named.
        """
        try:
            shared = complete([self.settings], data, history)
            configs = [complete([self.settings, row], data, history) for row in self.rows]
        except MailError as error:
            raise MailError(f"{self.path}: {error.message}") from error
        rows = [label(config) for config in configs]
        for name in (name for pair in self.against for name in pair):
            if rows.count(name) != 1:
                raise MailError(
                    f"{self.path}: 'against': {rows.count(name) or 'no'} rows are called '{name}'."
                    f"{did_you_mean(name, rows)} Rows: {quoted(rows)}."
                )
        return [replace(config, seed=0) for config in configs], shared

    def tables(self, rows: Sequence[Row], dataset: str) -> list[Table]:
        """The table of all rows, and that of the rows that are compared with each other, if there are any.

        Args:
            rows: of `configs`, in its order.
            dataset: as `Dataset.label`.
        """
        title = self.title_on(dataset)
        named = {label(row.config): row for row in rows}
        compared = [replace(named[one], baseline=named[other].results, against=other) for one, other in self.against]
        more = [make_table(compared, f"{title}: row against row")] if compared else []
        return [make_table(rows, title, self.reported), *more]


def _not_found(path: Path) -> MailError:
    """Of an experiment's file; tells of those of the folder `experiments`, where there is one."""
    known = sorted(Path("experiments").glob("*.toml"))
    close = (
        did_you_mean(path.stem, (each.stem for each in known)).replace(" '", " 'experiments/").replace("'?", ".toml'?")
    )
    holds = f" experiments holds {quoted(each.name for each in known)}." if known else ""
    return MailError(f"{path}: not found.{close} Expected the TOML file of an experiment.{holds}")


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
