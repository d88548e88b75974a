"""The options of built-in rankers and cold-start methods and their defaults, read from the code without importing it.

Importing it takes seconds, and a table of finished runs does not need it. config.toml holds the defaults of the options
that are not set, in tables of their own. If a default has changed since, a run is read as if the old one had been set.
"""

from __future__ import annotations

import ast
from functools import cache
from typing import Any, NamedTuple

from mailcli import plugins
from mailcli.config import DEFAULTS, OPTION_TABLES, Options, RunConfig, option_text
from mailcli.settings.class_code import assigned, class_of, lineage, read_module

#: Tables of config.toml: the options that are set, and the defaults of the others.
_TABLES = tuple(
    (key, plugins.OPTION_OWNERS[key], options, f"{key}{DEFAULTS}") for key, options in OPTION_TABLES.items()
)


def default_tables(config: RunConfig) -> dict[str, dict[str, str]]:
    """The defaults of the options that a config does not set, as config.toml holds them."""
    tables = {}
    for key, kind, options, defaults in _TABLES:
        values = _texts(kind, getattr(config, key))
        tables[defaults] = {name: text for name, text in values.items() if name not in getattr(config, options)}
    return {name: table for name, table in tables.items() if table}


def check_options(config: RunConfig) -> None:
    """Refuse options that a built-in ranker or method does not have (MailError): at once, since nothing is imported."""
    for key, kind, options, _ in _TABLES:
        name = getattr(config, key)
        if not plugins.is_external(kind, name):
            plugins.check_options(kind, name, getattr(config, options), option_defaults(kind, name))


def known_options(config: RunConfig, owner: str) -> list[str] | None:
    """The options of the `ranker` or the `cold_start` method of a config; none for a trivial row.

    None for a plugin that is not built in: its options are not known before it is imported.
    """
    kind, name = plugins.OPTION_OWNERS[owner], getattr(config, owner)
    if plugins.is_trivial(config.ranker):
        return []
    return None if plugins.is_external(kind, name) else list(option_defaults(kind, name))


def may_have_option(config: RunConfig, owner: str, option: str) -> bool:
    """Whether the `ranker` or the `cold_start` method of a config has an option, as far as is known."""
    known = known_options(config, owner)
    return known is None or option in known


def set_changed_defaults(settings: Options) -> Options:
    """The content of config.toml without its defaults; those that have changed since become options that are set.

    Options of earlier versions may have another spelling.
    """
    settings = dict(settings)
    for key, kind, options, defaults in _TABLES:
        old, given = settings.get(defaults), settings.get(options, {})
        if isinstance(given, dict) and given:
            settings[options] = given = {name: option_text(value) for name, value in given.items()}
        if isinstance(old, dict) and isinstance(given, dict):
            del settings[defaults]
            now = _texts(kind, str(settings.get(key, getattr(RunConfig, key))))
            changed = {name: text for name, text in old.items() if now.get(name) != text}
            if changed:
                settings[options] = {**changed, **given}
    return settings


def spell_alike(settings: Options) -> Options:
    """The content of config.toml without options that repeat a default, and with floats in one spelling.

    `dropout` 0 and 0.0 train the same model, and so do 0.5 and no `dropout` where 0.5 is the default.
    """
    settings = dict(settings)
    for key, kind, options, _ in _TABLES:
        given = settings.get(options)
        if isinstance(given, dict):
            name = str(settings.get(key, getattr(RunConfig, key)))
            defaults, texts = option_defaults(kind, name), _texts(kind, name)
            alike = {option: _spell(text, defaults.get(option)) for option, text in given.items()}
            settings[options] = {option: text for option, text in alike.items() if text != texts.get(option)}
    return settings


def _spell(text: str, default: Any) -> str:
    """The text of an option as that of a float, if its default is one."""
    if not isinstance(default, float):
        return text
    try:
        return option_text(float(text))
    except ValueError:
        return text


def _texts(kind: plugins.PluginKind, name: str) -> dict[str, str]:
    return {option: option_text(value) for option, value in option_defaults(kind, name).items()}


def option_defaults(kind: plugins.PluginKind, name: str) -> dict[str, Any]:
    """The constructor's keywords and their defaults, by name; empty for a plugin that is not built in."""
    if plugins.is_external(kind, name):
        return {}
    return dict(_class_defaults(*class_of(kind, name)))


@cache
def _class_defaults(module: str, class_name: str) -> dict[str, Any]:
    """The defaults of a class's constructor, which may be that of a base class of mailcli."""
    constructor = read_constructor(module, class_name)
    return _defaults(constructor.code.args, constructor.module) if constructor else {}


class Constructor(NamedTuple):
    """A class's constructor, in code that is not executed."""

    module: str
    """The one that defines it."""
    code: ast.FunctionDef


def read_constructor(module: str, class_name: str) -> Constructor | None:
    """The constructor of a class of mailcli, its own or that of a base class; None if it is from elsewhere."""
    for ancestor in lineage(module, class_name):
        if not ancestor.module.startswith("mailcli."):
            return None
        for statement in ancestor.code.body:
            if isinstance(statement, ast.FunctionDef) and statement.name == "__init__":
                return Constructor(ancestor.module, statement)
    return None


def _defaults(arguments: ast.arguments, module: str) -> dict[str, Any]:
    positional = [*arguments.posonlyargs, *arguments.args]
    pairs = list(zip(positional[len(positional) - len(arguments.defaults) :], arguments.defaults, strict=True))
    keywords = [(a, d) for a, d in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True) if d is not None]
    return {argument.arg: read_value(default, module) for argument, default in [*pairs, *keywords]}


def read_value(expression: ast.expr, module: str) -> Any:
    """A literal, or a constant that is one, of the module or of another one of mailcli (ValueError: it is neither)."""
    if isinstance(expression, ast.Dict):
        keys = [key for key in expression.keys if key is not None]
        return {
            read_value(key, module): read_value(value, module)
            for key, value in zip(keys, expression.values, strict=True)
        }
    if not isinstance(expression, ast.Name):
        return ast.literal_eval(expression)
    for statement in read_module(module).body:
        if isinstance(statement, ast.ImportFrom) and expression.id in {alias.name for alias in statement.names}:
            return read_value(expression, statement.module or "")
        value = assigned(statement, expression.id)
        if value:
            return read_value(value, module)
    raise ValueError(f"{module}: the default {expression.id} is not a constant of that module")
