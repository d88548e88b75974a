"""What MkDocs does to the pages beyond Markdown: commands from Click, code from the package, formulas as MathML.

Nothing is fetched by the reader's browser: browsers show MathML themselves, so no script for formulas is needed.
"""

from __future__ import annotations

import ast
import html
import inspect
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import click
from latex2mathml.converter import convert

from mailcli import plugins
from mailcli.cli import main
from mailcli.config import OPTION_TABLES, RunConfig

ROOT = Path(__file__).parent.parent
#: Where commands.md has the reference.
COMMANDS = "<!-- commands -->"
#: Where it has RunConfig's fields.
SETTINGS = "<!-- settings -->"
#: Where it has the constructors' keywords.
OPTIONS = "<!-- options -->"
#: `<!-- source: mailcli/models/losses.py mmd2 -->` becomes that function's or class's code.
SOURCE = re.compile(r"^<!-- source: (\S+) (\S+) -->$", re.MULTILINE)
#: What arithmatex leaves of `\(...\)`, `$...$`, `\[...\]` and `$$...$$`.
INLINE = re.compile(r'<span class="arithmatex">\\\((.*?)\\\)</span>', re.DOTALL)
BLOCK = re.compile(r'<div class="arithmatex">\s*\\\[(.*?)\\\]\s*</div>', re.DOTALL)


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Put in the commands, settings, options and the code."""
    made = {COMMANDS: lambda: reference(main, "mail"), SETTINGS: settings, OPTIONS: options}
    for mark, make in made.items():
        markdown = markdown.replace(mark, make()) if mark in markdown else markdown
    return SOURCE.sub(lambda found: source(found[1], found[2]), markdown)


def on_page_content(content: str, **_: Any) -> str:
    """Turn LaTeX into MathML."""
    content = BLOCK.sub(lambda found: convert(html.unescape(found[1]), display="block"), content)
    return INLINE.sub(lambda found: convert(html.unescape(found[1])), content)


def reference(group: click.Group, name: str, level: str = "##") -> str:
    """Markdown of all commands of a group, each with its help text, usage and options, as `--help` has them."""
    parts = []
    for command_name, command in sorted(group.commands.items()):
        if isinstance(command, click.Group):
            parts += [f"{level} {name} {command_name}", "", _text(command.help or ""), ""]
            parts.append(reference(command, f"{name} {command_name}", f"{level}#"))
            continue
        context = click.Context(command, info_name=f"{name} {command_name}")
        usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
        # An argument has no text of its own: the command's tells of it.
        options = [parameter for parameter in command.params if isinstance(parameter, click.Option)]
        records = [record for option in options if (record := option.get_help_record(context))]
        rows = [f"| `{option}` | {_escaped(text)} |" for option, text in records]
        table = ["| option | meaning |", "|---|---|", *rows, ""] if rows else []
        parts += [
            f"{level} {name} {command_name}",
            "",
            _text(command.help or ""),
            "",
            f"```text\n{usage}\n```",
            "",
            *table,
        ]
    return "\n".join(parts)


def _text(of_command: str) -> str:
    """A help text as Markdown; paragraphs that Click must not wrap (`\\b`) stay as they are."""
    paragraphs = inspect.cleandoc(of_command).split("\n\n")
    return "\n\n".join(
        "```text\n" + part.removeprefix("\b\n").rstrip() + "\n```" if part.startswith("\b") else _escaped(part)
        for part in paragraphs
    )


def _escaped(text: str) -> str:
    """Click's plain text, none of whose signs are Markdown's."""
    return re.sub(r"([\\`*_{}\[\]<>|#])", r"\\\1", text)


def settings() -> str:
    """Markdown of the settings of a run: RunConfig's fields, their defaults and docstrings."""
    (body,) = (node.body for node in ast.parse(inspect.getsource(RunConfig)).body if isinstance(node, ast.ClassDef))
    rows = ["| key | default | meaning |", "|---|---|---|"]
    for field, text in pairwise(body):
        if not (isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)):
            continue
        name = field.target.id
        # --data and --continue give the first two, the others are the options of a ranker or method.
        if name in {"data", "continues"} or name in OPTION_TABLES.values():
            continue
        assert isinstance(text, ast.Expr)
        meaning = ast.literal_eval(text.value)
        rows.append(f"| `{name}` | {_default(getattr(RunConfig, name))} | {_escaped(meaning)} |")
    return "\n".join(rows)


def options() -> str:
    """Markdown of the options of all rankers and methods: their constructors' keywords, from code and docstrings."""
    # Its start-up takes seconds, and is needed by this page alone.
    from mailcli.models.contracts import options_of

    rows = ["| of | option | default | meaning |", "|---|---|---|---|"]
    for kind, table in ((plugins.RANKERS, "ranker"), (plugins.COLD_STARTS, "cold_start")):
        for name in plugins.names(kind):
            found = plugins.load(kind, name)
            meanings = _arguments(inspect.getdoc(found) or "")
            rows += [
                f"| {kind.title} `{name}` | `{table}.{key}` | {_default(default)} | {_escaped(meanings[key])} |"
                for key, default in options_of(found).items()
            ]
    return "\n".join(rows)


def _default(value: Any) -> str:
    """A default as `--set` takes it."""
    return f"`{','.join(map(str, value)) if isinstance(value, tuple) else value}`"


def _arguments(docstring: str) -> dict[str, str]:
    """The texts of a docstring's `Args:`, by name."""
    _, _, section = docstring.partition("Args:\n")
    section = section.split("\n\n")[0]
    found = re.findall(r"^    (\w+): (.*(?:\n     .*)*)", section, re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in found}


def source(path: str, name: str) -> str:
    """The code of a class, function or `Class.method` of a file, as a block titled by its place.

    Raises:
        ValueError: the file has none of that name.
    """
    text = (ROOT / path).read_text(encoding="utf-8")
    body: list[ast.stmt] = ast.parse(text).body
    for part in name.split("."):
        kinds = (ast.ClassDef, ast.FunctionDef)
        found = [node for node in body if isinstance(node, kinds) and node.name == part]
        if not found:
            raise ValueError(f"{path} has no '{name}'")
        node, body = found[0], found[0].body
    lines = text.splitlines()[node.lineno - 1 : node.end_lineno]
    code = inspect.cleandoc("\n" + "\n".join(lines))
    return f'```python title="{path}, line {node.lineno}"\n{code}\n```'
