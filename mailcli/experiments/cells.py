"""The run of a cell: its settings with all defaults filled in, its folder, and training it if it is missing."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from mailcli import plugins
from mailcli.config import OPTION_TABLES, VARIANTS, Options, RunConfig, make_config
from mailcli.data.dataset import Dataset
from mailcli.errors import MailError, did_you_mean, quoted
from mailcli.runs.folder import RunFolder
from mailcli.runs.registry import find_run, holds_another
from mailcli.settings.option_defaults import check_options
from mailcli.training.trivial_run import train_trivial_row
from mailcli.utils.hardware import has_bfloat16
from mailcli.utils.tensorflow_startup import load_tensorflow

logger = logging.getLogger(__name__)

#: MAIL's variant where none is named: the model of the paper's Table 2.
DEFAULT_VARIANT = "base"
#: The longest name of a folder on most file systems.
MAX_NAME_BYTES = 255


def resolve_config(
    layers: Iterable[Options],
    data: str | None = None,
    history: int = RunConfig.history,
    variant: str | None = None,
) -> RunConfig:
    """The checked config of a run, with MAIL's variant written out.

    Args:
        layers: settings; later layers override earlier ones.
        data: the dataset's name; None for the one that the layers name, empty if they name none.
        history: n_v of the dataset. Where it is below the default, it becomes the default.
        variant: the value of --variant.

    Raises:
        MailError: a name or value is unknown, or two contradict each other.
    """
    layers = [{"data": "", "history": min(RunConfig.history, history)}, *layers]
    if data is not None:
        layers.append({"data": data})
    config = make_config(layers)
    plugins.check_ranker(config.ranker)
    plugins.check(plugins.COLD_STARTS, config.cold_start)
    _check_trivial(config)
    check_options(config)
    if config.cold_start != "mail":
        if variant is not None:
            raise MailError(f"--variant requires --cold-start mail; the method is '{config.cold_start}'.")
        return config
    option = config.cold_start_options.get("variant")
    if variant is None:
        variant = option if option is not None else DEFAULT_VARIANT
    elif option is not None and variant != option:
        raise MailError(f"--variant {variant} contradicts cold_start.variant = '{option}'. Set only one of them.")
    check_variant(variant)
    # Written out, so that the default and `--variant base` are the same cell.
    return make_config([*layers, {"cold_start.variant": variant}])


def config_on(dataset: Dataset, layers: Iterable[Options], variant: str | None = None) -> RunConfig:
    """The checked config of a run on a dataset, whose weights do not come from another run.

    Args:
        dataset: the dataset.
        layers: settings; later layers override earlier ones.
        variant: the value of --variant.

    Raises:
        MailError: a name or value is unknown, or two contradict each other.
    """
    config = resolve_config(layers, dataset.name, dataset.history, variant)
    if config.continues:
        raise MailError("continues: is set only by `mail train --continue RUN`. Leave it out.")
    if config.precision == "bfloat16":
        _note_slow_bfloat16()
    logger.debug(f"{config.cell} on {dataset.folder}: {config}")
    return config


@cache
def _note_slow_bfloat16() -> None:
    """Log it once, even for a table of many rows."""
    if not has_bfloat16():
        logger.info("This processor has no bfloat16 instructions; float32 will be faster.")


def _check_trivial(config: RunConfig) -> None:
    """Refuse a trivial row with a cold-start method or options (MailError)."""
    if not plugins.is_trivial(config.ranker):
        return
    if config.cold_start != "none":
        raise MailError(
            f"'{config.ranker}' is a trivial row, without a network that a cold-start method could help. Leave out "
            f"'{config.cold_start}', or choose a ranker."
        )
    if config.ranker_options:
        raise MailError(
            f"'{config.ranker}' is a trivial row and has no options. Leave out "
            f"{quoted(f'ranker.{key}' for key in config.ranker_options)}."
        )


def check_variant(name: str) -> None:
    """Refuse a variant that MAIL does not have (MailError)."""
    if name not in VARIANTS:
        raise MailError(f"unknown variant '{name}'.{did_you_mean(name, VARIANTS)} Known: {quoted(VARIANTS)}.")


@dataclass(frozen=True)
class RunLayout:
    """Where the runs of a table are.

    Rows of the same cell that differ in a setting would share a folder, so each gets a folder of runs of its own.
    """

    runs: Path
    shared: RunConfig | None = None
    """The settings that the rows share; None if no row has settings of its own."""
    overwrite: bool = False
    """Whether runs with other settings, data or code are replaced; otherwise they are refused."""

    def find(self, config: RunConfig, dataset: Dataset) -> RunFolder:
        """The run of a config, finished, unfinished, or not begun yet (MailError as `find_run`)."""
        return find_run(self.folder_for(config), config, dataset, overwrite=self.overwrite)

    def replaces_another(self, config: RunConfig, dataset: Dataset) -> bool:
        """Whether the run of a config will replace one with other settings, data or code."""
        return self.overwrite and holds_another(self.folder_for(config), config, dataset)

    def folder_for(self, config: RunConfig) -> Path:
        """The folder of runs for a config: `runs`, or one inside it named by what differs from the shared settings."""
        own = _own_settings(config, self.shared) if self.shared else []
        return self.runs / _folder_name(",".join(own)) if own else self.runs


def _folder_name(text: str) -> str:
    """A text as the name of a folder: one that no file system holds is changed or cut, and ends with a hash of it."""
    name = text.replace("/", "_").replace("\\", "_")
    if name == text and len(text.encode()) <= MAX_NAME_BYTES:
        return text
    end = f"-{hashlib.sha256(text.encode()).hexdigest()[:16]}"
    return name.encode()[: MAX_NAME_BYTES - len(end)].decode(errors="ignore") + end


def _own_settings(config: RunConfig, shared: RunConfig) -> list[str]:
    """`key=value` for each setting of a row besides its cell and seed."""
    elsewhere = {"ranker", "cold_start", "seed", *OPTION_TABLES.values()}
    changed = [key for key, value in vars(config).items() if key not in elsewhere and value != vars(shared)[key]]
    settings = [f"{key}={getattr(config, key)}" for key in changed]
    for kind, options in config.shown_options.items():
        own = options.items() - vars(shared)[OPTION_TABLES[kind]].items()
        settings += sorted(f"{kind}.{name}={option}" for name, option in own)
    return settings


def train_if_missing(
    config: RunConfig, dataset: Dataset, runs: Path | RunLayout, checkpoint_minutes: float | None = None
) -> RunFolder:
    """The finished run of a config, trained if it is missing.

    Args:
        config: the run's settings.
        dataset: the dataset that they name.
        runs: folder of the runs.
        checkpoint_minutes: between two checkpoints; None for the default.

    Raises:
        MailError: the folder holds another run, or the config does not suit the dataset.
        DivergedError, Interrupted: as `mailcli.training.train.train`.
    """
    folders = runs if isinstance(runs, RunLayout) else RunLayout(runs)
    run = folders.find(config, dataset)
    if run.result is None and plugins.is_trivial(config.ranker):
        train_trivial_row(run, dataset)
    elif run.result is None:
        # TensorFlow takes seconds to import, and a table of finished runs does not need it.
        load_tensorflow()
        from mailcli.models.factory import is_two_stage
        from mailcli.training.train import train

        two_stage = is_two_stage(config)
        baseline = train_if_missing(config.baseline(), dataset, folders, checkpoint_minutes) if two_stage else None
        train(run, dataset, baseline, checkpoint_minutes)
    return run
