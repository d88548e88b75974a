"""What a finished run keeps besides its metrics: the validation curve, who selected the epoch, and what it cost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from mailcli.config import RunConfig, make_config
from mailcli.data.dataset import Dataset
from mailcli.data.protocol import views
from mailcli.errors import MailError
from mailcli.experiments.cells import train_if_missing
from mailcli.runs.checkpoints import TrainingState
from mailcli.runs.folder import RunFolder
from mailcli.runs.result import read_result
from mailcli.training.evaluate import check_selectable
from mailcli.training.loop import TrainingLoop, validated_steps
from tests.helpers.models import mail_config
from tests.helpers.runs import SETTINGS, Killed, kill_in_step


def quick(**changes: Any) -> RunConfig:
    return mail_config(None, **{"epochs": 2, "batch_size": 256, **changes})


def numbers_in(weights: Path) -> int:
    """How many numbers a file of weights holds."""
    sizes: list[int] = []
    with h5py.File(weights) as file:
        file.visititems(lambda name, item: sizes.append(item.size) if hasattr(item, "size") else None)
    return sum(sizes)


@pytest.mark.parametrize(
    ("steps", "eval_every", "expected"),
    [
        (22, 9, {9, 18, 22}),
        (18, 9, {9, 18}),
        (22, 0, {22}),
        (14_999, 0, {14_999}),
        (15_000, 0, {10_000, 15_000}),
        (26_000, 0, {10_000, 20_000, 26_000}),
        (24_000, 0, {10_000, 24_000}),
        (24_000, 10_000, {10_000, 20_000, 24_000}),
    ],
)
def test_the_steps_before_a_validation(steps: int, eval_every: int, expected: set[int]) -> None:
    assert validated_steps(steps, eval_every) == expected


def test_a_long_epoch_is_validated_within(tiny: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By default after 10,000 steps, but not shortly before the end; here after 9 of the 22, and not after 18."""
    monkeypatch.setattr("mailcli.training.loop.LONG_EPOCH", 9)
    run = train_if_missing(quick(epochs=1, patience=9), tiny, tmp_path)
    assert [(point["epoch"], point["step"]) for point in (run.result or {})["curve"]] == [(1, 9), (1, 22)]


def test_result_and_environment_of_a_run(tiny: Dataset, tmp_path: Path) -> None:
    """22 steps per epoch, validated after 9, 18 and 22; a two-stage method has no curve, but a cost."""
    run = train_if_missing(quick(eval_every=9, patience=9), tiny, tmp_path)
    result = run.result or {}
    assert [(point["epoch"], point["step"]) for point in result["curve"]] == [
        *((1, 9), (1, 18), (1, 22)),
        *((2, 31), (2, 40), (2, 44)),
    ]
    best = max(result["curve"], key=lambda point: point["all"])
    assert (best["epoch"], best["step"]) == (result["best_epoch"], result["best_step"])
    assert best == {
        "epoch": result["best_epoch"],
        "step": result["best_step"],
        **{users: result["validation"][users]["AUC"] for users in ("new", "old", "all")},
    }
    fitted = train_if_missing(quick(eval_every=9, patience=9, cold_start="llae"), tiny, tmp_path)
    assert "curve" not in (fitted.result or {})
    for finished in (run, fitted):
        cost = finished.environment["cost"]
        assert finished.cost == cost
        assert cost["parameters"] == numbers_in(finished.weights)
        assert 0 < cost["training_seconds"] <= finished.environment["seconds"]
        assert 0 < cost["scoring_microseconds"] < 1e6


def test_the_seconds_of_a_resumed_run_include_those_before(
    tiny: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        kill_in_step(patch, 5)
        with pytest.raises(Killed):
            train_if_missing(quick(), tiny, tmp_path, checkpoint_minutes=0)
    checkpoint = next(tmp_path.rglob("step-4.npz"))
    with np.load(checkpoint) as file:
        arrays = dict(file)
    state = json.loads(arrays["progress"].tobytes())
    assert 0 < state["seconds"] < 600
    state["seconds"] = 5000.0
    np.savez(checkpoint, **{**arrays, "progress": np.frombuffer(json.dumps(state).encode(), np.uint8)})
    seconds: list[float] = []

    def train(loop: TrainingLoop) -> None:
        seconds.append(loop.seconds)
        raise Killed

    monkeypatch.setattr(TrainingLoop, "train", train)
    with pytest.raises(Killed):
        train_if_missing(quick(), tiny, tmp_path)
    assert 5000 <= seconds[0] < 5600
    assert TrainingState().seconds == 0


def test_a_tie_is_no_improvement_and_an_improvement_starts_patience_anew(
    tiny: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """.4 is one without a better AUC; .6 is better; .6 again and .5 are the two that end training."""
    aucs = iter([0.5, 0.4, 0.6, 0.6, 0.5])

    def measured(*_: Any) -> dict[str, dict[str, Any]]:
        metrics = {"AUC": next(aucs, 0.1), "GAUC": 0.5, "one_class_impressions": 0.0}
        return {name: dict(metrics) for name in ("new", "old", "all")}

    monkeypatch.setattr("mailcli.training.loop.measure", measured)
    run = train_if_missing(make_config([SETTINGS, {"epochs": 6, "patience": 2}]), tiny, tmp_path)
    assert run.result is not None
    assert (run.result["best_epoch"], len(run.result["curve"])) == (3, 5)


@pytest.mark.parametrize("users", [pytest.param("all", marks=pytest.mark.slow), "new"])
def test_the_chosen_users_select_the_best_epoch(
    users: str, tiny: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """New users rank best after the first epoch, all users after the second; patience 1 ends training at once."""
    aucs = iter([{"new": 0.7, "all": 0.5}, {"new": 0.6, "all": 0.6}, {"new": 0.5, "all": 0.55}])

    def measured(*_: Any) -> dict[str, dict[str, Any]]:
        values = next(aucs, {"new": 0.1, "all": 0.1})
        return {
            name: {"AUC": auc, "GAUC": auc, "one_class_impressions": 0.0}
            for name, auc in {**values, "old": 0.5}.items()
        }

    monkeypatch.setattr("mailcli.training.loop.measure", measured)
    run = train_if_missing(make_config([SETTINGS, {"select": users, "patience": 1}]), tiny, tmp_path)
    result = run.result or {}
    assert (result["best_epoch"], len(result["curve"])) == {"all": (2, 3), "new": (1, 2)}[users]
    assert result["curve"][0] == {"epoch": 1, "step": 22, "new": 0.7, "old": 0.5, "all": 0.5}


def test_users_without_an_auc_cannot_select(tiny: Dataset) -> None:
    """Of the new users' impressions of the validation split, only those without a click."""
    view = views(tiny, quick())["validation"]
    user, click = (tiny.column("validation", name) for name in ("user", "click"))
    left = view._replace(rows=view.rows[~(view.new[user] | (tiny.earlier_behaviors("validation") == 0)) | (click == 0)])
    check_selectable(tiny, left, "all")
    with pytest.raises(
        MailError, match=r"--users = 'new': 0 of the \d+ impressions of new users in the validation spl"
    ):
        check_selectable(tiny, left, "new", "--users")
    with pytest.raises(MailError, match="choose another `select`, or"):
        check_selectable(tiny, left, "new")


def test_select_is_new_or_all() -> None:
    with pytest.raises(MailError, match="select = 'nwe': expected one of 'all', 'new'. Did you mean 'new'?"):
        make_config([{"data": "toy", "select": "nwe"}])


COUNTS = {"impressions": 4, "clicks": 2, "users": 1}
GROUP = {"AUC": 0.5, "GAUC": None, "one_class_impressions": 0.25, "log loss": 2.5, "NE": 1.75, "ECE": 0.125, **COUNTS}
RESULT = {"cell": "base+none", "protocol": "paper", "seed": 0, "dataset": "toy"}


@pytest.mark.parametrize("prefix", ["", "CTCVR "])
@pytest.mark.parametrize(
    ("metric", "value", "is_valid"),
    [
        *(("log loss", value, True) for value in (2.5, None)),
        *(("log loss", value, False) for value in (-1, "1", float("inf"), float("nan"), True)),
        *(("NE", 12.0, True), ("NE", -0.5, False), ("ECE", 1, True), ("ECE", 1.5, False)),
    ],
)
def test_metrics_in_a_result_are_checked(prefix: str, metric: str, value: Any, is_valid: bool, tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    path.write_text(json.dumps({**RESULT, "test": {"all": {**GROUP, f"{prefix}{metric}": value}}}), encoding="utf-8")
    if is_valid:
        assert read_result(path, make_config([{"data": "toy"}]))["test"]["all"][f"{prefix}{metric}"] == value
    else:
        with pytest.raises(MailError, match="is damaged"):
            read_result(path, make_config([{"data": "toy"}]))


@pytest.mark.parametrize("change", [{"best_epoch": "2"}, {"best_epoch": -1}, {"curve": 5}, {"curve": [{"step": 1}]}])
def test_epochs_in_a_result_are_checked(change: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    path.write_text(json.dumps({**RESULT, "test": {"all": GROUP}, **change}), encoding="utf-8")
    with pytest.raises(MailError, match="is damaged"):
        read_result(path, make_config([{"data": "toy"}]))


@pytest.mark.parametrize("cost", [[1], {"parameters": "many"}, {"parameters": -1}, {"training_seconds": None}])
def test_a_cost_that_is_no_number_is_refused(cost: Any, tmp_path: Path) -> None:
    run = RunFolder(tmp_path, quick())
    assert run.cost == {}
    (tmp_path / "environment.json").write_text(json.dumps({"cost": cost}), encoding="utf-8")
    with pytest.raises(MailError, match=r"environment.json: is damaged"):
        _ = run.cost
