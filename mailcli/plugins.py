"""Sources, engines, rankers, cold-start methods and figures are found by their file's name: a new file is all it takes.

`mailcli/<kind>/<name>.py` holds one class with the kind's well-known name. Names are listed without importing anything.
A name may also be `package.module:Class`, or an entry point of the group `mail.<kind>` of an installed package.
"""

from __future__ import annotations

import ast
import hashlib
import importlib
import os
import sys
from collections.abc import Collection
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from mailcli.errors import MailError, did_you_mean, quoted
from mailcli.utils.tensorflow_startup import load_tensorflow


class PluginKind(NamedTuple):
    """One kind of plugin."""

    package: str
    """Its folder below mailcli, dotted; entry points are of the group `mail.<last part>`."""
    class_name: str
    title: str


SOURCES = PluginKind("preprocessing.sources", "Source", "data source")
ENGINES = PluginKind("preprocessing.engines", "Engine", "engine")
RANKERS = PluginKind("models.rankers", "Ranker", "ranker")
COLD_STARTS = PluginKind("models.coldstart", "ColdStart", "cold-start method")
PLOTS = PluginKind("reporting.plots", "Plot", "figure")


def names(kind: PluginKind) -> list[str]:
    """The names of our own, sorted: `ml_100k.py` is `ml-100k`."""
    return sorted(path.stem.replace("_", "-") for path in _files(kind))


def _files(kind: PluginKind) -> list[Path]:
    return list(Path(__file__).parent.joinpath(*kind.package.split(".")).glob("[!_]*.py"))


def summaries(kind: PluginKind) -> dict[str, str]:
    """The first line of each class's docstring, by name, without importing anything."""
    found = {}
    for path in sorted(_files(kind)):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        classes = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == kind.class_name]
        found[path.stem.replace("_", "-")] = (ast.get_docstring(classes[0]) or "").splitlines()[0]
    return found


def check(kind: PluginKind, name: str, hidden: Collection[str] = ()) -> None:
    """Refuse an unknown name, suggesting the nearest (MailError); what stands outside is looked for by `load`.

    Args:
        kind: what it names.
        name: the name.
        hidden: names that are known, and not to be suggested.
    """
    if ":" in name or name in names(kind):
        return
    known = [each for each in (*names(kind), *_entry_points(kind)) if each not in hidden]
    if name not in known:
        raise MailError(f"unknown {kind.title} '{name}'.{did_you_mean(name, known)} Known: {quoted(known)}.")


def _entry_points(kind: PluginKind) -> dict[str, str]:
    """`package.module:Class` by the names that installed packages give."""
    return {point.name: point.value for point in entry_points(group=f"mail.{kind.package.rpartition('.')[2]}")}


def load(kind: PluginKind, name: str) -> Any:
    """The class of that name.

    Raises:
        MailError: the name is unknown, or nothing can be imported by it.
    """
    check(kind, name)
    if name in names(kind):
        module = importlib.import_module(f"mailcli.{kind.package}.{name.replace('-', '_')}")
        return getattr(module, kind.class_name)
    return _outside(kind, name if ":" in name else _entry_points(kind)[name])


def is_external(kind: PluginKind, name: str) -> bool:
    """Whether a name is not one of our own files."""
    return name not in names(kind)


def code_sha256(kind: PluginKind, name: str) -> str | None:
    """SHA-256 of an outside module's file, so that a run can tell whether its code has changed; None for our own.

    Raises:
        MailError: there is no such module.
    """
    check(kind, name)
    if not is_external(kind, name):
        return None
    path = name if ":" in name else _entry_points(kind)[name]
    _outside(kind, path)
    return hashlib.sha256(Path(_module(kind, path).__file__ or "").read_bytes()).hexdigest()


def _outside(kind: PluginKind, path: str) -> Any:
    """What `package.module:Class` names."""
    module = _module(kind, path)
    attribute = path.partition(":")[2]
    if not hasattr(module, attribute):
        known = [name for name in vars(module) if not name.startswith("_")]
        raise MailError(
            f"{kind.title} '{path}': '{module.__name__}' has no '{attribute}'.{did_you_mean(attribute, known)}"
        )
    return getattr(module, attribute)


def _module(kind: PluginKind, path: str) -> ModuleType:
    """The module of `package.module:Class`; those of the current folder are found too."""
    module_name = path.partition(":")[0]
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    # It will import TensorFlow, whose start would fill the terminal.
    load_tensorflow()
    try:
        return importlib.import_module(module_name)
    except (ModuleNotFoundError, ValueError, TypeError) as error:
        if isinstance(error, ModuleNotFoundError) and not f"{module_name}.".startswith(f"{error.name}."):
            raise
        raise MailError(
            f"{kind.title} '{path}': there is no module '{module_name}'. Expected package.module:Class, importable "
            f"from {os.getcwd()}."
        ) from error
