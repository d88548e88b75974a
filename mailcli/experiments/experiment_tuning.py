"""All rows of an experiment tuned with the same budget: `mail tune FILE`, which writes experiments/tuned/*.toml.

Every row has the same number of trials and the same ranges, of which it takes those that it has. Its first trial has
the settings of the experiment's file, if these lie within the ranges. A two-stage method is fitted to the tuned ranker,
so only its own options are searched.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from mailcli import plugins
from mailcli.config import Options, RunConfig, make_config
from mailcli.data.dataset import Dataset
from mailcli.errors import MailError, errors_at
from mailcli.experiments.executors.processes import jobs_and_threads, work_on_all
from mailcli.experiments.experiment import Experiment
from mailcli.experiments.matrix import run_memory
from mailcli.experiments.search import DEFAULT_TRIALS, Search
from mailcli.experiments.search_space import Range, check_comparable, option_owner, parse_ranges, with_types
from mailcli.experiments.study import settings_of
from mailcli.experiments.tuning import check_end_trials, check_histories, run_search
from mailcli.utils.tensorflow_startup import load_tensorflow

#: What is searched where neither the file nor the command line says it (ours): a few values around the defaults, so
#: that few trials cover them. On ml-100k, every draw with an `embedding_init` of small or an `embedding_l2` of .01 or
#: more was below the default.
DEFAULT_RANGES = (
    "learning_rate=0.0005|0.001|0.002",
    "batch_size=256|512",
    "embedding_dim=16|32",
    "embedding_l2=0|0.0001|0.001",
    "ranker.dropout=0.2|0.35|0.5",
    "cold_start.inner_rate=0.0001|0.001|0.01",
    "cold_start.low_rank_weight=3|30|300",
)


@dataclass(frozen=True)
class Budget:
    """What every row may spend."""

    trials: int
    ranges: tuple[str, ...]
    users: str
    """The group of users whose validation AUC is maximized."""
    seed: int
    seeds: int = 1
    """Seeds of each trial, from `seed` on; the mean of their validation AUC is maximized."""
    option: str = "--range"
    """Where the ranges come from, for an error: `--range`, or the file and key."""


def budget_of(
    experiment: Experiment, trials: int | None, ranges: tuple[str, ...], users: str, seed: int, seeds: int | None = None
) -> Budget:
    """The budget of a command line; what it does not give is the experiment's, or the default."""
    return Budget(
        trials or experiment.tune.get("trials", DEFAULT_TRIALS),
        ranges or tuple(experiment.tune.get("ranges", DEFAULT_RANGES)),
        users,
        seed,
        seeds or experiment.tune.get("seeds", 1),
        "--range" if ranges else f"{experiment.path}: tune.ranges:",
    )


class RowSearch(NamedTuple):
    """The search of one row."""

    row: int
    """Its place in the experiment."""
    search: Search
    dataset: Path
    """The dataset's folder."""
    runs: Path
    trials: int
    checkpoint_minutes: float | None
    """Between two checkpoints; None for the default."""

    @property
    def config(self) -> RunConfig:
        """Of the row, before the search."""
        return self.search.config

    @property
    def run_count(self) -> int:
        """One for each trial and seed."""
        return self.trials * self.search.seeds

    @property
    def noun(self) -> str:
        """As the messages count them."""
        return "searches"


class TunedRow(NamedTuple):
    """What the search of a row has led to."""

    settings: Options
    """Those beyond the experiment's file; a two-stage method has its ranker's as well."""
    validation: float | None
    """AUC of the best trial; None if nothing was searched."""


class ExperimentTuning:
    """The searches of an experiment's rows.

    Args:
        experiment: the experiment.
        budget: the same for every row.
        dataset: its dataset.
        runs: folder of the runs; the trials are in <runs>/tune/<name of the experiment>.
        jobs: how many rows to search at once; None for as many as cores and memory allow.
        checkpoint_minutes: between two checkpoints of a training; None for the default.

    Raises:
        MailError: a range fits no row, or a ranker has no row without a method.
    """

    def __init__(
        self,
        experiment: Experiment,
        budget: Budget,
        dataset: Dataset,
        runs: Path,
        jobs: int | None,
        checkpoint_minutes: float | None,
    ) -> None:
        self._experiment, self._budget, self._dataset, self._runs = experiment, budget, dataset, runs
        self._jobs, self._checkpoint_minutes = jobs, checkpoint_minutes
        self._configs, _ = experiment.configs(dataset.name, dataset.history)
        self._ranges = _checked_ranges(experiment, budget, self._configs, dataset)

    def tune(self) -> list[TunedRow]:
        """Search the settings of every row, in its order; the test split is not read.

        Raises:
            MailError: a trial cannot be made.
            Interrupted: by Ctrl-C; run the same command to resume.
        """
        from mailcli.models.factory import is_two_stage

        networks = {number: x for number, x in enumerate(self._configs) if not plugins.is_trivial(x.ranker)}
        two_stage = {number for number, config in networks.items() if is_two_stage(config)}
        tuned = self._search({number: x for number, x in networks.items() if number not in two_stage}, self._ranges)
        baselines = {number: row for number, row in tuned.items() if networks[number].cold_start == "none"}
        rankers = {networks[number].ranker: row for number, row in baselines.items()}
        tuned |= self._search_options({number: networks[number] for number in two_stage}, rankers)
        return [tuned.get(number, TunedRow({}, None)) for number in range(len(self._configs))]

    def _search_options(self, configs: Mapping[int, RunConfig], rankers: Mapping[str, TunedRow]) -> dict[int, TunedRow]:
        """Two-stage methods, each on its tuned ranker."""
        settings = {number: rankers[config.ranker].settings for number, config in configs.items()}
        on_tuned = {number: make_config([vars(config), settings[number]]) for number, config in configs.items()}
        own = [setting for setting in self._ranges if setting.key.startswith("cold_start.")]
        searched = self._search(on_tuned, own)
        return {
            number: TunedRow({**settings[number], **row.settings}, row.validation) for number, row in searched.items()
        }

    def _search(self, configs: Mapping[int, RunConfig], ranges: Sequence[Range]) -> dict[int, TunedRow]:
        """Tune some rows, by their places in the experiment, by those of the ranges that each has."""
        tasks = []
        for number, config in configs.items():
            own = _ranges_of(config, ranges)
            if own:
                seeded = replace(config, seed=self._budget.seed)
                search = _search_of(self._name(number, config), seeded, own, self._budget, self._experiment)
                task = RowSearch(
                    number, search, self._dataset.folder, self._runs, self._budget.trials, self._checkpoint_minutes
                )
                tasks.append(task)
        if tasks:
            memory = max(run_memory(task.config, self._dataset) for task in tasks)
            work_on_all(_run, tasks, *jobs_and_threads(len(tasks), memory, self._jobs))
        return dict.fromkeys(configs, TunedRow({}, None)) | {task.row: _best(task) for task in tasks}

    def _name(self, number: int, config: RunConfig) -> str:
        """The row's cell, with a number if an earlier row has the same; with a hash of its ranker's tuned settings.

        So a two-stage method is searched anew where more trials have found better ones.
        """
        cell = config.cell
        earlier = sum(row.cell == cell for row in self._configs[:number])
        name = f"{cell}-{earlier + 1}" if earlier else cell
        if config == self._configs[number]:
            return name
        return f"{name}-{hashlib.sha256(config.baseline().key.encode()).hexdigest()[:8]}"


def _run(task: RowSearch) -> None:
    """Make the trials of a row that are missing."""
    _trials(task)


def _trials(task: RowSearch) -> list[dict[str, Any]]:
    """The trials of a row, the best first; those that are missing are made."""
    return run_search(task.search, task.trials, Dataset(task.dataset), task.runs, task.checkpoint_minutes)


def _best(task: RowSearch) -> TunedRow:
    """The best trial of a finished search, its settings as an experiment's file has them."""
    best = _trials(task)[0]
    texts = settings_of(best)
    config = task.search.trial(texts)
    settings = {key: text if "." in key else vars(config)[key] for key, text in texts.items()}
    return TunedRow(settings, best["value"])


def check_budget(experiment: Experiment, budget: Budget) -> None:
    """Refuse a budget that no dataset makes possible, before one is made (MailError as `ExperimentTuning`)."""
    configs, _ = experiment.configs(experiment.datasets[0], RunConfig.history)
    _checked_ranges(experiment, budget, configs)


def _checked_ranges(
    experiment: Experiment, budget: Budget, configs: Sequence[RunConfig], dataset: Dataset | None = None
) -> list[Range]:
    """The ranges of a budget, of which every value suits the rows that have it, and the dataset (MailError otherwise).

    Args:
        experiment: the experiment.
        budget: of each row.
        configs: of the rows.
        dataset: None if it is not known yet.
    """
    load_tensorflow()
    experiment.check_baselines(configs)
    ranges = parse_ranges(budget.ranges, budget.option)
    check_comparable(ranges, budget.option)
    if any(setting.key == "cold_start.variant" for setting in ranges):
        raise MailError(f"{budget.option} cold_start.variant: the rows of a table name it. Leave it out.")
    _check_ranges(ranges, configs, budget.option)
    for name, config in zip(experiment.labels_of(configs), configs, strict=True):
        seeded = replace(config, seed=budget.seed)
        search = _search_of(config.cell, seeded, _ranges_of(config, ranges), budget, experiment)
        with errors_at(f"{budget.option.removesuffix(':')}: row '{name}'"):
            check_end_trials(search)
            if dataset:
                check_histories(search, dataset)
        search.check()
    return ranges


def _search_of(name: str, config: RunConfig, ranges: Sequence[Range], budget: Budget, experiment: Experiment) -> Search:
    """The search of a row, whose config has the first seed of the budget."""
    return Search(name, config, ranges, budget.users, budget.seeds, experiment.path.stem)


def _ranges_of(config: RunConfig, ranges: Sequence[Range]) -> list[Range]:
    """Those of the ranges that a row has."""
    return with_types([setting for setting in ranges if _has(config, setting.key)], config)


def _check_ranges(ranges: Sequence[Range], configs: Sequence[RunConfig], option: str) -> None:
    """Refuse a range of an option that no row has (MailError).

    DEFAULT_RANGES are for any rows.
    """
    defaults = parse_ranges(DEFAULT_RANGES)
    for setting in ranges:
        if setting not in defaults and not any(_has(config, setting.key) for config in configs):
            raise MailError(f"{option} {setting.key}: no row has such an option.")


def _has(config: RunConfig, key: str) -> bool:
    """Whether a range fits a row: an option only if its ranker or method has it, and a setting always."""
    from mailcli.models.factory import option_names

    if plugins.is_trivial(config.ranker):
        return False
    owner = option_owner(config, key)
    return owner is None or owner.option in option_names(owner.kind, owner.name)
