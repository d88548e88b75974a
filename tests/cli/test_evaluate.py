"""`mail evaluate`."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.helpers.command_line import SMALL, error_line, mail
from tests.helpers.manifests import edit_manifest
from tests.helpers.runs import make_older


def test_evaluate_shows_intervals_over_users_where_asked_for(with_data: Path) -> None:
    for seed in ("0", "1"):
        assert mail("train", *SMALL, "--seed", seed).exit_code == 0
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
    for _, auc, of_auc, gauc, of_gauc, *_ in rows:
        for mean, interval in ((auc, of_auc), (gauc, of_gauc)):
            low, high = map(float, interval.split(" to "))
            assert low < float(mean.split()[0]) < high
    assert "200 bootstrap draws of the test" in bootstrapped.stdout
    assert "±: 95 % interval over seeds" in bootstrapped.stdout


class TestTamperedRuns:
    """`mail evaluate` on run folders that somebody has changed."""

    @pytest.fixture
    def run(self, with_data: Path) -> Path:
        assert mail("train", *SMALL).exit_code == 0
        return with_data / "runs" / "tiny" / "paper" / "base+none" / "seed-0"

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

    def test_a_damaged_config(self, old_run: Path) -> None:
        (old_run / "config.toml").write_text("epochs = 1\n")
        assert error_line(mail("evaluate", old_run)) == f"{old_run}/config.toml: data: no dataset is named."

    def test_missing_weights(self, old_run: Path) -> None:
        (old_run / "checkpoints" / "best.weights.h5").unlink()
        assert "does not fit this run's model and dataset" in error_line(mail("evaluate"))

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
        assert mail("train", "--data", "other", *SMALL).exit_code == 0
        shutil.rmtree(with_data / "data" / "tiny")
        done = mail("evaluate")
        assert done.exit_code == 0, done.output
        assert "seed-0: skipped, since data has no dataset 'tiny'." in done.stderr
        assert "BaseDNN" in done.stdout
        assert "unknown dataset 'tiny'" in error_line(mail("evaluate", run))

    @pytest.mark.parametrize(
        ("name", "reason"),
        [
            ("result.json", "result.json: was changed after the run had finished"),
            ("config.toml", "config.toml: was changed after the run had finished"),
            ("checkpoints/best.weights.h5", "best.weights.h5: was changed after the run had finished"),
        ],
    )
    def test_a_damaged_run_is_skipped_with_a_warning(self, run: Path, name: str, reason: str) -> None:
        assert mail("train", *SMALL, "--seed", "1").exit_code == 0
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
        assert mail("train", "--data", "other", *SMALL).exit_code == 0
        edit_manifest(with_data / "data" / "tiny", source="again")
        done = mail("evaluate")
        assert done.exit_code == 0, done.output
        reason = (
            "runs/tiny/paper/base+none/seed-0: was trained on another version of the dataset 'tiny' than the one in "
            "data/tiny. Train again in another --runs folder."
        )
        assert f"Skipped: {reason}\n" in done.stderr
        assert "Test metrics on other" in done.stdout
        assert "Test metrics on tiny" not in done.stdout
        assert error_line(mail("evaluate", "runs/tiny/paper/base+none/seed-0")) == reason
        shutil.rmtree(with_data / "runs" / "other")
        assert error_line(mail("evaluate")) == reason
