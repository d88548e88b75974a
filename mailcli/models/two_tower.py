"""TwoTower: the shared table, a ranker and a cold-start method, co-trained by two optimizers (MAIL Algorithm 1)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import keras
import tensorflow as tf

from mailcli.data.schema import PADDING, Schema
from mailcli.errors import quoted
from mailcli.models import distribute
from mailcli.models.batch_spec import batch_signature, example_batch
from mailcli.models.contracts import ColdStartMethod, RankingTower, added_losses
from mailcli.models.distribute import RowRanges
from mailcli.models.embedding import FeatureEmbedding
from mailcli.models.features import Features, Tensor
from mailcli.models.losses import click_loss, ctcvr_loss, squared_lengths
from mailcli.models.optimizers import Optimizers, apply_gradients, global_norm

#: Keys of history.jsonl that a method's losses may not have.
_OWN_NAMES = frozenset(
    {"step", "epoch", "after_step", "validation", "gradient", "gradient_zst"}
    | {"L_rt", "L_extra", "L_l2", "L_ctcvr", "L_zst"}
)


class TwoTower(keras.Model):
    """f and g of MAIL Sec. 3 around one embedding table.

    Args:
        embedding: the shared table.
        ranker: f, the ranking tower.
        cold_start: g, the zero-shot tower, or another cold-start method.
        history: n_v.
        autograph: whether the ranker or the method may branch on tensors, with Python's `if` and `for`.

    Raises:
        RuntimeError: the method breaks its contract: a trainable variable belongs to both G_A and G_B, or to neither; a
            two-stage method has one; or a method that G_B does not train masks batches.
    """

    def __init__(
        self,
        embedding: FeatureEmbedding,
        ranker: RankingTower,
        cold_start: ColdStartMethod,
        history: int,
        autograph: bool = True,
    ) -> None:
        super().__init__()
        self.embedding = embedding
        self.ranker = ranker
        self.cold_start = cold_start
        self.history = history
        self.autograph = autograph
        self._make_variables()

    def _make_variables(self) -> None:
        spec = self.embedding.spec(self.history)
        features = self.embedding(example_batch(spec.schema, self.history))
        if isinstance(self.ranker, RankingTower):
            self.ranker.build_for(spec)
        # The ranker first: with the same seed, it then starts from the same weights with every cold-start method.
        _check_output(self.ranker(features, training=False), spec.schema)
        self.cold_start.build_for(spec)
        self.cold_start.built = True
        self.built = True
        if self.cold_start.two_stage and self.cold_start.trainable_variables:
            raise RuntimeError("a two-stage method sets its variables in `fit`: none should be trainable")
        masks = type(self.cold_start).mask_batch is not ColdStartMethod.mask_batch
        if masks and (self.cold_start.two_stage or self.cold_start.co_trained):
            raise RuntimeError("only methods that are trained with the click loss may define `mask_batch`")
        owned = [id(v) for v in (*self.zero_shot_variables, *self.ranking_variables)]
        if len(set(owned)) != len(owned) or set(owned) != {id(v) for v in self.trainable_variables}:
            raise RuntimeError("each trainable variable should belong to exactly one of the two optimizers")

    @property
    def batch_signature(self) -> dict[str, tf.TensorSpec]:
        """Shapes and types of the batches that the model takes, for tf.function."""
        return batch_signature(self.embedding.schema, self.history)

    def as_graph(self, function: Callable[[dict[str, Tensor]], Any]) -> Any:
        """A function of a batch as one graph for every batch size.

        Without AutoGraph a run's graphs are built in three quarters of the time, and they are the same.
        """
        return tf.function(function, input_signature=[self.batch_signature], autograph=self.autograph)

    def whole(self, variables: Iterable[Any]) -> list[Any]:
        """Variables, with all rows of those of which only some are in memory."""
        mapped = self.embedding.mapped
        return mapped.whole(variables) if mapped else list(variables)

    @property
    def zero_shot_variables(self) -> list[Any]:
        """What G_A updates."""
        return self.cold_start.trainable_variables if self.cold_start.co_trained else []

    @property
    def ranking_variables(self) -> list[Any]:
        """What G_B updates: the table, the ranker, and a cold-start method without losses of its own."""
        own = [] if self.cold_start.co_trained else self.cold_start.trainable_variables
        return [*self.embedding.trainable_variables, *self.ranker.trainable_variables, *own]

    def call(self, batch: dict[str, Tensor], training: bool = False) -> Tensor:
        """Click logits [B] of a batch: flag (9), v̂ (8), assembly (10), ranking tower."""
        if training:
            batch = self.cold_start.mask_batch(batch)
        return click_logit(self._outputs(self.embedding(batch), training))

    def _outputs(self, features: Features, training: bool) -> Tensor:
        if training and self.cold_start.two_stage:
            # It is fitted to a ranker that was trained without it.
            return self.ranker(features, training=True)
        features = self.cold_start.complete(features, training=training)
        return self.cold_start.logits(self.ranker, features, training=training)

    def probabilities(self, batch: dict[str, Tensor]) -> Tensor:
        """[B, labels of the ranker]: pCTR, and pCTCVR = pCTR · pCVR for a ranker with two heads."""
        return self.probabilities_of(self.embedding(batch))

    def probabilities_of(self, features: Features) -> Tensor:
        """`probabilities` of a batch that is already embedded."""
        heads = _heads(self._outputs(features, training=False))
        click = tf.sigmoid(heads["click"])
        parts = [click, click * tf.sigmoid(heads["conversion"])] if "conversion" in heads else [click]
        return tf.stack(parts, axis=1)

    def train_step(
        self, batch: dict[str, Tensor], optimizers: Optimizers, update_tower: bool = True
    ) -> dict[str, Tensor]:
        """Algorithm 1 on one batch.

        Args:
            batch: the batch.
            optimizers: G_A and G_B.
            update_tower: whether G_A makes its updates, which are not due in every step of a method with
                `ColdStartMethod.update_every`.

        Returns:
            The losses by name: L_rt; L_extra from `add_loss`; the terms of `ColdStartMethod.ranking_losses`; L_l2 with
            `embedding_l2`; L_ctcvr for a ranker with two heads; with a zero-shot tower, its terms and their sum L_zst;
            and the norms of the gradients that G_B and G_A apply, without those of G_A's second update
            (`ColdStartMethod.learns_from_clicks`).
        """
        if not distribute.is_distributed():
            return self._train_step(batch, optimizers, update_tower, ())
        # Each replica computes its share of every loss; the sums of the shares are returned.
        is_new = tf.reduce_all(batch["actions"] == PADDING, axis=1)
        old = tf.math.count_nonzero(~is_new)
        with distribute.exchange_row_counts(tf.shape(batch["click"])[0], old) as (_, old_rows):
            losses = self._train_step(batch, optimizers, update_tower, old_rows)
        norms = {name: losses.pop(name) for name in ("gradient", "gradient_zst") if name in losses}
        return dict(zip(losses, distribute.all_reduce_sums(list(losses.values())), strict=True)) | norms

    def _train_step(
        self, batch: dict[str, Tensor], optimizers: Optimizers, update_tower: bool, old_rows: RowRanges
    ) -> dict[str, Tensor]:
        """The losses, or a replica's shares of them; `old_rows` are the ranges of the old users' rows."""
        losses: dict[str, Tensor] = {}
        with tf.GradientTape() as tape:
            # Step 1: flag, Eq. (9)
            features = self.embedding(self.cold_start.mask_batch(batch), outstanding=optimizers.outstanding)
            if self.cold_start.co_trained and update_tower:
                with tape.stop_recording(), distribute.use_rows(old_rows):
                    losses |= self._zero_shot_step(features, optimizers.zero_shot)  # steps 2-3
            heads, extra = self._heads_and_extra(features)  # steps 4-5
            losses["L_rt"] = click_loss(batch["click"], heads["click"])  # step 6, Eq. (13)
            total = losses["L_rt"]
            if extra:
                losses["L_extra"] = tf.add_n(extra)
                total += losses["L_extra"]
            terms = self.cold_start.ranking_losses(features, batch["click"], heads["click"])
            _check_names(terms, losses)
            losses |= terms
            for loss in terms.values():
                total += loss
            if self.embedding.l2:
                losses["L_l2"] = self.embedding.l2 * squared_lengths(features)
                total += losses["L_l2"]
            if "conversion" in heads:
                losses["L_ctcvr"] = ctcvr_loss(batch["conversion"], heads["click"], heads["conversion"])
                total += losses["L_ctcvr"]
        norm = self._apply_click_loss(total, tape, optimizers, update_tower)  # step 7
        return {**losses, "gradient": norm}

    def _apply_click_loss(
        self, loss: Tensor, tape: tf.GradientTape, optimizers: Optimizers, update_tower: bool
    ) -> Tensor:
        """G_B's update, and G_A's second one for a method that learns from clicks; the norm of what G_B applies."""
        ranking = self.ranking_variables
        tower = self.zero_shot_variables if self.cold_start.learns_from_clicks and update_tower else []
        gradients = tape.gradient(loss, [*ranking, *tower])
        applied = apply_gradients(optimizers.ranking, gradients[: len(ranking)], ranking)
        # The loss does not reach variables that v̂ does not come from.
        reached = [
            (gradient, variable)
            for gradient, variable in zip(gradients[len(ranking) :], tower, strict=True)
            if gradient is not None
        ]
        if reached:
            apply_gradients(optimizers.zero_shot, *zip(*reached, strict=True))
        return global_norm(applied)

    def _heads_and_extra(self, features: Features) -> tuple[dict[str, Tensor], list[Tensor]]:
        """The logits, and the losses that the ranker added with `add_loss`."""
        if not distribute.is_distributed():
            heads = _heads(self._outputs(features, training=True))
            return heads, self.ranker.losses
        with added_losses() as extra:
            heads = _heads(self._outputs(features, training=True))
        penalties = [
            variable.regularizer(variable)
            for variable in self.ranker.trainable_variables
            if variable.regularizer is not None
        ]
        if len(self.ranker.losses) > len(penalties):
            raise ValueError(
                "on several replicas, a loss should be given to the ranker's own `add_loss`. Received one of a layer "
                "inside of it (`add_loss` or `activity_regularizer`)."
            )
        # Each replica's share: the sum over the replicas is applied.
        return heads, [*extra, *(penalty / distribute.replica_count() for penalty in penalties)]

    def _zero_shot_step(self, features: Features, optimizer: Any) -> dict[str, Tensor]:
        """The sum of the method's `zero_shot_losses` over the impressions of old users, applied by G_A.

        For MAIL, Eq. (7) + L_n.
        """
        old = features.rows(tf.where(~features.is_new)[:, 0])
        with tf.GradientTape() as tape:
            losses = self.cold_start.zero_shot_losses(old, training=True)
            _check_names(losses, {})
            total = tf.add_n(list(losses.values()))
        gradients = tape.gradient(total, self.zero_shot_variables)
        applied = apply_gradients(optimizer, gradients, self.zero_shot_variables)
        return {**losses, "L_zst": total, "gradient_zst": global_norm(applied)}


def click_logit(output: Tensor) -> Tensor:
    """The click logits [B] in a ranker's output."""
    return _heads(output)["click"]


def _heads(output: Tensor) -> dict[str, Tensor]:
    return {name: tf.cast(logit, tf.float32) for name, logit in _by_name(output).items()}


def _by_name(output: Any) -> dict[str, Any]:
    return output if isinstance(output, dict) else {"click": output}


def _check_names(terms: Iterable[str], others: Iterable[str]) -> None:
    """Refuse terms of a method that would hide others, or that the log would mistake for its own (ValueError)."""
    taken = sorted({*terms} & {*_OWN_NAMES, *others})
    if taken:
        raise ValueError(f"a method's loss should have a name of its own. Received: {taken[0]!r}")


def _wrong_types(heads: dict[str, Any]) -> dict[str, str]:
    """The shapes and types of tensors that hold no floats."""
    tensors = {name: logit for name, logit in heads.items() if tf.is_tensor(logit)}
    return {
        name: f"{tuple(logit.shape)} of {logit.dtype.name}, expected floats"
        for name, logit in tensors.items()
        if not logit.dtype.is_floating
    }


def _check_output(output: Any, schema: Schema) -> None:
    """Refuse a ranker that breaks the contract or needs a label that the dataset lacks (ValueError)."""
    heads = _by_name(output)
    shapes = {name: tuple(getattr(logit, "shape", ("no tensor",))) for name, logit in heads.items()}
    known = "click" in heads and not set(heads) - {"click", "conversion"}
    if (
        not known
        or set(shapes.values()) != {(1,)}
        or not all(tf.is_tensor(logit) and logit.dtype.is_floating for logit in heads.values())
    ):
        raise ValueError(
            "`call(features, training)` should return click logits of shape [B], or a dict of such logits, 'click' and "
            f"'conversion'. Received for one impression: {shapes | _wrong_types(heads)}"
        )
    if set(heads) - set(schema.labels):
        raise ValueError(
            f"it needs the label 'conversion', but the dataset has only {quoted(schema.labels)} "
            "(a schema file names its column as impressions.conversion; `mail simulate --conversions` simulates one)"
        )
