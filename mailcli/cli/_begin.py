"""What commands that train tables do before they begin: the estimate, and with --dry-run only that."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from mailcli.cli._output import print_line

if TYPE_CHECKING:
    from mailcli.experiments.plan import PlannedTable

DRY_RUN = click.option(
    "--dry-run",
    is_flag=True,
    help="Do not train: print which runs are finished and which are missing, and how much time, "
    "memory and disk the missing ones take at most.",
)


def print_plan(titles: Sequence[str], tables: Sequence[PlannedTable], jobs: int | None) -> None:
    """What --dry-run prints: the runs of some tables, and what the missing ones take.

    Args:
        titles: of the tables.
        tables: what they need.
        jobs: the value of --jobs.

    Raises:
        MailError: a run cannot be made.
        Interrupted: by Ctrl-C.
    """
    from mailcli.experiments.dry_run import describe

    for line in describe(titles, tables, jobs):
        print_line(line)


def announce_work(tables: Sequence[PlannedTable], jobs: int | None) -> None:
    """Say on stderr how long the work takes, if it is large; make its dataset the default, unless it is of a grid.

    Args:
        tables: what is to be trained.
        jobs: the value of --jobs.

    Raises:
        MailError: a run cannot be made.
        Interrupted: by Ctrl-C.
    """
    from mailcli.data.last_used import remember
    from mailcli.experiments.estimate import announce

    announce(tables, jobs)
    for table in tables:
        if not table.grid:
            remember(table.dataset)
