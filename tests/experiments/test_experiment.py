"""Experiments: the files in experiments/, their datasets, and `mail run`."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from mailcli.experiments.cells import RunLayout
from mailcli.experiments.datasets import prepare_dataset
from mailcli.experiments.executors.processes import jobs_and_threads
from mailcli.experiments.experiment_file import read_experiment
from mailcli.reporting.paper import REPORTED
from tests.helpers import kuairand
from tests.helpers.command_line import error_line, mail
from tests.helpers.experiments import assert_refused, write_experiment
from tests.helpers.files import outcomes_of
from tests.helpers.runs import make_older

LONG_VIEW_RANDOM = "kuairand-pure-long-view-random"
FOLDER = Path(__file__).parent.parent.parent / "experiments"
EXPERIMENTS = sorted([*FOLDER.glob("*.toml"), *FOLDER.glob("tuned/*.toml")])
#: The experiment whose rows carry the claims.
STRICT = "table2-ml-100k-strict"

#: Two rankers, a co-trained and a two-stage method, on 150 simulated users: seconds.
EXPERIMENT = """
title = "Toy"
source = "alimama"
seeds = 2
rows = ["BaseDNN", "MetaEmb",
    {row = "MAIL-Base", "cold_start.encoder_units" = "8,8,8", "cold_start.decoder_units" = "8,8", label = "MAIL-Base"}]
[settings]
history = 10
embedding_dim = 4
batch_size = 128
epochs = 2
"ranker.units" = "8,4"
[simulate]
name = "toy"
users = 150
behaviors_per_user = 10
[reported.MAIL-Base.new]
AUC = 0.5934
"""


def test_seeds_begin_at_the_first_seed(home: Path) -> None:
    fresh = read_experiment(write_experiment(home, "first_seed = 5\n" + EXPERIMENT))
    assert list(fresh.seed_numbers()) == [5, 6]
    assert list(fresh.with_options(None, 3).seed_numbers()) == [5, 6, 7]
    assert list(read_experiment(write_experiment(home, EXPERIMENT)).seed_numbers()) == [0, 1]


@pytest.mark.slow
def test_a_dry_run_names_the_first_seeds(home: Path) -> None:
    path = write_experiment(home, "first_seed = 5\n" + EXPERIMENT)
    assert "BaseDNN (units=8,4), seeds to train: 5, 6" in mail("run", path, "--dry-run").stdout


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_the_projects_experiments_are_complete(path: Path) -> None:
    experiment = read_experiment(path)
    configs, shared = experiment.configs("any", 100)
    folders = RunLayout(Path("runs"), shared)
    places = {(folders.folder_for(config), config.cell) for config in configs}
    assert len(places) == len(configs)
    # Rows that differ only in their cold-start method are compared with the row of their ranker; tuned rows have settings
    # of their own.
    alone = {(folders.folder_for(config), config.cell) for config in configs if config.cold_start == "none"}
    compared = {
        (folders.folder_for(base), base.cell) for base in (x.baseline() for x in configs if x.cold_start != "none")
    }
    ranked_alone = {cell for _, cell in alone}
    assert experiment.tuned or {place for place in compared if place[1] in ranked_alone} <= alone
    for row, numbers in (experiment.reported or {}).items():
        assert REPORTED[row] == numbers


def test_the_rows_with_ten_seeds_are_tuned_ones() -> None:
    ten, tuned = (read_experiment(FOLDER / name) for name in (f"{STRICT}-10-seeds.toml", f"tuned/{STRICT}.toml"))
    assert ten.settings == tuned.settings
    of_tuned, _ = tuned.configs("any", 100)
    assert all(config in of_tuned for config in ten.configs("any", 100)[0])


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        ("title =", "titel =", "unknown key 'titel'. Did you mean 'title'?; 'title' is missing."),
        ("seeds = 2", "seeds = '2'", "seeds = '2': expected a whole number from 1 to 1000."),
        (
            "seeds = 2",
            "seeds = 2\nfirst_seed = 4294967295",
            "its seeds are 4294967295 to 4294967296. Expected none above ",
        ),
        (
            "[settings]",
            "[settings]\nseed = 4\ndata = 'tiny'\nranker = 'dmr'",
            "settings.seed: set by first_seed and seeds; settings.data: set by source or --data; "
            "settings.ranker: set by the names of rows",
        ),
        (
            "rows = [",
            "rows = [{row = 'item-rate', seed = 3},",
            "row 'item-rate': seed: set by first_seed and seeds",
        ),
        # The caption of a table has one protocol and one share of new users.
        (
            "rows = [",
            "rows = [{row = 'DMR', protocol = 'strict', new_share = 0.2, train_as_new = 0},",
            "row 'DMR': protocol: the rows of a table share it, so put it in [settings]; "
            "row 'DMR': new_share: the rows of a table share it, so put it in [settings].",
        ),
        # TOML reads a key with a dot as a table.
        (
            '"ranker.units" = "8,4"',
            "ranker.units = [8, 4]",
            'settings.ranker: write an option\'s key in quotes, "ranker.units".',
        ),
        (
            "rows = [",
            "rows = [{row = 'MetaEmb', cold_start.sigma = 2},",
            "row 'MetaEmb': cold_start: write an option's key in quotes, \"cold_start.sigma\".",
        ),
        (
            "seeds = 2",
            "seeds = 0\ntitle2 = 3",
            "unknown key 'title2'. Did you mean 'title'?; seeds = 0: expected a whole ",
        ),
        (
            "rows = [",
            "rows = []\nagainst = [['BaseDNN', 'MetaEmb']]\nreading = [",
            "rows = []: expected a list of one row or more; "
            "reading = ['BaseDNN', 'MetaEmb', {'row': 'MAIL-Base', 'cold_start.enco...: expected a string.",
        ),
        (
            "rows = [",
            "against = [['BaseDNN']]\nrows = [",
            "against = [['BaseDNN']]: expected a list of pairs of different rows, [ROW, ",
        ),
        (
            "rows = [",
            "against = [['MAIL-Base', 'BaseDNN'], ['BaseDNN', 'MAIL-Base']]\nrows = [",
            "against = [['MAIL-Base', 'BaseDNN'], ['BaseDNN', 'MAIL-Base']]: expected a list of pairs of different rows, [ROW, OTHER], each pair once.",
        ),
        (
            '"alimama"',
            '"tabular"',
            "source = 'tabular': expected source = 'schema' and schema = FILE for your own files",
        ),
        ("AUC = 0.5934", "AUC = 59.34", "reported.MAIL-Base.new.AUC = 59.34: expected a number from 0 to 1."),
        ('name = "toy"', "name = 3", "simulate.name = 3: expected a string."),
        ('"alimama"', '"alimma"', "unknown data source 'alimma'. Did you mean 'alimama'?"),
        (
            '"alimama"',
            '"alimama"\nlabel = "like"',
            "label like: the source 'alimama' has no such option. Leave it out.",
        ),
        (
            '"alimama"',
            '"schema"\nschema = "x.toml"\ntest = "y"',
            "test = 'y': the schema file names its column itself;",
        ),
        (
            '"alimama"',
            '"kuairand-pure"\nlabel = "lik"',
            "label is 'lik'. Expected one of 'click', 'long_view', 'like'.",
        ),
        ('"MetaEmb"', '"MetaEmbb"', "unknown row 'MetaEmbb'. Did you mean 'MetaEmb'?"),
        ('"MetaEmb"', "7", "row 7: expected a name, or {row = NAME, KEY = VALUE}."),
        ("epochs = 2", "epoch = 2", "unknown setting 'epoch'. Did you mean 'epochs'?"),
        ('"cold_start.encoder_units"', '"cold_strt.x"', "unknown setting 'cold_strt.x'."),
        ('name = "toy"', "", "'simulate' needs a 'name' for the dataset, and the source 'alimama'."),
        ("users = 150", "users = 1", "simulate.users = 1: expected a whole number from 10 to 10000000000."),
        (
            "users = 150",
            "users = '150'\nseed = -5\nconversions = 1\ninteractions = 'x'",
            "simulate.users = '150': expected a whole number from 10 to 10000000000; simulate.seed = -5: expected a whole number, "
            "0 or more; simulate.conversions = 1: expected true or false; simulate.interactions = 'x': expected a number.",
        ),
        (
            "users = 150",
            "user = 150",
            "unknown key 'simulate.user'. Did you mean 'users'?; 'simulate.users' is missing.",
        ),
        (
            "users = 150",
            "users = 150\nattribute_strength = 2",
            "simulate.attribute_strength is 2. Expected a number from 0 to 1.",
        ),
        ("seeds = 2", "seeds = 1000000000", "seeds = 1000000000: expected a whole number from 1 to 1000."),
        (
            "rows = [",
            "rows = [{row = 'MetaEmb', label = 'BaseDNN'},",
            "label = 'BaseDNN': expected another one, since another row has this name.",
        ),
        (
            "rows = [",
            "rows = [{row = 'MetaEmb', label = 'A'}, {row = 'DMR', label = 'A'},",
            "label = 'A': expected another one, since another row has this name.",
        ),
        (
            "[reported.MAIL-Base.new]",
            "[reported.MAIL-Bsae.new]",
            "'reported': no row is called 'MAIL-Bsae'. Did you mean 'MAIL-Base'? Rows: 'BaseDNN (units=8,4)', "
            "'MetaEmb (units=8,4)', 'MAIL-Base'.",
        ),
        ("AUC = 0.5934", "AOC = 0.5934", "unknown key 'reported.MAIL-Base.new.AOC'. Did you mean 'AUC'?"),
        ("AUC = 0.5934", 'AUC = "x"', "reported.MAIL-Base.new.AUC = 'x': expected a number from 0 to 1."),
        (
            "[reported.MAIL-Base.new]",
            "[reported.MAIL-Base.nw]",
            "unknown key 'reported.MAIL-Base.nw'. Did you mean 'new'?",
        ),
        ("[reported.MAIL-Base.new]", "[reported.MAIL-Base]", "unknown key 'reported.MAIL-Base.AUC'."),
        (
            "[reported.MAIL-Base.new]\nAUC = 0.5934",
            "[reported]\nMAIL-Base = 5",
            "reported.MAIL-Base = 5: expected a table.",
        ),
        ("title", "[[", "cannot be read as TOML"),
    ],
)
def test_a_file_with_a_fault_is_refused_in_one_line(
    experiment: Path, toy_data: Path, old: str, new: str, error: str
) -> None:
    experiment.write_text(EXPERIMENT.replace(old, new, 1), encoding="utf-8")
    assert_refused("run", experiment, toy_data, error)


def test_an_option_of_a_row_is_checked_before_the_dataset_is_made(home: Path) -> None:
    """Even before trivial rows are fitted; the message names the row as the table does."""
    path = write_experiment(home, EXPERIMENT.replace("rows = [", "rows = [{row = 'MAIL-Base', label = 'A', SIGMA},", 1))
    for sigma, fault in (
        ('"cold_start.sigma" = -1.0', "cold-start method 'mail': `sigma` should be positive. Received: sigma=-1.0"),
        ('"cold_start.sgima" = 1.0', "cold-start method 'mail' has no option 'sgima'. Did you mean 'sigma'? "),
    ):
        path.write_text(path.read_text().replace("SIGMA", sigma))
        error = error_line(mail("run", path))
        assert error.startswith(f"{path}: row 'A': {fault}")
        assert [entry.name for entry in home.iterdir()] == [path.name]
        path.write_text(path.read_text().replace(sigma, "SIGMA"))


def test_an_experiment_chooses_label_and_test_of_its_source(tmp_path: Path) -> None:
    kuairand.write(tmp_path / "data/raw/kuairand-pure", kuairand.good_rows())
    path = tmp_path / "experiment.toml"
    plain = 'title = "Videos"\nsource = "kuairand-pure"\nrows = ["item-bias"]\n'
    for options, name in (("", "kuairand-pure"), ('label = "long_view"\ntest = "random"\n', LONG_VIEW_RANDOM)):
        path.write_text(plain + options, encoding="utf-8")
        dataset = prepare_dataset(read_experiment(path), tmp_path / "data")
        assert dataset.name == name
        assert prepare_dataset(read_experiment(path), tmp_path / "data").folder == dataset.folder


def test_a_missing_file_is_reported_with_those_that_exist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    expected = "nothing.toml: not found. Expected the TOML file of an experiment."
    assert error_line(mail("run", "nothing.toml")) == expected
    (tmp_path / "experiments").mkdir()
    for name in ("demo.toml", "table2-ml-100k.toml"):
        (tmp_path / "experiments" / name).touch()
    holds = " experiments holds 'demo.toml', 'table2-ml-100k.toml'."
    assert error_line(mail("run", "zzz")) == f"{expected}{holds}".replace("nothing.toml", "zzz")
    for typed in ("demo.toml", "experiments/dmo.toml", "demmo"):
        assert error_line(mail("run", typed)) == (
            f"{typed}: not found. Did you mean 'experiments/demo.toml'? Expected the TOML file of an experiment.{holds}"
        )


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (["--seeds", "0"], "--seeds is 0. Expected a number from 1 to 1,000."),
        (["--seeds", "1001"], "--seeds is 1001. Expected a number from 1 to 1,000."),
        (["--format", "markdwon"], "--format markdwon: unknown format. Did you mean 'markdown'? Known: 'table', "),
        (["--data", "tyo"], "unknown dataset 'tyo'. Did you mean 'toy'?"),
    ],
)
def test_wrong_options_are_refused_in_one_line(
    experiment: Path, toy_data: Path, options: list[str], error: str
) -> None:
    done = mail("run", experiment, "--data-dir", toy_data, "--runs", experiment.parent / "runs", *options)
    assert (done.exit_code, done.stdout) == (2, "")
    assert error_line(done).startswith(error)
    assert not list(experiment.parent.glob("runs/**/config.toml"))


@pytest.mark.slow
def test_only_a_deleted_run_is_trained_again_and_the_table_is_the_same(
    experiment: Path, toy_data: Path, tmp_path: Path
) -> None:
    where: list[str | Path] = ["--data-dir", toy_data, "--runs", tmp_path / "runs", "--jobs", "1"]
    first = mail("run", experiment, *where, "--format", "json")
    assert first.stderr.startswith("6 runs: 0 finished, 6 to train; 1 at once.\n")
    results = sorted((tmp_path / "runs").rglob("result.json"))
    times = {path: path.stat().st_mtime_ns for path in results}
    # MAIL has settings of its own here, and so a folder of its own; its baseline is the shared one.
    assert {path.parent.parent.name for path in results} == {"base+none", "base+metaemb", "base+mail-base"}
    deleted = next(path for path in results if "mail-base/seed-1" in str(path)).parent
    shutil.rmtree(deleted)
    second = mail("run", experiment, *where, "--format", "json")
    assert second.stderr.startswith("6 runs: 5 finished, 1 to train; 1 at once.\n")
    assert without_times(second.stdout) == without_times(first.stdout)
    assert {path for path in results if path.stat().st_mtime_ns != times[path]} == {deleted / "result.json"}
    # Nothing is trained for another format or fewer seeds.
    one_seed = mail("run", experiment, *where, "--seeds", "1")
    assert "one seed: no interval" in one_seed.stdout
    assert one_seed.stderr == ""
    table, audit = json.loads(first.stdout)
    assert audit["title"] == "Audit of v̂: Toy, simulated"
    assert {record["row"].split()[0] for record in audit["results"]} == {"MAIL-Base"}
    auc = next(
        r for r in table["results"] if (r["users"], r["row"].split()[0], r["metric"]) == ("new", "MAIL-Base", "AUC")
    )
    assert auc["reported"] == 0.5934
    assert auc["p_holm"] >= auc["p"]


def without_times(output: str) -> list[dict[str, object]]:
    """Tables in JSON without the records of how long training and scoring took."""
    tables: list[dict[str, object]] = json.loads(output)
    for table in tables:
        records: list[dict[str, object]] = table["results"]  # type: ignore[assignment]
        times = {"training_seconds", "scoring_microseconds"}
        table["results"] = [record for record in records if record["metric"] not in times]
    return tables


def command(experiment: Path, data: Path, runs: Path, *options: str) -> subprocess.Popen[str]:
    """`mail run` with two processes, as typed."""
    code = "from mailcli.cli import main; main()"
    where = ["run", str(experiment), "--data-dir", str(data), "--runs", str(runs), "--jobs", "2", *options]
    return subprocess.Popen(
        [sys.executable, "-c", code, *where],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler) and None,
    )


class TestSeveralAtOnce:
    """Several training processes."""

    @pytest.mark.slow
    def test_ctrl_c_keeps_what_is_done_and_the_result_is_the_same(
        self, experiment: Path, toy_data: Path, tmp_path: Path
    ) -> None:
        experiment.write_text(EXPERIMENT.replace("epochs = 2", "epochs = 6\npatience = 6"), encoding="utf-8")
        undisturbed = command(experiment, toy_data, tmp_path / "undisturbed")
        table, messages = undisturbed.communicate()
        assert undisturbed.returncode == 0, messages
        assert messages.startswith("6 runs: 0 finished, 6 to train; 2 at once.\n")
        assert "6 of 6 runs done\n" in messages
        runs = tmp_path / "interrupted"
        running = command(experiment, toy_data, runs, "--checkpoint-every", "0")
        while running.poll() is None and len(list(runs.rglob("step-*.npz"))) < 3:
            time.sleep(0.001)
        running.send_signal(signal.SIGINT)
        _, messages = running.communicate()
        assert running.returncode == 130
        assert "Traceback" not in messages
        assert messages.endswith("\nInterrupted. Run the same command to resume.\n")
        assert "\\n" not in messages, "a line of its own for each run"
        assert list(runs.rglob("step-*.npz"))
        resumed = command(experiment, toy_data, runs)
        resumed_table, messages = resumed.communicate()
        assert resumed.returncode == 0, messages
        assert " to resume, " in messages.splitlines()[0]
        assert "resuming after step" in messages
        assert resumed_table == table
        assert outcomes_of(runs) == outcomes_of(tmp_path / "undisturbed")

    @pytest.mark.slow
    def test_a_run_that_fails_does_not_stop_the_others(self, experiment: Path, toy_data: Path, tmp_path: Path) -> None:
        rows = 'rows = ["BaseDNN", {row = "BaseDNN", learning_rate = 1e30}, "base+dropout"]'
        text, _, _ = EXPERIMENT.replace("seeds = 2", "seeds = 1").partition("[reported")
        experiment.write_text(re.sub(r"^rows = .*?\]$", rows, text, flags=re.MULTILINE | re.DOTALL), encoding="utf-8")
        running = command(experiment, toy_data, tmp_path / "runs", "--log", str(tmp_path / "log"), "--debug")
        out, messages = running.communicate()
        assert (running.returncode, out) == (2, "")
        messages, _, traceback = messages.partition("  | ExceptionGroup: ")
        assert "in _train_until_validation" in traceback, "of the process that trained"
        messages += traceback.splitlines()[-1]
        # Each line says whose it is, and a run's last one comes before the number of those that are done.
        lines = messages.splitlines()
        assert any(line.startswith("base+dropout, seed 0: epoch 1 of 2 · step ") for line in lines)
        assert any(line.startswith("base+none, seed 0 failed: ") for line in lines)
        assert lines.index("2 of 3 runs done, 1 failed") > max(
            n for n, line in enumerate(lines) if ": best epoch " in line
        )
        log = (tmp_path / "log").read_text(encoding="utf-8")
        assert all(line in log for line in lines if not line.startswith("Error: "))
        assert " DEBUG " in log
        assert "checkpoint of step" in log
        assert "Error: 1 of 3 runs failed. base+none, seed 0: " in messages
        assert "Training stopped." in messages
        assert len(list((tmp_path / "runs").rglob("result.json"))) == 2

    @pytest.mark.slow
    @pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds the workers in /proc")
    def test_a_killed_process_is_reported_in_one_line(self, experiment: Path, toy_data: Path, tmp_path: Path) -> None:
        running = command(experiment, toy_data, tmp_path / "runs", "--checkpoint-every", "0")
        while running.poll() is None and not list((tmp_path / "runs").rglob("step-*.npz")):
            time.sleep(0.001)
        children = Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text().split()
        workers = [int(pid) for pid in children if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]
        os.kill(workers[0], signal.SIGKILL)
        _, messages = running.communicate()
        assert running.returncode == 2
        assert "Traceback" not in messages
        assert "Error: A training process was killed, possibly out of memory." in messages


@pytest.mark.parametrize(
    ("runs", "memory", "jobs", "cores", "expected"),
    [
        # One core each; too little memory for two; fewer runs than cores; as many as requested.
        (30, 2, None, 8, (8, 1)),
        (30, 4, None, 8, (5, 1)),
        (3, 1, None, 8, (3, 2)),
        (30, 40, None, 8, (1, 8)),
        (30, 1, 2, 8, (2, 4)),
        (1, 1, 4, 8, (1, 8)),
        (30, 1, 16, 8, (16, 1)),
    ],
)
def test_how_many_at_once(
    monkeypatch: pytest.MonkeyPatch,
    runs: int,
    memory: int,
    jobs: int | None,
    cores: int,
    expected: Sequence[int],
) -> None:
    monkeypatch.setattr("mailcli.experiments.executors.processes.threads", lambda: cores)
    monkeypatch.setattr("mailcli.experiments.executors.processes.memory_bytes", lambda: 20)
    assert jobs_and_threads(runs, memory, jobs) == expected


@pytest.mark.slow
def test_a_run_of_a_version_without_some_setting_is_reused(experiment: Path, toy_data: Path, tmp_path: Path) -> None:
    where: list[str | Path] = [
        "run",
        experiment,
        "--data-dir",
        toy_data,
        "--runs",
        tmp_path / "runs",
        "--seeds",
        "1",
        "--jobs",
        "1",
    ]
    first = mail(*where)
    make_older(tmp_path / "runs")
    for path in (tmp_path / "runs").rglob("config.toml"):
        text = path.read_text(encoding="utf-8")
        assert "eval_every = 0\n" in text
        path.write_text(text.replace("eval_every = 0\n", ""), encoding="utf-8")
    second = mail(*where)
    assert (second.exit_code, second.stdout) == (0, first.stdout)
    # With another value than the default, it is another run.
    experiment.write_text(EXPERIMENT.replace("epochs = 2", "epochs = 2\neval_every = 1"), encoding="utf-8")
    changed = mail(*where)
    assert changed.exit_code == 2
    assert "holds a run with other settings (eval_every: 0 -> 1)" in error_line(changed)
