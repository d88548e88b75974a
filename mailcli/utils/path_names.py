"""Paths in messages: names that libraries cannot take, since all expect UTF-8, and the place of a line of code."""

from __future__ import annotations

import sys
from pathlib import Path


def path_fault(path: Path) -> str:
    """Why a path's name cannot be used, and what to do; empty if it can."""
    text = str(path)
    encoding = sys.getfilesystemencoding()
    if not text.isascii() and encoding != "utf-8":
        return f"its name cannot be read in the locale's encoding, {encoding}. Set PYTHONUTF8=1, or rename it to ASCII"
    if any("\ud800" <= character <= "\udfff" for character in text):
        return "its name is not UTF-8. Rename it"
    return ""


def code_line(file: str, line: int) -> str:
    """`my_ranker.py, line 12: `, in front of a message; relative to the current folder if the file is below it."""
    path = Path(file)
    return f"{path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}, line {line}: "
