"""`mail train`."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.helpers.command_line import SMALL, SMALL_MAIL, error_line, mail


def test_train_with_a_cold_start_method_trains_its_baseline_too(with_data: Path) -> None:
    done = mail(
        "train",
        "--cold-start",
        "mail",
        "--variant",
        "dual",
        "--protocol",
        "strict",
        "--seed",
        "3",
        *SMALL,
        *SMALL_MAIL,
    )
    assert done.exit_code == 0, done.output
    assert "BaseDNN" in done.stdout
    assert "MAIL-Dual" in done.stdout
    assert "protocol strict" in done.stdout
    runs = sorted(str(p.parent.relative_to(with_data)) for p in with_data.rglob("result.json"))
    assert runs == ["runs/tiny/strict/base+mail-dual/seed-3", "runs/tiny/strict/base+none/seed-3"]
    one = mail("evaluate", runs[0])
    assert one.exit_code == 0, one.output
    assert "RI AUC %" in one.stdout
    assert "MAIL-Dual" in one.stdout


def test_esmm_needs_conversions_and_scores_them(with_data: Path) -> None:
    assert error_line(mail("train", "--ranker", "esmm", *SMALL)) == (
        "esmm+none on tiny: it needs the label 'conversion', but the dataset has only 'click' "
        "(a schema file names its column as impressions.conversion; `mail simulate --conversions` simulates one)"
    )
    simulated = mail(
        "simulate", "alimama", "--users", "150", "--out", "raw", "--behaviors-per-user", "20", "--conversions"
    )
    assert simulated.exit_code == 0, simulated.output
    assert mail("preprocess", "alimama", "--raw", "raw", "--name", "buys").exit_code == 0
    done = mail("train", "--data", "buys", "--ranker", "esmm", *SMALL)
    assert done.exit_code == 0, done.output
    assert "CTCVR AUC" in done.stdout
    scores = np.load(with_data / "runs/buys/paper/esmm+none/seed-0/predictions.npy")
    assert scores.shape[1] == 2
    assert (scores[:, 1] <= scores[:, 0]).all()


@pytest.mark.slow
def test_default_and_named_variant_are_one_cell(with_data: Path) -> None:
    for arguments in (
        [],
        ["--variant", "base"],
        ["--config", "runs/tiny/paper/base+mail-base/seed-0/config.toml"],
    ):
        done = mail("train", "--cold-start", "mail", *arguments, *SMALL, *SMALL_MAIL)
        assert done.exit_code == 0, done.output
    assert len(list(with_data.rglob("result.json"))) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["train", "--ranker", "bsae"],
            "unknown ranker 'bsae'. Did you mean 'base'? Known: 'base', 'dcnv2', 'deepfm', 'din', 'dmr', 'emblr', 'esmm', "
            "'widedeep'.",
        ),
        (
            ["train", "--cold-start", "male"],
            "unknown cold-start method 'male'. Did you mean 'mail'? Known: 'conse', 'cvae', 'cvar', 'dropout', 'eszsl', 'llae', "
            "'mail', 'mail-pooled', 'mail-softmax', 'masked', 'match', 'metaemb', 'neighbors', 'none', 'pfd', 'poso', 'prior'.",
        ),
        (
            ["train", "--cold-start", "mail", "--variant", "duel"],
            "unknown variant 'duel'. Did you mean 'dual'? Known: 'none', 'single', 'dual', 'base'.",
        ),
        (
            ["train", "--cold-start", "mail", "--set", "cold_start.variant=duel"],
            "unknown variant 'duel'. Did you mean 'dual'? Known: 'none', 'single', 'dual', 'base'.",
        ),
        (
            ["train", "--cold-start", "mail", "--variant", "dual", "--set", "cold_start.variant=base"],
            "--variant dual contradicts cold_start.variant = 'base'. Set only one of them.",
        ),
        (["train", "--variant", "dual"], "--variant requires --cold-start mail; the method is 'none'."),
        (["train", "--devices", "2x"], "--devices 2x: expected a number of GPUs, 1 or more, or 'all'."),
    ],
)
def test_a_mistyped_name_is_reported_before_the_missing_dataset(home: Path, arguments: list[str], message: str) -> None:
    assert error_line(mail(*arguments)) == message


def test_several_datasets_need_a_choice(with_data: Path) -> None:
    shutil.copytree(with_data / "data" / "tiny", with_data / "data" / "other")
    assert error_line(mail("train")) == "data holds several datasets: name one of 'other', 'tiny'."


def test_a_mistyped_option_does_not_block_the_fixed_command(with_data: Path) -> None:
    for rate in ("1.5", "1.0", "-0.1"):
        assert error_line(mail("train", *SMALL, "--set", f"ranker.dropout={rate}")) == (
            f"ranker 'base': `dropout` should be at least 0 and below 1. Received: {rate}"
        )
    assert not (with_data / "runs").exists()
    assert mail("train", *SMALL, "--set", "ranker.dropout=0.4").exit_code == 0


def test_no_setting_leads_out_of_the_runs_folder(with_data: Path) -> None:
    options = ["--cold-start", "mail", "--set", "cold_start.variant=../../../../evil"]
    assert error_line(mail("train", *SMALL, *options)).startswith("unknown variant '../../../../evil'. Known: 'none', ")
    assert sorted(path.name for path in with_data.iterdir()) == ["data"]


def test_a_training_is_not_lost_without_git(with_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    done = mail("train", "--ranker", "item-rate")
    assert done.exit_code == 0, done.output


def test_settings_of_the_wrong_type(with_data: Path) -> None:
    (with_data / "c.toml").write_text("data = 5\n")
    assert error_line(mail("train", "--config", "c.toml")) == "c.toml: data = 5: expected a string."
    (with_data / "c.toml").write_text("epoch = 5\n")
    assert error_line(mail("train", "--config", "c.toml", "--set", "epochs=3")) == (
        "c.toml: unknown setting 'epoch'. Did you mean 'epochs'?"
    )


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("cold_start.dropout=1.5", "`dropout` should be at least 0 and below 1. Received: 1.5"),
        (
            "cold_start.encoder_units=8,0,8",
            "`attention_units`, `encoder_units` and `decoder_units` should be 1 or more",
        ),
        ("cold_start.attention_units=0", "`attention_units`, `encoder_units` and `decoder_units` should be 1 or more"),
        ("cold_start.sigma=0", "`sigma` should be positive. Received: sigma=0.0"),
        ("cold_start.sigma=5", "`sigma` is that of bandwidth=fixed. Received: sigma=5.0, bandwidth=adaptive"),
    ],
)
def test_options_of_mail(with_data: Path, option: str, message: str) -> None:
    # The baseline is trained first; it is right.
    assert (
        error_line(mail("train", "--cold-start", "mail", *SMALL, "--set", option))
        == f"cold-start method 'mail': {message}"
    )
