"""What a request to an exported model holds: the inputs of each signature, from the dataset's schema."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from mailcli.data.dataset import Dataset
from mailcli.data.schema import Field
from mailcli.errors import MailError
from mailcli.models.features import Tensor

#: Stands for a missing whole number: preprocessing gives it no id, so no vocabulary has it.
MISSING_NUMBER = int(np.iinfo(np.int64).min)
MISSING_TEXT = ""
#: The input of the behaviors' actions.
ACTION = "history_action"
#: Axes whose size a request chooses.
_SIZES = ("U", "T", "N")
#: Inputs that are named without a prefix.
_WHOLE = {"user", "item"}


class Input(NamedTuple):
    """One input of a signature."""

    name: str
    spec: tf.TensorSpec
    field: str
    """The dataset's name for it."""
    vocabulary: str | None
    """Where its values get their ids; None for items of the item table, actions and numbers."""
    meaning: str

    @property
    def axes(self) -> list[str | int]:
        """`U`, `T` and `N`; a number is that of a multi-valued field's values."""
        names = iter(["U", "T" if self.name.startswith("history_") else "N"])
        return [size or next(names) for size in self.spec.shape.as_list()]

    @property
    def shown(self) -> str:
        """The axes as documents have them."""
        return f"[{', '.join(map(str, self.axes))}]"

    @property
    def missing(self) -> int | str | float:
        """The value that stands for a missing one."""
        if self.spec.dtype == tf.float32:
            return float("nan")
        return MISSING_TEXT if self.spec.dtype == tf.string else MISSING_NUMBER


class Signature(NamedTuple):
    """One way to ask."""

    name: str
    inputs: tuple[Input, ...]
    meaning: str


class Inputs:
    """The inputs of a dataset's signatures, by what they tell of. U users are asked for N candidates each.

    Args:
        dataset: the dataset.
        history: n_v of the run.

    Raises:
        MailError: two inputs have the same name.
    """

    def __init__(self, dataset: Dataset, history: int) -> None:
        schema = dataset.schema
        self._dtypes = {name: _dtype(dataset.column("vocabularies", name)) for name in schema.vocabularies()}
        past = f"behaviors, oldest first; the last {history} count"
        self.users = [
            self._of(f, "user", [None] if f.values == 1 else [None, f.values], "attribute of the user")
            for f in schema.group("attributes")
        ]
        self.user = next(each for each in self.users if each.vocabulary == schema.user)
        self.history = [self._of(f, "history", [None, None], past) for f in schema.group("behavior")]
        action = tf.TensorSpec([None, None], tf.string, ACTION)
        self.history.append(Input(ACTION, action, "action", None, "their actions; a place that is none holds no step"))
        self.context = [self._of(f, "context", [None], "context of the request") for f in schema.group("context")]
        item = tf.TensorSpec([None, None], _dtype(dataset.column("items", "raw")), "item")
        self.items = [Input("item", item, "item", None, "candidates, by id")]
        self.features = [
            self._of(f, "item", [None, None] if f.values == 1 else [None, None, f.values], "feature of the candidates")
            for f in schema.group("target")
        ]
        for name in schema.dense:
            spec = tf.TensorSpec([None, None], tf.float32, _named("item", name))
            self.features.append(Input(spec.name, spec, name, None, "number of the candidates, as in the raw file"))
        every = (*self.users, *self.history, *self.context, *self.features)
        names = [each.name for each in every]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise MailError(
                f"{dataset.folder}: two fields would both be the input '{twice[0]}'. Give one of them another name."
            )

    def _of(self, field: Field, prefix: str, shape: list[int | None], meaning: str) -> Input:
        name = _named(prefix, field.name)
        spec = tf.TensorSpec(shape, self._dtypes[field.vocabulary], name)
        return Input(name, spec, field.name, field.vocabulary, meaning)

    def signatures(self, features: bool, known: bool) -> list[Signature]:
        """The ways to ask.

        Args:
            features: whether candidates may be told by their features.
            known: whether users may be told by their id alone.
        """
        users, history, context, items = self.users, self.history, self.context, self.items
        asked = [
            Signature("serving_default", (*users, *history, *context, *items), "users by attributes, with histories"),
            Signature("new_users", (*users, *context, *items), "users by attributes, without histories"),
        ]
        if features:
            given = (*users, *history, *context, *self.features)
            asked.append(Signature("item_features", given, "candidates by their features, not by the item table"))
        if known:
            by_id = (self.user, *history, *context, *items)
            asked.append(Signature("known_users", by_id, "users of the dataset by their id, with histories"))
        return asked


def check_shapes(inputs: tuple[Input, ...], raw: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a request, of one U, T and N: what is made of them waits until all of them were compared.

    A server does not compare shapes with the signature's, some kernels divide by a size that is zero, and others
    broadcast. The first input that has an axis tells its size.

    Returns:
        The tensors. When the graph runs, it raises tf.errors.InvalidArgumentError that names the first input of another
        shape.
    """
    # Of shapes that are known by the signature alone, TensorFlow would take the comparison for done.
    shapes = {
        each.name: tf.shape(tf.raw_ops.PlaceholderWithDefault(input=raw[each.name], shape=tf.TensorShape(None)))
        for each in inputs
    }
    checks: list[tf.Operation] = []
    # One after another, so that of several faults the same one is told each time.
    for each in inputs:
        told = [
            f"input '{each.name}' has the shape",
            shapes[each.name],
            f"Expected {len(each.axes)} axes: {each.shown}",
        ]
        with tf.control_dependencies(checks):
            checks.append(tf.debugging.Assert(tf.equal(tf.size(shapes[each.name]), len(each.axes)), told))
    first = {axis: (each.name, place) for each in reversed(inputs) for place, axis in enumerate(each.axes)}
    with tf.control_dependencies(checks):
        sizes = {axis: tf.identity(shapes[name])[place] for axis, (name, place) in first.items() if axis in _SIZES}
    for each in inputs:
        expected = tf.stack([sizes.get(axis, axis) for axis in each.axes])
        by = [f"{axis} is that of '{first[axis][0]}'" for axis in each.axes if axis in _SIZES]
        named = f"{each.shown}: {', '.join(by)}"
        told = [f"input '{each.name}' has the shape", shapes[each.name], "Expected", expected, named]
        with tf.control_dependencies(checks):
            checks.append(tf.debugging.Assert(tf.reduce_all(tf.equal(shapes[each.name], expected)), told))
    with tf.control_dependencies(checks):
        return {each.name: tf.identity(raw[each.name]) for each in inputs}


def _named(prefix: str, field: str) -> str:
    """The name of an input, which is an argument's in Python, too."""
    whole = prefix == field and prefix in _WHOLE
    return prefix if whole else f"{prefix}_{field}".replace("-", "_")


def _dtype(values: np.ndarray) -> tf.DType:
    return tf.string if values.dtype.kind == "U" else tf.int64
