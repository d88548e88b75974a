"""README.md, CONTRIBUTING.md and docs/: links, file names and code blocks; test_site.py has the built site."""

from __future__ import annotations

import ast
import configparser
import re
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from mailcli import plugins
from mailcli.cli import main
from mailcli.config import RunConfig, make_config
from mailcli.experiments.archive import archive_runs
from mailcli.experiments.experiment_file import read_experiment
from mailcli.models.features import Features
from mailcli.reporting.formats import render
from mailcli.reporting.result_layout import lay_out_with_audit
from tests.helpers.documents import (
    DOCUMENTS,
    PAGES,
    ROOT,
    Block,
    Sandbox,
    blocks,
    check,
    parse,
    small_defaults,
    smaller,
    smaller_experiment,
)

BLOCKS = [block for page in PAGES for block in blocks(page)]
#: Pages whose blocks run in seconds; those of the others train models.
QUICK = ("statistics.md",)
#: Pages with something to run.
RUNNABLE = [page for page in PAGES if any(block.page == page and block.reason is None for block in BLOCKS)]

LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
#: Files of the project that a page names.
NAMED = re.compile(r"(?<![\w/.-])((?:mailcli|experiments|benchmarks|examples|tests|docs)/[\w./-]+\.(?:py|toml|md))\b")
#: What stands in for a file to be written: mailcli/cli/NAME.py.
PLACEHOLDER = "NAME"
#: Names and the module that defines them: "`auc`, `gauc`, mailcli/metrics/auc.py", or "mailcli/config.py (`RunConfig`)".
DEFINED = re.compile(r"((?:`[\w.]+`, )+)(mailcli/[\w./]+\.py)|(mailcli/[\w./]+\.py) \(((?:`[\w.]+`(?:, )?)+)\)")


def prose(page: Path) -> str:
    """A page without its blocks."""
    return re.sub(r"^ *```.*?^ *```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub and MkDocs give to a page's headings; those of the commands are added at build time."""
    slugs = {
        re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in HEADING.findall(prose(page))
    }
    return slugs | ({f"mail-{name}" for name in main.commands} if page.name == "commands.md" else set())


@pytest.mark.parametrize("page", DOCUMENTS, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in LINK.findall(prose(page)):
        if re.match(r"https?://", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{page.name} links to {link}: there is no {target}"
        if anchor:
            assert anchor in anchors(target), f"{page.name} links to {link}: {sorted(anchors(target))}"


@pytest.mark.parametrize("page", DOCUMENTS, ids=lambda page: page.name)
def test_files_that_are_named_exist(page: Path) -> None:
    paths = {path for path in NAMED.findall(page.read_text(encoding="utf-8")) if PLACEHOLDER not in path}
    # As `mail --help` has it.
    assert not {path for path in paths - {"experiments/FILE.toml"} if not (ROOT / path).exists()}


@pytest.mark.parametrize("page", DOCUMENTS, ids=lambda page: page.name)
def test_names_are_defined_in_the_module_next_to_them(page: Path) -> None:
    missing = [
        (path, name)
        for before, path_after, path_before, after in DEFINED.findall(page.read_text(encoding="utf-8"))
        for path in (path_after or path_before,)
        for name in re.findall(r"[\w.]+", before or after)
        if name not in definitions(ROOT / path)
    ]
    assert missing == []


def definitions(module: Path) -> set[str]:
    """Names of the classes, functions and constants of a module, methods as `Class.method`."""
    names = set()
    for node in ast.parse(module.read_text(encoding="utf-8")).body:
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
            names.add(node.name)
        if isinstance(node, ast.ClassDef):
            names |= {f"{node.name}.{method.name}" for method in node.body if isinstance(method, ast.FunctionDef)}
        if isinstance(node, ast.Assign):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return names


def test_equations_and_contributing_name_where_things_are() -> None:
    """Enough names are checked by the test above."""
    counts = {page.name: len(DEFINED.findall(page.read_text(encoding="utf-8"))) for page in DOCUMENTS}
    assert counts["equations.md"] >= 10
    assert counts["CONTRIBUTING.md"] >= 8


def test_contributing_says_how_to_add_each_kind_of_plugin() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    for kind in (
        plugins.RANKERS,
        plugins.COLD_STARTS,
        plugins.SOURCES,
        plugins.ENGINES,
        plugins.PLOTS,
        plugins.TRIVIAL_ROWS,
    ):
        folder = kind.package.replace(".", "/")
        assert f"| mailcli/{folder}/{PLACEHOLDER}.py | class `{kind.class_name}`" in text, kind.title


def test_the_packages_are_those_of_the_import_contracts() -> None:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    layers = setup["importlinter:contract:flow"]["layers"].split("\n")[1:]
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    block = _between(text, "## Packages and import contracts", "\n```\n")
    assert [re.split(r"  +", line)[0] for line in block.splitlines()[-len(layers) :]] == layers


def test_the_page_of_methods_has_all_with_their_sources() -> None:
    """As `mail models` has them."""
    page = (ROOT / "docs" / "methods.md").read_text(encoding="utf-8")
    for kind, heading in ((plugins.COLD_STARTS, "\n## Cold-start methods"), (plugins.RANKERS, "\n## Rankers\n")):
        table = re.findall(r"^\| `([\w-]+)` \|.*\| (.*) \|$", _between(page, heading, "\n## "), re.MULTILINE)
        summaries = plugins.summaries(kind)
        assert sorted(name for name, _ in table) == sorted(summaries)
        for name, source in table:
            cited = re.search(r"\(([^()]+)\)\.?$", summaries[name])
            assert cited is None or cited[1] in source, name
    methods, rankers = len(plugins.names(plugins.COLD_STARTS)) - 1, len(plugins.names(plugins.RANKERS))
    assert f"[{rankers} rankers and {methods} cold-start methods]" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_rows_of_tables_are_those_of_the_readme_and_the_tutorial() -> None:
    """So that numbers that are measured again are replaced everywhere."""
    compared = {"README.md", "tutorial.md"}
    known = [line for page in PAGES if page.name in compared for line in page.read_text(encoding="utf-8").splitlines()]
    rows = [
        (page.name, line.rstrip())
        for page in PAGES
        for line in page.read_text(encoding="utf-8").splitlines()
        # The captures are of other data.
        if "│" in line and "±" in line and page.name not in {*compared, "terminal.md"}
    ]
    assert len(rows) == 2
    assert not [row for row in rows if not any(line.startswith(row[1].rstrip(" │")) for line in known)]


def kept_tables(name: str, folder: Path) -> list[str]:
    """The lines that `mail run` prints of an experiment whose runs are kept; `mail results` shows the same."""
    experiment = read_experiment(ROOT / "experiments" / name)
    rows, runs = archive_runs(experiment, folder / "no runs", ROOT / "experiments" / "results")
    tables = experiment.tables(rows, (runs[0].result or {})["dataset"])
    return render([text for table in tables for text in lay_out_with_audit(table)], "table").splitlines()


def text_block(page: str, start: str) -> list[str]:
    """The lines of a page's block that begins with a text."""
    (block,) = (block for block in BLOCKS if block.page.name == page and block.code.startswith(start))
    return [line.rstrip() for line in block.code.splitlines()]


def test_the_readmes_table_of_new_users_is_that_of_the_kept_runs(tmp_path: Path) -> None:
    printed = [line.rstrip() for line in kept_tables("tuned/table2-ml-100k-strict.toml", tmp_path)]
    lines = text_block("README.md", "MAIL Table 2 on MovieLens-100K, protocol strict, tuned")
    assert lines == printed[: len(lines)]
    assert len([line for line in lines if "±" in line]) == 15


def test_the_demo_on_the_pages_is_what_the_kept_runs_print(tmp_path: Path) -> None:
    """Its runs are some of table 3's: the table with its first notes, and the audit without those on its columns."""
    printed = [line.rstrip() for line in kept_tables("demo.toml", tmp_path)]
    begin = text_block("README.md", "A trivial row, BaseDNN and MAIL-Base")
    assert begin == printed[: len(begin)]
    assert len([line for line in begin if "±" in line]) == 3
    table = text_block("tutorial.md", "A trivial row, BaseDNN and MAIL-Base")
    assert table == printed[: len(table)]
    assert table[-1].startswith("best epoch by validation AUC: ")
    audit = text_block("tutorial.md", "Audit of v̂")
    assert [line for line in printed[printed.index("") :] if line in audit] == audit


def test_what_simulate_prints_is_what_two_pages_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    commands, outputs = [], []
    for page in ("README.md", "alimama.md"):
        of_page = [block for block in BLOCKS if block.page.name == page]
        shell = [words for block in of_page if block.language == "sh" for words in block.commands]
        commands += [words for words in shell if words[:2] == ["mail", "simulate"]]
        outputs += [block.code for block in of_page if block.language == "text" and "Best possible AUC" in block.code]
    assert commands[0] == commands[1]
    assert outputs == 2 * [CliRunner().invoke(main, commands[0][1:]).stdout]


def test_every_command_in_the_prose_is_one() -> None:
    """`mail train --devices N` is incomplete and not run, but the command and its options exist."""
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
            options = set(re.findall(r"(?<!\S)--?[a-z][\w-]*|(?<=\[)--[a-z][\w-]*", words))
            if command is main or options - known:
                wrong.append((page.name, words, options - known))
    assert wrong == []


def test_the_page_of_commands_says_which_share_options() -> None:
    text = " ".join((ROOT / "docs" / "commands.md").read_text(encoding="utf-8").split())
    takes = {
        name: {option for parameter in command.params for option in parameter.opts}
        for name, command in main.commands.items()
    }
    verbosity = {"-v", "--verbose", "-q", "--quiet", "--debug"}
    assert "Every command takes `-v` (`--verbose`) for details and `-q` (`--quiet`)" in text
    training = ["train", "ablate", "compare", "tune"]
    shared = set.intersection(*(takes[name] for name in training)) - verbosity
    assert set(re.findall(r"--[\w-]+", _between(text, "of these options", ". `mail ablate"))) == takes["run"] & shared
    listed = _between(text, "`mail train`, `ablate`, `compare` and `tune` share ", ". `mail run`")
    assert set(re.findall(r"--[\w-]+", listed)) == shared
    for option in ("--format", "--jobs"):
        commands = sorted(name for name in takes if option in takes[name])
        sentence = f"`mail {'`, `'.join(commands[:-1])}` and `{commands[-1]}` take `{option}"
        assert sentence in text, option


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
    commands = re.findall(r"^make (.+)$", (ROOT / ".ci" / "run").read_text(encoding="utf-8"), re.MULTILINE)
    targets = [word for command in commands for word in command.split() if not word.startswith("-")]
    assert sorted(targets) == ["check", "test", "test-docs"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_line_becomes_a_heading_by_chance(page: Path) -> None:
    assert re.findall(r"^#+[^# ].*$", prose(page), re.MULTILINE) == []


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_a_block_is_right_as_far_as_can_be_seen(block: Block) -> None:
    check(block)


#: The orders in which a reader may follow pages in one clone, by the dataset that they use.
READING_ORDERS = {
    "alimama": ("README", "alimama", "retraining", "abtest"),
    "ml-100k": ("README", "tutorial", "your-own-ranker", "your-own-method"),
}
#: The README's long commands that are left to the other order.
LEFT_OUT = {"alimama": {"run"}, "ml-100k": {"ablate", "compare"}}
IN_AN_ORDER = {name for names in READING_ORDERS.values() for name in names}


def marks(page: Path) -> list[pytest.MarkDecorator]:
    """CI follows the pages of READING_ORDERS in one clone, and not once more each by itself."""
    slow = [] if page.name in QUICK else [pytest.mark.slow]
    return [*slow, pytest.mark.alone] if page.stem in IN_AN_ORDER else slow


def test_every_command_of_the_readme_is_in_an_order() -> None:
    """What one order leaves out, the other runs; and all of it is typed there."""
    assert set.intersection(*LEFT_OUT.values()) == set()
    shell = [block for block in BLOCKS if block.page.name == "README.md" and block.language == "sh"]
    typed = {words[1] for block in shell for words in block.commands if words[0] == "mail"}
    assert set.union(*LEFT_OUT.values()) <= typed


def follow_in_order(dataset: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the pages of one of READING_ORDERS in one sandbox."""

    def is_followed(block: Block, words: list[str]) -> bool:
        return block.page.stem != "README" or not LEFT_OUT[dataset] & set(words[1:2])

    pages = {page.stem: page for page in PAGES}
    follow([pages[name] for name in READING_ORDERS[dataset]], folder, monkeypatch, is_followed)


# The two long tests are the first and the last of the slow ones, so that two processes have one each.
@pytest.mark.slow
def test_pages_about_alimama_can_be_followed_one_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No page's datasets and run folders conflict with another's."""
    follow_in_order("alimama", tmp_path, monkeypatch)


@pytest.mark.parametrize("page", [pytest.param(page, marks=marks(page), id=page.name) for page in RUNNABLE])
def test_what_a_page_tells_to_do_can_be_done(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All blocks in order, in a folder with little data."""
    follow([page], tmp_path, monkeypatch)


@pytest.mark.slow
def test_pages_about_ml_100k_can_be_followed_one_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No page's datasets and run folders conflict with another's."""
    follow_in_order("ml-100k", tmp_path, monkeypatch)


def follow(
    pages: list[Path],
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    is_followed: Callable[[Block, list[str]], bool] = lambda block, words: True,
) -> None:
    """Run all blocks of the pages in one sandbox, or those of their commands that are followed."""
    for name in [name for name in sys.modules if name.split(".")[0] == "examples"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", [str(folder), *sys.path])
    monkeypatch.setattr(RunConfig.__init__, "__defaults__", small_defaults())
    assert make_config([{"data": "any"}]).embedding_dim == 4
    sandbox = Sandbox(folder, is_followed)
    for block in (block for page in pages for block in blocks(page)):
        sandbox.run(block)


def one_block(folder: Path, text: str) -> Block:
    page = folder / "page.md"
    page.write_text(text, encoding="utf-8")
    (block,) = (block for block in blocks(page) if block.language != "text")
    return block


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("```sh\nmail trian\n```", "`mail trian`: there is no command 'trian'."),
        ("```sh\nmail train --epoch 3\n```", "`mail train --epoch 3`: No such option '--epoch'."),
        ("```sh\nmail train --seed x\n```", "'x' is not a valid integer"),
        ("```sh\nmail train \\\n  --set epoch=3\n```", "unknown setting 'epoch'. Did you mean 'epochs'?"),
        ("```sh\nmail simulate alimama --out x\n```", "missing ['users']"),
        ("```sh\nmail run\n```", "missing ['files']"),
        ("```sh\nmail describe a b\n```", "unexpected ['b']"),
        ("<!-- before: mail trian -->\n```sh\nmail models\n```", "`mail trian`"),
        ("<!-- not run: no network -->\n```sh\nmake dmeo\n```", "the Makefile lacks some of ['dmeo']"),
        ("```sh\ndocker run x\n```", "a test cannot run `docker run x`. Say why: <!-- not run: REASON -->"),
        ("<!-- not run: no network -->\nText between.\n```sh\ndocker run x\n```", "Say why"),
        ("```bash\nls\n```", "the language is 'bash'"),
        ("```\nls\n```", "the language is ''"),
        ("```toml\na = 1\n```", "has no title"),
        ('```toml title="my.toml"\na = 1\n```', "no command of the page reads my.toml"),
    ],
)
def test_a_block_that_is_wrong_is_found(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(AssertionError, match=re.escape(message)):
        check(one_block(tmp_path, text))


def test_python_toml_and_json_with_faults_are_found(tmp_path: Path) -> None:
    with pytest.raises(SyntaxError):
        check(one_block(tmp_path, "```python\ndef f(:\n```"))
    with pytest.raises(ValueError, match="Invalid value"):
        check(one_block(tmp_path, '```toml title="x.toml"\na = \n```'))
    with pytest.raises(ValueError, match="Expecting value"):
        check(one_block(tmp_path, '```json\n{"a": }\n```'))
    with pytest.raises(ValueError, match="the block has no end"):
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
    # A block that is not run is still written if it has a title.
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
    assert smaller(["compare", "--seeds", "3"]) == ["compare", "--seeds", "1"]
    assert parse(["compare", "--seeds", "3"])["seeds"] == 3


def test_experiments_keep_the_rows_that_a_page_needs() -> None:
    experiment = (
        'rows = ["item-rate", "BaseDNN", "MAIL-Base", "DMR"]\nagainst = [["MAIL-Base", "DMR"], ["MAIL-Base", "BaseDNN"]]\n'
        "seeds = 3\n[settings]\nepochs = 20\n[reported.DMR.new]\nAUC = 0.6\n"
    )
    assert tomllib.loads(smaller_experiment(experiment)) == {
        "rows": ["BaseDNN", "MAIL-Base"],
        "against": [["MAIL-Base", "BaseDNN"]],
        "seeds": 1,
        "settings": {"epochs": 1},
    }
    # Of other rows, all are trained.
    assert smaller_experiment('rows = ["BaseDNN", {row = "MAIL-Base"}]') == 'rows = ["BaseDNN", {row = "MAIL-Base"}]'


def bare_code(code: str) -> str:
    """Python code without docstrings, comments and layout."""
    tree = ast.parse(code)
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node) is not None:
            del node.body[0]
    return ast.unparse(tree)


@pytest.mark.parametrize(
    ("page", "example"), [("your-own-ranker.md", "last_behavior.py"), ("your-own-method.md", "typical_behavior.py")]
)
def test_the_code_of_a_page_is_the_examples(page: str, example: str) -> None:
    """tests/test_plugins.py runs the examples by the command in their first line."""
    codes = [bare_code(block.code) for block in BLOCKS if block.page.name == page and block.language == "python"]
    assert bare_code((ROOT / "examples" / example).read_text(encoding="utf-8")) in codes
