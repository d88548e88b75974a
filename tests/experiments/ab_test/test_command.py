"""`mail abtest` as typed, and what it refuses."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from mailcli.data.dataset import Dataset
from tests.helpers.command_line import SMALL, SMALL_MAIL, error_line, mail
from tests.helpers.manifests import edit_manifest
from tests.helpers.runs import make_older


@pytest.mark.slow
def test_abtest_prints_its_table_and_refuses_runs_of_two_datasets(with_data: Path) -> None:
    trained = mail("train", "--cold-start", "mail", *SMALL, *SMALL_MAIL)
    assert trained.exit_code == 0, trained.output
    runs = [f"runs/tiny/paper/{cell}/seed-0" for cell in ("base+none", "base+mail-base")]
    command = ["abtest", *runs, "--users", "150", "--candidates", "30"]
    done = mail(*command)
    assert done.exit_code == 0, done.output
    for text in (
        "Simulated A/B test, B over A",
        "data tiny (simulated) | 150 users in each arm | seed 0",
        f"A: base+none, seed 0, protocol paper, 40% of users new ({runs[0]})",
        f"B: base+mail-base, seed 0, protocol paper, 40% of users new ({runs[1]})",
        "each user sees the top 5 of 30 candidates, which are the same for all users",
        "no CTCVR: the dataset was simulated without --conversions",
        "+13 to +15",
        "paper: Section 4.5, MAIL-DMR over DMR, two arms of 3 M users, half a month",
    ):
        assert text in done.stdout
    # A run against itself: other users and clicks, the same policy.
    same = json.loads(mail("abtest", runs[0], runs[0], *command[3:], "--format", "json").stdout)
    assert [record["users"] for record in same["results"]] == ["new", "old", "all"]
    assert same["results"][2]["users_A"] == 150
    assert same["results"][2]["A"] != same["results"][2]["B"]
    # The same seed, arm and run give the same numbers.
    assert f"{same['results'][2]['A']:.3%}" in done.stdout.split("all users")[1].split("B")[1].split("\n")[1]
    assert error_line(mail("abtest", *runs, "--users", "10", "--data", "tiny2")) == (
        f"--data tiny2: {runs[0]} is a run on 'tiny'. Leave --data out."
    )
    result = with_data / runs[1] / "result.json"
    result.rename(result.with_name("kept"))
    assert error_line(mail(*command)) == f"{runs[1]}: the run is not finished. Repeat the command that began it."
    result.with_name("kept").rename(result)
    shutil.copytree("data/tiny", "data/other")
    make_older(with_data / "runs")
    config = with_data / runs[1] / "config.toml"
    text = config.read_text()
    config.write_text(text.replace('data = "tiny"', 'data = "other"'))
    assert error_line(mail(*command)) == (
        f"{runs[0]} is a run on 'tiny', {runs[1]} on 'other'. Expected two runs on one dataset."
    )
    config.write_text(text)
    edit_manifest(with_data / "data" / "tiny", source="changed")
    assert error_line(mail(*command)) == (
        f"{runs[0]}: was trained on another version of the dataset 'tiny' than the one in data/tiny. "
        "Train it again with --overwrite, or in another --runs folder."
    )


def test_every_format_has_the_table(with_data: Path) -> None:
    command = ["abtest", "random", "oracle", "--users", "150", "--format"]
    for form, text in (("markdown", "| CTR |"), ("latex", r"\toprule"), ("csv", "table,users,metric,users_A")):
        assert text in mail(*command, form).stdout
    assert mail(*command, "json").stdout == mail(*command, "json").stdout


def test_no_significant_difference_is_said(with_data: Path) -> None:
    done = mail("abtest", "random", "random", "--users", "20", "--candidates", "30", "--slate", "2")
    assert done.exit_code == 0, done.output
    assert "no significant difference\n" in done.stdout
    clear = mail("abtest", "random", "oracle", "--users", "150")
    assert "no significant difference\n" not in clear.stdout


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["--users", "1"], "--users is 1. Expected 2 to 150, half of the dataset's users."),
        (["--users", "151"], "--users is 151. Expected 2 to 150, half of the dataset's users."),
        (["--users", "9", "--slate", "0"], "--slate is 0. Expected 1 to 99, fewer than the candidates."),
        (
            ["--users", "9", "--slate", "7", "--candidates", "7", "--seed", "-1"],
            "--slate is 7. Expected 1 to 6, fewer than the candidates. --seed is -1. Expected 0 or more.",
        ),
        (["--users", "9", "--format", "tabel"], "--format tabel: unknown format. Did you mean 'table'? Known: 'table', "
         "'markdown', 'csv', 'latex', 'json'."),
        (["--users", "9", "--data", "tinny"], "unknown dataset 'tinny'. Did you mean 'tiny'? data holds: 'tiny'."),
    ],
)  # fmt: skip
def test_refuses_numbers_that_cannot_be(with_data: Path, arguments: list[str], error: str) -> None:
    assert error_line(mail("abtest", "random", "oracle", *arguments)) == error


def test_refuses_more_candidates_than_the_test_day_has(with_data: Path, tiny: Dataset) -> None:
    items = len(set(tiny.column("test", "item").tolist()))
    error = error_line(mail("abtest", "random", "oracle", "--users", "9", "--candidates", "5000"))
    assert error == f"--candidates is 5000. Expected 2 to {items}, the number of items of the test day."


def test_refuses_what_is_no_run(with_data: Path) -> None:
    assert error_line(mail("abtest", "random", "orcale", "--users", "9")) == (
        "orcale: is neither a run's folder nor 'oracle' or 'random'. Did you mean 'oracle'? "
        "Expected a folder made by `mail train`."
    )
    assert error_line(mail("abtest", "data", "oracle", "--users", "9")) == (
        "data: holds no config.toml, so it is not a run folder. Expected one made by `mail train`."
    )


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        (
            {"simulation": None},
            "'tiny' is real data, so the true probabilities of a click are not known. "
            "Expected a dataset made from files of `mail simulate`.",
        ),
        (
            {"sample": 0.5},
            "holds 50% of the simulated users, so its world cannot be checked against what the simulator noted. "
            "Preprocess it without --sample.",
        ),
        (
            {"simulation": {"seed": 1}},
            "does not keep the simulator's settings (Settings.__init__() missing 1 required positional argument: "
            "'users'). Simulate and preprocess it again.",
        ),
        (
            {"simulation": {"users": 300, "seed": 2, "behaviors_per_user": 30, "ceiling_auc": 0.7}},
            "its world cannot be rebuilt from the simulator's settings, so the true probabilities are not known "
            "(it was simulated by another version). Simulate and preprocess it again.",
        ),
    ],
)
def test_refuses_data_whose_truth_is_not_known(with_data: Path, changes: dict[str, object], error: str) -> None:
    edit_manifest(with_data / "data" / "tiny", **changes)
    assert error_line(mail("abtest", "random", "oracle", "--users", "9")) == f"data/tiny: {error}"
