"""The shared embedding table, by hand."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from mailcli.data.schema import Field, Schema
from mailcli.models.embedding import FeatureEmbedding


@pytest.fixture
def embedding() -> FeatureEmbedding:
    """Vocabularies u (5 ids), i (4 ids), g (6 ids), two actions; every row of the table is [its index, 1]."""
    schema = Schema(
        fields=(
            Field("u", "attributes", "u"),
            Field("i", "behavior", "i"),
            Field("g", "context", "g"),
            Field("i", "target", "i"),
            Field("gs", "target", "g", values=3),
        ),
        actions=("view", "buy"),
        dense=("price",),
        user="u",
    )
    layer = FeatureEmbedding(schema, {"u": 5, "i": 4, "g": 6}, dim=2)
    layer.build()
    # Rows: u 0-4, i 5-8, g 9-14, actions 15-18.
    layer.set_weights([np.stack([np.arange(19.0), np.ones(19)], axis=1)])
    return layer


def test_one_table_holds_all_vocabularies_and_actions(embedding: FeatureEmbedding) -> None:
    assert embedding.table.shape == (19, 2)


def test_xavier_scale_does_not_depend_on_the_vocabulary() -> None:
    schema = Schema(fields=(Field("u", "attributes", "u"),), actions=())
    layer = FeatureEmbedding(schema, {"u": 2000}, dim=32, init="xavier")
    layer.build()
    limit = (6 / (32 + 32)) ** 0.5
    assert 0.99 * limit < np.abs(layer.get_weights()[0]).max() <= limit


@pytest.mark.parametrize("init", ["glorot", "normal"])
def test_other_scales(init: str) -> None:
    """Two vocabularies of 1,000 and 10,000 ids and the actions, d = 32."""
    schema = Schema(
        (Field("u", "attributes", "u"), Field("i", "behavior", "i"), Field("i", "target", "i")), ("view",), (), "u"
    )
    layer = FeatureEmbedding(schema, {"u": 1000, "i": 10_000}, 32, init)
    layer.build()
    users, items, actions = np.split(layer.table.numpy(), [1000, 11_000])
    if init == "glorot":
        # √(6 / (n + 32)), the limits of keras.initializers.GlorotUniform for a table [n, 32].
        for rows, limit in ((users, 0.07625), (items, 0.024456), (actions, 0.41404)):
            assert 0.9 * limit < np.abs(rows).max() < limit
    else:
        assert users.std() == pytest.approx(0.01, rel=0.02)
        assert np.abs(actions).max() < 0.05


def test_embedding_of_a_batch_by_hand(embedding: FeatureEmbedding) -> None:
    features = embedding(
        {
            "attributes": tf.constant([[4], [0]]),
            "behaviors": tf.constant([[[0], [2]], [[0], [0]]]),
            "actions": tf.constant([[0, 3], [0, 0]]),
            "context": tf.constant([[5], [1]]),
            "target": tf.constant([[3, 2, 4, 0], [1, 1, 0, 0]]),
            "dense": tf.constant([[0.5], [1.5]]),
            "click": tf.constant([1.0, 0.0]),
            "user": tf.constant([7, 9]),
            "prepared": tf.constant([0.5, np.nan]),
        }
    )
    np.testing.assert_array_equal(features.attributes, [[[4, 1]], [[0, 1]]])
    # Item 2 is row 7, action 3 is row 18: v = [7 · 18, 1 · 1]; padding gives zeros.
    np.testing.assert_array_equal(features.behaviors, [[[0, 0], [126, 1]], [[0, 0], [0, 0]]])
    np.testing.assert_array_equal(features.behavior_mask, [[False, True], [False, False]])
    np.testing.assert_array_equal(features.behavior_sum, [[126, 1], [0, 0]])
    np.testing.assert_array_equal(features.action_table, [[0, 0], [16, 1], [17, 1], [18, 1], [17.5, 1]])
    np.testing.assert_array_equal(features.context, [[[14, 1]], [[10, 1]]])
    # Target item 3 is row 8; genres 2 and 4 are rows 11 and 13, their mean 12; one genre 1 is row 10.
    np.testing.assert_array_equal(features.target, [[[8, 1], [12, 1]], [[6, 1], [10, 1]]])
    np.testing.assert_array_equal(features.dense, [[0.5], [1.5]])
    np.testing.assert_array_equal(features.is_new, [False, True])
    np.testing.assert_array_equal(features.prepared, [0.5, np.nan])


def test_a_multi_valued_attribute_is_the_mean_of_its_values() -> None:
    fields = (
        Field("user", "attributes", "user"),
        Field("hobbies", "attributes", "hobby", values=3),
        Field("item", "behavior", "item"),
        Field("item", "target", "item"),
    )
    sizes = {"user": 4, "hobby": 6, "item": 3}
    embedding = FeatureEmbedding(Schema(fields, actions=("view",)), sizes, dim=2)
    embedding.build(None)
    table = embedding.table.numpy()
    batch = {
        # User 2 has the hobbies 3 and 5, user 3 an unknown one; 0 is padding.
        "attributes": tf.constant([[2, 3, 5, 0], [3, 1, 0, 0]]),
        "behaviors": tf.constant([[[2]], [[0]]]),
        "actions": tf.constant([[2], [0]]),
        "context": tf.zeros((2, 0), tf.int32),
        "target": tf.constant([[2], [2]]),
        "dense": tf.zeros((2, 0)),
        "user": tf.constant([0, 1]),
        "prepared": tf.fill([2], np.nan),
    }
    features = embedding(batch)
    # Users have rows 0 to 3 of the table, hobbies 4 to 9, items 10 to 12.
    expected = [[table[2], (table[7] + table[9]) / 2], [table[3], table[5]]]
    np.testing.assert_allclose(features.attributes, expected, rtol=1e-6)
    assert features.table_rows.numpy().tolist() == [[2, 7, 9, 0, 12], [3, 5, 0, 0, 12]]
