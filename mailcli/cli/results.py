"""The document of all experiments."""

from __future__ import annotations

from pathlib import Path

import click

from mailcli.cli._options import RUNS


@click.command(short_help="Write the document of finished experiments.")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE...")
@click.option(
    "--kept",
    type=click.Path(path_type=Path),
    default=Path("experiments/results"),
    show_default=True,
    help="Folder of the small files of finished runs: config.toml, environment.json, result.json.",
)
@click.option(
    "--figures",
    type=click.Path(path_type=Path),
    default=Path("experiments/figures"),
    show_default=True,
    help="Folder with a folder of figures per experiment.",
)
@click.option("--reading", type=click.Path(path_type=Path), help="A Markdown file to stand first.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("experiments/RESULTS.md"),
    show_default=True,
    help="The document.",
)
@RUNS
def results(files: tuple[Path, ...], kept: Path, figures: Path, reading: Path | None, out: Path, runs: Path) -> None:
    """Write the tables of experiments, with what they say and were made with, into one Markdown document.

    FILE is one of experiments/*.toml, whose runs are finished. The small files of those in --runs are copied to --kept
    first; of others the kept ones are used, so neither dataset nor training is needed. A forest plot is drawn of each;
    other figures are taken from --figures, where `mail plot --out` puts them.
    """
    import os

    import matplotlib as mpl

    from mailcli.errors import MailError
    from mailcli.experiments.archive import archive_runs
    from mailcli.experiments.document import ExperimentSection, render_document
    from mailcli.experiments.plan import read_plan
    from mailcli.reporting.plots._style import STYLE, caption, save_figure
    from mailcli.reporting.plots.forest import forest
    from mailcli.utils.files import write_atomically

    plans = [read_plan(path) for path in files]
    try:
        text = reading.read_text(encoding="utf-8") if reading else ""
    except (OSError, UnicodeDecodeError) as error:
        raise MailError(f"{reading}: cannot be read ({error}). Expected a Markdown file.") from error
    archived = [archive_runs(plan, runs, kept) for plan in plans]
    sections = []
    for plan, (rows, plan_runs) in zip(plans, archived, strict=True):
        folder = figures / plan.path.stem
        if any(row.baseline for row in rows):
            with mpl.rc_context(STYLE):
                save_figure(forest(rows, caption(plan_runs)), folder, "forest")
        relative = [Path(os.path.relpath(path, out.parent)) for path in sorted(folder.glob("*.png"))]
        label = (plan_runs[0].result or {})["dataset"]
        sections.append(ExperimentSection(plan, plan.tables(rows, label), plan_runs, relative))
    with write_atomically(out) as partial:
        partial.write_text(render_document(sections, text), encoding="utf-8")
    click.echo(out)
