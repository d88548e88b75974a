"""`mail plot`: figures of finished runs."""

from __future__ import annotations

from pathlib import Path

import click

from mailcli import plugins
from mailcli.cli._completion import complete_runs, plugin_names
from mailcli.cli._options import DATA_DIR, RUNS
from mailcli.cli._output import check_output_folder, print_line
from mailcli.cli._types import PATH, path_option
from mailcli.errors import quoted


@click.command()
@click.argument("name", metavar="NAME", shell_complete=plugin_names(plugins.PLOTS))
@click.argument("folders", nargs=-1, type=PATH, metavar="[RUN ...]", shell_complete=complete_runs)
@path_option("--out", default="figures", text="Folder for the figures.")
@DATA_DIR
@RUNS
def plot(name: str, folders: tuple[Path, ...], out: Path, data_dir: Path, runs: Path) -> None:
    """Draw a figure of finished runs, as PNG and SVG."""
    plugins.check(plugins.PLOTS, name)
    check_output_folder("--out", out)
    import matplotlib as mpl

    from mailcli.reporting.plots._style import STYLE, save_figure
    from mailcli.reporting.rescore import distinct
    from mailcli.runs.origin import check_same_origin
    from mailcli.runs.selection import ranker_runs, runs_in

    named = [run for folder in folders for run in runs_in(folder, ranker_runs)]
    chosen = distinct(named if folders else ranker_runs(runs))
    check_same_origin(chosen)
    with mpl.rc_context(STYLE):
        figures = plugins.load(plugins.PLOTS, name)().draw(chosen, data_dir)
        for stem, figure in figures.items():
            for path in save_figure(figure, out, stem):
                print_line(path)


plot.help = f"""Draw a figure of finished runs, as PNG and SVG. NAME is {quoted(plugins.names(plugins.PLOTS))}.

RUN is the folder of a run, or a folder of runs; by default all runs in --runs. `nearness` and `tsne` need one run. All
must have the same protocol and share of new users and, except for `map`, the same dataset. Of a folder of runs, a
damaged run is skipped with a warning.

\b
{chr(10).join(f"{name:10} {text}" for name, text in plugins.summaries(plugins.PLOTS).items())}
"""
