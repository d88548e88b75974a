"""How workers connect before TensorFlow starts; each worker is a thread here."""

from __future__ import annotations

import hashlib
import socket
import threading
import time
from dataclasses import replace
from typing import Any

import pytest

from mailcli.errors import Interrupted, MailError
from mailcli.experiments.executors import greetings, rendezvous
from mailcli.experiments.executors.cluster import Cluster
from mailcli.experiments.executors.connections import Connection
from mailcli.experiments.executors.greetings import GREETING_TIMEOUT, Greetings
from mailcli.experiments.executors.rendezvous import connect, reject_workers
from tests.helpers.workers import connect_all, free_ports, local_clusters

START = "Start all workers with the same --workers and MAIL_WORKER_SECRET, or raise --worker-timeout."


def test_all_receive_the_cells_of_the_chief() -> None:
    workers = connect_all(local_clusters(3), [{"seed": 1}] * 3, ["base+none"])
    assert [connections.cells for connections in workers] == [["base+none"]] * 3
    for connections in workers:
        connections.close("")
    for connections in workers:
        connections.wait()
    assert [connections.lost for connections in workers] == [""] * 3


def test_missing_workers_are_named() -> None:
    clusters = local_clusters(4, timeout=0.5)
    missing = f"{clusters[1].name(1)}, {clusters[3].name(3)}"
    error = f"{missing} did not connect within 0.5 seconds. {START}"
    assert connect_all([clusters[0], clusters[2]], [{}] * 2) == [error, error]


def test_a_chief_that_does_not_answer_is_named() -> None:
    clusters = local_clusters(2, timeout=0.5)
    error = f"{clusters[0].name(0)} did not answer within 0.5 seconds. {START}"
    assert connect_all(clusters[1:], [{}]) == [error]


def test_other_settings_are_named() -> None:
    clusters = local_clusters(2)
    error = (
        f"{clusters[1].name(1)} was started with other settings (seed: 1 -> 2). Run the same command on all workers, "
        "except for --index."
    )
    jobs = [{"seed": 1, "dataset_sha256": "a"}, {"seed": 2, "dataset_sha256": "b"}]
    assert connect_all(clusters, jobs) == [error, error]


def test_other_versions_and_files_are_named() -> None:
    job = {"seed": 1, "dataset_sha256": "0123456789abcdef", "tensorflow": "2.21.0", "numpy": "2.3.1"}
    for changes, error in (
        (
            {"tensorflow": "2.22.0", "numpy": "2.3.2", "dataset_sha256": "f"},
            "has other package versions (tensorflow: '2.21.0' -> '2.22.0'; numpy: '2.3.1' -> '2.3.2'). Install the "
            "same on all workers.",
        ),
        (
            {"dataset_sha256": "fedcba9876543210"},
            "has other files (dataset_sha256: '0123456789ab' -> 'fedcba987654'). Copy them from one worker to all, "
            "or preprocess the same raw files there.",
        ),
    ):
        clusters = local_clusters(2)
        errors = connect_all(clusters, [job, {**job, **changes}])
        assert errors == [f"{clusters[1].name(1)} {error}"] * 2


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="the machine has no IPv6")
def test_over_ipv6() -> None:
    addresses = tuple(f"[::1]:{port}" for port in free_ports(2))
    workers = connect_all([Cluster(addresses, index, 10.0) for index in range(2)], [{}] * 2, "cells")
    assert [connections.cells for connections in workers] == ["cells"] * 2
    for connections in workers:
        connections.close("")


def test_a_worker_listens_on_its_own_address_if_the_machine_has_it() -> None:
    (port,) = free_ports(1)
    # 192.0.2.1 belongs to no machine, as the address of a router that forwards connections to this one.
    for host, expected in (
        ("127.0.0.1", {"127.0.0.1"}),
        ("192.0.2.1", {"::", "0.0.0.0"}),
        ("a", {"::", "0.0.0.0"}),
    ):
        with rendezvous._listen(Cluster((f"{host}:{port}", "b:2"), 0)) as server:
            assert server.getsockname()[0] in expected


def test_a_chief_that_cannot_start_rejects_all_workers() -> None:
    clusters = local_clusters(3)
    chief = threading.Thread(target=lambda: reject_workers(clusters[0], "runs: is full."))
    chief.start()
    error = f"{clusters[0].name(0)} cannot start: runs: is full."
    assert connect_all(clusters[1:], [{}] * 2) == [error, error]
    chief.join(5)
    assert not chief.is_alive()


def test_a_chief_that_cannot_start_waits_no_longer_than_the_timeout() -> None:
    start = time.monotonic()
    reject_workers(local_clusters(2, timeout=0.5)[0], "runs: is full.")
    assert 0.4 < time.monotonic() - start < 5


@pytest.mark.parametrize("index", [0, 1])
def test_ctrl_c_while_waiting(index: int, monkeypatch: pytest.MonkeyPatch) -> None:
    clusters = local_clusters(3)

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    if index:
        monkeypatch.setattr("time.sleep", interrupt)
    else:
        # After one worker has connected.
        original = rendezvous._admit

        def admit_and_interrupt(*arguments: Any) -> None:
            original(*arguments)
            interrupt()

        monkeypatch.setattr(rendezvous, "_admit", admit_and_interrupt)
    errors: list[str] = []

    def follow() -> None:
        try:
            connect(clusters[1], {})
        except MailError as error:
            errors.append(error.message)

    worker = threading.Thread(target=follow)
    if index == 0:
        worker.start()
    with pytest.raises(Interrupted, match="^Interrupted while waiting for the other workers.$") as error:
        connect(clusters[index], {})
    assert error.value.exit_code == 130
    if index == 0:
        worker.join(5)
        assert errors == [f"{clusters[0].name(0)} was interrupted while waiting for the other workers."]


def test_two_of_one_index() -> None:
    clusters = local_clusters(3)
    greeted: list[Connection] = []

    def greet() -> None:
        """As a second worker 1 on another machine: on this one it would find the port of the first in use."""
        while not greeted:
            try:
                connected = socket.create_connection(clusters[0].host_and_port(0))
            except OSError:
                time.sleep(0.01)
                continue
            greeted.append(Connection(connected, clusters[1].key))
            greeted[0].send(index=1, job={})

    greeting = threading.Thread(target=greet)
    greeting.start()
    errors = connect_all(clusters[:2], [{}] * 2)
    greeting.join()
    assert errors == [
        "two workers were started with --index 1. Run the same command on all workers, except for --index."
    ] * len(errors)


def test_a_stranger_is_ignored() -> None:
    clusters = local_clusters(2)
    host, _, port = clusters[0].addresses[0].rpartition(":")

    def knock() -> None:
        nested = b"[" * 100_000 + b"]" * 100_000
        other_job = b'{"index": 1, "addresses": ["a:1", "b:2"], "job": {}}'
        # SHA-256 without a key is no HMAC.
        digest = hashlib.sha256(other_job).hexdigest().encode()
        for text in (b"GET / HTTP/1.1\r\n\r\n", b"", b"[1]\n", nested + b"\n", digest + b" " + other_job + b"\n"):
            for _ in range(100):
                try:
                    with socket.create_connection((host, int(port))) as stranger:
                        stranger.sendall(text)
                    break
                except OSError:
                    time.sleep(0.01)

    knocking = threading.Thread(target=knock)
    knocking.start()
    chief: list[Any] = []
    waiting = threading.Thread(target=lambda: chief.append(connect(clusters[0], {}, "cells")))
    waiting.start()
    knocking.join()
    worker = connect(clusters[1], {})
    waiting.join()
    assert worker.cells == "cells"
    assert list(chief[0].by_index) == [1]
    for connections in (chief[0], worker):
        connections.close("")


def test_silent_strangers_hold_up_no_worker() -> None:
    clusters = local_clusters(2, timeout=20)
    address = clusters[0].host_and_port(0)
    chief: list[Any] = []
    waiting = threading.Thread(target=lambda: chief.append(connect(clusters[0], {}, "cells")))
    started = time.monotonic()
    waiting.start()
    strangers: list[socket.socket] = []
    while len(strangers) < 5:
        try:
            strangers.append(socket.create_connection(address))
        except OSError:
            time.sleep(0.01)
    # One that has begun a message, too.
    strangers[0].sendall(b"0123")
    worker = connect(clusters[1], {})
    waiting.join()
    assert worker.cells == "cells"
    assert time.monotonic() - started < GREETING_TIMEOUT / 2
    for stranger in strangers:
        # The chief has closed it.
        stranger.settimeout(5)
        assert stranger.recv(1) == b""
        stranger.close()
    for connections in (chief[0], worker):
        connections.close("")


def test_a_silent_stranger_is_dropped_in_time_and_the_oldest_of_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(greetings, "MOST_SILENT", 2)
    with socket.create_server(("127.0.0.1", 0)) as server, Greetings(server, b"key") as waiting:
        strangers = [socket.create_connection(server.getsockname()) for _ in range(3)]
        assert waiting.next(time.monotonic() + 0.3) is None
        strangers[0].settimeout(5)
        assert strangers[0].recv(1) == b""
        monkeypatch.setattr(greetings, "GREETING_TIMEOUT", 0.1)
        late = socket.create_connection(server.getsockname())
        assert waiting.next(time.monotonic() + 0.5) is None
        late.settimeout(5)
        assert late.recv(1) == b""
        for stranger in (*strangers, late):
            stranger.close()


def test_workers_of_another_list_or_secret_are_strangers() -> None:
    (chief, worker) = local_clusters(2, timeout=1.0)
    host = worker.addresses[1].rpartition(":")[0]
    others = [replace(worker, secret="another"), replace(worker, addresses=(worker.addresses[0], f"{host}:1"))]
    for other in others:
        assert other.key not in {chief.key, replace(chief, secret="ours").key}
    errors = connect_all([chief, others[0]], [{}] * 2)
    assert errors == [
        f"{worker.name(1)} did not connect within 1 seconds. {START}",
        f"{worker.name(0)} did not answer within 1 seconds. {START}",
    ]
    for connections in connect_all([replace(cluster, secret="ours") for cluster in local_clusters(2)], [{}] * 2):
        connections.close("")


def test_a_port_in_use() -> None:
    clusters = local_clusters(2)
    port = int(clusters[1].addresses[1].rpartition(":")[2])
    with socket.create_server(("", port)), pytest.raises(MailError) as error:
        connect(clusters[1], {})
    assert error.value.message == (
        f"{clusters[1].name(1)}: port {port} cannot be used on this machine (Address already in use). Choose another "
        "port, or stop the process that uses it."
    )


def test_an_unknown_host() -> None:
    (port,) = free_ports(1)
    with pytest.raises(MailError, match=r"^worker 0 \(nowhere.invalid:1\): unknown host \(.*\)\.$"):
        connect(Cluster(("nowhere.invalid:1", f"127.0.0.1:{port}"), 1, 5.0), {})
