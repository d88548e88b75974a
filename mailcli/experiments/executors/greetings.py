"""Reads the greetings of all processes that connect to the chief side by side: a silent one holds up no worker."""

from __future__ import annotations

import logging
import selectors
import socket
import time
from typing import Any, NamedTuple

from mailcli.experiments.executors.connections import Connection

logger = logging.getLogger(__name__)

#: Seconds that a connected process has to say who it is (ours).
GREETING_TIMEOUT = 10.0
#: Connections without a greeting that are kept open (ours: with more, the oldest is a stranger's).
MOST_SILENT = 200


class Greeting(NamedTuple):
    """The first message of a process that connected, and its connection."""

    connection: Connection
    message: dict[str, Any]


class Greetings:
    """The greetings on a listening socket; a context manager that closes the connections without one.

    Args:
        server: the socket.
        key: shared by all workers.
    """

    def __init__(self, server: socket.socket, key: bytes) -> None:
        self._server, self._key = server, key
        self._deadlines: dict[Connection, float] = {}
        """When each silent connection is closed, the oldest first."""
        self._selector = selectors.DefaultSelector()
        server.setblocking(False)
        self._selector.register(server, selectors.EVENT_READ)

    def __enter__(self) -> Greetings:
        return self

    def __exit__(self, *_: object) -> None:
        for connection in list(self._deadlines):
            self._drop(connection, "no greeting")
        self._selector.close()

    def next(self, deadline: float) -> Greeting | None:
        """The next greeting of a worker; None if there is none before the deadline, by time.monotonic()."""
        while (now := time.monotonic()) < deadline:
            for connection in [silent for silent, end in self._deadlines.items() if end <= now]:
                self._drop(connection, "no greeting")
            for key, _ in self._selector.select(min([deadline, *self._deadlines.values()]) - now):
                if key.fileobj is self._server:
                    self._accept()
                elif key.data in self._deadlines and (message := self._read(key.data)) is not None:
                    return Greeting(key.data, message)
        return None

    def _accept(self) -> None:
        try:
            connected, _ = self._server.accept()
        except (BlockingIOError, ConnectionError):
            return  # It was closed again in the meantime.
        connected.settimeout(GREETING_TIMEOUT)
        connection = Connection(connected, self._key)
        self._deadlines[connection] = time.monotonic() + GREETING_TIMEOUT
        self._selector.register(connection, selectors.EVENT_READ, connection)
        if len(self._deadlines) > MOST_SILENT:
            self._drop(next(iter(self._deadlines)), "too many connections")

    def _read(self, connection: Connection) -> dict[str, Any] | None:
        """A connection's greeting; None if it is not complete yet, or if the connection is not one of a worker."""
        try:
            if not connection.read_more():
                return None
            message = connection.receive(GREETING_TIMEOUT)
        except (OSError, ValueError) as error:
            self._drop(connection, str(error))
            return None
        if message is None:
            self._drop(connection, "closed without a greeting")
            return None
        self._forget(connection)
        return message

    def _drop(self, connection: Connection, reason: str) -> None:
        """Close the connection of a process that is none of the workers, but for example a port scanner."""
        logger.debug(f"Ignoring a connection of a process that is none of the workers ({reason}).")
        self._forget(connection)
        connection.close()

    def _forget(self, connection: Connection) -> None:
        self._selector.unregister(connection)
        del self._deadlines[connection]
