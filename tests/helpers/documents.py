"""The README and the pages of docs/: their code blocks, and a folder in which one page's blocks run in their order.

A page says what a test has to know in comments that readers do not see, before a block:

`<!-- not run: REASON -->`  its commands need what a test has not (a network, a cluster, an hour); they are parsed only.
`<!-- before: COMMAND -->`  run before the block: what a page takes for granted, such as a dataset.

A block with a title (```toml title="mydata.toml"`) is written to that file.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from glob import glob
from inspect import cleandoc
from pathlib import Path
from typing import Any

import click
from click.testing import CliRunner

from mailcli.cli import main
from mailcli.config import RunConfig, make_config, parse_settings
from tests.helpers import grouplens

ROOT = Path(__file__).parent.parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
#: Languages of blocks; `text` is output, and not compared.
LANGUAGES = ("python", "toml", "json", "csv", "sh", "text")
#: Files that a page gives its reader.
FILES = ("toml", "csv")
#: What blocks use besides `mail`; harmless in a folder of their own.
TOOLS = ("cat", "cp", "head", "ls", "mkdir")
#: As much data and as many runs as show that a command works: the most that an option may ask for.
MOST = {"--users": 150, "--seeds": 2, "--trials": 2, "--bootstrap": 40}
#: The same for `mail abtest`, whose two arms have users of their own.
ARM = {"--users": 60}
#: Fewer than the items of so little data.
CANDIDATES = ("--candidates", "50")
#: Settings that are small wherever a page does not give them.
SMALL = {"embedding_dim": 4, "epochs": 1}

_FENCE = re.compile(r"^(?P<indent> *)```(?P<language>\w*) *(?P<rest>.*)$")
_TITLE = re.compile(r'title="([^"]+)"')
_COMMENT = re.compile(r"^ *<!-- (not run|before): (.+) -->$")


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    page: Path
    line: int
    language: str
    title: str | None
    code: str
    before: tuple[str, ...]
    reason: str | None
    """Why its commands are not run; None where they are."""

    def __str__(self) -> str:
        return f"{self.page.name}:{self.line}"

    @property
    def commands(self) -> list[list[str]]:
        """The words of each command of a shell block, comments left out and continued lines joined."""
        return words_of(self.code)


def words_of(code: str) -> list[list[str]]:
    """The words of each line of shell code."""
    lines = code.replace("\\\n", " ").splitlines()
    return [words for line in lines if (words := shlex.split(line, comments=True))]


def blocks(page: Path) -> list[Block]:
    """A page's blocks.

    Raises:
        ValueError: one has no end.
    """
    return list(_blocks(page, enumerate(page.read_text(encoding="utf-8").splitlines(), start=1)))


def _blocks(page: Path, lines: Iterator[tuple[int, str]]) -> Iterator[Block]:
    comments: list[tuple[str, str]] = []
    for number, line in lines:
        fence = _FENCE.match(line)
        if fence:
            body = []
            for _, inner in lines:
                if inner == f"{fence['indent']}```":
                    break
                body.append(inner)
            else:
                raise ValueError(f"{page}:{number}: a block without an end")
            title = _TITLE.search(fence["rest"])
            before = tuple(text for kind, text in comments if kind == "before")
            reasons = [text for kind, text in comments if kind == "not run"]
            yield Block(
                page,
                number,
                fence["language"],
                title[1] if title else None,
                cleandoc("\n" + "\n".join(body)) + "\n",
                before,
                reasons[0] if reasons else None,
            )
        comment = _COMMENT.match(line)
        if comment:
            comments.append((comment[1], comment[2]))
        elif line.strip():
            comments = []


def check(block: Block) -> None:
    """Refuse a block that cannot be right, without running anything (AssertionError that names its place)."""
    assert block.language in LANGUAGES, f"{block}: the language is '{block.language}'. Expected one of {LANGUAGES}"
    if block.language == "python":
        compile(block.code, str(block), "exec")
    if block.language == "toml":
        tomllib.loads(block.code)
    if block.language == "json":
        json.loads(block.code)
    if block.language in FILES and not _is_an_example(block):
        # A plan, schema or table that no command reads could say anything.
        used = " ".join(other.code for other in blocks(block.page) if other.language in {"sh", "python"})
        assert block.title, f"{block}: has no title, so no command of the page can read it, and is no file of examples/"
        assert block.title in used, f"{block}: no command of the page reads {block.title}"
    if block.language == "sh":
        for words in [*block.commands, *words_of("\n".join(block.before))]:
            _check_command(block, words)


def _is_an_example(block: Block) -> bool:
    """Whether a block shows a file of examples/, which has a test of its own."""
    return any(
        block.code == path.read_text(encoding="utf-8") for path in (ROOT / "examples").rglob(f"*.{block.language}")
    )


def _check_command(block: Block, words: list[str]) -> None:
    if words[0] == "mail":
        try:
            parse(words[1:])
        except Exception as error:
            told = error.format_message() if isinstance(error, click.ClickException) else error
            raise AssertionError(f"{block}: `{shlex.join(words)}`: {told}") from error
    elif words[0] == "make":
        targets = re.findall(r"^(\w[\w-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        assert set(words[1:]) <= set(targets), f"{block}: the Makefile has not all of {words[1:]}"
    if words[0] not in {"mail", *TOOLS}:
        assert block.reason, (
            f"{block}: `{shlex.join(words)}` cannot be run by a test. Say why: <!-- not run: REASON -->"
        )


def parse(words: list[str]) -> dict[str, Any]:
    """The values of a `mail` command line, by name, its callbacks not called (click.UsageError)."""
    if words[0] in {"--help", "--version"}:
        return {}
    if words[0] not in main.commands:
        raise click.UsageError(f"there is no command '{words[0]}'.")
    command: click.Command = main
    while isinstance(command, click.Group) and words and words[0] in command.commands:
        command, words = command.commands[words[0]], words[1:]
    context = click.Context(command, info_name=command.name)
    found, extra, _ = command.make_parser(context).parse_args(words)
    if extra:
        raise click.UsageError(f"unexpected {extra}")
    # What is not given is there too, as a mark of Click's own.
    given = {
        name: value for name, value in found.items() if isinstance(value, (str, bool, list, tuple)) and value != ()
    }
    missing = [p.name for p in command.params if p.required and p.name not in given]
    if missing and "help" not in given:
        raise click.UsageError(f"without {missing}")
    values = {p.name: p.type_cast_value(context, given[p.name]) for p in command.params if p.name in given}
    if "settings" in values:
        make_config([{"data": "any"}, parse_settings(values["settings"])])
    return values


class Sandbox:
    """A folder with small raw data and copies of examples/ and experiments/, in which a page's blocks run."""

    def __init__(self, folder: Path) -> None:
        for name in ("examples", "experiments"):
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        for plan in (folder / "experiments").glob("*.toml"):
            text = plan.read_text(encoding="utf-8")
            for key in ("seeds", "users"):
                text = re.sub(rf"^{key} = \d+$", f"{key} = {MOST[f'--{key}']}", text, flags=re.MULTILINE)
            plan.write_text(text, encoding="utf-8")
        grouplens.write(folder / "data" / "raw" / "ml-100k", users=40, ratings=20)
        self.folder = folder
        self.names: dict[str, Any] = {"__name__": "page"}

    def run(self, block: Block) -> None:
        """Write a titled block, execute Python, run commands; the current folder must be the sandbox."""
        for words in words_of("\n".join(block.before)):
            self._command(block, words)
        if block.title:
            path = self.folder / block.title
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.code, encoding="utf-8")
        if block.reason is not None:
            return
        if block.language == "python":
            exec(compile(block.code, str(block), "exec"), self.names)
        if block.language == "sh":
            for words in block.commands:
                self._command(block, words)

    def _command(self, block: Block, words: list[str]) -> None:
        if words[0] in TOOLS:
            subprocess.run(words, cwd=self.folder, check=True, capture_output=True)
            return
        # As a shell does.
        given = [name for word in words[1:] for name in (sorted(glob(word)) or [word])]
        done = CliRunner().invoke(main, smaller(given), catch_exceptions=True)
        if done.exception and not isinstance(done.exception, SystemExit):
            raise AssertionError(f"{block}: `{shlex.join(words)}` raised") from done.exception
        assert done.exit_code == 0, f"{block}: `{shlex.join(words)}`: {done.stderr}"


def smaller(words: list[str]) -> list[str]:
    """The same command for less data and fewer runs (MOST)."""
    made, most = list(words), MOST | (ARM if words[0] == "abtest" else {})
    for place, word in enumerate(words[:-1]):
        if word in most and words[place + 1].isdigit():
            made[place + 1] = str(min(int(words[place + 1]), most[word]))
    if words[0] == "abtest":
        made += [*CANDIDATES]
    return made


def small_defaults() -> tuple[Any, ...]:
    """The defaults of RunConfig's constructor with SMALL's in their places."""
    names = list(RunConfig.__dataclass_fields__)[1:]
    return tuple(
        SMALL.get(name, default) for name, default in zip(names, RunConfig.__init__.__defaults__ or (), strict=True)
    )
