"""What several workers cost: time of a step, bytes that workers tell one another, memory of a million ids.

benchmarks/scaling.py [--steps N]: one process and two on the loopback interface, each with one thread, train
BaseDNN and MAIL-Base at the paper's settings on a store of Alimama's shape. Writes a section of RESULTS.md.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

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


def main() -> None:
    """See above."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--worker", metavar="JOB", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.worker:
        work(json.loads(asked.worker))
    else:
        compare(asked.steps)


def compare(steps: int) -> None:
    """Measure all and write it down."""
    from alimama_shape import make_store

    rows = []
    with tempfile.TemporaryDirectory() as folder:
        stores = {}
        for millions, spread in (("0.3", False), ("3.1", True)):
            # The same batches in both: the rows of the larger table are farther apart.
            stores[millions] = make_store(Path(folder) / f"s{millions}", history=100, scale=0.1, spread=spread).folder
        for name, millions, batch in CASES:
            for workers in (1, 2):
                found = measure(stores[millions], workers, {**CELLS[name], "batch_size": batch}, steps)
                rows.append((name, millions, batch, workers, found))
                print(name, millions, batch, workers, found, file=sys.stderr, flush=True)
    small, large = (next(r[4] for r in rows if r[1] == millions) for millions in ("0.3", "3.1"))
    each = (large["megabytes"] - small["megabytes"]) / (large["rows"] - small["rows"]) * 1e6
    text = "\n\n".join(
        [
            machine("keras"),
            "Two processes on the loopback interface of one machine, a thread each; one process has one thread too. "
            f"Median of {steps} steps. Bytes are those that the interface passed on, both ways together, and gRPC's "
            "own among them.",
            table(
                ["cell", "million rows", "batch", "workers", "ms a step", "MB told a step", "distinct rows of a batch"],
                [
                    (
                        name,
                        millions,
                        str(batch),
                        str(workers),
                        f"{found['ms']:.0f}",
                        f"{found['told'] / 1e6:.2f}" if workers > 1 else "",
                        f"{found['distinct']:,}",
                    )
                    for name, millions, batch, workers, found in rows
                ],
            ),
            f"Memory of a process: {each:,.0f} MB per million rows of d = 32 (the table and two moments are 384 MB).",
        ]
    )
    record("Several workers", text)


def measure(store: Path, workers: int, settings: dict[str, Any], steps: int) -> dict[str, Any]:
    """What worker 0 tells of its steps; all workers are on this machine."""
    servers = [socket.create_server(("127.0.0.1", 0)) for _ in range(workers)]
    addresses = [f"127.0.0.1:{server.getsockname()[1]}" for server in servers]
    for server in servers:
        server.close()
    job = {"store": str(store), "addresses": addresses, "settings": settings, "steps": steps}
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


def work(job: dict[str, Any]) -> None:
    """Steps of one worker; prints what they cost."""
    from mailcli.cluster import Cluster
    from mailcli.hardware import limit_threads
    from mailcli.quiet import load_tensorflow
    from mailcli.workers import team_of

    limit_threads(1)
    os.environ["KERAS_BACKEND"] = "tensorflow"
    teams: list[Any] = []
    several = len(job["addresses"]) > 1
    cluster = Cluster(tuple(job["addresses"]), job["index"])
    load_tensorflow((lambda: teams.append(team_of(cluster))) if several else None)
    from contextlib import nullcontext

    import numpy as np

    from mailcli import replicas
    from mailcli.batches import Batches
    from mailcli.config import make_config
    from mailcli.model import make_model, make_step, to_tensors
    from mailcli.protocol import views
    from mailcli.store import Store

    store = Store(Path(job["store"]))
    config = make_config([{"data": store.name}, job["settings"]])
    with replicas.on(teams[0]) if several else nullcontext():
        model = make_model(store, config)
        step = make_step(model, config)
        data = Batches(store, views(store, config)["train"], config.history, config.batch_size, replicas.worker())
        starts = [model.embedding.start[field.vocabulary] for field in store.schema.group("behavior")]
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
                "rows": model.embedding.rows,
                "megabytes": private_megabytes(),
            }
        )
    )


if __name__ == "__main__":
    main()
