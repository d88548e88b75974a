"""`mail report`: results as one page to look at and to send."""

from __future__ import annotations

from pathlib import Path

import click

from mailcli.cli._completion import complete_runs
from mailcli.cli._known import parse_known
from mailcli.cli._options import DATA_DIR, OF_EXPERIMENT, RUNS, TABLE_MEMORY, THREADS
from mailcli.cli._output import check_output, print_line
from mailcli.cli._tables import COLUMNS, check_columns
from mailcli.cli._types import PATH, path_option

#: Bytes at the beginning of a page that hold the name of its generator (ours).
_HEAD_BYTES = 2048


@click.command(short_help="Write finished runs as one page of HTML.")
@click.argument("sources", nargs=-1, type=PATH, metavar="[FILE|RUN ...]", shell_complete=complete_runs)
@path_option("-o", "--out", default="report.html", text="File to write.")
@click.option(
    "--known",
    metavar="N,...",
    help="Also measure AUC and GAUC of the new users with only their last N behaviors given back, e.g. 0,1,2,5,10,30. "
    "This scores the test split again.",
)
@THREADS
@TABLE_MEMORY
@COLUMNS
@OF_EXPERIMENT
@DATA_DIR
@RUNS
def report(
    sources: tuple[Path, ...],
    out: Path,
    known: str | None,
    columns: str | None,
    seeds: int | None,
    data: str | None,
    data_dir: Path,
    runs: Path,
) -> None:
    """Write finished runs as one page of HTML: tables to sort, figures, audits, costs, settings and versions.

    FILE is one of experiments/*.toml, whose runs in --runs are finished. RUN is a run's folder, or one that holds
    runs. By default, the page shows all finished runs in --runs. The page is self-contained.
    """
    metric_columns = check_columns(columns)
    from mailcli.experiments.html_report import ReportOptions, make_report
    from mailcli.reporting.report.page import render_page
    from mailcli.utils.files import replace_file

    known_counts = parse_known(known) if known is not None else ()
    check_output("--out", out, "a page of `mail report`", "report.html", sources, _is_page)
    page = render_page(make_report(sources, ReportOptions(runs, data_dir, metric_columns, known_counts, data, seeds)))
    with replace_file(out) as partial:
        partial.write_text(page, encoding="utf-8")
    print_line(out)


def _is_page(path: Path) -> bool:
    """Whether a file begins as `render_page` does; it may be large."""
    with open(path, "rb") as file:
        return b'<meta name="generator" content="mail ' in file.read(_HEAD_BYTES)
