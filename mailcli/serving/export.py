"""`mail export`: a finished run as a SavedModel with its description, for servers that have TensorFlow and no `mail`.

DIR/1/               the SavedModel, version 1 as TensorFlow Serving counts
DIR/signature.json   inputs and outputs of each signature, the run it comes from, a request and its response
DIR/request.json     the request alone
DIR/README.md        the same for people
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from mailcli import __version__
from mailcli.config import RunConfig, to_toml
from mailcli.data.dataset import Dataset
from mailcli.data.protocol import views
from mailcli.data.schema import FIRST_ID
from mailcli.errors import MailError
from mailcli.serving.served_model import OUTPUTS, ServedModel
from mailcli.serving.signatures import Input, Signature
from mailcli.training.predictor import Predictor
from mailcli.training.run_folder import Run
from mailcli.utils.files import FolderLock, make_folder_atomically

VERSION = "1"
SIGNATURE, REQUEST, README = "signature.json", "request.json", "README.md"
#: Behaviors and candidates of the request that is shown (ours: it is to be read).
SHOWN_STEPS, SHOWN_ITEMS = 3, 2
_MEANINGS = {"click": "pCTR", "ctcvr": "pCTCVR = pCTR x pCVR"}


def export(run: Run, folder: Path, data_dir: Path, with_users: bool = False) -> dict[str, Any]:
    """Write a finished run to a new folder, whole or not at all.

    Args:
        run: which; its best epoch is taken.
        folder: must not exist.
        data_dir: folder of the datasets: vocabularies and the item table are taken from the run's.
        with_users: whether the users' attributes go inside, so that a request may name a user by id alone.

    Returns:
        The contents of signature.json.

    Raises:
        MailError: the folder exists, the dataset is missing or has changed, or the model cannot be saved.
    """
    _refuse_existing(folder)
    predictor = Predictor.open(run, data_dir)
    dataset = predictor.dataset
    with FolderLock(folder, f"{folder}: another `mail export` is writing it. Wait for it."):
        _refuse_existing(folder)
        served = ServedModel(predictor.model, dataset, run.config, with_users)
        graphs = {signature.name: served.concrete(signature) for signature in served.signatures}
        description = _description(run, dataset, served, graphs)
        with make_folder_atomically(folder) as partial:
            # Gradients are not needed, and those of layers would be code.
            options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
            try:
                tf.saved_model.save(served.module, str(partial / VERSION), graphs, options)
            except tf.errors.OpError as error:
                # TensorFlow's own words for what the operating system refused.
                raise MailError(f"{folder}: cannot be written ({error.message}). Nothing was kept.") from error
            texts = {
                SIGNATURE: json.dumps(description, indent=2, ensure_ascii=False) + "\n",
                REQUEST: json.dumps(description["request"], ensure_ascii=False) + "\n",
                README: _readme(folder.name, description),
            }
            for name, text in texts.items():
                (partial / name).write_text(text, encoding="utf-8")
    return description


def _refuse_existing(folder: Path) -> None:
    if folder.exists() or folder.is_symlink():
        raise MailError(f"{folder}: exists already. Expected the name of a new folder; choose another, or delete it.")


# What it says of itself


def _description(run: Run, dataset: Dataset, served: ServedModel, graphs: dict[str, Any]) -> dict[str, Any]:
    result = run.result or {}
    heads = list(graphs["serving_default"].structured_outputs)
    outputs = [name for name in OUTPUTS if name in heads]
    request = example(dataset, run.config, served)
    # TensorFlow Serving leaves out the name of an only output.
    found = answer(graphs["serving_default"], served.signatures[0], request)
    return {
        "mail": __version__,
        "tensorflow": tf.__version__,
        "dataset": dataset.label,
        "cell": run.config.cell,
        "protocol": run.config.protocol,
        "seed": run.config.seed,
        "best_epoch": result.get("best_epoch"),
        "test": result.get("test"),
        "history": run.config.history,
        "actions": list(dataset.schema.actions),
        "signatures": {
            signature.name: {
                "meaning": signature.meaning,
                "inputs": {each.name: _input(dataset, each) for each in signature.inputs},
                "outputs": {
                    name: {"dtype": "float32", "shape": ["U", "N"], "meaning": _MEANINGS[name]} for name in outputs
                },
            }
            for signature in served.signatures
        },
        "request": {"signature_name": "serving_default", "inputs": request},
        "response": {"outputs": found if len(outputs) > 1 else found[outputs[0]]},
        "settings": to_toml(run.config),
    }


def _input(dataset: Dataset, each: Input) -> dict[str, Any]:
    told = {"dtype": each.spec.dtype.name, "shape": each.axes, "field": each.field, "meaning": each.meaning}
    if each.vocabulary:
        told |= {"vocabulary": each.vocabulary, "known_values": dataset.vocabulary_sizes[each.vocabulary] - FIRST_ID}
    # JSON has no NaN.
    return {**told, "missing": "NaN" if each.spec.dtype == tf.float32 else each.missing}


def answer(graph: Any, signature: Signature, request: dict[str, Any]) -> dict[str, Any]:
    """What a signature's graph says to a request of plain lists, rounded to what float32 holds."""
    tensors = {
        each.name: tf.reshape(tf.constant(request[each.name], each.spec.dtype), np.shape(request[each.name]))
        for each in signature.inputs
    }
    return {name: [[float(f"{x:.7g}") for x in row] for row in t.numpy()] for name, t in graph(**tensors).items()}


def example(dataset: Dataset, config: RunConfig, served: ServedModel) -> dict[str, Any]:
    """A request of `serving_default`: an old user of the test split, the last behaviors, some candidates."""
    view = views(dataset, config)["test"]
    user, ends = dataset.column("test", "user"), dataset.column("test", "history_end")
    old = ~view.new[user] & (ends > dataset.offsets[user])
    row = int(np.argmax(old))
    begin = int(dataset.offsets[user[row]]) if old[row] else int(ends[row])
    steps = np.arange(max(begin, int(ends[row]) - SHOWN_STEPS), int(ends[row]))
    candidates = np.array([*dict.fromkeys(dataset.column("test", "item")[row:].tolist())][:SHOWN_ITEMS])
    request: dict[str, Any] = {}
    for each in served.inputs.users:
        ids = dataset.column("users", each.field)[user[row : row + 1]]
        request[each.name] = raw_values(dataset, each, ids)
    # The id of a user whom the vocabulary lacks is known to the user table all the same.
    request[served.inputs.user.name] = dataset.column("users", "raw")[user[row : row + 1]].tolist()
    for each in served.inputs.history:
        ids = dataset.column("behaviors", each.field)[steps]
        actions = [dataset.schema.actions[k - FIRST_ID] for k in ids] if each.vocabulary is None else []
        request[each.name] = [actions or raw_values(dataset, each, ids)]
    for each in served.inputs.context:
        request[each.name] = raw_values(dataset, each, dataset.column("test", each.field)[row : row + 1])
    return {**request, "item": [dataset.column("items", "raw")[candidates].tolist()]}


def raw_values(dataset: Dataset, each: Input, ids: NDArray) -> list[Any]:
    """The raw values of ids, in lists as the ids are; the missing value for those that have none."""
    if ids.ndim > 1:
        return [raw_values(dataset, each, row) for row in ids]
    values = dataset.column("vocabularies", each.vocabulary or "")
    return [values[k - FIRST_ID].item() if k >= FIRST_ID else each.missing for k in ids.astype(np.int64)]


def _readme(name: str, told: dict[str, Any]) -> str:
    """README.md of an exported model."""
    signatures = []
    for signature, of in told["signatures"].items():
        rows = "\n".join(
            f"| `{key}` | {each['dtype']} | [{', '.join(map(str, each['shape']))}] | {each['meaning']} |"
            for key, each in of["inputs"].items()
        )
        signatures.append(
            f"### {signature}: {of['meaning']}\n\n| input | type | shape | what |\n|---|---|---|---|\n{rows}"
        )
    outputs = " and ".join(f"`{key}` ({each['meaning']})" for key, each in of["outputs"].items())
    return f"""# {name}: {told["cell"]} on {told["dataset"]}

Written by mail {told["mail"]} with TensorFlow {told["tensorflow"]}; protocol {told["protocol"]}, seed {told["seed"]},
best epoch {told["best_epoch"]}. signature.json has the same for programs, with the test metrics and all settings.

The folder `1` is a SavedModel. It needs TensorFlow alone:

```sh
tensorflow_model_server --rest_api_port=8501 --model_name=mail --model_base_path="$PWD"
```

```sh
curl -d @request.json http://localhost:8501/v1/models/mail:predict
```

request.json:

```json
{json.dumps(told["request"], ensure_ascii=False)}
```

Its answer:

```json
{json.dumps(told["response"], ensure_ascii=False)}
```

## Signatures

U users are each asked for N candidates; T is the length of the longest history, which may be 0. Values are those of the
dataset's columns. One that the training split does not have, or the missing one (whole numbers -9223372036854775808,
texts empty, numbers NaN), counts as unknown. Histories have the oldest behavior first; places whose action is none of
{", ".join(told["actions"])} are left out, and of the others the last {told["history"]} count.
A user without any is new. Outputs are {outputs}, float32 [U, N].

{(chr(10) * 2).join(signatures)}
"""
