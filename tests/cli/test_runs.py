"""`mail runs`: what it lists, shows and deletes, and what it refuses."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from filelock import FileLock

from mailcli.cli import main
from mailcli.cli.runs import _confirm
from mailcli.errors import Interrupted
from tests.helpers.command_line import error_line, mail
from tests.helpers.run_folders import begin_run, finish_trivial, write_checkpoint


def listed(*options: str) -> list[dict[str, Any]]:
    """The records of `mail runs`."""
    done = mail("runs", "--format", "json", *options)
    assert done.exit_code == 0, done.output
    return [record for table in json.loads(done.stdout) for record in table["results"]]


class TestList:
    """`mail runs list`."""

    def test_a_finished_run_with_its_metrics_size_and_age(
        self, with_data: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folder = finish_trivial("item-rate")
        result = json.loads((folder / "result.json").read_text())
        (record,) = listed()
        assert (record["run"], record["dataset"], record["protocol"]) == (str(folder), "tiny", "paper")
        assert (record["cell"], record["seed"], record["status"]) == ("item-rate+none", 0, "finished")
        assert record["new_AUC"] == result["test"]["new"]["AUC"]
        assert record["old_GAUC"] == result["test"]["old"]["GAUC"]
        assert record["bytes"] == sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        assert record["changed"] == json.loads((folder / "environment.json").read_text())["finished"]
        finished = datetime.fromisoformat(record["changed"]).timestamp()
        monkeypatch.setattr("mailcli.cli.runs.time.time", lambda: finished + 7)
        assert mail("runs").stdout == mail("runs", "list").stdout
        (line,) = [line for line in mail("runs").stdout.splitlines() if line.startswith("item-rate+none/seed-0")]
        cells = [cell.strip() for cell in line.split("│")]
        new = result["test"]["new"]
        assert cells[1:4] == ["finished", "", f"{new['AUC']:.3f} {new['GAUC']:.3f}".replace("0.", ".")]
        assert cells[6] == "7 s"

    def test_runs_that_are_not_finished(self, home: Path) -> None:
        begin_run(0)
        write_checkpoint(begin_run(1), epoch=3, step=2, steps=20)
        write_checkpoint(Path("runs/tiny/paper/base+none/seed-1"), epoch=2, step=9, steps=18)
        (begin_run(2) / "checkpoints" / "best.weights.h5").write_bytes(b"x")
        # Stopped by a kill, and its checkpoint was damaged.
        (begin_run(3) / "checkpoints" / "best.weights.h5").write_bytes(b"x")
        Path("runs/tiny/paper/base+none/seed-3/checkpoints/step-20.npz").write_bytes(b"")
        running = begin_run(10)
        (running / "history.jsonl").write_text('{"step": 6, "epoch": 1}\n{"step": 7, "epoch": 2}\n{"step": 8, "ep')
        (begin_run(9) / "config.toml").write_text("epochs = 1\n")
        with FileLock(running.parent / ".seed-10.lock"):
            records = listed()
            text = mail("runs").stdout
        assert [(record["seed"], record["status"], record["epoch"], record["step"]) for record in records] == [
            (0, "stopped", None, None),
            (1, "stopped", 3, 20),
            (2, "untested", None, None),
            (3, "stopped", None, None),
            (None, "damaged", None, None),
            (10, "running", 2, 7),
        ]
        assert "base+none/seed-0: stopped, no checkpoint yet; the command that began it resumes it\n" in text
        assert "base+none/seed-1: stopped at epoch 3, step 20; the command that began it resumes it\n" in text
        assert "base+none/seed-2: untested; a trial of `mail tune`, which does not read the test split\n" in text
        assert "base+none/seed-10: running at epoch 2, step 7\n" in text
        assert "seed-9: damaged: runs/tiny/paper/base+none/seed-9/config.toml: data: no dataset is named. " in text

    def test_a_lock_that_a_killed_process_left_behind_is_no_running_process(self, home: Path) -> None:
        lock = begin_run().parent / ".seed-0.lock"
        lock.touch()
        assert [record["status"] for record in listed()] == ["stopped"]
        lock.write_text("not a lock file of mail's\n")
        assert [record["status"] for record in listed()] == ["stopped"]
        assert lock.read_text() == "not a lock file of mail's\n"

    def test_a_changed_run_is_damaged(self, with_data: Path) -> None:
        folder = finish_trivial("item-rate")
        with open(folder / "predictions.npy", "ab") as file:
            file.write(b"x")
        (record,) = listed()
        assert record["status"] == "damaged"
        assert record["damage"].startswith(f"{folder}/predictions.npy: was changed after the run had finished")
        assert mail("runs", "show", folder).exit_code == 0
        assert "was changed after" in mail("runs", "show", folder).stdout

    def test_a_damaged_checkpoint_is_passed_over(self, home: Path) -> None:
        folder = begin_run()
        write_checkpoint(folder, epoch=1, step=4, steps=4)
        (folder / "checkpoints" / "step-5.npz").write_bytes(b"PK")
        assert [(record["status"], record["step"]) for record in listed()] == [("stopped", 4)]

    def test_the_table_fits_80_columns(self, with_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("COLUMNS", "80")
        folder = finish_trivial("item-rate")
        shutil.copytree(folder, folder.parent.with_name("base+mail-base") / "seed-0")
        begin_run()
        table = [line for line in mail("runs").stdout.splitlines() if "│" in line]
        assert len(table) == 3
        assert max(map(len, table)) <= 80

    def test_forms(self, with_data: Path) -> None:
        finish_trivial("item-rate")
        (row,) = csv.DictReader(io.StringIO(mail("runs", "--format", "csv").stdout))
        assert (row["table"], row["status"]) == ("runs/tiny/paper", "finished")
        markdown = mail("runs", "list", "--format", "markdown").stdout.splitlines()
        assert markdown[0] == "**runs/tiny/paper**"
        assert markdown[4].startswith("| item-rate+none/seed-0 | finished |")
        assert r"\midrule" in mail("runs", "--format", "latex").stdout
        assert error_line(mail("runs", "--format", "jsn")) == (
            "--format jsn: unknown format. Did you mean 'json'? Known: 'table', 'markdown', 'csv', 'latex', 'json'."
        )

    def test_there_are_none(self, home: Path) -> None:
        text = "holds no run. Make one with `mail train`, or name another folder with --runs."
        assert error_line(mail("runs")) == f"runs: {text}"
        assert error_line(mail("runs", "list", "--runs", "elsewhere")) == f"elsewhere: {text}"

    def test_a_folder_may_have_the_name_of_a_command(self, home: Path) -> None:
        text = "holds no run. Make one with `mail train`, or name another folder with --runs."
        assert error_line(mail("runs", "--runs", "list")) == f"list: {text}"
        assert error_line(mail("runs", "-v", "--runs", "show")) == f"show: {text}"
        assert error_line(mail("runs", "-v", "list", "--runs", "rm")) == f"rm: {text}"
        assert mail("runs", "--format", "json", "--help").stdout.startswith("Usage: mail runs list [OPTIONS]")

    def test_the_help_and_an_unknown_command(self, home: Path) -> None:
        assert mail("runs", "--help").stdout.startswith("Usage: mail runs [OPTIONS] COMMAND")
        assert mail("runs", "list", "--help").stdout.startswith("Usage: mail runs list [OPTIONS]")
        assert "No such command 'lst'" in error_line(mail("runs", "lst"))


class TestShow:
    """`mail runs show`."""

    def test_a_finished_run(self, with_data: Path) -> None:
        folder = finish_trivial("item-rate", "--set", "new_share=0.3", "--seed", "3")
        done = mail("runs", "show", folder)
        assert done.exit_code == 0, done.output
        lines = [[cell.strip() for cell in line.split("│")] for line in done.stdout.splitlines()]
        for line in (["status", "finished"], ["cell", "item-rate+none"], ["seed", "3"], ["new_share", "0.3"]):
            assert line in lines
        new = json.loads((folder / "result.json").read_text())["test"]["new"]
        (shown,) = [line for line in lines if line[0] == "new users"]
        assert shown[1] == f"{new['AUC']:.4f}".removeprefix("0")
        assert shown[-1] == str(new["impressions"])
        summary, test = json.loads(mail("runs", "show", folder, "--format", "json").stdout)
        assert {"name": "new_share", "value": "0.3"} in summary["results"]
        assert {"name": "status", "value": "finished"} in summary["results"]
        assert test["results"][0] == {"users": "new", **new}

    def test_a_run_that_was_stopped_has_its_curve(self, home: Path) -> None:
        folder = begin_run(epochs=7, ranker_options={"units": "8"})
        point = {"new": {"AUC": 0.61}, "old": {"AUC": None}, "all": {"AUC": 0.63}}
        lines = [{"step": 1, "epoch": 1}, {"epoch": 1, "after_step": 22, "validation": point}]
        (folder / "history.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"after_step": ')
        done = mail("runs", "show", folder)
        assert done.exit_code == 0, done.output
        lines = [[cell.strip() for cell in line.split("│")] for line in done.stdout.splitlines()]
        assert ["epochs", "7"] in lines
        assert ["ranker.units", "8"] in lines
        assert ["1", "22", ".6100", "-", ".6300"] in lines

    @pytest.mark.parametrize(
        ("line", "reason"),
        [
            (b'{"after_step": 3,\n', "Expecting property name enclosed in double quotes: line 2 column 1 (char 18)"),
            (b'{"after_step": \xff}\n', "'utf-8' codec can't decode byte 0xff in position 15: invalid start byte"),
            (b'{"after_step": 3, "validation": {}}\n', "it has no key 'epoch'"),
            (b'{"after_step": 3, "epoch": 1, "validation": 7}\n', "'int' object has no attribute 'get'"),
            (b'{"after_step": [], "epoch": 1, "validation": {}}\n', "step is [], not a number"),
        ],
    )
    def test_a_damaged_history(self, home: Path, line: bytes, reason: str) -> None:
        folder = begin_run()
        (folder / "history.jsonl").write_bytes(b'{"step": 1, "epoch": 1}\n' + line)
        assert error_line(mail("runs", "show", folder)) == (
            f"{folder}/history.jsonl, line 2: is damaged ({reason}). Expected what training wrote there. Delete the "
            "folder and repeat the command that made it."
        )

    def test_what_is_no_run(self, home: Path) -> None:
        folder = begin_run()
        assert error_line(mail("runs", "show", "runs/tiny/paper/base+nnoe/seed-0")) == (
            "runs/tiny/paper/base+nnoe/seed-0: there is no such folder. Did you mean 'base+none'? Expected one "
            "made by `mail train`."
        )
        assert error_line(mail("runs", "show", folder.parent)) == (
            f"{folder.parent}: holds no config.toml, so it is not a run folder. Name one of the runs in it, "
            f"e.g. {folder}."
        )
        Path("notes").mkdir()
        assert error_line(mail("runs", "show", "notes")) == (
            "notes: holds no config.toml, so it is not a run folder. Expected one made by `mail train`."
        )


class TestRemove:
    """`mail runs rm`."""

    def test_it_asks_and_deletes(self, with_data: Path) -> None:
        first, second = finish_trivial("item-rate"), finish_trivial("item-rate", "--seed", "1")
        done = CliRunner().invoke(main, ["runs", "rm", str(first)], input="n\n")
        assert done.exit_code == 0
        assert f"{first}: finished; " in done.stdout
        assert "Delete 1 run? [y/N]: " in done.stdout
        assert done.stdout.endswith("Nothing was deleted.\n")
        assert (first / "result.json").is_file()
        done = CliRunner().invoke(main, ["runs", "rm", str(first), f"{first}/"], input="y\n")
        assert done.exit_code == 0
        assert done.stdout.splitlines()[-1].startswith("Deleted 1 run, ")
        assert [path.name for path in first.parent.iterdir()] == ["seed-1"]
        assert mail("runs", "rm", second, "--yes").exit_code == 0
        assert list(Path("runs").iterdir()) == [], "the cell's folder and those above it are empty"

    def test_the_folder_that_one_is_in(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        folder = begin_run().absolute()
        begin_run(1)
        monkeypatch.chdir(folder)
        assert mail("runs", "show", ".").exit_code == 0
        done = mail("runs", "rm", ".", "../seed-1", "--yes")
        monkeypatch.chdir(home)
        assert done.exit_code == 0, done.output
        assert "Deleted 2 runs" in done.stdout
        assert not folder.exists()
        monkeypatch.chdir(begin_run(2) / "checkpoints")
        assert mail("runs", "rm", "..", "--yes").exit_code == 0
        monkeypatch.chdir(home)
        assert list((home / "runs").iterdir()) == []

    def test_nobody_answers(self, home: Path) -> None:
        folder = begin_run()
        assert error_line(mail("runs", "rm", folder)) == (
            "nothing was deleted, since the question was not answered. Expected y or n, or --yes."
        )
        assert (folder / "config.toml").is_file()

    def test_ctrl_c_is_no_answer_either(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        folder = begin_run()

        def interrupted(_: str) -> str:
            raise KeyboardInterrupt

        monkeypatch.setattr("click.termui.visible_prompt_func", interrupted)
        with pytest.raises(Interrupted, match=r"^Interrupted; nothing was deleted\.$"):
            _confirm("Delete 1 run?")
        assert (folder / "config.toml").is_file()

    def test_a_damaged_run_can_be_deleted(self, home: Path) -> None:
        folder = begin_run()
        (folder / "config.toml").write_text("epochs = many\n")
        (folder.parent / f".partial-{'0' * 16}-seed-0").mkdir()
        done = mail("runs", "rm", folder, "--yes")
        assert done.exit_code == 0, done.output
        assert f"{folder}: damaged: {folder}/config.toml: cannot be read as TOML" in done.stdout
        assert list(folder.parent.iterdir()) == [], "with what a kill had left of deleting it before"

    def test_a_link_is_deleted_and_not_what_it_leads_to(self, home: Path) -> None:
        folder = begin_run()
        Path("link").symlink_to(folder)
        done = mail("runs", "rm", "link", "--yes")
        assert done.stdout == (
            "link: stopped, no checkpoint yet; the command that began it resumes it; a link to "
            f"{home}/{folder}, which stays\nDeleted 1 link.\n"
        )
        assert not Path("link").is_symlink()
        assert (folder / "config.toml").is_file()

    def test_a_link_and_what_it_leads_to(self, home: Path) -> None:
        folder = begin_run()
        Path("link").symlink_to(folder)
        done = CliRunner().invoke(main, ["runs", "rm", str(folder), "link"], input="y\n")
        assert done.exit_code == 0, done.output
        assert "Delete 1 run and 1 link? [y/N]: " in done.stdout
        assert re.search(r"\nDeleted 1 run and 1 link, [\d.]+ \w+\.\n$", done.stdout)
        assert [path.name for path in home.rglob("*")] == ["runs"]

    @pytest.mark.parametrize("case", ["running", "no run", "somebody's file", "missing"])
    def test_nothing_is_deleted_if_one_is_refused(self, home: Path, case: str) -> None:
        folder, other = begin_run(0), begin_run(1)
        refused, text = other, ""
        lock = FileLock(other.parent / ".seed-1.lock")
        if case == "running":
            lock.acquire()
            text = f"{other}: another `mail` process is training this run. Stop it first, or wait for it."
        elif case == "no run":
            (other / "config.toml").unlink()
            text = f"{other}: holds no config.toml, so it is not a run folder. Expected one made by `mail train`."
        elif case == "somebody's file":
            (other / "thesis.tex").touch()
            text = f"{other}: is not a run folder; it holds thesis.tex. Move what is not mail's away first."
        else:
            refused = Path("runs/tiny/paper/base+none/seed-3")
            text = f"{refused}: there is no such folder. Did you mean 'seed-1'? Expected one made by `mail train`."
        error = error_line(mail("runs", "rm", folder, refused, "--yes"))
        lock.release()
        assert error == text
        assert (folder / "config.toml").is_file()
        assert (other / "checkpoints").is_dir()


class TestCompare:
    """`mail runs compare`."""

    def test_settings_and_metrics_that_differ(self, with_data: Path) -> None:
        first, second = finish_trivial("item-rate"), finish_trivial("item-bias")
        done = mail("runs", "compare", first, second, "--format", "json")
        assert done.exit_code == 0, done.output
        differing, metrics = json.loads(done.stdout)
        assert differing["results"] == [{"of": "settings", "key": "ranker", "a": "item-rate", "b": "item-bias"}]
        assert differing["notes"] == [f"A: {first}", f"B: {second}"]
        tests = [json.loads((folder / "result.json").read_text())["test"] for folder in (first, second)]
        (new,) = [r for r in metrics["results"] if (r["users"], r["metric"]) == ("new", "GAUC")]
        assert (new["a"], new["b"]) == (tests[0]["new"]["GAUC"], tests[1]["new"]["GAUC"])
        assert new["difference"] == new["b"] - new["a"]
        text = mail("runs", "compare", first, second).stdout
        assert "over users: 95% intervals of B - A from 1,000 bootstrap draws of the test users" in text
        assert mail("runs", "compare", first, second).stdout == text
        without = json.loads(mail("runs", "compare", first, second, "--bootstrap", "0", "--format", "json").stdout)
        assert without[1]["results"][0]["difference_low"] is None
        assert without[1]["results"][0]["difference"] is not None

    def test_the_interval_is_that_of_the_paired_difference(self, with_data: Path) -> None:
        """Drawn by hand: users with replacement, each with all of their impressions, and every pair counted."""
        first, second = finish_trivial("item-rate"), finish_trivial("attribute-category")
        tables = json.loads(mail("runs", "compare", first, second, "--bootstrap", "40", "--format", "json").stdout)
        (record,) = [r for r in tables[1]["results"] if (r["users"], r["metric"]) == ("all", "AUC")]
        data = Path("data/tiny/test")
        user, click = np.load(data / "user.npy"), np.load(data / "click.npy")
        scores = [np.load(folder / "predictions.npy") for folder in (first, second)]
        people = np.unique(user)
        differences = []
        for number in range(40):
            drawn = np.random.default_rng([0, number]).integers(len(people), size=len(people))
            rows = np.concatenate([np.flatnonzero(user == people[person]) for person in drawn])
            differences.append(pair_auc(scores[1][rows], click[rows]) - pair_auc(scores[0][rows], click[rows]))
        low, high = np.quantile(differences, [0.025, 0.975])
        assert record["difference_low"] == pytest.approx(low, abs=1e-12)
        assert record["difference_high"] == pytest.approx(high, abs=1e-12)

    @pytest.mark.parametrize(
        ("change", "reason"),
        [
            ("seed", "the runs have other new users (protocol, seed or new_share)"),
            ("protocol", "the runs have other new users (protocol, seed or new_share)"),
            ("dataset", "the runs are on different datasets"),
            ("gone", "data has no dataset 'tiny', which says whose impressions they are"),
            ("edited", "{0} was trained on another version of the dataset 'tiny'"),
            ("archived", "{1} holds no predictions.npy"),
        ],
    )
    def test_without_the_same_impressions_there_are_no_differences(
        self, with_data: Path, change: str, reason: str
    ) -> None:
        first = finish_trivial("item-rate")
        other = {"seed": ("--seed", "1"), "protocol": ("--protocol", "strict")}.get(change, ())
        second = finish_trivial("item-bias", *other)
        if change == "dataset":
            shutil.copytree("data/tiny", "data/other")
            assert mail("train", "--ranker", "item-rate", "--data", "other").exit_code == 0
            second = Path("runs/other/paper/item-rate+none/seed-0")
        elif change == "gone":
            shutil.rmtree("data/tiny")
        elif change == "edited":
            manifest = Path("data/tiny/dataset.json")
            manifest.write_text(manifest.read_text() + "\n")
        elif change == "archived":
            (second / "predictions.npy").unlink()
            (second / "SHA256SUMS").unlink()
        done = mail("runs", "compare", first, second)
        assert done.exit_code == 0, done.output
        assert f"no differences: {reason.format(first, second)}\n" in done.stdout
        assert "B - A" not in done.stdout

    def test_what_is_refused(self, with_data: Path) -> None:
        first, unfinished = finish_trivial("item-rate"), begin_run()
        assert error_line(mail("runs", "compare", first, f"{first}/")) == (
            f"{first}: is compared with itself. Expected two runs."
        )
        assert error_line(mail("runs", "compare", first, unfinished)) == (
            f"{unfinished}: the run is not finished. Repeat the command that began it."
        )
        assert error_line(mail("runs", "compare", first)) == (
            "Missing argument 'RUN_B'. Try 'mail runs compare --help'."
        )
        assert error_line(mail("runs", "compare", first, first, "--bootstrap", "7")) == (
            "--bootstrap is 7. Expected 0 (no intervals), or 40 to 100000 draws."
        )
        second = finish_trivial("item-bias")
        (second / "SHA256SUMS").unlink()
        np.save(second / "predictions.npy", np.load(second / "predictions.npy")[1:])
        count = len(np.load(first / "predictions.npy"))
        assert error_line(mail("runs", "compare", first, second)) == (
            f"{second}/predictions.npy: holds {count - 1:,} scores, expected {count:,}. Delete the folder and repeat the command that made it."
        )
        scores = np.load(first / "predictions.npy")
        for damaged in (np.full_like(scores, np.nan), np.column_stack([scores, scores])):
            np.save(second / "predictions.npy", damaged)
            assert error_line(mail("runs", "compare", first, second)) == (
                f"{second}/predictions.npy: is damaged (expected 1 finite score per impression). Delete the folder and repeat the command that made it."
            )
        (second / "predictions.npy").write_bytes(b"")
        assert f"{second}/predictions.npy: is damaged" in error_line(mail("runs", "compare", first, second))


def pair_auc(scores: np.ndarray, clicks: np.ndarray) -> float:
    """The share of pairs of a click and another impression whose click has the higher score; ties count half."""
    ones, zeros = scores[clicks == 1][:, None], scores[clicks == 0]
    return float(np.mean((ones > zeros) + 0.5 * (ones == zeros)))
