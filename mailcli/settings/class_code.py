"""Classes of rankers and methods, read from their code without importing it, which would load TensorFlow."""

from __future__ import annotations

import ast
import os
import sys
from collections.abc import Iterator
from functools import cache
from importlib.machinery import PathFinder
from importlib.util import resolve_name
from pathlib import Path
from typing import Any, NamedTuple

import mailcli
from mailcli import plugins
from mailcli.errors import MailError


class ClassCode(NamedTuple):
    """A class, in code that is not executed."""

    module: str
    """The one that defines it."""
    code: ast.ClassDef


def class_of(kind: plugins.PluginKind, name: str) -> tuple[str, str]:
    """The module and the class of a plugin; MailError for an unknown name."""
    if not plugins.is_external(kind, name):
        return f"mailcli.{kind.package}.{name.replace('-', '_')}", kind.class_name
    module, _, class_name = plugins.external_path(kind, name).partition(":")
    return module, class_name


def class_attribute(kind: plugins.PluginKind, name: str, attribute: str) -> Any:
    """The literal that a plugin's class, or the nearest base class, gives to an attribute.

    None if there is no such literal, or the code is no longer there: a table of finished runs does not need it.
    """
    try:
        module, class_name = class_of(kind, name)
    except MailError:
        # The run's package has been uninstalled since.
        return None
    for ancestor in lineage(module, class_name):
        for statement in ancestor.code.body:
            value = assigned(statement, attribute)
            if value:
                return value.value if isinstance(value, ast.Constant) else None
    return None


def generates_behavior(method: str) -> bool:
    """Whether a cold-start method says that it generates behavior."""
    return class_attribute(plugins.COLD_STARTS, method, "generates") is True


def generating_methods() -> list[str]:
    """The cold-start methods that generate behavior."""
    return [name for name in plugins.names(plugins.COLD_STARTS) if generates_behavior(name)]


def drawable_methods() -> list[str]:
    """Those of them whose behavior can be drawn: it is no number per impression."""
    return [
        name
        for name in generating_methods()
        if class_attribute(plugins.COLD_STARTS, name, "generates_numbers") is not True
    ]


def trains_on_generated_behavior(method: str) -> bool:
    """Whether a cold-start method generates behavior that the ranker is trained with: it is no two-stage method."""
    return generates_behavior(method) and class_attribute(plugins.COLD_STARTS, method, "two_stage") is not True


def lineage(module: str, class_name: str, seen: tuple[tuple[str, str], ...] = ()) -> Iterator[ClassCode]:
    """A class, its first base, the first base of that and so on, as far as their code can be found.

    Args:
        module: where the name is used.
        class_name: the name.
        seen: the modules and names that led here.
    """
    visits, path = seen.count((module, class_name)), (*seen, (module, class_name))
    body = read_module(module).body
    # A class may have the name of its base, which was imported under it.
    if visits == 0:
        for statement in body:
            if isinstance(statement, ast.ClassDef) and statement.name == class_name:
                yield ClassCode(module, statement)
                bases = [base.id for base in statement.bases if isinstance(base, ast.Name)]
                if bases:
                    yield from lineage(module, bases[0], path)
                return
    if visits > 1:
        return
    for statement in body:
        if isinstance(statement, ast.ImportFrom):
            for alias in statement.names:
                if (alias.asname or alias.name) == class_name:
                    yield from lineage(_origin(statement, module), alias.name, path)
                    return


def _origin(statement: ast.ImportFrom, module: str) -> str:
    """The module that `from ... import` names."""
    if not statement.level:
        return statement.module or ""
    file = _file_of(module)
    package = module if file and file.name == "__init__.py" else module.rpartition(".")[0]
    try:
        return resolve_name("." * statement.level + (statement.module or ""), package)
    except ImportError:
        return ""


@cache
def read_module(module: str) -> ast.Module:
    """The code of a module, empty if there is none that can be read."""
    file = _file_of(module)
    try:
        # As bytes: a file may begin with a byte order mark, or say what its encoding is.
        return ast.parse(file.read_bytes() if file else "")
    except (OSError, ValueError, SyntaxError):
        return ast.parse("")


def _file_of(module: str) -> Path | None:
    """Where a module's code is; modules in the current folder are found, too, but mailcli is the one that runs."""
    parts = module.split(".")
    is_ours = parts[0] == mailcli.__name__
    places = [str(Path(mailcli.__file__).parent.parent)] if is_ours else [os.getcwd(), *sys.path]
    for number in range(1, len(parts) + 1):
        spec = PathFinder.find_spec(".".join(parts[:number]), places)
        if spec is None:
            return None
        places = list(spec.submodule_search_locations or [])
    return Path(spec.origin) if spec and spec.origin and spec.origin.endswith(".py") else None


def assigned(statement: ast.stmt, name: str) -> ast.expr | None:
    """The value that a statement gives to a name; None if it gives none."""
    if isinstance(statement, ast.Assign):
        targets = statement.targets
    elif isinstance(statement, ast.AnnAssign):
        targets = [statement.target]
    else:
        return None
    return statement.value if any(isinstance(target, ast.Name) and target.id == name for target in targets) else None
