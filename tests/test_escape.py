"""Names in every form of output: a reader sees them, and nothing obeys them."""

from __future__ import annotations

import csv
import io
import json
import tomllib

import pytest
from hypothesis import given

from mailcli.escape import (
    csv_cell,
    figure_label,
    html,
    json_text,
    latex,
    markdown,
    markdown_code,
    markdown_row,
    terminal,
    toml_string,
)
from tests.helpers.hostile_names import NAMES, assert_harmless, latex_text, markdown_texts, seen
from tests.helpers.html_pages import HtmlPage


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("plain näme 名", "plain näme 名"),
        ("\x1b[31mred\x07", r"\x1b[31mred\x07"),
        ("a\nb\r\tc\x00", r"a\nb\r\tc\x00"),
        ("\x9b2J\x7f", r"\x9b2J\x7f"),
        ("\u202egnp.exe\u2028\xa0", r"\u202egnp.exe\u2028\xa0"),
        ("not UTF-8: \udcff", r"not UTF-8: \udcff"),
        ("\U000e0001", r"\U000e0001"),
        (r"C:\new", r"C:\new"),
    ],
)
def test_a_terminal_shows_what_cannot_be_printed(name: str, shown: str) -> None:
    assert terminal(name) == shown


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("embedding_init small, p <.001, a < b & c", "embedding_init small, p <.001, a < b & c"),
        ("_a_ *b* `c` ~~d~~", r"\_a\_ \*b\* \`c\` &#126;&#126;d&#126;&#126;"),
        ("<script>&lt;", "&lt;script&gt;&amp;lt;"),
        ("![x](y) # $z$ \\", r"!\[x\](y) \# &#36;z&#36; \\"),
        ("a\n\nb|c", r"a\\n\\nb|c"),
    ],
)
def test_markdown_shows_the_characters_that_it_would_obey(name: str, source: str) -> None:
    assert markdown(name) == source


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("p <.001, a & b", "p &lt;.001, a &amp; b"),
        ("<script>&lt;\"'", "&lt;script&gt;&amp;lt;&quot;&#x27;"),
        ("a\nb\x1b\u202e", r"a\nb\x1b\u202e"),
    ],
)
def test_html_shows_the_characters_that_it_would_obey(name: str, source: str) -> None:
    assert html(name) == source


def test_a_bar_in_a_cell_ends_neither_text_nor_code() -> None:
    assert markdown_row([markdown("a|b"), markdown_code("c|d")]) == r"| a\|b | `c\|d` |"


@pytest.mark.parametrize(
    ("text", "source"),
    [("a", "`a`"), ("a`b", "``a`b``"), ("`", "`` ` ``"), ("``a", "``` ``a ```"), ("\x1b", r"`\x1b`"), ("", "")],
)
def test_code_in_markdown_may_have_backticks(text: str, source: str) -> None:
    assert markdown_code(text) == source


@pytest.mark.parametrize(
    ("name", "source"),
    [
        (r"\input{x}", r"\textbackslash{}input\{x\}"),
        ("100 % of $x_1^2$ & ~#", r"100 \% of \$x\_1\textasciicircum{}2\$ \& \textasciitilde{}\#"),
        ("a < b ± c > d", r"a $<$ b $\pm$ c $>$ d"),
        ("a | b", r"a \textbar{} b"),
        ("v\u0302 †: ≈ .5↓", r"$\hat{v}$ $\dagger$: $\approx$ .5$\downarrow$"),
        ("[2cm] a", "{[}2cm] a"),
        ("* a*", "{*} a*"),
        ("a\nb", r"a\textbackslash{}nb"),
    ],
)
def test_latex_sets_the_characters_that_it_would_obey(name: str, source: str) -> None:
    assert latex(name) == source


@pytest.mark.parametrize("value", ["a", "a=b", "-5", "+1.5e-3", "-.5", -5, 0.25, None, True, "", "a\tb\nc"])
def test_values_of_a_csv_that_are_no_formulas_remain(value: object) -> None:
    assert csv_cell(value) is value or csv_cell(value) == value


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        ("=cmd()", "'=cmd()"),
        ("+cmd", "'+cmd"),
        ("-1+cmd", "'-1+cmd"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t=1"),
        ("\r=1", r"'\r=1"),
        ("\n=1", "'\n=1"),
        ("＝1", "'＝1"),
        ("a\x1b\x00", r"a\x1b\x00"),
    ],
)
def test_a_formula_in_a_csv_is_a_text(value: str, cell: str) -> None:
    assert csv_cell(value) == cell


@pytest.mark.parametrize(
    ("text", "source"),
    [("a", '"a"'), ("\t\n", r'"\t\n"'), ('"\\', r'"\"\\"'), ("\x1b\x9b", r'"\u001b\U0000009b"')],
)
def test_a_string_of_toml_is_one_printable_line(text: str, source: str) -> None:
    assert toml_string(text) == source


@pytest.mark.parametrize(("name", "label"), [("$x$", r"\$x\$"), ("_a", " _a"), ("a\nb", r"a\nb"), ("a_b", "a_b")])
def test_a_label_of_a_figure_is_no_formula(name: str, label: str) -> None:
    assert figure_label(name) == label


@given(NAMES)
def test_every_form_shows_every_name(name: str) -> None:
    assert terminal(name) == terminal(terminal(name)) == seen(name)
    assert latex_text(latex(name)) == seen(name)
    page = HtmlPage(f'<p title="{html(name)}">{html(name)}</p>')
    assert (page.structure, page.attributes) == ([("p", "title")], [("p", "title", seen(name))])
    assert "".join(page.texts.get("p", [])) == seen(name)
    assert figure_label(name).replace(r"\$", "$").strip() == seen(name).strip()
    assert tomllib.loads(f"key = {toml_string(name)}") == {"key": name}
    assert json.loads(json_text({name: name}, indent=2)) == {name: name}
    for output in (
        terminal(name),
        markdown(name),
        latex(name),
        toml_string(name),
        json_text([name], indent=2),
        html(name),
    ):
        assert_harmless(output)


@given(NAMES)
def test_every_name_is_a_text_of_markdown(name: str) -> None:
    text, sentence = seen(name).strip(), f"the {seen(name)}".rstrip()
    document = f"# {markdown(name)}\n\nthe {markdown(name)}\n\n- the {markdown(name)}\n\n"
    table = "\n".join([markdown_row(["a", "b"]), "|---|---|", markdown_row([markdown(name), markdown_code(name)])])
    *texts, first, second, plain, code = markdown_texts(document + table)
    assert (texts, first, second) == ([text, sentence, sentence], "a", "b")
    assert (plain, code.strip()) == (text, text)


@given(NAMES)
def test_every_name_is_one_cell_of_a_csv(name: str) -> None:
    file = io.StringIO()
    csv.writer(file, lineterminator="\n").writerow(["a", csv_cell(name), "b"])
    (row,) = csv.reader(io.StringIO(file.getvalue(), newline=""))
    assert (row[0], row[2]) == ("a", "b")
    assert row[1].removeprefix("'").replace("\n", r"\n").replace("\t", r"\t") == seen(name).removeprefix("'")
    is_number = row[1].lstrip("+-").replace(".", "").isdigit()
    assert is_number or not row[1].startswith(("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠"))
