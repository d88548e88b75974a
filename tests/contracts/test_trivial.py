"""One contract for every trivial row; a new file is tested automatically."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mailcli import plugins
from mailcli.config import PROTOCOLS, RunConfig, make_config
from mailcli.data.dataset import Dataset
from mailcli.data.protocol import View, views
from mailcli.experiments.cells import train_if_missing
from mailcli.metrics.auc import auc
from mailcli.runs.opening import open_run
from mailcli.trivial._base import TrivialModel

NAMES = plugins.names(plugins.TRIVIAL_ROWS)


@pytest.fixture
def graded(data_dir: Path) -> Dataset:
    """The dataset `tiny`, its actions taken for grades, and its categories for items."""
    return with_grades(Dataset(data_dir / "tiny"))


def with_grades(dataset: Dataset) -> Dataset:
    grades = tuple(str(number) for number in range(1, len(dataset.schema.actions) + 1))
    dataset.schema = replace(dataset.schema, actions=grades)
    return dataset


def config_of(name: str, protocol: str = "strict") -> RunConfig:
    return make_config([{"data": "tiny", "history": 20, "ranker": name, "protocol": protocol}])


def scores_of(name: str, dataset: Dataset, splits: dict[str, View]) -> NDArray[np.float64]:
    row = plugins.load(plugins.TRIVIAL_ROWS, name)()
    row.fit(dataset, splits["train"])
    scores: NDArray[np.float64] = row.score(dataset, splits["test"])
    return scores


class _Watched(Dataset):
    """A dataset whose columns are changed where no trivial row may look."""

    def __init__(self, folder: Path, splits: dict[str, View]) -> None:
        self.read: set[str] = set()
        super().__init__(folder)
        train = splits["train"]
        user, end = (Dataset.column(self, "train", name)[train.rows] for name in ("user", "history_end"))
        seen = np.zeros(self.counts["behaviors"], bool)
        for of, until in zip(user.tolist(), end.tolist(), strict=True):
            seen[self.offsets[of] : until] |= not train.new[of]
        impressions = set(zip(user.tolist(), Dataset.column(self, "train", "time")[train.rows].tolist(), strict=True))
        of_behavior = np.repeat(np.arange(self.counts["users"]), np.diff(self.offsets)).tolist()
        times = Dataset.column(self, "behaviors", "time").tolist()
        itself = [pair in impressions and not train.new[pair[0]] for pair in zip(of_behavior, times, strict=True)]
        unused = np.ones(self.counts["train"], bool)
        unused[train.rows] = False
        self.forbidden = {"behaviors/action": ~seen & ~np.array(itself), "train/click": unused}
        self.read.clear()

    def column(self, table: str, name: str) -> NDArray:
        key = f"{table}/{name}"
        self.read.add(key)
        values = super().column(table, name)
        if key not in getattr(self, "forbidden", {}):
            return values
        # The lowest id, and no click: another action, or another label, wherever it matters.
        return np.where(self.forbidden[key], np.min(values), values)


@pytest.mark.parametrize("name", NAMES)
class TestTrivialRow:
    def test_is_a_trivial_model(self, name: str) -> None:
        assert issubclass(plugins.load(plugins.TRIVIAL_ROWS, name), TrivialModel)

    @pytest.mark.parametrize("protocol", PROTOCOLS)
    def test_gives_a_probability_per_impression_and_the_same_again(
        self, name: str, protocol: str, graded: Dataset
    ) -> None:
        splits = views(graded, config_of(name, protocol))
        scores = scores_of(name, graded, splits)
        assert scores.shape == (graded.counts["test"],)
        assert ((scores > 0) & (scores < 1)).all()
        assert len(np.unique(scores.astype(np.float32))) > 10
        np.testing.assert_array_equal(scores, scores_of(name, graded, splits))

    @pytest.mark.parametrize("protocol", PROTOCOLS)
    def test_uses_nothing_but_training_impressions_and_the_behaviors_before_them(
        self, name: str, protocol: str, graded: Dataset
    ) -> None:
        splits = views(graded, config_of(name, protocol))
        watched: Any = with_grades(_Watched(graded.folder, splits))
        assert all(mask.any() for mask in watched.forbidden.values() if protocol == "strict")
        np.testing.assert_array_equal(scores_of(name, watched, splits), scores_of(name, graded, splits))
        # Labels, times and histories of the test split are not read, nor anything of validation.
        context = {f"test/{field.name}" for field in graded.schema.group("context")}
        assert {key for key in watched.read if key.startswith("test/")} <= {"test/user", "test/item", *context}
        assert not any(key.startswith("validation/") for key in watched.read)

    def test_does_not_know_who_a_user_with_a_hidden_id_is(self, name: str, graded: Dataset) -> None:
        splits = views(graded, config_of(name))
        user, item = (np.asarray(graded.column("test", key)) for key in ("user", "item"))
        attributes = [field.name for field in graded.schema.group("attributes") if field.name != "user"]
        keys = [graded.column("users", key)[user] for key in attributes] + [item]
        keys += [np.asarray(graded.column("test", field.name)) for field in graded.schema.group("context")]
        alike: dict[tuple[int, ...], list[float]] = {}
        for is_hidden, key, score in zip(
            splits["test"].anonymous[user],
            zip(*keys, strict=True),
            scores_of(name, graded, splits),
            strict=True,
        ):
            if is_hidden:
                alike.setdefault(key, []).append(float(score))
        assert any(len(scores) > 1 for scores in alike.values())
        assert all(max(scores) - min(scores) < 1e-12 for scores in alike.values())

    def test_leaves_a_run_like_that_of_any_cell(self, name: str, graded: Dataset, tmp_path: Path) -> None:
        run = train_if_missing(config_of(name), graded, tmp_path)
        assert run.folder == tmp_path / "tiny" / "strict" / f"{name}+none" / "seed-0"
        assert {path.name for path in run.folder.iterdir()} == {
            *("config.toml", "environment.json", "history.jsonl", "checkpoints", "predictions.npy", "result.json"),
            "SHA256SUMS",
        }
        scores, result = np.load(run.folder / "predictions.npy"), run.result or {}
        assert scores.dtype == np.float32
        assert result["test"]["all"]["AUC"] == auc(graded.column("test", "click"), scores)
        assert set(result["test"]) >= {"new", "old", "all"}
        assert set(result["validation"]) >= {"new", "old", "all"}
        assert open_run(run.folder).config == run.config
        assert run.environment["gpus"] == 0
        cost = run.cost
        assert set(cost) == {"training_seconds", "scoring_microseconds"}
        assert 0 <= cost["training_seconds"] <= run.environment["seconds"]
        before = (run.folder / "result.json").stat().st_mtime_ns
        assert (train_if_missing(config_of(name), graded, tmp_path).folder / "result.json").stat().st_mtime_ns == before
        again = train_if_missing(config_of(name), graded, tmp_path / "again")
        for file in ("result.json", "predictions.npy"):
            assert (again.folder / file).read_bytes() == (run.folder / file).read_bytes()


def test_no_trivial_row_loads_tensorflow(data_dir: Path, tmp_path: Path) -> None:
    names = [name for name in NAMES if "grade" not in name]
    code = (
        "import sys\nfrom mailcli.cli import main\n"
        f"try: main(['compare', '--rows', {','.join(names)!r}, '--seeds', '1', '--data-dir', {str(data_dir)!r}, "
        "'--format', 'json'])\nexcept SystemExit as end: assert end.code == 0\n"
        "assert 'tensorflow' not in sys.modules\n"
        "try: main(['evaluate', '--data-dir', " + repr(str(data_dir)) + ", '--bootstrap', '40', '--format', 'json'])\n"
        "except SystemExit as end: assert end.code == 0\nassert 'tensorflow' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    compared, end = json.JSONDecoder().raw_decode(done.stdout)
    evaluated = json.loads(done.stdout[end:])
    means = [
        {(record["users"], record["row"], record["metric"]): record["mean"] for record in table["results"]}
        for table in (compared[0], evaluated[0])
    ]
    assert means[0] == means[1]
    assert {row for _, row, _ in means[0]} == set(names)
    assert all(record["trivial"] for record in compared[0]["results"])
