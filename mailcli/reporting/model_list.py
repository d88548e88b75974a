"""`mail models`: what can be trained."""

from __future__ import annotations

from mailcli import plugins
from mailcli.reporting.listing import add_names, plain_table, print_text


def print_models() -> None:
    """Print all rankers, cold-start methods and trivial rows, each with a line that says what it is and its source."""
    table = plain_table("", "name", "what it is")
    for kind in (plugins.RANKERS, plugins.COLD_STARTS, plugins.TRIVIAL_ROWS):
        for number, (name, summary) in enumerate(plugins.summaries(kind).items()):
            add_names(table, kind.title if number == 0 else "", name, summary.rstrip("."))
        table.add_section()
    print_text(table)
