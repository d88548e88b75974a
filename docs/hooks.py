"""Hooks of MkDocs that add to the pages: commands from Click, code from the package, formulas as MathML.

Browsers render MathML natively, so the pages need no script for formulas and load nothing from other sites.
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
#: Replaced by the reference of all commands (commands.md).
COMMANDS = "<!-- commands -->"
#: Replaced by the table of RunConfig's fields.
SETTINGS = "<!-- settings -->"
#: Replaced by the table of the options of rankers and methods.
OPTIONS = "<!-- options -->"
#: `<!-- source: mailcli/models/losses.py mmd2 -->` is replaced by the code of that function or class.
SOURCE = re.compile(r"^<!-- source: (\S+) (\S+) -->$", re.MULTILINE)
#: The HTML that arithmatex makes of `$...$` and `$$...$$`.
INLINE = re.compile(r'<span class="arithmatex">\\\((.*?)\\\)</span>', re.DOTALL)
BLOCK = re.compile(r'<div class="arithmatex">\s*\\\[(.*?)\\\]\s*</div>', re.DOTALL)


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Insert the commands, settings, options and code."""
    sections = {COMMANDS: lambda: reference(main, "mail"), SETTINGS: settings, OPTIONS: options}
    for mark, write in sections.items():
        markdown = markdown.replace(mark, write()) if mark in markdown else markdown
    return SOURCE.sub(lambda match: source(match[1], match[2]), markdown)


def on_page_content(content: str, **_: Any) -> str:
    """Convert LaTeX to MathML."""
    content = BLOCK.sub(lambda match: convert(html.unescape(match[1]), display="block"), content)
    return INLINE.sub(lambda match: convert(html.unescape(match[1])), content)


def reference(group: click.Group, name: str, level: str = "##") -> str:
    """All commands of a group in Markdown: help text, usage and options, as `--help` shows them."""
    parts = []
    for command_name, command in sorted(group.commands.items()):
        if isinstance(command, click.Group):
            parts += [f"{level} {name} {command_name}", "", _text(command.help or ""), ""]
            parts.append(reference(command, f"{name} {command_name}", f"{level}#"))
            continue
        context = click.Context(command, info_name=f"{name} {command_name}")
        usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
        # Arguments have no help text: the command's describes them.
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


def _text(help_text: str) -> str:
    """A help text as Markdown; paragraphs that Click does not wrap (`\\b`) become blocks."""
    paragraphs = inspect.cleandoc(help_text).split("\n\n")
    return "\n\n".join(
        "```text\n" + part.removeprefix("\b\n").rstrip() + "\n```" if part.startswith("\b") else _escaped(part)
        for part in paragraphs
    )


def _escaped(text: str) -> str:
    """Plain text with the special characters of Markdown escaped."""
    return re.sub(r"([\\`*_{}\[\]<>|#])", r"\\\1", text)


def settings() -> str:
    """The settings of a run as a Markdown table: RunConfig's fields, their defaults and docstrings."""
    (body,) = (node.body for node in ast.parse(inspect.getsource(RunConfig)).body if isinstance(node, ast.ClassDef))
    rows = ["| key | default | meaning |", "|---|---|---|"]
    for field, text in pairwise(body):
        if not (isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)):
            continue
        name = field.target.id
        # The first two are set by --data and --continue; the others are the options of a ranker or method.
        if name in {"data", "continues"} or name in OPTION_TABLES.values():
            continue
        assert isinstance(text, ast.Expr)
        meaning = " ".join(ast.literal_eval(text.value).split())
        rows.append(f"| `{name}` | {_default(getattr(RunConfig, name))} | {_escaped(meaning)} |")
    return "\n".join(rows)


def options() -> str:
    """The options of all rankers and methods as a Markdown table: their constructors' keywords and docstrings."""
    # It imports TensorFlow, which takes seconds; only this page needs it.
    from mailcli.models.contracts import options_of

    rows = ["| of | option | default | meaning |", "|---|---|---|---|"]
    for kind, table in ((plugins.RANKERS, "ranker"), (plugins.COLD_STARTS, "cold_start")):
        for name in plugins.names(kind):
            plugin = plugins.load(kind, name)
            meanings = _arguments(inspect.getdoc(plugin) or "")
            rows += [
                f"| {kind.title} `{name}` | `{table}.{key}` | {_default(default)} | {_escaped(meanings[key])} |"
                for key, default in options_of(plugin).items()
            ]
    return "\n".join(rows)


def _default(value: Any) -> str:
    """A default as `--set` takes it."""
    return f"`{','.join(map(str, value)) if isinstance(value, tuple) else value}`"


def _arguments(docstring: str) -> dict[str, str]:
    """The descriptions in a docstring's `Args:`, by name."""
    _, _, section = docstring.partition("Args:\n")
    section = section.split("\n\n")[0]
    arguments = re.findall(r"^    (\w+): (.*(?:\n     .*)*)", section, re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in arguments}


def source(path: str, name: str) -> str:
    """The code of a class, function or `Class.method` of a file, as a block titled with its file and line.

    Raises:
        ValueError: the file defines no such name.
    """
    text = (ROOT / path).read_text(encoding="utf-8")
    body: list[ast.stmt] = ast.parse(text).body
    for part in name.split("."):
        kinds = (ast.ClassDef, ast.FunctionDef)
        definitions = [node for node in body if isinstance(node, kinds) and node.name == part]
        if not definitions:
            raise ValueError(f"{path} has no '{name}'")
        node, body = definitions[0], definitions[0].body
    lines = text.splitlines()[node.lineno - 1 : node.end_lineno]
    code = inspect.cleandoc("\n" + "\n".join(lines))
    return f'```python title="{path}, line {node.lineno}"\n{code}\n```'
