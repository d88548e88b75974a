"""Names that a user chooses, written so that an output format shows them and never interprets them.

One function per format: the terminal, Markdown, HTML, LaTeX, CSV, TOML, figures, and JSON that people read. All other
JSON is written by `json.dumps`.
"""

from __future__ import annotations

import html as standard_html
import json
import re
import shutil
import textwrap
from collections.abc import Iterable
from typing import Any

import tomli_w

#: Escapes of control characters that people know.
_KNOWN = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}
#: What Markdown gives a meaning. `_` within a word has none, nor has `<` before a number.
_MARKDOWN = re.compile(r"[\\`*\[\]#>~$]|(?<![^\W_])_|_(?![^\W_])|<(?=[A-Za-z/!?])|&(?=#?\w+;)")
#: The characters that not all of its dialects can escape by a backslash.
_ENTITIES = {"<": "&lt;", ">": "&gt;", "&": "&amp;", "~": "&#126;", "$": "&#36;"}
_LATEX = {
    **{special: f"\\{special}" for special in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "^": r"\textasciicircum{}",
    # A dash in LaTeX's default encoding of fonts.
    "|": r"\textbar{}",
    "~": r"\textasciitilde{}",
    "<": "$<$",
    ">": "$>$",
    "±": r"$\pm$",
    "≈": r"$\approx$",
    "↓": r"$\downarrow$",
    "†": r"$\dagger$",
}
#: How a formula of a spreadsheet begins, also in full-width letters (OWASP, CSV injection).
_FORMULA = re.compile(r"[=+\-@\t\r\n＝＋－＠]")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def terminal(text: object, kept: str = "") -> str:
    r"""One line for a terminal: what cannot be printed (control characters, changes of direction) as `\x1b`.

    Args:
        text: a name, or a message with names.
        kept: characters to leave as they are.
    """
    line = str(text)
    return line if line.isprintable() else "".join(c if c.isprintable() or c in kept else _visible(c) for c in line)


def wrapped(text: str) -> str:
    """A message for a terminal: its lines are broken between words, and those that follow are indented.

    Indented lines are commands to be copied, and are left whole.
    """
    width = max(shutil.get_terminal_size().columns, 40)
    return "\n".join(
        line
        if line.startswith("  ")
        else textwrap.fill(line, width, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False) or line
        for line in text.split("\n")
    )


def _visible(character: str) -> str:
    return _KNOWN.get(character) or character.encode("unicode_escape").decode("ascii")


def markdown(text: object) -> str:
    """Plain text for a paragraph, a heading or a cell of `markdown_row`."""
    return _MARKDOWN.sub(lambda special: _ENTITIES.get(special[0], f"\\{special[0]}"), terminal(text))


def markdown_code(text: object) -> str:
    """Code in Markdown."""
    line = terminal(text)
    marks = "`" * (1 + max(map(len, re.findall("`+", line)), default=0))
    space = " " if line.startswith(("`", " ")) or line.endswith(("`", " ")) else ""
    return f"{marks}{space}{line}{space}{marks}" if line else ""


def markdown_row(cells: Iterable[str]) -> str:
    """A row of a table; the cells are Markdown."""
    # Bars in code end a cell, too.
    texts = " | ".join(cell.replace("|", "\\|") for cell in cells)
    return f"| {texts} |"


def html(text: object) -> str:
    """Plain text for an element of HTML, or for an attribute in quotes."""
    return standard_html.escape(terminal(text))


def latex(text: object) -> str:
    """Plain text for LaTeX, also at the start of a line of a table."""
    line = "".join(_LATEX.get(character, character) for character in terminal(text)).replace("v\u0302", r"$\hat{v}$")
    # The end of the line before would take these as its arguments.
    return f"{{{line[0]}}}{line[1:]}" if line.startswith(("[", "*")) else line


def csv_cell(value: Any) -> Any:
    """A value for `csv.writer`: a text that a spreadsheet would take for a formula begins with `'`.

    Line ends and tabs remain, since quotes hold them; other control characters are as on a terminal.
    """
    if not isinstance(value, str):
        return value
    text = terminal(value, kept="\n\t")
    is_formula = _FORMULA.match(value) and not _NUMBER.fullmatch(text)
    return f"'{text}" if is_formula else text


def toml_string(text: str) -> str:
    """A string of TOML with its quotes, on one line; read back, it is the same text."""
    line = tomli_w.dumps({"a": text}).removeprefix("a = ").rstrip("\n")
    return "".join(c if c.isprintable() else _KNOWN.get(c, f"\\U{ord(c):08x}") for c in line)


def json_text(value: Any, indent: int | None = None) -> str:
    """JSON with the letters of all languages as they are; what cannot be printed is escaped."""
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    # Line ends are between the values: those within are escaped already.
    return "".join(c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in text)


def figure_label(text: object) -> str:
    """A label of a figure: it has no formulas, and legends show it even if it begins with `_`."""
    line = terminal(text).replace("$", r"\$")
    return f" {line}" if line.startswith("_") else line
