"""`mail evaluate`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.command_line import SMALL, error_line, mail
from tests.helpers.manifests import edit_manifest
from tests.helpers.run_folders import finish_trivial
from tests.helpers.runs import make_older


def test_evaluate_shows_intervals_over_users_where_asked_for(with_data: Path, small_runs: Path) -> None:
    shutil.copytree(small_runs, with_data / "runs")
    plain = mail("evaluate")
    assert plain.exit_code == 0, plain.output
    assert "over users" not in plain.stdout
    bootstrapped = mail("evaluate", "--bootstrap", "200")
    assert bootstrapped.exit_code == 0, bootstrapped.output
    assert mail("evaluate", "--bootstrap", "200").stdout == bootstrapped.stdout
    rows = [
        [c.strip() for c in line.split("│")] for line in bootstrapped.stdout.splitlines() if line.startswith("BaseDNN")
    ]
    same = [[c.strip() for c in line.split("│")] for line in plain.stdout.splitlines() if line.startswith("BaseDNN")]
    assert [[auc, gauc] for _, auc, _, gauc, *_ in rows] == [row[1:3] for row in same]
    widths = []
    for _, auc, of_auc, gauc, of_gauc, *_ in rows:
        for mean, interval in ((auc, of_auc), (gauc, of_gauc)):
            low, high = map(float, interval.split(" to "))
            # Of a single user, every draw is the mean.
            assert low <= float(mean.split()[0]) <= high
            widths.append(high - low)
    assert sum(width > 0 for width in widths) > len(widths) / 2
    assert "200 bootstrap draws of the test" in bootstrapped.stdout
    assert "±: 95% interval over seeds" in bootstrapped.stdout


class TestTamperedRuns:
    """`mail evaluate` on run folders that somebody has changed."""

    @pytest.fixture
    def run(self, with_data: Path, small_runs: Path) -> Path:
        name = Path("tiny/paper/base+none/seed-0")
        return Path(shutil.copytree(small_runs / name, with_data / "runs" / name))

    @pytest.fixture
    def old_run(self, run: Path) -> Path:
        make_older(run)
        return run

    @pytest.mark.parametrize(
        "content", [b"", b"{", b"{}", b"[]", b"\xff\xfe", b'{"test": {}}', b'{"test": {"new": 3}}']
    )
    def test_a_damaged_result(self, old_run: Path, content: bytes) -> None:
        (old_run / "result.json").write_bytes(content)
        for command in (["evaluate"], ["train", *SMALL]):
            assert "result.json: is damaged. Delete the folder" in error_line(mail(*command))

    @pytest.mark.parametrize("impressions", [None, "12", -1, 1.5, True, [12]])
    def test_what_is_no_count(self, old_run: Path, impressions: Any) -> None:
        path = old_run / "result.json"
        result = json.loads(path.read_text())
        result["test"]["old"]["impressions"] = impressions
        path.write_text(json.dumps(result))
        for command in (["evaluate"], ["runs", "compare", old_run, old_run]):
            assert "result.json: is damaged. Delete the folder" in error_line(mail(*command))
        assert "result.json: is damaged. Delete the folder" in " ".join(mail("runs", "show", old_run).stdout.split())

    def test_a_damaged_config(self, old_run: Path) -> None:
        (old_run / "config.toml").write_text("epochs = 1\n")
        line = error_line(mail("evaluate", old_run))
        remedy = "Delete the folder and repeat the command that made it."
        assert line == f"{old_run}/config.toml: data: no dataset is named. {remedy}"

    def test_missing_weights(self, old_run: Path) -> None:
        (old_run / "checkpoints" / "best.weights.h5").unlink()
        assert "does not fit this run's model and dataset" in error_line(mail("evaluate"))

    def test_a_damaged_baseline_leaves_a_row_without_ri(self, run: Path, tmp_path: Path) -> None:
        """It is skipped among the runs, and does not end the command as the baseline of another."""
        method = run.parents[1] / "base+masked" / "seed-0"
        shutil.copytree(run, method)
        make_older(method)
        config = (method / "config.toml").read_text()
        (method / "config.toml").write_text(config.replace('cold_start = "none"', 'cold_start = "masked"'))
        result = (method / "result.json").read_text()
        (method / "result.json").write_text(result.replace("base+none", "base+masked"))
        (run / "history.jsonl").write_bytes(b"damaged")
        done = mail("report", method.parents[1], "--out", tmp_path / "page.html")
        assert done.exit_code == 0, done.output
        assert f"{method}: no RI, because its baseline cannot be read. {run}/history.jsonl: was changed" in done.stderr

    def test_the_same_run_twice_is_one_run(self, run: Path) -> None:
        done = mail("evaluate", run, run)
        assert done.exit_code == 0, done.output
        assert "seeds 0\n" in done.stdout
        assert "one seed: no interval" in done.stdout

    def test_a_copy_is_no_second_seed(self, run: Path, tmp_path: Path) -> None:
        shutil.copytree(run, tmp_path / "copy")
        assert "are runs with the same settings and seed. Give one of them." in error_line(
            mail("evaluate", run, "copy")
        )

    def test_rows_of_other_seeds_and_settings_are_kept_apart(self, run: Path) -> None:
        assert mail("train", *SMALL[:-1], "ranker.units=8", "--seed", "5").exit_code == 0
        done = mail("evaluate")
        assert "seeds BaseDNN (units=16,8): 0; BaseDNN (units=8): 5" in done.stdout

    def test_a_run_whose_dataset_is_gone_is_skipped_with_a_warning(self, run: Path, with_data: Path) -> None:
        shutil.copytree(with_data / "data" / "tiny", with_data / "data" / "other")
        finish_trivial("item-rate", "--data", "other")
        shutil.rmtree(with_data / "data" / "tiny")
        done = mail("evaluate")
        assert done.exit_code == 0, done.output
        assert "seed-0: skipped, since data has no dataset 'tiny'." in done.stderr
        assert "item-rate" in done.stdout
        assert "unknown dataset 'tiny'" in error_line(mail("evaluate", run))

    @pytest.mark.parametrize(
        ("name", "reason"),
        [
            ("result.json", "result.json: was changed after the run had finished"),
            ("config.toml", "config.toml: was changed after the run had finished"),
            ("checkpoints/best.weights.h5", "best.weights.h5: was changed after the run had finished"),
        ],
    )
    def test_a_damaged_run_is_skipped_with_a_warning(self, run: Path, small_runs: Path, name: str, reason: str) -> None:
        shutil.copytree(small_runs / "tiny/paper/base+none/seed-1", run.parent / "seed-1")
        (run / name).write_bytes((run / name).read_bytes()[:-1])
        done = mail("evaluate")
        assert done.exit_code == 0, done.output
        assert "Skipped: runs/tiny/paper/base+none/seed-0/" in done.stderr
        assert reason in done.stderr
        assert "seeds 1\n" in done.stdout
        assert reason in error_line(mail("evaluate", run))
        shutil.rmtree(run.parent / "seed-1")
        assert reason in error_line(mail("evaluate"))

    def test_a_run_on_another_version_of_its_dataset_is_skipped_with_a_warning(
        self, run: Path, with_data: Path
    ) -> None:
        shutil.copytree(with_data / "data" / "tiny", with_data / "data" / "other")
        finish_trivial("item-rate", "--data", "other")
        edit_manifest(with_data / "data" / "tiny", source="again")
        done = mail("evaluate")
        assert done.exit_code == 0, done.output
        reason = (
            "runs/tiny/paper/base+none/seed-0: was trained on another version of the dataset 'tiny' than the one in "
            "data/tiny. Train it again with --overwrite, or in another --runs folder."
        )
        assert f"Skipped: {reason}\n" in done.stderr
        assert "Test metrics on other" in done.stdout
        assert "Test metrics on tiny" not in done.stdout
        assert error_line(mail("evaluate", "runs/tiny/paper/base+none/seed-0")) == reason
        shutil.rmtree(with_data / "runs" / "other")
        assert error_line(mail("evaluate")) == reason


class TestFolders:
    """`mail evaluate FOLDER`, with runs of trivial rows, which have no network to load."""

    @pytest.fixture
    def cells(self, with_data: Path) -> list[Path]:
        return [finish_trivial("item-rate"), finish_trivial("item-bias"), finish_trivial("item-bias", "--seed", "1")]

    def test_a_folder_stands_for_the_runs_below_it(self, cells: list[Path]) -> None:
        for folders, rows in (
            (["runs/tiny"], ["item-bias", "item-rate"]),
            ([cells[1].parent], ["item-bias"]),
            ([cells[1].parent, cells[0]], ["item-bias", "item-rate"]),
        ):
            done = mail("evaluate", *folders, "--format", "json")
            assert done.exit_code == 0, done.output
            (table,) = json.loads(done.stdout)
            assert sorted({record["row"] for record in table["results"]}) == rows
        assert all(r["seeds"] == [0, 1] for r in table["results"] if r["row"] == "item-bias")

    def test_one_stale_run_does_not_refuse_the_others(self, cells: list[Path]) -> None:
        with open(cells[0] / "config.toml", "a") as file:
            file.write("\n")
        done = mail("evaluate", "runs/tiny/paper")
        assert done.exit_code == 0, done.output
        assert f"Skipped: {cells[0]}/config.toml: was changed after the run had finished" in done.stderr
        assert "item-bias" in done.stdout
        assert "item-rate" not in done.stdout
        assert "was changed after" in error_line(mail("evaluate", cells[0].parent))
        assert "was changed after" in error_line(mail("evaluate", *cells)), "it is named, so it is refused"

    def test_a_folder_without_runs(self, cells: list[Path]) -> None:
        assert error_line(mail("evaluate", "data")) == ("data: holds no finished run. Make one with `mail train`.")
        assert error_line(mail("evaluate", "runs/tny")) == (
            "runs/tny: there is no such folder. Did you mean 'tiny'? Expected one made by `mail train`."
        )
