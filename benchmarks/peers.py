"""A training step of FuxiCTR, DeepCTR-Torch and DeepCTR beside ours: the same batches, in alternating processes.

Each peer has a virtual environment of its own, below --environments. It is made on first use, which downloads PyTorch
and TensorFlow (5 GB on disk, or 15 with PyTorch's build for graphics cards), and reused later. Only a step is timed:
forward pass, gradients, update, on batches in memory. Every library uses two threads.

Run: python benchmarks/peers.py [--environments FOLDER] [--steps N] [--rounds N] (8 minutes without the download)
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from measure import machine, median_seconds, peak_megabytes, record, table

HERE = Path(__file__).parent
#: What is installed for each peer.
PEERS = {
    "FuxiCTR": ("fuxictr==2.3.10", "torch==2.13.0"),
    "DeepCTR-Torch": ("deepctr-torch==0.3.0", "torch==2.13.0"),
    "DeepCTR": ("deepctr==0.9.4", "tensorflow-cpu==2.21.0", "tf-keras==2.21.0"),
}
#: The versions of all other packages.
CONSTRAINTS = HERE / "peers.txt"
#: Our ranker, and the history: BaseDNN's of the other sections, and DMR's and DIN's own.
MODELS = {"DNN": ("base", 100), "DIN": ("din", 50)}
#: Our optimizers: the default, which moves the rows of a batch, and the paper's, which moves all of them as peers do.
OPTIMIZERS = {"mail": "sparse_adam", "mail, optimizer=adam": "adam"}
FUSED = "{}, fused Adam"
#: The paper's settings (MAIL Sec. 4.1.4); the scorer's widths are DIN's own (Sec. 4.3).
BATCH, DIM, UNITS, DROPOUT, SCORER = 1024, 32, (512, 256), 0.5, (80, 40)
THREADS = 2
#: Different batches (ours: enough that a step rarely finds its rows in the processor's cache).
BATCHES = 10


class Line(NamedTuple):
    """A line of the table."""

    model: str
    library: str
    seconds: Sequence[float]
    """Median step of each round."""
    inputs: int
    """Inputs of the network's first layer."""
    megabytes: float
    """Peak memory of the process."""


def environment(peer: str, folder: Path) -> Path:
    """The Python of a peer's virtual environment, which is made, or completed, unless it is whole."""
    home = folder / peer.lower()
    python, whole = home / "bin" / "python", home / "whole.txt"
    wanted = "\n".join([*PEERS[peer], CONSTRAINTS.read_text(encoding="utf-8")])
    if not whole.exists() or whole.read_text(encoding="utf-8") != wanted:
        say(f"{peer}: installing into {home}")
        subprocess.run([sys.executable, "-m", "venv", home], check=True)
        pip = [python, "-m", "pip", "install", "--quiet", "--constraint", CONSTRAINTS, *PEERS[peer]]
        subprocess.run(pip, check=True)
        whole.write_text(wanted, encoding="utf-8")
    return python


def say(text: str) -> None:
    """Print progress to stderr."""
    print(text, file=sys.stderr, flush=True)


def write_batches(dataset_folder: Path, history: int, folder: Path) -> None:
    """Write batches and settings for every library: full histories, so that nobody gains by skipping padding."""
    import numpy as np

    from mailcli.config import make_config
    from mailcli.data.batches import Batches
    from mailcli.data.dataset import Dataset
    from mailcli.data.protocol import views

    dataset = Dataset(dataset_folder)
    view = views(dataset, make_config([{"data": dataset.name, "train_as_new": 0}]))["train"]
    shuffled = Batches(dataset, view, history, BATCH).shuffled(0, 0)
    batches = [batch for batch, _ in zip(shuffled, range(BATCHES), strict=False)]
    groups = {"attributes": "attributes", "context": "context", "target": "target", "behaviors": "behavior"}
    settings = {
        "fields": {name: [field.name for field in dataset.schema.group(group)] for name, group in groups.items()},
        "sizes": dataset.vocabulary_sizes,
        "history": history,
        "dim": DIM,
        "units": UNITS,
        "dropout": DROPOUT,
        "scorer": SCORER,
        "threads": THREADS,
    }
    folder.mkdir()
    np.savez(folder / "batches.npz", **{name: np.stack([batch[name] for batch in batches]) for name in batches[0]})  # type: ignore[literal-required]
    (folder / "settings.json").write_text(json.dumps(settings), encoding="utf-8")


def measure_ours(dataset_folder: Path, folder: Path, model_name: str, optimizer: str, steps: int) -> dict[str, Any]:
    """The measurements of one process of ours."""
    from mailcli.utils.hardware import limit_threads

    limit_threads(THREADS)
    from mailcli.utils.tensorflow_startup import load_tensorflow

    load_tensorflow()
    import numpy as np
    import tensorflow as tf

    from mailcli.config import make_config
    from mailcli.data.dataset import Dataset
    from mailcli.models.factory import make_model
    from mailcli.models.step import make_step

    dataset = Dataset(dataset_folder)
    ranker, history = MODELS[model_name]
    settings = {"data": dataset.name, "ranker": ranker, "history": history, "optimizer": optimizer}
    options = {"ranker.units": UNITS, "ranker.dropout": DROPOUT, "embedding_dim": DIM, "batch_size": BATCH}
    config = make_config([{**settings, **options}])
    model = make_model(dataset, config)
    step = make_step(model, config)
    with np.load(folder / "batches.npz") as arrays:
        stacked = {name: arrays[name] for name in arrays.files}
    batches = [{name: tf.constant(array[index]) for name, array in stacked.items()} for index in range(BATCHES)]
    seconds = median_seconds(lambda repeat: float(step(batches[repeat % BATCHES])["L_rt"]), steps)
    # The network's first layer is the widest with its number of outputs.
    inputs = max(weights.shape[0] for weights in model.trainable_variables if weights.shape[1:] == (UNITS[0],))
    return {"step": seconds, "inputs": inputs, "memory": peak_megabytes(), "rows": model.embedding.rows}


def in_process(python: Path, script: str, arguments: dict[str, object]) -> dict[str, Any]:
    """What a new process measures.

    Raises:
        RuntimeError: if it fails, or the last line that it prints is no measurement.
    """
    options = [str(part) for option in arguments.items() for part in option]
    process = subprocess.run([python, HERE / script, *options], stdout=subprocess.PIPE, text=True)
    if process.returncode:
        raise RuntimeError(f"{python} {script} {' '.join(options)} failed with status {process.returncode}")
    return measurement(process.stdout)


def measurement(printed: str) -> dict[str, Any]:
    """The JSON in the last line; libraries print before it."""
    last = (printed.splitlines() or [""])[-1]
    try:
        found = json.loads(last)
    except ValueError:
        found = None
    if not isinstance(found, dict) or "step" not in found:
        raise RuntimeError(f"expected a measurement in JSON in the last line, found {last!r}")
    return found


def compare(environments: Path, steps: int, rounds: int, scale: float) -> None:
    """Measure every model and library by turns, and record them."""
    from alimama_shape import make_dataset

    pythons = {peer: environment(peer, environments) for peer in PEERS}
    measured: dict[tuple[str, str], list[dict[str, Any]]] = {}
    with tempfile.TemporaryDirectory() as temporary:
        say("writing the dataset")
        dataset = make_dataset(Path(temporary, "alimama"), scale=scale).folder
        for model, (_, history) in MODELS.items():
            folder = Path(temporary, model)
            write_batches(dataset, history, folder)
            for turn in range(rounds):
                for library in (*OPTIMIZERS, *PEERS):
                    options: dict[str, object] = {"--model": model, "--folder": folder, "--steps": steps}
                    if library in PEERS:
                        found = in_process(pythons[library], "peer_step.py", {"--library": library, **options})
                    else:
                        ours = {"--dataset": dataset, "--optimizer": OPTIMIZERS[library], **options}
                        found = in_process(Path(sys.executable), "peers.py", ours)
                    measured.setdefault((model, library), []).append(found)
                    say(f"{model}, round {turn + 1} of {rounds}, {library}: {1e3 * found['step']:.0f} ms")
    rows = measured["DNN", "mail"][0]["rows"]
    versions = {name: text for found in measured.values() for name, text in found[0].get("versions", {}).items()}
    record("Peers", report(lines_of(measured), versions, rows, steps))


def lines_of(measured: dict[tuple[str, str], list[dict[str, Any]]]) -> list[Line]:
    """The table's lines; a process that has also timed the fused Adam gives two."""
    lines = []
    for (model, library), found in measured.items():
        for key, name in (("step", library), ("fused", FUSED.format(library))):
            if key in found[0]:
                seconds = [process[key] for process in found]
                lines.append(Line(model, name, seconds, found[0]["inputs"], max(p["memory"] for p in found)))
    return lines


def report(lines: Sequence[Line], versions: dict[str, str], rows: int, steps: int) -> str:
    """The section of RESULTS.md."""
    ours = {line.model: statistics.median(line.seconds) for line in lines if line.library == "mail"}
    cells = [_cells(line, ours[line.model]) for line in lines]
    head = ("model", "library", "step ms (median)", "all", "impressions/s", "x mail", "first layer's inputs", "peak MB")
    peers = ", ".join(f"{name} {text}" for name, text in versions.items())
    return f"""{machine("tensorflow", "keras", "numpy")} Peers: {peers}.

One training step (forward pass, gradients, update) on batches that are in memory, {THREADS} threads each,
{len(lines[0].seconds)} alternating processes each, with the median of {steps} steps after three. Batch size {BATCH:,},
d = {DIM}, {rows:,} rows of embeddings, full histories without padding, of {MODELS["DNN"][1]} steps (DNN) and
{MODELS["DIN"][1]} (DIN), random ids by Zipf's law: every library reads the same ids. Networks of {UNITS[0]} and
{UNITS[1]} with batch normalization and dropout {DROPOUT}, DIN's scorer {SCORER[0]} and {SCORER[1]} with sigmoid, Adam,
no penalties.

{table(head, cells)}

- `mail` is the default, `sparse_adam`, whose step touches only the embeddings in its batch; `optimizer=adam` moves all
  of them, as the peers do: none has an option for gradients of some rows. `fused Adam`: the optimizer replaced by
  `torch.optim.Adam(fused=True)`, which no peer uses by itself.
- DNN: our BaseDNN adds the fields of a group, the peers put them side by side, so their first layer is larger.
  FuxiCTR's package has no DNN; it is made of its `FeatureEmbedding` and `MLP_Block`, as in its model zoo. The DNN of
  both DeepCTRs is `WDL`, without a linear part (DeepCTR: with one of the weekday, and no batch normalization).
- DIN: FuxiCTR's is the one in its package (`model_zoo.LongCTR`). Peers' steps are [category, brand], {2 * DIM} wide;
  ours are the sum of both, times the action, {DIM} wide. The peers do not read the action.
- The step is FuxiCTR's `train_step`, which limits the norm of the gradient; that of DeepCTR-Torch's `fit`; and, for
  DeepCTR, Keras' `train_on_batch`. DeepCTR's DIN fails with Keras 3, so it runs with Keras 2 (tf-keras). It
  computes its penalty of the embeddings even if that has weight 0.
- Not compared: DMR, which no package has (FuxiCTR's model zoo has one, its package does not); reading data;
  `torch.compile`.
"""


def _cells(line: Line, ours: float) -> tuple[str, ...]:
    median = statistics.median(line.seconds)
    return (
        line.model,
        line.library,
        f"{1e3 * median:.1f}",
        ", ".join(f"{1e3 * seconds:.0f}" for seconds in sorted(line.seconds)),
        f"{BATCH / median:,.0f}",
        f"{median / ours:.2f}",
        f"{line.inputs:,}",
        f"{line.megabytes:,.0f}",
    )


def main() -> None:
    """Compare, or measure one process of ours."""
    parser = argparse.ArgumentParser()
    default = Path(tempfile.gettempdir()) / "mail-peers"
    parser.add_argument("--environments", type=Path, default=default, help=f"folder of the peers' ({default})")
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--scale", type=float, default=1.0, help="factor of Alimama's large vocabularies")
    for name, kind in (("--dataset", Path), ("--folder", Path), ("--model", str), ("--optimizer", str)):
        parser.add_argument(name, type=kind, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.model:
        print(json.dumps(measure_ours(given.dataset, given.folder, given.model, given.optimizer, given.steps)))
    else:
        compare(given.environments, given.steps, given.rounds, given.scale)


if __name__ == "__main__":
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    main()
