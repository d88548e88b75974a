"""The time of a training step of a peer's model on the batches of benchmarks/peers.py.

It runs in the peer's virtual environment, which has no mailcli. What peer_torch.py and peer_keras.py do not set is the
peer's default; there are no penalties, because ours has none.

Run: by benchmarks/peers.py; the last line printed is JSON.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from measure import median_seconds, peak_megabytes
from numpy.typing import NDArray

#: The fields of a behavior step that the target has too.
STEP_FIELDS = ("cate", "brand")
LEARNING_RATE = 1e-3
#: The module and function of each library, and the packages whose versions are noted.
LIBRARIES = {
    "FuxiCTR": ("peer_torch", "fuxictr", ("fuxictr", "torch")),
    "DeepCTR-Torch": ("peer_torch", "deepctr_torch", ("deepctr-torch", "torch")),
    "DeepCTR": ("peer_keras", "deepctr", ("deepctr", "tensorflow-cpu", "tf-keras")),
}

Columns = dict[str, NDArray]
"""A batch as a user of a peer has it: ids [B] by field, `hist_` before those of steps [B, n_v], `length`, `price`, and
`click`."""


class Trainer(NamedTuple):
    """A peer's model, ready to be trained."""

    step: Callable[[int], float]
    """A training step on the batch with that index; its loss."""
    inputs: int
    """Inputs of the network's first layer."""
    fuse: Callable[[], None] | None = None
    """Replaces the optimizer by PyTorch's fused Adam."""


def read(folder: Path) -> tuple[dict[str, Any], list[Columns]]:
    """The settings and the batches."""
    settings = json.loads((folder / "settings.json").read_text(encoding="utf-8"))
    with np.load(folder / "batches.npz") as arrays:
        ours = {name: arrays[name] for name in arrays.files}
    fields = settings["fields"]
    batches = []
    for index in range(len(ours["click"])):
        batch = {
            name: ours[group][index, :, column]
            for group in ("attributes", "context", "target")
            for column, name in enumerate(fields[group])
        }
        steps = {f"hist_{name}": ours["behaviors"][index, :, :, column] for column, name in enumerate(STEP_FIELDS)}
        rest = {"price": ours["dense"][index, :, 0], "click": ours["click"][index]}
        batches.append({**batch, **steps, **rest, "length": (steps["hist_cate"] > 0).sum(axis=1)})
    if tuple(fields["behaviors"]) != STEP_FIELDS:
        raise ValueError(f"the fields of a step are {fields['behaviors']}, expected {STEP_FIELDS}")
    return settings, batches


def single_fields(settings: dict[str, Any]) -> list[str]:
    """The fields with one id per impression."""
    return [name for group in ("attributes", "context", "target") for name in settings["fields"][group]]


def measure(library: str, model: str, folder: Path, steps: int) -> dict[str, Any]:
    """Seconds of a step with the library's own Adam and, where it can be replaced, with PyTorch's fused one."""
    module, function, packages = LIBRARIES[library]
    settings, batches = read(folder)
    trainer: Trainer = getattr(import_module(module), function)(model, settings, batches)

    def checked(repeat: int) -> None:
        if not math.isfinite(loss := trainer.step(repeat % len(batches))):
            raise RuntimeError(f"{library}, {model}: the loss is {loss} in step {repeat}")

    found = {"step": median_seconds(checked, steps), "inputs": trainer.inputs}
    if trainer.fuse is not None:
        trainer.fuse()
        found["fused"] = median_seconds(checked, steps)
    return {**found, "memory": peak_megabytes(), "versions": {name: version(name) for name in packages}}


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--library", choices=LIBRARIES, required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--steps", type=int, required=True)
    arguments = parser.parse_args()
    print(json.dumps(measure(arguments.library, arguments.model, arguments.folder, arguments.steps)))
