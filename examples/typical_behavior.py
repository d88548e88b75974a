"""A cold-start method of your own: mail train --cold-start examples.typical_behavior:TypicalBehavior"""

import keras
import tensorflow as tf

from mailcli.models import ColdStartMethod, mean_behavior, squared_error, with_generated_behavior


class TypicalBehavior(ColdStartMethod):
    """Predicts the mean step of a history from the attributes; a new user gets a history of that step, repeated."""

    co_trained = True
    generates = True

    def __init__(self, units: int = 64, steps: int = 10, **kwargs):
        super().__init__(**kwargs)
        self.units, self.steps = units, steps

    def build_for(self, spec):
        self.step_mask = tf.range(spec.history) >= spec.history - self.steps
        self.network = keras.Sequential(
            [keras.layers.Dense(self.units, activation="tanh"), keras.layers.Dense(spec.dim)]
        )
        self.network.build((None, spec.n_a * spec.dim))

    def zero_shot_losses(self, features, training=False):
        features = features.frozen()
        predicted = self.predict(features.attributes)
        return {"L_mean": squared_error(predicted, mean_behavior(features), "mean")}

    def predict(self, attributes):
        return self.network(tf.reshape(attributes, [-1, attributes.shape[1] * attributes.shape[2]]))

    def generate(self, attributes):
        step = self.predict(tf.stop_gradient(attributes))[:, None]
        behaviors = step * tf.cast(self.step_mask, step.dtype)[:, None]
        return behaviors, tf.reduce_sum(behaviors, axis=1)

    def complete(self, features, training=False):
        return with_generated_behavior(features, self.generate, self.step_mask)
