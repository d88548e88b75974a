"""What an exported model says about itself: signature.json, with an example request."""

from __future__ import annotations

from itertools import count
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from mailcli import __version__
from mailcli.config import RunConfig, to_toml
from mailcli.data.dataset import Dataset
from mailcli.data.derivations import Derivation
from mailcli.data.protocol import views
from mailcli.data.schema import FIRST_ID
from mailcli.runs.folder import RunFolder
from mailcli.serving.older_datasets import bucketed_fields
from mailcli.serving.served_model import OUTPUTS, ServedModel
from mailcli.serving.signatures import TIME, UNKNOWN_VALUES, Input, Signature

#: Behaviors and candidates in the example request (ours: short enough to read).
EXAMPLE_STEPS, EXAMPLE_ITEMS = 3, 2
#: Impressions that are searched for candidates at once (ours: a log of millions is not read as a whole).
_SEARCHED = 1000
_MEANINGS = {"click": "pCTR", "ctcvr": "pCTCVR = pCTR x pCVR"}


def describe(run: RunFolder, dataset: Dataset, served: ServedModel, graphs: dict[str, Any]) -> dict[str, Any]:
    """The contents of signature.json.

    Args:
        run: the exported run.
        dataset: its dataset.
        served: the exported model.
        graphs: its graphs by signature.
    """
    result = run.result or {}
    request = example_request(dataset, run.config, served)
    response = run_signature(graphs["serving_default"], served.signatures[0], request)
    return {
        "mail": __version__,
        "tensorflow": tf.__version__,
        "dataset": dataset.display_name,
        "cell": run.config.cell,
        "protocol": run.config.protocol,
        "seed": run.config.seed,
        "best_epoch": result.get("best_epoch"),
        "test": result.get("test"),
        "history": run.config.history,
        "actions": list(dataset.schema.actions),
        "buckets_by_number": bucketed_fields(dataset),
        "signatures": {
            signature.name: {
                "meaning": signature.meaning,
                "inputs": {input_.name: _describe_input(dataset, served, input_) for input_ in signature.inputs},
                "outputs": _describe_outputs(signature, graphs[signature.name]),
            }
            for signature in served.signatures
        },
        "request": {"signature_name": "serving_default", "inputs": request},
        # TensorFlow Serving omits the name of a single output.
        "response": {"outputs": response if len(response) > 1 else next(iter(response.values()))},
        "settings": to_toml(run.config),
    }


def _describe_outputs(signature: Signature, graph: Any) -> dict[str, dict[str, Any]]:
    names = graph.structured_outputs
    if signature.name == UNKNOWN_VALUES:
        meaning = "whether a value is given, but does not occur in the training split"
        return {name: {"dtype": "bool", "shape": ["U"], "meaning": meaning} for name in sorted(names)}
    return {
        name: {"dtype": "float32", "shape": ["U", "N"], "meaning": _MEANINGS[name]} for name in OUTPUTS if name in names
    }


def _describe_input(dataset: Dataset, served: ServedModel, input_: Input) -> dict[str, Any]:
    description = {
        "dtype": input_.spec.dtype.name,
        "shape": input_.axes,
        "field": input_.field,
        "meaning": input_.meaning,
    }
    if input_.vocabulary:
        known_values = dataset.vocabulary_sizes[input_.vocabulary] - FIRST_ID
        description |= {"vocabulary": input_.vocabulary, "known_values": known_values}
    if input_.derivation.edges:
        description |= {"edges": [*input_.derivation.edges]}
    limits = served.inputs.limits
    if input_.name == TIME and limits:
        computed = [clock.field for clock in served.inputs.context if clock.derivation.clock]
        return {**description, "computed": computed, "earliest": limits.earliest, "latest": limits.latest}
    # JSON has no NaN.
    return {**description, "missing": "NaN" if input_.spec.dtype.is_floating else input_.missing}


def run_signature(graph: Any, signature: Signature, request: dict[str, Any]) -> dict[str, Any]:
    """The outputs for a request of plain lists, rounded to the digits that float32 holds."""
    tensors = {
        input_.name: tf.reshape(tf.constant(request[input_.name], input_.spec.dtype), np.shape(request[input_.name]))
        for input_ in signature.inputs
    }
    return {
        name: [[float(f"{score:.7g}") for score in row] for row in scores.numpy()]
        for name, scores in graph(**tensors).items()
    }


def example_request(dataset: Dataset, config: RunConfig, served: ServedModel) -> dict[str, Any]:
    """A request of `serving_default`: an old user of the test split, their last behaviors, some candidates."""
    view = views(dataset, config)["test"]
    user, ends = dataset.column("test", "user"), dataset.column("test", "history_end")
    is_old = ~view.new[user] & (ends > dataset.offsets[user])
    row = int(np.argmax(is_old))
    begin = int(dataset.offsets[user[row]]) if is_old[row] else int(ends[row])
    steps = np.arange(max(begin, int(ends[row]) - EXAMPLE_STEPS), int(ends[row]))
    candidates = first_distinct(dataset.column("test", "item")[row:], EXAMPLE_ITEMS)
    request: dict[str, Any] = {}
    for input_ in served.inputs.users:
        ids = dataset.column("users", input_.field)[user[row : row + 1]]
        request[input_.name] = raw_values(dataset, input_, ids)
    # A user who is not in the vocabulary still has a raw id in the user table.
    request[served.inputs.user.name] = dataset.column("users", "raw")[user[row : row + 1]].tolist()
    for input_ in served.inputs.history:
        ids = dataset.column("behaviors", input_.field)[steps]
        is_action = input_.vocabulary is None
        steps_of_user = (
            [dataset.schema.actions[k - FIRST_ID] for k in ids] if is_action else raw_values(dataset, input_, ids)
        )
        request[input_.name] = [steps_of_user]
    for input_ in served.inputs.given_context:
        values = dataset.column("test", input_.field)[row : row + 1]
        request[input_.name] = raw_values(dataset, input_, values) if input_.vocabulary else values.tolist()
    return {**request, "item": [dataset.column("items", "raw")[candidates].tolist()]}


def first_distinct(values: NDArray, count: int) -> NDArray:
    """The first `count` distinct values, in the order in which they occur; fewer if there are no more."""
    distinct: dict[Any, None] = {}
    for start in range(0, len(values), _SEARCHED):
        distinct |= dict.fromkeys(values[start : start + _SEARCHED].tolist())
        if len(distinct) >= count:
            break
    return np.array([*distinct][:count])


def raw_values(dataset: Dataset, input_: Input, ids: NDArray) -> list[Any]:
    """The raw values of ids, in lists of the same shape; the missing value where an id has none.

    A bucket becomes a number in it: its lower end, or for the first bucket one below its upper end.
    """
    if ids.ndim > 1:
        return [raw_values(dataset, input_, row) for row in ids]
    values = dataset.column("vocabularies", input_.vocabulary or "")
    raw: list[Any] = [
        values[k - FIRST_ID : k - FIRST_ID + 1].tolist()[0] if k >= FIRST_ID else input_.missing for k in ids.tolist()
    ]
    if not input_.derivation.edges:
        return raw
    numbers = _numbers_in_buckets(input_.derivation)
    return [bucket if bucket == input_.missing else float(numbers[bucket]) for bucket in raw]


def _numbers_in_buckets(derivation: Derivation) -> list[float]:
    """A number in each bucket that does not stand for a missing value: its lower end, if that is none."""
    missing, edges = derivation.missing_numbers, derivation.edges
    first = next(number for step in count(1) if (number := edges[0] - step) not in missing)
    ends = zip(edges, [*edges[1:], edges[-1] + 1], strict=True)
    return [first, *(low if low not in missing else (low + high) / 2 for low, high in ends)]
