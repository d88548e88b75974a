"""A model built from another library's layers (DLRM): mail train --ranker examples.keras_rs_dot:Dlrm"""

import keras
import keras_rs
import tensorflow as tf


class Dlrm(keras.Model):
    """Dot products of all pairs of embedded fields, including the pooled history, then a network."""

    def __init__(self, units: int = 64):
        super().__init__()
        self.interact = keras_rs.layers.DotInteraction()
        self.top = keras.Sequential([keras.layers.Dense(units, activation="relu"), keras.layers.Dense(1)])

    def call(self, features, training=False):
        history = tf.reduce_sum(features.behaviors, axis=1, keepdims=True)
        fields = tf.concat([features.attributes, history, features.context, features.target], axis=1)
        return self.top(self.interact(tf.unstack(fields, axis=1)))[:, 0]
