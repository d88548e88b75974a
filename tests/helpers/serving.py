"""Requests to exported models, made of raw files with pandas, and a process that answers them without mailcli."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from click.testing import Result

from mailcli.config import RunConfig
from mailcli.data.dataset import Dataset
from mailcli.data.protocol import views
from mailcli.experiments.cells import resolve_config
from mailcli.runs.folder import RunFolder
from tests.helpers import leakage_truth
from tests.helpers.command_line import mail

#: A missing whole number, as given in signature.json.
MISSING = -9223372036854775808
SMALL = {"epochs": 1, "batch_size": 512, "embedding_dim": 4, "history": 5, "ranker.units": "8,4"}
SMALL_MAIL = {"cold_start.encoder_units": "8,8,8", "cold_start.decoder_units": "8,8"}
#: The cells that are always tested; slow tests cover the others.
CELLS = {"base+mail": SMALL_MAIL}
PROFILE = list(leakage_truth.PROFILE)
#: The cell that gets requests of all kinds.
CELL = "base+mail"
#: What a server has: TensorFlow, but neither this package nor Keras.
SERVER = """
import os, pickle, sys
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
sys.modules["mailcli"] = sys.modules["keras"] = None
import tensorflow as tf
requests = pickle.load(open(sys.argv[1], "rb"))
models, answers = {}, {}
for key, (folder, signature, request) in requests.items():
    if folder not in models:
        models[folder] = tf.saved_model.load(os.path.join(folder, "1"))
    graph = models[folder].signatures[signature]
    specs = graph.structured_input_signature[1]
    assert set(specs) == set(request), (set(specs), set(request))
    tensors = {name: tf.constant(value, specs[name].dtype) for name, value in request.items()}
    try:
        answers[key] = {name: tensor.numpy() for name, tensor in graph(**tensors).items()}
    except tf.errors.InvalidArgumentError as error:
        answers[key] = {"error": error.message}
pickle.dump(answers, open(sys.argv[1], "wb"))
"""

Request = dict[str, Any]
"""Input -> values."""


def score(run: RunFolder, file: Path, out: Path, data_dir: Path, *options: object) -> Result:
    """Run `mail score`."""
    return mail("score", run.folder, file, "-o", out, "--data-dir", data_dir, *options)


def run_models(requests: dict[str, tuple[Path, str, Request]], folder: Path) -> dict[str, dict[str, np.ndarray]]:
    """The answers of exported models, from a process that has only TensorFlow.

    Args:
        requests: by a key of your choice: the folder of a model, one of its signatures, a request.
        folder: an empty folder to work in.
    """
    path = folder / "requests.pickle"
    pickled = {key: (str(model), signature, request) for key, (model, signature, request) in requests.items()}
    path.write_bytes(pickle.dumps(pickled))
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    command = [sys.executable, "-c", SERVER, str(path)]
    result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    answers: dict[str, dict[str, np.ndarray]] = pickle.loads(path.read_bytes())
    return answers


class RawRequests:
    """Makes requests from Alimama's raw files, with pandas."""

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

    def request(self, impressions: pd.DataFrame, hidden: np.ndarray) -> Request:
        """A user for each impression, with one candidate; hidden users have no history."""
        request: Request = {"user": impressions["user"].to_numpy()}
        for name in PROFILE:
            values = self.profile[name].reindex(impressions["user"]).fillna(MISSING)
            request[f"user_{name}"] = values.to_numpy().astype(np.int64)
        rows = zip(impressions["user"], impressions["time"], hidden, strict=True)
        steps = [self._steps(int(user), int(time), bool(is_hidden)) for user, time, is_hidden in rows]
        longest = max(map(len, steps))
        for name in ("cate", "brand"):
            request[f"history_{name}"] = np.full((len(impressions), longest), MISSING)
        request["history_action"] = np.full((len(impressions), longest), "", object)
        for row, history in enumerate(steps):
            # Padded at the end here; padding may be anywhere.
            request["history_action"][row, : len(history)] = history["btag"]
            for name in ("cate", "brand"):
                request[f"history_{name}"][row, : len(history)] = history[name].fillna(MISSING).astype(np.int64)
        request |= {f"context_{name}": impressions[name].to_numpy() for name in ("pid", "time")}
        return {**request, "item": impressions["item"].to_numpy()[:, None]}

    def _steps(self, user: int, time: int, is_hidden: bool) -> pd.DataFrame:
        log = self.log.get(user)
        none = pd.DataFrame({"cate": [], "brand": [], "btag": []})
        return none if log is None or is_hidden else log[log["time_stamp"] < time]

    def features(self, items: np.ndarray) -> Request:
        """The features of items [U, N], as in the item table."""
        request: Request = {"item": items, "item_price": self.ads["price"].reindex(items.ravel()).to_numpy()}
        for name in ("cate", "brand", "campaign", "customer"):
            values = self.ads[name].reindex(items.ravel()).fillna(MISSING).to_numpy()
            request[f"item_{name}"] = values.astype(np.int64)
        return {name: values.reshape(items.shape) for name, values in request.items()}


def without_history(request: Request) -> Request:
    return {name: values for name, values in request.items() if not name.startswith("history_")}


def config_of(dataset: Dataset, cell: str, **changes: Any) -> RunConfig:
    """The config of a small run of a cell."""
    ranker, cold_start = cell.split("+")
    settings = {**SMALL, **CELLS.get(cell, {}), **changes}
    return resolve_config([{"ranker": ranker, "cold_start": cold_start, **settings}], dataset.name, dataset.history)


def drawn_as_new(dataset: Dataset, config: RunConfig) -> np.ndarray:
    """[test impressions], whether the run drew the user as new."""
    is_new: np.ndarray = views(dataset, config)["test"].new[dataset.column("test", "user")]
    return is_new


def assert_close(a: np.ndarray, b: np.ndarray) -> None:
    assert a.shape == b.shape
    assert np.abs(a.astype(np.float64) - b).max(initial=0) < 1e-6


def assertion_text(message: str) -> str:
    """The text of a failed assertion in a graph, without where it was defined."""
    return message.split("assertion failed: ")[1].splitlines()[0].replace("\\'", "'").strip()
