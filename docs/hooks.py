"""What MkDocs does to the pages beyond Markdown: commands from Click, code from the package, formulas as MathML.

Nothing is fetched by the reader's browser: browsers show MathML themselves, so no script for formulas is needed.
"""

from __future__ import annotations

import ast
import html
import inspect
import re
from pathlib import Path
from typing import Any

import click
from latex2mathml.converter import convert

from mailcli.cli import main

ROOT = Path(__file__).parent.parent
#: Where commands.md has the reference.
COMMANDS = "<!-- commands -->"
#: `<!-- source: mailcli/losses.py mmd2 -->` becomes that function's or class's code.
SOURCE = re.compile(r"^<!-- source: (\S+) (\S+) -->$", re.MULTILINE)
#: What arithmatex leaves of `\(...\)`, `$...$`, `\[...\]` and `$$...$$`.
INLINE = re.compile(r'<span class="arithmatex">\\\((.*?)\\\)</span>', re.DOTALL)
BLOCK = re.compile(r'<div class="arithmatex">\s*\\\[(.*?)\\\]\s*</div>', re.DOTALL)


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Put in the commands and the code."""
    markdown = markdown.replace(COMMANDS, reference(main, "mail")) if COMMANDS in markdown else markdown
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
        records = [record for parameter in command.params if (record := parameter.get_help_record(context))]
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
