"""The options that commands share.

Nothing slow is imported here: `mail --help` reads this module.
"""

from __future__ import annotations

from collections.abc import Callable

import click

from mailcli import plugins
from mailcli.cli._completion import complete_datasets, offer, plugin_names, setting_assignments
from mailcli.cli._types import F, Minutes, path_option, with_options
from mailcli.cli._verbosity import LOG
from mailcli.config import PRECISIONS, PROTOCOLS, VARIANTS
from mailcli.errors import MailError, quoted
from mailcli.utils.hardware import MOST_THREADS, limit_threads
from mailcli.utils.sizes import parse_size
from mailcli.utils.table_memory import limit_table_memory


def refuse_empty_name(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    """A callback: the name of a dataset, or None; MailError for an empty one, e.g. of a shell's unset variable."""
    del ctx
    if value == "":
        title = param.opts[0] if isinstance(param, click.Option) else param.human_readable_name
        raise MailError(f"{title} is empty. Expected the name of a dataset.")
    return value


def data_option(text: str) -> Callable[[F], F]:
    """--data with a help text: the name of a dataset, which is not empty."""
    return click.option(
        "--data", metavar="NAME", shell_complete=complete_datasets, callback=refuse_empty_name, help=text
    )


def jobs_option(text: str) -> Callable[[F], F]:
    """--jobs; `text` says what runs in parallel."""
    default = "[default: as many as cores and memory allow, one core each]"
    return click.option("--jobs", type=click.IntRange(min=1), metavar="N", help=f"{text} {default}")


def _limit_threads(ctx: click.Context, param: click.Parameter, value: int | None) -> None:
    del ctx, param
    if value:
        limit_threads(value)


def _limit_table_memory(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
    del ctx, param
    if value is not None:
        limit_table_memory(parse_size(value, "--table-memory"))


DATA_DIR = path_option("--data-dir", default="data", text="Folder of the datasets.")
RUNS = path_option("--runs", default="runs", text="Folder of the runs.")
#: The beginning of the help of --ranker.
RANKER_HELP = f"Ranker: {quoted(plugins.names(plugins.RANKERS))}, or package.module:Class"
RANKER = click.option(
    "--ranker",
    metavar="NAME",
    shell_complete=plugin_names(plugins.RANKERS),
    help=f"{RANKER_HELP}. [default: base]",
)
COLD_START = click.option(
    "--cold-start",
    metavar="NAME",
    shell_complete=plugin_names(plugins.COLD_STARTS),
    help=f"Cold-start method: {quoted(plugins.names(plugins.COLD_STARTS))}, or package.module:Class. [default: none]",
)
VARIANT = click.option(
    "--variant",
    metavar="NAME",
    shell_complete=offer(lambda: VARIANTS),
    help=f"Variant of MAIL: {quoted(VARIANTS)}. [default: base]",
)
#: Applied while options are parsed, since TensorFlow reads it when it is imported.
THREADS = click.option(
    "--threads",
    type=click.IntRange(1, MOST_THREADS),
    expose_value=False,
    callback=_limit_threads,
    help="Threads of TensorFlow; in a table, of all runs together. [default: all cores]",
)
TABLE_MEMORY = click.option(
    "--table-memory",
    metavar="SIZE",
    expose_value=False,
    callback=_limit_table_memory,
    help="Memory for an embedding table with its moments, such as 4GB. A larger table stays on disk, with the rows in "
    "use in memory; the results are the same. [default: three quarters of the machine's]",
)
SEEDS = click.option("--seeds", type=int, default=3, show_default=True, help="Number of seeds, starting from 0.")
CHECKPOINTS = click.option(
    "--checkpoint-every",
    "checkpoint_minutes",
    type=Minutes(),
    metavar="MINUTES",
    help="Time between checkpoints; an interrupted run resumes from the last one. [default: 10]",
)
JOBS = jobs_option("Number of runs in parallel.")
OVERWRITE = click.option(
    "--overwrite",
    is_flag=True,
    help="Replace a run that was made with other settings, another dataset or another version of your own code; "
    "otherwise such a run is refused. The old run is kept until the new one begins. Matching runs are reused.",
)


def _enable_tracker(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    del ctx
    if value:
        from mailcli.training.trackers import enable

        enable(str(param.name))


#: Where runs are logged in addition to their folders.
TRACKERS = with_options(
    *(
        click.option(f"--{name}", is_flag=True, is_eager=True, expose_value=False, callback=_enable_tracker, help=text)
        for name, text in (
            ("tensorboard", "Also write TensorBoard event files to `tensorboard` in the run's folder."),
            ("mlflow", "Also log finished runs to MLflow (needs the package mlflow)."),
        )
    )
)

#: What to change of the files of experiments.
OF_EXPERIMENT = with_options(
    click.option(
        "--seeds",
        type=int,
        help="Number of seeds of each experiment, starting with the first seed of its file. [default: the file's]",
    ),
    data_option("Dataset for the experiments, instead of the one in the file."),
)

#: The options that every training command shares.
RUN_OPTIONS = with_options(
    data_option("Dataset. [default: the one used or made last]"),
    click.option(
        "--protocol",
        metavar="NAME",
        shell_complete=offer(lambda: PROTOCOLS),
        help="paper: users drawn as new lose their behaviors and keep their ids; strict: they have no training "
        "impressions either, so their ids are unknown. [default: paper]",
    ),
    click.option(
        "--precision",
        metavar="NAME",
        shell_complete=offer(lambda: PRECISIONS),
        help=f"Precision of matrix products: {quoted(PRECISIONS)} (where supported). [default: float32]",
    ),
    THREADS,
    TABLE_MEMORY,
    click.option(
        "--set",
        "settings",
        metavar="KEY=VALUE",
        multiple=True,
        shell_complete=offer(setting_assignments),
        help="Any other setting, e.g. epochs=3 or ranker.units=256,128; repeatable; of a repeated key the "
        "last value counts. `mail settings` lists all. In a table, a row takes the options of its ranker and method.",
    ),
    path_option(
        "--config",
        "file",
        metavar="FILE",
        text="TOML file of settings, e.g. a run's config.toml; options override it. Its `ranker.*` and `cold_start.*` "
        "are ignored if you choose another ranker or method.",
    ),
    click.option(
        "--eval-every",
        type=int,
        metavar="STEPS",
        help="Also validate every STEPS steps. [default: at the end of each epoch, and every 10,000 steps if it has "
        "15,000 or more]",
    ),
    CHECKPOINTS,
    TRACKERS,
    LOG,
    DATA_DIR,
    RUNS,
)
