"""How the workers of a training find one another, and notice that one has ended.

Worker 0, the chief, is called by the others before TensorFlow starts, which waits without end for a worker that does
not come. The calls stay open as long as the training: the end of a process is noticed by the end of its call.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
import time
from dataclasses import dataclass, field
from typing import Any

from mailcli.cluster import Cluster
from mailcli.config import differences
from mailcli.errors import MailError

#: Seconds that TensorFlow has to fail by itself when a worker is gone (ours); then the process is ended.
GRACE = 20.0
#: Seconds between two calls to a chief that does not answer yet (ours).
_PAUSE = 0.2
#: The longest message, in bytes (ours); settings are some hundreds.
_LONGEST = 1 << 20


class _Call:
    """Lines of JSON on a connection."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._rest = b""
        # A machine that loses its power sends no word.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, seconds in (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3)):
            if hasattr(socket, name):
                connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), seconds)

    def tell(self, **message: Any) -> None:
        self._connection.sendall(json.dumps(message).encode() + b"\n")

    def hear(self, seconds: float | None) -> dict[str, Any] | None:
        """The next message; None when the other has ended (TimeoutError, ValueError for what is no message)."""
        self._connection.settimeout(seconds)
        while b"\n" not in self._rest:
            try:
                more = self._connection.recv(1 << 16)
            except ConnectionError:
                more = b""
            if not more:
                return None
            self._rest += more
            if len(self._rest) > _LONGEST:
                raise ValueError("too long")
        line, _, self._rest = self._rest.partition(b"\n")
        found = json.loads(line)
        if not isinstance(found, dict):
            raise ValueError("no message")
        return found

    def close(self) -> None:
        self._connection.close()


@dataclass
class Links:
    """The open calls of this worker: the chief's to all, another's to the chief."""

    cluster: Cluster
    calls: dict[int, _Call] = field(default_factory=dict)
    plan: Any = None
    """What the chief has told all when they met."""
    lost: str = ""
    """A sentence on the worker that ended before the training did."""
    _ending: bool = False
    _finished: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    _known: threading.Event = field(default_factory=threading.Event)

    def watch(self) -> None:
        """From now on notice the end of another worker, and end this process if it cannot end by itself."""
        for index, call in self.calls.items():
            threading.Thread(target=self._listen, args=(index, call), daemon=True).start()

    def _listen(self, index: int, call: _Call) -> None:
        try:
            told = call.hear(None)
        except (OSError, ValueError):
            told = None
        if told is not None and told.get("end") == "":
            self._finished.release()
            return
        if told is not None and "lost" in told:
            self.lost = told["lost"]
        else:
            why = f" ({told['end']})" if told else ""
            self.lost = f"{self.cluster.name(index)} has ended before the training did{why}."
        for other, each in self.calls.items():
            if other != index:
                try:
                    each.tell(lost=self.lost)
                except OSError:
                    continue  # it has ended too, and its own listener tells of it
        self._known.set()
        time.sleep(GRACE)
        # TensorFlow is waiting for that worker where no exception reaches it.
        if not self._ending:
            print(f"Error: {self.lost} {AGAIN}", file=sys.stderr, flush=True)
        os._exit(MailError.exit_code)

    def explained(self) -> MailError | None:
        """The error to tell when TensorFlow has failed because another worker is gone; None when none is."""
        self._known.wait(GRACE / 2)
        self._ending = True
        return MailError(f"{self.lost} {AGAIN}") if self.lost else None

    def close(self, why: str) -> None:
        """Say good-bye; `why` is empty when the training is finished."""
        self._ending = True
        for call in self.calls.values():
            try:
                call.tell(end=why)
            except OSError:
                continue  # it has ended already
            # Not closed: the other would take it for an end without a word, were it quicker than the message.

    def wait(self) -> None:
        """Until all others have finished too: what ends early takes TensorFlow's service of the others along."""
        for _ in self.calls:
            self._finished.acquire()


#: What to do when a worker is gone.
AGAIN = "Start all workers again with the same commands: they go on from the last checkpoint."


def meet(cluster: Cluster, asked: dict[str, Any], plan: Any = None) -> Links:
    """Wait until all workers are there and want the same.

    Args:
        cluster: who they are.
        asked: what this worker was asked to do, plain values; it must be the same for all.
        plan: of the chief, told to all.

    Raises:
        MailError: a worker does not come in time, or was asked for something else.
    """
    links = _call_together(cluster, asked, plan) if cluster.index == 0 else _call_chief(cluster, asked)
    links.watch()
    return links


def _port(cluster: Cluster) -> int:
    return int(cluster.addresses[cluster.index].rpartition(":")[2])


def _listening(cluster: Cluster) -> socket.socket:
    """A socket on this worker's port (MailError when another process has it)."""
    try:
        return socket.create_server(("", _port(cluster)), backlog=len(cluster.addresses))
    except OSError as error:
        raise MailError(
            f"{cluster.name(cluster.index)}: port {_port(cluster)} cannot be used on this machine "
            f"({os.strerror(error.errno or 0)}). "
            "Choose another port, or end the process that has it."
        ) from error


def _call_together(cluster: Cluster, asked: dict[str, Any], plan: Any) -> Links:
    links, until = Links(cluster, plan=plan), time.monotonic() + cluster.timeout
    everyone = range(1, len(cluster.addresses))
    error = ""
    with _listening(cluster) as server:
        while not error and len(links.calls) < len(everyone):
            server.settimeout(max(until - time.monotonic(), 0.001))
            try:
                connection, _ = server.accept()
            except TimeoutError:
                missing = ", ".join(cluster.name(index) for index in everyone if index not in links.calls)
                error = f"{missing} did not call within {cluster.timeout:g} seconds. Start it, or see --worker-timeout."
                break
            error = _admit(links, _Call(connection), asked)
    for call in links.calls.values():
        call.tell(**({"error": error} if error else {"plan": plan}))
    if error:
        raise MailError(error)
    return links


def _admit(links: Links, call: _Call, asked: dict[str, Any]) -> str:
    """Hear who calls and what it was asked for; what is wrong with it."""
    cluster = links.cluster
    try:
        told = call.hear(10)
        if told is None:
            raise ValueError("nothing said")
        index, theirs, addresses = told["index"], dict(told["asked"]), tuple(told["addresses"])
    except (OSError, ValueError, KeyError, TypeError):
        call.close()  # No worker of ours: whatever looks for open ports.
        return ""
    fault = ""
    if addresses != cluster.addresses:
        fault = f"a worker calls that was given other --workers ({','.join(map(str, addresses))})"
    elif index in links.calls or index not in range(1, len(addresses)):
        fault = f"two workers were started with --index {index}"
    elif theirs != asked:
        fault = f"{cluster.name(index)} was asked for something else ({'; '.join(differences(asked, theirs))})"
    links.calls[index if index not in links.calls else -1] = call
    return fault and f"{fault}. Give all workers the same command but for --index."


def _call_chief(cluster: Cluster, asked: dict[str, Any]) -> Links:
    _listening(cluster).close()
    host, _, port = cluster.addresses[0].rpartition(":")
    until = time.monotonic() + cluster.timeout
    silent = MailError(
        f"{cluster.name(0)} did not answer within {cluster.timeout:g} seconds. Start it, or see --worker-timeout."
    )
    while True:
        try:
            call = _Call(socket.create_connection((host.strip("[]"), int(port)), timeout=10))
            call.tell(index=cluster.index, addresses=cluster.addresses, asked=asked)
            # It waits as long for the others, from when it began.
            answer = call.hear(cluster.timeout + 10)
            if answer is not None:
                break
        except socket.gaierror as error:
            raise MailError(f"{cluster.name(0)}: the host is not known ({error.strerror}).") from error
        except (OSError, ValueError):
            pass  # not there yet
        if time.monotonic() > until:
            raise silent
        time.sleep(_PAUSE)
    if "error" in answer:
        raise MailError(answer["error"])
    return Links(cluster, {0: call}, plan=answer.get("plan"))
