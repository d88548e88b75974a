"""The two heads of ESMM."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from mailcli.models.losses import click_loss
from mailcli.models.rankers import esmm
from tests.helpers.features import some_features


def test_two_heads_on_one_input() -> None:
    ranker = esmm.Ranker(units=(4,))
    heads = ranker(some_features(3))
    assert {name: logit.shape for name, logit in heads.items()} == {"click": (3,), "conversion": (3,)}
    assert not np.array_equal(heads["click"], heads["conversion"])
    assert np.isfinite(float(click_loss(tf.ones(3), heads["click"])))
