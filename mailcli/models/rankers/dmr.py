"""Deep Match to Rank (Lyu et al., AAAI 2020), the paper's second ranking tower."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from mailcli.models import distribute
from mailcli.models.features import Features, Spec, Tensor
from mailcli.models.rankers._blocks import RealSteps, StepScorer, TowerRanker, attend, pooled
from mailcli.models.sparse_ops import gather_rows

#: Classes sampled for the softmax, and the weight of the match loss (published code).
NEGATIVES = 2000
MATCH_WEIGHT = 0.1


class Ranker(TowerRanker):
    """DMR: item-to-item and user-to-item match before ranking (Lyu et al., AAAI 2020).

    z = [Σ a, Σ v, Σ c, Σ t, dense, Σ v ⊙ q, Σ α_i v_i, r_i2i, r_u2i]; then MAIL Eq. (12). Of step i, with the
    embeddings p_i of its position and b_i of its action, where w is a small network (StepScorer):

    - item to item: s_i = w(PReLU(W [q, p_i, b_i]), v_i); α = softmax(s); r_i2i = Σ s_i;
    - user to item: s'_i = w'(PReLU(W' [p_i, b_i]), v_i); u = PReLU(W" Σ softmax(s')_i v_i); r_u2i = <u, v'_t>, with
      vectors v' of the items' own;
    - match loss: `match_weight` x sampled softmax of <u', v'>, which predicts the last behavior. u' is u of the history
      without it.

    Args:
        units: widths of the hidden layers (as in BaseDNN, MAIL Sec. 4.1.4).
        dropout: rate before each hidden layer (as in BaseDNN).
        match_weight: weight of the auxiliary loss (published code).
    """

    def __init__(
        self,
        units: Sequence[int] = (512, 256),
        dropout: float = 0.5,
        match_weight: float = MATCH_WEIGHT,
        **kwargs: Any,
    ) -> None:
        if match_weight < 0:
            raise ValueError(f"`match_weight` should be at least 0. Received: {match_weight}")
        super().__init__(units, dropout, **kwargs)
        self.match_weight = match_weight

    def build_for(self, spec: Spec) -> None:
        """Make the position embeddings and the two networks; the classes are the ids of a step's first field.

        Raises:
            ValueError: a history has one step.
        """
        if spec.history < 2:
            raise ValueError("history = 1: the match loss predicts a behavior from those before it. Expected 2 or more")
        self.position = self.add_weight(shape=(spec.history, spec.dim), initializer="glorot_uniform", name="position")
        self.i2i = ItemToItem(spec.dim, context=2 * spec.dim)
        self.u2i = UserToItem(spec.dim, spec.vocabulary_sizes[spec.step_vocabulary])

    def call(self, features: Features, training: bool = False) -> Tensor:
        """Logits [B]; in training, the match loss is added."""
        steps, mask = features.behaviors, features.behavior_mask
        real = RealSteps.from_mask(steps, mask)
        contexts, pair_index = self._contexts(features, real)
        attended, relevance, _ = self.i2i(features.query, real, contexts, pair_index, steps, mask)
        user, earlier_user, _ = self.u2i(real, contexts, pair_index, steps, mask)
        match = tf.reduce_sum(user * tf.cast(self.u2i.items(features.target_id), user.dtype), axis=1)
        if training:
            self.add_loss(self.match_weight * self.u2i.match_loss(earlier_user, features.step_ids))
        crossed = features.behavior_sum * features.query
        scores = tf.stack([relevance, match], axis=1)
        x = tf.concat([pooled(features), crossed, attended, scores], axis=1)
        return self.deep(x, training)

    def _contexts(self, features: Features, real: RealSteps) -> tuple[Tensor, Tensor]:
        """[position, action] for every pair of them, [n_v · actions, 2d], and the pair of each real step [M]."""
        position = self.position.value
        action = tf.cast(features.action_table, position.dtype)
        count = action.shape[0]
        pairs = tf.concat([tf.repeat(position, count, axis=0), tf.tile(action, [position.shape[0], 1])], axis=1)
        return pairs, tf.cast(real.indices[:, 1], tf.int32) * count + tf.gather_nd(features.action_ids, real.indices)


class ItemToItem(keras.layers.Layer):
    """Attention of the target on the history (DMR Sec. "Item-to-Item Network").

    Query = PReLU(Dense([target, position, action])), scored against each step; r_i2i is the sum of the raw scores.
    W [target, position, action] is the sum of the target's part, computed once per impression, and the context's,
    computed once per pair of position and action.

    Args:
        dim: width of a behavior step.
        context: width of a position and an action together.
    """

    def __init__(self, dim: int, context: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.align = keras.layers.Dense(dim)
        self.align.build((None, dim + context))
        self.prelu = keras.layers.PReLU()
        self.scorer = StepScorer("sigmoid")

    def call(
        self, target: Tensor, real: RealSteps, contexts: Tensor, pair_index: Tensor, steps: Tensor, mask: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Attended history [B, d], r_i2i [B], weights [B, n_v].

        Args:
            target: [B, d].
            real: the M real steps.
            contexts: [pairs, 2d], distinct pairs of position and action.
            pair_index: [M], the pair of each real step.
            steps: [B, n_v, d].
            mask: [B, n_v] bool.
        """
        target_kernel, context_kernel = tf.split(self.align.kernel.value, [target.shape[1], contexts.shape[1]])
        pair_part = tf.matmul(contexts, context_kernel) + self.align.bias.value
        query = real.per_step(tf.matmul(target, target_kernel)) + gather_rows(pair_part, pair_index)
        scores = real.to_histories(self.scorer(self.prelu(query), real.steps))
        weights, attended = attend(scores, mask, steps)
        return attended, tf.reduce_sum(scores, axis=1), weights


class UserToItem(keras.layers.Layer):
    """A user vector from the history only, and a vector per item (DMR Sec. "User-to-Item Network").

    Of the published T x T attention, only the two rows that are used are computed: the last (the whole history) and the
    one before it (the history without its last step).

    Args:
        dim: width of a behavior step.
        classes: ids of a step's first field, e.g. categories, padding and unknown included.
        vector: width of the user and item vectors; None for `dim`.
    """

    def __init__(self, dim: int, classes: int, vector: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.classes, self.vector = classes, vector or dim
        self.align = keras.layers.Dense(dim)
        self.prelu = keras.layers.PReLU()
        self.scorer = StepScorer("sigmoid")
        self.project = keras.layers.Dense(self.vector)
        self.project_prelu = keras.layers.PReLU()
        # float32 whatever the precision: rows are gathered, and a table cast to another type would be copied whole.
        self.item_vectors = self.add_weight(
            shape=(classes, self.vector), initializer="glorot_uniform", autocast=False, name="item_vectors"
        )
        self.random = keras.random.SeedGenerator()
        self.item_biases = self.add_weight(
            shape=(classes,), initializer="zeros", trainable=False, autocast=False, name="item_biases"
        )

    def call(
        self, real: RealSteps, contexts: Tensor, pair_index: Tensor, steps: Tensor, mask: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """User vectors [B, vector] of the whole history and of all but its last step, and the raw scores [B, n_v].

        The arguments are those of ItemToItem.
        """
        query = gather_rows(self.prelu(self.align(contexts)), pair_index)
        scores = real.to_histories(self.scorer(query, real.steps))
        _, whole = attend(scores, mask, steps)
        # Left-padded: the last position is the last behavior.
        before = tf.concat([mask[:, :-1], tf.zeros_like(mask[:, -1:])], axis=1)
        _, earlier = attend(scores, before, steps)
        return self._vector(whole), self._vector(earlier), scores

    def _vector(self, attended: Tensor) -> Tensor:
        return self.project_prelu(self.project(attended))

    def items(self, ids: Tensor) -> Tensor:
        """The items' vectors [B, vector]."""
        return tf.gather(self.item_vectors.value, ids)

    def match_loss(self, user: Tensor, step_ids: Tensor) -> Tensor:
        """Softmax over NEGATIVES sampled items, or all if there are no more.

        The mean over impressions with at least two behaviors.
        """
        rows = tf.where((step_ids[:, -1] != 0) & (step_ids[:, -2] != 0))[:, 0]
        user, label = tf.cast(tf.gather(user, rows), tf.float32), tf.gather(step_ids[:, -1], rows)
        if self.classes <= NEGATIVES:
            logits = tf.matmul(user, self.item_vectors.value, transpose_b=True)
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=label, logits=logits)
        else:
            # Uniform, with replacement. TensorFlow's own sampler supposes ids ordered by frequency (ours are ordered by
            # raw value), and no checkpoint reaches its state.
            sampled = keras.random.randint((NEGATIVES,), 0, self.classes, dtype="int64", seed=self.random)
            expected_count = tf.constant(NEGATIVES / self.classes)
            losses = tf.nn.sampled_softmax_loss(
                self.item_vectors.value,
                self.item_biases.value,
                tf.cast(label, tf.int64)[:, None],
                user,
                NEGATIVES,
                self.classes,
                sampled_values=(
                    sampled,
                    tf.fill([tf.size(label), 1], expected_count),
                    tf.fill([NEGATIVES], expected_count),
                ),
            )
        count = distribute.all_reduce_sum(tf.cast(tf.shape(losses)[0], losses.dtype))
        return tf.math.divide_no_nan(tf.reduce_sum(losses), count)
