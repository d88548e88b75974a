"""Embeddings that know which values go together before the first click is seen: `embedding_init = "behaviors"`.

They come from the correspondence analysis of the histories. Clicks are few and behaviors many, so a table that learns
only from clicks does not discover this.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mailcli.config import RunConfig
from mailcli.data.dataset import Dataset
from mailcli.data.protocol import View
from mailcli.models.correspondence import value_vectors
from mailcli.models.embedding import FeatureEmbedding
from mailcli.models.table.rows import write_rows
from mailcli.training import collectives

#: At most so many users are examined, and of each one's behaviors before the last training impression at most the last
#: so many, which bounds time and memory (ours).
USERS, BEHAVIORS_PER_USER = 200_000, 100


def initialize_embedding(embedding: FeatureEmbedding, dataset: Dataset, view: View, config: RunConfig) -> None:
    """Begin with the behaviors of a training split if the run does; otherwise the table stays as it was drawn."""
    if config.embedding_init == "behaviors":
        start_from_behaviors(embedding, dataset, view, config.seed)


def start_from_behaviors(embedding: FeatureEmbedding, dataset: Dataset, view: View, seed: int) -> None:
    """Set the table's rows of the behavior fields' vocabularies.

    Args:
        embedding: the table, newly initialized.
        dataset: the dataset.
        view: its training split; new users' behaviors are not examined.
        seed: of the draw of users, if there are too many, and of the decomposition's starting vector.
    """
    user, rows, _ = seen_behavior_rows(dataset, view, np.random.default_rng(seed))
    for field in dataset.schema.group("behavior"):
        ids = np.asarray(dataset.column("behaviors", field.name)[rows])
        size = dataset.vocabulary_sizes[field.vocabulary]
        vectors = value_vectors(user, ids, size, embedding.dim, seed)
        first = embedding.first_row[field.vocabulary]
        has_vector = np.flatnonzero(vectors.any(axis=1))
        write_rows(embedding.whole_table, first + has_vector, vectors[has_vector])
    # Other processors may round differently.
    collectives.broadcast(embedding.variables)


def seen_behavior_rows(
    dataset: Dataset, view: View, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """User and row of the behaviors that are examined: those of old users before their last training impression.

    Third, the old users with behavior who are not examined.
    """
    users = np.asarray(dataset.column("train", "user")[view.rows], np.int64)
    end = np.asarray(dataset.column("train", "history_end")[view.rows], np.int64)
    old = ~view.is_new(users, view.rows)
    last = np.zeros(dataset.counts["users"], np.int64)
    np.maximum.at(last, users[old], end[old])
    begin = np.maximum(dataset.offsets[:-1], last - BEHAVIORS_PER_USER)
    count = np.maximum(last - begin, 0)
    left_out = rng.permutation(np.flatnonzero(count))[USERS:]
    count[left_out] = 0
    user = np.repeat(np.arange(len(count)), count)
    step = np.arange(len(user)) - np.repeat(np.cumsum(count) - count, count)
    return user, np.repeat(begin, count) + step, left_out
