"""Cells of a notebook, executed as IPython does: in `__main__`, with their source in `linecache`."""

from __future__ import annotations

import linecache
from itertools import count
from typing import Any

_numbers = count()


class Cells:
    """A notebook without a kernel; `names` are its variables."""

    def __init__(self) -> None:
        self.names: dict[str, Any] = {"__name__": "__main__"}

    def run(self, code: str) -> dict[str, Any]:
        """Execute a cell; the notebook's variables after it."""
        file = f"/tmp/ipykernel_0/{next(_numbers)}.py"
        linecache.cache[file] = (len(code), None, code.splitlines(keepends=True), file)
        exec(compile(code, file, "exec"), self.names)
        return self.names
