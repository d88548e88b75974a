"""One run: the training loop, the best epoch by validation AUC, the final evaluation on the test split."""

from __future__ import annotations

import logging
import math
import time
from typing import Any

from mailcli.config import RunConfig
from mailcli.data.batches import Batches
from mailcli.data.dataset import Dataset
from mailcli.data.protocol import View
from mailcli.errors import Interrupted, MailError
from mailcli.models import distribute
from mailcli.models.factory import make_model
from mailcli.models.sparse_ops import clear_custom_gradients
from mailcli.models.step import Step
from mailcli.models.two_tower import TwoTower
from mailcli.training import collectives, trackers
from mailcli.training.audit_scores import audit_run
from mailcli.training.behavior_vectors import start_from_behaviors
from mailcli.training.dataset_checks import changes_of_dataset_reported, checked_views
from mailcli.training.environment import environment
from mailcli.training.evaluate import check_selectable, measure
from mailcli.training.hidden_behavior import NotMeasurableError
from mailcli.training.loop import TrainingLoop
from mailcli.training.messages import log_end
from mailcli.training.own_code_errors import own_code_errors
from mailcli.training.preparation import prepare_method
from mailcli.training.run_audit import RunAudit, measure_audit
from mailcli.training.run_folder import Run
from mailcli.training.scorer import Scorer
from mailcli.training.teachers import forget_teachers
from mailcli.training.two_stage import fit_two_stage
from mailcli.training.warm_start import WarmStart
from mailcli.utils import hardware

logger = logging.getLogger(__name__)

#: Minutes between two checkpoints (ours: the work a killed run loses, against the second or two a checkpoint takes).
CHECKPOINT_MINUTES = 10.0


def train(
    run: Run,
    dataset: Dataset,
    baseline: Run | None = None,
    minutes: float = CHECKPOINT_MINUTES,
    warm_start: WarmStart | None = None,
) -> dict[str, Any]:
    """Train, keep the best epoch by validation AUC, evaluate it on test, write the run folder.

    Args:
        run: the run to write; an interrupted run resumes from its last checkpoint.
        dataset: the dataset; with a warm start, read with the new run's ids.
        baseline: for a two-stage method, the finished run of its ranker without a method; the method is fitted to its
            best epoch.
        minutes: between two checkpoints.
        warm_start: the run to continue.

    Returns:
        The contents of result.json.

    Raises:
        MailError: an option is invalid, the history is longer than the dataset's, a loss is not finite, or the dataset
            was changed in the meantime.
    """
    try:
        with run.lock(), changes_of_dataset_reported(dataset), own_code_errors(run.config, dataset):
            return _train(run, dataset, baseline, minutes, warm_start)
    finally:
        clear_custom_gradients()


def train_for_validation(
    run: Run, dataset: Dataset, baseline: Run | None = None, minutes: float = CHECKPOINT_MINUTES
) -> dict[str, Any]:
    """Train like `train`, but stop before the test split is read: for `mail tune`.

    Returns:
        What result.json would say about the best epoch: its number and the validation metrics.

    Raises:
        MailError: as `train`.
    """
    try:
        with run.lock(), changes_of_dataset_reported(dataset), own_code_errors(run.config, dataset):
            return _Training(run, dataset, baseline, minutes).best
    finally:
        clear_custom_gradients()


def _train(
    run: Run, dataset: Dataset, baseline: Run | None, minutes: float, warm_start: WarmStart | None
) -> dict[str, Any]:
    # Another process may have finished it first; then the other workers must know, too.
    if collectives.any_worker(run.result is not None):
        logger.debug(f"{run.folder}: finished in the meantime; reusing its result.")
        return run.result or {}
    started = time.monotonic()
    training = _Training(run, dataset, baseline, minutes, warm_start)
    try:
        result = _finish(run, dataset, training, started, warm_start)
    except KeyboardInterrupt:
        raise (training.loop.interrupted() if training.loop else Interrupted("Interrupted.")) from None
    if run.is_local:
        if training.loop:
            # The teachers first: a kill in between leaves checkpoints, by which the rest is found and deleted.
            forget_teachers(run)
            training.loop.delete_checkpoints()
        trackers.finish(run)
        log_end(run, result, training.seconds)
    return result


class _Training:
    """A model trained to the end, with its best epoch on disk."""

    def __init__(
        self, run: Run, dataset: Dataset, baseline: Run | None, minutes: float, warm_start: WarmStart | None = None
    ) -> None:
        if warm_start:
            # Before the model is created, so that random numbers are the same when an interrupted run resumes.
            warm_start.load()
        self.model, splits = prepare(run.config, dataset)
        self.scorer = Scorer(self.model)
        self.batches = {name: _batches(dataset, view, run.config) for name, view in splits.items()}
        self.loop: TrainingLoop | None = None
        """None for a two-stage method."""
        if baseline:
            started = time.monotonic()
            self.best = fit_two_stage(baseline, run, dataset, self.model, self.scorer, self.batches)
            self.seconds = time.monotonic() - started
        else:

            def initialize(model: TwoTower, step: Step) -> None:
                if run.config.embedding_init == "behaviors":
                    start_from_behaviors(model.embedding, dataset, splits["train"], run.config.seed)
                if warm_start:
                    # Last: the table's rows of known ids are the parent's.
                    warm_start.initialize(model, step)

            self.batches["train"].held_out = prepare_method(self.model, run, dataset, splits, minutes)
            self.loop = TrainingLoop(run, dataset, self.model, self.scorer, self.batches, minutes, initialize)
            if warm_start:
                warm_start.release()
            if run.is_local:
                trackers.start(run)
            self.best = self.loop.train()
            self.seconds = self.loop.seconds


def _finish(
    run: Run, dataset: Dataset, training: _Training, started: float, warm_start: WarmStart | None
) -> dict[str, Any]:
    """Evaluate the best epoch on test, once, and write the result."""
    config, test = run.config, training.batches["test"]
    run.restore(training.model)
    collectives.broadcast(training.model.variables)
    began_scoring = time.monotonic()
    scores = training.scorer(test, "scoring test")
    cost = _cost(training, time.monotonic() - began_scoring, len(scores))
    result = {
        "cell": config.cell,
        "seed": config.seed,
        "protocol": config.protocol,
        "dataset": dataset.label,
        **training.best,
        **({"curve": run.validation_curve()} if training.loop else {}),
        "test": measure(dataset, test.view, scores),
    }
    if warm_start:
        result["days"] = warm_start.measure_days(config, dataset, training.scorer, result["test"])
    audit = _audit(run, dataset, training)
    dataset.check_files()
    run.finish(scores, environment(time.monotonic() - started, distribute.device_counts(), cost), result, audit)
    return result


def _audit(run: Run, dataset: Dataset, training: _Training) -> RunAudit | None:
    """The audit of what the run generates for new users; None if it generates nothing, or they have no AUC.

    On every worker, so that none waits for the one that writes it.
    """
    splits = {name: batches.view for name, batches in training.batches.items()}
    try:
        audited = audit_run(run, training.model, dataset, splits)
    except NotMeasurableError as reason:
        logger.debug(f"{run.folder}: not audited: {reason.message}")
        return None
    return measure_audit(audited, dataset.counts["users"])


def _cost(training: _Training, scoring_seconds: float, impressions: int) -> dict[str, float]:
    """`cost` of environment.json: result.json has no times, so that the same training writes the same bytes."""
    return {
        "parameters": sum(math.prod(weight.shape) for weight in training.model.weights),
        "training_seconds": round(training.seconds, 1),
        "scoring_microseconds": round(1e6 * scoring_seconds / impressions, 2),
    }


def prepare(config: RunConfig, dataset: Dataset) -> tuple[TwoTower, dict[str, View]]:
    """The model and the splits of a run that has not begun.

    Raises:
        MailError: the config does not suit the dataset or this machine.
    """
    dataset.check_history(config.history)
    _check_memory(config, dataset)
    model = make_model(dataset, config)
    splits = checked_views(dataset, config)
    check_selectable(dataset, splits["validation"], config.select)
    return model, splits


def _check_memory(config: RunConfig, dataset: Dataset) -> None:
    """Refuse an embedding table that does not fit in memory: the system would kill the process silently (MailError)."""
    rows, memory = sum(dataset.vocabulary_sizes.values()), hardware.memory_bytes()
    needed = hardware.table_bytes(rows, config.embedding_dim)
    if memory and needed > memory:
        raise MailError(
            f"embedding_dim = {config.embedding_dim}: {rows:,} embeddings, their moments and two copies while weights "
            f"are written or read need {needed / 1e9:,.3g} GB, and this machine has {memory / 1e9:,.3g} GB. Expected "
            f"{memory // hardware.table_bytes(rows, 1)} or less."
        )


def _batches(dataset: Dataset, view: View, config: RunConfig) -> Batches:
    return Batches(dataset, view, config.history, config.batch_size, distribute.worker())
