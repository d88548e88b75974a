"""The open connections between the workers of a training, by which each notices that another has ended."""

from __future__ import annotations

import hmac
import json
import logging
import os
import socket
import sys
import threading
import time
from dataclasses import dataclass, field
from typing import Any

from mailcli.errors import MailError
from mailcli.experiments.executors.cluster import Cluster
from mailcli.utils.log import LOGGER

logger = logging.getLogger(__name__)

#: Seconds that TensorFlow has to fail by itself after a worker is lost (ours); then this process is ended.
GRACE = 20.0
#: What to do after a worker is lost.
RESTART = "Start all workers again with the same commands to resume from the last checkpoint."
#: The longest message, in bytes (ours); settings take some hundred.
_LONGEST = 1 << 20
#: Options of TCP (ours: a machine without power is noticed within a minute).
_KEEP_ALIVE = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}


class Connection:
    """Exchanges messages, a line of JSON each with its HMAC, over a socket.

    Args:
        connected: the socket.
        key: shared by all workers; a message of a process that does not know it counts as invalid.
    """

    def __init__(self, connected: socket.socket, key: bytes) -> None:
        self._socket, self._key = connected, key
        self._unread, self._is_closed = b"", False
        # A machine that loses power closes no connection: keep-alive notices it.
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _KEEP_ALIVE.items():
            if hasattr(socket, name):
                connected.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)

    def send(self, **message: Any) -> None:
        """Send a message (OSError if the other side has closed the connection)."""
        text = json.dumps(message).encode()
        self._socket.sendall(self._digest(text) + b" " + text + b"\n")

    def receive(self, timeout: float | None) -> dict[str, Any] | None:
        """The next message; None if the other side has closed the connection.

        Raises:
            TimeoutError: no whole message within `timeout` seconds.
            ValueError: what was received is not a message of a worker.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while b"\n" not in self._unread:
            if self._is_closed:
                return None
            # For all of the message: a stranger may send a byte now and then.
            self._socket.settimeout(None if deadline is None else max(deadline - time.monotonic(), 0.001))
            self.read_more()
        line, _, self._unread = self._unread.partition(b"\n")
        digest, _, text = line.partition(b" ")
        # Checked first: JSON of a stranger may be nested so deeply that reading it fails.
        if not hmac.compare_digest(digest, self._digest(text)):
            raise ValueError("the message does not come from one of the workers")
        message = json.loads(text)
        if not isinstance(message, dict):
            raise ValueError("the message is not a JSON object")
        return message

    def read_more(self) -> bool:
        """Read what has come, or wait for something; whether `receive` will now return at once.

        Raises:
            TimeoutError: nothing has come.
            ValueError: the message is too long.
        """
        try:
            data = self._socket.recv(1 << 16)
        except ConnectionError:
            data = b""
        self._is_closed = not data
        self._unread += data
        if len(self._unread) > _LONGEST:
            raise ValueError("the message is too long")
        return self._is_closed or b"\n" in self._unread

    def fileno(self) -> int:
        """The socket's number, by which a selector waits for it."""
        return self._socket.fileno()

    def _digest(self, text: bytes) -> bytes:
        return hmac.digest(self._key, text, "sha256").hex().encode()

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


@dataclass
class Connections:
    """The open connections of this worker: from the chief to all workers, or from another worker to the chief."""

    cluster: Cluster
    by_index: dict[int, Connection] = field(default_factory=dict)
    cells: Any = None
    """The cells that the chief will train, sent to all workers when they connect."""
    lost: str = ""
    """A sentence about the worker that stopped before training finished."""
    _ending: bool = False
    _finished: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    _lost_is_known: threading.Event = field(default_factory=threading.Event)

    def watch(self) -> None:
        """From now on notice when another worker ends, and end this process if it cannot end by itself."""
        for index, connection in self.by_index.items():
            threading.Thread(target=self._watch_worker, args=(index, connection), daemon=True).start()

    def _watch_worker(self, index: int, connection: Connection) -> None:
        try:
            message = connection.receive(None)
        except (OSError, ValueError):
            message = None
        if message is not None and message.get("end") == "":
            self._finished.release()
            return
        if message is not None and "lost" in message:
            self.lost = message["lost"]
        else:
            reason = f" ({message['end']})" if message else ""
            self.lost = f"{self.cluster.name(index)} stopped before training finished{reason}."
        self.broadcast(except_index=index, lost=self.lost)
        self._lost_is_known.set()
        time.sleep(GRACE)
        # TensorFlow is still waiting for that worker, where no exception reaches it.
        try:
            if not self._ending:
                logger.error(f"Error: {self.lost} {RESTART}")
            # os._exit flushes nothing.
            for flush in (*(handler.flush for handler in LOGGER.handlers), sys.stdout.flush, sys.stderr.flush):
                flush()
        finally:
            os._exit(MailError.exit_code)

    def broadcast(self, except_index: int | None = None, **message: Any) -> None:
        """Send a message to all connected workers but one."""
        for index, connection in self.by_index.items():
            if index != except_index:
                try:
                    connection.send(**message)
                except OSError:
                    continue  # It has ended, which the thread that watches it notices.

    def error(self) -> MailError | None:
        """The error to raise when TensorFlow has failed because a worker is lost; None if none is lost."""
        self._lost_is_known.wait(GRACE / 2)
        self._ending = True
        return MailError(f"{self.lost} {RESTART}") if self.lost else None

    def close(self, reason: str) -> None:
        """Tell the other workers that this one ends; `reason` is empty if training has finished."""
        self._ending = True
        # The receiver adds RESTART itself. The sockets stay open: the receiver would take a closed connection for a
        # lost worker if it noticed that before the message.
        self.broadcast(end=reason.removesuffix(RESTART).rstrip(" ."))

    def wait(self) -> None:
        """Wait until all other workers have finished: TensorFlow's services end with the process that ends first."""
        for _ in self.by_index:
            self._finished.acquire()
