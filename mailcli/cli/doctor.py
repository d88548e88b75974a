"""`mail doctor`: whether everything is well."""

from __future__ import annotations

from pathlib import Path

import click

from mailcli.cli._options import DATA_DIR, RUNS
from mailcli.cli._tables import FORMAT, check_form, print_text_tables


@click.command(short_help="Check the installation, machine, datasets and runs.")
@click.option(
    "--thorough",
    is_flag=True,
    help="Also import TensorFlow, read all values of the datasets, and compare the checksums of weights.",
)
@FORMAT
@DATA_DIR
@RUNS
@click.pass_context
def doctor(ctx: click.Context, thorough: bool, form: str, data_dir: Path, runs: Path) -> None:
    """Show versions, cores, memory, free disk space, datasets and runs, and what is broken and how to fix it.

    The exit code is 0 if all is well, and 1 if something is broken.
    """
    check_form(form)
    from mailcli.reporting.health import datasets, machine, software, table
    from mailcli.reporting.health import runs as run_health

    findings = [
        *software.software(thorough),
        *machine.machine(),
        *(machine.disk(folder) for folder in (data_dir, runs)),
        *datasets.datasets(data_dir, thorough),
        *run_health.runs(runs, data_dir, thorough),
    ]
    print_text_tables(table.health_table(findings), form)
    if any(finding.fault for finding in findings):
        ctx.exit(1)
