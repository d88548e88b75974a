"""The console script `mail`: thin commands; what is slow to import is imported where it is used."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from mailcli import __version__, plugins
from mailcli.commands import plot, run, tune
from mailcli.config import VARIANTS, RunConfig
from mailcli.errors import MailError, choices, nearest
from mailcli.options import (
    DATA_DIR,
    FORMAT,
    JOBS,
    RANKER,
    RUNS,
    SEEDS,
    SHARE,
    THREADS,
    check_form,
    check_variant,
    resolve,
    resolve_rows,
    run_options,
    split_names,
)
from mailcli.paper import REPORTED, TABLE_2, row_settings

# Both must be set before TensorFlow and Keras are imported: this project is TensorFlow's, and start-up notes are noise.
os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


class _Group(click.Group):
    """The commands; what the operating system refuses on a named path is told as one line."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except OSError as error:
            if error.filename is None or isinstance(error, BrokenPipeError):
                raise
            raise MailError(f"{error.filename}: {error.strerror}. Choose another path, or mend this one.") from error


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="mail")
def main() -> None:
    """Cold-start recommendation experiments with MAIL (CIKM 2021).

    \b
    mail preprocess ml-100k          download and prepare a dataset
    mail compare --seeds 3           the paper's Table 2 on it
    mail ablate --seeds 3            the paper's Table 3
    mail run experiments/FILE.toml   a whole experiment
    mail models                      rankers and cold-start methods
    """


@main.command()
@click.argument("source", metavar="SOURCE")
@click.option("--raw", type=click.Path(path_type=Path), help="Folder of the raw files. [default: data/raw/SOURCE]")
@click.option("--name", help="Name of the dataset. [default: SOURCE]")
@click.option(
    "--history",
    type=int,
    default=RunConfig.history,
    show_default=True,
    help="n_v, the most behaviors that an impression sees.",
)
@click.option(
    "--sample",
    type=SHARE,
    default=1.0,
    metavar="USERS",
    help="Share of the users to keep, e.g. 1%, drawn by a hash of their id. [default: all]",
)
@click.option(
    "--drop-duplicates", is_flag=True, help="Store behaviors alike in all columns once. [default: as in the log]"
)
@click.option(
    "--max-bad-rows",
    type=SHARE,
    default=0.001,
    metavar="SHARE",
    help="How many of a file's rows may be unusable and set aside. [default: 0.1%]",
)
@click.option("--expect-official", is_flag=True, help="Refuse files without the published rows and cardinalities.")
@click.option(
    "--engine",
    default="duckdb",
    metavar="NAME",
    show_default=True,
    help=f"{choices(plugins.names(plugins.ENGINES))}; Spark needs the extra mail[spark].",
)
@click.option("--spark-master", metavar="URL", help="Spark cluster. [default: this machine]")
@click.option(
    "--memory-limit",
    metavar="SIZE",
    default="2GB",
    show_default=True,
    help="What the engine may use; the rest goes to disk.",
)
@click.option("--threads", type=int, help="Threads of the engine. [default: all cores]")
@click.option(
    "--temp-dir", type=click.Path(path_type=Path), help="Folder for intermediate files. [default: --data-dir]"
)
@DATA_DIR
def preprocess(source: str, raw: Path | None, name: str | None, data_dir: Path, **options: Any) -> None:
    """Make a dataset from raw files. SOURCE is ml-100k (downloaded by itself) or alimama.

    Rows that cannot be used are set aside in the dataset's folder rejected/, what was found is in its summary.md.
    After Ctrl-C or a kill the same command goes on from the last finished stage.
    """
    plugins.check(plugins.SOURCES, source)
    plugins.check(plugins.ENGINES, options["engine"])
    from mailcli.describe import print_description
    from mailcli.preprocess import Options
    from mailcli.preprocess import preprocess as run

    print_description(run(source, raw or data_dir / "raw" / source, data_dir, name, Options(**options)))


@main.command()
@click.argument("source", metavar="SOURCE")
@click.option("--users", type=int, required=True, help="Users; the published files have 1,141,729.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    help="Folder for the four files, e.g. data/raw/alimama.",
)
@click.option(
    "--behaviors-per-user",
    type=float,
    default=100.0,
    show_default=True,
    help="Mean; the published files have 633.",
)
@click.option(
    "--attribute-strength",
    type=float,
    default=0.5,
    show_default=True,
    help="How much interests depend on attributes: 0 not at all, 1 fully.",
)
@click.option("--conversions", is_flag=True, help="Add a column `buy` to raw_sample, for rankers such as esmm.")
def simulate(source: str, out: Path, **settings: Any) -> None:
    """Write raw files from a latent-interest model. SOURCE is alimama."""
    if source != "alimama":
        raise MailError(f"unknown form '{source}'.{nearest(source, ['alimama'])} Known: 'alimama'.")
    from mailcli.latent import Settings
    from mailcli.simulation import simulate_alimama

    done = simulate_alimama(Settings(**settings), out)
    click.echo(
        f"{out}: {done.impressions:,} impressions (CTR {done.ctr:.2%}), {done.behaviors:,} behaviors, simulated."
    )
    click.echo(
        f"Ceiling: the true click probability reaches AUC {done.ceiling_auc:.4f}, GAUC {done.ceiling_gauc:.4f} "
        "on the test day."
    )


@main.command()
@click.argument("dataset", required=False)
@DATA_DIR
def describe(dataset: str | None, data_dir: Path) -> None:
    """Show what a dataset holds."""
    from mailcli import store
    from mailcli.describe import print_description

    print_description(store.find(data_dir, dataset))


@main.command()
@click.option(
    "--cold-start",
    metavar="NAME",
    help=f"Cold-start method: {choices(plugins.names(plugins.COLD_STARTS))}, or package.module:Class. [default: none]",
)
@click.option("--variant", metavar="NAME", help=f"MAIL's zero-shot tower: {choices(VARIANTS)}. [default: base]")
@click.option("--seed", type=int, help="Decides new users, initialisation, order and dropout. [default: 0]")
@RANKER
@FORMAT
@run_options
def train(
    cold_start: str | None,
    variant: str | None,
    seed: int | None,
    data_dir: Path,
    runs: Path,
    minutes: float | None,
    form: str,
    **options: Any,
) -> None:
    """Train a ranker with a cold-start method, evaluate it on test, print the table.

    The same ranker alone is trained too, or reused, so that RI can be shown. A finished run is reused.
    """
    check_form(form)
    config, store = resolve(data_dir, cold_start=cold_start, seed=seed, variant=variant, **options)
    from mailcli.matrix import make_rows
    from mailcli.report import FORMATS
    from mailcli.tables import make_table

    configs = [config] if config.cold_start == "none" else [config.baseline(), config]
    # One after the other, on all cores.
    rows = make_rows(configs, [config.seed], store, runs, minutes, jobs=1)
    click.echo(FORMATS[form]([make_table(rows, f"{config.cell} on {config.data}")]), nl=False)


@main.command()
@click.argument("folders", nargs=-1, type=click.Path(path_type=Path), metavar="[RUN ...]")
@click.option(
    "--bootstrap",
    type=int,
    default=0,
    show_default=True,
    metavar="N",
    help="Draw the test's users N times, e.g. 1000, and show 95% intervals over users beside AUC and GAUC.",
)
@THREADS
@FORMAT
@DATA_DIR
@RUNS
def evaluate(folders: tuple[Path, ...], bootstrap: int, form: str, data_dir: Path, runs: Path) -> None:
    """Score the test split anew with the best checkpoint of each RUN (all finished ones by default)."""
    from mailcli.bootstrap import check_draws
    from mailcli.runs import finished, open_run
    from mailcli.store import names

    check_draws(bootstrap)
    check_form(form)
    chosen = [open_run(folder) for folder in folders]
    if not folders:
        known = names(data_dir)
        for run in finished(runs):
            if run.config.data in known:
                chosen.append(run)
            else:
                click.echo(f"{run.folder}: left out, {data_dir} has no dataset '{run.config.data}'.", err=True)
        if not chosen:
            raise MailError(
                f"{data_dir}: holds none of the datasets of the runs in {runs}. Make one with `mail preprocess`."
            )
    from mailcli.report import FORMATS
    from mailcli.rescoring import rescore
    from mailcli.tables import make_table

    scored = rescore(chosen, data_dir, bootstrap)
    tables = [make_table(rows, f"Test metrics on {rows[0].config.data}") for rows in scored]
    click.echo(FORMATS[form](tables), nl=False)


@main.command()
@click.option("--variants", default=",".join(VARIANTS), show_default=True, help="Which zero-shot towers, by comma.")
@SEEDS
@JOBS
@RANKER
@FORMAT
@run_options
def ablate(
    variants: str,
    seeds: int,
    jobs: int | None,
    data_dir: Path,
    runs: Path,
    ranker: str | None,
    minutes: float | None,
    form: str,
    **options: Any,
) -> None:
    """The paper's Table 3: the ranker alone and with each variant of MAIL, the paper's numbers beside."""
    check_form(form)
    chosen = list(dict.fromkeys(split_names(variants)))
    for name in chosen:
        check_variant(name)
    rows = [{"ranker": ranker, "cold_start": "mail", "variant": name} for name in chosen]
    configs, store = resolve_rows(rows, seeds, data_dir, options)
    from mailcli.matrix import make_rows
    from mailcli.report import FORMATS
    from mailcli.tables import make_table

    made = make_rows([configs[0].baseline(), *configs], range(seeds), store, runs, minutes, jobs)
    title = f"Ablation (MAIL Table 3) on {store.name}, ranker {configs[0].ranker}"
    click.echo(FORMATS[form]([make_table(made, title, REPORTED)]), nl=False)


@main.command()
@click.option(
    "--rows",
    default=",".join(TABLE_2),
    show_default=True,
    help="Names of the paper's, or ranker+method, e.g. din+cvae; by comma.",
)
@SEEDS
@JOBS
@FORMAT
@run_options
def compare(
    rows: str,
    seeds: int,
    jobs: int | None,
    data_dir: Path,
    runs: Path,
    minutes: float | None,
    form: str,
    **options: Any,
) -> None:
    """The paper's Table 2: rankers with and without cold-start methods, the paper's numbers beside.

    What is missing is trained; every number comes from its own run folder. RI is against the same ranker alone.
    """
    check_form(form)
    chosen = []
    for name in split_names(rows):
        settings = row_settings(name)
        variant = settings.get("cold_start.variant")
        row = {"ranker": settings["ranker"], "cold_start": settings["cold_start"], "variant": variant}
        if row not in chosen:
            chosen.append(row)
    configs, store = resolve_rows(chosen, seeds, data_dir, options)
    from mailcli.matrix import make_rows
    from mailcli.report import FORMATS
    from mailcli.tables import make_table

    made = make_rows(configs, range(seeds), store, runs, minutes, jobs)
    title = f"Comparison (MAIL Table 2) on {store.name}"
    click.echo(FORMATS[form]([make_table(made, title, REPORTED)]), nl=False)


@main.command()
def models() -> None:
    """The rankers and cold-start methods, one line each: any of the first goes with any of the second."""
    from mailcli.describe import print_models

    print_models()


main.add_command(run)
main.add_command(plot)
main.add_command(tune)
