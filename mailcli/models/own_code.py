"""Where an error is in a ranker or cold-start method of the user's own."""

from __future__ import annotations

import inspect
import re
import sys
import traceback
from collections.abc import Sequence
from types import CodeType
from typing import Any

import click

from mailcli import plugins
from mailcli.config import RunConfig
from mailcli.utils.path_names import code_line


def own_plugins(config: RunConfig) -> list[Any]:
    """The ranker and the cold-start method of a run, as far as they are the user's own: classes, or a function."""
    return list(_by_kind(config).values())


def _by_kind(config: RunConfig) -> dict[plugins.PluginKind, Any]:
    own = [
        (kind, name)
        for kind, name in plugins.of_run(config)
        if not plugins.is_trivial(name) and plugins.is_external(kind, name)
    ]
    return {kind: plugins.load(kind, name) for kind, name in own}


def kind_at_fault(error: BaseException, config: RunConfig) -> plugins.PluginKind:
    """Whether the ranker or the method of a run raised an error; at least one of the two is the user's own."""
    own = _by_kind(config)
    if len(own) == 1:
        return next(iter(own))
    places = _places(error, list(own.values()))
    method = own[plugins.COLD_STARTS]
    if not places or places[-1][0] != _file(method):
        return plugins.RANKERS
    try:
        lines, first = inspect.getsourcelines(method)
    except OSError:
        # Of a class that `type` has made, the code of its functions is known.
        codes = [code for name in vars(method) if (code := _code(method, name))]
        spans = [range(code.co_firstlineno, max(line or 0 for _, _, line in code.co_lines()) + 1) for code in codes]
    else:
        spans = [range(first, first + len(lines))]
    return plugins.COLD_STARTS if any(places[-1][1] in span for span in spans) else plugins.RANKERS


def place_of_error(error: BaseException, own: Sequence[Any]) -> str:
    """`my_ranker.py, line 12: `, the last line of the user's code that an error passed; empty if there is none."""
    places = _places(error, own)
    return code_line(*places[-1]) if places else ""


def _places(error: BaseException, own: Sequence[Any]) -> list[tuple[str, int]]:
    """The lines of the user's code that an error passed, the innermost last."""
    files = {_file(plugin) for plugin in own}
    lines = [(frame.filename, frame.lineno or 0) for frame in traceback.extract_tb(error.__traceback__)]
    # TensorFlow runs a copy of the code, and names the lines of the original in the message.
    lines += [(file, int(line)) for file, line in re.findall(r'File "([^"]+)", line (\d+)', str(error))]
    return [(file, line) for file, line in lines if file in files]


def _file(plugin: Any) -> str | None:
    return getattr(sys.modules.get(plugin.__module__), "__file__", None)


def place_of_definition(own: Sequence[Any]) -> str:
    """`my_ranker.py, line 12: `, where the user's function, `call` or `complete` begins; empty if all are inherited."""
    for plugin in own:
        code = _code(plugin, "complete" if "complete" in vars(plugin) else "call")
        if code:
            return code_line(code.co_filename, code.co_firstlineno)
    return ""


def _code(plugin: Any, method: str) -> CodeType | None:
    """The code of a function, or of a method that its class, in the same file, defines."""
    code: CodeType | None = getattr(vars(plugin).get(method, plugin), "__code__", None)
    return code


def short_message(error: BaseException) -> str:
    """The type and the text of an error, without what Keras and TensorFlow add before and after it."""
    raw = str(error)
    if isinstance(error, KeyError) and error.args and "\n" in str(error.args[0]):
        # Keras has made its key a text of several lines, of which `str` would be Python code.
        raw = str(error.args[0])
    # Keras prints a part in bold.
    text = re.sub(r"^Exception encountered when calling \S+\s*|\{\{function_node [^}]*\}\}\s*", "", click.unstyle(raw))
    text = re.split(r"Arguments received by|Detected at node|\n\s*\[\[\{\{node|\[Op:", text)[0]
    # AutoGraph gives a whole traceback, of which the last line without a deeper indent is the error.
    if "in user code:" in text:
        text = re.split(r"\n {4}(?:\w+\.)*\w+: ", f"\n{text}")[-1]
    if isinstance(error, NotImplementedError) and not text.strip():
        text = f"`{traceback.extract_tb(error.__traceback__)[-1].name}` is not defined"
    return f"{type(error).__name__}: {text.strip()}"
