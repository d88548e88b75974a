"""`mail runs`: list, show, compare and delete runs."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import click

from mailcli.cli._completion import complete_runs
from mailcli.cli._groups import GroupWithDefault
from mailcli.cli._options import DATA_DIR, RUNS
from mailcli.cli._output import print_line
from mailcli.cli._tables import FORMAT, check_form, print_text_tables
from mailcli.cli._types import PATH
from mailcli.errors import Interrupted, MailError, counted
from mailcli.escape import terminal
from mailcli.utils.paths import named, real_path


@click.group(cls=GroupWithDefault, default="list", short_help="List, show, compare and delete runs.")
def runs() -> None:
    """List, show, compare and delete runs; `mail runs` without a command lists them."""


@runs.command("list", short_help="List all runs, finished or not.")
@FORMAT
@RUNS
def list_(form: str, runs: Path) -> None:
    """List all runs, finished or not, with the state, best epoch, AUC and GAUC, size and age of each.

    `stopped`: the command that began it resumes it. `untested`: a trial of `mail tune`.
    """
    check_form(form)
    from mailcli.reporting.run_list import run_list_tables
    from mailcli.runs.inventory import list_runs

    print_text_tables(run_list_tables(list_runs(runs), time.time()), form)


@runs.command(short_help="Show one run.")
@click.argument("run", type=PATH, shell_complete=complete_runs)
@FORMAT
def show(run: Path, form: str) -> None:
    """Show RUN: its state, its settings that are not the defaults, versions and machine, the metrics of every group of
    users, and the validation curve.
    """
    check_form(form)
    from mailcli.reporting.run_page import run_tables
    from mailcli.runs.inventory import inspect_run

    print_text_tables(run_tables(inspect_run(run)), form)


@runs.command(short_help="Compare two runs.")
@click.argument("a", type=PATH, metavar="RUN_A", shell_complete=complete_runs)
@click.argument("b", type=PATH, metavar="RUN_B", shell_complete=complete_runs)
@click.option(
    "--bootstrap",
    type=int,
    default=1000,
    show_default=True,
    metavar="N",
    help="Number of bootstrap draws of the test users, for the 95% intervals of the differences; 0 for none.",
)
@FORMAT
@DATA_DIR
def compare(a: Path, b: Path, bootstrap: int, form: str, data_dir: Path) -> None:
    """Show how two finished runs differ: settings, versions, and AUC and GAUC of every group of users.

    If both have scored the same impressions with the same new users, differences have intervals over users.
    """
    check_form(form)
    from mailcli.metrics.bootstrap import check_draws
    from mailcli.reporting.run_comparison import comparison_tables
    from mailcli.runs.opening import open_run

    check_draws(bootstrap)
    first, second = open_run(a), open_run(b)
    if real_path(first.folder) == real_path(second.folder):
        raise MailError(f"{first.folder}: is compared with itself. Expected two runs.")
    print_text_tables(comparison_tables(first, second, data_dir, bootstrap), form)


@runs.command(short_help="Delete runs.")
@click.argument("folders", nargs=-1, required=True, type=PATH, metavar="RUN...", shell_complete=complete_runs)
@click.option("--yes", is_flag=True, help="Do not ask.")
def rm(folders: tuple[Path, ...], yes: bool) -> None:
    """Delete each RUN, finished or not, after asking for confirmation; of a link, the link and not the run.

    What is not the folder of a run, or is being trained, is refused before anything is deleted.
    """
    from mailcli.reporting.run_list import state_text
    from mailcli.runs.inventory import check_deletable, delete_run, inspect_run
    from mailcli.utils.sizes import size_text

    # By whole paths: the folder that the command runs in may be the first to go.
    chosen = {real_path(folder.parent) / folder.name: folder for folder in map(named, folders)}
    for folder in chosen.values():
        check_deletable(folder)
    listed = [inspect_run(folder) for folder in chosen.values()]
    links = [run for run in listed if run.folder.is_symlink()]
    sizes = [run.bytes for run in listed if run not in links]
    for run in listed:
        size = f"a link to {real_path(run.folder)}, which stays" if run in links else size_text(run.bytes)
        print_line(f"{run.folder}: {state_text(run)}; {size}")
    counts = [counted(len(sizes), "run")] if sizes else []
    count = " and ".join([*counts, counted(len(links), "link")] if links else counts)
    if not yes and not _confirm(f"Delete {count}?"):
        print_line("Nothing was deleted.")
        return
    for path, run in zip(chosen, listed, strict=True):
        delete_run(replace(run, folder=path))
    print_line(f"Deleted {count}{f', {size_text(sum(sizes))}' if sizes else ''}.")


def _confirm(question: str) -> bool:
    """The answer to a question.

    Raises:
        MailError: nobody answers.
        Interrupted: by Ctrl-C.
    """
    try:
        return click.confirm(terminal(question))
    except click.Abort as abort:
        # click makes one error of Ctrl-C and of the end of the input.
        if isinstance(abort.__context__, KeyboardInterrupt):
            raise Interrupted("Interrupted; nothing was deleted.") from None
        raise MailError(
            "nothing was deleted, since the question was not answered. Expected y or n, or --yes."
        ) from None
