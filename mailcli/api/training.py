"""`train`: one cell, trained and evaluated as by `mail train`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mailcli import plugins
from mailcli.api.arguments import arguments_in_errors, as_kept_path, check_flags, check_minutes
from mailcli.api.definitions import plugin_name
from mailcli.api.messages import messages_shown
from mailcli.api.module_text import Definition
from mailcli.api.run import Run
from mailcli.api.scripts import script_hidden
from mailcli.data.dataset import Dataset
from mailcli.errors import MailError, shorten
from mailcli.experiments.cells import RunLayout, config_on
from mailcli.experiments.estimate import announce
from mailcli.experiments.matrix import make_rows, with_baselines
from mailcli.experiments.plan import PlannedTable


def train(
    data: Dataset,
    ranker: str | Definition = "base",
    cold_start: str | Definition | None = None,
    seed: int = 0,
    runs: str | Path = "runs",
    *,
    variant: str | None = None,
    checkpoint_minutes: float | None = None,
    overwrite: bool = False,
    quiet: bool = False,
    **settings: Any,
) -> Run:
    """Train a ranker with a cold-start method and evaluate it on the test split, as `mail train` does.

    The same ranker without a method is trained as well, since RI is relative to it. Finished runs in the folder are
    reused, those of the command line, too; an interrupted one resumes.

    Args:
        data: the dataset, from `load`.
        ranker: a ranker or trivial row by name (`mail models` lists them); or a class, such as a subclass of `Ranker`.
        cold_start: a cold-start method by name, or a subclass of `ColdStartMethod`; None for none.
        seed: random seed: draw of new users, initialization, shuffling, dropout.
        runs: folder of the runs.
        variant: MAIL's zero-shot tower; None for its default.
        checkpoint_minutes: time between two checkpoints; None for the default.
        overwrite: whether a run is trained anew where its folder holds one with other settings, another dataset or
            other code; otherwise such a folder is refused.
        quiet: whether only warnings are shown, no notes or progress.
        settings: any setting of docs/commands.md, e.g. `epochs=3`, `protocol="strict"`, `ranker_options={"units":
            (64, 32)}` or `cold_start_options={"steps": "all"}`.

    Raises:
        MailError: a name or value is unknown or does not suit the dataset, or the folder holds a run with other
            settings.
        Interrupted: by Ctrl-C, after a checkpoint; call it again to resume.
    """
    check_dataset(data)
    check_flags(overwrite=overwrite, quiet=quiet)
    if checkpoint_minutes is not None:
        check_minutes(checkpoint_minutes)
    with messages_shown(quiet), arguments_in_errors("cold_start", "runs", "variant", "overwrite"):
        cell = {
            "ranker": plugin_name(plugins.RANKERS, ranker),
            "cold_start": plugin_name(plugins.COLD_STARTS, "none" if cold_start is None else cold_start),
            "seed": seed,
        }
        config = config_on(data, [cell, settings], variant)
        folders = RunLayout(as_kept_path("runs", runs), overwrite=overwrite)
        configs = with_baselines([config], [config.seed])
        with script_hidden():
            # Large work is measured first, in a process of its own.
            announce([PlannedTable(configs, [config.seed], data, folders)], jobs=1)
        make_rows(configs, [config.seed], data, folders, checkpoint_minutes, jobs=1)
    return Run(folders.find(config, data), data.folder.parent)


def check_dataset(data: object) -> None:
    """Refuse anything that is not a dataset, such as its name (MailError)."""
    if not isinstance(data, Dataset):
        example = f"mail.load({data!r})" if isinstance(data, str) else "mail.load('ml-100k')"
        raise MailError(f"data is {shorten(data)}. Expected a dataset, e.g. {example}.")
