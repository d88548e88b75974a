"""README.md and docs/: links, code blocks, and the site that `make docs` builds."""

from __future__ import annotations

import ast
import configparser
import importlib.util
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from types import ModuleType

import click
import pytest
import yaml
from click.testing import CliRunner

from mailcli import plugins
from mailcli.cli import main
from mailcli.config import OPTION_TABLES, RunConfig, make_config
from mailcli.experiments.archive import archive_runs
from mailcli.experiments.plan import read_plan
from mailcli.models.features import Features
from mailcli.reporting.formats import render
from mailcli.reporting.result_layout import lay_out
from tests.helpers.documents import PAGES, ROOT, Block, Sandbox, blocks, check, parse, small_defaults, smaller

BLOCKS = [block for page in PAGES for block in blocks(page)]
#: Pages that take seconds; the others train models.
QUICK = ("statistics.md",)
#: Pages with something to run.
RUN = [page for page in PAGES if any(block.page == page and block.reason is None for block in BLOCKS)]

LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
#: Files of the project that a page names: a path in code.
NAMED = re.compile(r"(?<![\w/.-])((?:mailcli|experiments|benchmarks|examples|tests|docs)/[\w./-]+\.(?:py|toml|md))\b")


def prose(page: Path) -> str:
    """A page without its blocks."""
    return re.sub(r"^ *```.*?^ *```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub and MkDocs give to a page's headings; `mail NAME` of the commands are made at build time."""
    found = {
        re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in HEADING.findall(prose(page))
    }
    return found | ({f"mail-{name}" for name in main.commands} if page.name == "commands.md" else set())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in LINK.findall(prose(page)):
        if re.match(r"https?://", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{page.name} links to {link}: there is no {target}"
        if anchor:
            assert anchor in anchors(target), f"{page.name} links to {link}: {sorted(anchors(target))}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_are_named_exist(page: Path) -> None:
    named = {name for name in NAMED.findall(page.read_text(encoding="utf-8")) if "NAME" not in name}
    assert not {name for name in named if not (ROOT / name).exists()}


def test_rows_of_tables_are_those_of_the_readme() -> None:
    """So that numbers that are measured anew are replaced everywhere."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    shown = [
        (page.name, line.rstrip())
        for page in PAGES
        for line in page.read_text(encoding="utf-8").splitlines()
        if "│" in line and "±" in line and page.name != "README.md"
    ]
    assert len(shown) == 4
    assert not [row for row in shown if not any(line.startswith(row[1].rstrip(" │")) for line in readme)]


def test_rows_of_a_kept_experiment_are_those_of_its_results(tmp_path: Path) -> None:
    """The README's table of new users under `strict`; `mail results` makes experiments/RESULTS.md of the same."""
    plan = read_plan(ROOT / "experiments" / "table2-ml-100k-strict.toml")
    rows, runs = archive_runs(plan, tmp_path / "no runs", ROOT / "experiments" / "results")
    table = plan.tables(rows, (runs[0].result or {})["dataset"])[0]
    lines = render(lay_out(table), "table").splitlines()
    (block,) = (block for block in BLOCKS if block.page.name == "README.md" and "protocol strict" in block.code)
    shown = [line.rstrip() for line in block.code.splitlines()]
    assert shown == [line.rstrip() for line in lines[: len(shown)]]
    assert len([line for line in shown if "±" in line]) == len(plan.rows)


@pytest.mark.parametrize("page", ["README.md", "alimama.md"])
def test_what_simulate_prints_is_what_a_page_shows(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = [block for block in BLOCKS if block.page.name == page]
    shell = [block for block in found if block.language == "sh"]
    (words,) = (words for block in shell for words in block.commands if words[:2] == ["mail", "simulate"])
    (shown,) = (block.code for block in found if block.language == "text" and "Ceiling:" in block.code)
    assert CliRunner().invoke(main, words[1:]).stdout == shown


def test_every_command_in_the_prose_is_one() -> None:
    """`mail train --devices N` is neither run nor complete, but its command and options are there."""
    wrong = []
    for page in PAGES:
        for words in re.findall(r"`mail ([^`]+)`", prose(page)):
            if words.split()[0] == "COMMAND":
                continue
            command: click.Command = main
            for word in words.split():
                if isinstance(command, click.Group) and word in command.commands:
                    command = command.commands[word]
            known = {"--help", *(name for parameter in command.params for name in parameter.opts)}
            asked = set(re.findall(r"(?<!\S)--?[a-z][\w-]*|(?<=\[)--[a-z][\w-]*", words))
            if command is main or asked - known:
                wrong.append((page.name, words, asked - known))
    assert wrong == []


def test_the_readme_says_which_commands_share_options() -> None:
    text = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    takes = {
        name: {option for parameter in command.params for option in parameter.opts}
        for name, command in main.commands.items()
    }
    training = ["train", "ablate", "compare", "tune"]
    shared = set.intersection(*(takes[name] for name in training))
    assert set(re.findall(r"--[\w-]+", _between(text, "of these options", ". `mail ablate"))) == takes["run"] & shared
    said = _between(text, "`mail train`, `ablate`, `compare` and `tune` share ", ". `mail run`")
    assert set(re.findall(r"--[\w-]+", said)) == shared
    for option in ("--format", "--jobs"):
        having = sorted(name for name in takes if option in takes[name])
        listed = f"{'`, `'.join(having[:-1])}` and `{having[-1]}` take `{option}"
        assert f"`mail {listed}" in text, option


def _between(text: str, start: str, end: str) -> str:
    return text.partition(start)[2].partition(end)[0]


def test_the_fields_of_features_are_all_described() -> None:
    page = (ROOT / "docs" / "your-own-ranker.md").read_text(encoding="utf-8")
    table = _between(page, "## What a ranker sees", "For a new user under MAIL")
    described = [name for line in table.splitlines() for name in re.findall(r"`(\w+)`", line.partition(" | ")[0])]
    assert sorted(name for name in described if name != "features") == sorted(["Features", *Features._fields])


def test_the_versions_of_python_are_everywhere_the_same() -> None:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    versions = re.findall(r"Python :: (3\.\d+)", setup["metadata"]["classifiers"])
    assert versions == ["3.11", "3.12", "3.13"]
    assert setup["options"]["python_requires"] == ">=3.11,<3.14"
    for name in ("README.md", "docs/tutorial.md"):
        assert "Python 3.11, 3.12 or 3.13 (the tests ran on 3.11)" in (ROOT / name).read_text(encoding="utf-8"), name


def test_the_benchmarks_say_which_script_makes_what() -> None:
    folder = ROOT / "benchmarks"
    scripts = {path.name for path in folder.glob("*.py") if re.search(r"^ +record\(", path.read_text(), re.MULTILINE)}
    by_make = set(re.findall(r"benchmarks/(\w+\.py)", (ROOT / "Makefile").read_text(encoding="utf-8")))
    head = (folder / "RESULTS.md").read_text(encoding="utf-8").partition("\n## ")[0]
    assert set(re.findall(r"benchmarks/(\w+\.py)", head)) == scripts - by_make
    assert head.strip() in (folder / "measure.py").read_text(encoding="utf-8")


def test_ci_follows_the_pages() -> None:
    targets = re.findall(r"^make (\S+)$", (ROOT / ".ci" / "run").read_text(encoding="utf-8"), re.MULTILINE)
    assert targets == ["check", "test", "test-docs"]


def test_the_menu_has_every_page() -> None:
    menu = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]
    groups = [[entry] if isinstance(entry, str) else next(iter(entry.values())) for entry in menu]
    listed = [page for group in groups for page in group]
    assert sorted(listed) == sorted(page.name for page in PAGES if page.name != "README.md")


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The pages of the site, by name; a link, anchor or page that is missing is an error of the build."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return {page.name: page.read_text(encoding="utf-8") for page in folder.glob("*.html")}


def test_the_site_has_every_page(site: dict[str, str]) -> None:
    assert set(site) == {"404.html", *(f"{page.stem}.html" for page in PAGES if page.name != "README.md")}


def test_the_site_shows_links_and_headings_as_they_are_meant(site: dict[str, str]) -> None:
    """A line of the source that begins with `#44414` is a heading to Python-Markdown, and half of a link."""
    for name, page in site.items():
        assert page.count("<h1") == 1, name
        text = re.sub(r"<[^>]+>", "", re.sub(r"<(pre|code|script|style)\b.*?</\1>", "", page, flags=re.DOTALL))
        assert "](" not in text, f"{name}: a link is left as Markdown"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_line_becomes_a_heading_by_chance(page: Path) -> None:
    assert re.findall(r"^#+[^# ].*$", prose(page), re.MULTILINE) == []


def test_the_site_has_every_command_and_option(site: dict[str, str]) -> None:
    sections = dict(re.findall(r'<h2 id="mail-(\S+)">(.*?)(?=<h2 |</article>)', site["commands.html"], re.DOTALL))
    assert set(sections) == set(main.commands)
    for name, command in main.commands.items():
        for option in (option for parameter in command.params for option in parameter.opts if option[0] == "-"):
            assert re.search(rf"<code>[^<]*(?<![\w-]){option}\b", sections[name]), f"mail {name} {option}"
    # A default as --help has it, and none of Click's marks for its absence.
    assert re.search(r"<code>--seeds INTEGER</code></td>\s*<td>[^<]*\[default: 3\]", sections["compare"])
    assert "UNSET" not in site["commands.html"]
    # Arguments have no text of their own.
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
        assert 'class="arithmatex"' not in page, f"{name}: a formula is left as LaTeX"
        assert "<!-- source:" not in page, f"{name}: code is left out"


def test_the_site_loads_nothing_from_elsewhere(site: dict[str, str]) -> None:
    loading = (
        r'<(?:script|img|iframe)[^>]* src="([^"]+)"|<link[^>]* rel="(?:stylesheet|preconnect)"[^>]* href="([^"]+)"'
    )
    for name, page in site.items():
        loaded = [url for pair in re.findall(loading, page) for url in pair if url]
        assert loaded, name
        assert not [url for url in loaded if re.match(r"(https?:)?//", url)], name


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_a_block_is_right_as_far_as_can_be_seen(block: Block) -> None:
    check(block)


@pytest.mark.parametrize(
    "page", [pytest.param(page, marks=() if page.name in QUICK else pytest.mark.slow, id=page.name) for page in RUN]
)
def test_what_a_page_tells_to_do_can_be_done(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its blocks in their order, in a folder with little data."""
    follow([page], tmp_path, monkeypatch)


#: A reader's way through the pages, in one clone.
WAY = ("README", "tutorial", "your-own-ranker", "your-own-method", "alimama", "retraining", "abtest")


@pytest.mark.slow
def test_pages_can_be_followed_one_after_the_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No page's datasets and run folders stand in the way of another's."""
    pages = {page.stem: page for page in PAGES}
    follow([pages[name] for name in WAY], tmp_path, monkeypatch)


def follow(pages: list[Path], folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Do what the pages say, in one sandbox."""
    for name in [name for name in sys.modules if name.split(".")[0] == "examples"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", [str(folder), *sys.path])
    monkeypatch.setattr(RunConfig.__init__, "__defaults__", small_defaults())
    assert make_config([{"data": "any"}]).embedding_dim == 4
    sandbox = Sandbox(folder)
    for block in (block for page in pages for block in blocks(page)):
        sandbox.run(block)


def one_block(folder: Path, text: str) -> Block:
    page = folder / "page.md"
    page.write_text(text, encoding="utf-8")
    (block,) = (found for found in blocks(page) if found.language != "text")
    return block


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("```sh\nmail trian\n```", "`mail trian`: there is no command 'trian'."),
        ("```sh\nmail train --epoch 3\n```", "`mail train --epoch 3`: No such option '--epoch'."),
        ("```sh\nmail train --seed x\n```", "'x' is not a valid integer"),
        ("```sh\nmail train \\\n  --set epoch=3\n```", "unknown setting 'epoch'. Did you mean 'epochs'?"),
        ("```sh\nmail simulate alimama --users 5\n```", "without ['out']"),
        ("```sh\nmail run\n```", "without ['files']"),
        ("```sh\nmail describe a b\n```", "unexpected ['b']"),
        ("<!-- before: mail trian -->\n```sh\nmail models\n```", "`mail trian`"),
        ("<!-- not run: no network -->\n```sh\nmake dmeo\n```", "the Makefile has not all of ['dmeo']"),
        ("```sh\ndocker run x\n```", "cannot be run by a test. Say why: <!-- not run: REASON -->"),
        ("<!-- not run: no network -->\nText between.\n```sh\ndocker run x\n```", "Say why"),
        ("```bash\nls\n```", "the language is 'bash'"),
        ("```\nls\n```", "the language is ''"),
        ("```toml\na = 1\n```", "has no title"),
        ('```toml title="my.toml"\na = 1\n```', "no command of the page reads my.toml"),
    ],
)
def test_a_block_that_is_wrong_is_found(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(AssertionError, match=re.escape(told)):
        check(one_block(tmp_path, text))


def test_python_toml_and_json_with_faults_are_found(tmp_path: Path) -> None:
    with pytest.raises(SyntaxError):
        check(one_block(tmp_path, "```python\ndef f(:\n```"))
    with pytest.raises(ValueError, match="Invalid value"):
        check(one_block(tmp_path, '```toml title="x.toml"\na = \n```'))
    with pytest.raises(ValueError, match="Expecting value"):
        check(one_block(tmp_path, '```json\n{"a": }\n```'))
    with pytest.raises(ValueError, match="a block without an end"):
        one_block(tmp_path, "```sh\nls\n")


def test_a_command_that_fails_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "sandbox"
    folder.mkdir()
    monkeypatch.chdir(folder)
    sandbox = Sandbox(folder)
    with pytest.raises(AssertionError, match=r"page.md:1: `mail describe nothing`: Error: "):
        sandbox.run(one_block(tmp_path, "```sh\nmail describe nothing\n```"))
    with pytest.raises(ZeroDivisionError):
        sandbox.run(one_block(tmp_path, "```python\n1 / 0\n```"))
    (folder / "a.toml").touch()
    (folder / "b.toml").touch()
    with pytest.raises(AssertionError, match=r"Error: a.toml: 'title' is missing"):
        sandbox.run(one_block(tmp_path, "```sh\nmail run ?.toml\n```"))
    # What is not run is not run, but written where it has a title.
    sandbox.run(one_block(tmp_path, '<!-- not run: it is a test -->\n```python title="a/b.py"\n1 / 0\n```'))
    assert (folder / "a" / "b.py").read_text() == "1 / 0\n"


def test_a_file_of_the_examples_needs_no_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "examples" / "schemas").mkdir(parents=True)
    (tmp_path / "examples" / "schemas" / "mine.toml").write_text("a = 1\n", encoding="utf-8")
    monkeypatch.setattr("tests.helpers.documents.ROOT", tmp_path)
    check(one_block(tmp_path, "```toml\na = 1\n```"))
    with pytest.raises(AssertionError, match="has no title"):
        check(one_block(tmp_path, "```toml\na = 2\n```"))


def test_less_data_and_fewer_runs() -> None:
    assert smaller(["simulate", "alimama", "--users", "5000", "--seed", "9"]) == [
        *("simulate", "alimama", "--users", "150", "--seed", "9")
    ]
    assert smaller(["compare", "--seeds", "1"]) == ["compare", "--seeds", "1"]
    assert parse(["compare", "--seeds", "3"])["seeds"] == 3


def code_alone(code: str) -> str:
    """Python without docstrings, comments and layout."""
    tree = ast.parse(code)
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node) is not None:
            del node.body[0]
    return ast.unparse(tree)


@pytest.mark.parametrize(
    ("page", "example"), [("README.md", "last_behavior.py"), ("your-own-method.md", "typical_behavior.py")]
)
def test_the_code_of_a_page_is_the_examples(page: str, example: str) -> None:
    """The examples are run from their first line, by tests/test_plugins.py."""
    shown = [code_alone(block.code) for block in BLOCKS if block.page.name == page and block.language == "python"]
    assert code_alone((ROOT / "examples" / example).read_text(encoding="utf-8")) in shown


@pytest.fixture
def hooks() -> ModuleType:
    """docs/hooks.py, which MkDocs loads by its path."""
    spec = importlib.util.spec_from_file_location("hooks", ROOT / "docs" / "hooks.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_code_that_is_not_there_fails_the_build(hooks: ModuleType) -> None:
    shown = hooks.on_page_markdown("<!-- source: mailcli/metrics/auc.py relative_improvement -->")
    assert re.match(r'```python title="mailcli/metrics/auc.py, line \d+"\ndef relative_improvement\(', shown)
    assert shown.endswith("return (improved - baseline) / baseline * 100\n```")
    for name in ("nothing", "GroupAUC.nothing"):
        with pytest.raises(ValueError, match=f"mailcli/metrics/auc.py has no '{name}'"):
            hooks.on_page_markdown(f"<!-- source: mailcli/metrics/auc.py {name} -->")


def test_clicks_texts_are_not_markdown(hooks: ModuleType) -> None:
    @click.command()
    @click.option("--a-b", metavar="A|B", default=3, show_default=True, help="One of <x>, *y* and `z`_1.")
    def odd() -> None:
        """First_line.

        \b
        kept   as
        it     is
        """

    made = hooks.reference(click.Group("g", [odd]), "mail")
    assert made.splitlines() == [
        *("## mail odd", "", "First\\_line.", "", "```text", "kept   as", "it     is", "```", ""),
        *("```text", "mail odd [OPTIONS]", "```", "", "| option | meaning |", "|---|---|"),
        "| `--a-b A|B` | One of \\<x\\>, \\*y\\* and \\`z\\`\\_1.  \\[default: 3\\] |",
    ]
