"""The commands on whole experiments: files of experiments/ in, tables out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from mailcli import plugins
from mailcli.errors import choices
from mailcli.options import CHECKPOINTS, DATA_DIR, FORMAT, JOBS, RANKER, RUNS, check_form, resolve, run_options, watched


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE...")
@click.option("--seeds", type=int, help="How many seeds, from 0. [default: the file's]")
@click.option("--data", metavar="NAME", help="Another dataset than the file's.")
@JOBS
@FORMAT
@CHECKPOINTS
@watched
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
@click.option("--cold-start", metavar="NAME", help="Cold-start method. [default: none]")
@click.option("--variant", metavar="NAME", help="MAIL's zero-shot tower. [default: base]")
@click.option("--seed", type=int, help="Of the runs, and of the search. [default: 0]")
@click.option(
    "--range",
    "ranges",
    multiple=True,
    metavar="KEY=VALUES",
    help="A setting to search: LOW..HIGH, log:LOW..HIGH, or A|B|C; repeatable.",
)
@click.option("--trials", type=click.IntRange(min=1), default=20, show_default=True, help="How many in all.")
@click.option(
    "--users", default="all", show_default=True, help="Whose validation AUC is to be largest: 'all', 'new', 'old'."
)
@click.option("--name", default="search", show_default=True, help="Of the search, a folder in RUNS/tune.")
@RANKER
@run_options
def tune(
    cold_start: str | None,
    variant: str | None,
    seed: int | None,
    ranges: tuple[str, ...],
    trials: int,
    users: str,
    name: str,
    data_dir: Path,
    runs: Path,
    minutes: float | None,
    **options: Any,
) -> None:
    """Search settings on the validation split with Optuna; the test split is not read.

    A search that was stopped goes on when the command is given again, and --trials can be raised.
    """
    from mailcli.tuning import Search, parse_ranges, search

    parsed = parse_ranges(ranges)
    config, store = resolve(data_dir, cold_start=cold_start, seed=seed, variant=variant, **options)
    found = search(Search(name, config, parsed, users), trials, store, runs, minutes)
    click.echo(f"{'trial':>5}  validation AUC ({users} users)  settings")
    for record in found[:10]:
        settings = " ".join(f"{key}={value}" for key, value in record.items() if key not in {"trial", "value"})
        click.echo(f"{record['trial']:>5}  {record['value']:<28.4f}  {settings}")
    best = " ".join(f"--set {key}={value}" for key, value in found[0].items() if key not in {"trial", "value"})
    click.echo(f"Best of {len(found)} on the validation split: {best}")


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
