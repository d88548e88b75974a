"""A model's probabilities for the impressions of a split."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mailcli.data.batches import Batch, Batches
from mailcli.models import distribute
from mailcli.models.batch_spec import to_tensors
from mailcli.models.two_tower import TwoTower
from mailcli.training import collectives
from mailcli.utils.progress import progress


class Scorer:
    """The probabilities of a model; traced once."""

    def __init__(self, model: TwoTower) -> None:
        self._score = model.as_graph(model.probabilities)

    def __call__(self, batches: Batches, title: str) -> NDArray[np.float32]:
        """Scores of a view in the dataset's order: [impressions], or [impressions, 2] of a ranker with pCTCVR as well.

        With several workers each scores a part, and every one gets all scores.
        """
        heads = self.heads
        # Nothing else is kept of an impression, so memory stays small.
        scores = np.empty((len(batches.view.rows), heads), np.float32)
        done, share = 0, len(scores) // distribute.worker_count()
        with progress(title, share, "impressions") as advance:
            for batch in batches.in_order():
                batch_scores = self.score_batch(batch)
                scores[done : done + len(batch_scores)] = batch_scores
                done += len(batch_scores)
                advance(len(batch_scores))
        scores = collectives.gather_rows(scores[:done])
        return scores[:, 0] if heads == 1 else scores

    @property
    def heads(self) -> int:
        """The number of scores per impression: 1, or 2 with pCTCVR."""
        return int(self._score.get_concrete_function().output_shapes[1])

    def score_batch(self, batch: Batch) -> NDArray[np.float32]:
        """[B, heads], the scores of one batch."""
        scores: NDArray[np.float32] = self._score(to_tensors(batch)).numpy()
        return scores
