"""Rankers and methods given as classes or functions -> the name by which every process imports them."""

from __future__ import annotations

import hashlib
import inspect
from importlib import invalidate_caches
from pathlib import Path

from mailcli.api.module_text import Definition, module_text
from mailcli.errors import MailError, shorten
from mailcli.plugins import PluginKind
from mailcli.utils.files import write_atomically

#: The folder, in the current one, of the modules that hold what was defined in notebooks and scripts.
FOLDER = "notebook_code"
#: Digits of the SHA-256 of its text in a module's name (ours).
_DIGITS = 8
_PACKAGE = "mailcli."


def plugin_name(kind: PluginKind, plugin: str | Definition) -> str:
    """The name that a run records for a ranker or method.

    A class of an installed module, or of a file in the current folder, is `module:Class`. One that was defined in a
    notebook or script is written into a module of its own, with what it needs; its name changes with its text, so that
    runs of an earlier definition stay as they are.

    Args:
        kind: rankers or cold-start methods.
        plugin: its name, class or function.

    Raises:
        MailError: it is something else, or its source is not known.
    """
    if isinstance(plugin, str):
        return plugin
    if not (isinstance(plugin, type) or inspect.isfunction(plugin)):
        raise MailError(
            f"{kind.title} {shorten(plugin)}: is neither a name nor a class. Give the class itself, not an instance."
        )
    if plugin.__module__ == "builtins":
        raise MailError(f"{kind.title} {plugin.__qualname__}: is part of Python. Give a class of your own.")
    if plugin.__module__.startswith(f"{_PACKAGE}{kind.package}."):
        return plugin.__module__.rpartition(".")[2].replace("_", "-")
    if plugin.__qualname__ != plugin.__name__:
        raise MailError(
            f"{kind.title} {plugin.__qualname__}: is defined inside a function or class, so no other process could "
            "import it. Define it at the top level of a module or cell."
        )
    if plugin.__module__ != "__main__":
        return f"{plugin.__module__}:{plugin.__qualname__}"
    return _write_module(kind, plugin)


def _write_module(kind: PluginKind, plugin: Definition) -> str:
    """Write a definition of `__main__` into a module; its `module:Class`."""
    text = module_text(f"{kind.title} {plugin.__qualname__}", plugin)
    stem = f"{plugin.__name__.lower()}_{hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]}"
    path = Path(FOLDER, f"{stem}.py")
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        with write_atomically(path) as partial:
            partial.write_text(text, encoding="utf-8")
        # Python remembers what a folder holds.
        invalidate_caches()
    elif path.read_text(encoding="utf-8") != text:
        raise MailError(f"{path}: was changed after it was written from a notebook or script. Delete it.")
    return f"{FOLDER}.{stem}:{plugin.__name__}"
