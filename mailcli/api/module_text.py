"""A class or function of a notebook or script, with what it needs, as the text of a module of its own.

The source of a cell is in Python's `linecache`, where IPython keeps it; a script's is in its file. The module holds the
definition, those of `__main__` that it uses, imports of what it uses from modules, and plain constants.
"""

from __future__ import annotations
import __future__

import ast
import inspect
import linecache
import symtable
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from importlib import import_module
from types import FunctionType, ModuleType
from typing import Any

from mailcli.errors import MailError, shorten

Definition = type | Callable[..., Any]
"""A class, or for a ranker a function."""


def module_text(title: str, definition: Definition) -> str:
    """The text of a module that holds a definition of `__main__`.

    Args:
        title: names the definition in errors and in the module's docstring.
        definition: a class or function.

    Raises:
        MailError: its source is not known, or it uses an object that a module cannot hold.
    """
    collected = _Collected(title)
    collected.add(definition)
    return collected.text()


class _Collected:
    """A definition and all that it uses, directly or not."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._imports: set[str] = set()
        self._constants: dict[str, str] = {}
        self._sources: dict[str, str] = {}
        """The definitions of `__main__` by name; each after those that it uses."""
        self._begun: set[str] = set()

    def add(self, definition: Definition) -> None:
        """Add a definition of `__main__` after what it uses (MailError: its source is not known)."""
        self._begun.add(definition.__name__)
        # An attribute may be a function of another file.
        sources = ((function, _source_in(function, definition.__name__)) for function in _functions(definition))
        function, source = next(((function, text) for function, text in sources if text), (None, None))
        if not (function and source):
            raise MailError(
                f"{self._title}: the source of '{definition.__qualname__}' is not known, so the run could not be "
                "repeated. Put it into a file and give 'module:Class', or define it at the top level of a notebook's "
                "cell, with a method of its own."
            )
        self._check_current(definition, source, function.__globals__)
        if function.__code__.co_flags & __future__.annotations.compiler_flag:
            self._imports.add("from __future__ import annotations")
        for name in sorted(_global_names(source)):
            if name in function.__globals__ and name not in self._begun:
                self._add_name(name, function.__globals__[name])
        self._sources[definition.__name__] = source

    def _check_current(self, definition: Definition, source: str, names: dict[str, Any]) -> None:
        """Refuse a definition that was made of values or base classes that have changed since.

        The module would be made of the new ones (MailError).
        """
        for name in _changed_since(definition, source, names):
            raise MailError(
                f"{self._title}: '{name}' has changed since '{definition.__name__}' was defined with it. Define "
                f"'{definition.__name__}' again, for example by running its cell."
            )

    def _add_name(self, name: str, value: Any) -> None:
        """Add what a name of the notebook stands for."""
        if isinstance(value, ModuleType) and value.__name__ in sys.modules:
            alias = "" if value.__name__ == name else f" as {name}"
            self._imports.add(f"import {value.__name__}{alias}")
        elif getattr(value, "__module__", None) == "__main__" and getattr(value, "__name__", None) == name:
            self.add(value)
        elif _is_importable(value):
            alias = "" if value.__name__ == name else f" as {name}"
            self._imports.add(f"from {value.__module__} import {value.__name__}{alias}")
        elif _is_constant(value):
            self._constants[name] = f"{name} = {_literal(value)}"
        else:
            raise MailError(
                f"{self._title}: uses '{name}' of the notebook or script, {shorten(value)}, which a module's text "
                "cannot hold. Make it an argument of the constructor or define it inside, or put the code into a file "
                "and give 'module:Class'."
            )

    def text(self) -> str:
        """The module."""
        docstring = f'"""The {self._title}, as it was defined in a notebook or script."""'
        head = sorted(self._imports, key=lambda line: (not line.startswith("from __future__"), line))
        constants = [self._constants[name] for name in sorted(self._constants)]
        parts = [docstring, *("\n".join(lines) for lines in (head, constants) if lines)]
        return "\n\n".join(parts) + "".join(f"\n\n\n{source}" for source in self._sources.values()) + "\n"


def _functions(definition: Definition) -> Iterator[FunctionType]:
    """The function itself, or those that a class defines."""
    members = vars(definition).values() if isinstance(definition, type) else [definition]
    for member in members:
        method: Any = getattr(member, "fget", None) or getattr(member, "__func__", member)
        function = inspect.unwrap(method)
        if isinstance(function, FunctionType):
            yield function


def _changed_since(definition: Definition, source: str, names: dict[str, Any]) -> Iterator[str]:
    """What a definition was made of that now has another value: its base classes, attributes and default arguments."""
    node = ast.parse(source).body[0]
    if isinstance(definition, type):
        for base in definition.__bases__:
            if base.__module__ == "__main__" and names.get(base.__name__) is not base:
                yield base.__name__
    for expression, value in _evaluated_once(definition, node):
        used = [part.id for part in ast.walk(expression) if isinstance(part, ast.Name)]
        # Only names and lists of them are compared: nothing is executed here.
        with suppress(ValueError):
            if used and ast.literal_eval(_WithConstants({**names, **vars(definition)}).visit(expression)) != value:
                yield "', '".join(dict.fromkeys(used))


class _WithConstants(ast.NodeTransformer):
    """An expression with the values of names in their place (ValueError: one is no constant)."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values

    def visit_Name(self, node: ast.Name) -> ast.expr:
        value = self._values.get(node.id)
        if not _is_constant(value):
            raise ValueError(node.id)
        return ast.parse(repr(value), mode="eval").body


def _evaluated_once(definition: Definition, node: ast.stmt) -> Iterator[tuple[ast.expr, Any]]:
    """The expressions that Python evaluates with a definition, and what they were: attributes, default arguments."""
    if isinstance(node, ast.FunctionDef) and isinstance(definition, FunctionType):
        yield from zip(node.args.defaults, definition.__defaults__ or (), strict=False)
        keywords = definition.__kwdefaults__ or {}
        for argument, default in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True):
            if default is not None and argument.arg in keywords:
                yield default, keywords[argument.arg]
    if isinstance(node, ast.ClassDef):
        members = vars(definition)
        for statement in node.body:
            if isinstance(statement, ast.FunctionDef) and statement.name in members:
                yield from _evaluated_once(inspect.unwrap(members[statement.name]), statement)
            target = statement.targets[0] if isinstance(statement, ast.Assign) else getattr(statement, "target", None)
            value = getattr(statement, "value", None)
            if isinstance(target, ast.Name) and value is not None and target.id in members:
                yield value, members[target.id]


def _source_in(function: FunctionType, name: str) -> str | None:
    """The source of the class or function of that name that contains a function; None if it is not known."""
    lines = linecache.getlines(function.__code__.co_filename)
    try:
        tree = ast.parse("".join(lines))
    except SyntaxError:
        return None
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == name:
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            last = node.end_lineno or first
            if first <= function.__code__.co_firstlineno <= last:
                return textwrap.dedent("".join(lines[first - 1 : last])).rstrip()
    return None


def _global_names(source: str) -> set[str]:
    """The names that a definition looks up outside of itself; those of builtins, too."""
    names: set[str] = set()
    tables = [symtable.symtable(source, "definition", "exec")]
    while tables:
        table = tables.pop()
        is_top = table.get_type() == "module"
        names |= {
            symbol.get_name()
            for symbol in table.get_symbols()
            if symbol.is_referenced() and (is_top or symbol.is_global())
        }
        tables += table.get_children()
    return names


def _is_importable(value: Any) -> bool:
    """Whether its module has it under its name."""
    module, name = getattr(value, "__module__", None), getattr(value, "__name__", None)
    if not (isinstance(module, str) and isinstance(name, str)) or module == "__main__":
        return False
    try:
        return getattr(import_module(module), name, None) is value
    except ImportError:
        return False


def _literal(value: Any) -> str:
    """The text of a constant, the same in every session: `repr` shows a set in an order that changes."""
    if isinstance(value, set) and value:
        return f"{{{', '.join(sorted(map(_literal, value)))}}}"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_literal(key)}: {_literal(entry)}' for key, entry in value.items())}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(_literal, value))}]"
    if isinstance(value, tuple):
        return f"({', '.join(map(_literal, value))}{',' if len(value) == 1 else ''})"
    return repr(value)


def _is_constant(value: Any) -> bool:
    """Whether its text says all of it: numbers, strings, and tuples, lists, sets and dicts of these."""
    try:
        read = ast.literal_eval(repr(value))
    except (ValueError, SyntaxError):
        return False
    return type(read) is type(value) and bool(read == value)
