"""What several workers cost: time of a step, bytes that workers tell one another, memory of a million ids.

benchmarks/scaling.py [--steps N] [--rounds N]: one process and two on the loopback interface by turns, each with one
thread, train BaseDNN and MAIL-Base at the paper's settings on a dataset of Alimama's shape. Fits what a byte and a
message cost. Writes a section of RESULTS.md.
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

#: Steps before the clock starts: graphs are made in the first.
WARM_UP = 3
CELLS = {"BaseDNN": {}, "MAIL-Base": {"cold_start": "mail", "cold_start.variant": "base"}}
#: Cell, million rows of the table, batch: the paper's; a larger table; the ranker alone; a small batch, which shows
#: what messages cost besides their bytes.
CASES = (
    ("MAIL-Base", "0.3", 1024),
    ("MAIL-Base", "3.1", 1024),
    ("BaseDNN", "0.3", 1024),
    ("MAIL-Base", "0.3", 128),
)


class Measured(NamedTuple):
    """A line of the table."""

    cell: str
    millions: str
    batch: int
    workers: int
    found: dict[str, Any]
    """The medians of the rounds."""


def main() -> None:
    """See above."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--worker", metavar="JOB", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.worker:
        work(json.loads(asked.worker))
    else:
        compare(asked.steps, asked.rounds)


def compare(steps: int, rounds: int) -> None:
    """Measure all and write it down."""
    from alimama_shape import make_dataset

    lines: list[Measured] = []
    with tempfile.TemporaryDirectory() as folder:
        datasets = {}
        for millions, spread in (("0.3", False), ("3.1", True)):
            # The same batches in both: the rows of the larger table are farther apart.
            datasets[millions] = make_dataset(
                Path(folder) / f"s{millions}", history=100, scale=0.1, spread=spread
            ).folder
        for name, millions, batch in CASES:
            # By turns, so that what else the machine does meanwhile falls on all alike.
            kinds = ((1, batch), (1, batch // 2), (2, batch))
            found: dict[tuple[int, int], list[dict[str, Any]]] = {kind: [] for kind in kinds}
            for _ in range(rounds):
                for workers, rows in kinds:
                    settings = {**CELLS[name], "batch_size": rows}
                    found[workers, rows].append(measure(datasets[millions], workers, settings, steps))
                    print(name, millions, rows, workers, found[workers, rows][-1], file=sys.stderr, flush=True)
            for (workers, rows), each in found.items():
                medians = {key: statistics.median(one[key] for one in each) for key in each[0]}
                lines.append(Measured(name, millions, rows, workers, medians))
    record("Several workers", told(lines, steps, rounds))


def told(lines: list[Measured], steps: int, rounds: int) -> str:
    """The section of RESULTS.md."""
    bandwidth, latency = fit(lines)
    ones = {line.millions: line.found for line in reversed(lines) if line.workers == 1}
    more = (ones["3.1"]["megabytes"] - ones["0.3"]["megabytes"]) / (ones["3.1"]["rows"] - ones["0.3"]["rows"])
    head = ["cell", "million rows", "batch", "workers", "ms a step", "ms by the model", "MB told a step", "messages"]
    return "\n\n".join(
        [
            machine("keras"),
            "Two processes on the loopback interface of one machine, a thread each; one process has one thread too. "
            f"By turns {rounds} times; medians of {steps} steps. Bytes are those that the interface passed on, both "
            "ways together, and gRPC's own among them.",
            table(
                [*head, "distinct rows of a worker's part"],
                [
                    (
                        line.cell,
                        line.millions,
                        f"{line.batch:,}",
                        str(line.workers),
                        f"{line.found['ms']:.0f}",
                        f"{modelled(line, lines, bandwidth, latency):.0f}" if line.workers > 1 else "",
                        f"{line.found['told'] / 1e6:.1f}" if line.workers > 1 else "",
                        f"{line.found['messages']:.0f}" if line.workers > 1 else "",
                        f"{line.found['distinct']:,.0f}",
                    )
                    for line in lines
                ],
            ),
            f"The model: t(W, B) = t(1, B / W) + sent / bandwidth + messages * latency, with bandwidth = "
            f"{bandwidth / 1e3:,.0f} MB/s and latency = {latency:.2f} ms, fitted to the lines of two workers by least "
            "squares.",
            f"Memory of a process: {1e6 * more:,.0f} MB per million rows of d = 32 (the table and two moments are 384 "
            "MB).",
        ]
    )


def alone(line: Measured, lines: list[Measured]) -> float:
    """Milliseconds that one process takes for a worker's part of the batch."""
    part = line.batch // line.workers
    same = [other for other in lines if (other.workers, other.batch) == (1, part)]
    return float(next(x.found["ms"] for x in same if (x.cell, x.millions) == (line.cell, line.millions)))


def fit(lines: list[Measured]) -> tuple[float, float]:
    """Bytes a millisecond and milliseconds a message, neither below zero; infinity where bytes cost nothing."""
    import numpy as np
    from scipy.optimize import nnls

    several = [line for line in lines if line.workers > 1]
    costs = np.array([[line.found["told"] / 2, line.found["messages"]] for line in several])
    # Of one size, which least squares are solved better with.
    scale = costs.max(axis=0)
    times = np.array([max(line.found["ms"] - alone(line, lines), 0.0) for line in several])
    each_byte, latency = nnls(costs / scale, times)[0] / scale
    return (1 / each_byte if each_byte else float("inf")), float(latency)


def modelled(line: Measured, lines: list[Measured], bandwidth: float, latency: float) -> float:
    """Milliseconds of a step by the model."""
    return alone(line, lines) + line.found["told"] / 2 / bandwidth + line.found["messages"] * latency


def measure(dataset: Path, workers: int, settings: dict[str, Any], steps: int) -> dict[str, Any]:
    """What worker 0 tells of its steps; all workers are on this machine."""
    servers = [socket.create_server(("127.0.0.1", 0)) for _ in range(workers)]
    addresses = [f"127.0.0.1:{server.getsockname()[1]}" for server in servers]
    for server in servers:
        server.close()
    job = {"dataset": str(dataset), "addresses": addresses, "settings": settings, "steps": steps}
    running = [
        subprocess.Popen(
            [sys.executable, __file__, "--worker", json.dumps({**job, "index": index})],
            stdout=subprocess.PIPE,
            text=True,
        )
        for index in range(workers)
    ]
    told = [each.communicate()[0] for each in running]
    if any(each.returncode for each in running):
        raise RuntimeError("a worker failed")
    found: dict[str, Any] = json.loads(told[0].splitlines()[-1])
    return found


def loopback_bytes() -> int:
    """What the loopback interface has received since the machine started (Linux)."""
    for line in Path("/proc/net/dev").read_text(encoding="utf-8").splitlines():
        name, _, numbers = line.partition(":")
        if name.strip() == "lo":
            return int(numbers.split()[0])
    raise RuntimeError("there is no loopback interface")


def messages_of(step: Any) -> int:
    """How many messages between the workers the graph of a training step holds."""
    graph = step._graph.get_concrete_function().graph.as_graph_def()
    nodes = [*graph.node, *(node for function in graph.library.function for node in function.node_def)]
    return sum(node.op.startswith(("CollectiveReduce", "CollectiveGather")) for node in nodes)


def work(job: dict[str, Any]) -> None:
    """Steps of one worker; prints what they cost."""
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
        seconds, told, distinct = [], [], []
        for _, batch in zip(range(WARM_UP + job["steps"]), data.shuffled(0, 1), strict=False):
            tensors = to_tensors(batch)
            before, start = loopback_bytes(), time.perf_counter()
            float(step(tensors)["L_rt"])
            seconds.append(time.perf_counter() - start)
            told.append(loopback_bytes() - before)
            of_steps = batch["behaviors"] + starts
            rows = model.embedding(tensors).table_rows.numpy()
            distinct.append(len(np.unique(np.concatenate([rows.ravel(), of_steps.ravel()]))))
    print(
        json.dumps(
            {
                "ms": 1e3 * float(np.median(seconds[WARM_UP:])),
                "told": float(np.median(told[WARM_UP:])),
                "distinct": int(np.median(distinct)),
                "messages": messages_of(step),
                "rows": model.embedding.rows,
                "megabytes": private_megabytes(),
            }
        )
    )


if __name__ == "__main__":
    main()
