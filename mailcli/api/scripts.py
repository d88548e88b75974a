"""Worker processes of a script: they import the package, and not the script."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType


@contextmanager
def script_hidden() -> Iterator[None]:
    """Start worker processes without the user's script, which would otherwise run again in each of them.

    So a script needs no `if __name__ == "__main__"`.
    """
    script = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = script
