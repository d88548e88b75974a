"""Sources, engines, rankers and cold-start methods are found by their file's name: a new file is all it takes.

`mailcli/<kind>/<name>.py` holds one class with the kind's well-known name. Names are listed without importing anything.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any, NamedTuple

from mailcli.errors import MailError, choices, nearest


class Kind(NamedTuple):
    """One kind of plugin."""

    package: str
    class_name: str
    title: str


SOURCES = Kind("sources", "Source", "data source")
ENGINES = Kind("engines", "Engine", "engine")
RANKERS = Kind("rankers", "Ranker", "ranker")
COLD_STARTS = Kind("coldstart", "ColdStart", "cold-start method")


def names(kind: Kind) -> list[str]:
    """The names that `load` knows, sorted: `ml_100k.py` is `ml-100k`."""
    files = (Path(__file__).parent / kind.package).glob("[!_]*.py")
    return sorted(file.stem.replace("_", "-") for file in files)


def check(kind: Kind, name: str) -> None:
    """Refuse an unknown name, suggesting the nearest (MailError)."""
    known = names(kind)
    if name not in known:
        raise MailError(f"unknown {kind.title} '{name}'.{nearest(name, known)} Known: {choices(known)}.")


def load(kind: Kind, name: str) -> Any:
    """The class of that name (MailError for an unknown one)."""
    check(kind, name)
    module = importlib.import_module(f"mailcli.{kind.package}.{name.replace('-', '_')}")
    return getattr(module, kind.class_name)
