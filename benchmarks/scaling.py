"""The cost of several workers: time of a step, bytes between the workers, memory per million ids.

One process and two on the loopback interface, alternating, each with one thread, train BaseDNN and MAIL-Base with the
paper's settings on a dataset in Alimama's shape. The cost of a byte and of a message is fitted to the measurements.

Run: python benchmarks/scaling.py [--steps N] [--rounds N]
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

from measure import machine, private_megabytes, record, table

#: Steps before the measurement: the first one builds the graphs.
WARM_UP = 3
CELLS = {"BaseDNN": {}, "MAIL-Base": {"cold_start": "mail", "cold_start.variant": "base"}}
#: Cell, million rows of the table, batch size: the paper's; a larger table; the ranker alone; a small batch, in which
#: the latency of messages dominates.
CASES = (
    ("MAIL-Base", "0.3", 1024),
    ("MAIL-Base", "3.1", 1024),
    ("BaseDNN", "0.3", 1024),
    ("MAIL-Base", "0.3", 128),
)


class Line(NamedTuple):
    """A line of the table."""

    cell: str
    millions: str
    batch: int
    workers: int
    medians: dict[str, Any]
    """Of each measurement, over the rounds."""


def main() -> None:
    """Measure and record, or run one worker."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--worker", metavar="JOB", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        work(json.loads(arguments.worker))
    else:
        compare(arguments.steps, arguments.rounds)


def compare(steps: int, rounds: int) -> None:
    """Measure all cases and record them."""
    from alimama_shape import make_dataset

    lines: list[Line] = []
    with tempfile.TemporaryDirectory() as folder:
        datasets = {}
        for millions, spread in (("0.3", False), ("3.1", True)):
            # The same batches in both: only the rows of the larger table are farther apart.
            datasets[millions] = make_dataset(
                Path(folder) / f"s{millions}", history=100, scale=0.1, spread=spread
            ).folder
        for name, millions, batch in CASES:
            # Alternate, so that other load on the machine affects all equally.
            kinds = ((1, batch), (1, batch // 2), (2, batch))
            results: dict[tuple[int, int], list[dict[str, Any]]] = {kind: [] for kind in kinds}
            for _ in range(rounds):
                for workers, rows in kinds:
                    settings = {**CELLS[name], "batch_size": rows}
                    results[workers, rows].append(measure(datasets[millions], workers, settings, steps))
                    print(name, millions, rows, workers, results[workers, rows][-1], file=sys.stderr, flush=True)
            for (workers, rows), measurements in results.items():
                medians = {key: statistics.median(m[key] for m in measurements) for key in measurements[0]}
                lines.append(Line(name, millions, rows, workers, medians))
    record("Several workers", report(lines, steps, rounds))


def report(lines: list[Line], steps: int, rounds: int) -> str:
    """The section of RESULTS.md."""
    bandwidth, latency = fit(lines)
    single = {line.millions: line.medians for line in reversed(lines) if line.workers == 1}
    small, large = single["0.3"], single["3.1"]
    megabytes_per_row = (large["megabytes"] - small["megabytes"]) / (large["rows"] - small["rows"])
    head = ["cell", "million rows", "batch", "workers", "ms per step", "ms by the model", "MB per step", "messages"]
    return "\n\n".join(
        [
            machine("keras"),
            "Two processes on the loopback interface of one machine, one thread each, against one process with one "
            f"thread, alternating {rounds} times; medians of {steps} steps. Bytes are those that passed through the "
            "interface, in both directions together, including gRPC's own.",
            table(
                [*head, "distinct rows per worker"],
                [
                    (
                        line.cell,
                        line.millions,
                        f"{line.batch:,}",
                        str(line.workers),
                        f"{line.medians['ms']:.0f}",
                        f"{modelled(line, lines, bandwidth, latency):.0f}" if line.workers > 1 else "",
                        f"{line.medians['bytes'] / 1e6:.1f}" if line.workers > 1 else "",
                        f"{line.medians['messages']:.0f}" if line.workers > 1 else "",
                        f"{line.medians['distinct']:,.0f}",
                    )
                    for line in lines
                ],
            ),
            f"The model: t(W, B) = t(1, B / W) + sent / bandwidth + messages * latency, with bandwidth = "
            f"{bandwidth / 1e3:,.0f} MB/s and latency = {latency:.2f} ms, fitted to the lines with two workers by "
            "least squares.",
            f"Memory of a process: {1e6 * megabytes_per_row:,.0f} MB per million rows of d = 32 (the table and two "
            "moments are 384 MB).",
        ]
    )


def single_process(line: Line, lines: list[Line]) -> float:
    """Milliseconds of one process for a worker's part of the batch."""
    part = (line.cell, line.millions, line.batch // line.workers, 1)
    return float(next(candidate.medians["ms"] for candidate in lines if candidate[:4] == part))


def fit(lines: list[Line]) -> tuple[float, float]:
    """Bytes per millisecond and milliseconds per message, neither negative; infinity if bytes cost nothing."""
    import numpy as np
    from scipy.optimize import nnls

    several = [line for line in lines if line.workers > 1]
    costs = np.array([[line.medians["bytes"] / 2, line.medians["messages"]] for line in several])
    # Scaled to the same magnitude, for numerical stability.
    scale = costs.max(axis=0)
    times = np.array([max(line.medians["ms"] - single_process(line, lines), 0.0) for line in several])
    per_byte, latency = nnls(costs / scale, times)[0] / scale
    return (1 / per_byte if per_byte else float("inf")), float(latency)


def modelled(line: Line, lines: list[Line], bandwidth: float, latency: float) -> float:
    """Milliseconds of a step by the model."""
    sent, messages = line.medians["bytes"] / 2, line.medians["messages"]
    return single_process(line, lines) + sent / bandwidth + messages * latency


def measure(dataset: Path, workers: int, settings: dict[str, Any], steps: int) -> dict[str, Any]:
    """The measurements of worker 0; all workers are on this machine."""
    servers = [socket.create_server(("127.0.0.1", 0)) for _ in range(workers)]
    addresses = [f"127.0.0.1:{server.getsockname()[1]}" for server in servers]
    for server in servers:
        server.close()
    job = {"dataset": str(dataset), "addresses": addresses, "settings": settings, "steps": steps}
    processes = [
        subprocess.Popen(
            [sys.executable, __file__, "--worker", json.dumps({**job, "index": index})],
            stdout=subprocess.PIPE,
            text=True,
        )
        for index in range(workers)
    ]
    outputs = [process.communicate()[0] for process in processes]
    if any(process.returncode for process in processes):
        raise RuntimeError("a worker failed")
    measurements: dict[str, Any] = json.loads(outputs[0].splitlines()[-1])
    return measurements


def loopback_bytes() -> int:
    """Bytes that the loopback interface has received since the machine started (Linux)."""
    for line in Path("/proc/net/dev").read_text(encoding="utf-8").splitlines():
        name, _, numbers = line.partition(":")
        if name.strip() == "lo":
            return int(numbers.split()[0])
    raise RuntimeError("there is no loopback interface")


def messages_of(step: Any) -> int:
    """Number of messages between the workers in the graph of a training step."""
    graph = step._graph.get_concrete_function().graph.as_graph_def()
    nodes = [*graph.node, *(node for function in graph.library.function for node in function.node_def)]
    return sum(node.op.startswith(("CollectiveReduce", "CollectiveGather")) for node in nodes)


def work(job: dict[str, Any]) -> None:
    """Run the steps of one worker and print their cost."""
    from mailcli.experiments.executors.cluster import Cluster
    from mailcli.experiments.executors.distributed import team_of
    from mailcli.utils.hardware import limit_threads
    from mailcli.utils.tensorflow_startup import load_tensorflow

    limit_threads(1)
    os.environ["KERAS_BACKEND"] = "tensorflow"
    teams: list[Any] = []
    several = len(job["addresses"]) > 1
    cluster = Cluster(tuple(job["addresses"]), job["index"])
    load_tensorflow((lambda: teams.append(team_of(cluster))) if several else None)
    from contextlib import nullcontext

    import numpy as np

    from mailcli.config import make_config
    from mailcli.data.batches import Batches
    from mailcli.data.dataset import Dataset
    from mailcli.data.protocol import views
    from mailcli.models import distribute
    from mailcli.models.batch_spec import to_tensors
    from mailcli.models.factory import make_model
    from mailcli.models.step import make_step

    dataset = Dataset(Path(job["dataset"]))
    config = make_config([{"data": dataset.name}, job["settings"]])
    with distribute.use_replicas(teams[0]) if several else nullcontext():
        model = make_model(dataset, config)
        step = make_step(model, config)
        data = Batches(dataset, views(dataset, config)["train"], config.history, config.batch_size, distribute.worker())
        starts = [model.embedding.first_row[field.vocabulary] for field in dataset.schema.group("behavior")]
        seconds, traffic, distinct = [], [], []
        for _, batch in zip(range(WARM_UP + job["steps"]), data.shuffled(0, 1), strict=False):
            tensors = to_tensors(batch)
            before, start = loopback_bytes(), time.perf_counter()
            float(step(tensors)["L_rt"])
            seconds.append(time.perf_counter() - start)
            traffic.append(loopback_bytes() - before)
            behaviors = batch["behaviors"] + starts
            rows = model.embedding(tensors).table_rows.numpy()
            distinct.append(len(np.unique(np.concatenate([rows.ravel(), behaviors.ravel()]))))
    print(
        json.dumps(
            {
                "ms": 1e3 * float(np.median(seconds[WARM_UP:])),
                "bytes": float(np.median(traffic[WARM_UP:])),
                "distinct": int(np.median(distinct)),
                "messages": messages_of(step),
                "rows": model.embedding.rows,
                "megabytes": private_megabytes(),
            }
        )
    )


if __name__ == "__main__":
    main()
