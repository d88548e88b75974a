"""Every setting with its default, range and meaning, read from the code that defines it.

The settings of a run are RunConfig's; the options of rankers and methods are read from their constructors without
importing these, as option_defaults.py does.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Collection, Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from mailcli import plugins
from mailcli.config import OPTION_TABLES, RULES, RunConfig, option_text
from mailcli.errors import quoted
from mailcli.settings.class_code import class_of, read_module
from mailcli.settings.option_defaults import Constructor, option_defaults, read_constructor, read_value
from mailcli.utils.option_checks import RATE, at_least, check_least, check_rates

#: The fields of RunConfig that `--set KEY=VALUE` does not take: another option sets it, or its parts are set.
NOT_SET = {"continues", *OPTION_TABLES.values()}
#: What a constructor says about its options when it refuses them, for example "`rank` should be 1 or more".
_LIMIT = re.compile(r"((?:`\w+`(?:, | and )?)+) should be (.+?)(?:\. Received.*)?")
#: A module's table of the options that are one of some names: option -> names.
_CHOICES = "CHOICES"
#: How the types of options are named.
TYPES = {bool: "true or false", int: "a whole number", float: "a number", str: "a string"}


class Setting(NamedTuple):
    """A setting, or an option of a ranker or method."""

    key: str
    """As `--set` takes it: `epochs`, `ranker.units`."""
    owner: str
    """`ranker dmr`; empty for a setting of every run."""
    default: str
    """As `--set` takes it; empty for none."""
    values: str
    """What it may be."""
    meaning: str


def all_settings() -> list[Setting]:
    """The settings of a run, then the options of every built-in ranker and method."""
    return [*_run_settings(), *_options()]


def _run_settings() -> Iterator[Setting]:
    """RunConfig's fields: their docstrings, defaults and rules."""
    (body,) = (node.body for node in ast.parse(inspect.getsource(RunConfig)).body if isinstance(node, ast.ClassDef))
    for field, text in pairwise(body):
        if not (isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(text, ast.Expr)):
            continue
        key = field.target.id
        if key not in NOT_SET:
            default = option_text(getattr(RunConfig, key, ""))
            yield Setting(key, "", default, RULES[key].expected, _one_line(ast.literal_eval(text.value)))


def _options() -> Iterator[Setting]:
    """The keywords of the constructors of rankers and methods."""
    for table, kind in plugins.OPTION_OWNERS.items():
        for name in plugins.names(kind):
            module, class_name = class_of(kind, name)
            constructor = read_constructor(module, class_name)
            meanings, limits = _meanings(module, class_name), _limits(constructor) if constructor else {}
            for key, default in option_defaults(kind, name).items():
                values = _values_text(default, limits.get(key, []))
                meaning = meanings.get(key, "-")
                yield Setting(f"{table}.{key}", f"{kind.title} {name}", option_text(default), values, meaning)


def _values_text(default: Any, limits: Sequence[str]) -> str:
    """What an option may be: its type and limits, or one of some names, whose type goes without saying."""
    if limits and limits[0].startswith("one of"):
        return limits[0]
    return ", ".join([type_text(default), *limits])


def _meanings(module: str, class_name: str) -> dict[str, str]:
    """What the options of a class are, by name."""
    classes = [node for node in read_module(module).body if isinstance(node, ast.ClassDef) and node.name == class_name]
    return described((ast.get_docstring(classes[0]) or "") if classes else "")


def described(docstring: str) -> dict[str, str]:
    """The descriptions in the `Args:` of a docstring, by name."""
    _, _, section = docstring.partition("Args:\n")
    arguments = re.findall(r"^    (\w+): (.*(?:\n     .*)*)", section.split("\n\n")[0], re.MULTILINE)
    return {name: _one_line(text) for name, text in arguments}


def _one_line(text: str) -> str:
    return " ".join(text.split())


def type_text(default: Any) -> str:
    """The type of an option, by its default."""
    if isinstance(default, tuple):
        return f"{TYPES[type(default[0])].removeprefix('a ')}s, separated by commas"
    return TYPES[type(default)]


def _limits(constructor: Constructor) -> dict[str, list[str]]:
    """What a constructor, with the functions of its module that it calls, demands of its options, by name."""
    limits: dict[str, list[str]] = {}
    module = read_module(constructor.module).body
    for node in module:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == _CHOICES:
            choices: dict[str, Collection[str]] = read_value(node.value, constructor.module)
            limits |= {name: [f"one of {quoted(values)}"] for name, values in choices.items()}
    calls = [node.func for node in ast.walk(constructor.code) if isinstance(node, ast.Call)]
    called = {name.id for name in calls if isinstance(name, ast.Name)}
    checks = [node for node in module if isinstance(node, ast.FunctionDef) and node.name in called]
    for part in (part for code in (constructor.code, *checks) for part in ast.walk(code)):
        if isinstance(part, ast.Call):
            for name, limit in _checked(part):
                limits.setdefault(name, []).append(limit)
        if not (isinstance(part, ast.Raise) and isinstance(part.exc, ast.Call) and part.exc.args):
            continue
        match = _LIMIT.fullmatch(_text(part.exc.args[0]))
        for name in re.findall(r"\w+", match[1].replace(" and ", " ")) if match else ():
            limits.setdefault(name, []).append(match[2] if match else "")
    return limits


def _checked(call: ast.Call) -> Iterator[tuple[str, str]]:
    """The options that a call of utils/option_checks.py checks, and what it expects of them."""
    function = call.func.id if isinstance(call.func, ast.Name) else ""
    if function in {check_least.__name__, check_rates.__name__}:
        limit = RATE if function == check_rates.__name__ else at_least(ast.literal_eval(call.args[0]))
        yield from ((keyword.arg, limit) for keyword in call.keywords if keyword.arg)


def _text(message: ast.expr) -> str:
    """A literal or an f-string, whose values are left out."""
    if isinstance(message, ast.JoinedStr):
        return "".join(str(part.value) for part in message.values if isinstance(part, ast.Constant))
    return str(message.value) if isinstance(message, ast.Constant) else ""
