"""`mail settings`: what `--set` takes."""

from __future__ import annotations

import click

from mailcli.cli._completion import offer, setting_names
from mailcli.cli._tables import FORMAT, check_form, print_text_tables


@click.command(short_help="List the settings of a run, with defaults and ranges.")
@click.argument("name", required=False, shell_complete=offer(setting_names))
@FORMAT
def settings(name: str | None, form: str) -> None:
    """List every setting of a run and every option of the rankers and cold-start methods: its default, its meaning and,
    in brackets, what it may be.

    NAME is a setting (`epochs`), an option (`ranker.units`, `units`), or a ranker or method (`dmr`, or
    package.module:Class for your own), for its options.
    """
    check_form(form)
    from mailcli.reporting.settings_table import settings_table
    from mailcli.settings.reference import all_settings
    from mailcli.settings.search import settings_named

    chosen = all_settings() if name is None else settings_named(name)
    print_text_tables(settings_table(chosen), form)
