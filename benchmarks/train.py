"""Training speed with the paper's settings and Alimama's vocabularies, compared with three references.

Products: only the matrix products of a step, with their shapes in the step; no step can be faster.
Ceiling: the speed of one large matrix product in the same process.
Plain Keras: the same BaseDNN with `Embedding`, `Adam` and `fit`.

Each cell runs in its own process, so that its peak memory can be measured.

Run: python benchmarks/train.py [--turns] (10 minutes, 6 GB of memory, 1 GB of disk)
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
from alimama_shape import VOCABULARIES, make_dataset
from measure import machine, median_seconds, peak_megabytes, private_megabytes, record, table

#: The paper's settings (MAIL Sec. 4.1.4), and DMR's own history.
BATCH, DIM = 1024, 32
CELLS = {
    "BaseDNN": ("base+none", 100),
    "DMR": ("dmr+none", 50),
    "MAIL-Base": ("base+mail", 100),
    "MAIL-DMR": ("dmr+mail", 50),
    "BaseDNN, history 50": ("base+none", 50),
    "DMR, history 100": ("dmr+none", 100),
    "MAIL-Base, history 50": ("base+mail", 50),
    "MAIL-DMR, history 100": ("dmr+mail", 100),
}
#: Rows of the small table, whose step time is compared with that of Alimama's.
SMALL_ROWS = 100_000
TABLES, TURNS = ("small", "spread", "alimama"), 5
STEPS = 40
SPEED_HEAD = (
    "cell",
    "impressions/s",
    "step ms",
    "fed ms",
    "GFLOP",
    "products ms",
    "step / products",
    "ceiling GFLOP/s",
)
PARTS_HEAD = (
    "cell",
    "input",
    "embedding",
    "forward",
    "gradients",
    "remainder",
    "peak MB",
    "/ (table + moments + 500)",
    "private MB",
    "/ (table + moments + 500)",
)
BFLOAT16_HEAD = ("cell", "impressions/s", "step ms", "x float32", "ceiling GFLOP/s")

Product = tuple[int, int, int, int]
"""Rows, inputs, outputs, and count: 1 forward, 2 with the gradient of the weights, 3 also with that of the inputs."""


def dense_chain(rows: int, widths: list[int], skip: int, first: int, count: int = 3) -> list[Product]:
    """The products of a residual encoder or decoder (MAIL Eqs. 15-16): each layer has `skip` additional inputs."""
    inputs = [first, *(width + skip for width in widths[:-1])]
    shapes = zip(inputs, widths, strict=True)
    return [(rows, n, m, count if layer else min(count, 2)) for layer, (n, m) in enumerate(shapes)]


def products(cell: str, history: int, old: int, new: int, n_a: int = 9) -> list[Product]:
    """The matrix products of one step of a cell, with `old` and `new` impressions of old and new users."""
    ranker, cold_start = cell.split("+")
    needed: list[Product] = []
    if cold_start == "mail":
        # p and q have separate encoders and pass each decoder together; embeddings need no gradient, the codes do.
        for n in (n_a, history):
            needed += [(old * n, DIM, 32, 2), (old * n, 32, 1, 3)]
            needed += dense_chain(old, [1024, 512, 512], DIM, DIM)
        for outputs in (n_a * DIM, history * DIM):
            chain = dense_chain(2 * old, [512, 1024, outputs], 512, 512)
            needed += [(rows, n, m, 3) for rows, n, m, _ in chain]
        needed += [(new * n_a, DIM, 32, 1), *dense_chain(new, [1024, 512, 512], DIM, DIM, 1)]
        needed += dense_chain(new, [512, 1024], 512, 512, 1)
        # BaseDNN reads only the sum of the virtual steps, so the last layer is pooled.
        needed.append((new, 1536, DIM if ranker == "base" else history * DIM, 1))
    width = 4 * DIM + 1
    if ranker == "dmr":
        steps = history * (old + new if cold_start == "mail" else old)
        for _ in range(2):
            needed += [(steps, 3 * DIM, 80, 3), (steps, 80, 40, 3), (steps, 40, 1, 3)]
        needed += [(BATCH, DIM, DIM, 3)] * 3
        needed.append((old, DIM, 2001, 3))
        width += 2 * DIM + 2
    return [*needed, (BATCH, width, 512, 3), (BATCH, 512, 256, 3), (BATCH, 256, 1, 3)]


def operations(needed: list[Product]) -> int:
    """Floating-point operations of the products."""
    return sum(2 * rows * n * m * count for rows, n, m, count in needed)


def products_graph(needed: list[Product]) -> Any:
    """A graph of only the products, each with the transposes of its gradients."""
    import tensorflow as tf

    operands = [(tf.random.normal([r, n]), tf.random.normal([n, m]), tf.random.normal([r, m])) for r, n, m, _ in needed]

    @tf.function
    def run() -> Any:
        corners = []
        for (x, w, y), (*_, count) in zip(operands, needed, strict=True):
            corners.append(tf.matmul(x, w)[0, 0])
            if count > 1:
                corners.append(tf.matmul(x, y, transpose_a=True)[0, 0])
            if count > 2:
                corners.append(tf.matmul(y, w, transpose_b=True)[0, 0])
        return tf.add_n(corners)

    return run


def train_for(step: Any, batches: Any, steps: int) -> float:
    """Seconds of a number of steps, with batches prepared at the same time, as in a run."""
    from mailcli.models.batch_spec import to_tensors

    start = time.perf_counter()
    for batch, _ in zip(batches.shuffled(0, 2), range(steps), strict=False):
        losses = step(to_tensors(batch))
    float(losses["L_rt"])
    return time.perf_counter() - start


def measure_cell(folder: Path, cell: str, history: int, precision: str, step_only: bool) -> dict[str, Any]:
    """The measurements of one process."""
    from mailcli.utils.tensorflow_startup import load_tensorflow

    load_tensorflow()
    import tensorflow as tf

    from mailcli.config import make_config
    from mailcli.data.batches import Batches
    from mailcli.data.dataset import Dataset
    from mailcli.data.protocol import views
    from mailcli.models.batch_spec import to_tensors
    from mailcli.models.factory import make_model
    from mailcli.models.step import make_step

    dataset = Dataset(folder)
    ranker, cold_start = cell.split("+")
    settings = {"data": dataset.name, "ranker": ranker, "cold_start": cold_start, "history": history}
    config = make_config([{**settings, "batch_size": BATCH, "precision": precision}])
    view = views(dataset, config)["train"]
    batches = Batches(dataset, view, history, BATCH)
    model = make_model(dataset, config)
    step = make_step(model, config)
    train_for(step, batches, 3)
    fed = train_for(step, batches, STEPS) / STEPS
    memory, private = peak_megabytes(), private_megabytes()
    ready = [to_tensors(batch) for batch, _ in zip(batches.shuffled(0, 1), range(STEPS), strict=False)]
    step_seconds = median_seconds(lambda k: float(step(ready[k % STEPS])["L_rt"]), STEPS)
    if step_only:
        return {"step": step_seconds, "rows": model.embedding.rows}
    input_seconds = median_seconds(lambda k: to_tensors(batches.gather(view.rows[k * BATCH : (k + 1) * BATCH])), STEPS)

    new = round(float(np.mean([float(tf.reduce_sum(tf.cast(b["actions"][:, -1] == 0, tf.float32))) for b in ready])))
    needed = products(cell, history, BATCH - new, new)
    run = products_graph(needed)
    return {
        "step": step_seconds,
        "fed": fed,
        "input": input_seconds,
        "memory": memory,
        "private": private,
        "table": 3 * 4 * model.embedding.rows * DIM / 1e6,
        "rows": model.embedding.rows,
        "parts": part_seconds(model, ready),
        "operations": operations(needed),
        "floor": median_seconds(lambda _: float(run()), 15),
        "ceiling": operations_per_second(precision),
    }


def part_seconds(model: Any, ready: list[dict[str, Any]]) -> dict[str, float]:
    """Seconds of the parts of a step on batches prepared in advance, each as a graph of its own."""
    import tensorflow as tf

    embed = tf.function(lambda batch: model.embedding(batch).behavior_sum)
    forward = tf.function(lambda batch: model(batch, training=True))

    @tf.function
    def backward(batch: dict[str, Any]) -> Any:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(model(batch, training=True))
        gradients = tape.gradient(loss, model.ranking_variables)
        return [g.values[0, 0] if isinstance(g, tf.IndexedSlices) else tf.reshape(g, [-1])[0] for g in gradients]

    def timed(call: Any) -> float:
        return median_seconds(lambda k: tf.nest.map_structure(lambda t: t.numpy(), call(ready[k % len(ready)])), 15)

    return {"embedding": timed(embed), "forward": timed(forward), "gradients": timed(backward)}


def operations_per_second(precision: str) -> float:
    """The speed of one large matrix product in this process."""
    import tensorflow as tf

    square = tf.random.normal([2048, 2048])
    if precision == "bfloat16":
        square = tf.cast(square, tf.bfloat16)
    product = tf.function(lambda: tf.matmul(square, square))
    return 2 * 2048**3 / median_seconds(lambda _: product().numpy(), 10)


def measure_plain(folder: Path, history: int) -> dict[str, Any]:
    """The measurements of plain Keras on the same batches."""
    from mailcli.utils.tensorflow_startup import load_tensorflow

    load_tensorflow()
    from plain_keras import seconds_per_step

    from mailcli.config import make_config
    from mailcli.data.batches import Batches
    from mailcli.data.dataset import Dataset
    from mailcli.data.protocol import views

    dataset = Dataset(folder)
    view = views(dataset, make_config([{"data": dataset.name, "history": history}]))["train"]
    times = seconds_per_step(Batches(dataset, view, history, BATCH), DIM, 20)
    return {"step": statistics.median(times), "memory": peak_megabytes()}


def measure_in_process(options: dict[str, Any], cell: str, history: int) -> dict[str, Any]:
    """Measure in a new process; an option without a value is a flag."""
    arguments = [str(part) for option in options.items() for part in option if part is not None]
    command = [sys.executable, __file__, "--cell", cell, "--history", str(history), *arguments]
    process = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    measurements: dict[str, Any] = json.loads(process.stdout.splitlines()[-1])
    return measurements


def main(alternating_only: bool) -> None:
    """Measure all cells, or only the alternating comparison; record."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        make_dataset(folder / "alimama")
        if not alternating_only:
            full = {"--dataset": folder / "alimama"}
            measured = {name: measure_in_process(full, cell, history) for name, (cell, history) in CELLS.items()}
            bfloat16 = {
                name: measure_in_process({**full, "--precision": "bfloat16"}, cell, history)
                for name, (cell, history) in list(CELLS.items())[:4]
            }
            record("Training", _report(measured, bfloat16))
        rows = sum(VOCABULARIES.values())
        make_dataset(folder / "small", scale=SMALL_ROWS / rows)
        make_dataset(folder / "spread", scale=SMALL_ROWS / rows, spread=True)
        # Alternate, because the speed of a shared machine drifts.
        turns: dict[str, list[dict[str, Any]]] = {name: [] for name in (*TABLES, "plain Keras")}
        for _ in range(TURNS):
            for name in TABLES:
                turns[name].append(
                    measure_in_process({"--dataset": folder / name, "--step-only": None}, "base+none", 100)
                )
            turns["plain Keras"].append(measure_in_process({"--dataset": folder / "alimama"}, "plain", 100))
    record("Training, alternating", _report_turns(turns))


def _report(measured: dict[str, Any], bfloat16: dict[str, Any]) -> str:
    base = measured["BaseDNN"]
    text = [
        machine("tensorflow", "keras", "numpy"),
        f"Batch size {BATCH:,}, d = {DIM}, 40% new users, full histories (100 behaviors, with DMR 50, where a row "
        f"names no other), {base['rows']:,} rows of embeddings; random ids by Zipf's law. `products` is the time of "
        "only the matrix products of a step, with the same shapes; `ceiling` is the speed of one 2,048 x 2,048 product "
        "in the same process. `fed`: with batches prepared during training; `step`: with batches prepared in advance.",
        table(SPEED_HEAD, [_row(name, cell) for name, cell in measured.items()]),
        "Where the time of a step goes (ms; each part is timed as a separate graph, so the sums are not exact): input, "
        "prepared at the same time by one thread; embedding; forward pass of ranker and cold-start method; gradients "
        "of the ranking side; optimizers and, for MAIL, the step of the zero-shot tower. `peak` is the largest "
        "resident set of a process, `private` its memory without the pages of libraries and mapped files, which the "
        "system can reclaim.",
        table(PARTS_HEAD, [_parts(name, cell) for name, cell in measured.items()]),
        "With `--precision bfloat16`:",
        table(BFLOAT16_HEAD, [_bfloat16_row(name, measured[name], cell) for name, cell in bfloat16.items()]),
    ]
    return "\n\n".join(text)


def _bfloat16_row(name: str, float32: dict[str, Any], cell: dict[str, Any]) -> list[str]:
    return [
        name,
        f"{BATCH / cell['fed']:,.0f}",
        f"{1e3 * cell['step']:.1f}",
        f"{float32['step'] / cell['step']:.2f}",
        f"{cell['ceiling'] / 1e9:,.0f}",
    ]


def _report_turns(turns: dict[str, list[dict[str, Any]]]) -> str:
    times = {name: [1e3 * process["step"] for process in processes] for name, processes in turns.items()}
    medians = {name: statistics.median(values) for name, values in times.items()}
    rows = [
        (
            name,
            f"{turns[name][0].get('rows', turns['alimama'][0]['rows']):,}",
            f"{medians[name]:.1f}",
            ", ".join(f"{value:.0f}" for value in sorted(values)),
            f"{BATCH / medians[name] * 1e3:,.0f}",
            f"{medians[name] / medians['small']:.2f}",
        )
        for name, values in times.items()
    ]
    return (
        f"{machine('tensorflow', 'keras', 'numpy')}\n\n"
        f"A step of BaseDNN, history 100, {TURNS} alternating processes each. `small` has few ids, `spread` the same "
        "batches with their rows far apart in a large table, `alimama` also more distinct ids per batch; plain Keras "
        "(`Embedding`, `Adam`, `fit`) uses the batches of `alimama`.\n\n"
        f"{table(('table', 'rows', 'step ms (median)', 'all', 'impressions/s', 'x small'), rows)}\n\n"
        f"`mail` is {medians['plain Keras'] / medians['alimama']:.1f} x as fast as plain Keras."
    )


def _row(name: str, cell: dict[str, Any]) -> tuple[str, ...]:
    return (
        name,
        f"{BATCH / cell['fed']:,.0f}",
        f"{1e3 * cell['step']:.1f}",
        f"{1e3 * cell['fed']:.1f}",
        f"{cell['operations'] / 1e9:.1f}",
        f"{1e3 * cell['floor']:.1f}",
        f"{cell['step'] / cell['floor']:.2f}",
        f"{cell['ceiling'] / 1e9:,.0f}",
    )


def _parts(name: str, cell: dict[str, Any]) -> tuple[str, ...]:
    parts = cell["parts"]
    times = [
        cell["input"],
        parts["embedding"],
        parts["forward"] - parts["embedding"],
        parts["gradients"] - parts["forward"],
        cell["step"] - parts["gradients"],
    ]
    return (
        name,
        *(f"{1e3 * seconds:.1f}" for seconds in times),
        *(
            text
            for megabytes in (cell["memory"], cell["private"])
            for text in (f"{megabytes:,.0f}", f"{megabytes / (cell['table'] + 500):.2f}")
        ),
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--dataset", type=Path)
    parser.add_argument("--cell")
    parser.add_argument("--history", type=int)
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--step-only", action="store_true")
    parser.add_argument("--turns", action="store_true", help="only the alternating comparison")
    arguments = parser.parse_args()
    if arguments.cell is None:
        main(arguments.turns)
    elif arguments.cell == "plain":
        print(json.dumps(measure_plain(arguments.dataset, arguments.history)))
    else:
        print(
            json.dumps(
                measure_cell(
                    arguments.dataset, arguments.cell, arguments.history, arguments.precision, arguments.step_only
                )
            )
        )
