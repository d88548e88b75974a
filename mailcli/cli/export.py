"""`mail export`: a finished run as a SavedModel."""

from __future__ import annotations

from pathlib import Path

import click

from mailcli.cli._completion import complete_runs
from mailcli.cli._options import DATA_DIR, THREADS
from mailcli.cli._output import print_line
from mailcli.cli._types import PATH


@click.command(short_help="Export a finished run as a SavedModel.")
@click.argument("run", type=PATH, shell_complete=complete_runs)
@click.argument("folder", type=PATH, metavar="DIR")
@click.option(
    "--with-users", is_flag=True, help="Include the users' attributes, so that a request may name a user by id only."
)
@THREADS
@DATA_DIR
def export(run: Path, folder: Path, with_users: bool, data_dir: Path) -> None:
    """Export a finished RUN to the new folder DIR, for TensorFlow Serving: its SavedModel is DIR/1.

    The model takes raw values, including unknown ones, and histories of any length. It needs only TensorFlow;
    DIR/README.md and DIR/signature.json describe its inputs, with an example request.
    """
    from mailcli.runs.opening import open_run
    from mailcli.utils.tensorflow_startup import load_tensorflow

    finished_run = open_run(run)
    load_tensorflow()
    from mailcli.serving.export import export as write

    signature = write(finished_run, folder, data_dir, with_users)
    names = ", ".join(signature["signatures"])
    print_line(f"{folder}: {signature['cell']} on {signature['dataset']}, signatures {names}.")
