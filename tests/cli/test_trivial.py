"""Trivial rows on the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers.command_line import error_line, mail


@pytest.fixture
def run(with_data: Path) -> Path:
    """A finished run of a trivial row."""
    done = mail("train", "--ranker", "item-bias")
    assert done.exit_code == 0, done.output
    return Path("runs/tiny/paper/item-bias+none/seed-0")


def test_a_trivial_row_is_trained_like_a_ranker(run: Path) -> None:
    assert (run / "result.json").is_file()
    again = mail("train", "--ranker", "item-bias")
    assert "trivial: item-bias" in again.stdout


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (
            ["train", "--ranker", "item-rate", "--cold-start", "dropout"],
            "'item-rate' is a trivial row, without a network that a cold-start method could help. Leave out 'dropout', "
            "or choose a ranker.",
        ),
        (
            ["compare", "--rows", "BaseDNN,item-rate+cvae"],
            "'item-rate' is a trivial row, without a network that a cold-start method could help. Leave out 'cvae', "
            "or choose a ranker.",
        ),
        (
            ["ablate", "--ranker", "item-bias"],
            "--ranker item-bias: is a trivial row, which MAIL cannot help. Expected a ranker: 'base', 'dcnv2', 'deepfm', "
            "'din', 'dmr', 'emblr', 'esmm', 'widedeep'.",
        ),
        (
            ["train", "--ranker", "item-rate", "--set", "ranker.units=8"],
            "'item-rate' is a trivial row and has no options. Leave out 'ranker.units'.",
        ),
        (
            ["train", "--ranker", "item-rate", "--devices", "1"],
            "'item-rate' is a trivial row, fitted by one process. Leave out --workers and --devices, and "
            "unset TF_CONFIG.",
        ),
        (
            ["train", "--ranker", "item-grade-bias"],
            "dataset 'tiny': its actions are 'pv', 'cart', 'fav', 'buy', not grades. Expected two numbers or more, "
            "such as ratings; for other data there are rows of clicks, such as item-bias.",
        ),
    ],
)
def test_what_a_trivial_row_cannot_do_is_refused_in_a_line(
    options: list[str], error: str, with_data: Path, home: Path
) -> None:
    assert error_line(mail(*options)) == error
    assert not list(home.rglob("result.json"))
    assert not list(home.rglob("config.toml"))


def test_a_mistyped_name_is_suggested(with_data: Path) -> None:
    assert "Did you mean 'item-rate'?" in error_line(mail("train", "--ranker", "item-rates"))
    assert "Did you mean 'item-bias'?" in error_line(mail("compare", "--rows", "item-bia"))


@pytest.mark.parametrize(
    "command",
    [
        ["export", "RUN", "served"],
        ["score", "RUN", "impressions.csv", "--out", "scored.csv"],
        ["plot", "nearness", "RUN"],
        ["plot", "tsne", "RUN"],
        ["abtest", "RUN", "random", "--users", "50"],
        ["train", "--continue", "RUN", "--data", "tiny"],
    ],
)
def test_what_needs_weights_is_refused_in_a_line(command: list[str], run: Path) -> None:
    Path("impressions.csv").write_text("user,item,time\n1,1,1\n")
    done = mail(*[str(run) if part == "RUN" else part for part in command])
    assert error_line(done) == (
        f"{run}: 'item-bias' is a trivial row, whose run keeps no weights to continue, export, score or draw. Expected "
        "the run of a ranker."
    )
    assert not Path("served").exists()
    assert not Path("scored.csv").exists()


def test_figures_of_a_folder_leave_trivial_rows_out(run: Path) -> None:
    assert error_line(mail("plot", "loss")) == ("runs: holds only runs of trivial rows. Expected one of a ranker.")
