"""`mail audit`: whether generated behavior is the user's own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from mailcli.cli._options import DATA_DIR, FORMAT, PATH, THREADS, check_form, print_text_tables
from mailcli.errors import MailError

if TYPE_CHECKING:
    from mailcli.reporting.text_table import TextTable
    from mailcli.training.run_folder import Run


@click.command(short_help="Test whether generated behavior is the user's own.")
@click.argument("folders", nargs=-1, required=True, type=PATH, metavar="RUN...")
@click.option(
    "--bootstrap",
    type=int,
    default=1000,
    show_default=True,
    metavar="N",
    help="Number of bootstrap draws of the new users, for 95% intervals.",
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
    from mailcli.utils.tensorflow_startup import load_tensorflow

    load_tensorflow()
    by_cell: dict[str, list[Run]] = {}
    for run in chosen:
        by_cell.setdefault(str(run.folder.parent.resolve()), []).append(run)
    print_text_tables([_table(runs, data_dir, bootstrap) for runs in by_cell.values()], form)


def _table(runs: list[Run], data_dir: Path, draws: int) -> TextTable:
    """The table of one cell's runs."""
    from mailcli.experiments.audit.scores import audit_run
    from mailcli.experiments.audit.table import audit_table, measure_audit
    from mailcli.training.predictor import Predictor

    runs = sorted(runs, key=lambda run: run.config.seed)
    predictors = [Predictor.open(run, data_dir) for run in runs]
    audited = [audit_run(predictor) for predictor in predictors]
    dataset = predictors[0].dataset
    result = measure_audit(audited, dataset.counts["users"], draws)
    return audit_table(result, [run.config for run in runs], dataset.label, audited)
