"""`mail results`: one document of all experiments."""

from __future__ import annotations

from pathlib import Path

import click

from mailcli.cli._options import OF_EXPERIMENT, RUNS
from mailcli.cli._output import check_output, print_line
from mailcli.cli._types import PATH, path_option
from mailcli.errors import MailError
from mailcli.utils.system_errors import unreadable


@click.command(short_help="Write one document of finished experiments.")
@click.argument("files", nargs=-1, required=True, type=PATH, metavar="FILE...")
@path_option(
    "--kept",
    default="experiments/results",
    text="Folder of the small files of finished runs: config.toml, environment.json, audit.npz, result.json.",
)
@path_option("--figures", default="experiments/figures", text="Folder with a subfolder of figures per experiment.")
@path_option("--reading", text="Markdown file to put at the top.")
@path_option("-o", "--out", default="experiments/RESULTS.md", text="File to write.")
@OF_EXPERIMENT
@RUNS
def results(
    files: tuple[Path, ...],
    kept: Path,
    figures: Path,
    reading: Path | None,
    out: Path,
    seeds: int | None,
    data: str | None,
    runs: Path,
) -> None:
    """Write the tables of experiments, their findings and their environments into one Markdown document.

    FILE is one of experiments/*.toml, whose runs are finished. The small files of runs in --runs are first copied to
    --kept; for all other runs the kept files are used, so that neither dataset nor training is needed. A forest plot is
    drawn for each experiment, or a map if it has a grid; other figures are taken from --figures, where `mail plot
    --out` writes them.
    """
    from mailcli.experiments.experiment_file import read_experiment
    from mailcli.experiments.results_document import render_document
    from mailcli.experiments.results_sections import make_sections
    from mailcli.utils.files import replace_file

    sources = (*files, *([reading] if reading else []))
    kind = "a document of `mail results`"
    check_output("--out", out, kind, "RESULTS.md", sources, _is_document)
    experiments = [read_experiment(path).with_options(data, seeds) for path in files]
    introduction = _read_markdown(reading) if reading else ""
    sections = make_sections(experiments, runs, kept, figures, out)
    with replace_file(out) as partial:
        partial.write_text(render_document(sections, introduction), encoding="utf-8")
    print_line(out)


def _is_document(path: Path) -> bool:
    """Whether `mail results` wrote a file."""
    from mailcli.experiments.results_document import WRITTEN_BY

    return WRITTEN_BY in path.read_text(encoding="utf-8", errors="replace")


def _read_markdown(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise unreadable(path, error) from error
    except UnicodeDecodeError as error:
        raise MailError(f"{path}: cannot be read ({error}). Expected a Markdown file.") from error
