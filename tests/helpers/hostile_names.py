"""Names that a form of output could obey, and what a reader must see of them."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from markdown_it import MarkdownIt

#: What has a meaning somewhere: control characters, escape sequences, markup, formulas, quotes.
PIECES = [
    *(
        "\x1b[31m",
        "\x1b]0;title\x07",
        "\x9b2J",
        "\x00",
        "\x7f",
        "\n",
        "\r\n",
        "\t",
        "\u202e",
        "\u2028",
        "\xa0",
        "\ud7ff",
    ),
    *(
        "'",
        '"',
        '"""',
        "`",
        "```",
        "|",
        "\\",
        "\\n",
        "\\\\",
        "\\input{/etc/passwd}",
        "\\end{table}",
        "%",
        "{",
        "}",
        "^",
    ),
    *("<script>alert(1)</script>", "<!--", "-->", "&lt;", "&#60;", "](http://x)", "![x](y)", "[x]: y", "<http://x>"),
    *("#", "# ", "_", "_a_", "a_b", "*", "**", "~~a~~", "$x$", "$", "- ", "1. ", "> ", "---", "==="),
    *("=cmd()", "+1", "-1+1", "@SUM(A1)", "＝1", "[red]", "[/]", ":smile:", "é", "名", "±"),
]
#: Names that mix them.
NAMES = st.lists(st.sampled_from(PIECES) | st.text(max_size=3), min_size=1, max_size=5).map("".join)
#: One name for tests that are too slow for many.
WORST = "\x1b[31m\x9b\u202e\r\n\x00|`<script>\\input{x}$y$[/]:smile:_é"


def seen(name: str) -> str:
    r"""What a reader sees of a name: Python's `\x1b` for what cannot be printed."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in name)


def assert_harmless(output: str) -> None:
    """No character of an output may change a terminal."""
    assert [c for c in output if not c.isprintable() and c != "\n"] == []


def markdown_texts(document: str) -> list[str]:
    """The texts of a document's headings, paragraphs and cells; it must not have any HTML, link or image."""
    tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(document)
    assert {token.type for token in tokens}.isdisjoint({"html_block", "code_block", "hr", "blockquote_open"})
    return [_inline_text(token) for token in tokens if token.type == "inline"]


def _inline_text(token: Any) -> str:
    marks = {"strong_open", "strong_close", "em_open", "em_close"}
    texts = {"text", "text_special", "code_inline", "softbreak"}
    assert {child.type for child in token.children} <= marks | texts
    return "".join(" " if child.type == "softbreak" else child.content for child in token.children)


def latex_text(source: str) -> str:
    """What LaTeX sets for a text; fails at a command, a comment or a group that is not an escaped character."""
    commands = {
        **{rf"\{special}": special for special in "&%$#_{}"},
        r"\textbackslash{}": "\\",
        r"\textasciicircum{}": "^",
        r"\textasciitilde{}": "~",
        r"\textbar{}": "|",
        "$<$": "<",
        "$>$": ">",
        r"$\pm$": "±",
        r"$\approx$": "≈",
        r"$\downarrow$": "↓",
        r"$\dagger$": "†",
        r"$\hat{v}$": "v\u0302",
    }
    if source[:3] in {"{[}", "{*}"}:
        source = source[1] + source[3:]
    text = ""
    while source:
        command = next((known for known in commands if source.startswith(known)), source[0])
        assert command in commands or command not in set("\\&%$#_{}^~|<>±≈↓†"), source
        text += commands.get(command, command)
        source = source[len(command) :]
    return text
