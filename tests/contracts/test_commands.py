"""One contract for every command; a new file is tested as soon as it is there."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

import mailcli.cli

NAMES = sorted(path.stem for path in Path(mailcli.cli.__file__).parent.glob("[!_]*.py"))


def test_every_file_is_a_command() -> None:
    assert sorted(mailcli.cli.main.commands) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_every_command_and_option_is_explained(name: str) -> None:
    command = mailcli.cli.main.commands[name]
    commands = [command, *(command.commands.values() if isinstance(command, click.Group) else ())]
    for part in commands:
        assert part.help, part.name
        assert part.get_short_help_str(limit=80).endswith("."), f"mail --help cuts the line of {part.name}"
        assert all(option.help for option in part.params if isinstance(option, click.Option)), part.name


@pytest.mark.parametrize("name", NAMES)
def test_every_command_prints_names_so_that_a_terminal_does_not_obey_them(name: str) -> None:
    text = (Path(mailcli.cli.__file__).parent / f"{name}.py").read_text(encoding="utf-8")
    # The proposal of `mail schema init` is TOML, whose strings are escaped already.
    assert [line.strip() for line in text.splitlines() if re.search(r"\b(echo|print|secho)\(|std(out|err)", line)] == (
        ["click.echo(text, nl=False)"] if name == "schema" else []
    )
