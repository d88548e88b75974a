"""A trained model behind raw values: what `mail export` saves. Vocabularies and the item table are inside.

The user's part of a request (attributes, history) is embedded once; then it meets each of the candidates.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from mailcli.config import RunConfig
from mailcli.data.batches import Batches, target_ids
from mailcli.data.dataset import Dataset
from mailcli.data.numbering import current_numbering
from mailcli.data.protocol import views
from mailcli.data.schema import FIRST_ID, PADDING, UNKNOWN, Field
from mailcli.errors import MailError
from mailcli.models.features import Tensor
from mailcli.models.two_tower import TwoTower
from mailcli.serving.lookups import last_steps, lookup, pack_values, unknown_ids
from mailcli.serving.signatures import Input, Inputs, Signature, check_shapes

#: The outputs, in the order of `TwoTower.probabilities`.
OUTPUTS = ("click", "ctcvr")
#: What runs Python code, which a server does not have.
PYTHON_OPERATIONS = {"PyFunc", "PyFuncStateless", "EagerPyFunc"}
#: Bytes of the lookups beyond which saved_model.pb cannot hold them (Protocol Buffers stop at 2 GiB).
LARGEST_GRAPH = 2_000_000_000


class ServedModel:
    """The scores of U users x N candidates from raw values.

    Args:
        model: trained.
        dataset: its dataset.
        config: the run's. Under `strict` the ids of the drawn users count as unknown, as in training.
        with_users: whether the users' attributes go inside, for the signature `known_users`.

    Raises:
        MailError: the vocabularies are larger than a saved graph can be, or two inputs have the same name.
    """

    def __init__(self, model: TwoTower, dataset: Dataset, config: RunConfig, with_users: bool = False) -> None:
        self._model, self._dataset, self._n_v = model, dataset, config.history
        self._schema = dataset.schema
        self.inputs = Inputs(dataset, config.history)
        scaled = set(dataset.schema.dense) <= set(dataset.manifest.get("dense", {}))
        self.signatures: list[Signature] = self.inputs.signatures(scaled, with_users)
        _check_size(dataset, with_users)
        # All that a SavedModel has to keep. Not the layers: they would need Keras.
        self.module = tf.Module(name="mail")
        self.module.weights = [variable.value for variable in model.variables]
        batches = Batches(dataset, views(dataset, config)["test"], config.history, config.batch_size)
        self._add_vocabularies(dataset.column("users", "raw")[batches.view.anonymous])
        self._add_items()
        if with_users:
            self._add_users(batches)
        self._core = tf.function(self._scores, input_signature=self._core_signature())

    def _add_vocabularies(self, anonymous: NDArray) -> None:
        """The ids of all vocabularies, and of the actions; the users who are `anonymous` are unknown."""
        tables = {}
        for name in self._schema.vocabularies():
            values = self._dataset.column("vocabularies", name)
            ids = np.arange(FIRST_ID, FIRST_ID + len(values))
            if name == self._schema.user:
                ids = np.where(np.isin(values, anonymous), UNKNOWN, ids)
            tables[name] = lookup(values, ids, UNKNOWN)
        actions = np.array(self._schema.actions)
        self.module.actions = lookup(actions, np.arange(FIRST_ID, FIRST_ID + len(actions)), PADDING)
        self.module.ids = tables

    def _add_items(self) -> None:
        """The item table; the row behind the last is an unknown item's."""
        dataset, raw = self._dataset, self._dataset.column("items", "raw")
        rows = np.arange(len(raw))
        self.module.item_rows = lookup(raw, rows, len(raw))
        ids = np.concatenate([target_ids(dataset, rows), unknown_ids(self._schema.group("target"))[None]])
        self.module.item_ids = tf.Variable(ids, trainable=False, name="item_ids")
        dense = [np.append(dataset.column("items", name), np.float32(0)) for name in self._schema.dense]
        of_items = np.stack(dense, axis=-1) if dense else np.empty((len(raw) + 1, 0), np.float32)
        self.module.item_dense = tf.Variable(of_items, trainable=False, name="item_dense")

    def _add_users(self, batches: Batches) -> None:
        """The user table; the row behind the last is an unknown user's."""
        raw = self._dataset.column("users", "raw")
        ids = batches.attributes(np.arange(len(raw)))
        self.module.user_rows = lookup(raw, np.arange(len(raw)), len(raw))
        unknown = unknown_ids(self._schema.group("attributes"))[None]
        self.module.user_ids = tf.Variable(np.concatenate([ids, unknown]), trainable=False, name="user_ids")

    # Ids to scores

    def _core_signature(self) -> list[tf.TensorSpec]:
        schema, columns = self._schema, self.module.item_ids.shape[1]
        # Those of behaviors and context have one value each.
        groups = {
            name: sum(field.values for field in schema.group(name))  # type: ignore[arg-type]
            for name in ("attributes", "behavior", "context")
        }
        return [
            tf.TensorSpec([None, groups["attributes"]], tf.int32),
            tf.TensorSpec([None, None, groups["behavior"]], tf.int32),
            tf.TensorSpec([None, None], tf.int32),
            tf.TensorSpec([None, groups["context"]], tf.int32),
            tf.TensorSpec([None, None, columns], tf.int32),
            tf.TensorSpec([None, None, len(schema.dense)], tf.float32),
        ]

    def _scores(
        self, attributes: Tensor, steps: Tensor, actions: Tensor, context: Tensor, target: Tensor, dense: Tensor
    ) -> Tensor:
        """[U, N, heads] of attributes [U, columns], steps [U, T, fields], actions [U, T], context [U, n_c], target
        [U, N, columns] and dense features [U, N, n_dense]; the steps whose action is PADDING do not count."""
        asked = tf.shape(target)
        # At least one of each: of no users a kernel of TensorFlow 2.21 divides by zero, which ends the server.
        no_user, no_item = tf.unstack(tf.cast(asked[:2] == 0, tf.int32))
        attributes, context = (
            tf.pad(ids, [[0, no_user], [0, 0]], constant_values=UNKNOWN) for ids in (attributes, context)
        )
        steps, actions = tf.pad(steps, [[0, no_user], [0, 0], [0, 0]]), tf.pad(actions, [[0, no_user], [0, 0]])
        target = tf.pad(target, [[0, no_user], [0, no_item], [0, 0]], constant_values=UNKNOWN)
        dense = tf.pad(dense, [[0, no_user], [0, no_item], [0, 0]])
        users, candidates = tf.unstack(tf.shape(target)[:2])
        each = tf.repeat(tf.range(users), candidates)
        rows = tf.size(each)
        steps, actions = last_steps(steps, actions, self._n_v)
        of_user = self._model.embedding(
            {
                "attributes": attributes,
                "behaviors": steps,
                "actions": actions,
                "context": context,
                "target": tf.fill([users, target.shape[2]], UNKNOWN),
                "dense": tf.zeros([users, dense.shape[2]]),
                "user": tf.range(users),
            }
        )
        of_item = self._model.embedding(
            {
                "attributes": tf.fill([rows, attributes.shape[1]], UNKNOWN),
                "behaviors": tf.zeros([rows, 0, steps.shape[2]], tf.int32),
                "actions": tf.zeros([rows, 0], tf.int32),
                "context": tf.fill([rows, context.shape[1]], UNKNOWN),
                "target": tf.reshape(target, [rows, target.shape[2]]),
                "dense": tf.reshape(dense, [rows, dense.shape[2]]),
                "user": each,
            }
        )
        own = attributes.shape[1] + context.shape[1]
        features = of_user.rows(each)
        features = features._replace(
            target=of_item.target,
            dense=of_item.dense,
            query=of_item.query,
            target_id=of_item.target_id,
            table_rows=tf.concat([features.table_rows[:, :own], of_item.table_rows[:, own:]], axis=1),
        )
        found = self._model.probabilities_of(features)
        return tf.reshape(found, [users, candidates, found.shape[1]])[: asked[0], : asked[1]]

    # Raw values to ids

    def concrete(self, signature: Signature) -> Any:
        """The graph of a signature: raw values by name -> OUTPUTS by name, [U, N] each.

        Raises:
            MailError: it calls Python code.
        """

        def answer(**given: Tensor) -> dict[str, Tensor]:
            raw = check_shapes(signature.inputs, given)
            attributes = self._attributes(raw)
            users = tf.shape(attributes)[0]
            target, dense = self._known_items(raw["item"]) if _by_id(signature) else self._given_items(raw)
            context = self._stacked(self.inputs.context, raw, users)
            steps, actions = self._steps(raw, users)
            found = self._core(attributes, steps, actions, context, target, dense)
            return {name: found[:, :, place] for place, name in enumerate(OUTPUTS[: found.shape[2]])}

        specs = {each.name: each.spec for each in signature.inputs}
        graph = tf.function(answer).get_concrete_function(**specs)
        _refuse_python(graph)
        return graph

    def _ids(self, each: Input, raw: dict[str, Tensor]) -> Tensor:
        table = self.module.ids[each.vocabulary] if each.vocabulary else self.module.actions
        return tf.cast(table.lookup(raw[each.name]), tf.int32)

    def _columns(self, inputs: list[Input], fields: tuple[Field, ...], raw: dict[str, Tensor]) -> Tensor:
        """[..., columns of the fields], their ids; the values of multi-valued fields side by side."""
        parts = []
        for each, field in zip(inputs, fields, strict=True):
            found = self._ids(each, raw)
            many = field.values > 1
            parts.append(pack_values(found, raw[each.name] == each.missing) if many else found[..., None])
        return tf.concat(parts, axis=-1)

    def _stacked(self, inputs: list[Input], raw: dict[str, Tensor], users: Tensor) -> Tensor:
        """[U, inputs], their ids."""
        found = [self._ids(each, raw) for each in inputs]
        return tf.stack(found, axis=1) if found else tf.zeros([users, 0], tf.int32)

    def _attributes(self, raw: dict[str, Tensor]) -> Tensor:
        if any(each.name not in raw for each in self.inputs.users):
            rows = self.module.user_rows.lookup(raw[self.inputs.user.name])
            return tf.gather(self.module.user_ids, rows)
        return self._columns(self.inputs.users, self._schema.group("attributes"), raw)

    def _steps(self, raw: dict[str, Tensor], users: Tensor) -> tuple[Tensor, Tensor]:
        *fields, action = self.inputs.history
        if action.name not in raw:
            return tf.zeros([users, 0, len(fields)], tf.int32), tf.zeros([users, 0], tf.int32)
        return tf.stack([self._ids(each, raw) for each in fields], axis=2), self._ids(action, raw)

    def _known_items(self, raw: Tensor) -> tuple[Tensor, Tensor]:
        rows = self.module.item_rows.lookup(raw)
        return tf.gather(self.module.item_ids, rows), tf.gather(self.module.item_dense, rows)

    def _given_items(self, raw: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        fields = self._schema.group("target")
        of_fields, of_numbers = self.inputs.features[: len(fields)], self.inputs.features[len(fields) :]
        target = self._columns(of_fields, fields, raw)
        numbers = [self._scale(each.field, raw[each.name]) for each in of_numbers]
        dense = tf.stack(numbers, axis=2) if numbers else tf.zeros(tf.concat([tf.shape(target)[:2], [0]], axis=0))
        return target, dense

    def _scale(self, name: str, values: Tensor) -> Tensor:
        """As preprocessing did: log(1 + x), standardised; NaN and infinity become the mean."""
        scale = current_numbering(self._dataset).dense[name]
        numbers = tf.math.log1p(tf.maximum(tf.cast(values, tf.float64), 0.0))
        numbers = (numbers - scale["log1p_mean"]) / scale["log1p_std"]
        return tf.cast(tf.where(tf.math.is_finite(values), numbers, tf.zeros_like(numbers)), tf.float32)


def _by_id(signature: Signature) -> bool:
    """Whether candidates are told by their id alone."""
    return signature.name != "item_features"


def _check_size(dataset: Dataset, with_users: bool) -> None:
    raw = [dataset.column("vocabularies", name) for name in dataset.schema.vocabularies()]
    raw += [dataset.column("items", "raw"), *([dataset.column("users", "raw")] if with_users else [])]
    # Each value has a number of eight bytes.
    size = sum(values.nbytes + 8 * len(values) for values in raw)
    if size > LARGEST_GRAPH:
        raise MailError(
            f"{dataset.folder}: its vocabularies and items take {size / 1e9:.1f} GB. A SavedModel holds at most "
            f"{LARGEST_GRAPH / 1e9:.0f} GB of them."
        )


def _refuse_python(graph: Any) -> None:
    """Refuse a graph that calls Python code (MailError)."""
    definition = graph.graph.as_graph_def()
    nodes = [*definition.node, *(node for function in definition.library.function for node in function.node_def)]
    if PYTHON_OPERATIONS & {node.op for node in nodes}:
        raise MailError(
            "the model calls Python code (tf.py_function or tf.numpy_function), which TensorFlow alone cannot run. "
            "Expected TensorFlow operations."
        )
