"""`mail audit`: whether generated behavior is the user's own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from mailcli.cli._completion import complete_runs
from mailcli.cli._options import DATA_DIR, TABLE_MEMORY, THREADS
from mailcli.cli._tables import FORMAT, check_form, print_text_tables
from mailcli.cli._types import PATH
from mailcli.utils.paths import real_path

if TYPE_CHECKING:
    from mailcli.config import RunConfig
    from mailcli.reporting.text_table import TextTable
    from mailcli.runs.audit import RunAudit
    from mailcli.runs.folder import RunFolder


@click.command(short_help="Test whether generated behavior is the user's own.")
@click.argument("folders", nargs=-1, required=True, type=PATH, metavar="RUN...", shell_complete=complete_runs)
@click.option(
    "--bootstrap",
    type=int,
    default=500,
    show_default=True,
    metavar="N",
    help="Number of bootstrap draws of the users, for 95% intervals; a run folder holds 500.",
)
@THREADS
@TABLE_MEMORY
@FORMAT
@DATA_DIR
def audit(folders: tuple[Path, ...], bootstrap: int, form: str, data_dir: Path) -> None:
    """Rank new users with what RUN generates for them, and by the same weights with other behavior: that generated for
    another user, the mean of old users, none, and the user's own real behavior.

    RUN is the folder of a finished run of a method that generates behavior, or a folder of runs, where those that
    cannot be audited are skipped with a warning. Runs of one cell share a table, which is the mean over their seeds. If
    another user's generated behavior costs nothing significant, the table says that there is no evidence that it is
    personal.
    """
    from mailcli.metrics.bootstrap import check_audit_draws
    from mailcli.reporting.captions import table_titles
    from mailcli.reporting.paper import row_label
    from mailcli.reporting.rescore import cell_of

    check_form(form)
    check_audit_draws(bootstrap)
    # A run that is given twice counts once.
    by_cell: dict[tuple[Path, str], dict[Path, _Audited]] = {}
    for folder in folders:
        for audited in _audits(folder, data_dir, bootstrap):
            run = real_path(audited.run.folder)
            by_cell.setdefault((run.parent, cell_of(audited.run.config).key), {})[run] = audited
    cells = [sorted(cell.values(), key=lambda audited: audited.run.config.seed) for cell in by_cell.values()]
    configs = [[audited.run.config for audited in cell] for cell in cells]
    titles = table_titles([(f"Audit of {row_label(own[0])}", own) for own in configs])
    print_text_tables([_table(*cell) for cell in zip(cells, configs, titles, strict=True)], form)


class _Audited(NamedTuple):
    """A run and its audit."""

    run: RunFolder
    audit: RunAudit


def _audits(folder: Path, data_dir: Path, draws: int) -> list[_Audited]:
    """The audit of a run, or of the runs below a folder, where those that have none are skipped with a warning."""
    from mailcli.runs.selection import keep_usable, ranker_runs, runs_in

    def audited(run: RunFolder) -> _Audited:
        return _Audited(run, _audit(run, data_dir, draws))

    runs = runs_in(folder, ranker_runs)
    return list(map(audited, runs)) if runs[0].folder == folder else keep_usable(runs, audited)


def _table(audited: list[_Audited], configs: list[RunConfig], title: str) -> TextTable:
    """The table of one cell's runs and their configs."""
    from mailcli.reporting.audit_table import audit_table
    from mailcli.reporting.audits import mean_audit
    from mailcli.runs.origin import check_same_origin

    check_same_origin([pair.run for pair in audited])
    dataset = (audited[0].run.result or {})["dataset"]
    return audit_table(mean_audit([pair.audit for pair in audited]), configs, dataset, title)


def _audit(run: RunFolder, data_dir: Path, draws: int) -> RunAudit:
    """A run's audit: the one in its folder if it has enough draws, otherwise a new one made with its weights."""
    stored_audit = run.audit
    if stored_audit and len(stored_audit.draws) >= draws:
        return stored_audit.first_draws(draws)
    from mailcli.training.hidden_behavior import check_generates
    from mailcli.utils.tensorflow_startup import load_tensorflow

    check_generates(run)
    load_tensorflow()
    from mailcli.data.protocol import views
    from mailcli.runs.audit import measure_audit
    from mailcli.training.audit_scores import audit_run
    from mailcli.training.predictor import Predictor

    predictor = Predictor.open(run, data_dir)
    dataset = predictor.dataset
    audited = audit_run(run, predictor.model, dataset, views(dataset, run.config))
    return measure_audit(audited, dataset.counts["users"], draws)
