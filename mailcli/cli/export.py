"""A finished run as a SavedModel."""

from __future__ import annotations

from pathlib import Path

import click

from mailcli.cli._options import DATA_DIR, THREADS


@click.command(short_help="Write a finished run as a SavedModel.")
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("folder", type=click.Path(path_type=Path), metavar="DIR")
@click.option(
    "--with-users", is_flag=True, help="Put the users' attributes inside too, so that a request may give an id alone."
)
@THREADS
@DATA_DIR
def export(run: Path, folder: Path, with_users: bool, data_dir: Path) -> None:
    """Write a finished RUN as a SavedModel to the new folder DIR, for TensorFlow Serving.

    It takes raw values, also unknown ones, and histories of any length. It needs TensorFlow alone; DIR/README.md and
    DIR/signature.json tell its inputs, with a request to begin with.
    """
    from mailcli.training.run_registry import open_run
    from mailcli.utils.tensorflow_startup import load_tensorflow

    opened = open_run(run)
    load_tensorflow()
    from mailcli.serving.export import export as write

    told = write(opened, folder, data_dir, with_users)
    click.echo(f"{folder}: {told['cell']} on {told['dataset']}, signatures {', '.join(told['signatures'])}.")
