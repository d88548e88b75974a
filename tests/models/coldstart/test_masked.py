"""Row masks: which impressions are masked in training, and what the model then sees."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from mailcli.config import make_config
from mailcli.data.batches import Batches
from mailcli.data.dataset import Dataset
from mailcli.data.protocol import views
from mailcli.models.batch_spec import to_tensors
from mailcli.models.coldstart import masked
from mailcli.models.contracts import ColdStartMethod
from mailcli.models.factory import make_model
from mailcli.models.two_tower import TwoTower
from tests.helpers.features import some_features, spec
from tests.helpers.models import SHAPE

#: The row of UNKNOWN in the vocabulary of user ids, which is the first of the table.
UNKNOWN_USER = 1
ROWS, N_V = 6000, 9


def long_batch(length: int = N_V) -> dict[str, Any]:
    """Users 2, 3, ... whose behaviors have the categories 1, 2, ... from the oldest to the latest."""
    steps = np.maximum(np.arange(1, N_V + 1) - (N_V - length), 0).astype(np.int32)
    steps = np.tile(steps, (ROWS, 1))
    users = np.arange(2, ROWS + 2, dtype=np.int32)
    return {
        "attributes": tf.constant(np.stack([users, np.full(ROWS, 3, np.int32)], axis=1)),
        "behaviors": tf.constant(steps[:, :, None]),
        "actions": tf.constant((steps > 0).astype(np.int32)),
        "click": tf.zeros(ROWS),
    }


def method(**options: Any) -> masked.ColdStart:
    made = masked.ColdStart(**options)
    made.build_for(spec())
    return made


def test_id_and_history_are_hidden_together_at_the_given_rate() -> None:
    batch = method(rate=0.3).mask_batch(long_batch())
    unknown = batch["attributes"].numpy()[:, 0] == 1
    empty = ~batch["actions"].numpy().any(axis=1)
    assert unknown.mean() == pytest.approx(0.3, abs=0.02)
    np.testing.assert_array_equal(unknown, empty)
    assert not batch["behaviors"].numpy()[empty].any()
    full = long_batch()
    for name in ("attributes", "behaviors", "actions"):
        np.testing.assert_array_equal(batch[name].numpy()[~empty], full[name].numpy()[~empty])
    np.testing.assert_array_equal(batch["attributes"].numpy()[:, 1], 3)


def test_every_step_masks_other_rows() -> None:
    made, batch = method(), long_batch()
    first, second = (made.mask_batch(batch)["attributes"].numpy()[:, 0] == 1 for _ in range(2))
    # Independent draws agree on half of the rows.
    assert np.mean(first == second) == pytest.approx(0.5, abs=0.03)


def test_prefixes_are_uniform_from_nothing_to_all() -> None:
    batch = method(rate=0.0, prefix=True).mask_batch(long_batch(length=4))
    steps = batch["behaviors"].numpy()[:, :, 0]
    kept = (steps > 0).sum(axis=1)
    np.testing.assert_allclose(np.bincount(kept) / ROWS, [0.2] * 5, atol=0.02)
    for count in range(5):
        assert (steps[kept == count] == [0] * (N_V - count) + list(range(1, count + 1))).all()
    np.testing.assert_array_equal(batch["attributes"].numpy(), long_batch()["attributes"].numpy())


def test_the_rate_stays_with_prefixes() -> None:
    batch = method(rate=0.5, prefix=True).mask_batch(long_batch())
    unknown = batch["attributes"].numpy()[:, 0] == 1
    kept = (batch["actions"].numpy() > 0).sum(axis=1)
    assert unknown.mean() == pytest.approx(0.5, abs=0.02)
    assert not kept[unknown].any()
    np.testing.assert_allclose(np.bincount(kept[~unknown]) / np.sum(~unknown), [0.1] * 10, atol=0.02)


def test_nothing_is_hidden_at_inference() -> None:
    features = some_features(8, new=[3])
    assert method().complete(features) is features


@pytest.mark.parametrize("rate", [1.0, -0.1])
def test_the_rate_is_a_share(rate: float) -> None:
    with pytest.raises(ValueError, match=f"`rate` should be at least 0 and below 1. Received: {rate}"):
        masked.ColdStart(rate=rate, prefix=True)


def test_what_masks_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="`rate` should be above 0 unless `prefix` is true. Received: rate=0.0"):
        masked.ColdStart(rate=0.0)


@pytest.fixture(params=["base", "din", "dmr", "deepfm"])
def model_and_batch(request: pytest.FixtureRequest, tiny: Dataset) -> tuple[TwoTower, dict[str, Any]]:
    """A model, and a batch of 64 impressions of users with behaviors."""
    cell = {"ranker": request.param, "ranker.units": "16,8", "cold_start": "masked"}
    config = make_config([{"data": "tiny", "ranker.dropout": "0", **SHAPE}, cell])
    view = views(tiny, config)["train"]
    batches = Batches(tiny, view, config.history, config.batch_size)
    old = view.rows[~view.new[tiny.column("train", "user")[view.rows]]]
    return make_model(tiny, config), to_tensors(batches.gather(old[:64]))


def as_new(batch: dict[str, Any]) -> dict[str, Any]:
    """The batch as if all of its users were new, and unknown by id; the user id is the first attribute."""
    attributes = batch["attributes"].numpy()
    attributes[:, 0] = 1
    empty = {name: tf.zeros_like(batch[name]) for name in ("behaviors", "actions")}
    return {**batch, **empty, "attributes": tf.constant(attributes)}


def test_a_ranker_sees_masked_rows_as_new_users_in_training_alone(
    model_and_batch: tuple[TwoTower, dict[str, Any]],
) -> None:
    """With everything that it reads: embeddings, masks and steps of DIN and DMR, and the wide part's ids."""
    model, batch = model_and_batch
    if hasattr(model.ranker, "wide"):
        # Initially zero, so that no id would matter.
        model.ranker.wide.weight.assign(np.random.default_rng(1).normal(size=model.ranker.wide.weight.shape))
    old, new = (model(x, training=False).numpy() for x in (batch, as_new(batch)))
    assert not np.isclose(old, new, atol=1e-7).all()
    drawn = np.random.default_rng(0).random(64) < 0.5
    model.cold_start._uniform = lambda batch: tf.constant(np.where(drawn, 0.1, 0.9), tf.float32)  # type: ignore[attr-defined]
    in_training = model.embedding(model.cold_start.mask_batch(batch))
    scores = np.asarray(model.ranker(in_training, training=False))
    np.testing.assert_allclose(scores[drawn], new[drawn], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(scores[~drawn], old[~drawn], rtol=1e-4, atol=1e-6)


def test_gradients_reach_unknown(model_and_batch: tuple[TwoTower, dict[str, Any]]) -> None:
    model, batch = model_and_batch
    assert not (batch["attributes"].numpy()[:, 0] == 1).any()
    with tf.GradientTape(persistent=True) as tape:
        masked_loss = tf.reduce_sum(model(batch, training=True) ** 2)
        plain_loss = tf.reduce_sum(model(batch, training=False) ** 2)
    rows = {}
    for name, loss in (("masked", masked_loss), ("plain", plain_loss)):
        gradient = tf.convert_to_tensor(tape.gradient(loss, model.embedding.table.value)).numpy()
        rows[name] = set(np.flatnonzero(np.abs(gradient).sum(axis=1)))
    assert model.embedding.first_row["user"] == 0
    assert UNKNOWN_USER in rows["masked"]
    assert UNKNOWN_USER not in rows["plain"]


def test_only_methods_trained_with_the_click_loss_may_mask(tiny: Dataset) -> None:
    class TwoStage(masked.ColdStart):
        two_stage = True

    class CoTrained(masked.ColdStart):
        @property
        def co_trained(self) -> bool:
            return True

    model = make_model(tiny, make_config([{"data": "tiny", **SHAPE}]))
    own: ColdStartMethod
    for own in (TwoStage(), CoTrained()):
        with pytest.raises(RuntimeError, match="only methods that are trained with the click loss may define"):
            TwoTower(model.embedding, model.ranker, own, history=10)
