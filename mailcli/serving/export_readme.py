"""README.md of an exported model: what signature.json says, for people."""

from __future__ import annotations

from typing import Any

from mailcli.errors import quoted
from mailcli.escape import json_text, markdown, markdown_code, markdown_row
from mailcli.serving.signatures import MISSING_NUMBER, TIME, UNKNOWN_VALUES


def readme(name: str, description: dict[str, Any]) -> str:
    """README.md of an exported model."""
    return f"""# {markdown(f"{name}: {description['cell']} on {description['dataset']}")}

Written by mail {description["mail"]} with TensorFlow {description["tensorflow"]}.
Protocol {description["protocol"]}, seed {description["seed"]}, best epoch {description["best_epoch"]}.
signature.json has the same for programs, with the test metrics and all settings.

## Ask the model

The folder `1` is a SavedModel. It needs only TensorFlow. In Python, in this folder:

```python
{_python(description)}
```

With TensorFlow Serving:

```sh
tensorflow_model_server --rest_api_port=8501 --model_name=mail --model_base_path="$PWD"
```

```sh
curl -d @request.json http://localhost:8501/v1/models/mail:predict
```

request.json holds the same request:

```json
{json_text(description["request"])}
```

The response:

```json
{json_text(description["response"])}
```

## What a request holds

A request is for U users with N candidates each; T is the length of the longest history and may be 0. It has exactly the
inputs in the table of its signature.

{_rules(description)}

{(chr(10) * 2).join(_table(*item) for item in description["signatures"].items())}
"""


def _python(description: dict[str, Any]) -> str:
    """The example request as a program, with what it prints."""
    request, (output, *_) = description["request"], description["signatures"]["serving_default"]["outputs"]
    inputs = description["signatures"][request["signature_name"]]["inputs"]
    arguments = [
        f"    {name}=tf.constant({values!r}, tf.{inputs[name]['dtype']}),  # {_shape(inputs[name])}"
        for name, values in request["inputs"].items()
    ]
    outputs = description["response"]["outputs"]
    scores = outputs[output] if isinstance(outputs, dict) else outputs
    lines = [
        "import tensorflow as tf",
        "",
        f'predict = tf.saved_model.load("1").signatures["{request["signature_name"]}"]',
        "scores = predict(",
        *arguments,
        ")",
        f'print(scores["{output}"].numpy().tolist())  # about {scores}',
    ]
    return "\n".join(lines)


def _table(signature: str, contents: dict[str, Any]) -> str:
    """The inputs and outputs of a signature."""
    rows = "\n".join(_input_row(name, input_) for name, input_ in contents["inputs"].items())
    outputs = contents["outputs"]
    names: dict[str, list[str]] = {}
    for name, output in outputs.items():
        names.setdefault(output["meaning"], []).append(markdown_code(name))
    listed = " and ".join(f"{', '.join(output_names)} ({meaning})" for meaning, output_names in names.items())
    first = next(iter(outputs.values()))
    return f"""### {signature}: {contents["meaning"]}

| input | type | shape | meaning |
|---|---|---|---|
{rows}

Output: {listed}, {first["dtype"]} {_shape(first)}."""


def _input_row(name: str, description: dict[str, Any]) -> str:
    meaning = markdown(description["meaning"])
    return markdown_row([markdown_code(name), description["dtype"], _shape(description), meaning])


def _shape(description: dict[str, Any]) -> str:
    return f"[{', '.join(map(str, description['shape']))}]"


def _rules(description: dict[str, Any]) -> str:
    """How values are given, as a list."""
    signatures = description["signatures"].values()
    inputs = {name: input_ for signature in signatures for name, input_ in signature["inputs"].items()}
    rules = [
        "Values are those of the raw files. Where the dataset's source or its schema file takes a part out of one "
        "(`extract`), they are that part."
    ]
    if in_buckets := [markdown_code(name) for name, input_ in inputs.items() if "edges" in input_]:
        rules.append(
            f"{', '.join(in_buckets)}: give the number of the raw files; the model cuts it into buckets as training "
            "did, at the `edges` in signature.json."
        )
    if by_number := quoted(description["buckets_by_number"]):
        rules.append(
            f"The dataset does not keep the edges of {markdown(by_number)}: give the number of the bucket, 0 below the "
            "first edge."
        )
    if TIME in inputs:
        time = inputs[TIME]
        rules.append(
            f"`{TIME}` is in seconds since 1970, from {time['earliest']} to {time['latest']}. The model computes "
            f"{' and '.join(time['computed'])} from it, in the log's local time. A time in another unit, such as "
            "milliseconds, is refused with an error that names its row, and so is a missing one."
        )
    actions = markdown(", ".join(description["actions"]))
    rules += [
        f"A value that does not occur in the training split counts as unknown. The signature `{UNKNOWN_VALUES}` says "
        "which attributes and context values of a request do; `mail score` counts those of a file.",
        f"A missing value counts as unknown, too. It is the int64 {MISSING_NUMBER}, an empty string, or a float NaN.",
        f"Histories are oldest first. Places whose action is none of {actions} are skipped; of the others, the last "
        f"{description['history']} count. A user without any is new.",
    ]
    return "\n".join(f"- {rule}" for rule in rules)
