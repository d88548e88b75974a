"""The options that choose a table's rows, format and columns, and its printing.

Nothing slow is imported here: `mail --help` reads this module.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from mailcli.cli._completion import offer, offer_list
from mailcli.errors import MailError, did_you_mean, quoted

if TYPE_CHECKING:
    from mailcli.reporting.tables import ResultTable
    from mailcli.reporting.text_table import TextTable

#: The table formats, which reporting/formats.py writes.
FORMS = ("table", "markdown", "csv", "latex", "json")
FORMAT = click.option(
    "--format",
    "form",
    metavar="NAME",
    default=FORMS[0],
    show_default=True,
    shell_complete=offer(lambda: FORMS),
    help=f"Format of the table: {quoted(FORMS)}.",
)


def column_names() -> list[str]:
    """What --columns takes."""
    from mailcli.reporting.columns import COLUMNS

    return list(COLUMNS)


#: The metrics with a column; reporting/columns.py says what each name stands for.
COLUMNS = click.option(
    "--columns",
    metavar="NAME,...",
    shell_complete=offer_list(column_names),
    help="Columns of the table: auc, gauc, logloss, ne, ece, parameters, seconds, scoring_us; CSV and JSON have all of "
    "them. [default: auc,gauc]",
)


def check_form(name: str, dry_run: bool = False) -> None:
    """Reject an unknown table format, or one for --dry-run, before anything is trained (MailError)."""
    if name not in FORMS:
        raise MailError(f"--format {name}: unknown format.{did_you_mean(name, FORMS)} Known: {quoted(FORMS)}.")
    if dry_run and name != FORMS[0]:
        raise MailError(f"--format {name}: --dry-run prints a list, not a table. Leave --format out.")


def check_columns(names: str | None, dry_run: bool = False) -> tuple[str, ...]:
    """The metrics that --columns names; an unknown one, or any with --dry-run, is rejected first of all (MailError)."""
    if dry_run and names is not None:
        raise MailError(f"--columns {names}: --dry-run prints a list, not a table. Leave --columns out.")
    from mailcli.reporting.columns import read_columns

    return read_columns(names)


def print_tables(tables: Sequence[ResultTable], form: str) -> None:
    """Print tables of results in a format that `check_form` accepts."""
    from mailcli.reporting.result_layout import lay_out_with_audit

    print_text_tables([text for table in tables for text in lay_out_with_audit(table)], form)


def print_text_tables(tables: TextTable | Sequence[TextTable], form: str) -> None:
    """Print one table, or several, in a format that `check_form` accepts."""
    from mailcli.reporting.formats import render

    click.echo(render(tables, form), nl=False)


def split_names(names: str) -> list[str]:
    """`"a, b"` -> `["a", "b"]`."""
    return [name.strip() for name in names.split(",")]
