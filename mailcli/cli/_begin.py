"""What commands that train tables do before they begin: the estimate, and with --dry-run only that."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from mailcli.cli._output import print_line

if TYPE_CHECKING:
    from mailcli.experiments.estimate import PlannedTable

DRY_RUN = click.option(
    "--dry-run",
    is_flag=True,
    help="Do not train: print which runs are finished and which are missing, and how much time, "
    "memory and disk the missing ones take at most.",
)


def only_planned(titles: Sequence[str], tables: Sequence[PlannedTable], jobs: int | None, dry_run: bool) -> bool:
    """Print or log what the missing runs of some tables take; returns whether --dry-run asked for nothing else.

    Otherwise their dataset becomes the default, unless it is one of many that a grid has.

    Args:
        titles: of the tables.
        tables: what they need.
        jobs: the value of --jobs.
        dry_run: the value of --dry-run: everything is listed on stdout; otherwise large work is estimated on stderr.

    Raises:
        MailError: a run cannot be made.
        Interrupted: by Ctrl-C.
    """
    from mailcli.data.last_used import remember
    from mailcli.experiments.dry_run import describe
    from mailcli.experiments.estimate import announce

    if dry_run:
        for line in describe(titles, tables, jobs):
            print_line(line)
    else:
        announce(tables, jobs)
        for table in tables:
            if not table.grid:
                remember(table.dataset)
    return dry_run
