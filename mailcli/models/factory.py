"""Names and options -> a model."""

from __future__ import annotations

import inspect
import math
import os
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from mailcli import plugins
from mailcli.config import Options, RunConfig
from mailcli.data.dataset import Dataset
from mailcli.errors import MailError, quoted
from mailcli.models import distribute
from mailcli.models.batch_spec import example_batch
from mailcli.models.contracts import ColdStartMethod, options_of
from mailcli.models.embedding import FeatureEmbedding
from mailcli.models.features import Features, Tensor
from mailcli.models.option_values import cast_option, option_types
from mailcli.models.out_of_memory import out_of_memory_in_one_line
from mailcli.models.own_code import kind_at_fault, own_plugins, place_of_definition, place_of_error, short_message
from mailcli.models.sparse_ops import clear_custom_gradients
from mailcli.models.step import make_step
from mailcli.models.table.mapped import MappedTable
from mailcli.models.table.memory import TableMemory, needed_memory
from mailcli.models.two_tower import TwoTower
from mailcli.utils.files import existing_parent
from mailcli.utils.table_memory import table_bytes, table_memory
from mailcli.utils.validation import sentence

#: Bytes of a table with its moments from which on the memory of an earlier one is freed before (ours).
LARGE_TABLE = 1 << 28
#: Ends the error about a ranker or method of the user's own that fails on one impression or as a graph.
CONTRACTS = {
    plugins.RANKERS: "Expected a ranker `call(features, training)` that takes mailcli.models.Features and returns "
    "click logits of shape [B].",
    plugins.COLD_STARTS: "Expected a method `complete(features, training)` that takes and returns "
    "mailcli.models.Features, and losses that are scalars and depend on its variables (docs/your-own-method.md).",
}


def make_model(dataset: Dataset, config: RunConfig, folder: Path | None = None, training: bool = True) -> TwoTower:
    """The model of a run, initialized from the config's seed as its `embedding_init` says.

    Args:
        dataset: the dataset.
        config: the run's settings.
        folder: for the files of an embedding table that does not fit in memory; it need not exist yet. The default is
            the dataset's.
        training: whether the model will be trained, or only scores.

    Raises:
        MailError: an option that the ranker or the cold-start method does not have, or a value that it refuses or that
            takes more memory than there is.
    """
    # Imported before the seed is set: a module may draw random numbers when it is first imported.
    for kind, name in plugins.of_run(config):
        plugins.load(kind, name)
    clear_custom_gradients()
    # Garbage collection takes a while, but frees the table of an earlier model.
    large = table_bytes(sum(dataset.vocabulary_sizes.values()), config.embedding_dim) > LARGE_TABLE
    keras.utils.clear_session(free_memory=large)
    keras.utils.set_random_seed(config.seed)
    keras.config.set_dtype_policy("mixed_bfloat16" if config.precision == "bfloat16" else "float32")
    with distribute.scope():
        size = table_memory()
        memory = None if size is None else TableMemory(size, _writable_folder(folder, dataset), training)
        return _build_model(dataset, config, memory)


def _writable_folder(folder: Path | None, dataset: Dataset) -> Path:
    """That of a run, or else of its dataset, or else the system's for temporary files, which may be in memory."""
    folders = [existing_parent(folder)] if folder else []
    folders += [dataset.folder, Path(tempfile.gettempdir())]
    return next(path for path in folders if os.access(path, os.W_OK) or path == folders[-1])


def _build_model(dataset: Dataset, config: RunConfig, memory: TableMemory | None) -> TwoTower:
    embedding = FeatureEmbedding(
        dataset.schema,
        dataset.vocabulary_sizes,
        config.embedding_dim,
        config.embedding_init,
        config.embedding_l2,
        memory,
    )
    if embedding.mapped and memory and memory.training:
        _check_mapped(embedding, embedding.mapped, config)
    ranker = _instantiate(plugins.RANKERS, config.ranker, config.ranker_options)
    cold_start = make_cold_start(config)
    cell = f"{config.ranker}+{config.cold_start} on {dataset.name}"
    own = own_plugins(config)
    make = partial(TwoTower, embedding, ranker, cold_start, config.history)
    return _build_own(make, config, cell, own) if own else _build_shipped(make, cell)


def _build_shipped(make: Callable[..., TwoTower], cell: str) -> TwoTower:
    """A model of our own classes (MailError: they do not suit the dataset, or need too much memory)."""
    try:
        with out_of_memory_in_one_line(cell, "Set smaller options of the ranker or the method"):
            return make(autograph=False)
    except ValueError as error:
        if str(error).startswith("Exception encountered"):
            raise
        raise MailError(f"{cell}: {error}") from error


def _build_own(make: Callable[..., TwoTower], config: RunConfig, cell: str, own: list[Any]) -> TwoTower:
    """A model with a user's class; whatever goes wrong comes from there, and is reported before anything is trained."""
    try:
        model = make()
        _trace(model, config)
    except Exception as error:
        place = place_of_error(error, own) or place_of_definition(own)
        contract = CONTRACTS[kind_at_fault(error, config)]
        raise MailError(f"{cell}: {place}{sentence([short_message(error)])} {contract}") from error
    return model


def _check_mapped(embedding: FeatureEmbedding, mapped: MappedTable, config: RunConfig) -> None:
    """Refuse what cannot be done with a table that does not fit in memory (MailError)."""
    table = (
        f"embedding_dim = {config.embedding_dim}: {embedding.rows:,} embeddings with their moments take "
        f"{table_bytes(embedding.rows, config.embedding_dim) / 1e6:,.3g} MB, more than --table-memory. "
    )
    if config.optimizer != "sparse_adam":
        raise MailError(
            f"{table}optimizer = {config.optimizer} changes all of them in every step. Expected sparse_adam."
        )
    if distribute.replica_count() > 1:
        raise MailError(f"{table}Several replicas need all of them in memory. Expected 1 replica, or more memory.")
    steps = {"behavior": config.history}
    columns = sum(field.values * steps.get(field.group, 1) for field in embedding.schema.fields)
    batch_rows = min(config.batch_size * columns + embedding.actions, embedding.rows)
    if batch_rows > mapped.capacity:
        needed = math.ceil(needed_memory(embedding.rows, batch_rows, config.embedding_dim) / 1e6)
        raise MailError(f"{table}A batch may have {batch_rows:,} of them. Expected --table-memory {needed}MB or more.")


def make_cold_start(config: RunConfig) -> ColdStartMethod:
    """The cold-start method of a run, which has no variables yet (MailError as `make_model`)."""
    method: ColdStartMethod = _instantiate(plugins.COLD_STARTS, config.cold_start, config.cold_start_options)
    return method


def check_option_values(config: RunConfig) -> None:
    """Refuse options that the constructor of the ranker or of the method refuses (MailError); builds no model."""
    _instantiate(plugins.RANKERS, config.ranker, config.ranker_options)
    make_cold_start(config)


def _trace(model: TwoTower, config: RunConfig) -> None:
    """Score two impressions, and trace scoring and a training step for any batch size, as a run will.

    Raises:
        ValueError: the ranker does not return a logit for each impression of a batch.
    """
    one = example_batch(model.embedding.schema, model.history)
    # A method may draw random numbers: the run then begins where it would have begun.
    states = [(variable, variable.numpy()) for variable in model.non_trainable_variables]
    logits = model.call({name: tf.repeat(tensor, 2, axis=0) for name, tensor in one.items()})
    for variable, state in states:
        variable.assign(state)
    if logits.shape != (2,):
        raise ValueError(
            "`call(features, training)` should return click logits of shape [B]. Received for two impressions: "
            f"{tuple(logits.shape)}"
        )
    model.as_graph(model.probabilities).get_concrete_function()
    make_step(model, config).trace()


def _instantiate(kind: plugins.PluginKind, name: str, options: Options) -> Any:
    """An instance with the options, each cast to the type of the constructor's default."""
    plugin = _plugin_class(kind, name)
    if not isinstance(plugin, type):
        if options:
            raise MailError(f"{kind.title} '{name}' is a function, so it has no options. Received: {quoted(options)}")
        return _FunctionRanker(plugin)
    defaults = options_of(plugin)
    plugins.check_options(kind, name, options, defaults)
    try:
        types = option_types(plugin) if options else {}
        cast = {key: cast_option(defaults[key], types.get(key), key, value) for key, value in options.items()}
        return plugin(**cast)
    except Exception as error:
        place = place_of_error(error, [plugin] if plugins.is_external(kind, name) else [])
        if isinstance(error, (ValueError, TypeError)):
            raise MailError(f"{kind.title} '{name}': {place}{error}") from error
        if not place:
            raise
        raise MailError(f"{kind.title} '{name}': {place}{short_message(error)}") from error


def _plugin_class(kind: plugins.PluginKind, name: str) -> Any:
    """The class with that name; for a ranker, it may also be a plain function.

    Raises:
        MailError: it is something else.
    """
    plugin = plugins.load(kind, name)
    base = ColdStartMethod if kind is plugins.COLD_STARTS else keras.layers.Layer
    if isinstance(plugin, type) and issubclass(plugin, base):
        return plugin
    if inspect.isfunction(plugin) and kind is plugins.RANKERS:
        return plugin
    if isinstance(plugin, keras.layers.Layer):
        raise MailError(
            f"{kind.title} '{name}': is an instance: a second run would start from the first one's weights. "
            "Give its class."
        )
    expected = {
        plugins.COLD_STARTS: "a subclass of mailcli.models.ColdStartMethod",
        plugins.RANKERS: "a keras.layers.Layer with `call(features, training)`, or such a function",
    }
    raise MailError(
        f"{kind.title} '{name}': should be {expected[kind]}. Received: {type(plugin).__name__} {plugin!r:.80}"
    )


def option_names(kind: plugins.PluginKind, name: str) -> list[str]:
    """The options of a ranker or cold-start method."""
    plugin = _plugin_class(kind, name)
    return list(options_of(plugin)) if isinstance(plugin, type) else []


def is_two_stage(config: RunConfig) -> bool:
    """Whether the cold-start method is fitted to the ranker of the baseline run."""
    return class_flag(plugins.COLD_STARTS, config.cold_start, "two_stage")


def is_continuable(config: RunConfig) -> bool:
    """Whether a run with the cold-start method can be continued on another dataset."""
    return class_flag(plugins.COLD_STARTS, config.cold_start, "continuable")


def class_flag(kind: plugins.PluginKind, name: str, flag: str) -> bool:
    """What the class of a ranker or method says about itself; False for a flag that it lacks.

    Raises:
        MailError: it is neither True nor False, such as a property, which counts as true.
    """
    value = getattr(_plugin_class(kind, name), flag, False)
    if not isinstance(value, bool):
        raise MailError(
            f"{kind.title} '{name}': {flag} is a {type(value).__name__}. Expected True or False, as an attribute of "
            "the class."
        )
    return value


class _FunctionRanker(keras.layers.Layer):
    """A plain function `features, training -> logits` as a ranker; it has no variables of its own."""

    def __init__(self, function: Any) -> None:
        super().__init__(name="function_ranker")
        self._function = function

    def call(self, features: Features, training: bool = False) -> Tensor:
        return self._function(features, training)
