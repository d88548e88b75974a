"""`mail tune`: a hyperparameter search on the validation split, of one cell or of all rows of an experiment."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import Any

import click

from mailcli.cli._options import COLD_START, RANKER, RUN_OPTIONS, VARIANT, jobs_option
from mailcli.cli._output import check_output, print_line
from mailcli.cli._resolve import resolve
from mailcli.cli._types import PATH, path_option
from mailcli.config import MOST_SEEDS
from mailcli.errors import MailError

#: Options that say what is searched, and so contradict an experiment's file.
_OF_ONE_CELL = ("ranker", "cold_start", "variant", "protocol", "precision", "settings", "file", "eval_every", "name")

#: Trials that are printed, the best first (ours: a screen).
_PRINTED = 10


@click.command(short_help="Search for the best settings on the validation split.")
@click.argument("experiment", required=False, type=PATH, metavar="[FILE]")
@COLD_START
@VARIANT
@click.option("--seed", type=int, help="Random seed of the search, and of the first run of each trial. [default: 0]")
@click.option(
    "--seeds",
    type=click.IntRange(1, MOST_SEEDS),
    help="Number of runs of each trial, with seeds from --seed on: the mean of their validation AUC is maximized. "
    "[default: 1]",
)
@click.option(
    "--range",
    "ranges",
    multiple=True,
    metavar="KEY=VALUES",
    help="A setting to search over: LOW..HIGH, log:LOW..HIGH, or A|B|C; repeatable. [required without FILE]",
)
@click.option(
    "--trials", type=click.IntRange(min=1), help="Total number of trials; with FILE, for each row. [default: 20]"
)
@click.option(
    "--users",
    default="all",
    show_default=True,
    help="Users whose validation AUC is maximized: 'all', 'new' or 'old'.",
)
@click.option("--name", help="Without FILE: name of the search, and of its folder in RUNS/tune. [default: search]")
@path_option("-o", "--out", text="With FILE: the tuned experiment to write. [default: tuned/NAME next to FILE]")
@jobs_option("With FILE: number of rows searched in parallel.")
@RANKER
@RUN_OPTIONS
def tune(
    experiment: Path | None,
    seed: int | None,
    seeds: int | None,
    ranges: tuple[str, ...],
    trials: int | None,
    users: str,
    out: Path | None,
    jobs: int | None,
    data_dir: Path,
    runs: Path,
    checkpoint_minutes: float | None,
    **options: Any,
) -> None:
    """Search for the best settings on the validation split with Optuna; the test split is not read.

    FILE is one of experiments/*.toml: all its rows are searched, each with the same number of trials and the same
    ranges, and experiments/tuned/NAME.toml is written, for `mail run`. Without FILE, one cell is searched.

    With FILE, the file decides what is searched, so --ranker, --cold-start, --variant, --name, --protocol, --set,
    --config, --precision and --eval-every are refused. Optuna is installed separately (docs/installation.md).

    To resume an interrupted search, run the same command; --trials may be raised.
    """
    from mailcli.training.trackers import VARIABLES

    if VARIABLES["mlflow"] in os.environ:
        raise MailError("--mlflow: the runs of a search are not tested, so nothing would be logged. Leave it out.")
    from mailcli.experiments.study import check_optuna

    # Before a dataset is made, and the rows of FILE are begun.
    check_optuna()
    if experiment:
        _refuse_options_of_one_cell(options)
        budget = {"trials": trials, "ranges": ranges, "users": users, "seed": seed or 0, "seeds": seeds}
        _tune_experiment(experiment, budget, out, jobs, options["data"], data_dir, runs, checkpoint_minutes)
        return
    for option, value in (("--out", out), ("--jobs", jobs)):
        if value is not None:
            raise MailError(f"{option} is for a FILE of experiments/. Name one, or leave {option} out.")
    name = options.pop("name")
    cell = {**options, "seed": seed}
    _tune_cell(
        "search" if name is None else name, cell, ranges, trials, users, seeds or 1, data_dir, runs, checkpoint_minutes
    )


def _refuse_options_of_one_cell(options: dict[str, Any]) -> None:
    """Refuse options that the experiment's file decides (MailError)."""
    names = {"settings": "set", "file": "config"}
    for option in _OF_ONE_CELL:
        if options[option] not in (None, ()):
            flag = names.get(option, option).replace("_", "-")
            raise MailError(f"--{flag} contradicts FILE, which names rows and settings. Leave --{flag} out.")


def _tune_cell(
    name: str,
    cell: dict[str, Any],
    ranges: tuple[str, ...],
    trials: int | None,
    users: str,
    seeds: int,
    data_dir: Path,
    runs: Path,
    checkpoint_minutes: float | None,
) -> None:
    """Search for the best settings of a cell, and print what was found.

    Args:
        name: of the search.
        cell: the options that say what is trained, by name.
        ranges: the values of --range.
        trials: the number of trials; None for the default.
        users: whose validation AUC is maximized.
        seeds: the number of runs of each trial.
        data_dir: folder of the datasets.
        runs: folder of the runs.
        checkpoint_minutes: time between checkpoints.
    """
    from mailcli.data.last_used import remember
    from mailcli.experiments.search import DEFAULT_TRIALS, Search
    from mailcli.experiments.search_space import check_comparable, parse_ranges, with_types

    parsed = parse_ranges(ranges)
    check_comparable(parsed)
    config, dataset = resolve(data_dir, **cell)
    remember(dataset)
    search = Search(name, config, with_types(parsed, config), users, seeds)
    from mailcli.experiments.tuning import run_search

    records = run_search(search, trials or DEFAULT_TRIALS, dataset, runs, checkpoint_minutes)
    heading = f"validation AUC ({_measured(users, seeds)})"
    print_line(f"{'trial':>5}  {heading}  settings")
    for record in records[:_PRINTED]:
        print_line(f"{record['trial']:>5}  {record['value']:<{len(heading)}.4f}  {' '.join(_pairs(record))}")
    best = " ".join(f"--set {pair}" for pair in _pairs(records[0]))
    print_line(f"Best of {len(records)} on the validation split: {best}")


def _tune_experiment(
    path: Path,
    budget: dict[str, Any],
    out: Path | None,
    jobs: int | None,
    data: str | None,
    data_dir: Path,
    runs: Path,
    checkpoint_minutes: float | None,
) -> None:
    """Tune all rows of an experiment, and print what was found."""
    from mailcli.data.dataset import open_dataset
    from mailcli.data.last_used import remember
    from mailcli.experiments.datasets import prepare_dataset
    from mailcli.experiments.experiment_file import read_experiment
    from mailcli.experiments.experiment_tuning import ExperimentTuning, budget_of, check_budget
    from mailcli.experiments.tuned_file import write_tuned_file

    experiment = read_experiment(path)
    if experiment.tuned:
        raise MailError(f"{path}: is tuned already. Expected the experiment that it was made from.")
    if experiment.grid:
        raise MailError(f"{path}: has a grid. Expected an experiment on one dataset.")
    chosen = budget_of(experiment, **budget)
    target = out or path.parent / "tuned" / path.name
    check_output("--out", target, "a tuned experiment", path.name, [path], _is_tuned)
    check_budget(experiment, chosen)
    dataset = open_dataset(data_dir, data) if data else prepare_dataset(experiment, data_dir)
    remember(dataset)
    tuned = ExperimentTuning(experiment, chosen, dataset, runs, jobs, checkpoint_minutes).tune()
    write_tuned_file(experiment, chosen, tuned, dataset.name, target)
    measured = _measured(chosen.users, chosen.seeds)
    print_line(f"validation AUC ({measured}) of the best of {chosen.trials} trials, and its settings")
    for name, row in zip(experiment.row_names(with_settings=False), tuned, strict=True):
        value = "-" if row.validation is None else f"{row.validation:.4f}"
        print_line(f"{value:>6}  {name}  {' '.join(f'{key}={setting}' for key, setting in row.settings.items())}")
    on = f" --data {shlex.quote(data)}" if data else ""
    print_line(f"{target}: written. Next: mail run {shlex.quote(str(target))}{on}")


def _is_tuned(path: Path) -> bool:
    """Whether a file is one that `mail tune` wrote."""
    from mailcli.utils.parsing import read_toml

    try:
        return bool(read_toml(path).get("tuned"))
    except MailError:
        return False


def _measured(users: str, seeds: int) -> str:
    """Whose validation AUC the value of a trial is, and of how many runs."""
    return f"{users} users, mean of {seeds} seeds" if seeds > 1 else f"{users} users"


def _pairs(record: dict[str, Any]) -> list[str]:
    """The settings of a trial as `KEY=VALUE`."""
    from mailcli.experiments.study import settings_of

    return [f"{key}={value}" for key, value in settings_of(record).items()]
