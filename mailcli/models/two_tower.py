"""TwoTower: the shared table, a ranker and a cold-start method, co-trained by two optimizers (MAIL Algorithm 1)."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from mailcli import plugins
from mailcli.config import Options, RunConfig
from mailcli.data.batches import Batch
from mailcli.data.dataset import Store
from mailcli.data.schema import PADDING, UNKNOWN, Schema
from mailcli.errors import MailError, choices, nearest
from mailcli.models import distribute
from mailcli.models.contracts import ColdStartMethod, Features, RankingTower, Tensor, added_losses, options_of
from mailcli.models.distribute import Parts
from mailcli.models.embedding import FeatureEmbedding
from mailcli.models.losses import click_loss, ctcvr_loss
from mailcli.models.optimizers import SparseAdam, move
from mailcli.models.sparse_ops import forget_gradients

#: What outside code that fails on one impression or as a graph is told.
CONTRACT = (
    "Expected a ranker `call(features, training)` that takes mailcli.models.Features and returns click logits "
    "of shape [B]."
)


class Optimizers(NamedTuple):
    """Adam twice, β = (0.9, 0.999) (MAIL Sec. 4.1.4)."""

    zero_shot: Any
    """G_A, which moves the zero-shot tower and nothing else."""
    ranking: Any
    """G_B, which moves the ranking tower and the embedding table and nothing else."""


class TwoTower(keras.Model):
    """f and g of MAIL Sec. 3 around one embedding table.

    Args:
        embedding: the shared table.
        ranker: f, the ranking tower.
        cold_start: g, the zero-shot tower, or another cold-start method.
        history: n_v.

    Raises:
        RuntimeError: the variables of G_A and G_B overlap or miss one.
    """

    def __init__(
        self, embedding: FeatureEmbedding, ranker: RankingTower, cold_start: ColdStartMethod, history: int
    ) -> None:
        super().__init__()
        self.embedding = embedding
        self.ranker = ranker
        self.cold_start = cold_start
        self._build_on(_one_impression(embedding.schema, history), history)

    def _build_on(self, batch: dict[str, Tensor], history: int) -> None:
        features = self.embedding(batch)
        spec = self.embedding.spec(history)
        if isinstance(self.ranker, RankingTower):
            self.ranker.build_for(spec)
        # The ranker first: with the same seed it then begins alike beside every cold-start method.
        _check_output(self.ranker(features, training=False), spec.schema)
        self.cold_start.build_for(spec)
        self.cold_start.built = True
        self.built = True
        if self.cold_start.two_stage and self.cold_start.trainable_variables:
            raise RuntimeError("a two-stage method sets its variables in `fit`: none should be trainable")
        owned = [id(v) for v in (*self.zero_shot_variables, *self.ranking_variables)]
        if len(set(owned)) != len(owned) or set(owned) != {id(v) for v in self.trainable_variables}:
            raise RuntimeError("each trainable variable should belong to exactly one of the two optimizers")

    @property
    def zero_shot_variables(self) -> list[Any]:
        """What G_A moves."""
        return self.cold_start.trainable_variables if self.cold_start.co_trained else []

    @property
    def ranking_variables(self) -> list[Any]:
        """What G_B moves: the table, the ranker, and a cold-start method without losses of its own."""
        own = [] if self.cold_start.co_trained else self.cold_start.trainable_variables
        return [*self.embedding.trainable_variables, *self.ranker.trainable_variables, *own]

    def call(self, batch: dict[str, Tensor], training: bool = False) -> Tensor:
        """Logits of a click [B] of a batch: flag (9), v̂ (8), assembly (10), ranking tower."""
        return click_logit(self._outputs(self.embedding(batch), training))

    def _outputs(self, features: Features, training: bool) -> Tensor:
        # A two-stage method is fitted to a ranker that was trained without it.
        if not (training and self.cold_start.two_stage):
            features = self.cold_start.complete(features, training=training)
        return self.ranker(features, training=training)

    def probabilities(self, batch: dict[str, Tensor]) -> Tensor:
        """[B, labels of the ranker]: pCTR, and pCTCVR = pCTR · pCVR of a ranker with two heads."""
        return self.probabilities_of(self.embedding(batch))

    def probabilities_of(self, features: Features) -> Tensor:
        """`probabilities` of a batch that is embedded already."""
        heads = _heads(self._outputs(features, training=False))
        click = tf.sigmoid(heads["click"])
        parts = [click, click * tf.sigmoid(heads["conversion"])] if "conversion" in heads else [click]
        return tf.stack(parts, axis=1)

    def train_step(self, batch: dict[str, Tensor], optimizers: Optimizers) -> dict[str, Tensor]:
        """Algorithm 1 on one batch.

        Returns:
            The losses by name: L_rt; L_extra of `add_loss`; L_ctcvr of a ranker with two heads; where there is a
            zero-shot tower its terms and their sum L_zst; and the norms of the gradients that G_B and G_A apply.
        """
        if not distribute.several():
            return self._train_step(batch, optimizers, ())
        # Of all that follows, each replica computes its share; what is told is the sum.
        is_new = tf.reduce_all(batch["actions"] == PADDING, axis=1)
        old = tf.math.count_nonzero(~is_new)
        with distribute.rows(tf.shape(batch["click"])[0], old) as (_, old_rows):
            told = self._train_step(batch, optimizers, old_rows)
        norms = {name: told.pop(name) for name in ("gradient", "gradient_zst") if name in told}
        return dict(zip(told, distribute.total_of_each(list(told.values())), strict=True)) | norms

    def _train_step(self, batch: dict[str, Tensor], optimizers: Optimizers, old_rows: Parts) -> dict[str, Tensor]:
        """The losses, or a replica's shares of them; `old_rows` are the parts of the old users' rows."""
        losses: dict[str, Tensor] = {}
        with tf.GradientTape() as tape:
            features = self.embedding(batch)  # step 1: flag, Eq. (9)
            if self.cold_start.co_trained:
                with tape.stop_recording(), distribute.only(old_rows):
                    losses |= self._zero_shot_step(features, optimizers.zero_shot)  # steps 2-3
            heads, extra = self._heads_and_extra(features)  # steps 4-5
            losses["L_rt"] = click_loss(batch["click"], heads["click"])  # step 6, Eq. (13)
            total = losses["L_rt"]
            if extra:
                losses["L_extra"] = tf.add_n(extra)
                total += losses["L_extra"]
            if "conversion" in heads:
                losses["L_ctcvr"] = ctcvr_loss(batch["conversion"], heads["click"], heads["conversion"])
                total += losses["L_ctcvr"]
        gradients = tape.gradient(total, self.ranking_variables)
        applied = move(optimizers.ranking, gradients, self.ranking_variables)  # step 7
        return {**losses, "gradient": tf.linalg.global_norm(applied)}

    def _heads_and_extra(self, features: Features) -> tuple[dict[str, Tensor], list[Tensor]]:
        """Logits, and what the ranker has added by `add_loss`."""
        if not distribute.several():
            heads = _heads(self._outputs(features, training=True))
            return heads, self.ranker.losses
        with added_losses() as extra:
            return _heads(self._outputs(features, training=True)), extra

    def _zero_shot_step(self, features: Features, optimizer: Any) -> dict[str, Tensor]:
        """L_zst (7) over the impressions of old users, applied by G_A."""
        old = features.rows(tf.where(~features.is_new)[:, 0])
        with tf.GradientTape() as tape:
            losses = self.cold_start.zero_shot_losses(old, training=True)
            total = tf.add_n(list(losses.values()))
        gradients = tape.gradient(total, self.zero_shot_variables)
        applied = move(optimizer, gradients, self.zero_shot_variables)
        return {**losses, "L_zst": total, "gradient_zst": tf.linalg.global_norm(applied)}


def click_logit(output: Tensor) -> Tensor:
    """[B], the click logits in what a ranker returns."""
    return _heads(output)["click"]


def _heads(output: Tensor) -> dict[str, Tensor]:
    heads = output if isinstance(output, dict) else {"click": output}
    return {name: tf.cast(logit, tf.float32) for name, logit in heads.items()}


def _check_output(output: Any, schema: Schema) -> None:
    """Refuse a ranker that breaks the contract, or asks for a label that the data lacks (ValueError)."""
    heads = output if isinstance(output, dict) else {"click": output}
    shapes = {name: tuple(getattr(logit, "shape", ("no tensor",))) for name, logit in heads.items()}
    known = "click" in heads and not set(heads) - {"click", "conversion"}
    if (
        not known
        or set(shapes.values()) != {(1,)}
        or not all(tf.is_tensor(logit) and logit.dtype.is_floating for logit in heads.values())
    ):
        raise ValueError(
            "`call(features, training)` should return click logits of shape [B], or a dict of such logits, 'click' and "
            f"'conversion'. Received for one impression: {shapes}"
        )
    if set(heads) - set(schema.labels):
        raise ValueError(
            f"it needs the label 'conversion', and the dataset has {choices(schema.labels)} alone "
            "(a schema file names one as impressions.conversion, `mail simulate --conversions` makes one up)"
        )


def make_model(store: Store, config: RunConfig) -> TwoTower:
    """The model of a run, initialised by the config's seed (Xavier, as Algorithm 1 says).

    Raises:
        MailError: an option that the ranker or the cold-start method does not have, or a value it refuses.
    """
    # Imported before the seed is set: what a module does when it is first imported may draw random numbers.
    for kind, name in ((plugins.RANKERS, config.ranker), (plugins.COLD_STARTS, config.cold_start)):
        plugins.load(kind, name)
    keras.utils.clear_session(free_memory=False)
    forget_gradients()
    keras.utils.set_random_seed(config.seed)
    keras.config.set_dtype_policy("mixed_bfloat16" if config.precision == "bfloat16" else "float32")
    with distribute.scope():
        return _make_model(store, config)


def _make_model(store: Store, config: RunConfig) -> TwoTower:
    embedding = FeatureEmbedding(store.schema, store.vocabulary_sizes, config.embedding_dim, config.embedding_init)
    ranker = _make(plugins.RANKERS, config.ranker, config.ranker_options)
    cold_start = _make(plugins.COLD_STARTS, config.cold_start, config.cold_start_options)
    outside = {config.ranker: plugins.RANKERS, config.cold_start: plugins.COLD_STARTS}
    if not any(plugins.is_outside(kind, name) for name, kind in outside.items()):
        try:
            return TwoTower(embedding, ranker, cold_start, config.history)
        except ValueError as error:
            if str(error).startswith("Exception encountered"):
                raise
            raise MailError(f"{config.ranker}+{config.cold_start} on {store.name}: {error}") from error
    try:
        model = TwoTower(embedding, ranker, cold_start, config.history)
        _try_as_graph(model, config)
    except Exception as error:
        # Whatever it is, it is of the user's code, and told before anything is trained.
        told = str(error).removeprefix("Exception encountered when calling ").split("Arguments received by")[0]
        raise MailError(
            f"{config.ranker}+{config.cold_start} on {store.name}: {type(error).__name__}: {told.strip()} {CONTRACT}"
        ) from error
    return model


def _try_as_graph(model: TwoTower, config: RunConfig) -> None:
    """Trace scoring and a training step for any batch size, as a run will."""
    signature = batch_signature(model.embedding.schema, config.history)
    tf.function(model.probabilities, input_signature=[signature]).get_concrete_function()
    make_step(model, config).trace()


def make_optimizers(config: RunConfig) -> Optimizers:
    """G_A and G_B."""
    adam = {"sparse_adam": SparseAdam, "adam": keras.optimizers.Adam}[config.optimizer]
    with distribute.scope():
        return Optimizers(
            zero_shot=adam(config.zero_shot_learning_rate, epsilon=1e-8),
            ranking=adam(config.learning_rate, epsilon=1e-8),
        )


class Step:
    """Algorithm 1 as one graph for every batch size, with the two optimizers that it moves the model by.

    Call: a batch of tensors -> the losses by name.
    """

    def __init__(self, model: TwoTower, optimizers: Optimizers, history: int) -> None:
        with distribute.scope():
            if model.zero_shot_variables:
                optimizers.zero_shot.build(model.zero_shot_variables)
            optimizers.ranking.build(model.ranking_variables)
        # For checkpoints: the state of both optimizers.
        self.variables: list[Any] = [*optimizers.zero_shot.variables, *optimizers.ranking.variables]
        signature = batch_signature(model.embedding.schema, history)
        step = distribute.run_on_all(lambda batch: model.train_step(batch, optimizers))
        self._graph = tf.function(step, input_signature=[signature])

    def __call__(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """One step; the model's losses by name."""
        losses: dict[str, Tensor] = self._graph(batch)
        return losses

    def trace(self) -> None:
        """Make the graph without running it."""
        self._graph.get_concrete_function()


def make_step(model: TwoTower, config: RunConfig) -> Step:
    """The training step of a run."""
    return Step(model, make_optimizers(config), config.history)


def _make(kind: plugins.Kind, name: str, options: Options) -> Any:
    """An instance with the options, each cast to the type of the constructor's default."""
    found = _class(kind, name)
    if not isinstance(found, type):
        if options:
            raise MailError(f"{kind.title} '{name}' is a function, so it has no options. Received: {choices(options)}")
        return _FunctionRanker(found)
    defaults = options_of(found)
    for key in options:
        if key not in defaults:
            known = f"Known: {choices(defaults)}." if defaults else "It has none."
            raise MailError(f"{kind.title} '{name}' has no option '{key}'.{nearest(key, defaults)} {known}")
    try:
        return found(**{key: _like(defaults[key], key, value) for key, value in options.items()})
    except (ValueError, TypeError) as error:
        raise MailError(f"{kind.title} '{name}': {error}") from error


def _class(kind: plugins.Kind, name: str) -> Any:
    """The class of that name, or a plain function for a ranker.

    Raises:
        MailError: it is something else.
    """
    found = plugins.load(kind, name)
    base = ColdStartMethod if kind is plugins.COLD_STARTS else keras.layers.Layer
    if isinstance(found, type) and issubclass(found, base):
        return found
    if inspect.isfunction(found) and kind is plugins.RANKERS:
        return found
    if isinstance(found, keras.layers.Layer):
        raise MailError(
            f"{kind.title} '{name}': is made already, so a second run would go on with the weights of the first. "
            "Give its class."
        )
    wanted = {
        plugins.COLD_STARTS: "a subclass of mailcli.models.contracts.ColdStartMethod",
        plugins.RANKERS: "a keras.layers.Layer with `call(features, training)`, or such a function",
    }
    raise MailError(f"{kind.title} '{name}': should be {wanted[kind]}. Received: {type(found).__name__} {found!r:.80}")


def is_two_stage(config: RunConfig) -> bool:
    """Whether the cold-start method is fitted to the ranker of the baseline's run."""
    return bool(_class(plugins.COLD_STARTS, config.cold_start).two_stage)


class _FunctionRanker(keras.layers.Layer):
    """A plain function `features, training -> logits` as a ranker; it has no variables of its own."""

    def __init__(self, function: Any) -> None:
        super().__init__(name="function_ranker")
        self._function = function

    def call(self, features: Features, training: bool = False) -> Tensor:
        return self._function(features, training)


def _like(default: Any, key: str, value: Any) -> Any:
    """A text from --set as the type of the option's default; a TOML value as it is, if the type is right."""
    if default is None or default == ():
        raise ValueError(f"`{key}` has the default {default!r}, which tells no type: it cannot be set")
    try:
        if isinstance(default, Sequence) and not isinstance(default, str):
            parts = value.split(",") if isinstance(value, str) else value
            return tuple(type(default[0])(part) for part in parts)
        if isinstance(default, bool):
            return {"true": True, "false": False}[str(value).lower()]
        return type(default)(value)
    except (TypeError, ValueError, KeyError):
        raise ValueError(f"`{key}` should be like {default!r}. Received: {value!r}") from None


def to_tensors(batch: Batch) -> dict[str, Tensor]:
    """A NumPy batch as tensors."""
    return {name: tf.convert_to_tensor(array) for name, array in batch.items()}


def batch_signature(schema: Schema, history: int) -> dict[str, tf.TensorSpec]:
    """Shapes and types of a batch, for tf.function: one trace serves every batch size."""
    return {
        name: tf.TensorSpec([None, *tensor.shape[1:]], tensor.dtype, name=name)
        for name, tensor in _one_impression(schema, history).items()
    }


def _one_impression(schema: Schema, history: int) -> dict[str, Tensor]:
    """A batch of one impression of unknown values."""
    columns = sum(field.values for field in schema.group("target"))

    def ids(*shape: int) -> np.ndarray:
        return np.full((1, *shape), UNKNOWN, np.int32)

    return to_tensors(
        Batch(
            attributes=ids(sum(field.values for field in schema.group("attributes"))),
            behaviors=ids(history, len(schema.group("behavior"))),
            actions=ids(history),
            context=ids(len(schema.group("context"))),
            target=ids(columns),
            dense=np.zeros((1, len(schema.dense)), np.float32),
            click=np.zeros(1, np.float32),
            conversion=np.zeros(1, np.float32),
            user=np.zeros(1, np.int32),
        )
    )
