"""An experiment: the dataset, rows, seeds and settings of a table, and the table of its runs."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from mailcli.config import MAX_SEED, Options, RunConfig, check_number_of_seeds, make_config
from mailcli.data.display_name import is_simulated
from mailcli.errors import MailError, counted, did_you_mean, errors_at, quoted
from mailcli.experiments.cells import resolve_config
from mailcli.experiments.matrix import BaselineOf
from mailcli.experiments.shared_settings import share
from mailcli.preprocessing.source_options import dataset_name
from mailcli.reporting.paper import Reported, row_label, row_labels, row_name
from mailcli.reporting.rows import METRICS, Row
from mailcli.reporting.tables import ResultTable, make_table

#: The source of an experiment whose dataset is defined by a schema file.
SCHEMA = "schema"
#: As many as the commands' --seeds (ours: the fewest that give an interval worth reading).
SEEDS = 3


@dataclass(frozen=True)
class Experiment:
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
    labels: tuple[str, ...] = ()
    """The name of each row in the table; empty for that of its cell and options."""
    source_options: dict[str, str] = field(default_factory=dict)
    """`label` and `test` of `mail preprocess`, for a source that has them."""
    tune: Options = field(default_factory=dict)
    """`trials`, `seeds` and `ranges` of `mail tune FILE`."""
    content: Options = field(default_factory=dict, repr=False)
    """The whole content of the file."""
    tuned: Options = field(default_factory=dict)
    """How `mail tune` chose the rows' settings: `trials`, `ranges`, `users`, `seed`, `seeds`, and the best `validation`
    AUC by row; empty for an experiment made by hand."""
    grid: Options = field(default_factory=dict)
    """A list of values by setting of the simulator: the table is made in a world for every combination of them, see
    grid.py; empty: in one."""
    is_world: bool = False
    """Whether it is one world of a grid, which is simulated whatever raw files there are."""
    first_seed: int = 0
    """The first of its seeds."""
    data: str = ""
    """The dataset that --data names instead of its own; empty for its own."""
    options: tuple[str, ...] = ()
    """--data and --seeds, as far as they are given."""

    def with_options(self, data: str | None, seeds: int | None) -> Experiment:
        """The experiment on another dataset, or with another number of seeds, as --data and --seeds say.

        Raises:
            MailError: the number of seeds is not from 1 to MOST_SEEDS, or another dataset is named for a grid.
        """
        if seeds is not None:
            check_number_of_seeds(seeds)
        if self.grid and data:
            raise MailError(f"--data {data}: {self.path} has a grid, whose worlds are its datasets. Leave --data out.")
        options = [f"--{name} {shlex.quote(str(x))}" for name, x in (("data", data), ("seeds", seeds)) if x is not None]
        return replace(self, data=data or "", seeds=seeds or self.seeds, options=tuple(options))

    @property
    def command(self) -> str:
        """`mail run` with its file and options."""
        return " ".join(["mail run", shlex.quote(self.path.as_posix()), *self.options])

    def seed_numbers(self) -> range:
        """Its seeds, from the first on (MailError: they are not seeds)."""
        seeds = range(self.first_seed, self.first_seed + self.seeds)
        if seeds[-1] > MAX_SEED:
            raise MailError(f"{self.path}: its seeds are {seeds[0]} to {seeds[-1]}. Expected none above {MAX_SEED}.")
        return seeds

    @property
    def name(self) -> str:
        """The file's, with `-tuned` if `mail tune` wrote it: an experiment and its tuned one have files of one name."""
        return f"{self.path.stem}-tuned" if self.tuned else self.path.stem

    @property
    def datasets(self) -> tuple[str, ...]:
        """Possible names of its dataset: the name for real files or the schema file, then that for simulated ones."""
        if self.data:
            return (self.data,)
        if self.is_world:
            return (self.simulate["name"],)
        real = self.schema.stem if self.schema else dataset_name(self.source, self.source_options)
        return (real, *([self.simulate["name"]] if self.simulate else []))

    def title_on(self, dataset: str) -> str:
        """The title of the table on a dataset, given by its `display_name`; says so if the data is simulated."""
        return f"{self.title}, simulated" if is_simulated(dataset) else self.title

    def configs(self, data: str, history: int) -> tuple[list[RunConfig], RunConfig]:
        """The configs of the rows, seed 0, on a dataset with n_v = history; and the settings that they share.

        Raises:
            MailError: a name or value is unknown; the message names the file.
        """
        with errors_at(str(self.path)):
            shared = make_config([{"history": min(RunConfig.history, history)}, self.settings, {"data": data}])
            shares = share(self.settings, self.rows, "settings: ")
        rows = zip(shares, self.rows, self.labels, strict=True)
        configs = [self._config(own, row, label, data, history) for own, row, label in rows]
        labels = self.labels_of(configs)
        self._check_different(configs, labels)
        for name in (name for pair in self.against for name in pair):
            if labels.count(name) != 1:
                raise MailError(
                    f"{self.path}: 'against': {labels.count(name) or 'no'} rows are called '{name}'."
                    f"{did_you_mean(name, labels)} Rows: {quoted(labels)}."
                )
        for name in self.reported or {}:
            if name not in {*labels, *map(row_name, configs)}:
                raise MailError(
                    f"{self.path}: 'reported': no row is called '{name}'.{did_you_mean(name, labels)} Rows: "
                    f"{quoted(labels)}."
                )
        return [config.without_seed() for config in configs], shared

    def _config(self, shared: Options, row: Options, label: str, data: str, history: int) -> RunConfig:
        """The config of a row (MailError: names the row by its label, or else by its cell)."""
        try:
            return resolve_config([shared, row], data, history)
        except MailError as error:
            names: Options = {key: row[key] for key in ("ranker", "cold_start", "cold_start.variant") if key in row}
            cell = make_config([{"data": data}, names]).cell
            raise MailError(f"{self.path}: row '{label or cell}': {error.message}") from error

    def row_names(self, with_settings: bool = True) -> list[str]:
        """The names of the rows while the dataset, on which defaults depend, is not known.

        Args:
            with_settings: whether rows of one name have the settings in which they differ after it; those that tuning
                is to replace would be wrong.
        """
        shares = zip(share(self.settings, self.rows), self.rows, strict=True)
        return self.labels_of([make_config([{"data": ""}, *layers]) for layers in shares], with_settings)

    def labels_of(self, configs: Sequence[RunConfig], with_settings: bool = True) -> list[str]:
        """The names in the table of the rows of `configs`; `with_settings` as in `row_names`."""
        unlabeled = [config for config, label in zip(configs, self.labels, strict=True) if not label]
        names = iter(row_labels(unlabeled) if with_settings else [row_label(config) for config in unlabeled])
        return [label or next(names) for label in self.labels]

    def _check_different(self, configs: Sequence[RunConfig], labels: Sequence[str]) -> None:
        """Refuse two rows that are one run, whose p-values would be corrected for both, or of one name (MailError)."""
        first: dict[str, str] = {}
        for config, label in zip(configs, labels, strict=True):
            if config.key in first:
                raise MailError(f"{self.path}: rows: '{label}' is the same as '{first[config.key]}'. Leave one out.")
            if label in first.values():
                raise MailError(f"{self.path}: rows: two are called '{label}'. Expected another label of one of them.")
            first[config.key] = label

    def baseline_of(self, configs: Sequence[RunConfig]) -> BaselineOf:
        """The cell that each is compared with: the same ranker without a method, with its own settings if it is tuned.

        Raises:
            MailError: a tuned experiment lacks the row of a ranker without a method.
        """
        if not self.tuned:
            return RunConfig.baseline
        self.check_baselines(configs)
        baselines = {config.ranker: config for config in configs if config.cold_start == "none"}
        return lambda config: replace(baselines[config.ranker], seed=config.seed)

    def check_baselines(self, configs: Sequence[RunConfig]) -> None:
        """Refuse a row whose ranker has no row of its own, tuned like all others, to be compared with (MailError)."""
        baselines = Counter(config.ranker for config in configs if config.cold_start == "none")
        for config in configs:
            if not baselines[config.ranker]:
                raise MailError(
                    f"{self.path}: has no row of the ranker '{config.ranker}' without a method, which "
                    f"'{config.cell}' is compared with. Add one, so that it is tuned as well."
                )
        for ranker, count in baselines.items():
            if count > 1:
                raise MailError(
                    f"{self.path}: has {count} rows of '{ranker}' without a method. Expected one, which the others are "
                    "compared with."
                )

    def name_rows(self, rows: Sequence[Row]) -> list[Row]:
        """The rows of `configs`, in the same order, with their names in the table."""
        labels = self.labels_of([row.config for row in rows])
        return [replace(row, name=label) for row, label in zip(rows, labels, strict=True)]

    def tables(self, rows: Sequence[Row], dataset: str, columns: Sequence[str] = METRICS) -> list[ResultTable]:
        """The table of all rows, and one of the rows in `against`, if there are any.

        Args:
            rows: those of `configs`, in the same order, named by `name_rows`.
            dataset: its `Dataset.display_name`.
            columns: the metrics to show.
        """
        title = self.title_on(dataset)
        table = make_table(rows, title, self.reported, columns, is_papers_own=not is_simulated(dataset))
        tables = [replace(table, notes=(*table.notes, *self.budget_notes()))]
        if self.against:
            by_label = {row.label: row for row in rows}
            compared = [
                replace(by_label[first], baseline=by_label[second].results, against=second)
                for first, second in self.against
            ]
            tables.append(make_table(compared, f"{title}: row against row", columns=columns))
        return tables

    def budget_notes(self) -> list[str]:
        """What is said below a table of tuned rows; nothing below that of others."""
        if not self.tuned:
            return []
        data, trials, users, seed = (self.tuned[key] for key in ("data", "trials", "users", "seed"))
        last_seed = seed + self.tuned.get("seeds", 1) - 1
        seeds = f"seed {seed}" if last_seed == seed else f"mean of seeds {seed} to {last_seed}"
        return [
            f"tuned on {data}: {counted(trials, 'trial')} per row, by the validation AUC of {users} users, {seeds}"
            f"; ranges {'; '.join(self.tuned['ranges'])}; each row's settings are in {self.path.as_posix()}"
        ]
