"""Trials of `mail tune` that nothing is trained for."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any


def trained_trial(end: float | BaseException, folder: Path) -> tuple[Any, dict[str, Any]]:
    """What mailcli.experiments.tuning._train returns for a run whose validation AUC of all users is `end`.

    If that is an exception, it is raised. The run's checkpoints are the files step-*.npz of `folder`.
    """
    if isinstance(end, BaseException):
        raise end
    paths = {"checkpoints": folder, "optimizers": folder / "optimizers.npz", "teachers": folder / "teachers"}
    run = SimpleNamespace(**paths, is_local=True)
    return run, {"validation": {"all": {"AUC": end}}}
