"""The last step of `mail ablate` and `mail compare`: train a table of the paper and print it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailcli.cli._begin import announce_work
from mailcli.cli._tables import print_tables
from mailcli.reporting.paper import REPORTED, is_papers_data

if TYPE_CHECKING:
    from mailcli.experiments.plan import PlannedTable


def print_paper_table(
    table: PlannedTable,
    title: str,
    form: str,
    columns: tuple[str, ...],
    checkpoint_minutes: float | None,
    jobs: int | None,
) -> None:
    """Train the runs that a table lacks and print it; on the paper's data, next to the paper's numbers.

    Args:
        table: what is to be trained.
        title: of the table.
        form: a format that `check_form` accepts.
        columns: the metrics that are shown.
        checkpoint_minutes: between two checkpoints of a training; None for the default.
        jobs: the value of --jobs.

    Raises:
        MailError: a run cannot be made.
        Interrupted: by Ctrl-C; what is done is kept.
    """
    from mailcli.experiments.matrix import make_rows
    from mailcli.reporting.tables import make_table

    announce_work([table], jobs)
    rows = make_rows(table.configs, table.seeds, table.dataset, table.folders, checkpoint_minutes, jobs)
    print_tables([make_table(rows, title, REPORTED, columns, is_papers_data(table.dataset, table.configs[0]))], form)
