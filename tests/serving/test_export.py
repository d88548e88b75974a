"""Exported models and `mail score`: the same scores as the trainer's, from raw values."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest
import tensorflow as tf
from click.testing import CliRunner, Result

from mailcli.cli import main
from mailcli.config import RunConfig, make_config
from mailcli.data.dataset import Dataset
from mailcli.errors import MailError
from mailcli.experiments.cells import complete, ensure
from mailcli.preprocessing.pipeline import Options, preprocess
from mailcli.serving.dataset_lookup import history_ends
from mailcli.serving.impression_file import ImpressionFile, ImpressionWriter
from mailcli.serving.lookups import last_steps, pack_values
from mailcli.serving.served_model import _refuse_python
from mailcli.serving.signatures import Input, check_shapes
from mailcli.serving.value_checks import Faults, RequiredColumn, cast_column
from mailcli.training.run_folder import Run
from tests.helpers import leakage
from tests.helpers.schema_files import FILES, SCHEMA, make_dataset

ROOT = Path(__file__).parent.parent.parent
#: A missing whole number, as signature.json tells it.
NOTHING = -9223372036854775808
SMALL = {"epochs": 1, "batch_size": 512, "embedding_dim": 4, "history": 5, "ranker.units": "8,4"}
SMALL_MAIL = {"cold_start.encoder_units": "8,8,8", "cold_start.decoder_units": "8,8"}
#: The cell that is always tried; the slow tests try the others.
CELLS = {"base+mail": SMALL_MAIL}
PROFILE = list(leakage.PROFILE)

#: The cell that is asked in all ways.
ODD = "base+mail"

#: What a server runs: TensorFlow, and neither this package nor Keras by itself.
SERVER = """
import os, pickle, sys
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
sys.modules["mailcli"] = sys.modules["keras"] = None
import tensorflow as tf
asked = pickle.load(open(sys.argv[1], "rb"))
models, answers = {}, {}
for key, (folder, signature, request) in asked.items():
    if folder not in models:
        models[folder] = tf.saved_model.load(os.path.join(folder, "1"))
    graph = models[folder].signatures[signature]
    wanted = graph.structured_input_signature[1]
    assert set(wanted) == set(request), (set(wanted), set(request))
    tensors = {name: tf.constant(value, wanted[name].dtype) for name, value in request.items()}
    try:
        answers[key] = {name: tensor.numpy() for name, tensor in graph(**tensors).items()}
    except tf.errors.InvalidArgumentError as error:
        answers[key] = {"error": error.message}
pickle.dump(answers, open(sys.argv[1], "wb"))
"""

Request = dict[str, Any]


def mail(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(each) for each in arguments])


def refused(result: Result) -> str:
    """The one line of an error."""
    assert result.exit_code == 2, (result.output, result.exception)
    lines = result.stderr.strip().splitlines()
    assert [line for line in lines if line.startswith("Error: ")] == lines[-1:]
    return lines[-1].removeprefix("Error: ")


def ask(asked: dict[str, tuple[Path, str, Request]], folder: Path) -> dict[str, dict[str, np.ndarray]]:
    """Answers of exported models in a process that has TensorFlow alone."""
    path = folder / "asked.pickle"
    path.write_bytes(pickle.dumps({key: (str(model), name, request) for key, (model, name, request) in asked.items()}))
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    command = [sys.executable, "-c", SERVER, str(path)]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, dict[str, np.ndarray]] = pickle.loads(path.read_bytes())
    return found


class Raw:
    """Requests made of Alimama's raw files with pandas."""

    def __init__(self, raw: Path, dataset: Dataset) -> None:
        self.dataset = dataset
        self.profile = pd.read_csv(raw / "user_profile.csv").rename(columns=str.strip).set_index("userid")
        ads = pd.read_csv(raw / "ad_feature.csv", na_values=["NULL"]).set_index("adgroup_id")
        self.ads = ads.rename(columns={"cate_id": "cate", "campaign_id": "campaign"})
        log = pd.read_csv(raw / "behavior_log.csv", na_values=["NULL"])
        log["action"] = log["btag"].map({"pv": 0, "cart": 1, "fav": 2, "buy": 3})
        log = log.sort_values(["user", "time_stamp", "action", "cate", "brand"], na_position="first")
        self.log = dict(list(log.groupby("user")))
        users, items = dataset.column("users", "raw"), dataset.column("items", "raw")
        self.test = pd.DataFrame(
            {
                "user": users[dataset.column("test", "user")],
                "item": items[dataset.column("test", "item")],
                "time": dataset.column("test", "time"),
                "pid": dataset.column("vocabularies", "pid")[dataset.column("test", "pid") - 2],
            }
        )
        # Days begin at 16:00 UTC.
        self.test["hour"] = (self.test["time"] + 8 * 3600) // 3600 % 24
        self.test["weekday"] = (self.test["time"] - 1494000000) // 86400 % 7

    def request(self, shown: pd.DataFrame, hidden: np.ndarray) -> Request:
        """A user for each impression, one candidate each; who is hidden has no history."""
        found: Request = {"user": shown["user"].to_numpy()}
        for name in PROFILE:
            values = self.profile[name].reindex(shown["user"]).fillna(NOTHING)
            found[f"user_{name}"] = values.to_numpy().astype(np.int64)
        rows = zip(shown["user"], shown["time"], hidden, strict=True)
        steps = [self._steps(int(user), int(time), bool(none)) for user, time, none in rows]
        longest = max(len(each) for each in steps)
        for name in ("cate", "brand"):
            found[f"history_{name}"] = np.full((len(shown), longest), NOTHING)
        found["history_action"] = np.full((len(shown), longest), "", object)
        for row, each in enumerate(steps):
            # Padding behind, for it may be anywhere.
            found["history_action"][row, : len(each)] = each["btag"]
            for name in ("cate", "brand"):
                found[f"history_{name}"][row, : len(each)] = each[name].fillna(NOTHING).astype(np.int64)
        found |= {f"context_{name}": shown[name].to_numpy() for name in ("pid", "hour", "weekday")}
        return {**found, "item": shown["item"].to_numpy()[:, None]}

    def _steps(self, user: int, time: int, hidden: bool) -> pd.DataFrame:
        log = self.log.get(user)
        none = pd.DataFrame({"cate": [], "brand": [], "btag": []})
        return none if log is None or hidden else log[log["time_stamp"] < time]

    def features(self, items: np.ndarray) -> Request:
        """What the item table has, of items [U, N]."""
        found: Request = {"item": items, "item_price": self.ads["price"].reindex(items.ravel()).to_numpy()}
        for name in ("cate", "brand", "campaign", "customer"):
            values = self.ads[name].reindex(items.ravel()).fillna(NOTHING).to_numpy()
            found[f"item_{name}"] = values.astype(np.int64)
        return {name: values.reshape(items.shape) for name, values in found.items()}


def without_history(request: Request) -> Request:
    return {name: values for name, values in request.items() if not name.startswith("history_")}


def config_of(dataset: Dataset, cell: str, **more: Any) -> RunConfig:
    ranker, cold_start = cell.split("+")
    own = {**SMALL, **CELLS.get(cell, {}), **more}
    return complete([{"ranker": ranker, "cold_start": cold_start, **own}], dataset.name, dataset.history)


@pytest.fixture(scope="module")
def runs(tiny: Dataset, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    """A finished run of each cell."""
    folder = tmp_path_factory.mktemp("runs")
    return {cell: ensure(config_of(tiny, cell), tiny, folder) for cell in CELLS}


@pytest.fixture(scope="module")
def exported(runs: dict[str, Run], data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Each cell's exported model."""
    folder = tmp_path_factory.mktemp("models")
    for cell, run in runs.items():
        more, names = [], "serving_default, new_users, item_features"
        if cell == ODD:
            more, names = ["--with-users"], f"{names}, known_users"
        done = mail("export", run.folder, folder / cell, *more, "--data-dir", data_dir)
        assert done.exit_code == 0, done.output
        shown = f"{cell}-base" if "mail" in cell else cell
        assert done.stdout == f"{folder / cell}: {shown} on tiny (simulated), signatures {names}.\n"
    return {cell: folder / cell for cell in runs}


@pytest.fixture(scope="module")
def raw(simulated_raw: Path, tiny: Dataset) -> Raw:
    return Raw(simulated_raw, tiny)


def drawn(dataset: Dataset, config: RunConfig) -> np.ndarray:
    """[test impressions], whether the run drew the user as new."""
    from mailcli.data.protocol import views

    found: np.ndarray = views(dataset, config)["test"].new[dataset.column("test", "user")]
    return found


def odd_requests(raw: Raw) -> dict[str, tuple[str, Request]]:
    """One user with several candidates, asked in several ways, and values that nobody knows."""
    shown = raw.test[raw.test["user"] == raw.test["user"].iloc[-1]].iloc[:1]
    one = raw.request(shown, np.array([False]))
    assert one["history_action"].shape[1] > 5
    many = {**one, "item": raw.test["item"].unique()[None, :7]}
    unknown: Request = {
        name: np.full_like(value, "?" if value.dtype == object else -7) for name, value in many.items()
    } | {"history_action": many["history_action"]}
    missing: Request = {
        name: np.full_like(value, "" if value.dtype == object else NOTHING) for name, value in many.items()
    } | {"history_action": many["history_action"]}
    # Seven users with one candidate each.
    flat = {name: np.repeat(value, 7, axis=0) for name, value in many.items()} | {"item": many["item"].T}
    features = {**many, **raw.features(many["item"])}
    empty = {name: value[:, :0] if name.startswith("history_") else value for name, value in many.items()}
    last_five = {name: value[:, -5:] if name.startswith("history_") else value for name, value in many.items()}
    gaps = {
        name: np.insert(value, [0, 3, 3, value.shape[1]], "look" if value.dtype == object else 3, axis=1)
        if name.startswith("history_")
        else value
        for name, value in many.items()
    }
    by_id = {name: value for name, value in many.items() if not name.startswith("user_")}
    lost = {**features, "item_price": np.full((1, 7), np.nan), "item_brand": np.full((1, 7), NOTHING)}
    return {
        "many": ("serving_default", many),
        "flat": ("serving_default", flat),
        "features": ("item_features", features),
        "no price or brand": ("item_features", lost),
        "no price": ("item_features", {**features, "item_price": np.full((1, 7), np.nan)}),
        "endless prices": ("item_features", {**features, "item_price": np.array([[np.inf, -np.inf, *[np.nan] * 5]])}),
        "by id": ("known_users", by_id),
        "by an unknown id": ("known_users", {**by_id, "user": np.array([-7])}),
        "without attributes": (
            "serving_default",
            {k: np.full_like(v, -7) if k.startswith("user") else v for k, v in many.items()},
        ),
        "empty": ("serving_default", empty),
        "new": ("new_users", without_history(many)),
        "last five": ("serving_default", last_five),
        "gaps": ("serving_default", gaps),
        "unknown": ("serving_default", unknown),
        "missing": ("serving_default", missing),
        "nobody": ("serving_default", {k: v[:0] for k, v in many.items()}),
        "nothing to rank": ("serving_default", {**many, "item": many["item"][:, :0]}),
    }


def strangers(raw: Raw) -> tuple[pd.DataFrame, Request]:
    """Impressions of two users and two items that the dataset lacks, and of a user who keeps his history."""
    shown = raw.test.iloc[:4].copy()
    for name in PROFILE:
        shown[name] = [1, 1, 2, 1]
    last = len(raw.test) - 1
    shown["user"] = [-5, -5, -6, raw.test["user"].iloc[last]]
    shown["time"] = raw.test["time"].iloc[last]
    shown["item"] = [shown["item"].iloc[0], 10**9, 10**9 + 1, shown["item"].iloc[3]]
    shown["hour"] = pd.array([None, 99, 3, shown["hour"].iloc[3]], "Int64")
    request = raw.request(shown.assign(hour=shown["hour"].fillna(NOTHING)), np.zeros(4, bool))
    for name in PROFILE:
        request[f"user_{name}"][:3] = [1, 1, 2]
    return shown, request


def just_before(raw: Raw, run: Run) -> tuple[pd.DataFrame, Request]:
    """A user at the time of a behavior of another action or item than the one before it, and a second later."""
    dataset = raw.dataset
    kept = ~drawn(dataset, run.config) & (dataset.earlier_behaviors("test") > 1)
    time = dataset.column("behaviors", "time")
    for row in np.flatnonzero(kept):
        end = int(dataset.column("test", "history_end")[row])
        if time[end - 1] > time[end - 2] and dataset.column("behaviors", "cate")[end - 1] != 1:
            shown = raw.test.take([row, row]).reset_index(drop=True)
            shown["time"] = [time[end - 1], time[end - 1] + 1]
            return shown, raw.request(shown, np.zeros(2, bool))
    raise AssertionError("no such user")


@pytest.fixture(scope="module")
def answers(
    runs: dict[str, Run], exported: dict[str, Path], raw: Raw, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, dict[str, np.ndarray]]:
    """What the exported models say, `CELL REQUEST` -> outputs."""
    asked = {}
    for cell, folder in exported.items():
        hidden = drawn(raw.dataset, runs[cell].config)
        asked[f"{cell} test"] = (folder, "serving_default", raw.request(raw.test, hidden))
    folder = exported[ODD]
    asked |= {name: (folder, signature, request) for name, (signature, request) in odd_requests(raw).items()}
    asked |= {name: (folder, signature, request) for name, (signature, request) in misfits(raw).items()}
    shown = json.loads((folder / "request.json").read_text())
    asked["example"] = (folder, shown["signature_name"], shown["inputs"])
    asked["strangers"] = (folder, "serving_default", strangers(raw)[1])
    asked["just before"] = (folder, "serving_default", just_before(raw, runs[ODD])[1])
    return ask(asked, tmp_path_factory.mktemp("server"))


def close(a: np.ndarray, b: np.ndarray) -> None:
    assert a.shape == b.shape
    assert np.abs(a.astype(np.float64) - b).max(initial=0) < 1e-6


@pytest.mark.parametrize("cell", CELLS)
def test_an_exported_model_scores_raw_values_as_the_trainer_scored_the_test_split(
    cell: str, runs: dict[str, Run], answers: dict[str, dict[str, np.ndarray]], raw: Raw
) -> None:
    trained = np.load(runs[cell].folder / "predictions.npy")
    hidden = drawn(raw.dataset, runs[cell].config)
    longer = raw.dataset.earlier_behaviors("test") > 5
    assert hidden.any()
    assert (longer & ~hidden).any()
    assert np.ptp(trained) > 0.01
    found = answers[f"{cell} test"]
    assert list(found) == ["click"]
    close(found["click"], trained[:, None])


def test_one_user_may_be_asked_for_in_several_ways(answers: dict[str, dict[str, np.ndarray]]) -> None:
    got = {key: each["click"] for key, each in answers.items() if "click" in each}
    assert got["many"].shape == (1, 7)
    close(got["flat"].T, got["many"])
    for name in ("features", "by id", "last five", "gaps"):
        close(got[name], got["many"])
    close(got["new"], got["empty"])
    close(got["missing"], got["unknown"])
    close(got["by an unknown id"], got["without attributes"])
    close(got["endless prices"], got["no price"])
    # Each of these says something else than the user's own request.
    for name in ("empty", "unknown", "without attributes", "no price or brand", "no price"):
        assert np.abs(got[name] - got["many"]).max() > 1e-5, name
    # Unknown items are all the same.
    assert np.ptp(got["unknown"]) < 1e-6
    assert got["nobody"].shape == (0, 7)
    assert got["nothing to rank"].shape == (1, 0)


def test_unknown_values_score_as_a_batch_of_unknown_ids(
    runs: dict[str, Run], answers: dict[str, dict[str, np.ndarray]], tiny: Dataset, raw: Raw
) -> None:
    from mailcli.models.batch_spec import to_tensors
    from mailcli.models.factory import make_model

    model = make_model(tiny, runs[ODD].config)
    runs[ODD].restore(model)
    actions = odd_requests(raw)["unknown"][1]["history_action"][0, -5:]
    batch: Any = {
        "attributes": np.full((1, 9), 1, np.int32),
        "behaviors": np.full((1, 5, 2), 1, np.int32),
        "actions": np.array([[{"pv": 2, "cart": 3, "fav": 4, "buy": 5}[action] for action in actions]], np.int32),
        "context": np.full((1, 3), 1, np.int32),
        "target": np.full((1, 5), 1, np.int32),
        "dense": np.zeros((1, 1), np.float32),
        "user": np.zeros(1, np.int32),
    }
    trained = model.probabilities(to_tensors(batch)).numpy()
    close(answers["unknown"]["click"][:, :1], trained)


def test_the_folder_tells_how_to_ask(exported: dict[str, Path], answers: dict[str, dict[str, np.ndarray]]) -> None:
    folder = exported["base+mail"]
    assert sorted(path.name for path in folder.iterdir()) == ["1", "README.md", "request.json", "signature.json"]
    told = json.loads((folder / "signature.json").read_text())
    # TensorFlow Serving leaves out the name of an only output.
    close(np.array(told["response"]["outputs"]), answers["example"]["click"])
    assert told["request"] == json.loads((folder / "request.json").read_text())
    inputs = told["signatures"]["serving_default"]["inputs"]
    assert inputs["user_age_level"] | {"known_values": 0} == {
        "dtype": "int64",
        "shape": ["U"],
        "field": "age_level",
        "meaning": "attribute of the user",
        "vocabulary": "age_level",
        "known_values": 0,
        "missing": NOTHING,
    }
    assert inputs["history_brand"]["shape"] == ["U", "T"]
    assert inputs["history_action"]["dtype"] == inputs["context_pid"]["dtype"] == "string"
    assert inputs["item"]["shape"] == ["U", "N"]
    assert told["signatures"]["item_features"]["inputs"]["item_price"]["missing"] == "NaN"
    assert set(told["signatures"]["known_users"]["inputs"]) == {
        *(
            "user",
            "history_cate",
            "history_brand",
            "history_action",
            "context_pid",
            "context_hour",
            "context_weekday",
            "item",
        )
    }
    text = (folder / "README.md").read_text()
    assert text.startswith("# base+mail: base+mail-base on tiny (simulated)\n")
    assert "| `user_age_level` | int64 | [U] | attribute of the user |" in text
    assert (folder / "request.json").read_text().strip() in text


def test_the_last_steps_with_an_action_are_kept() -> None:
    steps = tf.constant([[[1, 11], [2, 12], [3, 13], [4, 14]], [[5, 15], [6, 16], [7, 17], [8, 18]]])
    actions = tf.constant([[2, 0, 3, 4], [0, 0, 5, 0]])
    kept, of = last_steps(steps, actions, 2)
    assert kept.numpy().tolist() == [[[3, 13], [4, 14]], [[0, 0], [7, 17]]]
    assert of.numpy().tolist() == [[3, 4], [0, 5]]
    kept, of = last_steps(steps[:, :0], actions[:, :0], 2)
    assert kept.numpy().tolist() == [[[0, 0], [0, 0]], [[0, 0], [0, 0]]]
    assert of.numpy().tolist() == [[0, 0], [0, 0]]


def test_values_of_a_list_are_put_in_order_and_an_empty_list_is_one_unknown() -> None:
    ids = tf.constant([[[9, 1, 4], [1, 1, 1], [1, 7, 1]]])
    empty = tf.constant([[[False, True, False], [True, True, True], [False, False, False]]])
    assert pack_values(ids, empty).numpy().tolist() == [[[4, 9, 0], [1, 0, 0], [1, 1, 7]]]


def failed(message: str) -> str:
    """What an assertion of a graph says, without the places where it was made."""
    return message.split("assertion failed: ")[1].splitlines()[0].replace("\\'", "'").strip()


def test_an_input_of_another_shape_is_told_by_name() -> None:
    shapes: dict[str, list[int | None]] = {"user": [None], "history_kind": [None, None], "item_genres": [None, None, 6]}
    inputs = tuple(Input(name, tf.TensorSpec(shape, tf.int64, name), name, None, "") for name, shape in shapes.items())
    good = {"user": [2], "history_kind": [2, 3], "item_genres": [2, 4, 6]}

    # As a server: shapes are not compared before the graph runs.
    @tf.function
    def sizes(**given: tf.Tensor) -> list[tf.Tensor]:
        return [tf.size(tensor) for tensor in check_shapes(inputs, given).values()]

    free = {name: tf.TensorSpec(None, tf.int64) for name in good}
    graph = sizes.get_concrete_function(**free)
    for zero in ({}, {"user": [0], "history_kind": [0, 3], "item_genres": [0, 4, 6]}, {"item_genres": [2, 0, 6]}):
        shown = {**good, **zero}
        found = graph(**{name: tf.zeros(shape, tf.int64) for name, shape in shown.items()})
        assert [int(size) for size in found] == [int(np.prod(shape)) for shape in shown.values()]
    for name, shape, text in (
        ("user", [3], "[input 'history_kind' has the shape] [2 3] [Expected] [3 3] "
                      "[[U, T]: U is that of 'user', T is that of 'history_kind']"),
        ("history_kind", [0, 3], "[input 'history_kind' has the shape] [0 3] [Expected] [2 3] "
                                 "[[U, T]: U is that of 'user', T is that of 'history_kind']"),
        ("history_kind", [0], "[input 'history_kind' has the shape] [0] [Expected 2 axes: [U, T]]"),
        ("user", [], "[input 'user' has the shape] [] [Expected 1 axes: [U]]"),
        ("item_genres", [2, 4, 7], "[input 'item_genres' has the shape] [2 4 7] [Expected] [2 4 6] "
                                   "[[U, N, 6]: U is that of 'user', N is that of 'item_genres']"),
    ):  # fmt: skip
        tensors = {each: tf.zeros(of, tf.int64) for each, of in {**good, name: shape}.items()}
        with pytest.raises(tf.errors.InvalidArgumentError) as error:
            graph(**tensors)
        assert failed(error.value.message) == text


#: A request of two users and seven candidates, with inputs cut to a shape, and what a server says.
MISFITS: dict[str, tuple[str, dict[str, tuple[int, ...]], str]] = {
    # These three ended the server by a division by zero.
    "no user, one item": (
        "serving_default",
        {"user": (0,), "user_": (0,), "history": (0,), "context": (0,), "item": (1, 1)},
        "[input 'item' has the shape] [1 1] [Expected] [0 1] [[U, N]: U is that of 'user', N is that of 'item']",
    ),
    "no user is new, one item": (
        "new_users",
        {"user": (0,), "user_": (0,), "context": (0,), "item": (1, 1)},
        "[input 'item' has the shape] [1 1] [Expected] [0 1] [[U, N]: U is that of 'user', N is that of 'item']",
    ),
    "histories of nobody": (
        "serving_default",
        {"history": (0, 3)},
        "[input 'history_cate' has the shape] [0 3] [Expected] [2 3] "
        "[[U, T]: U is that of 'user', T is that of 'history_cate']",
    ),
    "nobody's context": (
        "serving_default",
        {"context": (0,)},
        "[input 'context_pid' has the shape] [0] [Expected] [2] [[U]: U is that of 'user']",
    ),
    "one item row": (
        "serving_default",
        {"item": (1,)},
        "[input 'item' has the shape] [1 7] [Expected] [2 7] [[U, N]: U is that of 'user', N is that of 'item']",
    ),
    "no item row": (
        "serving_default",
        {"item": (0,)},
        "[input 'item' has the shape] [0 7] [Expected] [2 7] [[U, N]: U is that of 'user', N is that of 'item']",
    ),
    "one of each attribute": (
        "serving_default",
        {"user_": (1,)},
        "[input 'user_cms_segid' has the shape] [1] [Expected] [2] [[U]: U is that of 'user']",
    ),
    "one hour": (
        "serving_default",
        {"context_hour": (1,)},
        "[input 'context_hour' has the shape] [1] [Expected] [2] [[U]: U is that of 'user']",
    ),
    "one history": (
        "serving_default",
        {"history": (1, 3)},
        "[input 'history_cate' has the shape] [1 3] [Expected] [2 3] "
        "[[U, T]: U is that of 'user', T is that of 'history_cate']",
    ),
    "a short category": (
        "serving_default",
        {"history": (2, 3), "history_cate": (2, 2)},
        "[input 'history_brand' has the shape] [2 3] [Expected] [2 2] "
        "[[U, T]: U is that of 'user', T is that of 'history_cate']",
    ),
    "a short action": (
        "known_users",
        {"history": (2, 3), "history_action": (2, 2)},
        "[input 'history_action' has the shape] [2 2] [Expected] [2 3] "
        "[[U, T]: U is that of 'user', T is that of 'history_cate']",
    ),
    "a short price": (
        "item_features",
        {"item_price": (2, 6)},
        "[input 'item_price' has the shape] [2 6] [Expected] [2 7] [[U, N]: U is that of 'user', N is that of 'item']",
    ),
    "a short feature": (
        "item_features",
        {"item_cate": (2, 6)},
        "[input 'item_cate' has the shape] [2 6] [Expected] [2 7] [[U, N]: U is that of 'user', N is that of 'item']",
    ),
}


def misfits(raw: Raw) -> dict[str, tuple[str, Request]]:
    asked = odd_requests(raw)
    names = {signature: name for name, (signature, _) in reversed(asked.items())}
    found = {}
    for key, (signature, cuts, _) in MISFITS.items():
        request = {name: np.repeat(value, 2, axis=0) for name, value in asked[names[signature]][1].items()}
        for start, shape in cuts.items():
            for name in request:
                if name == start or (name.startswith(start) and start in {"user_", "history", "context"}):
                    request[name] = request[name][tuple(slice(size) for size in shape)]
        found[key] = signature, request
    return found


@pytest.mark.parametrize("case", MISFITS)
def test_a_request_that_does_not_fit_is_refused_and_the_server_goes_on(
    case: str, answers: dict[str, dict[str, np.ndarray]]
) -> None:
    assert failed(str(answers[case]["error"])) == MISFITS[case][2]


def test_the_end_of_what_is_earlier() -> None:
    time = np.array([5, 7, 7, 9, 1, 2])
    # Users: places 0-3, none, 4-5.
    begin, end = np.array([0, 0, 0, 0, 4, 4, 4]), np.array([4, 4, 4, 4, 4, 6, 6])
    asked = np.array([5, 7, 8, 10, 3, 2, 0])
    assert history_ends(time, begin, end, asked).tolist() == [0, 1, 3, 4, 4, 5, 4]
    assert history_ends(time[:0], begin[:1] * 0, end[:1] * 0, asked[:1]).tolist() == [0]


# mail score


def score(run: Run, file: Path, out: Path, data_dir: Path, *more: object) -> Result:
    return mail("score", run.folder, file, "-o", out, "--data-dir", data_dir, *more)


@pytest.mark.parametrize("cell", CELLS)
def test_a_file_is_scored_as_the_trainer_scored_it(
    cell: str, runs: dict[str, Run], raw: Raw, data_dir: Path, tmp_path: Path
) -> None:
    shown = raw.test.assign(note='a "quoted", word')
    shown.to_csv(tmp_path / "in.csv", index=False)
    trained = np.load(runs[cell].folder / "predictions.npy")
    done = score(runs[cell], tmp_path / "in.csv", tmp_path / "out.csv", data_dir, "--batch", "100")
    assert done.exit_code == 0, done.output
    new = drawn(raw.dataset, runs[cell].config) | (raw.dataset.earlier_behaviors("test") == 0)
    assert done.stdout == (
        f"{tmp_path / 'out.csv'}: {len(shown)} impressions, {new.sum()} of them without behavior. "
        "Unknown to the dataset: the users of 0, the items of 0.\n"
    )
    found = pd.read_csv(tmp_path / "out.csv")
    pd.testing.assert_frame_equal(found.drop(columns="score"), shown)
    close(found["score"].to_numpy(), trained)
    # Parquet, in another order.
    shown = shown.iloc[::-1].reset_index(drop=True)
    shown.to_parquet(tmp_path / "in.parquet")
    done = score(runs[cell], tmp_path / "in.parquet", tmp_path / "out.parquet", data_dir)
    assert done.exit_code == 0, done.output
    found = pd.read_parquet(tmp_path / "out.parquet")
    pd.testing.assert_frame_equal(found.drop(columns="score"), shown)
    close(found["score"].to_numpy(), trained[::-1])
    assert {path.name for path in tmp_path.iterdir()} == {"in.csv", "out.csv", "in.parquet", "out.parquet"}


def test_users_and_items_that_the_dataset_lacks(
    runs: dict[str, Run], answers: dict[str, dict[str, np.ndarray]], raw: Raw, data_dir: Path, tmp_path: Path
) -> None:
    strangers(raw)[0].to_csv(tmp_path / "in.csv", index=False)
    done = score(runs[ODD], tmp_path / "in.csv", tmp_path / "out.parquet", data_dir, "--all-histories")
    assert done.exit_code == 0, done.output
    assert done.stdout.endswith(
        ": 4 impressions, 3 of them without behavior. Unknown to the dataset: the users of 3, the items of 2.\n"
    )
    found = pd.read_parquet(tmp_path / "out.parquet")["score"].to_numpy()
    close(found, answers["strangers"]["click"][:, 0])


def test_a_history_is_what_is_strictly_earlier(
    runs: dict[str, Run], answers: dict[str, dict[str, np.ndarray]], raw: Raw, data_dir: Path, tmp_path: Path
) -> None:
    just_before(raw, runs[ODD])[0].to_csv(tmp_path / "in.csv", index=False)
    done = score(runs[ODD], tmp_path / "in.csv", tmp_path / "out.csv", data_dir)
    assert done.exit_code == 0, done.output
    found = pd.read_csv(tmp_path / "out.csv")["score"].to_numpy()
    assert abs(found[0] - found[1]) > 1e-5
    close(found, answers["just before"]["click"][:, 0])


def test_a_csv_is_written_as_it_was_read(tmp_path: Path) -> None:
    text = 'a,b,c\n1,x,\n007,"say ""so"", or",\n,-1.50,é\n'
    (tmp_path / "in.csv").write_text(text, encoding="utf-8")
    source = ImpressionFile(tmp_path / "in.csv")
    schema = source.schema.append(pa.field("score", pa.float32()))
    with ImpressionWriter(tmp_path / "out.csv", schema) as writer:
        for piece in source.pieces(2, Faults(source.path)):
            scores = pa.array([0.1, 1 / 3][: len(piece)], pa.float32())
            writer.write(pa.record_batch([*piece.columns, scores], schema=schema))
    assert (tmp_path / "out.csv").read_text(encoding="utf-8") == (
        'a,b,c,score\n1,x,,0.1\n007,"say ""so"", or",,0.33333334\n,-1.50,é,0.1\n'
    )


def test_values_are_typed_as_the_dataset_has_them() -> None:
    wrong: dict[str, list[bool]] = {}

    def read(values: pa.Array, is_text: bool = False, optional: bool = True) -> list[Any]:
        """The values; `wrong` has what was expected of which."""
        wrong.clear()

        def fault(found: pa.Array, told: str) -> None:
            places = found.fill_null(False).to_pylist()
            if any(places):
                wrong[told] = places

        found: list[Any] = cast_column(values, RequiredColumn("x", is_text, optional), fault).to_pylist()
        return found

    number = "a whole number or nothing."
    between = "a whole number between -9223372036854775807 and 9223372036854775807."
    texts = ["0", "-7", "9223372036854775807", "9223372036854775808", "07", "1.0", "", None, "-0"]
    texts += ["-9223372036854775808", "99999999999999999999", "-9223372036854775807"]
    numbers = [0, -7, 9223372036854775807, *[None] * 8, -9223372036854775807]
    for kind in (pa.string(), pa.large_string(), pa.string_view(), pa.binary(), pa.large_binary()):
        assert read(pa.array(texts).cast(kind)) == numbers
        assert wrong == {
            number: [place in {4, 5, 8} for place in range(12)],
            between: [place in {3, 9, 10} for place in range(12)],
        }
    assert read(pa.array(texts).dictionary_encode()) == numbers
    assert read(pa.array(["1", "", None]), optional=False) == [1, None, None]
    assert wrong == {"a whole number.": [False, True, True]}
    assert read(pa.array([1.0, 1.5, float("nan"), None, 2.0**53, -float("inf"), 2.0**53 - 1])) == (
        [1, *[None] * 5, 9007199254740991]
    )
    assert wrong == {
        number: [False, True, *[False] * 5],
        "a whole number between -9007199254740991 and 9007199254740991.": [*[False] * 4, True, True, False],
    }
    assert read(pa.array([3, None], pa.int32())) == [3, None]
    assert wrong == {}
    assert read(pa.array([3, 2**63 - 1, 2**63, None], pa.uint64())) == [3, 9223372036854775807, None, None]
    assert wrong == {between: [False, False, True, False]}
    assert read(pa.array([-(2**63), 1 - 2**63], pa.int64())) == [None, -9223372036854775807]
    assert wrong == {between: [True, False]}
    assert read(pa.nulls(2)) == [None, None]
    assert read(pa.nulls(2), optional=False) == [None, None]
    assert wrong == {"a whole number.": [True, True]}
    for kind in (pa.string(), pa.string_view(), pa.binary()):
        assert read(pa.array(["a", "", None]).cast(kind), is_text=True) == ["a", None, None]
    assert wrong == {}
    assert read(pa.array([b"a", b"caf\xe9"]), is_text=True) == ["a", "caf\ufffd"]
    assert wrong == {"UTF-8: save the file in that encoding.": [False, True]}
    assert read(pa.array([5, 6]), is_text=True) == ["5", "6"]


# bad input


def test_runs_that_cannot_be_exported_or_scored(runs: dict[str, Run], raw: Raw, data_dir: Path, tmp_path: Path) -> None:
    file = tmp_path / "in.csv"
    raw.test.to_csv(file, index=False)
    out, model = tmp_path / "out.csv", tmp_path / "model"
    here = ("--data-dir", data_dir)
    commands = [("export", "{}", model), ("score", "{}", file, "-o", out)]
    lost = tmp_path / "nowhere"
    unfinished = tmp_path / "unfinished"
    shutil.copytree(runs[ODD].folder, unfinished)
    (unfinished / "result.json").unlink()
    bare = tmp_path / "bare"
    shutil.copytree(runs[ODD].folder, bare)
    (bare / "checkpoints" / "best.weights.h5").unlink()
    texts = {
        lost: f"{lost}: there is no such folder. Expected one made by `mail train`.",
        unfinished: f"{unfinished}: the run is not finished. Run its `mail train` command again.",
    }
    for command in commands:
        for folder, text in texts.items():
            arguments = [folder if each == "{}" else each for each in command]
            assert refused(mail(*arguments, *here)) == text
        told = refused(mail(*[bare if each == "{}" else each for each in command], *here))
        assert told.startswith(
            f"{bare}/checkpoints/best.weights.h5: is damaged, or does not fit this run's model and dataset ("
        )
        assert told.endswith(f"). Delete the folder {bare} and train again.")
        arguments = [runs[ODD].folder if each == "{}" else each for each in command]
        assert refused(mail(*arguments, "--data-dir", lost)) == (
            f"{lost}: holds no dataset, and 'tiny' is needed. Make it with `mail preprocess`, or name its folder "
            "with --data-dir."
        )
    assert {path.name for path in tmp_path.iterdir()} == {"in.csv", "unfinished", "bare"}


def test_a_folder_that_exists_is_left_alone(runs: dict[str, Run], data_dir: Path, tmp_path: Path) -> None:
    taken = tmp_path / "model"
    taken.mkdir()
    run = runs[ODD].folder
    assert refused(mail("export", run, taken, "--data-dir", data_dir)) == (
        f"{taken}: exists already. Expected the name of a new folder; choose another, or delete it."
    )
    assert list(taken.iterdir()) == []
    (tmp_path / "file").write_text("")
    told = refused(mail("export", run, tmp_path / "file" / "model", "--data-dir", data_dir))
    assert told.startswith(f"{tmp_path / 'file'}: ")


def test_files_of_others_are_left_alone(runs: dict[str, Run], raw: Raw, data_dir: Path, tmp_path: Path) -> None:
    """Names that begin as those of unfinished files did once: one is the very file that is scored."""
    mine = tmp_path / "partial-out.csv"
    raw.test.iloc[:5].to_csv(mine, index=False)
    text = mine.read_text()
    assert score(runs[ODD], mine, tmp_path / "out.csv", data_dir).exit_code == 0
    assert mine.read_text() == text
    assert len((tmp_path / "out.csv").read_text().splitlines()) == 6
    (tmp_path / "partial-model").mkdir()
    (tmp_path / "partial-model" / "notes").write_text("mine")
    assert mail("export", runs[ODD].folder, tmp_path / "model", "--data-dir", data_dir).exit_code == 0
    assert (tmp_path / "partial-model" / "notes").read_text() == "mine"
    assert {path.name for path in tmp_path.iterdir()} == {"partial-out.csv", "out.csv", "partial-model", "model"}


def test_a_file_that_comes_to_be_while_scores_are_written_is_left_alone(
    runs: dict[str, Run], raw: Raw, data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw.test.iloc[:5].to_csv(tmp_path / "in.csv", index=False)
    out = tmp_path / "out.csv"
    write = ImpressionWriter.write

    def late(self: ImpressionWriter, piece: pa.RecordBatch) -> None:
        write(self, piece)
        # As another `mail score` with the same name of the result, which is done first.
        out.write_text("theirs")

    monkeypatch.setattr(ImpressionWriter, "write", late)
    assert refused(score(runs[ODD], tmp_path / "in.csv", out, data_dir)) == (
        f"{out}: another program has made it meanwhile, so it is left alone. Nothing was kept; choose another name."
    )
    assert out.read_text() == "theirs"
    assert {path.name for path in tmp_path.iterdir()} == {"in.csv", "out.csv"}


BAD_FILES = {
    "no column": (
        lambda shown: shown.drop(columns=["pid", "item"]).rename(columns={"time": "tme"}),
        "no column 'item', 'time', 'pid'. Did you mean 'tme'? The file's columns are: user, tme, hour, weekday. "
        "Expected: user, item, time, pid, hour, weekday.",
    ),
    "an unknown user": (
        lambda shown: shown.assign(user=[*shown["user"].iloc[:3], -5, -6]),
        "row 4 (2 rows): column 'user' holds '-5'. Expected a user of the dataset 'tiny'. Leave such rows out, or add what "
        f"is known of the users: {', '.join(PROFILE)}.",
    ),
    "values": (
        lambda shown: shown.assign(
            time=["soon", "1", "2", "3", None], item=["1", "2", "3", "4", "1.5"], hour=[1, 2, "x", "y", 3]
        ),
        "row 5: column 'item' holds '1.5'. Expected a whole number. row 1 (2 rows): column 'time' holds 'soon'. Expected a "
        "whole number. row 3 (2 rows): column 'hour' holds 'x'. Expected a whole number or nothing.",
    ),
    "a score": (
        lambda shown: shown.assign(score=1),
        "has a column 'score' already. Rename it, since that is what is added.",
    ),
    "no rows": (lambda shown: shown.iloc[:0], "there is no row. Expected impressions."),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_a_file_that_cannot_be_scored_says_why(
    case: str, runs: dict[str, Run], raw: Raw, data_dir: Path, tmp_path: Path
) -> None:
    spoil, text = BAD_FILES[case]
    spoil(raw.test.iloc[:5]).to_csv(tmp_path / "in.csv", index=False)
    result = score(runs[ODD], tmp_path / "in.csv", tmp_path / "out.csv", data_dir)
    assert refused(result) == f"{tmp_path / 'in.csv'}: {text}"
    assert [path.name for path in tmp_path.iterdir()] == ["in.csv"]


def test_files_that_cannot_be_read_or_written(runs: dict[str, Run], raw: Raw, data_dir: Path, tmp_path: Path) -> None:
    run = runs[ODD]
    good = tmp_path / "in.csv"
    raw.test.iloc[:5].to_csv(good, index=False)
    (tmp_path / "taken.csv").write_text("mine")
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "twice.csv").write_text("user,user\n1,1\n")
    (tmp_path / "lines.csv").write_text("\n\r\n")
    (tmp_path / "header.csv").write_text("user,item,time,pid,hour,weekday")
    (tmp_path / "latin.csv").write_bytes(b"us\xe9r\n")
    for name, mark in (("semicolon", ";"), ("tab", "\t")):
        (tmp_path / f"{name}.csv").write_text(mark.join(("user", "item", "time", "pid", "hour", "weekday\n")))
    (tmp_path / "nul.csv").write_bytes(b"user\0,item,time,pid,hour,weekday\n")
    (tmp_path / "text.parquet").write_text("user,item\n")
    raw.test.assign(note=b"x", tags=pd.Series([[1]] * len(raw.test))).to_parquet(tmp_path / "bytes.parquet")
    raw.test.assign(time=pd.to_datetime(raw.test["time"], unit="s"), hour=1.5).to_parquet(tmp_path / "dates.parquet")
    cases = [
        (good, "out.tsv", "{out}: the name should end in .csv or .parquet, which tells the form of the file."),
        (good, "taken.csv", "{out}: exists already. Expected the name of a new file; choose another, or delete it."),
        (good, "a/out.csv", f"{{out}}: there is no folder {tmp_path / 'a'}. Make it first."),
        (tmp_path / "in.txt", "out.csv", "{file}: the name should end in .csv or .parquet, which tells the form of the file."),
        (tmp_path / "no.csv", "out.csv", "{file}: there is no such file."),
        (tmp_path / "empty.csv", "out.csv", "{file}: the file is empty. Expected a header line and rows."),
        (tmp_path / "twice.csv", "out.csv", "{file}: more than one column is named 'user'. Expected each name once."),
        (tmp_path / "lines.csv", "out.csv", "{file}: the file is empty. Expected a header line and rows."),
        (tmp_path / "header.csv", "out.csv", "{file}: there is no row. Expected impressions."),
        (tmp_path / "latin.csv", "out.csv", "{file}: the header is not UTF-8 ('utf-8' codec can't decode byte 0xe9 in position 2: invalid continuation byte). Save the file in that encoding."),
        (tmp_path / "semicolon.csv", "out.csv", "{file}: the header is 'user;item;time;pid;hour;weekday'. Expected ',' between the names and values, not ';'."),
        (tmp_path / "tab.csv", "out.csv", "{file}: the header is 'user\\titem\\ttime\\tpid\\thour\\tweekday'. Expected ',' between the names and values, not '\\t'."),
        (tmp_path / "nul.csv", "out.csv", "{file}: no column 'user'. The file's columns are: 'user\\x00', item, time, pid, hour, weekday. Expected: user, item, time, pid, hour, weekday."),
        (tmp_path / "text.parquet", "out.csv", "{file}: cannot be read (Parquet magic bytes not found in footer. Either the file is corrupted or this is not a parquet file.)."),
        (tmp_path / "bytes.parquet", "out.csv", "{file}: 'note' holds binary; 'tags' holds list<element: int64>, which a CSV cannot hold. Give the result a name that ends in .parquet."),
        (tmp_path / "dates.parquet", "out.csv", "{file}: 'time' holds timestamp[us], expected a whole number."),
    ]  # fmt: skip
    before = sorted(path.name for path in tmp_path.iterdir())
    for file, name, text in cases:
        out = tmp_path / name
        assert refused(score(run, file, out, data_dir)) == text.format(file=file, out=out)
    assert sorted(path.name for path in tmp_path.iterdir()) == before
    assert (tmp_path / "taken.csv").read_text() == "mine"


#: Rows of a file of the dataset's columns, and what is told of them.
HEADER = "user,item,time,pid,hour,weekday"
ONE_ROW = "one value for each name of the header; texts with a comma or a line break stand in quotes, which are closed."
UNENDING = "does not end. Expected a row of at most 16 MB whose quotes are closed."
BAD_ROWS = {
    # Numbered as all rows are: blank lines do not count, rows that are left out do.
    "ragged, not UTF-8 and wrong": (
        [b"U,1,1,a,1,1", b"", b"U,1,1", b"U,x,1,caf\xe9,1,1", b"U,1,1,a,1,1,7,8", b"U,y,1,\xe9,1,1", b"U,1,1"],
        f"row 2 (3 rows): has 3 values. Expected 6, {ONE_ROW} "
        "row 3 (2 rows): column 'pid' holds b'caf\\xe9'. Expected UTF-8: save the file in that encoding. "
        "row 3 (2 rows): column 'item' holds 'x'. Expected a whole number.",
    ),
    "too large": (
        [b"U,-9223372036854775808,99999999999999999999,a,1,1"],
        "row 1: column 'item' holds '-9223372036854775808'. Expected a whole number between -9223372036854775807 and "
        "9223372036854775807. row 1: column 'time' holds '99999999999999999999'. Expected a whole number between "
        "-9223372036854775807 and 9223372036854775807.",
    ),
    "an open quote": (
        [b"U,1,1,a,1,1", b'U,1,1,"a,1,1', b"U,1,1,a,1,1"],
        f"row 2: has 4 values. Expected 6, {ONE_ROW}",
    ),
    "an open quote and many rows": (
        [b"U,1,1,a,1,1", b'U,1,1,"a,1,1', *[b"U,1,1,a,1,1"] * 3_000_000],
        f"row 2: {UNENDING}",
    ),
    "a row beyond what is read at once": ([b"U,1,1,a,1,1", b"U,1,1," + b"a" * (40 << 20) + b",1,1"], f"row 2: {UNENDING}"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_ROWS)
def test_rows_that_cannot_be_read_are_told_with_all_other_faults(
    case: str, runs: dict[str, Run], raw: Raw, data_dir: Path, tmp_path: Path
) -> None:
    rows, text = BAD_ROWS[case]
    user = str(raw.test["user"].iloc[0]).encode()
    lines = [HEADER.encode(), *(user + row.removeprefix(b"U") if row else row for row in rows)]
    (tmp_path / "in.csv").write_bytes(b"\n".join(lines) + b"\n")
    result = score(runs[ODD], tmp_path / "in.csv", tmp_path / "out.csv", data_dir, "--batch", "2000000")
    assert refused(result) == f"{tmp_path / 'in.csv'}: {text}"
    assert [path.name for path in tmp_path.iterdir()] == ["in.csv"]


def test_an_open_quote_in_the_last_value_is_no_value(tmp_path: Path) -> None:
    path, text = tmp_path / "in.csv", "a,b\n1,2\n"
    for last, told in ((b'3,"x\n4,5', f"{path}: row 2: {UNENDING}"), (b'3,"x\n4,5"', None), (b'3,"x\n4,5"\r\n', None)):
        path.write_bytes(text.encode() + last)
        faults = Faults(path)
        assert sum(len(piece) for piece in ImpressionFile(path).pieces(9, faults)) == 2
        if told:
            with pytest.raises(MailError) as error:
                faults.check()
            assert error.value.message == told
        else:
            faults.check()


def test_rows_of_more_than_a_megabyte_and_blank_lines_are_read(tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_text(f'\n\n"a\nb",c\n\n{"x" * 2_000_000},2\n')
    source, faults = ImpressionFile(path), Faults(path)
    assert source.columns == ["a\nb", "c"]
    (piece,) = source.pieces(9, faults)
    faults.check()
    assert piece.to_pylist() == [{"a\nb": "x" * 2_000_000, "c": "2"}]


def test_attributes_that_are_not_used_are_told(runs: dict[str, Run], raw: Raw, data_dir: Path, tmp_path: Path) -> None:
    raw.test.iloc[:5].assign(cms_segid=1, age_level=2).to_csv(tmp_path / "in.csv", index=False)
    done = score(runs[ODD], tmp_path / "in.csv", tmp_path / "out.csv", data_dir)
    assert done.exit_code == 0, done.output
    assert done.stderr.splitlines()[0] == (
        f"{tmp_path / 'in.csv'}: 'cms_segid', 'age_level' not used: users that the dataset lacks need all attributes, and "
        "it lacks 'cms_group_id', 'final_gender_code', 'pvalue_level', 'shopping_level', 'occupation', "
        "'new_user_class_level'."
    )


def test_texts_of_any_arrow_type_are_scored(runs: dict[str, Run], raw: Raw, data_dir: Path, tmp_path: Path) -> None:
    shown = raw.test.iloc[:5]
    table = pa.Table.from_pandas(shown, preserve_index=False)
    place = table.schema.get_field_index("pid")
    found = []
    for kind in (pa.string(), pa.string_view(), pa.binary()):
        file = tmp_path / f"{kind}.parquet"
        pa.parquet.write_table(table.set_column(place, "pid", table.column("pid").cast(kind)), file)
        done = score(runs[ODD], file, tmp_path / f"{kind}-out.parquet", data_dir)
        assert done.exit_code == 0, done.output
        found.append(pd.read_parquet(tmp_path / f"{kind}-out.parquet")["score"].tolist())
    assert found[0] == found[1] == found[2]


def test_a_folder_that_cannot_be_written_is_not_told_as_taken(
    runs: dict[str, Run], data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch = Path.touch

    def refuse(self: Path) -> None:
        # As /proc does.
        if self.name == ".model.lock":
            raise FileNotFoundError(2, "No such file or directory", str(self))
        touch(self)

    monkeypatch.setattr(Path, "touch", refuse)
    assert refused(mail("export", runs[ODD].folder, tmp_path / "model", "--data-dir", data_dir)) == (
        f"{tmp_path / '.model.lock'}: No such file or directory. Choose another path, or mend this one."
    )
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_ends_as_shells_have_it(
    runs: dict[str, Run], raw: Raw, data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(ImpressionWriter, "write", stop)
    raw.test.iloc[:5].to_csv(tmp_path / "in.csv", index=False)
    done = score(runs[ODD], tmp_path / "in.csv", tmp_path / "out.csv", data_dir)
    assert done.exit_code == 130
    assert done.stderr.splitlines()[-1] == "Interrupted."
    assert [path.name for path in tmp_path.iterdir()] == ["in.csv"]


def test_a_graph_that_calls_python_is_refused() -> None:
    def doubled(x: tf.Tensor) -> tf.Tensor:
        return tf.numpy_function(lambda x: 2 * x, [x], tf.float32)

    inside = tf.function(doubled)
    graph = tf.function(lambda x: inside(x) + 1).get_concrete_function(tf.TensorSpec([], tf.float32))
    with pytest.raises(MailError, match="calls Python code"):
        _refuse_python(graph)
    _refuse_python(tf.function(lambda x: x + 1).get_concrete_function(tf.TensorSpec([], tf.float32)))


@pytest.mark.slow
def test_a_model_that_calls_python_cannot_be_exported(
    tiny: Dataset, data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "mine", raising=False)
    (tmp_path / "mine.py").write_text(
        "import tensorflow as tf\ndef ranker(features, training):\n"
        "    x = features.query[:, 0]\n"
        "    return x + tf.ensure_shape(tf.numpy_function(abs, [x], tf.float32), x.shape)\n"
    )
    config = make_config(
        [{"data": "tiny", "ranker": "mine:ranker", **{k: v for k, v in SMALL.items() if "." not in k}}]
    )
    run = ensure(config, tiny, tmp_path / "runs")
    told = refused(mail("export", run.folder, "model", "--data-dir", data_dir))
    assert told == (
        "the model calls Python code (tf.py_function or tf.numpy_function), which TensorFlow alone cannot run. "
        "Expected TensorFlow operations."
    )
    assert not (tmp_path / "model").exists()
    assert not list(tmp_path.glob("*partial*"))


def test_a_full_disk_keeps_nothing(
    runs: dict[str, Run], raw: Raw, data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("mailcli.serving.score_file.ImpressionWriter.write", full)
    raw.test.iloc[:5].to_csv(tmp_path / "in.csv", index=False)
    out = tmp_path / "out.csv"
    assert refused(score(runs[ODD], tmp_path / "in.csv", out, data_dir)) == (
        f"{out}: cannot be written ([Errno 28] No space left on device). Nothing was kept."
    )
    assert [path.name for path in tmp_path.iterdir()] == ["in.csv"]


# what takes longer


@pytest.mark.slow
def test_a_full_disk_keeps_nothing_of_a_model(
    runs: dict[str, Run], data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise tf.errors.ResourceExhaustedError(None, None, "No space left on device")

    monkeypatch.setattr(tf.saved_model, "save", full)
    told = refused(mail("export", runs[ODD].folder, tmp_path / "model", "--data-dir", data_dir))
    assert told == f"{tmp_path / 'model'}: cannot be written (No space left on device). Nothing was kept."
    assert list(tmp_path.iterdir()) == []


def same_as_trained(run: Run, raw: Raw, data_dir: Path, folder: Path) -> None:
    """Exported and scored, the test split has the trainer's scores."""
    done = mail("export", run.folder, folder / "model", "--data-dir", data_dir)
    assert done.exit_code == 0, done.output
    trained = np.load(run.folder / "predictions.npy").reshape(len(raw.test), -1)
    request = raw.request(raw.test, drawn(raw.dataset, run.config))
    answer = ask({"": (folder / "model", "serving_default", request)}, folder)[""]
    names = ["click", "ctcvr"][: trained.shape[1]]
    close(np.concatenate([answer[name] for name in names], axis=1), trained)
    assert sorted(answer) == sorted(names)
    raw.test.to_parquet(folder / "in.parquet")
    done = score(run, folder / "in.parquet", folder / "out.parquet", data_dir)
    assert done.exit_code == 0, done.output
    found = pd.read_parquet(folder / "out.parquet")
    close(found[["score", "score_ctcvr"][: trained.shape[1]]].to_numpy(), trained)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["none", "llae", "metaemb", "eszsl", "conse", "dropout", "cvae"])
def test_every_cold_start_method_can_be_taken_away(
    method: str, tiny: Dataset, raw: Raw, data_dir: Path, tmp_path: Path
) -> None:
    run = ensure(config_of(tiny, f"base+{method}"), tiny, tmp_path / "runs")
    same_as_trained(run, raw, data_dir, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("ranker", ["dmr", "emblr", "din", "widedeep", "deepfm", "dcnv2"])
def test_every_ranker_can_be_taken_away(ranker: str, tiny: Dataset, raw: Raw, data_dir: Path, tmp_path: Path) -> None:
    more = {key: value for key, value in SMALL.items() if ranker != "emblr" or key != "ranker.units"}
    own = {"ranker": ranker, "cold_start": "mail", **more, **SMALL_MAIL}
    run = ensure(complete([own], tiny.name, tiny.history), tiny, tmp_path / "runs")
    same_as_trained(run, raw, data_dir, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["none", "single", "dual"])
def test_every_variant_can_be_taken_away(variant: str, tiny: Dataset, raw: Raw, data_dir: Path, tmp_path: Path) -> None:
    run = ensure(config_of(tiny, "base+mail", **{"cold_start.variant": variant}), tiny, tmp_path / "runs")
    same_as_trained(run, raw, data_dir, tmp_path)


@pytest.mark.slow
def test_users_whom_strict_drew_are_unknown_by_id(tiny: Dataset, raw: Raw, data_dir: Path, tmp_path: Path) -> None:
    run = ensure(config_of(tiny, "base+mail", protocol="strict"), tiny, tmp_path / "runs")
    same_as_trained(run, raw, data_dir, tmp_path)


@pytest.mark.slow
def test_a_ranker_from_outside_can_be_taken_away(
    tiny: Dataset, raw: Raw, data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    for name in [name for name in sys.modules if name.split(".")[0] == "examples"]:
        monkeypatch.delitem(sys.modules, name)
    own = {"ranker": "examples.last_behavior:LastBehavior", "cold_start": "mail", **SMALL, **SMALL_MAIL}
    run = ensure(complete([{**own, "ranker.units": "8"}], tiny.name, tiny.history), tiny, tmp_path / "runs")
    same_as_trained(run, raw, data_dir, tmp_path)


@pytest.mark.slow
def test_two_heads(with_buys: Dataset, tmp_path: Path) -> None:
    own = {"ranker": "esmm", "cold_start": "mail", **SMALL, **SMALL_MAIL}
    run = ensure(complete([own], with_buys.name, with_buys.history), with_buys, tmp_path / "runs")
    data = with_buys.folder.parent
    same_as_trained(run, Raw(data / "raw", with_buys), data, tmp_path)
    told = json.loads((tmp_path / "model" / "signature.json").read_text())
    assert sorted(told["response"]["outputs"]) == ["click", "ctcvr"]


@pytest.mark.slow
def test_texts_lists_and_no_numbers(tmp_path: Path) -> None:
    """MovieLens' form: texts as ids of attributes, lists of genres, items as behaviors, no dense feature."""
    films = 40
    rng = np.random.default_rng(0)
    raw = tmp_path / "raw"
    raw.mkdir()
    users = [
        f"{user}|{20 + user % 40}|{'MF'[user % 2]}|{('writer', 'other')[user % 2]}|{user % 10}0000"
        for user in range(1, 41)
    ]
    (raw / "u.user").write_text("\n".join(users) + "\n", encoding="latin-1")
    flags = rng.integers(0, 2, (films, 19)) * (rng.random((films, 19)) < 0.3)
    flags[np.cumsum(flags, axis=1) > 6] = 0
    titles = [f"{k + 1}|Film {k} ({1980 + k % 9})|||x|{'|'.join(map(str, flags[k]))}" for k in range(films)]
    (raw / "u.item").write_text("\n".join(titles) + "\n", encoding="latin-1")
    ratings = [
        f"{user}\t{film + 1}\t{rng.integers(1, 6)}\t{880000000 + 5000 * k}"
        for user in range(1, 41)
        for k, film in enumerate(rng.permutation(films)[:30])
    ]
    (raw / "u.data").write_text("\n".join(ratings) + "\n", encoding="latin-1")
    dataset = preprocess("ml-100k", raw, tmp_path / "data", "films", Options(history=10))
    run = ensure(config_of(dataset, "base+mail"), dataset, tmp_path / "runs")
    done = mail("export", run.folder, tmp_path / "model", "--data-dir", tmp_path / "data")
    assert done.exit_code == 0, done.output
    test = {name: dataset.column("test", name) for name in ("user", "item", "time")}
    hidden = drawn(dataset, run.config)
    rated = pd.read_csv(raw / "u.data", sep="\t", names=["user", "item", "rating", "time"])
    user, item = dataset.column("users", "raw")[test["user"]], dataset.column("items", "raw")[test["item"]]
    steps = [
        rated[(rated["user"] == u) & (rated["time"] < t) & ~h]
        for u, t, h in zip(user, test["time"], hidden, strict=True)
    ]
    history = {"item": np.full((len(user), 30), NOTHING), "rating": np.full((len(user), 30), "", object)}
    for row, each in enumerate(steps):
        history["item"][row, : len(each)] = each["item"]
        history["rating"][row, : len(each)] = each["rating"].astype(str)
    age = np.digitize(20 + user % 40, (0, 18, 25, 35, 45, 50, 56))
    request = {
        "user": user,
        "user_gender": np.array(["M", "F"], object)[user % 2],
        "user_age": age,
        "user_occupation": np.array(["writer", "other"], object)[user % 2],
        "user_zip": np.array([str(u % 10) for u in user], object),
        "history_item": history["item"],
        "history_action": history["rating"],
        "item": item[:, None],
    }
    for name in ("hour", "weekday"):
        ids = dataset.column("test", name).astype(np.int64)
        known = dataset.column("vocabularies", name)[np.maximum(ids - 2, 0)]
        request[f"context_{name}"] = np.where(ids > 1, known, NOTHING)
    names = ["unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama"]
    names += ["Fantasy", "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western"]
    genres = np.full((len(item), 1, 6), "", object)
    for row, film in enumerate(item):
        has = [name for name, flag in zip(names, flags[film - 1], strict=True) if flag]
        # Anywhere in the list.
        genres[row, 0, 6 - len(has) :] = has[::-1]
    features = {**request, "item_year": (1980 + (item - 1) % 9)[:, None], "item_genres": genres}
    trained = np.load(run.folder / "predictions.npy")[:, None]
    model = tmp_path / "model"
    wide = {**features, "item_genres": np.concatenate([genres, genres[:, :, :1]], axis=2)}
    asked = {"a": ("serving_default", request), "b": ("item_features", features), "c": ("item_features", wide)}
    answer = ask({key: (model, *of) for key, of in asked.items()}, tmp_path)
    close(answer["a"]["click"], trained)
    close(answer["b"]["click"], trained)
    assert failed(str(answer["c"]["error"])) == (
        f"[input 'item_genres' has the shape] [{len(item)} 1 7] [Expected] [{len(item)} 1 6] "
        "[[U, N, 6]: U is that of 'user', N is that of 'item']"
    )
    shown = pd.DataFrame({"user": user, "item": item, "time": test["time"]})
    for name in ("hour", "weekday"):
        values = pd.Series(request[f"context_{name}"]).astype("Int64")
        shown[name] = values.mask(values == NOTHING)
    shown.to_csv(tmp_path / "in.csv", index=False)
    done = score(run, tmp_path / "in.csv", tmp_path / "out.csv", tmp_path / "data")
    assert done.exit_code == 0, done.output
    close(pd.read_csv(tmp_path / "out.csv")["score"].to_numpy()[:, None], trained)


@pytest.mark.slow
def test_attributes_with_several_values_and_in_buckets(tmp_path: Path) -> None:
    """Users whose hobbies are a list and whose age is the number of a bucket, by a schema file."""
    rng = np.random.default_rng(0)
    hobbies = ["|".join(rng.permutation(["chess", "go", "golf", "ski"])[: n % 4]) for n in range(30)]
    age = 12 + np.arange(30) % 25
    rows = [f"u{n},Rome,{hobbies[n]},{age[n]},{n}" for n in range(30)]
    log = [
        f"u{n},{100 * k + n},{('view', 'buy')[k % 2]},{('hat', 'shoe')[(k + n) % 2]}"
        for n in range(30)
        for k in range(9)
    ]
    shown = [
        f"u{n},{('x1', 'x2')[(k + n) % 2]},{350 * k + 200},{int(rng.random() < 0.4)},p"
        for n in range(30)
        for k in range(10)
    ]
    files = {
        "users.csv": "\n".join(["id,city,hobbies,age,income", *rows]) + "\n",
        "items.csv": FILES["items.csv"],
        "log-1.csv": "\n".join(["who,at,what,kind", *log]) + "\n",
        "shown.csv": "\n".join(["who,sku,at,clicked,page", *shown]) + "\n",
    }
    dataset = make_dataset(tmp_path, SCHEMA, files)
    run = ensure(config_of(dataset, "base+mail"), dataset, tmp_path / "runs")
    done = mail("export", run.folder, tmp_path / "model", "--with-users", "--data-dir", tmp_path / "data")
    assert done.exit_code == 0, done.output
    told = json.loads((tmp_path / "model" / "signature.json").read_text())
    inputs = told["signatures"]["serving_default"]["inputs"]
    assert inputs["user_hobbies"]["shape"] == ["U", 3]
    assert inputs["user_age"]["shape"] == ["U"]
    user, time = (dataset.column("test", name) for name in ("user", "time"))
    number = np.array([int(name[1:]) for name in dataset.column("users", "raw")[user]])
    hidden = drawn(dataset, run.config)
    past = [
        [] if h else [e.split(",") for e in log if e.startswith(f"u{n},") and int(e.split(",")[1]) < t]
        for n, t, h in zip(number, time, hidden, strict=True)
    ]
    lists = np.full((len(user), 3), "", object)
    for row, n in enumerate(number):
        has = hobbies[n].split("|")[::-1]
        lists[row, 3 - len(has) :] = has
    request: Request = {
        "user": np.array([f"u{n}" for n in number], object),
        "user_city": np.full(len(user), "Rome", object),
        "user_hobbies": lists,
        "user_age": np.digitize(age[number], (18, 30)),
        "user_income": np.digitize(number, dataset.manifest["mapping"]["edges"]["income"]),
        "history_kind": np.full((len(user), 9), "", object),
        "history_action": np.full((len(user), 9), "", object),
        "context_page": np.full(len(user), "p", object),
        "context_hour": time // 3600 % 24,
        "context_weekday": time // 86400 % 7,
        "item": dataset.column("items", "raw")[dataset.column("test", "item")][:, None],
    }
    for row, steps in enumerate(past):
        for place, (_, _, action, kind) in enumerate(steps):
            request["history_kind"][row, place], request["history_action"][row, place] = kind, action
    by_id = {name: value for name, value in request.items() if name == "user" or not name.startswith("user_")}
    trained = np.load(run.folder / "predictions.npy")[:, None]
    assert np.ptp(trained) > 0.001
    model = tmp_path / "model"
    answer = ask({"a": (model, "serving_default", request), "b": (model, "known_users", by_id)}, tmp_path)
    close(answer["a"]["click"], trained)
    close(answer["b"]["click"], trained)
    asked = pd.DataFrame({"user": request["user"], "item": request["item"][:, 0], "time": time, "page": "p"})
    asked = asked.assign(hour=request["context_hour"], weekday=request["context_weekday"])
    asked.to_csv(tmp_path / "in.csv", index=False)
    done = score(run, tmp_path / "in.csv", tmp_path / "out.csv", tmp_path / "data")
    assert done.exit_code == 0, done.output
    close(pd.read_csv(tmp_path / "out.csv")["score"].to_numpy()[:, None], trained)
    asked.iloc[:1].assign(user="stranger").to_csv(tmp_path / "in.csv", index=False)
    assert refused(score(run, tmp_path / "in.csv", tmp_path / "new.csv", tmp_path / "data")) == (
        f"{tmp_path / 'in.csv'}: row 1: column 'user' holds 'stranger'. Expected a user of the dataset 'mine'. Leave "
        "such rows out, since a file cannot hold the values of hobbies."
    )
