"""The training loop of one run: steps, checkpoints, validation, the best epoch. It resumes an interrupted run."""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import asdict
from typing import Any

from mailcli.data.batches import Batch, Batches
from mailcli.data.dataset import Dataset
from mailcli.errors import DivergedError, Interrupted
from mailcli.models import distribute
from mailcli.models.batch_spec import to_tensors
from mailcli.models.features import Tensor
from mailcli.models.step import Step, make_step
from mailcli.models.two_tower import TwoTower
from mailcli.runs.checkpoints import Checkpoints, TrainingState, check_disk_space
from mailcli.runs.folder import RunFolder
from mailcli.runs.history import VALIDATED_STEP
from mailcli.runs.variable_files import save_variables
from mailcli.training import collectives
from mailcli.training.evaluate import measure
from mailcli.training.messages import MeanLosses, log_begin, log_validation
from mailcli.training.normalization import NormalizationStatistics
from mailcli.training.scorer import Scorer
from mailcli.utils.progress import Pace, WorkDone, progress
from mailcli.utils.signals import PostponedInterrupt, postpone_interrupts

logger = logging.getLogger(__name__)

#: Steps whose losses are fetched and written together (ours): the loop then rarely waits for a step to end.
LOG_EVERY = 50
#: Steps after which a long epoch is interrupted by a validation, where `eval_every` is 0 (ours: about 10 million
#: impressions in the paper's batches, whose validation takes a few per cent of the time).
LONG_EPOCH = 10_000
#: What a worker that does not write the run folder says about checkpoints.
_CHIEF_HAS_CHECKPOINTS = "Worker 0 has the checkpoints."


def validated_steps(steps: int, eval_every: int) -> frozenset[int]:
    """The steps of an epoch that a validation follows: the last one, and those that are due before.

    Args:
        steps: of the epoch.
        eval_every: the setting; 0 for every LONG_EPOCH steps, but not shortly before the end, which would use up
            patience.
    """
    every, last = (eval_every, steps) if eval_every else (LONG_EPOCH, steps - (LONG_EPOCH - 1) // 2)
    return frozenset([*range(every, last, every), steps])


class TrainingLoop:
    """Trains a model until validation no longer improves, and saves the best epoch's weights.

    Args:
        run: the run to write; it resumes from the checkpoint that is there.
        dataset: the dataset.
        model: of the run's config, newly initialized.
        scorer: of the model.
        batches: of the splits train and validation.
        checkpoint_minutes: between two checkpoints.
        initialize: sets variables of the model and its step where there is no checkpoint.
    """

    def __init__(
        self,
        run: RunFolder,
        dataset: Dataset,
        model: TwoTower,
        scorer: Scorer,
        batches: dict[str, Batches],
        checkpoint_minutes: float,
        initialize: Callable[[TwoTower, Step], None] | None = None,
    ) -> None:
        self._run, self._dataset, self._model, self._scorer = run, dataset, model, scorer
        self._batches, self._validation = batches["train"], batches["validation"]
        self._validated_steps = validated_steps(len(self._batches), run.config.eval_every)
        self._step = make_step(model, run.config)
        variables = [*model.whole(model.variables), *self._step.variables]
        self._checkpoints = Checkpoints(run.checkpoints, variables)
        self._normalization = NormalizationStatistics(model, self._batches, run.config.seed)
        self._pending: list[dict[str, Tensor]] = []
        self._seconds_between_checkpoints, self._last_saved = 60 * checkpoint_minutes, time.monotonic()
        self._stream: Iterator[Batch] | None = None
        restored = self._restore(variables)
        if restored is None:
            if initialize:
                # Before the folder exists, because it may raise an error.
                initialize(model, self._step)
            if run.is_local:
                # Before a run is replaced.
                check_disk_space(run.folder, variables)
            run.begin()
            if run.is_local:
                log_begin(run.config, len(self._batches))
        else:
            if run.is_local:
                logger.info(f"{run.folder}: resuming after step {restored.steps} (epoch {restored.epoch}).")
            run.truncate_history(restored.history_bytes)
        self._state = restored or TrainingState()
        self._seconds_before, self._started = self._state.seconds, time.monotonic()
        self._pace_from: tuple[float, int] | None = None
        self._mean_losses = MeanLosses()
        self._history_bytes = run.history_bytes()

    def _restore(self, variables: list[Any]) -> TrainingState | None:
        """The state of the newest checkpoint, with its variables; every worker gets the chief's."""
        run = self._run
        state = None
        if run.has_begun:
            has_best = run.weights.is_file()
            state = self._checkpoints.restore(run.history_bytes(), len(self._batches), has_best)
        if distribute.worker_count() > 1:
            values = json.loads(collectives.broadcast_text(json.dumps(asdict(state) if state else None)))
            state = TrainingState(**values) if values else None
            if state:
                collectives.broadcast(variables)
        return state

    def train(self) -> dict[str, Any]:
        """Train to the end; what result.json says about the best epoch.

        Raises:
            DivergedError: a loss or gradient is not finite.
            MailError: a checkpoint cannot be written, or the dataset was changed.
            Interrupted: Ctrl-C was pressed; a checkpoint has been written.
        """
        # Several workers stop together, at the end of a step: a validation is finished first.
        several = distribute.worker_count() > 1
        try:
            with postpone_interrupts() if several else nullcontext() as shared_interrupt:
                while self._state.epoch <= self._run.config.epochs:
                    if not self._validation_is_due:
                        with nullcontext(shared_interrupt) if shared_interrupt else postpone_interrupts() as interrupt:
                            self._train_until_validation(interrupt)
                        if interrupt.requested and not several:
                            # It came while the last checkpoint was written, so no step has seen it.
                            raise KeyboardInterrupt
                    if self._validate():
                        break
                if shared_interrupt and collectives.any_worker(shared_interrupt.requested):
                    raise KeyboardInterrupt
        except KeyboardInterrupt:
            raise self.interrupted() from None
        return self._state.best

    @property
    def seconds(self) -> float:
        """How long training has taken so far, validations included, in all processes of a run that was resumed."""
        return self._seconds_before + time.monotonic() - self._started

    def interrupted(self) -> Interrupted:
        """The error that ends the command after Ctrl-C."""
        if not self._run.is_local:
            return Interrupted(f"Interrupted. {_CHIEF_HAS_CHECKPOINTS} Run the same commands to resume.")
        return Interrupted(f"Interrupted. {self._checkpoints.describe_newest()} Run the same command to resume.")

    def _is_validated_after(self, step: int) -> bool:
        """Whether a validation follows this step of an epoch."""
        return step in self._validated_steps

    @property
    def _validation_is_due(self) -> bool:
        """Whether the run was interrupted between the last step before a validation and the end of the validation."""
        return self._is_validated_after(self._state.step) and self._state.validated < self._state.steps

    @property
    def _impressions(self) -> int:
        """The impressions of all epochs, if the run goes to its last one."""
        return self._run.config.epochs * len(self._batches.view.rows)

    @property
    def _impressions_done(self) -> int:
        """The impressions of all steps so far."""
        state, rows = self._state, len(self._batches.view.rows)
        return (state.epoch - 1) * rows + min(state.step * self._run.config.batch_size, rows)

    @property
    def _work_done(self) -> WorkDone:
        """How far the whole run has come, for its progress; the time of validations counts."""
        since, before = self._pace_from or (time.monotonic(), self._impressions_done)
        return WorkDone(self._impressions_done, self._impressions_done - before, time.monotonic() - since)

    def _train_until_validation(self, interrupt: PostponedInterrupt) -> None:
        """The steps up to the next validation, then a checkpoint: a validation that is interrupted is repeated."""
        state, config = self._state, self._run.config
        impressions_left = len(self._batches.view.rows) - state.step * config.batch_size
        if self._stream is None:
            self._stream = self._batches.shuffled(config.seed, state.epoch, state.step)
        title = f"{config.cell}, seed {config.seed}, epoch {state.epoch} of {config.epochs}"
        with progress(title, self._impressions, "impressions", self._work_done) as advance:
            for batch in self._stream:
                self._pending.append(self._step(to_tensors(batch)))
                state.step += 1
                state.steps += 1
                advance(min(config.batch_size, impressions_left))
                impressions_left -= config.batch_size
                # The first step also builds the graph, so the pace is taken from its end.
                self._pace_from = self._pace_from or (time.monotonic(), self._impressions_done)
                stop = collectives.any_worker(interrupt.requested)
                if stop or time.monotonic() - self._last_saved >= self._seconds_between_checkpoints:
                    self._save()
                if stop:
                    raise KeyboardInterrupt
                if len(self._pending) == LOG_EVERY:
                    self._flush()
                if self._is_validated_after(state.step):
                    break
            self._save()

    def _save(self) -> None:
        self._flush()
        # Every checkpoint is of steps on the dataset as it was opened.
        self._dataset.check_files()
        self._state.history_bytes = self._run.history_bytes()
        self._state.seconds = self.seconds
        if self._run.is_local:
            self._checkpoints.save(self._state)
        self._last_saved = time.monotonic()

    def _flush(self) -> None:
        """Write the losses of the last steps (DivergedError if one is not finite)."""
        first = self._state.steps - len(self._pending) + 1
        lines = [
            {"step": step, "epoch": self._state.epoch, **{name: float(value) for name, value in losses.items()}}
            for step, losses in enumerate(self._pending, start=first)
        ]
        self._pending.clear()
        self._log(lines)
        for line in lines:
            for name, value in line.items():
                if not math.isfinite(value):
                    raise DivergedError(
                        f"{self._label}: {name} is {value} in step {line['step']}, of steps {first} to "
                        f"{self._state.steps}. Training stopped. {self._describe_checkpoint()} A lower learning_rate "
                        "may help."
                    )
        self._mean_losses.add(lines)

    def _log(self, lines: list[dict[str, Any]]) -> None:
        """Append lines to the history (MailError if the folder was changed since the last time)."""
        run = self._run
        if run.is_local:
            run.check_written(self._history_bytes, self._state.best["best_epoch"])
        self._history_bytes = run.log(lines)

    @property
    def _label(self) -> str:
        """The run, for an error text."""
        run = self._run
        return str(run.folder) if run.is_local else f"{run.config.cell}, seed {run.config.seed}"

    def _describe_checkpoint(self) -> str:
        return self._checkpoints.describe_newest() if self._run.is_local else _CHIEF_HAS_CHECKPOINTS

    def _validate(self) -> bool:
        """Measure the model and save its weights if it is the best so far; whether training should end."""
        state = self._state
        self._step.catch_up()
        self._normalization.update()
        scores = self._scorer(self._validation, "scoring validation")
        metrics = measure(self._dataset, self._validation.view, scores)
        self._log([{"epoch": state.epoch, VALIDATED_STEP: state.steps, "validation": metrics}])
        select = self._run.config.select
        best_auc = state.best["validation"][select]["AUC"] if "validation" in state.best else -math.inf
        if metrics[select]["AUC"] > best_auc:
            state.best = {"best_epoch": state.epoch, "best_step": state.steps, "validation": metrics}
            state.worse = 0
            self._save_best()
        else:
            state.worse += 1
        state.validated = state.steps
        epoch, config = state.epoch, self._run.config
        if state.step == len(self._batches):
            state.epoch, state.step, self._stream = epoch + 1, 0, None
        is_last = state.worse >= config.patience or state.epoch > config.epochs
        if self._run.is_local:
            seconds_left = None if is_last else Pace(self._impressions, self._work_done).seconds_left
            log_validation(config, epoch, state, self._mean_losses.take(), metrics, self.seconds, seconds_left)
        return is_last

    def _save_best(self) -> None:
        if not self._run.is_local:
            return
        self._run.save_weights(self._model)
        save_variables(self._run.optimizers, self._step.variables)
        state = self._state
        best_auc = state.best["validation"][self._run.config.select]["AUC"]
        logger.debug(
            f"{self._run.folder}: best validation AUC so far, {best_auc:.4f}, after step {state.steps} (epoch "
            f"{state.epoch}); weights written."
        )
