"""The training loop of one run: steps, checkpoints, validation, the best epoch. It goes on where a killed one was."""

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
from mailcli.errors import Interrupted, MailError
from mailcli.models import distribute
from mailcli.models.batch_spec import to_tensors
from mailcli.models.features import Tensor
from mailcli.models.step import Step, make_step
from mailcli.models.two_tower import TwoTower
from mailcli.training import collectives
from mailcli.training.checkpoints import Checkpoints, Progress, check_space, save_variables
from mailcli.training.evaluate import Scorer, measure
from mailcli.training.run_folder import Run
from mailcli.utils.files import write_atomically
from mailcli.utils.progress import progress
from mailcli.utils.signals import PostponedInterrupt, postpone_interrupts

logger = logging.getLogger(__name__)


#: Steps whose losses are fetched and written together (ours): the loop then seldom waits for a step to end.
LOG_EVERY = 50
#: What a worker that does not write the run's folder tells of it.
_ELSEWHERE = "Worker 0 has the checkpoints."


class Fit:
    """Trains a model until validation no longer improves; the best epoch's weights are saved.

    Args:
        run: where to; it goes on with the checkpoint that is there.
        dataset: the dataset.
        model: of the run's config, as it was initialized.
        scorer: of the model.
        batches: of the splits train and validation.
        minutes: between two checkpoints.
        start: called with the model and its step where there is no checkpoint, to begin from other variables.
    """

    def __init__(
        self,
        run: Run,
        dataset: Dataset,
        model: TwoTower,
        scorer: Scorer,
        batches: dict[str, Batches],
        minutes: float,
        start: Callable[[TwoTower, Step], None] | None = None,
    ) -> None:
        self._run, self._dataset, self._model, self._scorer = run, dataset, model, scorer
        self._batches, self._validation = batches["train"], batches["validation"]
        self._step = make_step(model, run.config)
        variables = [*model.variables, *self._step.variables]
        self._checkpoints = Checkpoints(run.checkpoints, variables)
        self._pending: list[dict[str, Tensor]] = []
        self._seconds, self._saved = 60 * minutes, time.monotonic()
        found = self._restored(variables)
        if found is None:
            if start:
                # It may refuse, and then there must be no folder.
                start(model, self._step)
            run.begin()
            if run.kept:
                check_space(run.folder, variables)
        else:
            if run.kept:
                logger.info(f"{run.folder}: goes on after step {found.steps}, in epoch {found.epoch}.")
            run.cut_history(found.history_bytes)
        self._progress = found or Progress()
        self._stream: Iterator[Batch] | None = None

    def _restored(self, variables: list[Any]) -> Progress | None:
        """Where the run stands, of the checkpoint that is there; every worker gets the chief's."""
        run = self._run
        found = self._checkpoints.restore(run.history_bytes(), len(self._batches)) if run.began else None
        if distribute.worker_count() > 1:
            told = json.loads(collectives.tell(json.dumps(asdict(found) if found else None)))
            found = Progress(**told) if told else None
            if found:
                collectives.share(variables)
        return found

    def best(self) -> dict[str, Any]:
        """Train to the end; what result.json says of the best epoch.

        Raises:
            MailError: a loss or gradient is not finite, or a checkpoint cannot be written.
            Interrupted: by Ctrl-C; what was done is kept.
        """
        # Several workers stop together, so in a step: until the next one, validation goes on.
        several = distribute.worker_count() > 1
        try:
            with postpone_interrupts() if several else nullcontext() as together:
                while self._progress.epoch <= self._run.config.epochs:
                    if not self._validation_is_due:
                        with nullcontext(together) if together else postpone_interrupts() as interrupt:
                            self._train(interrupt)
                    if self._validate():
                        break
                if together and collectives.any_of(together.requested):
                    raise KeyboardInterrupt
        except KeyboardInterrupt:
            raise self.interrupted() from None
        return self._progress.best

    def interrupted(self) -> Interrupted:
        """What Ctrl-C is answered with."""
        if not self._run.kept:
            return Interrupted(f"Interrupted. {_ELSEWHERE} The same commands go on from there.")
        return Interrupted(f"Interrupted. {self._checkpoints.told()} The same command goes on from there.")

    def clear(self) -> None:
        """Delete the checkpoints of a finished run."""
        self._checkpoints.clear()

    def _stops_at(self, step: int) -> bool:
        """Whether training stops for a validation after a step of an epoch."""
        every = self._run.config.eval_every
        return step == len(self._batches) or bool(every and step and step % every == 0)

    @property
    def _validation_is_due(self) -> bool:
        """Whether the steps before a validation are done and it is not: it was cut short, or the run was."""
        return self._stops_at(self._progress.step) and self._progress.validated < self._progress.steps

    def _train(self, interrupt: PostponedInterrupt) -> None:
        """The steps up to the next validation, and a checkpoint: validation changes nothing that is in it."""
        at, config = self._progress, self._run.config
        left = len(self._batches.view.rows) - at.step * config.batch_size
        if self._stream is None:
            self._stream = self._batches.shuffled(config.seed, at.epoch, at.step)
        with progress(f"{config.cell}, seed {config.seed}, epoch {at.epoch}", left, "impressions") as advance:
            for batch in self._stream:
                self._pending.append(self._step(to_tensors(batch)))
                at.step += 1
                at.steps += 1
                advance(min(config.batch_size, left))
                left -= config.batch_size
                asked = collectives.any_of(interrupt.requested)
                if asked or time.monotonic() - self._saved >= self._seconds:
                    self._save()
                if asked:
                    raise KeyboardInterrupt
                if len(self._pending) == LOG_EVERY:
                    self._flush()
                if self._stops_at(at.step):
                    break
            self._save()

    def _save(self) -> None:
        self._flush()
        self._progress.history_bytes = self._run.history_bytes()
        if self._run.kept:
            self._checkpoints.save(self._progress)
        self._saved = time.monotonic()

    def _flush(self) -> None:
        """Write the losses of the last steps (MailError when one is not finite)."""
        first = self._progress.steps - len(self._pending) + 1
        lines = [
            {"step": number, "epoch": self._progress.epoch, **{name: float(value) for name, value in losses.items()}}
            for number, losses in enumerate(self._pending, start=first)
        ]
        self._pending.clear()
        self._run.log(lines)
        for line in lines:
            wrong = [name for name, value in line.items() if not math.isfinite(value)]
            if wrong:
                run = self._run
                where = run.folder if run.kept else f"{run.config.cell}, seed {run.config.seed}"
                raise MailError(
                    f"{where}: {wrong[0]} is {line[wrong[0]]} in step {line['step']}, of steps {first} to "
                    f"{self._progress.steps}. Training stopped. "
                    f"{self._checkpoints.told() if run.kept else _ELSEWHERE} A lower learning_rate may help."
                )

    def _validate(self) -> bool:
        """Measure the model, keep its weights if it is the best; whether training should end."""
        at = self._progress
        scores = self._scorer(self._validation, "scoring validation")
        found = measure(self._dataset, self._validation.view, scores)
        self._run.log([{"epoch": at.epoch, "after_step": at.steps, "validation": found}])
        before = at.best["validation"]["all"]["AUC"] if "validation" in at.best else -math.inf
        if found["all"]["AUC"] > before:
            at.best, at.worse = {"best_epoch": at.epoch, "best_step": at.steps, "validation": found}, 0
            if self._run.kept:
                with write_atomically(self._run.weights) as partial:
                    self._model.save_weights(partial)
                save_variables(self._run.optimizers, self._step.variables)
        else:
            at.worse += 1
        at.validated = at.steps
        if at.step == len(self._batches):
            at.epoch, at.step, self._stream = at.epoch + 1, 0, None
        return at.worse >= self._run.config.patience
