"""What else is told of a run besides its folder: TensorBoard's event files while it trains, MLflow when it has ended.

Asked for by environment variables, as threads are, so that the processes of `mail run` hear of it too.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Iterator
from typing import Any

from mailcli.config import to_toml
from mailcli.errors import MailError
from mailcli.training.run_folder import Run

#: The variables by the option that sets them.
VARIABLES = {"tensorboard": "MAIL_TENSORBOARD", "mlflow": "MAIL_MLFLOW"}


def ask_for(option: str) -> None:
    """Let every run of this process and of those it starts be told of so (MailError where it is not installed)."""
    if importlib.util.find_spec(option) is None:
        raise MailError(f"--{option}: {option} is not installed. Install it with: pip install {option}.")
    os.environ[VARIABLES[option]] = "1"


def begin(run: Run) -> None:
    """Call when a run's history is as long as its checkpoint: event files are written anew, with what it tells."""
    if VARIABLES["tensorboard"] not in os.environ:
        return
    import tensorflow as tf

    folder = run.folder / "tensorboard"
    shutil.rmtree(folder, ignore_errors=True)
    writer = tf.summary.create_file_writer(str(folder))

    def tell(lines: list[dict[str, Any]]) -> None:
        with writer.as_default():
            for line in lines:
                for name, value, step in _scalars(line):
                    tf.summary.scalar(name, value, step=step)
        writer.flush()

    # A run that has just begun has none.
    tell(run.history() if run.history_bytes() else [])
    run.listeners.append(tell)


def _scalars(line: dict[str, Any]) -> Iterator[tuple[str, float, int]]:
    """Name, value and step of what a line of history.jsonl tells."""
    if "step" in line:
        for name, value in line.items():
            if name not in {"step", "epoch"}:
                yield f"training/{name}", value, line["step"]
    elif "after_step" in line:
        for users, found in line["validation"].items():
            for metric in ("AUC", "GAUC"):
                if found[metric] is not None:
                    yield f"validation/{users} {metric}", found[metric], line["after_step"]


def end(run: Run) -> None:
    """Call when a run has its result."""
    run.listeners.clear()
    if VARIABLES["mlflow"] not in os.environ:
        return
    import mlflow

    with mlflow.start_run(run_name=f"{run.config.cell} seed {run.config.seed}"):
        mlflow.set_tags({"dataset": (run.result or {})["dataset"], "folder": str(run.folder.resolve())})
        mlflow.log_params(_flat(to_toml(run.config)))
        for line in run.history():
            for name, value, step in _scalars(line):
                mlflow.log_metric(name.replace("/", "."), value, step=step)
        for users, found in (run.result or {})["test"].items():
            for metric in ("AUC", "GAUC"):
                if found[metric] is not None:
                    mlflow.log_metric(f"test.{users} {metric}", found[metric])


def _flat(settings: dict[str, Any]) -> dict[str, Any]:
    """Tables of options as `ranker_options.units`."""
    found: dict[str, Any] = {}
    for key, value in settings.items():
        found |= (
            {f"{key}.{name}": option for name, option in value.items()} if isinstance(value, dict) else {key: value}
        )
    return found
