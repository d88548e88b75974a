"""examples/without_inputs.py: what its rankers do not see does not change their logits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from examples import without_inputs
from tests.helpers.features import some_features

INPUTS = ("attributes", "behavior_sum", "context", "target")
UNSEEN = {
    "NoContext": {"context"},
    "NoAttributes": {"attributes"},
    "NoAttributesNoContext": {"attributes", "context"},
    "ItemOnly": {"attributes", "context", "behavior_sum"},
}


@pytest.mark.parametrize("name", UNSEEN)
def test_an_input_that_is_hidden_changes_nothing(name: str) -> None:
    features = some_features(4)
    ranker: Any = getattr(without_inputs, name)(units=(8, 4))
    logits = ranker(features, training=False).numpy()
    for field in INPUTS:
        other = features._replace(**{field: getattr(features, field) + 1.0})
        same = np.array_equal(ranker(other, training=False).numpy(), logits)
        assert same == (field in UNSEEN[name]), field


def test_only_the_first_field_of_the_target_is_the_item() -> None:
    features = some_features(4)
    features = features._replace(target=tf.concat([features.target, features.target], axis=1))
    ranker = without_inputs.ItemOnly(units=(8, 4))
    logits = ranker(features, training=False).numpy()
    for field, same in ((0, False), (1, True)):
        shift = np.zeros((1, 2, 1), np.float32)
        shift[0, field] = 1
        other = ranker(features._replace(target=features.target + shift), training=False).numpy()
        assert np.array_equal(other, logits) == same
