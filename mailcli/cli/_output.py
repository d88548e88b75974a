"""What commands print besides tables."""

from __future__ import annotations

import click

from mailcli.escape import terminal


def print_line(text: object) -> None:
    """Print one line to stdout; the names in it cannot change the terminal."""
    click.echo(terminal(text))
