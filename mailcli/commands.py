"""The commands on whole experiments: files of experiments/ in, tables out."""

from __future__ import annotations

from pathlib import Path

import click

from mailcli import plugins
from mailcli.errors import choices
from mailcli.options import CHECKPOINTS, DATA_DIR, FORMAT, JOBS, RUNS, check_form


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE...")
@click.option("--seeds", type=int, help="How many seeds, from 0. [default: the file's]")
@click.option("--data", metavar="NAME", help="Another dataset than the file's.")
@JOBS
@FORMAT
@CHECKPOINTS
@DATA_DIR
@RUNS
def run(
    files: tuple[Path, ...],
    seeds: int | None,
    data: str | None,
    jobs: int | None,
    form: str,
    minutes: float | None,
    data_dir: Path,
    runs: Path,
) -> None:
    """Make the runs of an experiment that are missing, and print its table.

    FILE is one of experiments/*.toml: a dataset, rows, seeds and settings. The dataset is made too if need be.
    Runs that are finished are reused, runs that were stopped go on.
    """
    check_form(form)
    from mailcli.errors import MailError
    from mailcli.matrix import make_rows
    from mailcli.plans import dataset_of, read_plan
    from mailcli.report import FORMATS
    from mailcli.store import find
    from mailcli.tables import make_table

    if seeds is not None and seeds < 1:
        raise MailError(f"--seeds is {seeds}. Expected 1 or more.")
    plans = [read_plan(path) for path in files]
    tables = []
    for plan in plans:
        store = find(data_dir, data) if data else dataset_of(plan, data_dir)
        configs, shared = plan.configs(store.name, store.history)
        folders = plan.folders(runs, shared)
        rows = make_rows(configs, range(seeds or plan.seeds), store, folders, minutes, jobs)
        tables.append(make_table(rows, plan.title_on(store.label), plan.reported))
    click.echo(FORMATS[form](tables), nl=False)


@click.command()
@click.argument("name", metavar="NAME")
@click.argument("folders", nargs=-1, type=click.Path(path_type=Path), metavar="[RUN ...]")
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("figures"), show_default=True, help="Folder of the figures."
)
@DATA_DIR
@RUNS
def plot(name: str, folders: tuple[Path, ...], out: Path, data_dir: Path, runs: Path) -> None:
    """Draw a figure of finished runs, as PNG and SVG."""
    plugins.check(plugins.PLOTS, name)
    import matplotlib as mpl

    from mailcli.figures import STYLE, runs_of, save

    chosen = runs_of(folders, runs)
    with mpl.rc_context(STYLE):
        figures = plugins.load(plugins.PLOTS, name)().draw(chosen, data_dir)
        for stem, figure in figures.items():
            for path in save(figure, out, stem):
                click.echo(path)


plot.help = f"""Draw a figure of finished runs, as PNG and SVG. NAME is {choices(plugins.names(plugins.PLOTS))}.

RUN is a run's folder or one that holds runs, by default all in --runs. They must be of one dataset and protocol.

\b
{chr(10).join(f"{name:10} {text}" for name, text in plugins.summaries(plugins.PLOTS).items())}
"""
