"""Plain tables of names and texts, printed with Rich: what `mail describe` and `mail models` show."""

from __future__ import annotations

import click
from rich.console import Console, RenderableType
from rich.table import Table

from mailcli.escape import terminal

#: Columns of a terminal table that is piped or redirected (ours: wide enough for every table).
_PIPE_WIDTH = 160
#: Columns of text; all others hold numbers.
_LEFT_ALIGNED = {"note", "group", "vocabulary", "name", "what it is"}


def plain_table(*columns: str) -> Table:
    """An empty table with these columns, without a frame."""
    table = Table(show_edge=False, pad_edge=False)
    for number, name in enumerate(columns):
        table.add_column(name, justify="left" if number == 0 or name in _LEFT_ALIGNED else "right")
    return table


def add_names(table: Table, *cells: str) -> None:
    """Add a row with names that a user chose."""
    table.add_row(*map(terminal, cells))


def print_text(text: RenderableType) -> None:
    """Print to stdout; in a pipe as wide as `_PIPE_WIDTH`."""
    console = Console(highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console.width = _PIPE_WIDTH
    with console.capture() as captured:
        console.print(text)
    # Rich would end the process without a word if the program that reads stdout has ended.
    click.echo(captured.get(), nl=False)
