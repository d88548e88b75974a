"""How the workers of a training find one another, and notice that one has ended.

Worker 0, the chief, is called by the others before TensorFlow starts, which waits without end for a worker that does
not come. The calls stay open as long as the training: the end of a process is noticed by the end of its call.
"""

from __future__ import annotations

import errno
import ipaddress
import json
import logging
import os
import socket
import threading
import time
from dataclasses import dataclass, field
from typing import Any

from mailcli.config import differences
from mailcli.errors import Interrupted, MailError
from mailcli.experiments.executors.cluster import Cluster

logger = logging.getLogger(__name__)


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
            logger.error(f"Error: {self.lost} {AGAIN}")
        os._exit(MailError.exit_code)

    def explained(self) -> MailError | None:
        """The error to tell when TensorFlow has failed because another worker is gone; None when none is."""
        self._known.wait(GRACE / 2)
        self._ending = True
        return MailError(f"{self.lost} {AGAIN}") if self.lost else None

    def close(self, why: str) -> None:
        """Say good-bye; `why` is empty when the training is finished."""
        self._ending = True
        # The other tells what to do itself.
        why = why.removesuffix(AGAIN).rstrip(" .")
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
#: What `asked` tells of what is installed; other keys that end so tell of files.
VERSIONS = ("mail", "tensorflow", "keras", "numpy")
_FILE = "_sha256"


def meet(cluster: Cluster, asked: dict[str, Any], plan: Any = None) -> Links:
    """Wait until all workers are there and want the same.

    Args:
        cluster: who they are.
        asked: what this worker was asked to do, plain values; it must be the same for all.
        plan: of the chief, told to all.

    Raises:
        MailError: a worker does not come in time, or was asked for something else.
        Interrupted: by Ctrl-C; the chief tells those who have come.
    """
    try:
        links = _call_together(cluster, asked, plan) if cluster.index == 0 else _call_chief(cluster, asked)
    except KeyboardInterrupt:
        raise Interrupted("Interrupted while waiting for the other workers.") from None
    links.watch()
    return links


def refuse(cluster: Cluster, why: str) -> None:
    """As the chief, tell all others that there is nothing to wait for; until they have heard or their time is out."""
    waiting, until = set(range(1, len(cluster.addresses))), time.monotonic() + cluster.timeout
    with _listening(cluster) as server:
        while waiting:
            call = _called(server, until)
            if call is None:
                return
            try:
                waiting.discard((call.hear(10) or {}).get("index", 0))
                call.tell(error=f"{cluster.name(0)} cannot begin: {why}")
            except (OSError, ValueError, TypeError):
                continue  # No worker of ours.


def _listening(cluster: Cluster) -> socket.socket:
    """A socket on this worker's port (MailError when another process has it)."""
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
        # A name, which may stand for another interface here, or an address that a router or container has for it.
        both = socket.has_dualstack_ipv6()
        family = socket.AF_INET6 if both else socket.AF_INET
        return socket.create_server(("", port), family=family, dualstack_ipv6=both, backlog=len(cluster.addresses))
    except OSError as error:
        raise port_in_use(cluster, os.strerror(error.errno or 0)) from error


def port_in_use(cluster: Cluster, why: str) -> MailError:
    """The error to tell of a worker whose port cannot be used."""
    _, port = cluster.host_and_port(cluster.index)
    return MailError(
        f"{cluster.name(cluster.index)}: port {port} cannot be used on this machine ({why}). Choose another port, or "
        "end the process that has it."
    )


def _called(server: socket.socket, until: float) -> _Call | None:
    """The next who calls; None when time is out."""
    server.settimeout(max(until - time.monotonic(), 0.001))
    try:
        return _Call(server.accept()[0])
    except TimeoutError:
        return None


def _call_together(cluster: Cluster, asked: dict[str, Any], plan: Any) -> Links:
    links, until = Links(cluster, plan=plan), time.monotonic() + cluster.timeout
    everyone = range(1, len(cluster.addresses))
    error = ""
    try:
        with _listening(cluster) as server:
            while not error and len(links.calls) < len(everyone):
                call = _called(server, until)
                if call:
                    error = _admit(links, call, asked)
                    continue
                missing = ", ".join(cluster.name(index) for index in everyone if index not in links.calls)
                error = f"{missing} did not call within {cluster.timeout:g} seconds. Start it, or see --worker-timeout."
    except KeyboardInterrupt:
        _tell_all(links, error=f"{cluster.name(0)} was interrupted while it waited for the others.")
        raise
    if error:
        _tell_all(links, error=error)
        raise MailError(error)
    _tell_all(links, plan=plan)
    return links


def _tell_all(links: Links, **message: Any) -> None:
    for call in links.calls.values():
        try:
            call.tell(**message)
        except OSError:
            continue  # It has ended, which is noticed by its call.


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
        fault = f"a worker calls that was given other --workers ({','.join(map(str, addresses))}). {_SAME}"
    elif index in links.calls or index not in range(1, len(addresses)):
        fault = f"two workers were started with --index {index}. {_SAME}"
    elif theirs != asked:
        fault = f"{cluster.name(index)} {_other(asked, theirs)}"
    links.calls[index if index not in links.calls else -1] = call
    return fault


_SAME = "Give all workers the same command but for --index."


def _other(asked: dict[str, Any], theirs: dict[str, Any]) -> str:
    """How what a worker was asked for differs, and how to mend it: the cause of the most first."""
    differ = {key for key in {*asked, *theirs} if asked.get(key) != theirs.get(key)}
    for keys, what, advice in (
        (differ & set(VERSIONS), "has other versions", "Install the same on all workers."),
        (differ - {key for key in differ if key.endswith(_FILE)}, "was asked for something else", _SAME),
        (differ, "has other files", "Copy them from one worker to all, or preprocess the same raw files there."),
    ):
        if keys:
            told = differences(*({key: _short(key, of[key]) for key in of if key in keys} for of in (asked, theirs)))
            return f"{what} ({'; '.join(told)}). {advice}"
    raise AssertionError("they are the same")


def _short(key: str, value: Any) -> Any:
    """The beginning of a checksum, by which two are told apart."""
    return value[:12] if key.endswith(_FILE) and isinstance(value, str) else value


def _call_chief(cluster: Cluster, asked: dict[str, Any]) -> Links:
    # Noticed before it waits for the others; TensorFlow takes the port later.
    _listening(cluster).close()
    until = time.monotonic() + cluster.timeout
    silent = MailError(
        f"{cluster.name(0)} did not answer within {cluster.timeout:g} seconds. Start it, or see --worker-timeout."
    )
    while True:
        try:
            call = _Call(socket.create_connection(cluster.host_and_port(0), timeout=10))
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
