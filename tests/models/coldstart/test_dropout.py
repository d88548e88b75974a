"""Histories are hidden in training, at the given rate."""

from __future__ import annotations

import numpy as np
import pytest

from mailcli.models.coldstart import dropout
from tests.helpers.features import some_features, spec


def test_histories_are_hidden_at_the_rate_while_training_alone() -> None:
    method = dropout.ColdStart(rate=0.3)
    method.build_for(spec())
    features = some_features(4000)
    assert method.complete(features) is features
    hidden = method.complete(features, training=True)
    share = hidden.is_new.numpy().mean()
    assert share == pytest.approx(0.3, abs=0.03)
    empty = hidden.is_new.numpy()
    for name in ("behaviors", "behavior_mask", "behavior_sum", "action_ids", "step_ids"):
        after, before = getattr(hidden, name).numpy(), getattr(features, name).numpy()
        assert not after[empty].any()
        np.testing.assert_array_equal(after[~empty], before[~empty])


def test_the_rate_is_a_share() -> None:
    with pytest.raises(ValueError, match="`rate` should be between 0 and 1. Received: 1"):
        dropout.ColdStart(rate=1)
