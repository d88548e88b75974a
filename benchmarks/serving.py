"""Latency of an exported model in TensorFlow: one user x 200 candidates, with and without a history.

Models of the paper's sizes (d = 32, n_v = 100, layers of 512 and 256, MAIL's zero-shot tower) are exported by
`mail export` and receive one request after the other in a process that cannot import `mailcli`. `one by one` is the
same request as 200 users with one candidate each: the cost of a signature that does not share the user's part.

Run: python benchmarks/serving.py [--users N] (5 minutes)
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from measure import machine, record, table

CELLS = (("base", "none"), ("base", "mail"), ("dmr", "none"), ("dmr", "mail"))
CANDIDATES, HISTORY = 200, 100
REQUESTS = 400
CORES = os.cpu_count() or 1
RUN = "from mailcli.cli import main; main({!r}, standalone_mode=False)"
#: The measured program; it has only TensorFlow.
SERVER = """
import json, os, sys, time
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
sys.modules["mailcli"] = sys.modules["keras"] = None
import numpy as np
import tensorflow as tf
folder, candidates, history, requests = sys.argv[1], *map(int, sys.argv[2:])
start = time.perf_counter()
model = tf.saved_model.load(os.path.join(folder, "1"))
loaded = time.perf_counter() - start
example = json.load(open(os.path.join(folder, "request.json")))["inputs"]
graph = model.signatures["serving_default"]
types = {name: spec.dtype for name, spec in graph.structured_input_signature[1].items()}
rng = np.random.default_rng(0)
def request(steps):
    inputs = {}
    for name, value in example.items():
        value = np.array(value, object)
        if name == "item":
            value = rng.integers(1, 4000, (1, candidates))
        elif name == "history_action":
            value = rng.choice(["pv", "pv", "pv", "cart", "fav", "buy"], (1, steps)).astype(object)
        elif name.startswith("history_"):
            value = rng.integers(1, 1000, (1, steps))
        inputs[name] = tf.constant(value, types[name])
    return inputs
def one_by_one(inputs):
    flat = {name: tf.repeat(value, candidates, axis=0) for name, value in inputs.items() if name != "item"}
    return {**flat, "item": tf.transpose(inputs["item"])}
kinds = {
    "old": lambda: request(history),
    "new": lambda: request(0),
    "old, one by one": lambda: one_by_one(request(history)),
    "new, one by one": lambda: one_by_one(request(0)),
}
ready = {kind: [make() for _ in range(10)] for kind, make in kinds.items()}
times = {kind: [] for kind in kinds}
# Alternate, because the speed of a shared machine drifts.
for k in range(-5, requests):
    for kind in kinds if k % 5 == 0 else ("old", "new"):
        start = time.perf_counter()
        graph(**ready[kind][k % 10])["click"].numpy()
        if k >= 0:
            times[kind].append(1000 * (time.perf_counter() - start))
quantiles = {kind: np.percentile(values, (50, 99)).tolist() for kind, values in times.items()}
print(json.dumps({"load": loaded, **quantiles}))
"""


def mail(*arguments: object) -> None:
    """Run a command; its output goes to stderr."""
    command = [sys.executable, "-c", RUN.format([*map(str, arguments)])]
    subprocess.run(command, check=True, stdout=sys.stderr)


def measure(model: Path) -> dict[str, Any]:
    """Milliseconds of each kind of request, p50 and p99."""
    command = [sys.executable, "-c", SERVER, str(model), *map(str, (CANDIDATES, HISTORY, REQUESTS))]
    server = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    times: dict[str, Any] = json.loads(server.stdout.splitlines()[-1])
    return times


def main(users: int) -> None:
    """Train and export the models, measure, record."""
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        mail("simulate", "alimama", "--users", users, "--seed", 0, "--out", folder / "raw", "--behaviors-per-user", 150)
        mail("preprocess", "alimama", "--raw", folder / "raw", "--data-dir", folder / "data")
        here = ("--data-dir", folder / "data")
        latencies, sizes = {}, {}
        for ranker, cold_start in CELLS:
            runs = ("--runs", folder / "runs", "--set", "epochs=1")
            mail("train", "--ranker", ranker, "--cold-start", cold_start, *runs, *here)
            cell = f"{ranker}+{cold_start}" + ("-base" if cold_start == "mail" else "")
            run = folder / "runs" / "alimama" / "paper" / cell / "seed-0"
            mail("export", run, folder / cell, *here)
            sizes[cell] = sum(path.stat().st_size for path in (folder / cell).rglob("*")) / 1e6
            latencies[cell] = measure(folder / cell)
    rows = []
    for cell, times in latencies.items():
        for who in ("old", "new"):
            (p50, p99), (one_by_one, _) = times[who], times[f"{who}, one by one"]
            numbers = (f"{p50:.1f}", f"{p99:.1f}", f"{one_by_one:.1f}", f"{one_by_one / p50:.1f}")
            rows.append((f"{cell}, {who} user", *numbers, f"{sizes[cell]:.1f}", f"{times['load']:.1f}"))
    head = ("model", "p50 ms", "p99 ms", "one by one, p50 ms", "ratio", "model MB", "load s")
    text = [
        machine("tensorflow"),
        f"One user x {CANDIDATES} candidates with the signature `serving_default`, {HISTORY} behaviors or none; "
        f"{REQUESTS} requests of each kind, alternating, with TensorFlow's Python API in the same process; d = 32, "
        f"{users:,} simulated users. `one by one`: the same as {CANDIDATES} users with one candidate each. Load "
        f"average of the minute before: {load:.1f}"
        + (": other work was running, so the times are too high, p99 above all." if load > CORES else "."),
        table(head, rows),
    ]
    record("Serving", "\n\n".join(text))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=500)
    main(parser.parse_args().users)
