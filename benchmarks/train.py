"""Impressions a second of training at the paper's settings and Alimama's vocabularies, against three yardsticks.

The products: the matrix products of a step, alone, with the shapes that they have in it; no step can be faster.
The ceiling: what one large product of this process reaches.
Plain Keras: the same BaseDNN with `Embedding`, `Adam` and `fit`.

Each cell runs in a process of its own, so that its peak memory is its own.

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
from measure import machine, peak_megabytes, private_megabytes, record, table

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
#: Vocabularies at which the time of a step is compared: 100 thousand rows, and Alimama's.
SMALL_ROWS = 100_000
TABLES, TURNS = ("small", "spread", "alimama"), 5
STEPS = 40

Product = tuple[int, int, int, int]
"""Rows, inputs, outputs, and how many times: 1 forward, 2 with the gradient of the weights, 3 of the inputs too."""


def dense_chain(rows: int, widths: list[int], again: int, first: int, times: int = 3) -> list[Product]:
    """The products of a residual encoder or decoder (MAIL Eqs. 15-16): each layer sees `again` inputs besides."""
    inputs = [first, *(width + again for width in widths[:-1])]
    shapes = zip(inputs, widths, strict=True)
    return [(rows, n, m, times if place else min(times, 2)) for place, (n, m) in enumerate(shapes)]


def products(cell: str, history: int, old: int, new: int, n_a: int = 9) -> list[Product]:
    """The matrix products of one step of a cell with so many impressions of old and new users."""
    ranker, cold_start = cell.split("+")
    found: list[Product] = []
    if cold_start == "mail":
        # p and q, coded apart, go through each decoder together; the code's gradient is needed, the embeddings' is not.
        for n in (n_a, history):
            found += [(old * n, DIM, 32, 2), (old * n, 32, 1, 3)]
            found += dense_chain(old, [1024, 512, 512], DIM, DIM)
        for outputs in (n_a * DIM, history * DIM):
            chain = dense_chain(2 * old, [512, 1024, outputs], 512, 512)
            found += [(rows, n, m, 3) for rows, n, m, _ in chain]
        found += [(new * n_a, DIM, 32, 1), *dense_chain(new, [1024, 512, 512], DIM, DIM, 1)]
        found += dense_chain(new, [512, 1024], 512, 512, 1)
        # BaseDNN reads the sum of the virtual steps alone, so the last layer is pooled.
        found.append((new, 1536, DIM if ranker == "base" else history * DIM, 1))
    width = 4 * DIM + 1
    if ranker == "dmr":
        steps = history * (old + new if cold_start == "mail" else old)
        for _ in range(2):
            found += [(steps, 3 * DIM, 80, 3), (steps, 80, 40, 3), (steps, 40, 1, 3)]
        found += [(BATCH, DIM, DIM, 3)] * 3
        found.append((old, DIM, 2001, 3))
        width += 2 * DIM + 2
    return [*found, (BATCH, width, 512, 3), (BATCH, 512, 256, 3), (BATCH, 256, 1, 3)]


def operations(found: list[Product]) -> int:
    """Floating-point operations of the products."""
    return sum(2 * rows * n * m * times for rows, n, m, times in found)


def run_products(found: list[Product]) -> Any:
    """A graph that does the products and nothing else, each with the transposes that a gradient has."""
    import tensorflow as tf

    operands = [(tf.random.normal([r, n]), tf.random.normal([n, m]), tf.random.normal([r, m])) for r, n, m, _ in found]

    @tf.function
    def alone() -> Any:
        done = []
        for (x, w, y), (*_, times) in zip(operands, found, strict=True):
            done.append(tf.matmul(x, w)[0, 0])
            if times > 1:
                done.append(tf.matmul(x, y, transpose_a=True)[0, 0])
            if times > 2:
                done.append(tf.matmul(y, w, transpose_b=True)[0, 0])
        return tf.add_n(done)

    return alone


def median_seconds(call: Any, repeats: int) -> float:
    """Median wall time, after three calls that do not count."""
    times = []
    for repeat in range(repeats + 3):
        start = time.perf_counter()
        call(repeat)
        times.append(time.perf_counter() - start)
    return statistics.median(times[3:])


def train_for(step: Any, batches: Any, steps: int) -> float:
    """Seconds of so many steps with batches made meanwhile, as a run does them."""
    from mailcli.models.batch_spec import to_tensors

    start = time.perf_counter()
    for batch, _ in zip(batches.shuffled(0, 2), range(steps), strict=False):
        last = step(to_tensors(batch))
    float(last["L_rt"])
    return time.perf_counter() - start


def measure_cell(folder: Path, cell: str, history: int, precision: str, step_only: bool) -> dict[str, Any]:
    """What one process measures; printed as JSON."""
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
    given = {"data": dataset.name, "ranker": ranker, "cold_start": cold_start, "history": history}
    config = make_config([{**given, "batch_size": BATCH, "precision": precision}])
    view = views(dataset, config)["train"]
    batches = Batches(dataset, view, history, BATCH)
    model = make_model(dataset, config)
    step = make_step(model, config)
    train_for(step, batches, 3)
    fed = train_for(step, batches, STEPS) / STEPS
    memory, private = peak_megabytes(), private_megabytes()
    ready = [to_tensors(batch) for batch, _ in zip(batches.shuffled(0, 1), range(STEPS), strict=False)]
    alone = median_seconds(lambda k: float(step(ready[k % STEPS])["L_rt"]), STEPS)
    if step_only:
        return {"step": alone, "rows": model.embedding.rows}
    one_thread = median_seconds(lambda k: to_tensors(batches.gather(view.rows[k * BATCH : (k + 1) * BATCH])), STEPS)

    embed = tf.function(lambda batch: model.embedding(batch).behavior_sum)
    signature = tf.function(lambda batch: model(batch, training=True))

    @tf.function
    def gradients(batch: dict[str, Any]) -> Any:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(model(batch, training=True))
        found = tape.gradient(loss, model.ranking_variables)
        return [g.values[0, 0] if isinstance(g, tf.IndexedSlices) else tf.reshape(g, [-1])[0] for g in found]

    def timed(call: Any) -> float:
        return median_seconds(lambda k: tf.nest.map_structure(lambda t: t.numpy(), call(ready[k % STEPS])), 15)

    parts = {"embedding": timed(embed), "forward": timed(signature), "gradients": timed(gradients)}
    new = round(float(np.mean([float(tf.reduce_sum(tf.cast(b["actions"][:, -1] == 0, tf.float32))) for b in ready])))
    needed = products(cell, history, BATCH - new, new)
    run = run_products(needed)
    floor = median_seconds(lambda _: float(run()), 15)
    square = tf.random.normal([2048, 2048])
    if precision == "bfloat16":
        square = tf.cast(square, tf.bfloat16)
    large = tf.function(lambda: tf.matmul(square, square))
    ceiling = 2 * 2048**3 / median_seconds(lambda _: large().numpy(), 10)
    return {
        "step": alone,
        "fed": fed,
        "input": one_thread,
        "memory": memory,
        "private": private,
        "table": 3 * 4 * model.embedding.rows * DIM / 1e6,
        "rows": model.embedding.rows,
        "parts": parts,
        "operations": operations(needed),
        "floor": floor,
        "ceiling": ceiling,
    }


def measure_plain(folder: Path, history: int) -> dict[str, Any]:
    """Plain Keras on the same batches."""
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


def child(options: dict[str, Any], cell: str, history: int) -> dict[str, Any]:
    """Measure in a process of its own; an option without a value is a flag."""
    given = [str(part) for option in options.items() for part in option if part is not None]
    command = [sys.executable, __file__, "--cell", cell, "--history", str(history), *given]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def main(by_turns_only: bool) -> None:
    """Measure all cells, or only what is compared by turns; print, record."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        make_dataset(folder / "alimama")
        if not by_turns_only:
            full = {"--dataset": folder / "alimama"}
            found = {name: child(full, cell, history) for name, (cell, history) in CELLS.items()}
            half = {
                name: child({**full, "--precision": "bfloat16"}, cell, history)
                for name, (cell, history) in list(CELLS.items())[:4]
            }
            record("Training", _report(found, half))
        rows = sum(VOCABULARIES.values())
        make_dataset(folder / "small", scale=SMALL_ROWS / rows)
        make_dataset(folder / "spread", scale=SMALL_ROWS / rows, spread=True)
        # By turns, because the speed of a machine that others share drifts.
        turns: dict[str, list[dict[str, Any]]] = {name: [] for name in (*TABLES, "plain Keras")}
        for _ in range(TURNS):
            for name in TABLES:
                turns[name].append(child({"--dataset": folder / name, "--step-only": None}, "base+none", 100))
            turns["plain Keras"].append(child({"--dataset": folder / "alimama"}, "plain", 100))
    record("Training, by turns", _report_turns(turns))


def _report(found: dict[str, Any], half: dict[str, Any]) -> str:
    base = found["BaseDNN"]
    text = [
        machine("tensorflow", "keras", "numpy"),
        f"Batch {BATCH:,}, d = {DIM}, 40 % new users, full histories, {base['rows']:,} rows of embeddings; random ids "
        "of Zipf's law. `products` are the matrix products of a step alone, with the shapes that they have in it; "
        "`ceiling` is what one product of 2,048 x 2,048 reaches in the same process. `fed`: with batches made while "
        "training; `step`: with batches ready.",
        table(
            (
                "cell",
                "impressions/s",
                "step ms",
                "fed ms",
                "GFLOP",
                "products ms",
                "step / products",
                "ceiling GFLOP/s",
            ),
            [_row(name, each) for name, each in found.items()],
        ),
        "Where the time of a step goes (ms, each timed as a graph of its own, so the sums are not exact): the input "
        "by one thread, at the same time; embedding; ranker and cold-start method forward; gradients of the ranking "
        "side; optimizers and, for MAIL, the zero-shot tower's step. `peak` is the largest resident set of a process, "
        "`private` what it has without the pages of libraries and mapped files, which the system can take back.",
        table(
            (
                "cell",
                "input",
                "embedding",
                "forward",
                "gradients",
                "the rest",
                "peak MB",
                "/ (table + moments + 500)",
                "private MB",
                "/ (table + moments + 500)",
            ),
            [_parts(name, each) for name, each in found.items()],
        ),
        "With `--precision bfloat16`:",
        table(
            ("cell", "impressions/s", "step ms", "x float32", "ceiling GFLOP/s"),
            [
                (
                    name,
                    f"{BATCH / each['fed']:,.0f}",
                    f"{1e3 * each['step']:.1f}",
                    f"{found[name]['step'] / each['step']:.2f}",
                    f"{each['ceiling'] / 1e9:,.0f}",
                )
                for name, each in half.items()
            ],
        ),
    ]
    return "\n\n".join(text)


def _report_turns(turns: dict[str, list[dict[str, Any]]]) -> str:
    times = {name: [1e3 * each["step"] for each in found] for name, found in turns.items()}
    middle = {name: statistics.median(found) for name, found in times.items()}
    rows = [
        (
            name,
            f"{turns[name][0].get('rows', turns['alimama'][0]['rows']):,}",
            f"{middle[name]:.1f}",
            ", ".join(f"{each:.0f}" for each in sorted(found)),
            f"{BATCH / middle[name] * 1e3:,.0f}",
            f"{middle[name] / middle['small']:.2f}",
        )
        for name, found in times.items()
    ]
    return (
        f"{machine('tensorflow', 'keras', 'numpy')}\n\n"
        f"A step of BaseDNN, history 100, {TURNS} processes each by turns. `small` has few ids, `spread` the same "
        "batches with their rows far apart in a large table, `alimama` more different ids in a batch besides; plain "
        "Keras (`Embedding`, `Adam`, `fit`) has the batches of `alimama`.\n\n"
        f"{table(('table', 'rows', 'step ms (median)', 'all', 'impressions/s', 'x small'), rows)}\n\n"
        f"`mail` is {middle['plain Keras'] / middle['alimama']:.1f} x as fast as plain Keras."
    )


def _row(name: str, each: dict[str, Any]) -> tuple[str, ...]:
    return (
        name,
        f"{BATCH / each['fed']:,.0f}",
        f"{1e3 * each['step']:.1f}",
        f"{1e3 * each['fed']:.1f}",
        f"{each['operations'] / 1e9:.1f}",
        f"{1e3 * each['floor']:.1f}",
        f"{each['step'] / each['floor']:.2f}",
        f"{each['ceiling'] / 1e9:,.0f}",
    )


def _parts(name: str, each: dict[str, Any]) -> tuple[str, ...]:
    parts = each["parts"]
    times = [
        each["input"],
        parts["embedding"],
        parts["forward"] - parts["embedding"],
        parts["gradients"] - parts["forward"],
        each["step"] - parts["gradients"],
    ]
    return (
        name,
        *(f"{1e3 * seconds:.1f}" for seconds in times),
        *(
            text
            for megabytes in (each["memory"], each["private"])
            for text in (f"{megabytes:,.0f}", f"{megabytes / (each['table'] + 500):.2f}")
        ),
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--dataset", type=Path)
    parser.add_argument("--cell")
    parser.add_argument("--history", type=int)
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--step-only", action="dataset_true")
    parser.add_argument("--turns", action="dataset_true", help="only what is compared by turns")
    given = parser.parse_args()
    if given.cell is None:
        main(given.turns)
    elif given.cell == "plain":
        print(json.dumps(measure_plain(given.dataset, given.history)))
    else:
        print(json.dumps(measure_cell(given.dataset, given.cell, given.history, given.precision, given.step_only)))
