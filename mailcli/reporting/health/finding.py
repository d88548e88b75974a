"""One thing that `mail doctor` looks at."""

from __future__ import annotations

from typing import NamedTuple


class Finding(NamedTuple):
    """One thing that was looked at."""

    topic: str
    """The heading in the table."""
    name: str
    state: str
    fault: str = ""
    """What is broken, and how to fix it; empty if nothing is."""
