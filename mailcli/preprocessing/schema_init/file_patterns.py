"""One pattern for a table whose files are parts, such as log-1.csv and log-2.csv."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path


def file_patterns(names: Sequence[str], folder: Path) -> list[str]:
    """One pattern that matches the given files of a folder and no others; or else one pattern per file."""
    escaped = [glob.escape(name) for name in names]
    parts = [Path(name).parts for name in names]
    if len(names) == 1 or len(set(map(len, parts))) > 1:
        return escaped
    pattern = os.path.join(*(_common_pattern(list(dict.fromkeys(level))) for level in zip(*parts, strict=True)))
    matches = [name for name in glob.glob(pattern, root_dir=folder, recursive=True) if (folder / name).is_file()]
    return [pattern] if sorted(matches) == sorted(names) else escaped


def _common_pattern(names: Sequence[str]) -> str:
    """A pattern for numbered names, or for values of one key (`day=1`); for others, one that matches no file."""
    if len(names) == 1:
        return glob.escape(names[0])
    prefix = _common_prefix(names)
    if "=" in prefix:
        return f"{glob.escape(prefix.partition('=')[0])}=*"
    # Not in the middle of a number: log-10 and log-11 become log-*, not log-1*.
    prefix = prefix.rstrip("0123456789")
    endings = [name[len(prefix) :] for name in names]
    suffix = _common_prefix([ending[::-1] for ending in endings])[::-1].lstrip("0123456789")
    is_numbered = all(re.search(r"\d", ending[: len(ending) - len(suffix)]) for ending in endings)
    return f"{glob.escape(prefix)}*{glob.escape(suffix)}" if is_numbered else ""


def _common_prefix(texts: Sequence[str]) -> str:
    equal = takewhile(lambda characters: len(set(characters)) == 1, zip(*texts, strict=False))
    return "".join(characters[0] for characters in equal)
