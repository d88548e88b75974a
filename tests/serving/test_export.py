"""`mail export`: an exported model scores raw values as the trainer does, and its folder says how."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from mailcli.config import make_config
from mailcli.data.dataset import Dataset
from mailcli.errors import MailError
from mailcli.experiments.cells import train_if_missing
from mailcli.models.batch_spec import to_tensors
from mailcli.runs.folder import RunFolder
from mailcli.serving.description import example_request, first_distinct
from mailcli.serving.served_model import ServedModel, refuse_python
from mailcli.training.predictor import Predictor
from tests.helpers.command_line import error_line, mail
from tests.helpers.leakage_runs import replace_columns
from tests.helpers.serving import CELL, CELLS, MISSING, SMALL, RawRequests, assert_close, drawn_as_new
from tests.helpers.serving_requests import request_variants


@pytest.mark.parametrize("cell", CELLS)
def test_an_exported_model_scores_raw_values_as_the_trainer_scored_the_test_split(
    cell: str, runs: dict[str, RunFolder], answers: dict[str, dict[str, np.ndarray]], raw: RawRequests
) -> None:
    trained = np.load(runs[cell].folder / "predictions.npy")
    hidden = drawn_as_new(raw.dataset, runs[cell].config)
    is_truncated = raw.dataset.earlier_behaviors("test") > 5
    assert hidden.any()
    assert (is_truncated & ~hidden).any()
    assert np.ptp(trained) > 0.01
    outputs = answers[f"{cell} test"]
    assert list(outputs) == ["click"]
    assert_close(outputs["click"], trained[:, None])


def test_the_example_of_a_test_split_without_histories_has_an_empty_one(
    runs: dict[str, RunFolder], raw: RawRequests, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset, config = raw.dataset, runs[CELL].config
    served = ServedModel(Predictor.open(runs[CELL], dataset).model, dataset, config, with_users=False)
    replace_columns(monkeypatch, {"test/history_end": dataset.offsets[dataset.column("test", "user")]})
    request = example_request(dataset, config, served)
    assert {name: values for name, values in request.items() if name.startswith("history_")} == {
        "history_action": [[]],
        "history_brand": [[]],
        "history_cate": [[]],
    }


def test_one_user_may_be_asked_for_in_several_ways(answers: dict[str, dict[str, np.ndarray]]) -> None:
    scores = {name: outputs["click"] for name, outputs in answers.items() if "click" in outputs}
    assert scores["many"].shape == (1, 7)
    assert_close(scores["flat"].T, scores["many"])
    for name in ("features", "by id", "last five", "gaps"):
        assert_close(scores[name], scores["many"])
    assert_close(scores["new"], scores["empty"])
    assert_close(scores["missing"], scores["unknown"])
    assert_close(scores["by an unknown id"], scores["without attributes"])
    assert_close(scores["infinite prices"], scores["no price"])
    # Each of these differs from the user's own request.
    for name in ("empty", "unknown", "without attributes", "no price or brand", "no price"):
        assert np.abs(scores[name] - scores["many"]).max() > 1e-5, name
    # Unknown items are all the same.
    assert np.ptp(scores["unknown"]) < 1e-6
    assert scores["nobody"].shape == (0, 7)
    assert scores["nothing to rank"].shape == (1, 0)


def test_unknown_values_score_as_a_batch_of_unknown_ids(
    runs: dict[str, RunFolder], answers: dict[str, dict[str, np.ndarray]], tiny: Dataset, raw: RawRequests
) -> None:
    model = Predictor.open(runs[CELL], tiny).model
    request = request_variants(raw)["unknown"][1]
    actions = request["history_action"][0, -5:]
    # Days begin at 16:00 UTC.
    time = int(request["context_time"][0])
    clocks = {"hour": (time + 8 * 3600) // 3600 % 24, "weekday": (time - 1494000000) // 86400 % 7}
    clock_ids = [tiny.column("vocabularies", name).tolist().index(value) + 2 for name, value in clocks.items()]
    batch: Any = {
        "attributes": np.full((1, 9), 1, np.int32),
        "behaviors": np.full((1, 5, 2), 1, np.int32),
        "actions": np.array([[{"pv": 2, "cart": 3, "fav": 4, "buy": 5}[action] for action in actions]], np.int32),
        "context": np.array([[1, *clock_ids]], np.int32),
        "target": np.full((1, 5), 1, np.int32),
        "dense": np.zeros((1, 1), np.float32),
        "user": np.zeros(1, np.int32),
        "prepared": np.full(1, np.nan, np.float32),
    }
    trained = model.probabilities(to_tensors(batch)).numpy()
    assert_close(answers["unknown"]["click"][:, :1], trained)


def test_the_folder_tells_how_to_ask(exported: dict[str, Path], answers: dict[str, dict[str, np.ndarray]]) -> None:
    folder = exported["base+mail"]
    assert sorted(path.name for path in folder.iterdir()) == ["1", "README.md", "request.json", "signature.json"]
    description = json.loads((folder / "signature.json").read_text())
    # TensorFlow Serving omits the name of a single output.
    assert_close(np.array(description["response"]["outputs"]), answers["example"]["click"])
    assert description["request"] == json.loads((folder / "request.json").read_text())
    inputs = description["signatures"]["serving_default"]["inputs"]
    assert inputs["user_age_level"] | {"known_values": 0} == {
        "dtype": "int64",
        "shape": ["U"],
        "field": "age_level",
        "meaning": "attribute of the user",
        "vocabulary": "age_level",
        "known_values": 0,
        "missing": MISSING,
    }
    assert inputs["history_brand"]["shape"] == ["U", "T"]
    assert inputs["history_action"]["dtype"] == inputs["context_pid"]["dtype"] == "string"
    assert inputs["item"]["shape"] == ["U", "N"]
    assert description["signatures"]["item_features"]["inputs"]["item_price"]["missing"] == "NaN"
    assert set(description["signatures"]["known_users"]["inputs"]) == {
        *(
            "user",
            "history_cate",
            "history_brand",
            "history_action",
            "context_pid",
            "context_time",
            "item",
        )
    }
    text = (folder / "README.md").read_text()
    assert text.startswith("# base+mail: base+mail-base on tiny (simulated)\n")
    assert "| `user_age_level` | int64 | [U] | attribute of the user |" in text
    assert (folder / "request.json").read_text().strip() in text


def test_the_example_of_the_readme_runs(
    exported: dict[str, Path],
    answers: dict[str, dict[str, np.ndarray]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It names every input of its signature, and prints the scores that it says."""
    folder = exported[CELL]
    text = (folder / "README.md").read_text()
    (code,) = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    monkeypatch.chdir(folder)
    exec(code, {})
    printed = json.loads(capsys.readouterr().out)
    assert_close(np.array(printed), answers["example"]["click"])
    assert_close(np.array(json.loads(code.splitlines()[-1].partition("# about ")[2])), answers["example"]["click"])
    inputs = json.loads((folder / "signature.json").read_text())["signatures"]["serving_default"]["inputs"]
    for name, input_ in inputs.items():
        shape = ", ".join(map(str, input_["shape"]))
        assert re.search(rf"^    {name}=tf\.constant\(.*, tf\.{input_['dtype']}\),  # \[{shape}\]$", code, re.MULTILINE)
        assert f"| `{name}` | {input_['dtype']} | [{shape}] |" in text


def test_the_readme_says_how_a_request_can_go_wrong(exported: dict[str, Path], tiny: Dataset) -> None:
    time = json.loads((exported[CELL] / "signature.json").read_text())["signatures"]["new_users"]["inputs"][
        "context_time"
    ]
    earliest, latest = time["earliest"], time["latest"]
    # Nothing is missing or in milliseconds, minutes or days.
    assert "missing" not in time
    assert 1_494_000_000 / 60 < earliest < 1_494_000_000 < latest < 1_494_000_000_000
    text = " ".join((exported[CELL] / "README.md").read_text().split())
    for sentence in (
        f"`context_time` is in seconds since 1970, from {earliest} to {latest}. The model computes hour and weekday from "
        "it, in the log's local time. A time in another unit, such as milliseconds, is refused with an error that names "
        "its row, and so is a missing one.",
        "A value that does not occur in the training split counts as unknown. The signature `unknown_values` says which "
        "attributes and context values of a request do; `mail score` counts those of a file.",
        "`user_pvalue_level`, `user_shopping_level` (whether a value is given, but does not occur in the training split), "
        "bool [U].",
        "It is the int64 -9223372036854775808, an empty string, or a float NaN.",
        "Places whose action is none of pv, cart, fav, buy are skipped; of the others, the last 5 count.",
    ):
        assert sentence in text


def test_a_folder_that_exists_is_left_alone(runs: dict[str, RunFolder], data_dir: Path, tmp_path: Path) -> None:
    existing = tmp_path / "model"
    existing.mkdir()
    run = runs[CELL].folder
    assert error_line(mail("export", run, existing, "--data-dir", data_dir)) == (
        f"{existing}: exists already. Expected the name of a new folder; choose another, or delete it."
    )
    assert list(existing.iterdir()) == []
    (tmp_path / "file").write_text("")
    error = error_line(mail("export", run, tmp_path / "file" / "model", "--data-dir", data_dir))
    assert error.startswith(f"{tmp_path / 'file'}: ")


def test_a_folder_that_cannot_be_written_is_not_told_as_taken(
    runs: dict[str, RunFolder], data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch = Path.touch

    def refuse(self: Path) -> None:
        # As in /proc.
        if self.name == ".model.lock":
            raise FileNotFoundError(2, "No such file or directory", str(self))
        touch(self)

    monkeypatch.setattr(Path, "touch", refuse)
    assert error_line(mail("export", runs[CELL].folder, tmp_path / "model", "--data-dir", data_dir)) == (
        f"{tmp_path / 'model'}: No such file or directory. Check the path and its permissions, or choose another."
    )
    assert list(tmp_path.iterdir()) == []


def test_a_graph_that_calls_python_is_refused() -> None:
    def doubled(x: tf.Tensor) -> tf.Tensor:
        return tf.numpy_function(lambda x: 2 * x, [x], tf.float32)

    inside = tf.function(doubled)
    graph = tf.function(lambda x: inside(x) + 1).get_concrete_function(tf.TensorSpec([], tf.float32))
    with pytest.raises(MailError, match="calls Python code"):
        refuse_python(graph)
    refuse_python(tf.function(lambda x: x + 1).get_concrete_function(tf.TensorSpec([], tf.float32)))


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
    run = train_if_missing(config, tiny, tmp_path / "runs")
    error = error_line(mail("export", run.folder, "model", "--data-dir", data_dir))
    assert error == (
        "the model calls Python code (tf.py_function or tf.numpy_function), which TensorFlow alone cannot run. "
        "Expected TensorFlow operations."
    )
    assert not (tmp_path / "model").exists()
    assert not list(tmp_path.glob("*partial*"))


class _ReadSoFar(np.ndarray):
    """An array that knows up to where it was read."""

    end = 0

    def __getitem__(self, part: slice) -> np.ndarray:  # type: ignore[override]
        self.end = part.stop
        return self.view(np.ndarray)[part]


def test_candidates_of_the_example_are_looked_for_only_until_they_are_found() -> None:
    items = np.array([5] * 1500 + [3, 5, 8] + [7] * 100_000)
    assert first_distinct(items, 2).tolist() == [5, 3]
    assert first_distinct(items[:1500], 2).tolist() == [5]
    read = items.view(_ReadSoFar)
    assert first_distinct(read, 2).tolist() == [5, 3]
    assert read.end < 10_000


@pytest.mark.slow
def test_a_full_disk_keeps_nothing_of_a_model(
    runs: dict[str, RunFolder], data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise tf.errors.ResourceExhaustedError(None, None, "No space left on device")

    monkeypatch.setattr(tf.saved_model, "save", full)
    error = error_line(mail("export", runs[CELL].folder, tmp_path / "model", "--data-dir", data_dir))
    assert error == (
        f"{tmp_path / 'model'}: cannot be written (No space left on device). Nothing was written. Free some space and "
        "run the same command again."
    )
    assert list(tmp_path.iterdir()) == []
