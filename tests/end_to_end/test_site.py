"""The site that `make docs` builds from docs/, and the hooks that write parts of it (docs/hooks.py)."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from dataclasses import fields
from types import ModuleType, SimpleNamespace

import click
import pytest
import yaml

from mailcli import plugins
from mailcli.cli import main
from mailcli.config import OPTION_TABLES, RunConfig
from tests.helpers.documents import PAGES, ROOT

#: Pages that are not in docs/.
OTHER_PAGES = ("results.md", "hypotheses.md", "benchmarks.md")


def test_the_menu_has_every_page() -> None:
    menu = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]
    groups = [[entry] if isinstance(entry, str) else next(iter(entry.values())) for entry in menu]
    listed = [page for group in groups for page in group]
    assert sorted(listed) == sorted([*(page.name for page in PAGES if page.name != "README.md"), *OTHER_PAGES])


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The pages of the site, by name; a missing link, anchor or page fails the build, but not with --quiet."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    build = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert build.returncode == 0, build.stdout + build.stderr
    pages = {page.name: page.read_text(encoding="utf-8") for page in folder.glob("*.html")}
    # The tests look for cells with their contents.
    return {name: re.sub(r' data-column="[^"]*"', "", text) for name, text in pages.items()}


def test_the_site_has_every_page(site: dict[str, str]) -> None:
    pages = [*(page.name for page in PAGES if page.name != "README.md"), *OTHER_PAGES]
    assert set(site) == {"404.html", *(page.replace(".md", ".html") for page in pages)}


def test_the_site_shows_links_and_headings_as_they_are_meant(site: dict[str, str]) -> None:
    """To Python-Markdown, a source line that begins with `#44414` is a heading, even within a link."""
    for name, page in site.items():
        assert page.count("<h1") == 1, name
        text = re.sub(r"<[^>]+>", "", re.sub(r"<(pre|code|script|style)\b.*?</\1>", "", page, flags=re.DOTALL))
        assert "](" not in text, f"{name}: a link was not converted"


def test_the_site_has_every_command_and_option(site: dict[str, str]) -> None:
    sections = dict(re.findall(r'<h2 id="mail-(\S+)">(.*?)(?=<h2 |</article>)', site["commands.html"], re.DOTALL))
    assert set(sections) == set(main.commands)
    for name, command in main.commands.items():
        for option in (option for parameter in command.params for option in parameter.opts if option[0] == "-"):
            assert re.search(rf"<code>[^<]*(?<![\w-]){option}\b", sections[name]), f"mail {name} {option}"
    # Defaults are shown as in --help, without Click's marker for a missing one.
    assert re.search(r"<code>--seeds INTEGER</code></td>\s*<td>[^<]*\[default: 3\]", sections["compare"])
    assert "UNSET" not in site["commands.html"]
    # Arguments have no help text, so they have no rows.
    assert not re.search(r"<td></td>", site["commands.html"])


def test_the_site_has_every_setting_and_option(site: dict[str, str]) -> None:
    from mailcli.models.contracts import options_of

    page = re.sub(r"\s+", " ", site["commands.html"])
    for field in fields(RunConfig):
        if field.name not in {"data", "continues", *OPTION_TABLES.values()}:
            row = f"<td><code>{field.name}</code></td> <td><code>{field.default}</code></td> <td>"
            assert re.search(re.escape(row) + "[^<]", page), field.name
    for kind, table in ((plugins.RANKERS, "ranker"), (plugins.COLD_STARTS, "cold_start")):
        for name in plugins.names(kind):
            for key, default in options_of(plugins.load(kind, name)).items():
                text = ",".join(map(str, default)) if isinstance(default, tuple) else default
                row = f"<td>{kind.title} <code>{name}</code></td> <td><code>{table}.{key}</code></td> "
                assert re.search(re.escape(f"{row}<td><code>{text}</code></td> <td>") + "[^<]", page), (name, key)


def test_the_site_has_formulas_and_code(site: dict[str, str]) -> None:
    assert site["equations.html"].count("<math") > 16
    assert "mailcli/models/losses.py, line " in site["equations.html"]
    for name, page in site.items():
        assert 'class="arithmatex"' not in page, f"{name}: a formula was not converted"
        assert "<!-- source:" not in page, f"{name}: code was not inserted"


def test_the_site_loads_nothing_from_elsewhere(site: dict[str, str]) -> None:
    loading = (
        r'<(?:script|img|iframe)[^>]* src="([^"]+)"|<link[^>]* rel="(?:stylesheet|preconnect)"[^>]* href="([^"]+)"'
    )
    for name, page in site.items():
        urls = [url for pair in re.findall(loading, page) for url in pair if url]
        assert urls, name
        assert not [url for url in urls if re.match(r"(https?:)?//", url)], name


@pytest.fixture
def hooks() -> ModuleType:
    """docs/hooks.py, which MkDocs loads from its path."""
    spec = importlib.util.spec_from_file_location("hooks", ROOT / "docs" / "hooks.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_code_that_is_not_there_fails_the_build(hooks: ModuleType) -> None:
    page = SimpleNamespace(file=SimpleNamespace(src_uri="statistics.md"))
    markdown = hooks.on_page_markdown("<!-- source: mailcli/metrics/auc.py relative_improvement -->", page)
    assert re.match(r'```python title="mailcli/metrics/auc.py, line \d+"\ndef relative_improvement\(', markdown)
    assert markdown.endswith('* 100 if baseline else float("nan")\n```')
    for name in ("nothing", "GroupAUC.nothing"):
        with pytest.raises(ValueError, match=f"mailcli/metrics/auc.py has no '{name}'"):
            hooks.on_page_markdown(f"<!-- source: mailcli/metrics/auc.py {name} -->", page)


def test_a_phone_can_name_the_column_of_each_cell(hooks: ModuleType) -> None:
    head = '<thead>\n<tr>\n<th>a <code>b</code></th>\n<th style="text-align: right;">"c" &amp; d</th>\n</tr>\n</thead>'
    row = '<tr>\n<td>1</td>\n<td style="text-align: right;">2</td>\n</tr>'
    assert (
        hooks.on_page_content(f"<p>1</p><table>\n{head}\n<tbody>\n{row}\n{row}\n</tbody>\n</table>").count("data-") == 4
    )
    assert hooks.named_cells(f"<table>{head}{row}</table>").endswith(
        '<td data-column="a b">1</td>\n<td data-column="&quot;c&quot; &amp; d" style="text-align: right;">2</td>\n'
        "</tr></table>"
    )


def test_the_site_has_the_kept_figures(site: dict[str, str]) -> None:
    """Which are in experiments/; test_site_in_a_browser.py sees that they are shown."""
    figures = [url for page in site.values() for url in re.findall(r'<img [^>]*src="([^"]+)"', page)]
    assert len(figures) >= 4
    for url in figures:
        path = ROOT / "experiments" / url if url.startswith("figures/") else ROOT / "docs" / url
        assert path.is_file(), url


def test_clicks_texts_are_not_markdown(hooks: ModuleType) -> None:
    @click.command()
    @click.option("--a-b", metavar="A|B", default=3, show_default=True, help="One of <x>, *y* and `z`_1.")
    def odd() -> None:
        """First_line.

        \b
        kept   as
        it     is
        """

    markdown = hooks.reference(click.Group("g", [odd]), "mail")
    assert markdown.splitlines() == [
        *("## mail odd", "", "First\\_line.", "", "```text", "kept   as", "it     is", "```", ""),
        *("```text", "mail odd [OPTIONS]", "```", "", "| option | meaning |", "|---|---|"),
        "| `--a-b A|B` | One of \\<x\\>, \\*y\\* and \\`z\\`\\_1.  \\[default: 3\\] |",
    ]
