"""A table in mapped files: its rows are those of a plain array, and a run's files those of a table in memory."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from mailcli.config import RunConfig, make_config
from mailcli.data.dataset import Dataset
from mailcli.errors import MailError
from mailcli.experiments.cells import train_if_missing
from mailcli.models import distribute
from mailcli.models.factory import make_model
from mailcli.models.table.initializer import initial_rows
from mailcli.models.table.mapped import MappedTable
from mailcli.serving.export import export
from mailcli.training.predictor import Predictor
from tests.helpers.command_line import mail
from tests.helpers.models import AXES, QUICK
from tests.helpers.runs import Killed, Trained, kill_in_step, outcome

MEMORY = "MAIL_TABLE_MEMORY"
#: Batches of 16 impressions with 5 steps have at most 438 of 1,840 rows. 461 rows of 8 numbers with moments take 57,625
#: bytes in memory, and the slots of all rows 7,360. The table alone has 58,880.
SMALL = {"data": "tiny", "embedding_dim": 8, "history": 5, "batch_size": 16, "epochs": 1}


def cell(ranker: str = "base", method: str = "none", **changes: object) -> RunConfig:
    options = {**QUICK.get(ranker, {}), **QUICK.get(method, {})}
    return make_config([SMALL, {"ranker": ranker, "cold_start": method}, options, changes])


#: Logistic regression, the quickest one. The slow suite has all rankers and methods, also those that are trained with the
#: ranker by a second optimizer.
QUICK_AXES = [("emblr", "none")]


class TestRows:
    """MappedTable against an array."""

    @settings(max_examples=30, deadline=None)
    @given(st.lists(st.tuples(st.sets(st.integers(0, 19), min_size=1, max_size=6), st.booleans()), max_size=25))
    def test_rows_are_those_of_an_array(
        self, tmp_path_factory: pytest.TempPathFactory, calls: list[tuple[set[int], bool]]
    ) -> None:
        """Six of twenty rows fit; whatever is read and changed, every row has its last value."""
        expected, expected_steps = np.zeros((20, 3), np.float32), np.zeros(20, np.int32)
        table = MappedTable(20, 6, tmp_path_factory.mktemp("rows"))
        values, steps = keras.Variable(np.zeros((6, 3), np.float32)), keras.Variable(np.zeros(6, np.int32))
        mapped, mapped_steps = table.add(values), table.add(steps)
        for number, (some, only_read) in enumerate(calls, start=1):
            rows = np.array(sorted(some, key=lambda row: (row * 7) % 20))
            if only_read:
                assert np.array_equal(mapped.gather(tf.constant(rows)), expected[rows])
                continue
            slots = table.load(rows)
            assert len(set(slots.tolist())) == len(rows)
            assert np.array_equal(np.asarray(values)[slots], expected[rows])
            assert np.array_equal(np.asarray(steps)[slots], expected_steps[rows])
            expected[rows] = np.full((len(rows), 3), number, np.float32) + rows[:, None]
            expected_steps[rows] = number
            values.value.scatter_update(tf.IndexedSlices(expected[rows], slots))
            steps.value.scatter_update(tf.IndexedSlices(expected_steps[rows], slots))
        assert np.array_equal(np.asarray(mapped), expected)
        assert np.array_equal(np.asarray(mapped_steps), expected_steps)

    def test_the_rows_that_were_used_last_stay(self, tmp_path: Path) -> None:
        """Of four slots one is needed: that of row 2 or 3. A row that is taken out comes back in another slot."""
        table = MappedTable(10, 4, tmp_path)
        table.add(keras.Variable(np.zeros((4, 2), np.float32)))
        for rows in ([0, 1], [2, 3]):
            table.load(np.array(rows))
        used_last = table.load(np.array([0, 1]))
        new = table.load(np.array([7]))
        assert set(new) <= {2, 3}
        assert table.load(np.array([0, 1])).tolist() == used_last.tolist() == [0, 1]

    def test_more_rows_than_fit(self, tmp_path: Path) -> None:
        table = MappedTable(10, 4, tmp_path)
        with pytest.raises(ValueError, match=r"^a batch with more rows than the 4 that fit in --table-memory$"):
            table.load(np.arange(5))

    def test_changes_from_outside_are_seen(self, tmp_path: Path) -> None:
        """A row in memory is read anew after it was written in the file."""
        table = MappedTable(10, 4, tmp_path)
        resident = keras.Variable(np.zeros((4, 2), np.float32))
        mapped = table.add(resident)
        table.load(np.array([3, 4]))
        mapped.write(np.array([4, 9]), np.array([[1, 2], [3, 4]], np.float32))
        slots = table.load(np.array([9, 4, 3]))
        assert np.asarray(resident)[slots].tolist() == [[3, 4], [1, 2], [0, 0]]

    def test_no_file_is_left(self, tmp_path: Path) -> None:
        MappedTable(10, 4, tmp_path).add(keras.Variable(np.zeros((4, 2), np.float32)))
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="only Linux reserves space")
    def test_a_full_disk_is_found_out_at_once(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def full(*_: object) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(os, "posix_fallocate", full)
        table = MappedTable(1_000_000, 4, tmp_path)
        with pytest.raises(MailError) as error:
            table.add(keras.Variable(np.zeros((4, 2), np.float32)))
        assert error.value.message == (
            f"{tmp_path}: 8 MB for a part of the embedding table, which does not fit in memory, cannot be "
            "reserved (No space left on device). Free some space, or use another folder."
        )


@pytest.mark.parametrize(
    "initializer", [keras.initializers.RandomNormal(stddev=0.01), keras.initializers.RandomUniform(-0.3, 0.3)]
)
@pytest.mark.parametrize(("start", "size"), [(0, 7), (1, 1), (5, 90), (93, 7)])
def test_rows_of_an_initializer_are_those_of_the_whole_table(initializer: object, start: int, size: int) -> None:
    """With 3 numbers per row, rows begin anywhere in a block of Philox."""
    whole = np.asarray(initializer((100, 3)))  # type: ignore[operator]
    assert np.array_equal(np.asarray(initial_rows(initializer, 3, start, size)), whole[start : start + size])


class TestRuns:
    """Runs with a table in mapped files."""

    @pytest.mark.parametrize(
        "init", ["normal", "glorot", *(pytest.param(name, marks=pytest.mark.slow) for name in ("xavier", "small"))]
    )
    def test_the_table_begins_as_in_memory(self, init: str, tiny: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
        config = cell(embedding_init=init)
        in_memory = np.asarray(make_model(tiny, config).embedding.whole_table)
        monkeypatch.setenv(MEMORY, "65000")
        embedding = make_model(tiny, config).embedding
        assert embedding.table.shape[0] == 461
        assert np.array_equal(np.asarray(embedding.whole_table), in_memory)

    @pytest.mark.parametrize(
        ("ranker", "method"),
        [
            *QUICK_AXES,
            # ESMM needs conversions, which `tiny` does not have; its table is that of the others.
            *(pytest.param(*axis, marks=pytest.mark.slow) for axis in AXES if axis[0] != "esmm"),
        ],
    )
    def test_a_run_is_that_of_a_table_in_memory(
        self, ranker: str, method: str, tiny: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A kill, two hundred steps, a validation within the epoch and a test, with 461 of 1,840 rows in memory."""
        config = cell(ranker, method, eval_every=150)
        in_memory = train_if_missing(config, tiny, tmp_path / "in-memory")
        monkeypatch.setenv(MEMORY, "65000")
        with monkeypatch.context() as patch:
            # A checkpoint after each step takes longer than the step.
            kill_in_step(patch, 60)
            with pytest.raises(Killed):
                train_if_missing(config, tiny, tmp_path / "mapped", checkpoint_minutes=0)
        mapped = train_if_missing(config, tiny, tmp_path / "mapped")
        assert outcome(mapped) == outcome(in_memory)
        # Each reads the other's weights; for scoring, the table counts without its moments.
        batches = Predictor(mapped, tiny).batches()
        assert Predictor(in_memory, tiny).model.embedding.mapped is None
        scores = Predictor(mapped, tiny).scorer(batches, "scoring")
        monkeypatch.setenv(MEMORY, "50000")
        assert Predictor(in_memory, tiny).model.embedding.mapped is not None
        assert np.array_equal(Predictor(in_memory, tiny).scorer(batches, "scoring"), scores)

    @pytest.mark.slow
    def test_a_checkpoint_of_one_is_read_by_the_other(
        self, tiny: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        config = cell(embedding_init="behaviors")
        undisturbed = outcome(train_if_missing(config, tiny, tmp_path / "undisturbed"))
        for number, memory in ((40, None), (60, "65000"), (80, None)):
            with monkeypatch.context() as patch:
                kill_in_step(patch, number)
                if memory:
                    patch.setenv(MEMORY, memory)
                with pytest.raises(Killed):
                    train_if_missing(config, tiny, tmp_path / "changing", checkpoint_minutes=0)
        assert outcome(train_if_missing(config, tiny, tmp_path / "changing")) == undisturbed

    @pytest.mark.slow
    def test_a_saved_model_needs_all_rows(
        self, tiny: Dataset, trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run = trained(cell())
        monkeypatch.setenv(MEMORY, "50000")
        with pytest.raises(MailError) as error:
            export(run, tmp_path / "exported", tiny.folder.parent)
        assert error.value.message == (
            "1,840 embeddings do not fit in memory, but a SavedModel holds all. Export on a machine with more memory."
        )

    def test_several_replicas_are_refused(self, tiny: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(MEMORY, "65000")
        monkeypatch.setattr(distribute, "replica_count", lambda: 2)
        with pytest.raises(
            MailError, match=r"Several replicas need all of them in memory\. Expected 1 replica, or more"
        ):
            make_model(tiny, cell())

    def test_the_option_sets_the_memory(self, tiny: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(MEMORY, "1000000000")
        folders = ["--data", "tiny", "--data-dir", tiny.folder.parent, "--runs", tmp_path]
        result = mail("train", *folders, "--set", "embedding_dim=8", "--table-memory", "0.03MB")
        assert os.environ[MEMORY] == "30000"
        assert result.exit_code == 2
        assert "more than --table-memory. A batch may have 1,840 of them. Expected --table-memory 1MB or more." in (
            result.stderr
        )

    def test_an_environment_that_is_no_number_is_refused(self, tiny: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(MEMORY, "4GB")
        with pytest.raises(MailError) as error:
            make_model(tiny, cell())
        assert error.value.message == (
            "MAIL_TABLE_MEMORY is '4GB'. Expected a number of bytes; or use --table-memory 4GB."
        )

    @pytest.mark.parametrize(
        ("memory", "changes", "message"),
        [
            (
                "65000",
                {"optimizer": "adam"},
                r"optimizer = adam changes all of them in every step\. Expected sparse_adam\.",
            ),
            ("30000", {}, r"A batch may have 438 of them\. Expected --table-memory 1MB or more\."),
        ],
    )
    def test_what_it_cannot_do_is_refused(
        self,
        memory: str,
        changes: dict[str, str],
        message: str,
        tiny: Dataset,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setenv(MEMORY, memory)
        beginning = (
            r"^embedding_dim = 8: [\d,]+ embeddings with their moments take [\d.]+ MB, more than --table-memory\. "
        )
        with pytest.raises(MailError, match=f"{beginning}{message}$"):
            train_if_missing(cell(**changes), tiny, tmp_path)
        assert not list(tmp_path.rglob("config.toml"))
