"""Messages and progress of a call, on stderr as those of a command."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from mailcli.utils.log import stderr_level, stderr_shows


@contextmanager
def messages_shown(quiet: bool) -> Iterator[None]:
    """Show messages and progress within the block; only warnings if `quiet`, details where they are shown already."""
    details = stderr_level() == logging.DEBUG
    with stderr_shows(logging.WARNING if quiet else logging.DEBUG if details else logging.INFO):
        yield
