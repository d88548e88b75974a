"""One contract for every command; a new file is tested as soon as it is there."""

from __future__ import annotations

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
