"""One run: the training loop, the best epoch by validation AUC, the final evaluation on the test split."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mailcli.config import RunConfig
from mailcli.data.batches import Batches
from mailcli.data.dataset import Dataset
from mailcli.data.protocol import View
from mailcli.errors import Interrupted
from mailcli.models import distribute
from mailcli.models.factory import make_model
from mailcli.models.out_of_memory import out_of_memory_in_one_line
from mailcli.models.sparse_ops import clear_custom_gradients
from mailcli.models.step import Step
from mailcli.models.two_tower import TwoTower
from mailcli.runs.audit import RunAudit, measure_audit
from mailcli.runs.checkpoints import delete_checkpoints
from mailcli.runs.environment import environment
from mailcli.runs.folder import RunFolder
from mailcli.runs.remedy import LESS_MEMORY
from mailcli.runs.result import result_head
from mailcli.training import collectives, trackers
from mailcli.training.audit_scores import audit_run
from mailcli.training.behavior_vectors import initialize_embedding
from mailcli.training.dataset_checks import checked_views
from mailcli.training.evaluate import check_selectable, measure
from mailcli.training.hidden_behavior import NotMeasurableError
from mailcli.training.loop import TrainingLoop
from mailcli.training.messages import log_end
from mailcli.training.own_code_errors import own_code_errors
from mailcli.training.preparation import check_method, prepare_method
from mailcli.training.scorer import Scorer
from mailcli.training.teachers import delete_teachers
from mailcli.training.two_stage import fit_two_stage
from mailcli.training.warm_start import WarmStart

logger = logging.getLogger(__name__)

#: Minutes between two checkpoints (ours: the work a killed run loses, against the second or two a checkpoint takes).
CHECKPOINT_MINUTES = 10.0


def train(
    run: RunFolder,
    dataset: Dataset,
    baseline: RunFolder | None = None,
    checkpoint_minutes: float | None = None,
    warm_start: WarmStart | None = None,
) -> dict[str, Any]:
    """Train, keep the best epoch by validation AUC, evaluate it on test, write the run folder.

    Args:
        run: the run to write; an interrupted run resumes from its last checkpoint.
        dataset: the dataset; with a warm start, read with the new run's ids.
        baseline: for a two-stage method, the finished run of its ranker without a method; the method is fitted to its
            best epoch.
        checkpoint_minutes: between two checkpoints; None for CHECKPOINT_MINUTES.
        warm_start: the run to continue.

    Returns:
        The contents of result.json.

    Raises:
        MailError: an option is invalid, the history is longer than the dataset's, or the dataset was changed in the
            meantime.
        DivergedError: a loss is not finite.
        Interrupted: by Ctrl-C; run again to resume from the checkpoint that was then written.
    """
    try:
        with run.lock(), errors_explained(run.config, dataset):
            return _train(run, dataset, baseline, checkpoint_minutes, warm_start)
    finally:
        clear_custom_gradients()


def train_for_validation(
    run: RunFolder, dataset: Dataset, baseline: RunFolder | None, checkpoint_minutes: float | None
) -> dict[str, Any]:
    """Train like `train`, but stop before the test split is read: for `mail tune`.

    Returns:
        What result.json would say about the best epoch: its number and the validation metrics.

    Raises:
        MailError, DivergedError, Interrupted: as `train`.
    """
    try:
        with run.lock(), errors_explained(run.config, dataset):
            return _train_to_the_end(run, dataset, baseline, checkpoint_minutes).best
    finally:
        clear_custom_gradients()


@contextmanager
def errors_explained(config: RunConfig, dataset: Dataset) -> Iterator[None]:
    """Within the block, what a training can fail of is a MailError, which says how to fix it.

    Args:
        config: of the run.
        dataset: its dataset.

    Raises:
        MailError: the user's code has failed, an array does not fit into memory, or the dataset was changed.
    """
    with (
        dataset.changes_reported(),
        own_code_errors(config, dataset),
        out_of_memory_in_one_line(config.cell, LESS_MEMORY),
    ):
        yield


def _train(
    run: RunFolder,
    dataset: Dataset,
    baseline: RunFolder | None,
    checkpoint_minutes: float | None,
    warm_start: WarmStart | None,
) -> dict[str, Any]:
    # Another process may have finished it first; then the other workers must know, too.
    if collectives.any_worker(run.result is not None):
        logger.debug(f"{run.folder}: finished in the meantime; reusing its result.")
        return run.result or {}
    started = time.monotonic()
    trained = _train_to_the_end(run, dataset, baseline, checkpoint_minutes, warm_start)
    try:
        result = _finish(run, dataset, trained, started, warm_start)
    except KeyboardInterrupt:
        raise (trained.loop.interrupted() if trained.loop else Interrupted("Interrupted.")) from None
    if run.is_local:
        if trained.loop:
            # The teachers first: a kill in between leaves checkpoints, by which the rest is found and deleted.
            delete_teachers(run)
            delete_checkpoints(run.checkpoints)
        trackers.finish(run)
        log_end(run, result, trained.seconds)
    return result


@dataclass(frozen=True)
class _Trained:
    """A model that was trained to the end, with its best epoch on disk."""

    model: TwoTower
    scorer: Scorer
    batches: dict[str, Batches]
    """By split."""
    best: dict[str, Any]
    """What result.json says about the best epoch."""
    seconds: float
    """How long the training took."""
    loop: TrainingLoop | None = None
    """None for a two-stage method."""


def _train_to_the_end(
    run: RunFolder,
    dataset: Dataset,
    baseline: RunFolder | None,
    checkpoint_minutes: float | None,
    warm_start: WarmStart | None = None,
) -> _Trained:
    """Train by epochs or, with a baseline, fit a two-stage method to it."""
    interval = CHECKPOINT_MINUTES if checkpoint_minutes is None else checkpoint_minutes
    if warm_start:
        # Before the model is created, so that random numbers are the same when an interrupted run resumes.
        warm_start.load()
    model, splits = model_and_splits(run.config, dataset, run.folder)
    scorer = Scorer(model)
    batches = {name: Batches.of_run(dataset, view, run.config, distribute.worker()) for name, view in splits.items()}
    if baseline:
        started = time.monotonic()
        best = fit_two_stage(baseline, run, dataset, model, scorer, batches)
        return _Trained(model, scorer, batches, best, time.monotonic() - started)
    batches["train"].prepared = prepare_method(model, run, dataset, splits, interval)

    def initialize(model: TwoTower, step: Step) -> None:
        initialize_embedding(model.embedding, dataset, splits["train"], run.config)
        if warm_start:
            # Last: the table's rows of known ids are the parent's.
            warm_start.initialize(model, step)

    loop = TrainingLoop(run, dataset, model, scorer, batches, interval, initialize)
    if warm_start:
        warm_start.release()
    if run.is_local:
        trackers.start(run)
    best = loop.train()
    return _Trained(model, scorer, batches, best, loop.seconds, loop)


def _finish(
    run: RunFolder, dataset: Dataset, trained: _Trained, started: float, warm_start: WarmStart | None
) -> dict[str, Any]:
    """Evaluate the best epoch on test, once, and write the result."""
    config, test = run.config, trained.batches["test"]
    run.restore(trained.model)
    collectives.broadcast(trained.model.variables)
    began_scoring = time.monotonic()
    scores = trained.scorer(test, "scoring test")
    cost = _cost(trained, time.monotonic() - began_scoring, len(scores))
    result = {
        **result_head(config, dataset),
        **trained.best,
        **({"curve": run.validation_curve()} if trained.loop else {}),
        "test": measure(dataset, test.view, scores),
    }
    if warm_start:
        result["days"] = warm_start.measure_days(config, dataset, trained.scorer, result["test"])
    audit = _audit(run, dataset, trained)
    dataset.check_files()
    run.finish(scores, environment(time.monotonic() - started, distribute.device_counts(), cost), result, audit)
    return result


def _audit(run: RunFolder, dataset: Dataset, trained: _Trained) -> RunAudit | None:
    """The audit of what the run generates for new users; None if it generates nothing, or they have no AUC.

    On every worker, so that none waits for the one that writes it.
    """
    splits = {name: batches.view for name, batches in trained.batches.items()}
    try:
        audited = audit_run(run, trained.model, dataset, splits)
    except NotMeasurableError as reason:
        logger.debug(f"{run.folder}: not audited: {reason.message}")
        return None
    return measure_audit(audited, dataset.counts["users"])


def _cost(trained: _Trained, scoring_seconds: float, impressions: int) -> dict[str, float]:
    """`cost` of environment.json: result.json has no times, so that the same training writes the same bytes."""
    return {
        "parameters": sum(math.prod(weight.shape) for weight in trained.model.whole(trained.model.weights)),
        "training_seconds": round(trained.seconds, 1),
        "scoring_microseconds": round(1e6 * scoring_seconds / impressions, 2),
    }


def model_and_splits(
    config: RunConfig, dataset: Dataset, folder: Path | None = None
) -> tuple[TwoTower, dict[str, View]]:
    """The model and the splits of a run that has not begun.

    Args:
        config: the run's settings.
        dataset: its dataset.
        folder: as for `make_model`.

    Raises:
        MailError: the config does not suit the dataset or this machine.
    """
    dataset.check_history(config.history)
    model = make_model(dataset, config, folder)
    splits = checked_views(dataset, config)
    check_selectable(dataset, splits["validation"], config.select)
    check_method(model.cold_start, config, dataset, splits["train"])
    return model, splits
