"""Equal steps at the end of an empty history."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from mailcli.models.coldstart._virtual_steps import VirtualSteps, signature, signature_size
from tests.helpers.features import some_features, spec


def test_new_users_alone_are_changed() -> None:
    steps = VirtualSteps()
    steps.build_for(spec())
    steps.length.assign(3)
    features = some_features(4, new=[1])
    completed = steps(features, tf.constant([[5.0, 6.0]]))
    assert completed.behaviors[1].numpy().tolist() == [[0, 0], [5, 6], [5, 6], [5, 6]]
    assert completed.behavior_mask[1].numpy().tolist() == [False, True, True, True]
    for row in (0, 2, 3):
        np.testing.assert_array_equal(completed.behaviors[row], features.behaviors[row])


def test_the_id_is_left_out_of_the_description() -> None:
    features = some_features(2)
    np.testing.assert_array_equal(signature(features, 0), features.attributes.numpy()[:, 1:].reshape(2, -1))
    assert signature_size(spec()) == 4
    with pytest.raises(ValueError, match="needs user attributes other than the id"):
        signature_size(spec(n_a=1))
