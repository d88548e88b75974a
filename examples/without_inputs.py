"""BaseDNN that lacks some of its inputs: mail train --ranker examples.without_inputs:NoContext

To test whether inputs that say nothing about a stranger are why BaseDNN ranks new users worse than an item's click rate
(experiments/READING.md; not run yet).
"""

import tensorflow as tf

from mailcli.models.features import Features, Tensor
from mailcli.models.rankers.base import Ranker as BaseDNN


class NoContext(BaseDNN):
    """Does not see the context."""

    def call(self, features: Features, training: bool = False) -> Tensor:
        return super().call(features._replace(context=tf.zeros_like(features.context)), training)


class NoAttributes(BaseDNN):
    """Sees no attributes, the user's id included."""

    def call(self, features: Features, training: bool = False) -> Tensor:
        return super().call(features._replace(attributes=tf.zeros_like(features.attributes)), training)


class NoAttributesNoContext(NoAttributes):
    """Sees behavior and target only."""

    def call(self, features: Features, training: bool = False) -> Tensor:
        return super().call(features._replace(context=tf.zeros_like(features.context)), training)


class ItemOnly(NoAttributesNoContext):
    """Sees nothing but the item's id, the first field of the target."""

    def call(self, features: Features, training: bool = False) -> Tensor:
        target = tf.concat([features.target[:, :1], tf.zeros_like(features.target[:, 1:])], axis=1)
        hidden = {name: tf.zeros_like(getattr(features, name)) for name in ("behaviors", "behavior_sum")}
        return super().call(features._replace(target=target, **hidden), training)
