"""One training step as one graph for every batch size."""

from __future__ import annotations

from functools import partial

import numpy as np

from mailcli.config import RunConfig
from mailcli.models import distribute
from mailcli.models.features import Tensor
from mailcli.models.optimizers import ADAM_EPSILON, DenseAdam, Optimizers, SparseAdam
from mailcli.models.two_tower import TwoTower


def make_optimizers(config: RunConfig) -> Optimizers:
    """G_A and G_B."""
    adam = {"sparse_adam": SparseAdam, "adam": DenseAdam}[config.optimizer]
    with distribute.scope():
        return Optimizers(
            zero_shot=adam(config.zero_shot_learning_rate, epsilon=ADAM_EPSILON),
            ranking=adam(config.learning_rate, epsilon=ADAM_EPSILON),
        )


class Step:
    """Algorithm 1 as one graph for every batch size, with its two optimizers.

    Call: a batch of tensors -> the losses by name.
    """

    def __init__(self, model: TwoTower, optimizers: Optimizers) -> None:
        with distribute.scope():
            if model.zero_shot_variables:
                optimizers.zero_shot.build(model.zero_shot_variables)
            optimizers.ranking.build(model.ranking_variables)
        if model.embedding.mapped:
            optimizers.ranking.map_rows(model.embedding.table, model.embedding.mapped)
        self._optimizers = optimizers
        # The state of both optimizers, for checkpoints.
        self.variables = model.whole([*optimizers.zero_shot.variables, *optimizers.ranking.variables])
        self.update_every = model.cold_start.update_every if model.cold_start.co_trained else 1
        if self.update_every < 1:
            raise ValueError(f"`update_every` should be 1 or more. Received: {self.update_every}")
        self._graph, self._graph_without_tower = (
            model.as_graph(
                distribute.run_on_replicas(partial(model.train_step, optimizers=optimizers, update_tower=update))
            )
            for update in (True, False)
        )

    def __call__(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Run one step; the losses by name."""
        is_due = self.update_every == 1 or self._steps_done % self.update_every == 0
        losses: dict[str, Tensor] = (self._graph if is_due else self._graph_without_tower)(batch)
        return losses

    @property
    def _steps_done(self) -> int:
        return int(np.asarray(self._optimizers.ranking.iterations))

    def catch_up(self) -> None:
        """Apply the updates that rows absent from the last batches still lack; call it before scoring."""
        self._optimizers.catch_up()

    def trace(self) -> None:
        """Build the graph without running it."""
        self._graph.get_concrete_function()


def make_step(model: TwoTower, config: RunConfig) -> Step:
    """The training step of a run."""
    return Step(model, make_optimizers(config))
