"""`mail train --continue`: forgetting and gain, interruption, a third day, export."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from mailcli.config import make_config
from mailcli.data.batches import Batches
from mailcli.data.dataset import Dataset
from mailcli.data.numbering import RenumberedDataset, current_numbering
from mailcli.data.protocol import views
from mailcli.experiments.cells import train_if_missing
from mailcli.experiments.retraining.run import continue_run
from mailcli.models.factory import make_model
from mailcli.runs.folder import RunFolder
from mailcli.runs.opening import open_run
from mailcli.runs.origin import read_with_run_ids
from mailcli.training.evaluate import measure
from mailcli.training.scorer import Scorer
from tests.helpers.command_line import error_line, mail
from tests.helpers.manifests import edit_manifest
from tests.helpers.retraining import CHILD, PARENT, SETTINGS
from tests.helpers.runs import SMALL, Killed, kill_in_step, outcome


@pytest.mark.slow
def test_forgetting_and_gain_are_those_of_the_two_models(home: Path) -> None:
    parent, child = open_run(Path(PARENT)), open_run(Path(CHILD))
    datasets = [Dataset(Path("data") / name) for name in ("day1", "tiny")]
    days = (child.result or {})["days"]
    assert [day["dataset"] for day in days] == ["day1 (simulated)", "tiny (simulated)"]
    assert days[0]["before"] == (parent.result or {})["test"]
    assert days[1]["after"] == (child.result or {})["test"]
    numbering = current_numbering(read_with_run_ids(child, datasets[1]))
    model = make_model(RenumberedDataset(datasets[0].folder, numbering), child.config)
    child.restore(model)
    old_day = RenumberedDataset(datasets[0].folder, numbering)
    view = views(old_day, child.config)["test"]
    scores = Scorer(model)(Batches(old_day, view, 20, 256), "test")
    assert days[0]["after"] == measure(old_day, view, scores)
    assert days[0]["after"] != days[0]["before"]
    assert days[1]["after"] != days[1]["before"]


def test_continue_prints_forgetting_and_gain(home: Path) -> None:
    command = ["train", "--continue", PARENT, "--data", "tiny"]
    done = mail(*command)
    assert done.exit_code == 0, done.output
    for text in (
        "base+mail-base+continued on tiny",
        "forgetting: test of day1 (simulated)",
        "gain: test of tiny (simulated)",
        f"before: {PARENT}; ids that are new to it count as unknown",
        f"after: {CHILD}",
        "data tiny (simulated) | protocol paper, 40% of users new | seed 0",
    ):
        assert text in done.stdout
    records = json.loads(mail(*command, "--format", "json").stdout)["results"]
    day = (open_run(Path(CHILD)).result or {})["days"][1]
    (new,) = (r for r in records if (r["day"], r["users"], r["metric"]) == (2, "new", "AUC"))
    assert new["before"] == day["before"]["new"]["AUC"]
    assert new["difference"] == pytest.approx(day["after"]["new"]["AUC"] - day["before"]["new"]["AUC"])
    # Scoring it again gives the same, and other settings need another folder.
    evaluated = mail("evaluate", CHILD, "--format", "json")
    assert evaluated.exit_code == 0, evaluated.output
    records = json.loads(evaluated.stdout)[0]["results"]
    (auc,) = (r["mean"] for r in records if (r["users"], r["metric"]) == ("all", "AUC"))
    assert auc == day["after"]["all"]["AUC"]
    assert error_line(mail(*command, "--set", "epochs=2")) == (
        f"{CHILD}: holds a run with other settings (epochs: 1 -> 2). Add --overwrite to train it anew, or choose another --runs folder."
    )
    vocabularies = Path(CHILD) / "vocabularies.npz"
    vocabularies.write_bytes(vocabularies.read_bytes()[:-1])
    assert error_line(mail("evaluate", CHILD)) == (
        f"{vocabularies}: was changed after the run had finished: its SHA-256 is not that in SHA256SUMS. Delete the folder "
        "and repeat the command that made it."
    )


@pytest.mark.slow
def test_a_killed_run_goes_on_exactly(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    expected, moments = outcome(open_run(Path(CHILD))), arrays(open_run(Path(CHILD)).optimizers)
    shutil.rmtree(CHILD)
    with monkeypatch.context() as patch:
        kill_in_step(patch, 9)
        with pytest.raises(Killed):
            continue_run(Path(PARENT), "tiny", {}, Path("data"), Path("runs"), 0)
    run = continue_run(Path(PARENT), "tiny", {}, Path("data"), Path("runs"), None)
    assert f"{CHILD}: resuming after step 8 (epoch 1).\n" in capsys.readouterr().err
    assert outcome(run) == expected
    assert arrays(run.optimizers) == moments


@pytest.mark.slow
def test_a_table_larger_than_memory_is_continued_as_one_in_memory(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows move to where the larger vocabularies have them, on disk as in memory."""
    settings = {"data": "day1", "history": 5, "embedding_dim": 8, "batch_size": 16, "epochs": 1, "ranker.units": "8,4"}
    children = []
    for place, memory in (("in-memory", "1000000000"), ("mapped", "65000")):
        monkeypatch.setenv("MAIL_TABLE_MEMORY", memory)
        parent = train_if_missing(make_config([settings]), Dataset(Path("data/day1")), Path(place))
        children.append(continue_run(parent.folder, "tiny", {}, Path("data"), Path(place), None))
    in_memory, mapped = children
    assert outcome(mapped) == outcome(in_memory)
    assert arrays(mapped.optimizers) == arrays(in_memory.optimizers)


def arrays(path: Path) -> dict[str, bytes]:
    with np.load(path) as file:
        return {name: file[name].tobytes() for name in file.files}


@pytest.mark.slow
@pytest.mark.parametrize("ranker", ["dmr", "widedeep"])
def test_rankers_with_variables_of_their_own_ids_and_a_third_day(home: Path, ranker: str) -> None:
    """DMR has a vector per behavior id, Wide & Deep a weight per row of the table."""
    settings = {**SETTINGS, "ranker": ranker, "cold_start": "none"}
    for name in ("cold_start.variant", "ranker.units", *SMALL):
        settings.pop(name)
    first = train_if_missing(make_config([settings]), Dataset(Path("data/day1")), Path("runs"))
    second = continue_run(first.folder, "tiny", {"learning_rate": "0.0005"}, Path("data"), Path("runs"), None)
    shutil.copytree("data/tiny", "data/day3")
    edit_manifest(Path("data/day3"), name="day3")
    third = continue_run(second.folder, "day3", {}, Path("data"), Path("runs"), None)
    assert third.config.learning_rate == 0.0005
    assert (third.result or {})["days"][0]["before"] == (second.result or {})["test"]
    assert load_ids(second) == load_ids(third)


def load_ids(run: RunFolder) -> dict[str, list[Any]]:
    numbering = current_numbering(read_with_run_ids(run, Dataset(Path("data") / run.config.data)))
    return {name: values.tolist() for name, values in numbering.values.items()}


@pytest.mark.slow
def test_a_continued_run_can_be_taken_away(home: Path) -> None:
    """The run uses its own ids and price scale, not those of the day's dataset."""
    run = open_run(Path(CHILD))
    dataset = Dataset(Path("data/tiny"))
    test = {name: dataset.column("test", name)[:] for name in ("user", "item", "time", "pid", "hour", "weekday")}
    raw = {"time": test["time"], "user": dataset.column("users", "raw")[test["user"]]}
    raw["item"] = dataset.column("items", "raw")[test["item"]]
    for name in ("pid", "hour", "weekday"):
        assert test[name].min() > 1
        raw[name] = dataset.column("vocabularies", name)[test[name] - 2]
    frame = pd.DataFrame(raw)
    frame.to_csv("in.csv", index=False)
    done = mail("score", CHILD, "in.csv", "-o", "out.csv")
    assert done.exit_code == 0, done.output
    trained = np.load(run.folder / "predictions.npy")
    assert np.abs(pd.read_csv("out.csv")["score"].to_numpy() - trained).max() < 1e-6
    done = mail("export", CHILD, "model", "--with-users")
    assert done.exit_code == 0, done.output
    predict = tf.saved_model.load("model/1").signatures["known_users"]
    types = {name: spec.dtype for name, spec in predict.structured_input_signature[1].items()}
    without_history = np.flatnonzero(
        views(dataset, run.config)["test"].new[test["user"]] | (dataset.earlier_behaviors("test") == 0)
    )
    # Hour and weekday are made from the time.
    columns = {"user": "user", "context_pid": "pid", "context_time": "time"}
    request = {name: frame[column].to_numpy()[without_history] for name, column in columns.items()}
    request |= {name: np.zeros((len(without_history), 0)) for name in ("history_cate", "history_brand")}
    request["item"] = frame["item"].to_numpy()[without_history][:, None]
    tensors = {name: tf.constant(value, types[name]) for name, value in request.items()}
    tensors["history_action"] = tf.zeros((len(without_history), 0), tf.string)
    assert np.abs(predict(**tensors)["click"].numpy()[:, 0] - trained[without_history]).max() < 1e-6
