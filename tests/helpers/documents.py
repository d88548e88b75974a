"""The README and the pages of docs/: their code blocks, and a sandbox folder in which the blocks of a page run in order.

Comments before a block, which readers do not see, hold what a test must know:

`<!-- not run: REASON -->`  the commands need something that tests lack (a network, a cluster, an hour): only parse them.
`<!-- before: COMMAND -->`  run this before the block: what the page takes for granted, such as a dataset.

A block with a title (```toml title="mydata.toml"`) is written to that file.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from glob import glob
from inspect import cleandoc
from pathlib import Path
from typing import Any

import click
import tomli_w
from click.testing import CliRunner

from mailcli.cli import main
from mailcli.config import RunConfig, make_config, parse_settings
from tests.helpers import grouplens

ROOT = Path(__file__).parent.parent.parent
#: Pages whose code blocks are checked and run.
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
#: Everything whose links and file names are checked.
DOCUMENTS = [*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]
#: Languages of blocks; `text` is output, which is not compared.
LANGUAGES = ("python", "toml", "json", "csv", "sh", "text")
#: Languages of the files that a page gives its reader.
FILES = ("toml", "csv")
#: Other commands than `mail` that blocks may use; harmless in a sandbox.
TOOLS = ("cat", "cp", "head", "ls", "mkdir")
#: The largest values of options in a sandbox: enough data and runs to show that a command works.
LIMITS = {"--users": 150, "--seeds": 1, "--trials": 2, "--bootstrap": 80}
#: The same in the files of experiments/.
EXPERIMENT_LIMITS = {"users": 150, "seeds": 1, "epochs": 1}
#: The rows of these files that are trained: a statistic, a ranker and two variants of MAIL. Every other row has its tests.
ROWS = ("item-bias", "BaseDNN", "MAIL-None", "MAIL-Base")
#: The same for `mail abtest`, which splits the users into two arms.
ABTEST_LIMITS = {"--users": 60}
#: Fewer than the items of such a small dataset.
CANDIDATES = ("--candidates", "50")
#: Small defaults for the settings that a page does not give.
SMALL = {"embedding_dim": 4, "epochs": 1}

_FENCE = re.compile(r"^(?P<indent> *)```(?P<language>\w*) *(?P<info>.*)$")
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
    """Why its commands are not run; None if they are."""

    def __str__(self) -> str:
        return f"{self.page.name}:{self.line}"

    @property
    def commands(self) -> list[list[str]]:
        """The words of each command of a shell block, without comments, continued lines joined."""
        return words_of(self.code)


def words_of(code: str) -> list[list[str]]:
    """The words of each line of shell code."""
    lines = code.replace("\\\n", " ").splitlines()
    return [words for line in lines if (words := shlex.split(line, comments=True))]


def blocks(page: Path) -> list[Block]:
    """The blocks of a page.

    Raises:
        ValueError: a block has no end.
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
                raise ValueError(f"{page}:{number}: the block has no end")
            title = _TITLE.search(fence["info"])
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
    """Find errors in a block without running it (AssertionError with its page and line)."""
    assert block.language in LANGUAGES, f"{block}: the language is '{block.language}'. Expected one of {LANGUAGES}"
    if block.language == "python":
        compile(block.code, str(block), "exec")
    if block.language == "toml":
        tomllib.loads(block.code)
    if block.language == "json":
        json.loads(block.code)
    if block.language in FILES and not _is_an_example(block):
        # The content of a file that no command reads would not be tested.
        commands = " ".join(code.code for code in blocks(block.page) if code.language in {"sh", "python"})
        assert block.title, f"{block}: has no title, so no command of the page can read it, and is not in examples/"
        assert block.title in commands, f"{block}: no command of the page reads {block.title}"
    if block.language == "sh":
        for words in [*block.commands, *words_of("\n".join(block.before))]:
            _check_command(block, words)


def _is_an_example(block: Block) -> bool:
    """Whether a block shows a file of examples/, which has its own test."""
    return any(
        block.code == path.read_text(encoding="utf-8") for path in (ROOT / "examples").rglob(f"*.{block.language}")
    )


def _check_command(block: Block, words: list[str]) -> None:
    if words[0] == "mail":
        try:
            parse(words[1:])
        except Exception as error:
            message = error.format_message() if isinstance(error, click.ClickException) else error
            raise AssertionError(f"{block}: `{shlex.join(words)}`: {message}") from error
    elif words[0] == "make":
        targets = re.findall(r"^(\w[\w-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        assert set(words[1:]) <= set(targets), f"{block}: the Makefile lacks some of {words[1:]}"
    if words[0] not in {"mail", *TOOLS}:
        assert block.reason, f"{block}: a test cannot run `{shlex.join(words)}`. Say why: <!-- not run: REASON -->"


def parse(words: list[str]) -> dict[str, Any]:
    """The values of a `mail` command line, by name, without calling callbacks (click.UsageError)."""
    if words[0] in {"--help", "--version"}:
        return {}
    if words[0] not in main.commands:
        raise click.UsageError(f"there is no command '{words[0]}'.")
    command: click.Command = main
    while isinstance(command, click.Group) and words and words[0] in command.commands:
        command, words = command.commands[words[0]], words[1:]
    context = click.Context(command, info_name=command.name)
    parsed, extra, _ = command.make_parser(context).parse_args(words)
    if extra:
        raise click.UsageError(f"unexpected {extra}")
    # Click marks missing options with a value of its own.
    texts = {
        name: value for name, value in parsed.items() if isinstance(value, (str, bool, list, tuple)) and value != ()
    }
    missing = [p.name for p in command.params if p.required and p.name not in texts]
    if missing and "help" not in texts:
        raise click.UsageError(f"missing {missing}")
    values = {p.name: p.type_cast_value(context, texts[p.name]) for p in command.params if p.name in texts}
    if "settings" in values:
        make_config([{"data": "any"}, parse_settings(values["settings"])])
    return values


class Sandbox:
    """A folder with small raw data and copies of examples/ and experiments/, in which a page's blocks run.

    Args:
        folder: an empty folder.
        is_followed: whether a command of a block is run, from its words.
    """

    def __init__(
        self, folder: Path, is_followed: Callable[[Block, list[str]], bool] = lambda block, words: True
    ) -> None:
        # No page reads the kept results, which are ten thousand files.
        ignored = shutil.ignore_patterns("__pycache__", "results")
        for name in ("examples", "experiments"):
            shutil.copytree(ROOT / name, folder / name, ignore=ignored)
        for pattern in ("*.toml", "tuned/*.toml"):
            for experiment in (folder / "experiments").glob(pattern):
                experiment.write_text(smaller_experiment(experiment.read_text(encoding="utf-8")), encoding="utf-8")
        grouplens.write(folder / "data" / "raw" / "ml-100k", users=40, ratings=20)
        self.folder, self._is_followed = folder, is_followed
        self.names: dict[str, Any] = {"__name__": "page"}

    def run(self, block: Block) -> None:
        """Write a titled block, execute Python, run commands. The current folder must be the sandbox."""
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
            for words in filter(partial(self._is_followed, block), block.commands):
                self._command(block, words)

    def _command(self, block: Block, words: list[str]) -> None:
        if words[0] in TOOLS:
            subprocess.run(words, cwd=self.folder, check=True, capture_output=True)
            return
        # Expand patterns, as a shell does.
        arguments = [path for word in words[1:] for path in (sorted(glob(word)) or [word])]
        result = CliRunner().invoke(main, smaller(arguments), catch_exceptions=True)
        if result.exception and not isinstance(result.exception, SystemExit):
            raise AssertionError(f"{block}: `{shlex.join(words)}` raised") from result.exception
        assert result.exit_code == 0, f"{block}: `{shlex.join(words)}`: {result.stderr}"


def smaller_experiment(text: str) -> str:
    """The same experiment with less data, shorter runs (EXPERIMENT_LIMITS) and, if it names them, only ROWS."""
    for key, value in EXPERIMENT_LIMITS.items():
        text = re.sub(rf"^{key} = \d+$", f"{key} = {value}", text, flags=re.MULTILINE)
    content = tomllib.loads(text)
    rows = [row for row in content["rows"] if row in ROWS]
    if not {"BaseDNN", "MAIL-Base"} <= set(map(str, rows)):
        return text
    against = [pair for pair in content.get("against", []) if set(pair) <= set(rows)]
    reported = {name: numbers for name, numbers in content.get("reported", {}).items() if name in rows}
    kept = {key: value for key, value in content.items() if key not in {"rows", "against", "reported"}}
    parts = {"rows": rows, "against": against, "reported": reported}
    return tomli_w.dumps(kept | {key: value for key, value in parts.items() if value})


def smaller(words: list[str]) -> list[str]:
    """The same command for less data and fewer runs (LIMITS)."""
    command, limits = list(words), LIMITS | (ABTEST_LIMITS if words[0] == "abtest" else {})
    for position, word in enumerate(words[:-1], start=1):
        if word in limits and words[position].isdigit():
            command[position] = str(min(int(words[position]), limits[word]))
    if words[0] == "abtest":
        command += [*CANDIDATES]
    return command


def small_defaults() -> tuple[Any, ...]:
    """The defaults of RunConfig's constructor, replaced by SMALL's where it has them."""
    names = list(RunConfig.__dataclass_fields__)[1:]
    return tuple(
        SMALL.get(name, default) for name, default in zip(names, RunConfig.__init__.__defaults__ or (), strict=True)
    )
