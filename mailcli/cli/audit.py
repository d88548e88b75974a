"""`mail audit`: whether generated behavior is the user's own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from mailcli.cli._completion import run_folders
from mailcli.cli._options import DATA_DIR, FORMAT, PATH, THREADS, check_form, print_text_tables
from mailcli.errors import MailError

if TYPE_CHECKING:
    from mailcli.reporting.text_table import TextTable
    from mailcli.training.run_audit import RunAudit
    from mailcli.training.run_folder import Run


@click.command(short_help="Test whether generated behavior is the user's own.")
@click.argument("folders", nargs=-1, required=True, type=PATH, metavar="RUN...", shell_complete=run_folders)
@click.option(
    "--bootstrap",
    type=int,
    default=500,
    show_default=True,
    metavar="N",
    help="Number of bootstrap draws of the users, for 95% intervals; a run folder holds 500.",
)
@THREADS
@FORMAT
@DATA_DIR
def audit(folders: tuple[Path, ...], bootstrap: int, form: str, data_dir: Path) -> None:
    """Rank new users with what RUN generates for them, and by the same weights with other behavior: that generated for
    another user, the mean of old users, none, and the user's own real behavior, which is the ceiling.

    RUN is the folder of a finished run of a method that generates behavior, or a folder of such runs; those of one cell
    share a table, which is the mean over their seeds. If another user's generated behavior is as good, the table says
    that it is not personal.
    """
    from mailcli.metrics.bootstrap import check_draws
    from mailcli.training.run_registry import runs_below

    check_form(form)
    check_draws(bootstrap)
    if not bootstrap:
        raise MailError("--bootstrap is 0. Expected a number of draws: whether v̂ is personal is read off intervals.")
    chosen = runs_below(folders)
    by_cell: dict[str, list[Run]] = {}
    for run in chosen:
        by_cell.setdefault(str(run.folder.parent.resolve()), []).append(run)
    print_text_tables([_table(runs, data_dir, bootstrap) for runs in by_cell.values()], form)


def _table(runs: list[Run], data_dir: Path, draws: int) -> TextTable:
    """The table of one cell's runs."""
    from mailcli.reporting.audit_table import audit_table
    from mailcli.reporting.audits import mean_audit

    runs = sorted(runs, key=lambda run: run.config.seed)
    audits = [_audit(run, data_dir, draws) for run in runs]
    return audit_table(mean_audit(audits), [run.config for run in runs], (runs[0].result or {})["dataset"])


def _audit(run: Run, data_dir: Path, draws: int) -> RunAudit:
    """A run's audit: that in its folder if it has as many draws, and otherwise of its weights."""
    kept = run.audit
    if kept and len(kept.draws) >= draws:
        return kept.first_draws(draws)
    from mailcli.utils.tensorflow_startup import load_tensorflow

    load_tensorflow()
    from mailcli.data.protocol import views
    from mailcli.training.audit_scores import audit_run
    from mailcli.training.predictor import Predictor
    from mailcli.training.run_audit import measure_audit

    predictor = Predictor.open(run, data_dir)
    dataset = predictor.dataset
    audited = audit_run(run, predictor.model, dataset, views(dataset, run.config))
    return measure_audit(audited, dataset.counts["users"], draws)
