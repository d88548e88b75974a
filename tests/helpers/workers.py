"""Workers of a distributed training on this machine: as threads, or as processes that run `mail train`."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from mailcli.errors import MailError
from mailcli.experiments.executors.cluster import Cluster
from mailcli.experiments.executors.rendezvous import connect

#: Settings of a run of a few seconds.
TRAINING = {"history": 20, "embedding_dim": 8, "batch_size": 256, "epochs": 2, "ranker.units": "16,8"}
#: The same for the cold-start method `mail`.
SMALL_MAIL = {"cold_start.encoder_units": "16,16,16", "cold_start.decoder_units": "16,16"}
#: Settings of the cell base+mail-base.
BASE_MAIL = {"cold_start": "mail", "cold_start.variant": "base", **SMALL_MAIL}


def free_ports(count: int) -> list[int]:
    """Ports that no process uses now."""
    servers = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [server.getsockname()[1] for server in servers]
    for server in servers:
        server.close()
    return ports


def local_clusters(count: int, timeout: float = 10.0) -> list[Cluster]:
    """The cluster as each worker sees it, all on this machine."""
    addresses = tuple(f"127.0.0.1:{port}" for port in free_ports(count))
    return [Cluster(addresses, index, timeout) for index in range(count)]


def connect_all(clusters: list[Cluster], jobs: list[dict[str, Any]], cells: Any = None) -> list[Any]:
    """What `connect` returns in each worker, a thread each, or the text of its error."""
    results: list[Any] = [None] * len(clusters)

    def connect_one(position: int) -> None:
        try:
            results[position] = connect(clusters[position], jobs[position], cells)
        except MailError as error:
            results[position] = error.message

    threads = [threading.Thread(target=connect_one, args=(position,)) for position in range(len(clusters))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def train_commands(
    data_dir: Path,
    runs: Path,
    workers: int,
    cell: dict[str, str],
    *arguments: str,
    host: str = "127.0.0.1",
    setup: str = "",
) -> list[list[str]]:
    """`mail train` of each worker, or of one process if `workers` is 1.

    Args:
        data_dir: folder of the dataset `tiny`.
        runs: folder of the runs.
        workers: the number of processes.
        cell: settings in addition to TRAINING.
        arguments: more arguments of the command.
        host: of all workers.
        setup: Python code that each process runs first.
    """
    settings = [f"{key}={value}" for key, value in {**TRAINING, **cell}.items()]
    code = f"{setup}\nfrom mailcli.cli import main; main()"
    folders = ["--data", "tiny", "--data-dir", str(data_dir), "--runs", str(runs), "--threads", "1"]
    options = [part for setting in settings for part in ("--set", setting)]
    command = [sys.executable, "-c", code, "train", *folders, *options, *arguments]
    if workers == 1:
        return [command]
    addresses = ",".join(f"{host}:{port}" for port in free_ports(workers))
    return [[*command, "--workers", addresses, "--index", str(index)] for index in range(workers)]


def start(commands: list[list[str]]) -> list[subprocess.Popen[str]]:
    """Start the commands; Ctrl-C reaches them as in a terminal."""
    return [
        subprocess.Popen(
            command,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler) and None,
        )
        for command in commands
    ]


def finish(processes: list[subprocess.Popen[str]], timeout: float = 240) -> list[tuple[int, list[str]]]:
    """Exit code and stderr of each process, without progress lines; kills those that are still running."""
    try:
        outputs = [process.communicate(timeout=timeout)[1] for process in processes]
    finally:
        for process in processes:
            process.kill()
    messages = [[line for line in text.splitlines() if not re.search(r": \d+%(, |$)| left$", line)] for text in outputs]
    return [(process.returncode, lines) for process, lines in zip(processes, messages, strict=True)]


def wait_for(condition: Callable[[], bool], processes: list[subprocess.Popen[str]]) -> None:
    """Wait until the condition holds; fail if a process ends before."""
    deadline = time.monotonic() + 200
    while not condition():
        if time.monotonic() > deadline or any(process.poll() is not None for process in processes):
            raise AssertionError(finish(processes, 1))
        time.sleep(0.01)


def thread_count(process: subprocess.Popen[str]) -> int:
    """The threads of a process, TensorFlow's included."""
    return len(list(Path(f"/proc/{process.pid}/task").iterdir()))


def thread_counts_of_epochs(
    running: list[subprocess.Popen[str]], history: Path, epochs: Sequence[int]
) -> list[list[int]]:
    """The threads of each process after the validation of each of these epochs; ends the processes."""
    counts = []
    try:
        for epoch in epochs:
            wait_for(partial(_is_validated, history, epoch), running)
            counts.append([thread_count(process) for process in running])
    finally:
        for process in running:
            process.kill()
            process.communicate()
    return counts


def _is_validated(history: Path, epoch: int) -> bool:
    text = history.read_text() if history.exists() else ""
    return text.count('"validation"') >= epoch


def training_steps(runs: Path) -> dict[str, list[dict[str, float]]]:
    """The steps in each run's history.jsonl, by cell."""
    steps = {}
    for path in sorted(runs.glob("*/*/*/seed-0/history.jsonl")):
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        steps[path.parent.parent.name] = [line for line in lines if "step" in line]
    return steps


def predictions(runs: Path) -> dict[str, bytes]:
    """The bytes of each run's predictions.npy, by cell."""
    return {path.parent.parent.name: path.read_bytes() for path in runs.glob("*/*/*/seed-0/predictions.npy")}


def without_norms(losses: dict[str, float]) -> dict[str, float]:
    """The losses of a step without the norms of gradients."""
    return {name: value for name, value in losses.items() if not name.startswith("gradient")}
