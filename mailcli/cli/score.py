"""A file of impressions, scored."""

from __future__ import annotations

from pathlib import Path

import click

from mailcli.cli._options import DATA_DIR, THREADS


@click.command(short_help="Score a file of impressions by a finished run.")
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("file", type=click.Path(path_type=Path))
@click.option("-o", "--out", type=click.Path(path_type=Path), required=True, help="File to write, .csv or .parquet.")
@click.option(
    "--batch", type=click.IntRange(min=1), default=4096, show_default=True, metavar="N", help="Impressions at once."
)
@click.option(
    "--all-histories",
    is_flag=True,
    help="Use the behaviors of all users. [default: those whom the run drew as new have none, as in its test]",
)
@THREADS
@DATA_DIR
def score(run: Path, file: Path, out: Path, batch: int, all_histories: bool, data_dir: Path) -> None:
    """Score the impressions of FILE (CSV or Parquet) by a finished RUN, and write them with a column `score`.

    FILE has the columns user, item, time and the context fields, with values as in the dataset. An impression sees its
    user's behaviors in the dataset that are earlier than its time.
    """
    from mailcli.training.run_registry import open_run
    from mailcli.utils.tensorflow_startup import load_tensorflow

    opened = open_run(run)
    load_tensorflow()
    from mailcli.serving.score_file import score as write

    found = write(opened, file, out, data_dir, batch, all_histories)
    click.echo(
        f"{out}: {found.impressions:,} impressions, {found.new:,} of them without behavior. Unknown to the dataset: "
        f"the users of {found.unknown_users:,}, the items of {found.unknown_items:,}."
    )
