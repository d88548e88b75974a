"""A ranker that learns what a simpler score leaves: logit = base + ρ f(x), with ρ = 0 at first."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from mailcli.models.features import Tensor

#: ρ is this times a variable (ours): with Adam's usual .001, 100 steps can bring it from 0 to 1.
GAIN = 10.0


def base_and_residual(base: Tensor, gain: Tensor, output: Any) -> Any:
    """The output of a ranker with `base` [B] + GAIN `gain` times its click logit; others stay as they are."""
    click = output["click"] if isinstance(output, dict) else output
    logit = base + GAIN * gain * tf.cast(click, tf.float32)
    return {**output, "click": logit} if isinstance(output, dict) else logit
