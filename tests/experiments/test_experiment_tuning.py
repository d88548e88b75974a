"""`mail tune FILE`: every row of an experiment with the same budget, and the experiment that this makes."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from click.testing import Result

from mailcli.config import RunConfig, make_config
from mailcli.errors import DivergedError
from mailcli.experiments.experiment_file import read_experiment
from mailcli.experiments.experiment_tuning import Budget, TunedRow
from mailcli.experiments.search import Search, own_values
from mailcli.experiments.search_space import parse_ranges
from mailcli.experiments.tuned_file import write_tuned_file
from tests.helpers.command_line import error_line, mail, without_importing
from tests.helpers.datasets import forbid_test_split
from tests.helpers.experiments import assert_refused, write_experiment
from tests.helpers.trials import trained_trial

#: On 150 simulated users, a run takes a second or two.
EXPERIMENT = """
title = "Toy"
source = "alimama"
seeds = 1
reading = "About numbers that are no longer there."
rows = [
    "item-bias",
    "BaseDNN",
    "MetaEmb",
    {row = "base+masked", label = "hidden"},
]
[settings]
history = 5
embedding_dim = 4
batch_size = 256
epochs = 1
"ranker.units" = "8,4"
[simulate]
name = "toy"
users = 150
behaviors_per_user = 10
[tune]
trials = 3
ranges = ["learning_rate=0.001|0.1", "ranker.dropout=0|0.5", "cold_start.alpha=0.1|0.9"]
"""
#: Its rows are `item-bias` and `BaseDNN`.
BASE_ONLY = EXPERIMENT.replace('    "MetaEmb",\n    {row = "base+masked", label = "hidden"},\n', "")

#: The row's name, with the option that all rows share.
BASE = "BaseDNN (units=8,4)"


def tune(experiment: Path, data: Path, *options: str) -> Result:
    return mail("tune", experiment, "--data-dir", data, "--runs", experiment.parent / "runs", *options)


def trials(runs: Path, cell: str) -> list[dict[str, str]]:
    """The trials of a row in their order."""
    with open(runs / "tune" / "toy" / cell / "trials.csv", encoding="utf-8") as file:
        return sorted(csv.DictReader(file), key=lambda trial: int(trial["trial"]))


def test_one_trial_is_of_the_settings_of_the_file(experiment: Path, toy_data: Path) -> None:
    experiment.write_text(BASE_ONLY, encoding="utf-8")
    target = experiment.parent / "best.toml"
    ranges = ["--range", "learning_rate=0.1|1e-3"]
    done = tune(experiment, toy_data, "--trials", "1", *ranges, "--out", str(target), "--users", "old", "--seed", "3")
    assert done.exit_code == 0, done.output
    content = tomllib.loads(target.read_text(encoding="utf-8"))
    validation = content["tuned"].pop("validation")[BASE]
    assert content["tuned"] == {
        "data": "toy",
        "trials": 1,
        "ranges": ["learning_rate=0.1|1e-3"],
        "users": "old",
        "seed": 3,
        "seeds": 1,
    }
    assert content["title"] == "Toy, tuned"
    assert read_experiment(target).name == "best-tuned"
    assert content["rows"] == ["item-bias", {"row": "BaseDNN", "label": BASE, "learning_rate": 0.001}]
    assert done.stdout == (
        "validation AUC (old users) of the best of 1 trials, and its settings\n"
        "     -  item-bias  \n"
        f"{validation:.4f}  {BASE}  learning_rate=0.001\n"
        f"{target}: written. Next: mail run {target}\n"
    )


def test_a_smaller_budget_counts_only_the_first_trials(
    experiment: Path, toy_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four trials count, of which the second diverged; the first was interrupted, and so has a number more."""
    experiment.write_text(BASE_ONLY, encoding="utf-8")
    ends: list[float | BaseException] = [KeyboardInterrupt(), 0.6, DivergedError("L_rt is nan."), 0.65, 0.7]

    monkeypatch.setattr("mailcli.experiments.tuning._train", lambda *_: trained_trial(ends.pop(0), experiment.parent))
    options = ["--jobs", "1", "--range", "learning_rate=0.001..0.1"]
    assert tune(experiment, toy_data, "--trials", "4", *options).exit_code == 130
    assert tune(experiment, toy_data, "--trials", "4", *options).exit_code == 0
    assert ends == []
    for budget, best in ((4, 0.7), (3, 0.65), (2, 0.6)):
        done = tune(experiment, toy_data, "--trials", str(budget), *options)
        assert done.exit_code == 0, done.output
        content = tomllib.loads((experiment.parent / "tuned" / "toy.toml").read_text(encoding="utf-8"))
        assert (content["tuned"]["trials"], content["tuned"]["validation"]) == (budget, {BASE: best})
    assert "base+none: 4 trials are done, of which the first 2 count.\n" in done.stderr


def test_seeds_of_trials_are_those_of_the_file_or_of_the_command_line(
    experiment: Path, toy_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = BASE_ONLY.replace("trials = 3", "trials = 1\nseeds = 2").replace(', "cold_start.alpha=0.1|0.9"', "")
    experiment.write_text(text, encoding="utf-8")
    trained: list[int] = []

    def train(config: RunConfig, *_: object) -> tuple[object, dict[str, object]]:
        trained.append(config.seed)
        return trained_trial(0.5 if config.seed == 3 else 0.75, experiment.parent)

    monkeypatch.setattr("mailcli.experiments.tuning._train", train)
    target = experiment.parent / "tuned" / "toy.toml"
    one_seed = ["--seeds", "1", "--runs", str(experiment.parent / "one")]
    for options, seeds, mean, measured, note in (
        (["--data", "toy"], [3, 4], 0.625, "all users, mean of 2 seeds", "mean of seeds 3 to 4; ranges "),
        (one_seed, [3], 0.5, "all users", "seed 3; ranges "),
    ):
        trained.clear()
        done = tune(experiment, toy_data, "--jobs", "1", "--seed", "3", *options)
        assert done.exit_code == 0, done.output
        assert trained == seeds
        assert done.stdout.startswith(f"validation AUC ({measured}) of the best of 1 trials, and its settings\n")
        # What it was tuned on is not in the file's [settings].
        assert done.stdout.endswith(
            f"{target}: written. Next: mail run {target}{' --data toy' * ('--data' in options)}\n"
        )
        tuned = tomllib.loads(target.read_text(encoding="utf-8"))["tuned"]
        assert (tuned["seed"], tuned["seeds"], tuned["validation"]) == (3, len(seeds), {BASE: mean})
        assert (
            f"1 trial per row, by the validation AUC of all users, {note}" in read_experiment(target).budget_notes()[0]
        )
    # A file that was written before trials had seeds.
    target.write_text(
        target.read_text(encoding="utf-8").replace("seed = 3\nseeds = 1\n", "seed = 3\n"), encoding="utf-8"
    )
    assert "by the validation AUC of all users, seed 3; ranges " in read_experiment(target).budget_notes()[0]


def test_rows_of_one_name_keep_each_their_validation(tmp_path: Path) -> None:
    rows = 'rows = ["BaseDNN", "base+masked", {row = "base+masked", learning_rate = 0.1}, '
    rows += '{row = "base+dropout", label = "base+masked (2)"}]'
    path = write_experiment(tmp_path, 'title = "Toy"\nsource = "alimama"\n' + rows)
    tuned = [TunedRow({}, value) for value in (0.5, 0.6, 0.7, 0.8)]
    write_tuned_file(read_experiment(path), Budget(1, (), "all", 0, 1), tuned, "toy", tmp_path / "tuned.toml")
    content = tomllib.loads((tmp_path / "tuned.toml").read_text(encoding="utf-8"))
    assert content["tuned"]["validation"] == {
        **{"BaseDNN": 0.5, "base+masked": 0.6, "base+masked (3)": 0.7, "base+masked (2)": 0.8}
    }


def test_a_tuned_file_of_rows_of_one_name_is_read_again(tmp_path: Path) -> None:
    rows = 'rows = ["BaseDNN", "base+masked", {row = "base+masked", learning_rate = 0.1}]'
    path = write_experiment(tmp_path, 'title = "Toy"\nsource = "alimama"\n' + rows)
    tuned = [TunedRow({"batch_size": size}, 0.5) for size in (64, 128, 256)]
    write_tuned_file(read_experiment(path), Budget(1, (), "all", 0, 1), tuned, "toy", tmp_path / "tuned.toml")
    assert read_experiment(tmp_path / "tuned.toml").labels == ("BaseDNN", "base+masked", "base+masked (2)")


def test_the_start_of_a_search_is_silent() -> None:
    """In every process of several searches: Optuna imports TensorFlow, which would fill the terminal."""
    code = (
        "import sys; import mailcli.experiments.experiment_tuning; assert 'tensorflow' not in sys.modules; "
        "from mailcli.experiments.study import load_optuna; load_optuna(); assert 'tensorflow' in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (
            ["--range", "learning_rate"],
            "--range learning_rate: expected KEY=LOW..HIGH, KEY=log:LOW..HIGH or KEY=A|B|C.",
        ),
        (["--range", "cold_start.alpa=0|1"], "--range cold_start.alpa: no row has such an option."),
        (
            ["--range", "cold_start.variant=none|single"],
            "--range cold_start.variant: the rows of a table name it. Leave it out.",
        ),
        (
            ["--range", "optimizer=adam|sgd|sparse_adam"],
            "--range: row 'BaseDNN (units=8,4)': optimizer = 'sgd': expected one of 'sparse_adam', 'adam'.",
        ),
        (
            ["--range", "ranker.dropout=0.1|2.0"],
            "--range: row 'BaseDNN (units=8,4)': ranker 'base': `dropout` should be at least 0 and below 1. "
            "Received: 2.0",
        ),
        (
            ["--range", "learning_rate=0.001|0.001"],
            "--range learning_rate=0.001|0.001: expected each value once.",
        ),
        (["--users", "nwe"], "--users nwe: no such group. Did you mean 'new'? Known: 'all', 'new', 'old'."),
    ],
)
def test_a_budget_is_checked_before_the_dataset_is_made(options: list[str], error: str, experiment: Path) -> None:
    assert error_line(tune(experiment, experiment.parent / "data", *options)) == error
    assert not (experiment.parent / "data").exists()


def test_optuna_is_missed_before_the_dataset_is_made(experiment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    assert error_line(tune(experiment, experiment.parent / "data")) == (
        "`mail tune` needs Optuna. Install it with `pip install -c constraints.txt -e '.[tune]'`."
    )
    assert not (experiment.parent / "data").exists()


def test_a_folder_is_not_written_to_as_a_file(experiment: Path) -> None:
    folder = experiment.parent / "best"
    folder.mkdir()
    line = error_line(tune(experiment, experiment.parent / "data", "--out", str(folder)))
    assert line == f"--out {folder}: is a folder. Name a file, e.g. {folder}/toy.toml."
    assert not (experiment.parent / "data").exists()


@pytest.mark.slow
def test_every_row_has_the_same_trials_and_is_kept_with_its_best(
    experiment: Path, toy_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        forbid_test_split(patch)
        done = tune(experiment, toy_data, "--jobs", "1")
    assert done.exit_code == 0, done.output
    runs, tuned = experiment.parent / "runs", experiment.parent / "tuned" / "toy.toml"
    base, masked = trials(runs, "base+none"), trials(runs, "base+masked")
    (two_stage_search,) = (runs / "tune" / "toy").glob("base+metaemb-*")
    metaemb = trials(runs, two_stage_search.name)
    assert len(base) == len(masked) == len(metaemb) == 3
    # The first trial is the file as it is.
    own = {"learning_rate": "0.001", "ranker.dropout": "0.5"}
    assert {key: base[0][key] for key in own} == {key: masked[0][key] for key in own} == own
    # A two-stage method is fitted to the tuned ranker: only its own option is searched.
    assert set(metaemb[0]) == {"trial", "value", "cold_start.alpha"}
    content = tomllib.loads(tuned.read_text(encoding="utf-8"))
    best = {name: max(rows, key=lambda x: float(x["value"])) for name, rows in (("base", base), ("masked", masked))}
    rate, dropout = float(best["base"]["learning_rate"]), best["base"]["ranker.dropout"]
    assert content["rows"][0] == "item-bias"
    settings = {"learning_rate": rate, "ranker.dropout": dropout}
    assert content["rows"][1] == {"row": "BaseDNN", "label": BASE, **settings}
    two_stage = content["rows"][2]
    assert two_stage.pop("cold_start.alpha") in {"0.1", "0.9"}
    assert two_stage == {"row": "MetaEmb", "label": "MetaEmb (units=8,4)", **settings}
    assert content["rows"][3]["label"] == "hidden"
    assert content["rows"][3]["learning_rate"] == float(best["masked"]["learning_rate"])
    assert {"reading", "tune"}.isdisjoint(content)
    budget = content["tuned"]
    assert (budget["trials"], budget["users"], budget["seed"]) == (3, "all", 0)
    assert budget["ranges"] == ["learning_rate=0.001|0.1", "ranker.dropout=0|0.5", "cold_start.alpha=0.1|0.9"]
    assert budget["validation"][BASE] == float(best["base"]["value"])
    # Nothing is left to search, and the file is the same.
    before = tuned.read_bytes()
    again = tune(experiment, toy_data, "--jobs", "1")
    assert "base+none: 3 of 3 trials are done." in again.stderr
    assert tuned.read_bytes() == before
    already = error_line(tune(tuned, toy_data))
    assert already == f"{tuned}: is tuned already. Expected the experiment that it was made from."
    other = error_line(tune(experiment, toy_data, "--jobs", "1", "--users", "new"))
    assert other == "2 of 2 searches failed. " + " ".join(
        f"{cell}, seed 0: {runs}/tune/toy/{cell}: holds a search with other users (all -> new). Choose another --runs "
        "folder, or delete the folder."
        for cell in ("base+none", "base+masked")
    )
    _assert_compared_with_the_tuned_ranker(tuned, toy_data, runs)


def _assert_compared_with_the_tuned_ranker(tuned: Path, toy_data: Path, runs: Path) -> None:
    """A row's RI is relative to the ranker's own best settings, not to the ranker with the row's settings."""
    text = tuned.read_text(encoding="utf-8")
    rate = {"learning_rate = 0.001": "learning_rate = 0.02", "learning_rate = 0.1": "learning_rate = 0.02"}
    head, row = text[: text.index('{ row = "base+masked"')], text[text.index('{ row = "base+masked"') :]
    for old, new in rate.items():
        row = row.replace(old, new)
    tuned.write_text(head + row, encoding="utf-8")
    done = mail("run", tuned, "--data-dir", toy_data, "--runs", runs, "--jobs", "1", "--format", "json")
    assert done.exit_code == 0, done.output
    records = {(r["row"], r["users"], r["metric"]): r for r in json.loads(done.stdout)[0]["results"]}
    base, hidden = (records[row, "new", "AUC"] for row in (BASE, "hidden"))
    assert hidden["RI"] == pytest.approx(100 * (hidden["mean"] / base["mean"] - 1), abs=1e-9)
    # No run of the ranker with the row's settings was needed.
    assert not list(runs.glob("*learning_rate=0.02*/toy/paper/base+none"))
    table = mail("run", tuned, "--data-dir", toy_data, "--runs", runs, "--jobs", "1").stdout
    assert (
        "tuned on toy: 3 trials per row, by the validation AUC of all users, seed 0; ranges learning_rate=0.001|0.1; "
        in (" ".join(table.split()))
    )


def test_the_first_trial_has_the_settings_of_the_file() -> None:
    config = make_config([{"data": "x", "learning_rate": 0.01, "cold_start": "metaemb", "cold_start.alpha": 0.3}])
    ranges = ["learning_rate=1e-2|1", "ranker.dropout=0.2|0.50", "cold_start.alpha=0.0..1.0", "history=log:50..200"]
    assert own_values(Search("x", config, parse_ranges(ranges), "all")) == {
        "learning_rate": "1e-2",
        "ranker.dropout": "0.50",
        "cold_start.alpha": 0.3,
        "history": 100,
    }
    masked = make_config([{"data": "x", "cold_start": "masked", "ranker.product": "true"}])
    booleans = parse_ranges(["cold_start.prefix=true|false", "ranker.product=True|False"])
    assert own_values(Search("x", masked, booleans, "all")) == {"cold_start.prefix": "false", "ranker.product": "True"}
    # A range of whole numbers does not hold the default of .5.
    for outside in ("learning_rate=1|2", "history=5..20", "ranker.units=8,4|16,8", "ranker.dropout=0..1"):
        assert own_values(Search("x", config, parse_ranges([outside]), "all")) is None


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (["--ranker", "dmr"], "--ranker contradicts FILE, which names rows and settings. Leave --ranker out."),
        (["--set", "epochs=2"], "--set contradicts FILE, which names rows and settings. Leave --set out."),
        (["--name", "x"], "--name contradicts FILE, which names rows and settings. Leave --name out."),
        (["--range", "cold_start.alpa=0|1"], "--range cold_start.alpa: no row has such an option."),
        (
            ["--range", "cold_start.variant=none|single"],
            "--range cold_start.variant: the rows of a table name it. Leave it out.",
        ),
        (
            ["--range", "protocol=paper|strict"],
            "--range protocol: results with different values of it are not comparable. Leave it out.",
        ),
        (
            ["--range", "learning_rate=-1|1"],
            "--range: row 'BaseDNN (units=8,4)': learning_rate = -1.0: expected a positive number.",
        ),
        (["--users", "nwe"], "--users nwe: no such group. Did you mean 'new'?"),
    ],
)
def test_a_budget_that_is_impossible_is_refused(
    options: list[str], error: str, experiment: Path, toy_data: Path
) -> None:
    done = tune(experiment, toy_data, *options)
    assert error_line(done).startswith(error)
    assert not (experiment.parent / "runs").exists()
    assert not (experiment.parent / "tuned").exists()


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        ("trials = 3", "trials = 0", "tune.trials = 0: expected a whole number, 1 or more."),
        (
            '"learning_rate=0.001|0.1"',
            '"learning_rate"',
            "tune.ranges: learning_rate: expected KEY=LOW..HIGH, KEY=log:",
        ),
        (
            '"cold_start.alpha=0.1|0.9"',
            '"seed=1..9"',
            "tune.ranges: seed: results with different values of it are not comparabl",
        ),
        (
            '"BaseDNN"',
            '"BaseDNN", {row = "BaseDNN", epochs = 3}',
            "has 2 rows of 'base' without a method. Expected one, which the others ",
        ),
        ("trials = 3", "trails = 3", "unknown key 'tune.trails'. Did you mean 'trials'?"),
        ("ranges = [", "ranges = [1, ", "tune.ranges = [1, "),
        ('label = "hidden"', "label = 5", "row {'row': 'base+masked'}: label = 5: expected a string."),
        ('    "BaseDNN",\n', "", "has no row of the ranker 'base' without a method, which 'base+metaemb' is compared "),
        (
            "[tune]",
            "[tuned]",
            "'tuned.data' is missing; 'tuned.users' is missing; 'tuned.seed' is missing; 'tuned.validation' is missing.",
        ),
    ],
)
def test_a_file_with_a_fault_is_refused(experiment: Path, toy_data: Path, old: str, new: str, error: str) -> None:
    experiment.write_text(EXPERIMENT.replace(old, new, 1), encoding="utf-8")
    assert_refused("tune", experiment, toy_data, error)


def test_the_experiment_itself_is_not_replaced(experiment: Path, toy_data: Path) -> None:
    line = error_line(tune(experiment, toy_data, "--out", str(experiment)))
    assert line == f"--out {experiment}: is one of the files that it is made from. Name another file."
    assert experiment.read_text(encoding="utf-8") == EXPERIMENT


def test_options_of_a_file_need_one(toy_data: Path, tmp_path: Path) -> None:
    for option, value in (("--out", "x.toml"), ("--jobs", "2")):
        done = mail("tune", "--data-dir", toy_data, "--range", "epochs=1..2", option, value)
        assert error_line(done) == f"{option} is for a FILE of experiments/. Name one, or leave {option} out."


def test_a_search_that_cannot_begin_imports_nothing_slow(experiment: Path) -> None:
    """TensorFlow, which Optuna imports, would fill the terminal with messages."""
    done = without_importing(("tensorflow", "optuna"), "tune", "--range", "epochs=1..2", cwd=experiment.parent)
    assert done.returncode == 2
    assert done.stderr.startswith("Error: data: holds no dataset yet. ")
