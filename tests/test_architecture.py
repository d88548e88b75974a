"""What the project promises about its own code: packages, imports, sizes, names and words, fast start-up."""

from __future__ import annotations

import ast
import io
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.command_line import COMMANDS, without_importing

PACKAGE = Path(__file__).parent.parent / "mailcli"
ROOT = PACKAGE.parent
MODULES = sorted(PACKAGE.rglob("*.py"))
#: Names that do not say what the value is; private ones (`_told`) count as well.
VAGUE_NAMES = {"each", "found", "told"}
#: The words are `behavior` and `dataset`; `store` may be a verb.
WRONG_WORDS = re.compile(
    r"behaviour|^\W*stores?\b|\bstore's\b"
    r"|\b(a|an|the|this|that|each|every|any|no|one|two|its|of|in|from|old|new|another|same) stores?\b",
    re.IGNORECASE,
)


def module_name(path: Path) -> str:
    """A module's path in the package, as the name of a test."""
    return str(path.relative_to(PACKAGE))


def test_the_top_holds_fifteen_packages_and_few_modules() -> None:
    packages = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert packages == {
        *("cli", "api", "experiments", "reporting", "serving", "training", "simulation"),
        *("runs", "settings", "models", "preprocessing", "data", "metrics", "trivial", "utils"),
    }
    assert len(list(PACKAGE.glob("[!_]*.py"))) <= 5


def contracts(tmp_path: Path, *planted: tuple[str, str]) -> subprocess.CompletedProcess[str]:
    """Check the import contracts of setup.cfg on a copy of the package with lines added to modules."""
    shutil.copytree(PACKAGE, tmp_path / "mailcli", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "setup.cfg", tmp_path)
    for module, line in planted:
        with open(tmp_path / "mailcli" / module, "a", encoding="utf-8") as file:
            file.write(line)
    command = [
        sys.executable,
        "-c",
        "from importlinter.cli import lint_imports_command; lint_imports_command()",
        "--no-cache",
    ]
    return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)


def test_the_import_contracts_are_kept(tmp_path: Path) -> None:
    done = contracts(tmp_path)
    assert done.returncode == 0, done.stdout
    assert "3 kept, 0 broken" in done.stdout


def test_planted_imports_break_the_contracts(tmp_path: Path) -> None:
    done = contracts(
        tmp_path,
        ("data/batches.py", "from mailcli.training import loop\n"),
        ("utils/files.py", "def f():\n    from mailcli.config import RunConfig\n"),
        ("models/rankers/din.py", "from mailcli.models.coldstart import mail\n"),
        ("metrics/auc.py", "from mailcli.metrics import statistics\n"),
    )
    assert done.returncode == 1
    for contract in ("Data flows one way", "Rankers and cold-start methods", "No cycles"):
        assert re.search(f"{contract}.* BROKEN", done.stdout), done.stdout
    for forbidden in (
        "mailcli.data is not allowed to import mailcli.training",
        "mailcli.utils is not allowed to import mailcli.config",
    ):
        assert forbidden in done.stdout, done.stdout


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_a_module_is_small(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 350


def test_the_median_module_is_small() -> None:
    assert statistics.median(len(path.read_text(encoding="utf-8").splitlines()) for path in MODULES) <= 120


def test_no_test_file_is_long_or_imports_from_another() -> None:
    long, importing = [], []
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        name = str(path.relative_to(ROOT))
        long += [name] if len(text.splitlines()) > 500 else []
        importing += (
            [name] if re.search(r"^\s*from tests[\w.]*(\.test_\w+ import| import test_)", text, re.MULTILINE) else []
        )
    assert (long, importing) == ([], [])


def bound_names(source: str) -> Iterator[tuple[int, str]]:
    """Line and name of all variables, attributes, arguments, functions and classes that the code defines."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()) | ast.arg(arg=name):
                yield node.lineno, name
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield node.lineno, name
            case ast.alias(asname=str(name)) | ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)):
                yield node.lineno, name
            case _:
                continue


def words(source: str) -> Iterator[tuple[int, str]]:
    """Line and text of all comments, docstrings and other strings."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value


def vague_names(source: str) -> list[str]:
    return [f"line {line}: {name}" for line, name in bound_names(source) if name.strip("_") in VAGUE_NAMES]


def wrong_words(source: str) -> list[str]:
    return [f"line {line}: {text}" for line, text in words(source) if WRONG_WORDS.search(text)]


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_names_say_what_the_value_is(path: Path) -> None:
    assert vague_names(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_one_word_for_one_thing(path: Path) -> None:
    assert wrong_words(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "source",
    [
        "each = 1",
        "self.found = 1",
        "x = [1 for each in y]",
        "if (found := f()): g()",
        "for n, (told, m) in x: pass",
        "def f(told): pass",
        "def f(*, each=1): pass",
        "f = lambda each: 1",
        "def _told(): pass",
        "class C:\n    found: int",
        "with f() as found: pass",
        "import x as found",
        "try: f()\nexcept E as told: pass",
    ],
)
def test_a_planted_name_is_noticed(source: str) -> None:
    assert len(vague_names(source)) == 1
    assert vague_names(source.replace("each", "row").replace("found", "rows").replace("told", "message")) == []


@pytest.mark.parametrize(
    "source",
    ["# a user's behaviour", '"""The store."""', "f('stores')", 'x = f"{y} of a store"', "def f():\n    'BEHAVIOUR'"],
)
def test_a_planted_word_is_noticed(source: str) -> None:
    assert len(wrong_words(source)) == 1
    assert wrong_words("# what stores behaviors, how to store them; stored\nstore_rejects = 'store_rejects'") == []


def test_no_help_imports_what_is_slow() -> None:
    """In one process: a module that one command imported would be seen at the next as well."""
    slow = {"tensorflow", "keras", "pandas", "numpy", "sklearn", "scipy", "rich", "duckdb", "pyarrow"}
    code = f"""
import sys
from mailcli.cli import main
for words in {COMMANDS!r}:
    try:
        main([*words, "--help"])
    except SystemExit as end:
        assert not end.code, words
    assert not {slow!r} & set(sys.modules), (words, {slow!r} & set(sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Usage:") == len(COMMANDS)


def test_describe_does_not_import_tensorflow(data_dir: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        done = without_importing(["tensorflow"], "describe", "--data-dir", str(data_dir), cwd=Path(folder))
    assert done.returncode == 0, done.stderr
    assert "tiny (simulated)" in done.stdout
