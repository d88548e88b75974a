"""Trackers of a run besides its folder: TensorBoard's event files during training, MLflow at the end.

They are enabled by environment variables, so that the processes of `mail run` inherit them.
"""

from __future__ import annotations

import importlib.util
import logging
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from mailcli.config import to_toml
from mailcli.errors import MailError
from mailcli.runs.folder import RunFolder
from mailcli.runs.history import VALIDATED_STEP
from mailcli.utils.files import remove
from mailcli.utils.paths import real_path

logger = logging.getLogger(__name__)

#: The environment variable of each option.
VARIABLES = {"tensorboard": "MAIL_TENSORBOARD", "mlflow": "MAIL_MLFLOW"}


def enable(option: str) -> None:
    """Track every run of this process and its child processes (MailError if the tracker is not installed)."""
    if importlib.util.find_spec(option) is None:
        raise MailError(f"--{option}: {option} is not installed. Install it with `pip install {option}`.")
    os.environ[VARIABLES[option]] = "1"


def note_reused(runs: Iterable[RunFolder]) -> None:
    """Say that those runs of some tables that are finished, and so reused, are not tracked."""
    options = [f"--{option}" for option, variable in VARIABLES.items() if variable in os.environ]
    reused = [run for run in runs if run.result is not None] if options else []
    if reused:
        logger.warning(
            f"Note: {' and '.join(options)}: nothing is written for finished runs, which are reused ({len(reused)}, "
            f"such as {reused[0].folder}). Delete the folder of a run to train it again."
        )


def start(run: RunFolder) -> None:
    """Write event files from now on, first those of the history so far; call once it is truncated to the checkpoint."""
    if VARIABLES["tensorboard"] not in os.environ:
        return
    import tensorflow as tf

    remove(run.tensorboard)
    with _tensorboard_errors_in_one_line(run):
        writer = tf.summary.create_file_writer(str(run.tensorboard))

    def write(lines: list[dict[str, Any]]) -> None:
        with _tensorboard_errors_in_one_line(run), writer.as_default():
            for line in lines:
                for name, value, step in _scalars(line):
                    tf.summary.scalar(name, value, step=step)
            writer.flush()

    # A run that has just begun has no history.
    write(run.history() if run.history_bytes() else [])
    run.listeners.append(write)


@contextmanager
def _tensorboard_errors_in_one_line(run: RunFolder) -> Iterator[None]:
    import tensorflow as tf

    try:
        yield
    except tf.errors.OpError as error:
        raise MailError(
            f"{run.tensorboard}: cannot be written ({error.message}). Free some space and run the same command again, "
            "or leave out --tensorboard."
        ) from error


def _scalars(line: dict[str, Any]) -> Iterator[tuple[str, float, int]]:
    """The scalars in a line of history.jsonl: name, value and step."""
    if "step" in line:
        for name, value in line.items():
            if name not in {"step", "epoch"}:
                yield f"training/{name}", value, line["step"]
    elif VALIDATED_STEP in line:
        for name, value in _metrics(line["validation"]):
            yield f"validation/{name}", value, line[VALIDATED_STEP]


def _metrics(groups: dict[str, dict[str, Any]]) -> Iterator[tuple[str, float]]:
    """The defined metrics of each group of users: name and value."""
    for group, metrics in groups.items():
        for name in ("AUC", "GAUC"):
            if metrics[name] is not None:
                yield f"{group} {name}", metrics[name]


def finish(run: RunFolder) -> None:
    """Log a finished run to MLflow, if it is enabled."""
    run.listeners.clear()
    if VARIABLES["mlflow"] not in os.environ:
        return
    import mlflow

    try:
        _log_to_mlflow(mlflow, run)
    except mlflow.exceptions.MlflowException as error:
        # The run is finished: training it again would not help.
        logger.warning(f"{run.folder}: is finished, but could not be logged to MLflow ({error}).")


def _log_to_mlflow(mlflow: Any, run: RunFolder) -> None:
    """Log settings, history and test metrics of a finished run."""
    result = run.result or {}
    with mlflow.start_run(run_name=f"{run.config.cell} seed {run.config.seed}"):
        mlflow.set_tags({"dataset": result["dataset"], "folder": str(real_path(run.folder))})
        mlflow.log_params(_flatten(to_toml(run.config)))
        for line in run.history():
            for name, value, step in _scalars(line):
                mlflow.log_metric(name.replace("/", "."), value, step=step)
        for name, value in _metrics(result["test"]):
            mlflow.log_metric(f"test.{name}", value)


def _flatten(settings: dict[str, Any]) -> dict[str, Any]:
    """Options by dotted keys, as in `ranker_options.units`."""
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        flat |= {f"{key}.{name}": option for name, option in value.items()} if isinstance(value, dict) else {key: value}
    return flat
