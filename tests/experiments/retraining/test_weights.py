"""Weights and moments of a continued run: those of known ids are kept."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

from mailcli.config import RunConfig, make_config
from mailcli.data.dataset import Dataset
from mailcli.data.numbering import RenumberedDataset, current_numbering, extend_numbering
from mailcli.errors import MailError
from mailcli.models.embedding import FeatureEmbedding
from mailcli.models.factory import make_model
from mailcli.models.step import make_step
from mailcli.runs.folder import RunFolder
from mailcli.runs.opening import open_run
from mailcli.runs.variable_files import StoredVariable
from mailcli.training.warm_start import WarmStart, _checked, _VariableExpander
from tests.helpers.models import mail_config
from tests.helpers.retraining import PARENT, SETTINGS


def test_rows_grow_where_ids_do(tiny: Dataset) -> None:
    """Vocabularies of 2 and 3 values grow to 3 and 5; the rows of the actions come last."""
    schema = tiny.schema
    names = schema.vocabularies()
    sizes = dict.fromkeys(names, 4)
    old, new = FeatureEmbedding(schema, sizes, 2), FeatureEmbedding(schema, {**sizes, names[0]: 5, names[-1]: 7}, 2)
    expander = _VariableExpander(RunFolder(Path("run"), RunConfig("x")), old.layout, new.layout)

    def expand(value: NDArray, initial: NDArray) -> NDArray:
        variable = keras.Variable(initial)
        expander.expand(value.shape, iter([value]), variable)
        return np.asarray(variable)

    values = np.arange(old.rows, dtype=np.float32)
    expanded = expand(values, np.full(new.rows, -1.0, np.float32))
    middle, last = 4 * (len(names) - 2), len(names) * 4
    assert expanded.tolist() == [
        *range(4), -1, *range(4, 4 + middle), *range(4 + middle, last), -1, -1, -1, *range(last, old.rows),
    ]  # fmt: skip
    of_last = expand(np.ones((4, 3), np.float32), np.zeros((7, 3), np.float32))
    assert of_last.tolist() == [[1, 1, 1]] * 4 + [[0, 0, 0]] * 3
    of_pairs = expand(np.ones((4, 4), np.float32), np.zeros((5, 7), np.float32))
    assert of_pairs.tolist() == [[1, 1, 1, 1, 0, 0, 0]] * 4 + [[0] * 7]
    assert expand(np.ones((8, 3), np.float32), np.zeros((8, 3), np.float32)).tolist() == [[1, 1, 1]] * 8
    with pytest.raises(MailError) as error:
        expander.expand((8, 3), iter([]), SimpleNamespace(shape=(9, 3), path="dense/kernel"))
    assert error.value.message == (
        "run: its variable dense/kernel has the shape (8, 3), expected (9, 3): it does not grow with the ids. "
        "Train from scratch on this dataset instead."
    )


def test_a_parent_that_does_not_fit_is_refused(tiny: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    config = mail_config(None)
    model = make_model(tiny, config)
    step = make_step(model, config)
    start = WarmStart(RunFolder(Path("run"), config), tiny)
    start._layout = model.embedding.layout
    for weights, message in (
        ([np.zeros(1)] * 2, f"run: has 2 weights, but the new model has {len(model.weights)}."),
        (
            [np.asarray(weight) for weight in model.weights],
            f"run/checkpoints/best.optimizers.npz: holds 0 variables, expected {len(step.variables)}. Train the run again "
            "in another --runs folder.",
        ),
    ):
        start._weights = weights
        monkeypatch.setattr("mailcli.training.warm_start.open_variables", lambda _: nullcontext([]))
        with pytest.raises(MailError) as error:
            start.initialize(model, step)
        assert error.value.message == message


@pytest.mark.parametrize(("dtype", "value"), [("float64", 1.0), ("float32", np.nan)])
def test_a_moment_of_another_type_or_not_finite_is_refused(dtype: str, value: float) -> None:
    run = RunFolder(Path("run"), RunConfig("x"))
    moment = cast(StoredVariable, SimpleNamespace(dtype=dtype, parts=iter([np.array([value])])))
    with pytest.raises(MailError) as error:
        list(_checked(run, moment, SimpleNamespace(path="m", dtype="float32")))
    assert error.value.message == (
        f"run/checkpoints/best.optimizers.npz: is damaged: m is {dtype}, expected finite float32. Train the run again in "
        "another --runs folder."
    )


@pytest.mark.slow
def test_old_rows_keep_weights_and_moments_and_new_ones_begin(home: Path) -> None:
    parent = open_run(Path(PARENT))
    first = Dataset(Path("data/day1"))
    second = RenumberedDataset(
        Path("data/tiny"), extend_numbering(current_numbering(first), Dataset(Path("data/tiny")))
    )
    before = make_model(first, parent.config)
    parent.restore(before)
    with np.load(parent.optimizers) as file:
        saved = {array.shape: array for array in (file[name] for name in file.files) if array.ndim == 2}
    config = make_config([{**SETTINGS, "data": "tiny", "learning_rate": 0.5}])
    warm_start = WarmStart(parent, first)
    warm_start.load()
    fresh = make_model(second, config).embedding.table.numpy()
    model = make_model(second, config)
    step = make_step(model, config)
    warm_start.initialize(model, step)
    old, new = before.embedding, model.embedding
    table, moments = new.table.numpy(), [v.numpy() for v in step.variables if tuple(v.shape) == new.table.shape]
    assert len(moments) == 2
    known = np.zeros(new.rows, bool)
    for name in first.schema.vocabularies():
        values = current_numbering(second).values[name].tolist()
        for number, value in enumerate(first.column("vocabularies", name).tolist()):
            row, old_row = new.first_row[name] + 2 + values.index(value), old.first_row[name] + 2 + number
            assert (table[row] == old.table.numpy()[old_row]).all()
            known[row] = True
        known[new.first_row[name] : new.first_row[name] + 2] = True
    known[new.first_action_row :] = True
    assert (table[new.first_action_row :] == old.table.numpy()[old.first_action_row :]).all()
    assert (table[~known] == fresh[~known]).all()
    assert (~known).sum() == new.rows - old.rows > 50
    assert all((moment[~known] == 0).all() for moment in moments)
    saved_moment = saved[tuple(old.table.shape)]
    assert any(np.abs(moment[known]).sum() == pytest.approx(np.abs(saved_moment).sum(), rel=1e-5) for moment in moments)
    assert all(np.abs(moment[known]).sum() > 0 for moment in moments)
    named = {variable.path: variable.numpy() for variable in step.variables}
    steps = (parent.result or {})["best_step"]
    assert [int(v) for path, v in named.items() if path.endswith("iteration")] == [steps, steps]
    assert sorted(float(v) for path, v in named.items() if path.endswith("learning_rate")) == pytest.approx(
        [0.001, 0.5]
    )
    for expected, weight in zip(before.ranker.weights, model.ranker.weights, strict=True):
        assert (expected.numpy() == weight.numpy()).all()
