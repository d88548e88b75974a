"""How the workers of a training find each other before TensorFlow starts, which would wait forever for a missing one.

The workers connect to worker 0, the chief. The connections stay open until training ends: a closed one means that
its worker has ended.
"""

from __future__ import annotations

import errno
import ipaddress
import logging
import os
import socket
import time
from typing import Any

from mailcli.config import differences
from mailcli.errors import Interrupted, MailError
from mailcli.experiments.executors.cluster import SECRET, Cluster
from mailcli.experiments.executors.connections import Connection, Connections
from mailcli.experiments.executors.greetings import Greeting, Greetings
from mailcli.runs.identity import SHA256

logger = logging.getLogger(__name__)

#: The packages whose versions must be equal; their keys in a job.
VERSIONS = ("mail", "tensorflow", "keras", "numpy")
#: Seconds between two attempts to connect to a chief that does not answer yet (ours).
_PAUSE = 0.2
#: The most seconds for one attempt, and how much longer than the chief a worker waits (ours).
_CONNECT_SECONDS = 10
_SAME_COMMAND = "Run the same command on all workers, except for --index."


def connect(cluster: Cluster, job: dict[str, Any], cells: Any = None) -> Connections:
    """Connect the workers; return when all are there and have the same job.

    Args:
        cluster: the workers.
        job: settings, versions and checksums, as plain values; they must be equal on all workers.
        cells: those that the chief will train, sent to all workers.

    Raises:
        MailError: a worker does not connect in time, or has another job.
        Interrupted: by Ctrl-C; the chief reports it to the workers that have connected.
    """
    try:
        connections = _accept_workers(cluster, job, cells) if cluster.index == 0 else _connect_to_chief(cluster, job)
    except KeyboardInterrupt:
        raise Interrupted("Interrupted while waiting for the other workers.") from None
    connections.watch()
    return connections


def reject_workers(cluster: Cluster, reason: str) -> None:
    """As a chief that cannot start, send the reason to each worker that connects, until all know it or time is out."""
    waiting, deadline = set(range(1, len(cluster.addresses))), time.monotonic() + cluster.timeout
    with _listen(cluster) as server, Greetings(server, cluster.key) as greetings:
        while waiting and (greeting := greetings.next(deadline)):
            try:
                waiting.discard(int(greeting.message["index"]))
                greeting.connection.send(error=f"{cluster.name(0)} cannot start: {reason}")
            except (OSError, ValueError, KeyError, TypeError):
                continue  # Not one of our workers, or it has ended.


def _listen(cluster: Cluster) -> socket.socket:
    """A socket that listens on this worker's port (MailError if another process uses it)."""
    host, port = cluster.host_and_port(cluster.index)
    try:
        try:
            family = socket.AF_INET6 if ipaddress.ip_address(host).version == 6 else socket.AF_INET
            return socket.create_server((host, port), family=family, backlog=len(cluster.addresses))
        except OSError as error:
            if error.errno != errno.EADDRNOTAVAIL:
                raise
        except ValueError:
            pass
        # A host name may stand for another interface here, and an address may belong to a router or container host:
        # listen on all interfaces.
        dualstack = socket.has_dualstack_ipv6()
        family = socket.AF_INET6 if dualstack else socket.AF_INET
        return socket.create_server(("", port), family=family, dualstack_ipv6=dualstack, backlog=len(cluster.addresses))
    except OSError as error:
        raise port_error(cluster, os.strerror(error.errno or 0)) from error


def port_error(cluster: Cluster, reason: str) -> MailError:
    """The error of a worker that cannot use its port."""
    _, port = cluster.host_and_port(cluster.index)
    return MailError(
        f"{cluster.name(cluster.index)}: port {port} cannot be used on this machine ({reason}). Choose another port, "
        "or stop the process that uses it."
    )


def _accept_workers(cluster: Cluster, job: dict[str, Any], cells: Any) -> Connections:
    """The chief's part: wait for all workers, then send them its cells, or the error that ends them all."""
    connections, deadline = Connections(cluster, cells=cells), time.monotonic() + cluster.timeout
    expected = range(1, len(cluster.addresses))
    error = ""
    try:
        with _listen(cluster) as server, Greetings(server, cluster.key) as greetings:
            while not error and len(connections.by_index) < len(expected):
                greeting = greetings.next(deadline)
                if greeting:
                    error = _admit(connections, greeting, job)
                    continue
                missing = ", ".join(cluster.name(index) for index in expected if index not in connections.by_index)
                error = _timeout_text(missing, "connect", cluster)
    except KeyboardInterrupt:
        connections.broadcast(error=f"{cluster.name(0)} was interrupted while waiting for the other workers.")
        raise
    if error:
        connections.broadcast(error=error)
        raise MailError(error)
    connections.broadcast(cells=cells)
    return connections


def _timeout_text(names: str, action: str, cluster: Cluster) -> str:
    return (
        f"{names} did not {action} within {cluster.timeout:g} seconds. Start all workers with the same --workers "
        f"and {SECRET}, or raise --worker-timeout."
    )


def _admit(connections: Connections, greeting: Greeting, job: dict[str, Any]) -> str:
    """Keep the connection of a worker that has greeted; returns what is wrong with the worker, or an empty text."""
    cluster, connection = connections.cluster, greeting.connection
    try:
        index, worker_job = int(greeting.message["index"]), dict(greeting.message["job"])
    except (ValueError, KeyError, TypeError) as error:
        # Not one of our workers, or one of another version.
        logger.debug(f"{cluster.name(0)}: ignoring a connection of a process that is none of the workers ({error}).")
        connection.close()
        return ""
    fault = ""
    if index in connections.by_index or index not in range(1, len(cluster.addresses)):
        fault = f"two workers were started with --index {index}. {_SAME_COMMAND}"
    elif worker_job != job:
        fault = f"{cluster.name(index)} {_difference(job, worker_job)}"
    connections.by_index[index if index not in connections.by_index else -1] = connection
    return fault


def _difference(job: dict[str, Any], worker_job: dict[str, Any]) -> str:
    """How a worker's job differs from the chief's, and what to do; only the first kind, which causes the others."""
    keys = {key for key in {*job, *worker_job} if job.get(key) != worker_job.get(key)}
    checksums = {key for key in keys if key.endswith(SHA256)}
    for kind, fault, advice in (
        (keys & set(VERSIONS), "has other package versions", "Install the same on all workers."),
        (keys - checksums, "was started with other settings", _SAME_COMMAND),
        (checksums, "has other files", "Copy them from one worker to all, or preprocess the same raw files there."),
    ):
        if kind:
            values = ({key: _shorten(key, of[key]) for key in of if key in kind} for of in (job, worker_job))
            return f"{fault} ({'; '.join(differences(*values))}). {advice}"
    raise AssertionError("the jobs are equal")


def _shorten(key: str, value: Any) -> Any:
    """The start of a checksum, which is enough to show that two differ."""
    return value[:12] if key.endswith(SHA256) and isinstance(value, str) else value


def _connect_to_chief(cluster: Cluster, job: dict[str, Any]) -> Connections:
    """Another worker's part: say hello to the chief and wait for its answer."""
    # Checked now, not after waiting for the others, when TensorFlow takes the port.
    _listen(cluster).close()
    deadline = time.monotonic() + cluster.timeout
    while True:
        try:
            connection = Connection(
                socket.create_connection(cluster.host_and_port(0), timeout=_CONNECT_SECONDS), cluster.key
            )
            connection.send(index=cluster.index, job=job)
            # The chief waits as long for the other workers, and may have started later.
            answer = connection.receive(cluster.timeout + _CONNECT_SECONDS)
            if answer is not None:
                break
        except socket.gaierror as error:
            raise MailError(f"{cluster.name(0)}: unknown host ({error.strerror}).") from error
        except (OSError, ValueError):
            pass  # The chief is not there yet.
        if time.monotonic() > deadline:
            raise MailError(_timeout_text(cluster.name(0), "answer", cluster))
        time.sleep(_PAUSE)
    if "error" in answer:
        raise MailError(answer["error"])
    return Connections(cluster, {0: connection}, cells=answer.get("cells"))
