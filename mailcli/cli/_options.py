"""The options that commands share, and the config and dataset that a command line asks for.

Nothing slow is imported here: `mail --help` reads this module.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from mailcli import plugins
from mailcli.config import PRECISIONS, VARIANTS
from mailcli.errors import MailError, did_you_mean, quoted
from mailcli.utils.hardware import limit_threads
from mailcli.utils.log import log_to_stderr

if TYPE_CHECKING:
    from mailcli.reporting.tables import Table

F = TypeVar("F", bound=Callable[..., Any])


def _folder_option(name: str, default: str, text: str) -> Callable[[F], F]:
    return click.option(name, type=click.Path(path_type=Path), default=Path(default), show_default=True, help=text)


class _Share(click.ParamType):
    """A share: `0.001` or `0.1%`."""

    name = "share"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        try:
            share = float(value.removesuffix("%")) / (100 if value.endswith("%") else 1)
        except ValueError:
            self.fail(f"{value!r} is not a share such as 0.001 or 0.1%.", param, ctx)
        return share


#: The type of an option that is a share.
SHARE = _Share()
DATA_DIR = _folder_option("--data-dir", "data", "Folder of the datasets.")
RUNS = _folder_option("--runs", "runs", "Folder of the runs.")
RANKER = click.option(
    "--ranker",
    metavar="NAME",
    help=f"Ranking tower: {quoted(plugins.names(plugins.RANKERS))}, or package.module:Class. [default: base]",
)

COLD_START = click.option(
    "--cold-start",
    metavar="NAME",
    help=f"Cold-start method: {quoted(plugins.names(plugins.COLD_STARTS))}, or package.module:Class. [default: none]",
)
VARIANT = click.option("--variant", metavar="NAME", help=f"MAIL's zero-shot tower: {quoted(VARIANTS)}. [default: base]")


def _limit_threads(ctx: click.Context, param: click.Parameter, value: int | None) -> None:
    del ctx, param
    if value:
        limit_threads(value)


#: It must come before TensorFlow is imported, as every option does.
THREADS = click.option(
    "--threads",
    type=click.IntRange(min=1),
    expose_value=False,
    callback=_limit_threads,
    help="Threads of TensorFlow. [default: all cores]",
)
SEEDS = click.option("--seeds", type=int, default=3, show_default=True, help="How many seeds, from 0.")
CHECKPOINTS = click.option(
    "--checkpoint-every",
    "minutes",
    type=click.FloatRange(min=0),
    metavar="MINUTES",
    help="Time between two checkpoints; the same command goes on from the last one. [default: 10]",
)
JOBS = click.option(
    "--jobs", type=int, metavar="N", help="Runs at once. [default: as many as cores and memory allow, a core each]"
)
#: The forms of a table; report.py makes them.
FORMS = ("table", "markdown", "csv", "latex", "json")
FORMAT = click.option("--format", "form", metavar="NAME", default=FORMS[0], show_default=True, help=f"{quoted(FORMS)}.")


def check_form(name: str) -> None:
    """Refuse a form that tables do not have, before anything is trained (MailError)."""
    if name not in FORMS:
        raise MailError(f"--format {name}: no such form.{did_you_mean(name, FORMS)} Known: {quoted(FORMS)}.")


def print_tables(tables: Sequence[Table], form: str) -> None:
    """Print tables in a form that `check_form` has let through."""
    from mailcli.reporting.formats import FORMATS

    click.echo(FORMATS[form](tables), nl=False)


def _set_log_level(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    del ctx
    if value:
        log_to_stderr(logging.DEBUG if param.name == "verbose" else logging.WARNING)


#: How much a command says on stderr; every command has both.
VERBOSITY: list[click.Parameter] = [
    click.Option(
        [flag, f"--{name}"], is_flag=True, is_eager=True, expose_value=False, callback=_set_log_level, help=text
    )
    for flag, name, text in (
        ("-v", "verbose", "Show details, too."),
        ("-q", "quiet", "Show warnings and errors only: no notes, no progress."),
    )
]


def _ask_for(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    del ctx
    if value:
        from mailcli.training.trackers import enable

        enable(str(param.name))


#: How runs are told of besides their folders.
WATCHING = [
    click.option(f"--{name}", is_flag=True, is_eager=True, expose_value=False, callback=_ask_for, help=text)
    for name, text in (
        ("tensorboard", "Write event files too, into each run's folder `tensorboard`."),
        ("mlflow", "Log finished runs to MLflow too, if it is installed."),
    )
]


def watched(command: F) -> F:
    """The options of WATCHING, for a command without the others."""
    for option in reversed(WATCHING):
        command = option(command)
    return command


def run_options(command: F) -> F:
    """The options that every training command shares."""
    options = [
        click.option("--data", metavar="NAME", help="Dataset; the only one there is by default."),
        click.option(
            "--protocol",
            metavar="NAME",
            help="paper: new users lose their behaviors in train and test alike; strict: new users of the test have no "
            "training impression. [default: paper]",
        ),
        click.option(
            "--precision",
            metavar="NAME",
            help=f"Of the products of matrices: {quoted(PRECISIONS)}, the second on machines that have it. "
            "[default: float32]",
        ),
        THREADS,
        click.option(
            "--set",
            "settings",
            metavar="KEY=VALUE",
            multiple=True,
            help="Any other setting, e.g. epochs=3 or ranker.units=256,128; repeatable. All are in docs/commands.md.",
        ),
        click.option(
            "--config",
            "file",
            type=click.Path(path_type=Path),
            metavar="FILE",
            help="Settings from a TOML file, e.g. a run's config.toml; options win over it.",
        ),
        click.option(
            "--eval-every",
            type=int,
            metavar="STEPS",
            help="Validate inside an epoch too, after so many steps each. [default: at its end alone]",
        ),
        CHECKPOINTS,
        *WATCHING,
        DATA_DIR,
        RUNS,
    ]
    for option in reversed(options):
        command = option(command)
    return command


def split_names(names: str) -> list[str]:
    """`"a, b"` -> `["a", "b"]`."""
    return [name.strip() for name in names.split(",")]
