"""`mail.train`: the numbers of the command line, from the same run folders, as DataFrames."""

from __future__ import annotations

import json
import logging
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import mailcli as mail
from mailcli.api.messages import messages_shown
from mailcli.utils.log import stderr_level
from tests.helpers.command_line import SMALL
from tests.helpers.command_line import mail as command

#: SMALL as Python settings.
SETTINGS: dict[str, Any] = {
    "epochs": 1,
    "batch_size": 256,
    "embedding_dim": 8,
    "history": 5,
    "ranker_options": {"units": (16, 8)},
}
FILES = ("config.toml", "history.jsonl", "predictions.npy", "result.json")


@pytest.fixture(scope="module")
def runs(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """BaseDNN with and without `masked`, trained by the command line."""
    folder = tmp_path_factory.mktemp("runs")
    cell = ["--data", "tiny", "--cold-start", "masked", "--seed", "3"]
    done = command("train", *cell, "--data-dir", data_dir, "--runs", folder, *SMALL)
    assert done.exit_code == 0, done.output
    return folder


@pytest.fixture(scope="module")
def tiny_data(data_dir: Path) -> mail.Dataset:
    return mail.load("tiny", data_dir)


def test_the_same_seed_gives_the_numbers_of_the_command_line(
    runs: Path, tiny_data: mail.Dataset, tmp_path: Path
) -> None:
    run = mail.train(tiny_data, seed=3, runs=tmp_path, **SETTINGS)
    cell = Path("tiny", "paper", "base+none", "seed-3")
    assert run.folder == tmp_path / cell
    for name in FILES:
        assert (run.folder / name).read_bytes() == (runs / cell / name).read_bytes(), name


def test_threads_train_one_after_the_other(runs: Path, tiny_data: mail.Dataset, tmp_path: Path) -> None:
    """The random numbers of TensorFlow are those of the whole process."""
    cell = Path("tiny", "paper", "base+none", "seed-3")

    def train(seed: int) -> mail.Run:
        return mail.train(tiny_data, seed=seed, runs=tmp_path, **SETTINGS)

    with ThreadPoolExecutor(2) as threads:
        trained = list(threads.map(train, [3, 4]))
    assert [run.config.seed for run in trained] == [3, 4]
    for name in FILES:
        assert (tmp_path / cell / name).read_bytes() == (runs / cell / name).read_bytes(), name


def test_a_run_of_the_command_line_is_reused(
    runs: Path, tiny_data: mail.Dataset, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def trained(*_: object) -> None:
        raise AssertionError("it was trained again")

    monkeypatch.setattr("mailcli.training.train.train", trained)
    run = mail.train(tiny_data, cold_start="masked", seed=3, runs=runs, **SETTINGS)
    assert run.folder == runs / "tiny" / "paper" / "base+masked" / "seed-3"
    assert run.config.cold_start == "masked"
    assert capfd.readouterr().err == ""


def test_the_table_has_the_numbers_of_both_result_files(runs: Path) -> None:
    folder = runs / "tiny" / "paper" / "base+masked" / "seed-3"
    table = mail.open_run(folder).table()
    assert list(table.columns) == ["AUC", "GAUC", "RI AUC %", "RI GAUC %"]
    own, base = (
        json.loads((path / "result.json").read_text())["test"]
        for path in (folder, runs / "tiny" / "paper" / "base+none" / "seed-3")
    )
    assert set(table.index) == set(own)
    for users, line in table.iterrows():
        for metric in ("AUC", "GAUC"):
            a, b = base[str(users)][metric], own[str(users)][metric]
            assert line[metric] == b
            assert line[f"RI {metric} %"] == pytest.approx((b - a) / a * 100, rel=1e-12)
    assert table.attrs["title"] == "base+masked (units=16,8) on tiny"


def test_a_run_without_a_method_has_no_improvement(runs: Path) -> None:
    table = mail.open_run(runs / "tiny" / "paper" / "base+none" / "seed-3").table()
    assert list(table.columns) == ["AUC", "GAUC"]


def test_the_history_is_the_validation_curve(runs: Path) -> None:
    run = mail.open_run(runs / "tiny" / "paper" / "base+none" / "seed-3")
    (point,) = run.result["curve"]
    expected = {f"AUC {users}": [point[users]] for users in ("new", "old", "all")}
    pd.testing.assert_frame_equal(run.curve, pd.DataFrame({"epoch": [1], "step": [point["step"]], **expected}))


def test_messages_are_shown_unless_a_call_is_quiet(capfd: pytest.CaptureFixture[str]) -> None:
    logger = logging.getLogger("mailcli.training")
    for quiet in (False, True):
        with messages_shown(quiet):
            logger.info("a note")
            logger.debug("a detail")
            logger.warning(f"quiet: {quiet}")
        assert stderr_level() == logging.INFO, "as before"
    assert capfd.readouterr().err == "a note\nquiet: False\nquiet: True\n"


def test_a_trivial_row_has_a_table_and_no_history(tiny_data: mail.Dataset, tmp_path: Path) -> None:
    run = mail.train(tiny_data, "item-rate", runs=tmp_path)
    assert run.table().loc["new", "AUC"] == run.result["test"]["new"]["AUC"]
    assert run.curve.empty
    assert list(run.curve.columns) == ["epoch", "step", "AUC new", "AUC old", "AUC all"]


def test_mistakes_end_in_one_line(tiny_data: mail.Dataset, runs: Path, tmp_path: Path) -> None:
    def message(*arguments: Any, **settings: Any) -> str:
        with pytest.raises(mail.MailError) as error:
            mail.train(*arguments, **{"runs": tmp_path, **settings})
        return error.value.message

    assert message(tiny_data, epoch=3) == "unknown setting 'epoch'. Did you mean 'epochs'?"
    assert message(tiny_data, "bass").startswith("unknown ranker 'bass'. Did you mean 'base'?")
    assert message(tiny_data, runs=None) == "runs is None. Expected a path."
    for minutes in ("1", -1, float("nan"), True):
        assert message(tiny_data, checkpoint_minutes=minutes) == (
            f"checkpoint_minutes is {minutes!r}. Expected a number of minutes, 0 or more."
        )
    assert message("tiny") == "data is 'tiny'. Expected a dataset, e.g. mail.load('tiny')."
    assert message(None) == "data is None. Expected a dataset, e.g. mail.load('ml-100k')."
    assert message(tiny_data, variant="dual") == "variant requires cold_start mail; the method is 'none'."
    # A command keeps its options.
    assert message(tiny_data, continues="0" * 64) == (
        "continues: is set only by `mail train --continue RUN`. Leave it out."
    )
    assert list(tmp_path.iterdir()) == []
    other = message(tiny_data, seed=3, **{**SETTINGS, "runs": runs, "epochs": 2})
    assert other == (
        f"{runs}/tiny/paper/base+none/seed-3: holds a run with other settings (epochs: 1 -> 2). Add overwrite=True to "
        "train it anew, or choose another runs folder."
    )
    with pytest.raises(mail.MailError, match="unknown dataset 'tyni'. Did you mean 'tiny'?"):
        mail.load("tyni", tiny_data.folder.parent)
    with pytest.raises(mail.MailError, match="there is no such folder"):
        mail.open_run(tmp_path / "no")
