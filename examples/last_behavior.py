"""A ranker of your own: mail train --ranker examples.last_behavior:LastBehavior --set ranker.units=32"""

import keras
import tensorflow as tf


class LastBehavior(keras.layers.Layer):
    """Looks only at the user, the last behavior and the target."""

    def __init__(self, units: int = 64, **kwargs):
        super().__init__(**kwargs)
        self.hidden = keras.layers.Dense(units, activation="relu")
        self.logit = keras.layers.Dense(1)

    def call(self, features, training=False):
        last = features.behaviors[:, -1]
        parts = [tf.reduce_sum(features.attributes, axis=1), last, features.query, last * features.query]
        return self.logit(self.hidden(tf.concat(parts, axis=1)))[:, 0]
