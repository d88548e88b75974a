"""Names and options -> a model."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from mailcli import plugins
from mailcli.config import Options, RunConfig
from mailcli.data.dataset import Dataset
from mailcli.errors import MailError, did_you_mean, quoted
from mailcli.models import distribute
from mailcli.models.batch_spec import batch_signature
from mailcli.models.contracts import ColdStartMethod, options_of
from mailcli.models.embedding import FeatureEmbedding
from mailcli.models.features import Features, Tensor
from mailcli.models.sparse_ops import forget_gradients
from mailcli.models.step import make_step
from mailcli.models.two_tower import TwoTower

#: What outside code that fails on one impression or as a graph is told.
CONTRACT = (
    "Expected a ranker `call(features, training)` that takes mailcli.models.Features and returns click logits "
    "of shape [B]."
)


def make_model(dataset: Dataset, config: RunConfig) -> TwoTower:
    """The model of a run, initialized by the config's seed (Xavier, as Algorithm 1 says).

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
        return _make_model(dataset, config)


def _make_model(dataset: Dataset, config: RunConfig) -> TwoTower:
    embedding = FeatureEmbedding(dataset.schema, dataset.vocabulary_sizes, config.embedding_dim, config.embedding_init)
    ranker = _make(plugins.RANKERS, config.ranker, config.ranker_options)
    cold_start = _make(plugins.COLD_STARTS, config.cold_start, config.cold_start_options)
    outside = {config.ranker: plugins.RANKERS, config.cold_start: plugins.COLD_STARTS}
    if not any(plugins.is_external(kind, name) for name, kind in outside.items()):
        try:
            return TwoTower(embedding, ranker, cold_start, config.history)
        except ValueError as error:
            if str(error).startswith("Exception encountered"):
                raise
            raise MailError(f"{config.ranker}+{config.cold_start} on {dataset.name}: {error}") from error
    try:
        model = TwoTower(embedding, ranker, cold_start, config.history)
        _try_as_graph(model, config)
    except Exception as error:
        # Whatever it is, it is of the user's code, and told before anything is trained.
        told = str(error).removeprefix("Exception encountered when calling ").split("Arguments received by")[0]
        raise MailError(
            f"{config.ranker}+{config.cold_start} on {dataset.name}: {type(error).__name__}: {told.strip()} {CONTRACT}"
        ) from error
    return model


def _try_as_graph(model: TwoTower, config: RunConfig) -> None:
    """Trace scoring and a training step for any batch size, as a run will."""
    signature = batch_signature(model.embedding.schema, config.history)
    tf.function(model.probabilities, input_signature=[signature]).get_concrete_function()
    make_step(model, config).trace()


def _make(kind: plugins.PluginKind, name: str, options: Options) -> Any:
    """An instance with the options, each cast to the type of the constructor's default."""
    found = _class(kind, name)
    if not isinstance(found, type):
        if options:
            raise MailError(f"{kind.title} '{name}' is a function, so it has no options. Received: {quoted(options)}")
        return _FunctionRanker(found)
    defaults = options_of(found)
    for key in options:
        if key not in defaults:
            known = f"Known: {quoted(defaults)}." if defaults else "It has none."
            raise MailError(f"{kind.title} '{name}' has no option '{key}'.{did_you_mean(key, defaults)} {known}")
    try:
        return found(**{key: _like(defaults[key], key, value) for key, value in options.items()})
    except (ValueError, TypeError) as error:
        raise MailError(f"{kind.title} '{name}': {error}") from error


def _class(kind: plugins.PluginKind, name: str) -> Any:
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
        plugins.COLD_STARTS: "a subclass of mailcli.models.ColdStartMethod",
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
