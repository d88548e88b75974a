"""Commands as a user types them, in the test's own process."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import click
from click.testing import CliRunner, Result

from mailcli.cli import main

#: Settings of a run of a second.
SMALL = [
    *("--set", "epochs=1", "--set", "batch_size=256", "--set", "embedding_dim=8", "--set", "history=5"),
    *("--set", "ranker.units=16,8"),
]
#: The same for the cold-start method `mail`.
SMALL_MAIL = ["--set", "cold_start.encoder_units=16,16,16", "--set", "cold_start.decoder_units=16,16"]


def commands(group: click.Group, *path: str) -> Iterator[list[str]]:
    """All groups and commands, as typed."""
    yield list(path)
    for name, command in group.commands.items():
        yield from commands(command, *path, name) if isinstance(command, click.Group) else [[*path, name]]


#: `mail` itself is the first, without words.
COMMANDS = list(commands(main))


def typed(words: list[str]) -> str:
    """The name of a test: the command as typed."""
    return " ".join(["mail", *words])


def mail(*arguments: object) -> Result:
    """Run `mail` with these arguments."""
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def without_importing(
    modules: Iterable[str], *arguments: str, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run `mail` with these arguments in a process of its own, in which none of the modules may be imported."""
    code = (
        "import sys\nfrom mailcli.cli import main\n"
        f"try: main({list(arguments)!r})\n"
        f"finally: print(sorted({set(modules)!r} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=cwd, capture_output=True, text=True, check=False)
    assert done.stderr.splitlines()[-1:] == ["[]"], done.stderr
    assert "Traceback" not in done.stderr
    return done


def error_line(result: Result) -> str:
    """The error of a command that failed: one line, the last one, and no traceback."""
    assert result.exit_code == 2, (result.output, result.exception)
    lines = result.stderr.strip().splitlines()
    errors = [line for line in lines if line.startswith("Error: ")]
    assert errors == lines[-1:], "the error is one line, the last one"
    assert "Usage:" not in result.stderr
    assert "Traceback" not in result.output
    return errors[0].removeprefix("Error: ")
