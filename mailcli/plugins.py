"""Finds sources, engines, rankers, methods, trivial rows and figures by their file's name: one new file is enough.

`mailcli/<package>/<name>.py` holds one class with the kind's class name. Names are listed without importing anything.
A name may also be `package.module:Class`, or an entry point of the group `mail.<kind>` of an installed package.
"""

from __future__ import annotations

import ast
import importlib
import os
import sys
import traceback
from collections.abc import Collection, Iterable
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from mailcli.config import RunConfig
from mailcli.errors import MailError, did_you_mean, quoted
from mailcli.utils.files import file_sha256
from mailcli.utils.path_names import code_line
from mailcli.utils.tensorflow_startup import load_tensorflow


class PluginKind(NamedTuple):
    """One kind of plugin."""

    package: str
    """Dotted path below mailcli; its last part names the group of entry points, `mail.<last part>`."""
    class_name: str
    """The class that each file of the package defines."""
    title: str
    """For error texts."""
    base: str = ""
    """The abstract class in the package's `_base.py` that each plugin extends; empty where the models check it."""


SOURCES = PluginKind("preprocessing.sources", "Source", "data source", "RawData")
ENGINES = PluginKind("preprocessing.engines", "Engine", "engine", "DataEngine")
RANKERS = PluginKind("models.rankers", "Ranker", "ranker")
COLD_STARTS = PluginKind("models.coldstart", "ColdStart", "cold-start method")
TRIVIAL_ROWS = PluginKind("trivial", "TrivialRow", "trivial row")
PLOTS = PluginKind("reporting.plots", "Plot", "figure", "RunFigures")
#: What `ranker.KEY` and `cold_start.KEY` are options of.
OPTION_OWNERS = {"ranker": RANKERS, "cold_start": COLD_STARTS}

#: By name of a module outside the package: its spec when it was used first, and the SHA-256 of its file then.
_imported: dict[str, tuple[Any, str]] = {}


def names(kind: PluginKind) -> list[str]:
    """The built-in names, sorted: `ml_100k.py` is `ml-100k`."""
    return sorted(path.stem.replace("_", "-") for path in _files(kind))


def _files(kind: PluginKind) -> list[Path]:
    return list(Path(__file__).parent.joinpath(*kind.package.split(".")).glob("[!_.]*.py"))


def _missing_class(kind: PluginKind, path: object) -> MailError:
    return MailError(
        f"{path}: defines no class '{kind.class_name}'. Expected a {kind.title} (CONTRIBUTING.md); the name of a "
        "helper begins with '_'."
    )


def summaries(kind: PluginKind) -> dict[str, str]:
    """The first line of each class's docstring, by name, without importing anything; empty if it has none.

    Raises:
        MailError: a file does not define the class.
    """
    summary_by_name = {}
    for path in sorted(_files(kind)):
        tree = ast.parse(path.read_bytes())
        classes = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == kind.class_name]
        if not classes:
            raise _missing_class(kind, path)
        summary_by_name[path.stem.replace("_", "-")] = (ast.get_docstring(classes[0]) or "").partition("\n")[0]
    return summary_by_name


def check(kind: PluginKind, name: str, hidden: Collection[str] = ()) -> None:
    """Refuse an unknown name and suggest the closest one (MailError). `package.module:Class` is only checked by `load`.

    Args:
        kind: the kind of plugin.
        name: its name.
        hidden: known names that are refused and never suggested.
    """
    if ":" in name or name in names(kind):
        return
    if kind is RANKERS and is_trivial(name):
        raise MailError(f"'{name}' is a trivial row, which has no network. Expected a ranker: {quoted(names(kind))}.")
    known = [candidate for candidate in (*names(kind), *_entry_points(kind)) if candidate not in hidden]
    trivial = names(TRIVIAL_ROWS) if kind is RANKERS else []
    if name not in known:
        raise MailError(
            f"unknown {kind.title} '{name}'.{did_you_mean(name, [*known, *trivial])} Known: {quoted(known)}."
        )


def is_trivial(ranker: str) -> bool:
    """Whether the ranker of a run is a trivial row: statistics of the training split instead of a network."""
    return ranker in names(TRIVIAL_ROWS)


def of_run(config: RunConfig) -> list[tuple[PluginKind, str]]:
    """The ranker, or trivial row, and the cold-start method of a run."""
    return [(RANKERS, config.ranker), (COLD_STARTS, config.cold_start)]


def check_ranker(name: str) -> None:
    """Refuse what is neither a ranker nor a trivial row (MailError)."""
    if not is_trivial(name):
        check(RANKERS, name)


def check_options(kind: PluginKind, name: str, options: Iterable[str], known: Collection[str]) -> None:
    """Refuse options that a plugin does not have, and suggest the closest one (MailError)."""
    for key in options:
        if key not in known:
            its = f"Known: {quoted(known)}." if known else "It has none."
            raise MailError(f"{kind.title} '{name}' has no option '{key}'.{did_you_mean(key, known)} {its}")


def _entry_points(kind: PluginKind) -> dict[str, str]:
    """`package.module:Class` of each entry point of installed packages, by name."""
    return {point.name: point.value for point in entry_points(group=f"mail.{kind.package.rpartition('.')[2]}")}


def load(kind: PluginKind, name: str) -> Any:
    """The class of that name.

    Raises:
        MailError: the name is unknown, or cannot be imported.
    """
    check(kind, name)
    if name in names(kind):
        module = importlib.import_module(f"mailcli.{kind.package}.{name.replace('-', '_')}")
        if not hasattr(module, kind.class_name):
            raise _missing_class(kind, module.__file__)
        return getattr(module, kind.class_name)
    return _load_external(kind, external_path(kind, name))


def external_path(kind: PluginKind, name: str) -> str:
    """`package.module:Class` of a plugin that is not built in (MailError for an unknown name)."""
    check(kind, name)
    return name if ":" in name else _entry_points(kind)[name]


def is_external(kind: PluginKind, name: str) -> bool:
    """Whether a name is not built in."""
    return name not in names(kind)


def code_sha256(kind: PluginKind, name: str) -> str | None:
    """SHA-256 of an external module's file, so that a run notices changed code; None for built-in names.

    Raises:
        MailError: there is no such module.
    """
    check(kind, name)
    if not is_external(kind, name):
        return None
    path = external_path(kind, name)
    _load_external(kind, path)
    return _module_sha256(_module(kind, path))


def _module_sha256(module: ModuleType) -> str:
    """SHA-256 of an imported module's file.

    Raises:
        MailError: it has none, or the file has changed since the import, so that it is not the code that would run.
    """
    file = getattr(module, "__file__", None)
    if not file:
        raise MailError(f"the module '{module.__name__}' has no file whose SHA-256 a run could record.")
    sha256 = file_sha256(Path(file))
    spec, imported = _imported.get(module.__name__, (None, ""))
    # A reload replaces the spec.
    if spec is not module.__spec__:
        _imported[module.__name__] = module.__spec__, sha256
    elif sha256 != imported:
        raise MailError(
            f"{file}: has changed since it was imported. Restart Python, or import it again with importlib.reload."
        )
    return sha256


def _load_external(kind: PluginKind, path: str) -> Any:
    """The class or function that `package.module:Class` names."""
    module = _module(kind, path)
    attribute = path.partition(":")[2]
    if not hasattr(module, attribute):
        known = [name for name in vars(module) if not name.startswith("_")]
        raise MailError(
            f"{kind.title} '{path}': '{module.__name__}' has no '{attribute}'.{did_you_mean(attribute, known)}"
        )
    plugin = getattr(module, attribute)
    if kind.base:
        _check_base(kind, path, plugin)
    return plugin


def _check_base(kind: PluginKind, path: str, plugin: Any) -> None:
    """Refuse what does not extend the kind's abstract class, or leaves one of its methods out (MailError)."""
    base = getattr(importlib.import_module(f"mailcli.{kind.package}._base"), kind.base)
    if not (isinstance(plugin, type) and issubclass(plugin, base)):
        raise MailError(
            f"{kind.title} '{path}': expected a class that extends {base.__module__}.{base.__name__} (CONTRIBUTING.md)."
        )
    if missing := getattr(plugin, "__abstractmethods__", ()):
        raise MailError(f"{kind.title} '{path}' does not define {quoted(sorted(missing))}.")


def _module(kind: PluginKind, path: str) -> ModuleType:
    """The module of `package.module:Class`; modules in the current folder are found, too."""
    module_name = path.partition(":")[0]
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    # The module will import TensorFlow, whose start would fill the terminal with messages.
    load_tensorflow()
    try:
        module = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:
        place = _place_of_import_error(error)
        if isinstance(error, SystemExit):
            raise MailError(
                f"{kind.title} '{path}': {place}the module exits while it is imported. Put what it runs as a program "
                "under `if __name__ == '__main__':`."
            ) from error
        if place:
            raise MailError(f"{kind.title} '{path}': {place}{type(error).__name__}: {error}") from error
        if not isinstance(error, (ModuleNotFoundError, ValueError, TypeError)):
            raise
        raise MailError(
            f"{kind.title} '{path}': there is no module '{module_name}'. Expected package.module:Class, importable "
            f"from {os.getcwd()}."
        ) from error
    _module_sha256(module)
    return module


def _place_of_import_error(error: BaseException) -> str:
    """The last line of the user's code that an import ran, or could not read; empty if the module is not there."""
    if isinstance(error, SyntaxError) and error.filename:
        return code_line(error.filename, error.lineno or 1)
    stack = traceback.extract_tb(error.__traceback__)
    ours = {__file__, importlib.__file__}
    frames = [frame for frame in stack if frame.filename not in ours and not frame.filename.startswith("<")]
    # What a package raises is the fault of the line that uses it; the first is the module's own.
    own = [frame for frame in frames if _is_own(Path(frame.filename))] or frames[:1]
    return code_line(own[-1].filename, own[-1].lineno or 1) if own else ""


def _is_own(path: Path) -> bool:
    is_installed = "site-packages" in path.parts or path.is_relative_to(Path(__file__).parent)
    return path.is_relative_to(Path.cwd()) and not is_installed
