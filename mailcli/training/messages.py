"""What a run says while it trains: a line when it begins, one for each validation, and one when it has ended."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from statistics import fmean
from typing import Any

from mailcli.config import RunConfig
from mailcli.errors import counted
from mailcli.runs.checkpoints import TrainingState
from mailcli.runs.folder import RunFolder
from mailcli.utils.log import is_worker
from mailcli.utils.progress import clock, left

logger = logging.getLogger(__name__)

#: What a step's line of history.jsonl has beside losses, which may have any other name.
_NO_LOSSES = {"step", "epoch", "gradient", "gradient_zst"}
#: The users whose AUC a line shows.
_USERS = ("all", "new", "old")


class MeanLosses:
    """The means of the losses of some steps."""

    def __init__(self) -> None:
        self._values: dict[str, list[float]] = {}

    def add(self, lines: Iterable[Mapping[str, Any]]) -> None:
        """Take in the steps of some lines of history.jsonl."""
        for line in lines:
            for name, value in line.items():
                if name not in _NO_LOSSES:
                    self._values.setdefault(name, []).append(value)

    def take(self) -> dict[str, float]:
        """The means by name, and begin anew; empty without steps."""
        means = {name: fmean(values) for name, values in self._values.items()}
        self._values = {}
        return means


def log_begin(config: RunConfig, steps: int) -> None:
    """Log the start of a run and its stopping rule.

    Args:
        config: of the run.
        steps: of an epoch.
    """
    users_suffix = "" if config.select == "all" else f" of {config.select} users"
    most, patience = f"{counted(config.epochs, 'epoch')} of {counted(steps, 'step')}", config.patience
    ends = f"stops early after {counted(patience, 'validation')} without a better AUC{users_suffix}"
    logger.info(f"{_name(config)}: at most {most}; {ends}.")


def log_validation(
    config: RunConfig,
    epoch: int,
    state: TrainingState,
    losses: Mapping[str, float],
    metrics: Mapping[str, Mapping[str, Any]],
    seconds: float,
    seconds_left: float | None,
) -> None:
    """Log the result of a validation.

    Args:
        config: of the run.
        epoch: the epoch in which, or at whose end, the validation is.
        state: how far the run has come, this validation included.
        losses: means over the steps since the one before.
        metrics: by group of users.
        seconds: of training so far.
        seconds_left: if the run goes to its last epoch; None if it ends here.
    """
    aucs = ", ".join(f"{_format_auc(metrics.get(users, {}).get('AUC'))} {users}" for users in _USERS)
    parts = [
        f"epoch {epoch} of {config.epochs}",
        f"step {state.steps:,}",
        *([", ".join(f"{name} {value:.4g}" for name, value in losses.items())] if losses else []),
        f"validation AUC {aucs}",
        f"best {_best_auc(config, state.best)} (epoch {state.best['best_epoch']})",
        clock(seconds) + (f", at most {left(seconds_left)}" if seconds_left is not None else ""),
    ]
    prefix = f"{_name(config)}: " if is_worker() else ""
    logger.info(prefix + " · ".join(parts))


def log_end(run: RunFolder, result: Mapping[str, Any], seconds: float) -> None:
    """Log the result, duration and folder of a finished run.

    Args:
        run: the finished run.
        result: the contents of result.json.
        seconds: of training.
    """
    curve, best = result.get("curve"), result["best_epoch"]
    epochs = f"best epoch {best} of {curve[-1]['epoch']}" if curve else f"fitted to the ranker's best epoch, {best}"
    auc = _best_auc(run.config, result)
    logger.info(f"{_name(run.config)}: {epochs} · validation AUC {auc} · {clock(seconds)} · {run.folder}")


def _name(config: RunConfig) -> str:
    return f"{config.cell}, seed {config.seed}"


def _best_auc(config: RunConfig, best: Mapping[str, Any]) -> str:
    """The AUC by which the best epoch is chosen; its users are named unless they are all."""
    auc = _format_auc(best["validation"][config.select]["AUC"])
    return auc if config.select == "all" else f"{auc} {config.select}"


def _format_auc(value: float | None) -> str:
    """`.7123`"""
    return "-" if value is None else f"{value:.4f}".removeprefix("0")
