"""One run: the loop, the best checkpoint by validation AUC, the final evaluation on test."""

from __future__ import annotations

import time
from typing import Any

from mailcli.config import RunConfig
from mailcli.data.batches import Batches
from mailcli.data.dataset import Dataset
from mailcli.data.protocol import View, views
from mailcli.errors import Interrupted, MailError
from mailcli.models import distribute
from mailcli.models.factory import make_model
from mailcli.models.sparse_ops import clear_custom_gradients
from mailcli.models.two_tower import TwoTower
from mailcli.training import collectives, trackers
from mailcli.training.environment import environment
from mailcli.training.evaluate import Scorer, measure
from mailcli.training.loop import Fit
from mailcli.training.run_folder import Run
from mailcli.training.two_stage import fit_to
from mailcli.training.warm_start import Origin
from mailcli.utils import hardware

#: Minutes between two checkpoints (ours: what a killed run loses, against a second or two of writing).
CHECKPOINT_MINUTES = 10.0


def train(
    run: Run,
    dataset: Dataset,
    baseline: Run | None = None,
    minutes: float = CHECKPOINT_MINUTES,
    origin: Origin | None = None,
) -> dict[str, Any]:
    """Train, keep the best epoch by validation AUC, evaluate it on test, write the run folder.

    Args:
        run: where to; a run that was stopped goes on from its last checkpoint.
        dataset: the dataset.
        baseline: for a two-stage method, the finished run of the ranker alone, whose best epoch it is fitted to.
        minutes: between two checkpoints.
        origin: the run that this one goes on with; the dataset has its ids then.

    Returns:
        The contents of result.json.

    Raises:
        MailError: an option is wrong, histories are longer than the dataset's, or a loss is not finite.
    """
    try:
        with run.lock():
            return _train(run, dataset, baseline, minutes, origin)
    finally:
        clear_custom_gradients()


def choose(
    run: Run, dataset: Dataset, baseline: Run | None = None, minutes: float = CHECKPOINT_MINUTES
) -> dict[str, Any]:
    """Train as `train` does and stop before the test split is read, for `mail tune`.

    Returns:
        What result.json would say of the best epoch: its number and the validation's metrics.

    Raises:
        MailError: as `train`.
    """
    try:
        with run.lock():
            return _Training(run, dataset, baseline, minutes).best
    finally:
        clear_custom_gradients()


def _train(run: Run, dataset: Dataset, baseline: Run | None, minutes: float, origin: Origin | None) -> dict[str, Any]:
    # Another process may have been quicker; the other workers have to hear of it.
    if collectives.any_of(run.result is not None):
        return run.result or {}
    started = time.monotonic()
    training = _Training(run, dataset, baseline, minutes, origin)
    try:
        result = _finish(run, dataset, training, started, origin)
    except KeyboardInterrupt:
        raise (training.fit.interrupted() if training.fit else Interrupted("Interrupted.")) from None
    if training.fit and run.kept:
        training.fit.clear()
    if run.kept:
        trackers.end(run)
    return result


class _Training:
    """A model trained to its end, its best epoch on the disk."""

    def __init__(
        self, run: Run, dataset: Dataset, baseline: Run | None, minutes: float, origin: Origin | None = None
    ) -> None:
        if origin:
            # Before the model is made, so that random numbers are the same in a run that was stopped.
            origin.load()
        self.model, splits = check(run.config, dataset)
        self.scorer = Scorer(self.model)
        self.batches = {name: _batches(dataset, view, run.config) for name, view in splits.items()}
        self.fit: Fit | None = None
        """None of a two-stage method."""
        if baseline:
            run.begin()
            self.best = fit_to(baseline, run, dataset, self.model, self.scorer, self.batches)
        else:
            start = origin.into if origin else None
            self.fit = Fit(run, dataset, self.model, self.scorer, self.batches, minutes, start)
            if origin:
                origin.forget()
            if run.kept:
                trackers.begin(run)
            self.best = self.fit.best()


def _finish(run: Run, dataset: Dataset, training: _Training, started: float, origin: Origin | None) -> dict[str, Any]:
    """Evaluate the best epoch on test, once, and write the result."""
    config, test = run.config, training.batches["test"]
    run.restore(training.model)
    collectives.share(training.model.variables)
    scores = training.scorer(test, "scoring test")
    result = {
        "cell": config.cell,
        "seed": config.seed,
        "protocol": config.protocol,
        "dataset": dataset.label,
        **training.best,
        "test": measure(dataset, test.view, scores),
    }
    if origin:
        result["days"] = origin.days(config, dataset, training.scorer, result["test"])
    run.finish(scores, environment(time.monotonic() - started), result)
    return result


def check(config: RunConfig, dataset: Dataset) -> tuple[TwoTower, dict[str, View]]:
    """The model and the splits of a run that is yet to begin.

    Raises:
        MailError: they cannot be made.
    """
    dataset.check_history(config.history)
    _check_memory(config, dataset)
    model = make_model(dataset, config)
    splits = views(dataset, config)
    _check_views(splits, config)
    return model, splits


def _check_memory(config: RunConfig, dataset: Dataset) -> None:
    """Refuse a table that cannot be held: the system would kill the process without a word (MailError)."""
    rows, memory = sum(dataset.vocabulary_sizes.values()), hardware.memory_bytes()
    needed = hardware.table_bytes(rows, config.embedding_dim)
    if memory and needed > memory:
        raise MailError(
            f"embedding_dim = {config.embedding_dim}: {rows:,} embeddings, their moments and two copies while weights "
            f"are written or read need {needed / 1e9:,.3g} GB, and this machine has {memory / 1e9:,.3g} GB. Expected "
            f"{memory // hardware.table_bytes(rows, 1)} or less."
        )


def _check_views(splits: dict[str, View], config: RunConfig) -> None:
    for name, view in splits.items():
        if not len(view.rows) or view.new.all() or not view.new.any():
            raise MailError(
                f"seed {config.seed}, new_share {config.new_share}: the draw leaves the {name} split without "
                f"impressions, or without new or old users. Expected more users, or another share."
            )


def _batches(dataset: Dataset, view: View, config: RunConfig) -> Batches:
    return Batches(dataset, view, config.history, config.batch_size, distribute.worker())
