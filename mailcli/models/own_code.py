"""Where an error is in a ranker or cold-start method of the user's own."""

from __future__ import annotations

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
    pairs = ((plugins.RANKERS, config.ranker), (plugins.COLD_STARTS, config.cold_start))
    own = [(kind, name) for kind, name in pairs if not plugins.is_trivial(name) and plugins.is_external(kind, name)]
    return [plugins.load(kind, name) for kind, name in own]


def place_of_error(error: BaseException, own: Sequence[Any]) -> str:
    """`my_ranker.py, line 12: `, the last line of the user's code that an error passed; empty if there is none."""
    files = {getattr(sys.modules.get(plugin.__module__), "__file__", None) for plugin in own}
    lines = [(frame.filename, frame.lineno or 0) for frame in traceback.extract_tb(error.__traceback__)]
    # TensorFlow runs a copy of the code, and names the lines of the original in the message.
    lines += [(file, int(line)) for file, line in re.findall(r'File "([^"]+)", line (\d+)', str(error))]
    places = [(file, line) for file, line in lines if file in files]
    return code_line(*places[-1]) if places else ""


def place_of_definition(own: Sequence[Any]) -> str:
    """The same for the first line of what is called in a batch: the function, `call`, or `complete`."""
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
    # Keras prints a part in bold.
    text = re.sub(
        r"^Exception encountered when calling \S+\s*|\{\{function_node [^}]*\}\}\s*", "", click.unstyle(str(error))
    )
    text = re.split(r"Arguments received by|Detected at node|\n\s*\[\[\{\{node|\[Op:", text)[0]
    return f"{type(error).__name__}: {text.strip()}"
