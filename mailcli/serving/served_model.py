"""A trained model that takes raw values: what `mail export` saves. Vocabularies and the item table are inside.

The user's part of a request (attributes, history) is embedded once, and then combined with each of the candidates.
"""

from __future__ import annotations

import math
from typing import Any

import tensorflow as tf

from mailcli.config import RunConfig
from mailcli.data.batches import Batches
from mailcli.data.dataset import Dataset
from mailcli.data.numbering import current_numbering, missing_number
from mailcli.data.protocol import hidden_ids, views
from mailcli.data.schema import UNKNOWN, Field
from mailcli.errors import MailError
from mailcli.models.features import Features, Tensor
from mailcli.models.two_tower import TwoTower
from mailcli.serving.lookups import is_repeated, pack_values, take_last_steps
from mailcli.serving.raw_inputs import checked_time, column_values, is_missing
from mailcli.serving.request_tables import add_items, add_users, add_vocabularies, check_size
from mailcli.serving.shape_checks import check_shapes
from mailcli.serving.signatures import TIME, UNKNOWN_VALUES, Input, Signature, SignatureInputs

#: The outputs, in the order of `TwoTower.probabilities`.
OUTPUTS = ("click", "ctcvr")
#: Operations that run Python code, which a server does not have.
PYTHON_OPERATIONS = {"PyFunc", "PyFuncStateless", "EagerPyFunc"}


class ServedModel:
    """Scores U users x N candidates from raw values.

    Args:
        model: trained.
        dataset: its dataset.
        config: the run's. Under `strict` the ids of users drawn as new count as unknown, as in training.
        with_users: whether the users' attributes are stored inside, for the signature `known_users`.

    Raises:
        MailError: the vocabularies are too large for a saved graph or the table for memory, or two inputs have the same
            name.
    """

    def __init__(self, model: TwoTower, dataset: Dataset, config: RunConfig, with_users: bool = False) -> None:
        if model.embedding.mapped:
            raise MailError(
                f"{model.embedding.rows:,} embeddings do not fit in memory, but a SavedModel holds all. Export on "
                "a machine with more memory."
            )
        self._model, self._dataset, self._n_v = model, dataset, config.history
        self._schema = dataset.schema
        self.inputs = SignatureInputs(dataset, config.history)
        has_scales = set(dataset.schema.dense) <= set(dataset.manifest.get("dense", {}))
        self.signatures: list[Signature] = self.inputs.signatures(with_features=has_scales, with_users=with_users)
        check_size(dataset, with_users)
        # All that a SavedModel has to keep. Not the layers: they would need Keras.
        self.module = tf.Module(name="mail")
        self.module.weights = [variable.value for variable in model.variables]
        batches = Batches.of_run(dataset, views(dataset, config)["test"], config)
        add_vocabularies(self.module, dataset, hidden_ids(dataset, config, batches.view))
        add_items(self.module, dataset)
        if with_users:
            add_users(self.module, dataset, batches)
        self._core = tf.function(self._scores, input_signature=self._core_signature(), autograph=model.autograph)

    # Ids -> scores

    def _core_signature(self) -> list[tf.TensorSpec]:
        schema, columns = self._schema, self.module.item_ids.shape[1]
        # Fields of behaviors and context have one value each.
        widths = {
            name: sum(field.values for field in schema.group(name))  # type: ignore[arg-type]
            for name in ("attributes", "behavior", "context")
        }
        return [
            tf.TensorSpec([None, widths["attributes"]], tf.int32),
            tf.TensorSpec([None, None, widths["behavior"]], tf.int32),
            tf.TensorSpec([None, None], tf.int32),
            tf.TensorSpec([None, widths["context"]], tf.int32),
            tf.TensorSpec([None, None, columns], tf.int32),
            tf.TensorSpec([None, None, len(schema.dense)], tf.float32),
        ]

    def _scores(
        self, attributes: Tensor, steps: Tensor, actions: Tensor, context: Tensor, target: Tensor, dense: Tensor
    ) -> Tensor:
        """The scores of a request.

        Args:
            attributes: [U, columns].
            steps: [U, T, fields]; those whose action is PADDING do not count.
            actions: [U, T].
            context: [U, n_c].
            target: [U, N, columns].
            dense: [U, N, n_dense].

        Returns:
            [U, N, heads].
        """
        requested = tf.shape(target)
        # At least one user and one item: without users, a kernel of TensorFlow 2.21 divides by zero: the server dies.
        no_user, no_item = tf.unstack(tf.cast(requested[:2] == 0, tf.int32))
        attributes, context = (
            tf.pad(ids, [[0, no_user], [0, 0]], constant_values=UNKNOWN) for ids in (attributes, context)
        )
        steps, actions = tf.pad(steps, [[0, no_user], [0, 0], [0, 0]]), tf.pad(actions, [[0, no_user], [0, 0]])
        target = tf.pad(target, [[0, no_user], [0, no_item], [0, 0]], constant_values=UNKNOWN)
        dense = tf.pad(dense, [[0, no_user], [0, no_item], [0, 0]])
        users, candidates = tf.unstack(tf.shape(target)[:2])
        row_users = tf.repeat(tf.range(users), candidates)
        steps, actions = take_last_steps(steps, actions, self._n_v)
        user_features = self._model.embedding(_user_inputs(attributes, steps, actions, context, target, dense))
        item_features = self._model.embedding(_item_inputs(target, dense, row_users, attributes, steps, context))
        user_columns = attributes.shape[1] + context.shape[1]
        features = _combined(user_features.rows(row_users), item_features, user_columns)
        scores = self._model.probabilities_of(features)
        return tf.reshape(scores, [users, candidates, scores.shape[1]])[: requested[0], : requested[1]]

    # Raw values -> ids

    def concrete(self, signature: Signature) -> Any:
        """The graph of a signature: raw values by name -> OUTPUTS by name, [U, N] each, or UNKNOWN_VALUES.

        Raises:
            MailError: it calls Python code.
        """

        def predict(**inputs: Tensor) -> dict[str, Tensor]:
            raw = check_shapes(signature.inputs, inputs)
            if self.inputs.limits:
                raw[TIME] = checked_time(raw[TIME], self.inputs.limits)
            if signature.name == UNKNOWN_VALUES:
                return self._unknown_values(raw)
            attributes = self._attributes(raw)
            users = tf.shape(attributes)[0]
            target, dense = self._items_by_id(raw["item"]) if _by_id(signature) else self._items_by_features(raw)
            context = self._context(raw, users)
            steps, actions = self._steps(raw, users)
            scores = self._core(attributes, steps, actions, context, target, dense)
            return {name: scores[:, :, head] for head, name in enumerate(OUTPUTS[: scores.shape[2]])}

        specs = {input_.name: input_.spec for input_ in signature.inputs}
        graph = tf.function(predict).get_concrete_function(**specs)
        refuse_python(graph)
        return graph

    def _ids(self, input_: Input, raw: dict[str, Tensor]) -> Tensor:
        table = self.module.ids[input_.vocabulary] if input_.vocabulary else self.module.actions
        return tf.cast(table.lookup(column_values(input_, raw)), tf.int32)

    def _unknown_values(self, raw: dict[str, Tensor]) -> dict[str, Tensor]:
        """[U] by name, whether an attribute or context value is given, but does not occur in the training split."""
        outputs = {}
        for input_ in (*self.inputs.users, *self.inputs.context):
            is_unknown = self._ids(input_, raw) == UNKNOWN
            if not input_.derivation.clock:
                is_unknown &= ~is_missing(input_, raw[input_.name])
            outputs[input_.name] = tf.reduce_any(is_unknown, axis=1) if len(is_unknown.shape) > 1 else is_unknown
        return outputs

    def _columns(self, inputs: list[Input], fields: tuple[Field, ...], raw: dict[str, Tensor]) -> Tensor:
        """[..., columns of the fields], their ids; a multi-valued field has several columns."""
        columns = []
        for input_, field in zip(inputs, fields, strict=True):
            ids = self._ids(input_, raw)
            if field.values > 1:
                values = raw[input_.name]
                columns.append(pack_values(ids, is_missing(input_, values) | is_repeated(values)))
            else:
                columns.append(ids[..., None])
        return tf.concat(columns, axis=-1)

    def _attributes(self, raw: dict[str, Tensor]) -> Tensor:
        if any(input_.name not in raw for input_ in self.inputs.users):
            rows = self.module.user_rows.lookup(raw[self.inputs.user.name])
            return tf.gather(self.module.user_ids, rows)
        return self._columns(self.inputs.users, self._schema.group("attributes"), raw)

    def _context(self, raw: dict[str, Tensor], users: Tensor) -> Tensor:
        """[U, n_c]"""
        ids = [self._ids(input_, raw) for input_ in self.inputs.context]
        return tf.stack(ids, axis=1) if ids else tf.zeros([users, 0], tf.int32)

    def _steps(self, raw: dict[str, Tensor], users: Tensor) -> tuple[Tensor, Tensor]:
        *fields, action = self.inputs.history
        if action.name not in raw:
            return tf.zeros([users, 0, len(fields)], tf.int32), tf.zeros([users, 0], tf.int32)
        return tf.stack([self._ids(input_, raw) for input_ in fields], axis=2), self._ids(action, raw)

    def _items_by_id(self, raw: Tensor) -> tuple[Tensor, Tensor]:
        rows = self.module.item_rows.lookup(raw)
        return tf.gather(self.module.item_ids, rows), tf.gather(self.module.item_dense, rows)

    def _items_by_features(self, raw: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        fields = self._schema.group("target")
        field_inputs, number_inputs = self.inputs.features[: len(fields)], self.inputs.features[len(fields) :]
        target = self._columns(field_inputs, fields, raw)
        numbers = [self._scale(input_, raw[input_.name]) for input_ in number_inputs]
        dense = tf.stack(numbers, axis=2) if numbers else tf.zeros(tf.concat([tf.shape(target)[:2], [0]], axis=0))
        return target, dense

    def _scale(self, input_: Input, values: Tensor) -> Tensor:
        """As in preprocessing: log(1 + x), standardized; a missing number becomes the mean of the dataset."""
        scale = current_numbering(self._dataset).dense[input_.field]
        numbers = tf.math.log1p(tf.maximum(tf.cast(values, tf.float64), 0.0))
        numbers = (numbers - scale["log1p_mean"]) / scale["log1p_std"]
        missing = tf.fill(tf.shape(numbers), tf.constant(missing_number(self._dataset, input_.field), tf.float64))
        return tf.cast(tf.where(is_missing(input_, values), missing, numbers), tf.float32)


def _user_inputs(
    attributes: Tensor, steps: Tensor, actions: Tensor, context: Tensor, target: Tensor, dense: Tensor
) -> dict[str, Tensor]:
    """What the embedding reads of U users, as in a batch of U rows; their items are unknown."""
    users = tf.shape(attributes)[0]
    return {
        "attributes": attributes,
        "behaviors": steps,
        "actions": actions,
        "context": context,
        "target": tf.fill([users, target.shape[2]], UNKNOWN),
        "dense": tf.zeros([users, dense.shape[2]]),
        "user": tf.range(users),
        "prepared": tf.fill([users], math.nan),
    }


def _item_inputs(
    target: Tensor, dense: Tensor, row_users: Tensor, attributes: Tensor, steps: Tensor, context: Tensor
) -> dict[str, Tensor]:
    """What the embedding reads of all candidates, as in a batch of U * N rows; their users are unknown."""
    rows = tf.size(row_users)
    return {
        "attributes": tf.fill([rows, attributes.shape[1]], UNKNOWN),
        "behaviors": tf.zeros([rows, 0, steps.shape[2]], tf.int32),
        "actions": tf.zeros([rows, 0], tf.int32),
        "context": tf.fill([rows, context.shape[1]], UNKNOWN),
        "target": tf.reshape(target, [rows, target.shape[2]]),
        "dense": tf.reshape(dense, [rows, dense.shape[2]]),
        "user": row_users,
        "prepared": tf.fill([rows], math.nan),
    }


def _combined(users: Features, items: Features, user_columns: int) -> Features:
    """The features of a user and an item in each row.

    Args:
        users: of the rows' users.
        items: of the rows' items.
        user_columns: columns of attributes and context, which come first among the rows of the table.
    """
    table_rows = [users.table_rows[:, :user_columns], items.table_rows[:, user_columns:]]
    return users._replace(
        target=items.target,
        dense=items.dense,
        query=items.query,
        target_id=items.target_id,
        table_rows=tf.concat(table_rows, axis=1),
    )


def _by_id(signature: Signature) -> bool:
    """Whether candidates are given by their id alone."""
    return signature.name != "item_features"


def refuse_python(graph: Any) -> None:
    """Refuse a graph that calls Python code (MailError)."""
    definition = graph.graph.as_graph_def()
    nodes = [*definition.node, *(node for function in definition.library.function for node in function.node_def)]
    if PYTHON_OPERATIONS & {node.op for node in nodes}:
        raise MailError(
            "the model calls Python code (tf.py_function or tf.numpy_function), which TensorFlow alone cannot run. "
            "Expected TensorFlow operations."
        )
