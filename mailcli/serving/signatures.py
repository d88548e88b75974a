"""What a request to an exported model holds: the inputs of each signature, from the dataset's schema."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from mailcli.data.dataset import Dataset
from mailcli.data.derivations import RAW, Derivation
from mailcli.data.schema import Field
from mailcli.data.texts import is_text
from mailcli.errors import MailError, repeated
from mailcli.serving.time_limits import time_limits

#: Stands for a missing whole number: preprocessing never gives it an id, so no vocabulary has it.
MISSING_NUMBER = int(np.iinfo(np.int64).min)
MISSING_TEXT = ""
#: The input with the actions of the behaviors.
ACTION = "history_action"
#: The input with the time, from which hours and weekdays are computed.
TIME = "context_time"
#: The signature that reports unknown values instead of scores.
UNKNOWN_VALUES = "unknown_values"
#: Axes whose size a request chooses: users, steps of the longest history, candidates.
SIZES = ("U", "T", "N")
#: Inputs that are named without a prefix.
_UNPREFIXED = {"user", "item"}


class Input(NamedTuple):
    """One input of a signature."""

    name: str
    spec: tf.TensorSpec
    field: str
    """The dataset's name for it."""
    vocabulary: str | None
    """Where its values get their ids; None for items of the item table, actions and numbers."""
    meaning: str
    derivation: Derivation = RAW
    """How its values are made from what a request gives."""

    @property
    def axes(self) -> list[str | int]:
        """`U`, `T` and `N`; a number is that of the values of a multi-valued field."""
        names = iter(["U", "T" if self.name.startswith("history_") else "N"])
        return [size or next(names) for size in self.spec.shape.as_list()]

    @property
    def axes_text(self) -> str:
        """The axes as text, e.g. `[U, N]`."""
        return f"[{', '.join(map(str, self.axes))}]"

    @property
    def is_number(self) -> bool:
        """Whether it is a number that enters the model as such: a feature of an item that is `dense`."""
        return self.spec.dtype.is_floating and not self.vocabulary

    @property
    def missing(self) -> int | str | float:
        """The value that stands for a missing one."""
        if self.is_number:
            return float("nan")
        return MISSING_TEXT if self.spec.dtype == tf.string else MISSING_NUMBER


class Signature(NamedTuple):
    """A kind of request."""

    name: str
    inputs: tuple[Input, ...]
    meaning: str


class SignatureInputs:
    """The inputs of a dataset's signatures, by the part they play. A request is for U users with N candidates each.

    Args:
        dataset: the dataset.
        history: n_v of the run.

    Raises:
        MailError: two inputs have the same name.
    """

    def __init__(self, dataset: Dataset, history: int) -> None:
        schema = dataset.schema
        self._derivation = dataset.derivation
        self._dtypes = {name: _dtype(dataset.column("vocabularies", name)) for name in schema.vocabularies()}
        past = f"behaviors, oldest first; the last {history} count"
        self.users = [
            self._of_field(
                f,
                "user",
                [None] if f.values == 1 else [None, f.values],
                "id of the user" if f.vocabulary == schema.user else "attribute of the user",
            )
            for f in schema.group("attributes")
        ]
        self.user = next(input_ for input_ in self.users if input_.vocabulary == schema.user)
        self.history = [self._of_field(f, "history", [None, None], past) for f in schema.group("behavior")]
        action = tf.TensorSpec([None, None], tf.string, ACTION)
        self.history.append(
            Input(ACTION, action, "action", None, "their actions; places without a known one are skipped")
        )
        self.context = [self._of_field(f, "context", [None], "context of the request") for f in schema.group("context")]
        """Of all fields; a request gives the time instead of hours and weekdays."""
        clocks = [input_.field for input_ in self.context if input_.derivation.clock]
        time = tf.TensorSpec([None], tf.int64, TIME)
        meaning = f"time of the request in seconds since 1970, from which the model computes {' and '.join(clocks)}"
        self.limits = time_limits(dataset) if clocks else None
        self.time = [Input(TIME, time, "time", None, meaning)] if clocks else []
        self.given_context = [*(input_ for input_ in self.context if not input_.derivation.clock), *self.time]
        """What a request gives."""
        item = tf.TensorSpec([None, None], _dtype(dataset.column("items", "raw")), "item")
        self.items = [Input("item", item, "item", None, "candidates, by id")]
        self.features = [
            self._of_field(
                f, "item", [None, None] if f.values == 1 else [None, None, f.values], "feature of the candidates"
            )
            for f in schema.group("target")
        ]
        for name in schema.dense:
            spec = tf.TensorSpec([None, None], tf.float64, _input_name("item", name))
            meaning = "number of the candidates, as in the raw file"
            self.features.append(Input(spec.name, spec, name, None, meaning, dataset.dense_derivation(name)))
        names = [input_.name for input_ in (*self.users, *self.history, *self.given_context, *self.features)]
        twice = sorted(repeated(names))
        if twice:
            raise MailError(
                f"{dataset.folder}: two fields would both be the input '{twice[0]}'. Give one of them another name."
            )

    def _of_field(self, field: Field, prefix: str, shape: list[int | None], meaning: str) -> Input:
        name, derivation = _input_name(prefix, field.name), self._derivation(field)
        dtype = self._dtypes[field.vocabulary]
        if derivation.edges:
            dtype, meaning = tf.float64, f"{meaning}: the number of the raw files, cut at {derivation.edges_text}"
        return Input(name, tf.TensorSpec(shape, dtype, name), field.name, field.vocabulary, meaning, derivation)

    def signatures(self, with_features: bool, with_users: bool) -> list[Signature]:
        """The kinds of requests.

        Args:
            with_features: whether candidates may be given by their features.
            with_users: whether users may be given by their id alone.
        """
        users, history, context, items = self.users, self.history, self.given_context, self.items
        signatures = [
            Signature("serving_default", (*users, *history, *context, *items), "users by attributes, with histories"),
            Signature("new_users", (*users, *context, *items), "users by attributes, without histories"),
        ]
        if with_features:
            inputs = (*users, *history, *context, *self.features)
            meaning = "candidates by their features, not by the item table"
            signatures.append(Signature("item_features", inputs, meaning))
        if with_users:
            inputs = (self.user, *history, *context, *items)
            meaning = "users of the dataset by their id, with histories"
            signatures.append(Signature("known_users", inputs, meaning))
        meaning = "which attributes and context values of a request are unknown"
        return [*signatures, Signature(UNKNOWN_VALUES, (*users, *context), meaning)]


def _input_name(prefix: str, field: str) -> str:
    """The name of an input; it must also be valid as the name of a Python argument."""
    is_unprefixed = prefix == field and prefix in _UNPREFIXED
    return prefix if is_unprefixed else f"{prefix}_{field}".replace("-", "_")


def _dtype(values: np.ndarray) -> tf.DType:
    return tf.string if is_text(values) else tf.int64
