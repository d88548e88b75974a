"""What a run says while it trains: the lines, word by word."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from queue import Queue
from typing import Any

import pytest

from mailcli.config import RunConfig, make_config
from mailcli.data.dataset import Dataset
from mailcli.experiments.cells import train_if_missing
from mailcli.runs.checkpoints import TrainingState
from mailcli.runs.folder import RunFolder
from mailcli.training.messages import MeanLosses, log_begin, log_end, log_validation
from mailcli.utils.log import LOGGER, log_to_queue
from tests.helpers.runs import config

METRICS = {"all": {"AUC": 0.71234}, "new": {"AUC": 0.65}, "old": {"AUC": 1.0}}


def settings(**changes: Any) -> RunConfig:
    return make_config([{"data": "tiny", "epochs": 50, "patience": 3, "seed": 2, **changes}])


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().err.splitlines()


def test_losses_are_means_over_the_steps_since_the_last_validation() -> None:
    losses = MeanLosses()
    losses.add(
        [{"step": 1, "epoch": 1, "L_rt": 0.5, "L_a": 1.0, "gradient": 9.0}, {"step": 2, "L_rt": 0.25, "L_a": 2.0}]
    )
    # A method of one's own may call its losses as it likes.
    losses.add([{"step": 3, "L_rt": 0.75, "L_a": 6.0, "contrast": 2.0, "gradient_zst": 1.0}])
    assert losses.take() == {"L_rt": 0.5, "L_a": 3.0, "contrast": 2.0}
    assert losses.take() == {}


def test_a_validation_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    state = TrainingState(epoch=4, steps=12345, best={"best_epoch": 2, "validation": {"all": {"AUC": 0.7209}}})
    log_validation(settings(), 3, state, {"L_rt": 0.54321, "L_zst": 12.0}, METRICS, 62.4, 3723.0)
    log_validation(settings(), 3, state, {}, {"all": {"AUC": 0.71234}}, 62.4, None)
    assert lines(capsys) == [
        "epoch 3 of 50 · step 12,345 · L_rt 0.5432, L_zst 12 · validation AUC .7123 all, .6500 new, 1.0000 old · best "
        ".7209 (epoch 2) · 1:02, at most 1:02:03 left",
        "epoch 3 of 50 · step 12,345 · validation AUC .7123 all, - new, - old · best .7209 (epoch 2) · 1:02",
    ]


def test_the_users_who_decide_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    best = {"best_epoch": 2, "validation": {"new": {"AUC": 0.65}}}
    log_begin(settings(select="new"), 1234)
    log_validation(settings(select="new"), 3, TrainingState(best=best), {}, METRICS, 1.0, None)
    begin, validation = lines(capsys)
    assert begin == (
        "base+none, seed 2: at most 50 epochs of 1,234 steps; stops early after 3 validations without a better AUC "
        "of new users."
    )
    assert "best .6500 new (epoch 2)" in validation


def test_the_end_says_what_came_out_and_where_it_is(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    run = RunFolder(tmp_path, settings())
    result = {"best_epoch": 2, "validation": METRICS}
    log_end(run, {**result, "curve": [{"epoch": 1}, {"epoch": 5}]}, 192.0)
    log_end(run, result, 12.0)
    assert lines(capsys) == [
        f"base+none, seed 2: best epoch 2 of 5 · validation AUC .7123 · 3:12 · {tmp_path}",
        f"base+none, seed 2: fitted to the ranker's best epoch, 2 · validation AUC .7123 · 0:12 · {tmp_path}",
    ]


def test_one_of_several_says_which_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LOGGER, "handlers", [])
    queue: Queue[logging.LogRecord] = Queue()
    log_to_queue(queue, logging.INFO)
    state = TrainingState(best={"best_epoch": 1, "validation": METRICS})
    log_validation(settings(), 1, state, {}, METRICS, 1.0, None)
    assert queue.get_nowait().getMessage().startswith("base+none, seed 2: epoch 1 of 50 · step 0 · ")


def test_a_training_says_how_it_goes(tiny: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = train_if_missing(config("deepfm+dropout", epochs=1), tiny, tmp_path)
    begin, *validations, end = lines(capsys)
    assert begin.startswith("deepfm+dropout, seed 0: at most 1 epoch of 22 steps")
    steps = [re.match(r"epoch 1 of 1 · step (\d+) · L_rt 0\.\d+", line)[1] for line in validations]  # type: ignore[index]
    assert steps == ["7", "14", "21", "22"]
    assert ["left" in line for line in validations] == [True, True, True, False]
    curve = run.validation_curve()
    best = max(point["all"] for point in curve)
    assert f"{curve[0]['all']:.4f}"[1:] + " all" in validations[0]
    assert f"best {best:.4f}".replace(" 0", " ") in validations[-1]
    assert end.endswith(f" · {run.folder}")
