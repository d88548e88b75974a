"""README.md of an exported model: what signature.json says, for people."""

from __future__ import annotations

from typing import Any

from mailcli.errors import quoted
from mailcli.escape import json_text, markdown, markdown_code, markdown_row
from mailcli.serving.signatures import TIME


def _input_row(name: str, description: dict[str, Any]) -> str:
    shape = ", ".join(map(str, description["shape"]))
    return markdown_row([markdown_code(name), description["dtype"], f"[{shape}]", markdown(description["meaning"])])


def readme(name: str, description: dict[str, Any]) -> str:
    """README.md of an exported model."""
    tables = []
    for signature, contents in description["signatures"].items():
        rows = "\n".join(_input_row(key, input_) for key, input_ in contents["inputs"].items())
        tables.append(
            f"### {signature}: {contents['meaning']}\n\n| input | type | shape | meaning |\n|---|---|---|---|\n{rows}"
        )
    actions = markdown(", ".join(description["actions"]))
    outputs = " and ".join(f"`{key}` ({output['meaning']})" for key, output in contents["outputs"].items())
    return f"""# {markdown(f"{name}: {description['cell']} on {description['dataset']}")}

Written by mail {description["mail"]} with TensorFlow {description["tensorflow"]}.
Protocol {description["protocol"]}, seed {description["seed"]}, best epoch {description["best_epoch"]}.
signature.json has the same for programs, with the test metrics and all settings.

The folder `1` is a SavedModel. It needs only TensorFlow:

```sh
tensorflow_model_server --rest_api_port=8501 --model_name=mail --model_base_path="$PWD"
```

```sh
curl -d @request.json http://localhost:8501/v1/models/mail:predict
```

request.json:

```json
{json_text(description["request"])}
```

The response:

```json
{json_text(description["response"])}
```

## Signatures

A request is for U users with N candidates each; T is the length of the longest history and may be 0.

{_value_text(description)} A value that does not occur in the training split counts as unknown, and so does a missing
one: the number -9223372036854775808, an empty string, or for float32 NaN. The model does not report unknown values:
to count them, score a sample of your requests with `mail score`.

Histories are oldest first. Places whose action is none of {actions} are skipped; of the
others, the last {description["history"]} count. A user without any is new. Outputs are {outputs}, float32 [U, N].

{(chr(10) * 2).join(tables)}
"""


def _value_text(description: dict[str, Any]) -> str:
    """How values are given."""
    signatures = description["signatures"].values()
    inputs = {name: input_ for signature in signatures for name, input_ in signature["inputs"].items()}
    texts = ["Values are those of the dataset's columns."]
    in_buckets = [markdown_code(name) for name, input_ in inputs.items() if "edges" in input_]
    if in_buckets:
        texts.append(
            f"{', '.join(in_buckets)}: give the number of the raw files; the model cuts it into buckets as training "
            "did, at the `edges` in signature.json."
        )
    by_number = quoted(description["buckets_by_number"])
    if by_number:
        texts.append(
            f"The dataset does not keep the edges of {markdown(by_number)}: give the number of the bucket, 0 below the "
            "first edge."
        )
    if TIME in inputs:
        texts.append(
            f"Hour and weekday may be missing where `{TIME}` is given: the model computes them. A time that is not in "
            "seconds since 1970 is refused."
        )
    return "\n".join(texts)
