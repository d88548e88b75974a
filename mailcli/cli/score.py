"""`mail score`: the scores of a file of impressions."""

from __future__ import annotations

from pathlib import Path

import click

from mailcli.cli._completion import complete_runs
from mailcli.cli._options import DATA_DIR, TABLE_MEMORY, THREADS
from mailcli.cli._output import print_line
from mailcli.cli._types import PATH, path_option


@click.command(short_help="Score a file of impressions with a finished run.")
@click.argument("run", type=PATH, shell_complete=complete_runs)
@click.argument("file", type=PATH)
@path_option("-o", "--out", required=True, text="File to write, .csv or .parquet.")
@click.option(
    "--batch",
    type=click.IntRange(1, 10**8),
    default=4096,
    show_default=True,
    metavar="N",
    help="Impressions per batch.",
)
@click.option(
    "--all-histories",
    is_flag=True,
    help="Use the histories of all users. [default: users drawn as new have no history, as in the test split]",
)
@THREADS
@TABLE_MEMORY
@DATA_DIR
def score(run: Path, file: Path, out: Path, batch: int, all_histories: bool, data_dir: Path) -> None:
    """Score the impressions in FILE (CSV or Parquet) with a finished RUN, and write them with a column `score`.

    FILE has the columns user, item, time (seconds since 1970) and the context fields, with values as in the raw files;
    hours and weekdays are computed from the time. The history of an impression holds its user's behaviors in the
    dataset that are earlier than its time. The last line says how many values of which column are unknown.
    """
    from mailcli.runs.opening import open_run
    from mailcli.utils.tensorflow_startup import load_tensorflow

    finished_run = open_run(run)
    load_tensorflow()
    from mailcli.serving.score_file import score as write

    counts = write(finished_run, file, out, data_dir, batch, all_histories)
    print_line(f"{out}: {counts.text()}.")
