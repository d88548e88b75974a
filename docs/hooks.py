"""Hooks of MkDocs that add to the pages: commands from Click, code from the package, formulas as MathML.

Browsers render MathML natively, so the pages need no script for formulas and load nothing from other sites.
"""

from __future__ import annotations

import ast
import html
import inspect
import os
import re
from pathlib import Path
from typing import Any

import click
from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from mailcli.cli import main
from mailcli.settings.reference import Setting, all_settings

ROOT = Path(__file__).parent.parent
#: Replaced by the reference of all commands (commands.md).
COMMANDS = "<!-- commands -->"
#: Replaced by the table of the settings of a run.
SETTINGS = "<!-- settings -->"
#: Replaced by the table of the options of rankers and methods.
OPTIONS = "<!-- options -->"
#: `<!-- source: mailcli/models/losses.py mmd2 -->` is replaced by the code of that function or class.
SOURCE = re.compile(r"^<!-- source: (\S+) (\S+) -->$", re.MULTILINE)
#: The folder of kept figures as pages name it, which GitHub follows, and where the site has it.
FIGURES, SITE_FIGURES = "../experiments/figures/", "figures/"
#: Pages that are not in docs/, by their paths in the project, and their names in the site.
OTHER_PAGES = {
    "experiments/RESULTS.md": "results.md",
    "experiments/HYPOTHESES.md": "hypotheses.md",
    "benchmarks/RESULTS.md": "benchmarks.md",
}
#: The HTML that arithmatex makes of `$...$` and `$$...$$`.
INLINE = re.compile(r'<span class="arithmatex">\\\((.*?)\\\)</span>', re.DOTALL)
BLOCK = re.compile(r'<div class="arithmatex">\s*\\\[(.*?)\\\]\s*</div>', re.DOTALL)

#: The HTML of a table, and of any element's beginning or end.
TABLE, TAG = re.compile(r"<table>.*?</table>", re.DOTALL), re.compile(r"<[^>]+>")


def on_files(files: Files, config: MkDocsConfig, **_: Any) -> Files:
    """Add the kept figures and OTHER_PAGES, which are not in docs/, to the site."""
    folder = ROOT / "docs" / FIGURES
    for path in sorted(path for path in folder.resolve().rglob("*") if path.suffix in {".png", ".svg"}):
        uri = SITE_FIGURES + path.relative_to(folder.resolve()).as_posix()
        files.append(File.generated(config, uri, abs_src_path=str(path)))
    for source_path, uri in OTHER_PAGES.items():
        files.append(File.generated(config, uri, abs_src_path=str(ROOT / source_path)))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Insert the commands, settings, options and code, and name figures and pages as the site does."""
    markdown = markdown.replace(f"]({FIGURES}", f"]({SITE_FIGURES}")
    folder = {uri: Path(path).parent for path, uri in OTHER_PAGES.items()}.get(page.file.src_uri, Path("docs"))
    for path, uri in OTHER_PAGES.items():
        markdown = markdown.replace(f"]({os.path.relpath(path, folder)}", f"]({uri}")
    if folder != Path("docs"):
        markdown = markdown.replace("](../docs/", "](")
    sections = {COMMANDS: lambda: reference(main, "mail"), SETTINGS: settings, OPTIONS: options}
    for mark, write in sections.items():
        markdown = markdown.replace(mark, write()) if mark in markdown else markdown
    return SOURCE.sub(lambda match: source(match[1], match[2]), markdown)


def on_page_content(content: str, **_: Any) -> str:
    """Convert LaTeX to MathML, and give each cell of a table its column's name, which phones show beside it."""
    content = BLOCK.sub(lambda match: f"<div class='formula'>{_mathml(match[1], 'block')}</div>", content)
    content = INLINE.sub(lambda match: _mathml(match[1], "inline"), content)
    return TABLE.sub(lambda match: named_cells(match[0]), content)


def _mathml(latex: str, display: str) -> str:
    return convert(html.unescape(latex), display=display)


def named_cells(table: str) -> str:
    """The HTML of a table whose cells have the attribute `data-column`: the text of their column's head."""
    texts = [TAG.sub("", head) for head in re.findall(r"<th\b[^>]*>(.*?)</th>", table, re.DOTALL)]
    heads = [html.escape(html.unescape(text)) for text in texts]

    def named(row: re.Match[str]) -> str:
        columns = iter(heads)
        return re.sub(r"<td\b", lambda _: f'<td data-column="{next(columns)}"', row[0])

    return re.sub(r"<tr>.*?</tr>", named, table, flags=re.DOTALL)


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
    """The settings of a run as a Markdown table."""
    rows = ["| key | default | may be | meaning |", "|---|---|---|---|"]
    rows += [f"| `{line.key}` | {_cells(line)} |" for line in all_settings() if not line.owner and line.key != "data"]
    return "\n".join(rows)


def options() -> str:
    """The options of all rankers and methods as a Markdown table."""
    rows = ["| of | option | default | may be | meaning |", "|---|---|---|---|---|"]
    for line in all_settings():
        kind, _, name = line.owner.rpartition(" ")
        rows += [f"| {kind} `{name}` | `{line.key}` | {_cells(line)} |"] if name else []
    return "\n".join(rows)


def _cells(line: Setting) -> str:
    """Default, range and meaning."""
    return f"`{line.default}` | {_escaped(line.values)} | {_escaped(line.meaning)}"


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
