"""`mail tune`: a search on the validation split, which can be interrupted."""

from __future__ import annotations

import csv
import hashlib
import json
import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result

from mailcli.config import RunConfig, make_config
from mailcli.data.dataset import Dataset
from mailcli.data.protocol import views
from mailcli.errors import DivergedError, MailError
from mailcli.experiments.search_space import Range, parse_ranges, with_types
from mailcli.training.loop import TrainingLoop
from mailcli.utils.folder_lock import FolderLock
from tests.helpers.command_line import error_line, mail
from tests.helpers.datasets import forbid_test_split
from tests.helpers.trials import trained_trial

SMALL = [
    *("--set", "epochs=1", "--set", "batch_size=256", "--set", "embedding_dim=4", "--set", "history=5"),
    *("--set", "ranker.units=8,4"),
]
RANGES = ["--range", "learning_rate=log:1e-4..1e-2", "--range", "ranker.dropout=0|0.5"]


def tune(data_dir: Path, runs: Path, trials: int, *options: str) -> Result:
    where: list[str | Path] = ["--data-dir", data_dir, "--runs", runs]
    return mail("tune", *where, "--trials", str(trials), *SMALL, *RANGES, *options)


def interrupt_second_validation(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C in place of the second validation from now on."""
    validations, validate = 0, TrainingLoop._validate

    def interrupted(self: TrainingLoop) -> bool:
        nonlocal validations
        validations += 1
        if validations == 2:
            raise KeyboardInterrupt
        return validate(self)

    monkeypatch.setattr(TrainingLoop, "_validate", interrupted)


def settings_and_values(runs: Path) -> list[dict[str, str]]:
    """The trials of trials.csv in their order, without their numbers."""
    with open(runs / "tune" / "search" / "trials.csv", encoding="utf-8") as file:
        trials = sorted(csv.DictReader(file), key=lambda trial: int(trial["trial"]))
    return [{key: value for key, value in trial.items() if key != "trial"} for trial in trials]


def test_ranges_by_hand() -> None:
    assert parse_ranges(["learning_rate=log:1e-4..1e-2", "history=5..20", "ranker.units=64,32|8"]) == [
        Range("learning_rate", 1e-4, 1e-2, True, False, ()),
        Range("history", 5, 20, False, True, ()),
        Range("ranker.units", 0, 0, False, False, ("64,32", "8")),
    ]


def test_a_setting_that_is_a_fraction_has_a_range_of_fractions() -> None:
    config = make_config([{"data": "tiny"}])
    ranges = ["ranker.dropout=0..1", "embedding_l2=0..1", "epochs=5.0..20.0", "history=5..20", "ranker.units=8..16"]
    assert with_types(parse_ranges(ranges), config) == [
        Range("ranker.dropout", 0, 1, False, False, ()),
        Range("embedding_l2", 0, 1, False, False, ()),
        Range("epochs", 5, 20, False, True, ()),
        Range("history", 5, 20, False, True, ()),
        Range("ranker.units", 8, 16, False, True, ()),
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *(
            (text, "KEY=LOW..HIGH, KEY=log:LOW..HIGH or KEY=A|B|C")
            for text in ("history", "history=5", "=1..2", "x=a..b", "x=", "x=a|")
        ),
        ("x=0..inf", "finite numbers"),
        ("x=nan..1", "finite numbers"),
        ("history=9..5", "LOW below HIGH"),
        ("x=log:0..1", "LOW above 0, since the logarithm is searched"),
        ("optimizer=adam|adam", "each value once"),
    ],
)
def test_a_wrong_range_is_refused(text: str, expected: str) -> None:
    with pytest.raises(MailError) as error:
        parse_ranges([text])
    assert error.value.message == f"--range {text}: expected {expected}."


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ([], "--range: nothing to search. Name one setting or more, e.g. learning_rate=log:1e-4..1e-2."),
        (["--range", "epochs=1..2", "--range", "epochs=1..3"], "--range epochs: is named twice."),
        (
            ["--range", "history=10..500"],
            "history = 500: the dataset 'tiny' keeps the last 20 behaviors. Expected 20 or less; more needs `mail "
            "preprocess --history 500`.",
        ),
        (["--range", "epoch=1..2"], "unknown setting 'epoch'. Did you mean 'epochs'?"),
        (["--range", "optimizer=adam|sgd|sparse_adam"], "optimizer = 'sgd': expected one of 'sparse_adam', 'adam'."),
        (["--range", "epochs=0..2"], "epochs = 0: expected a whole number from 1 to 1000000."),
        (
            ["--range", "epochs=1..2", "--users", "nwe"],
            "--users nwe: no such group. Did you mean 'new'? Known: 'all', ",
        ),
        (
            ["--range", "epochs=1..2", "--seed", "4294967294", "--seeds", "3"],
            "--seeds 3: the last one is 4294967296. Expected none above 4294967295; lower --seed.",
        ),
        (["--range", "epochs=1..2", "--name", ""], "--name '': expected letters, digits, '.', '_' or '-'."),
        (["--range", "epochs=1..2", "--name", "../x"], "--name '../x': expected letters, digits, '.', '_' or '-'."),
    ],
)
def test_a_search_that_is_impossible_is_refused_in_one_line(
    options: list[str], error: str, data_dir: Path, tmp_path: Path
) -> None:
    done = mail("tune", "--data-dir", data_dir, "--runs", tmp_path / "runs", *options)
    assert (done.exit_code, done.stdout) == (2, "")
    assert error_line(done).startswith(error)
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
def test_an_interrupted_search_resumes_and_never_reads_the_test_split(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forbid_test_split(monkeypatch)
    undisturbed = tmp_path / "undisturbed"
    done = tune(data_dir, undisturbed, 3)
    assert done.exit_code == 0, done.output
    assert "Best of 3 on the validation split: --set learning_rate=" in done.stdout
    assert not list(undisturbed.rglob("result.json"))
    # Interrupted in the second trial, before its validation.
    runs = tmp_path / "runs"
    with monkeypatch.context() as patch:
        interrupt_second_validation(patch)
        assert tune(data_dir, runs, 2).exit_code == 130
    resumed = tune(data_dir, runs, 3)
    assert resumed.exit_code == 0, resumed.output
    assert "1 of 3 trials are done." in resumed.stderr
    assert "resuming after step" in resumed.stderr
    expected = settings_and_values(undisturbed)
    assert settings_and_values(runs) == expected
    assert len(expected) == 3
    # Nothing is left to do, and another search is not mixed with it.
    assert "3 of 3 trials are done." in tune(data_dir, runs, 3).stderr
    other_users = tune(data_dir, runs, 4, "--users", "new")
    assert other_users.exit_code == 2
    error = "holds a search with other users (all -> new). Choose another --name, or delete the folder."
    assert error in error_line(other_users)


@pytest.mark.slow
def test_a_two_stage_method_waits_for_the_end_of_its_ranker(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ranker is interrupted after the first of two epochs, whose weights are there already."""
    method = ["--cold-start", "metaemb", "--set", "epochs=2", "--range", "cold_start.alpha=0.1|0.9"]
    undisturbed, runs = tmp_path / "undisturbed", tmp_path / "runs"
    assert tune(data_dir, undisturbed, 1, *method).exit_code == 0
    with monkeypatch.context() as patch:
        interrupt_second_validation(patch)
        assert tune(data_dir, runs, 1, *method).exit_code == 130
    assert len(list(runs.rglob("best.weights.h5"))) == 1
    resumed = tune(data_dir, runs, 1, *method)
    assert resumed.exit_code == 0, resumed.output
    assert "base+none/seed-0: resuming after step" in resumed.stderr
    assert settings_and_values(runs) == settings_and_values(undisturbed)
    assert not list(runs.rglob("step-*.npz"))


def test_two_searches_of_one_name_do_not_meet(data_dir: Path, tmp_path: Path) -> None:
    with FolderLock(tmp_path / "tune" / "search", ""):
        error = error_line(tune(data_dir, tmp_path, 1))
    assert error == (
        f"{tmp_path}/tune/search: another `mail tune` of this name is searching. Wait for it, or choose another --name."
    )


def test_a_damaged_journal_is_one_line_and_a_cut_one_goes_on(
    data_dir: Path, tmp_path: Path, trained: list[RunConfig]
) -> None:
    del trained

    assert tune(data_dir, tmp_path, 1).exit_code == 0
    expected = settings_and_values(tmp_path)
    folder = tmp_path / "tune" / "search"
    journal = folder / "study.log"
    lines = journal.read_bytes().splitlines(keepends=True)
    remedy = f"Delete the folder {folder} and search again, or choose another --name."
    for damaged, fault in (
        ([b"[1]\n", *lines], "line 1 is '[1]\\n'; expected a JSON object"),
        ([lines[0], b"\xff{\n", *lines[1:]], "line 2 is '\ufffd{\\n'; expected a JSON object"),
        ([*lines, b"{}\n"], "Optuna: KeyError 'op_code'"),
        ([re.sub(rb'"users":"[^"]*"', b'"users":7', line) for line in lines], "its users is 7; expected a string"),
        ([re.sub(rb'"values":\s*\[[^]]*\]', b'"values":[1.5]', line) for line in lines], "trial 1 has an AUC of 1.5"),
    ):
        journal.write_bytes(b"".join(damaged))
        error = error_line(tune(data_dir, tmp_path, 1))
        assert error.startswith(f"{journal}: is damaged ({fault}"), error
        assert error.endswith(remedy)
    # A kill while the last line, the trial's value, was written; its lock is left as well.
    journal.write_bytes(b"".join(lines)[:-9])
    (folder / "study.log.lock").symlink_to(journal)
    resumed = tune(data_dir, tmp_path, 1)
    assert resumed.exit_code == 0, resumed.output
    assert f"{journal}: line {len(lines)} is cut off; dropping it.\n" in resumed.stderr
    assert settings_and_values(tmp_path) == expected


def test_a_trial_that_diverges_counts_and_is_not_tried_again(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[RunConfig] = []

    def train(config: RunConfig, *_: object) -> tuple[object, dict[str, object]]:
        tried.append(config)
        return trained_trial(DivergedError("L_rt is nan.") if len(tried) == 1 else 0.6, tmp_path)

    monkeypatch.setattr("mailcli.experiments.tuning._train", train)
    only = tune(data_dir, tmp_path, 1)
    remedy = "training has diverged in all 1 trials. Search lower values of learning_rate."
    assert error_line(only) == f"{tmp_path}/tune/search: {remedy}"
    assert "trial 1 of 1: L_rt is nan.\n" in only.stderr
    done = tune(data_dir, tmp_path, 3)
    assert done.exit_code == 0, done.output
    assert "1 of 3 trials are done.\n" in done.stderr
    assert "Best of 2 on the validation split: " in done.stdout
    assert len(tried) == 3
    assert len({config.learning_rate for config in tried}) == 3


@pytest.fixture
def trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[RunConfig]:
    """The configs of the trials, none of which is trained: their validation AUC is .6."""
    tried: list[RunConfig] = []

    def train(config: RunConfig, *_: object) -> tuple[object, dict[str, object]]:
        tried.append(config)
        return trained_trial(0.6, tmp_path)

    monkeypatch.setattr("mailcli.experiments.tuning._train", train)
    return tried


def test_the_sampler_of_the_last_seed_has_one_too(data_dir: Path, tmp_path: Path, trained: list[RunConfig]) -> None:
    done = tune(data_dir, tmp_path, 2, "--seed", "4294967295")
    assert done.exit_code == 0, done.output
    assert [config.seed for config in trained] == [4294967295, 4294967295]


def test_a_trial_of_several_seeds_has_their_mean(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second trial is interrupted after its first run, and the third diverges with its second seed."""
    ends: list[float | BaseException] = [
        *(0.5, 0.75, 0.625),
        *(0.5, KeyboardInterrupt(), 0.5, 0.5, 0.5),
        *(0.9, DivergedError("L_rt is nan.")),
        *(0.25, 0.75, 0.75),
    ]
    seeds: list[int] = []

    def train(config: RunConfig, *_: object) -> tuple[object, dict[str, object]]:
        checkpoints = tmp_path / f"run-{len(seeds)}"
        checkpoints.mkdir()
        (checkpoints / "step-1.npz").touch()
        seeds.append(config.seed)
        return trained_trial(ends.pop(0), checkpoints)

    monkeypatch.setattr("mailcli.experiments.tuning._train", train)
    three_seeds = ["--seed", "7", "--seeds", "3"]
    assert tune(data_dir, tmp_path, 4, *three_seeds).exit_code == 130
    # Only runs of a trial with a value have lost their checkpoints; the last one was never made.
    checkpoints = [len(list((tmp_path / f"run-{number}").iterdir())) for number in range(5)]
    assert checkpoints == [0, 0, 0, 1, 1]
    done = tune(data_dir, tmp_path, 4, *three_seeds)
    assert done.exit_code == 0, done.output
    assert seeds == [7, 8, 9, 7, 8, 7, 8, 9, 7, 8, 7, 8, 9]
    assert [record["value"] for record in settings_and_values(tmp_path)] == ["0.625", "0.5", repr(1.75 / 3)]
    # By their places among the trials that count: the interrupted one does not.
    assert [line.split()[0] for line in done.stdout.splitlines()[1:4]] == ["1", "4", "2"]
    assert "trial 2 of 4: validation AUC 0.5000, the mean of 3 seeds, with learning_rate " in done.stderr
    assert "trial  validation AUC (all users, mean of 3 seeds)  settings\n" in done.stdout
    # A trial of one seed is no such mean.
    assert error_line(tune(data_dir, tmp_path, 4, "--seed", "7")) == (
        f"{tmp_path}/tune/search: holds a search with other seeds (3 -> 1). Choose another --name, or delete the folder."
    )


def test_users_without_an_auc_are_refused_for_every_seed_before_training(
    data_dir: Path, tiny: Dataset, tmp_path: Path
) -> None:
    """Each seed draws new users of its own; where most are new, some draws leave old users without a click."""

    def has_auc(seed: int) -> bool:
        view = views(tiny, make_config([{"data": "tiny", "seed": seed, "new_share": 0.98}]))["validation"]
        drawn = view.new[tiny.column("validation", "user")[view.rows]]
        rows = view.rows[~drawn & (tiny.earlier_behaviors("validation")[view.rows] > 0)]
        return 0 < tiny.column("validation", "click")[rows].sum() < len(rows)

    seed = next(seed for seed in range(100) if has_auc(seed) and not has_auc(seed + 1))
    options = ["--users", "old", "--set", "new_share=0.98", "--seed", str(seed)]
    line = error_line(tune(data_dir, tmp_path / "runs", 1, *options, "--seeds", "2"))
    assert line.startswith(f"seed {seed + 1}: --users = 'old': ")
    assert line.endswith("choose another `--users`, or a dataset with more impressions.")
    assert not list((tmp_path / "runs").rglob("seed-*"))
    line = error_line(tune(data_dir, tmp_path / "runs", 1, *options[2:-1], str(seed + 1), "--set", "select=old"))
    assert line.startswith("select = 'old': ")


@pytest.mark.slow
def test_what_diverged_is_not_tried_again_and_leaves_no_run(data_dir: Path, tmp_path: Path) -> None:
    where: list[str | Path] = ["--data-dir", data_dir, "--runs", tmp_path, "--seeds", "2"]
    done = mail("tune", *where, "--trials", "6", "--range", "learning_rate=0.001|1e9", *SMALL)
    assert done.exit_code == 0, done.output
    assert done.stderr.count("lower learning_rate may help.") == 1
    assert ": diverged before with the same settings.\n" in done.stderr
    tables = json.loads(mail("runs", "--runs", tmp_path, "--format", "json").stdout)
    statuses = {run["status"] for table in tables for run in table["results"]}
    assert statuses == {"untested"}
    assert not list(tmp_path.rglob("learning_rate=1000000000.0/**/config.toml"))


@pytest.mark.slow
def test_a_trial_keeps_no_teachers(data_dir: Path, tmp_path: Path) -> None:
    options = ["--cold-start", "pfd", "--set", "cold_start.folds=2"]
    done = tune(data_dir, tmp_path / "runs", 1, *options)
    assert done.exit_code == 0, done.output
    assert "training teacher 2 of 2" in done.stderr
    assert not list(tmp_path.rglob("teachers"))


def test_settings_that_were_tried_before_are_not_trained_again(
    data_dir: Path, tmp_path: Path, trained: list[RunConfig]
) -> None:
    where: list[str | Path] = ["--data-dir", data_dir, "--runs", tmp_path]
    choice = ["--range", "learning_rate=0.001|0.002"]
    done = mail("tune", *where, "--trials", "5", *choice)
    assert done.exit_code == 0, done.output
    assert sorted(config.learning_rate for config in trained) == [0.001, 0.002]
    assert done.stderr.count(", as when they were tried before\n") == 3
    assert [record["value"] for record in settings_and_values(tmp_path)] == ["0.6"] * 5
    # A resumed search knows them, too.
    assert mail("tune", *where, "--trials", "7", *choice).exit_code == 0
    assert len(trained) == 2


def test_a_search_is_resumed_with_its_options_in_another_order(
    data_dir: Path, tmp_path: Path, trained: list[RunConfig]
) -> None:
    where: list[str | Path] = ["--data-dir", data_dir, "--runs", tmp_path]
    options = ["ranker.units=8", "ranker.dropout=0.1"]

    def search(trials: int, first: str, second: str) -> Result:
        sets = ["--set", first, "--set", second]
        return mail("tune", *where, *sets, "--trials", str(trials), "--range", "learning_rate=0.1..0.2")

    assert search(1, *options).exit_code == 0
    resumed = search(2, *options[::-1])
    assert resumed.exit_code == 0, resumed.output
    assert len(trained) == 2
    other = error_line(search(3, "ranker.units=8", "ranker.dropout=0.2"))
    assert other == (
        f"{tmp_path}/tune/search: holds a search with other ranker_options "
        '({"dropout": "0.1", "units": "8"} -> {"dropout": "0.2", "units": "8"}). '
        "Choose another --name, or delete the folder."
    )
    assert "holds a search with other epochs (50 -> 3). " in error_line(search(3, options[0], "epochs=3"))


def test_of_long_ranges_the_part_that_differs_is_shown(
    data_dir: Path, tmp_path: Path, trained: list[RunConfig]
) -> None:
    where: list[str | Path] = ["--data-dir", data_dir, "--runs", tmp_path]
    ranges = ["--range", "embedding_l2=0..0.1", "--range", "learning_rate=0.1..0.2"]
    assert mail("tune", *where, "--trials", "1", *ranges).exit_code == 0
    error = error_line(mail("tune", *where, "--trials", "1", *ranges, "--range", "patience=1..2"))
    known, _, now = error.removesuffix("). Choose another --name, or delete the folder.").partition(" -> ")
    assert "patience" not in known
    assert "patience" in now


def test_a_range_of_an_option_that_is_a_fraction_is_searched_between_its_ends(
    data_dir: Path, tmp_path: Path, trained: list[RunConfig]
) -> None:
    where: list[str | Path] = ["--data-dir", data_dir, "--runs", tmp_path]
    done = mail("tune", *where, "--trials", "3", "--ranker", "dmr", "--range", "ranker.match_weight=0..1")
    assert done.exit_code == 0, done.output
    assert all(0 < float(config.ranker_options["match_weight"]) < 1 for config in trained)


def test_a_range_whose_end_the_ranker_refuses_is_refused_before_any_trial(
    data_dir: Path, tmp_path: Path, trained: list[RunConfig]
) -> None:
    done = mail("tune", "--data-dir", data_dir, "--runs", tmp_path, "--range", "ranker.dropout=0..2")
    assert error_line(done) == "ranker 'base': `dropout` should be at least 0 and below 1. Received: 2.0"
    assert trained == []


def test_trials_on_other_data_or_by_other_code_are_not_mixed(
    data_dir: Path, tmp_path: Path, trained: list[RunConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert tune(data_dir, tmp_path, 1).exit_code == 0
    remedy = "Choose another --name, or delete the folder."
    folder = tmp_path / "tune" / "search"
    sha256 = hashlib.sha256((data_dir / "tiny" / "dataset.json").read_bytes()).hexdigest()
    with monkeypatch.context() as patch:
        patch.setattr("mailcli.runs.identity.dataset_sha256", lambda _: "0" * 64)
        error = error_line(tune(data_dir, tmp_path, 2))
    assert error == f"{folder}: holds a search with other dataset_sha256 ({sha256} -> {'0' * 64}). {remedy}"
    with monkeypatch.context() as patch:
        patch.setattr("mailcli.runs.identity.TRAINING_VERSION", 99)
        error = error_line(tune(data_dir, tmp_path, 2))
    assert error == f"{folder}: holds a search with other training_version (2 -> 99). {remedy}"
    # A search of an earlier version of mail does not say what its trials were made on.
    journal = folder / "study.log"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(line for line in lines if b"dataset_sha256" not in line))
    error = error_line(tune(data_dir, tmp_path, 2))
    assert error == (
        f"{folder}: holds a search of an earlier version of mail, without a note of its dataset_sha256, so that its "
        f"trials may differ in it. {remedy}"
    )
    assert len(trained) == 1
    # Without trials, there is nothing to mix.
    journal.write_bytes(lines[0])
    assert tune(data_dir, tmp_path, 1).exit_code == 0


def test_users_without_an_auc_cannot_choose(data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    column = Dataset.column

    def without_clicks(self: Dataset, table: str, name: str) -> object:
        values = column(self, table, name)
        return np.zeros_like(values) if (table, name) == ("validation", "click") else values

    monkeypatch.setattr(Dataset, "column", without_clicks)
    error = error_line(tune(data_dir, tmp_path, 1, "--users", "new"))
    assert re.fullmatch(r"--users = 'new': 0 of the \d+ impressions of new users in the validation split are .*", error)
