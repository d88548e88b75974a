"""Embeddings that know which values go together before the first click is seen: `embedding_init = "behaviors"`.

Correspondence analysis of who did what (Benzécri, 1973; Greenacre, *Correspondence Analysis in Practice*): of the
counts n_uv of users x values, the singular vectors of (n_uv - n_u n_v / n) / √(n_u (n_v + n̄)) place values that the
same users turn to near one another; n̄, a mean value's count, keeps rare values near zero. Clicks are few and behaviors
many, so a table that learns from clicks alone does not find this out.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.linalg import aslinearoperator, svds

from mailcli.data.dataset import Dataset
from mailcli.data.protocol import View
from mailcli.data.schema import FIRST_ID
from mailcli.models.embedding import FeatureEmbedding
from mailcli.training import collectives

#: At most so many users are looked at, and of each one's behaviors before the last training impression at most the last
#: so many, which bounds time and memory (ours).
USERS, BEHAVIORS_PER_USER = 200_000, 100
#: Root mean square of the vectors' entries (ours: with .1, BaseDNN learned less of them, .634 instead of .655 for old
#: users on the validation day of experiments/simulated-30k.toml).
SCALE = 1.0


def start_from_behaviors(embedding: FeatureEmbedding, dataset: Dataset, view: View, seed: int) -> None:
    """Set the table's rows of the behavior fields' vocabularies.

    Args:
        embedding: the table, newly initialized.
        dataset: the dataset.
        view: its training split; new users' behaviors are not looked at.
        seed: of the draw of users, if there are too many, and of the decomposition's starting vector.
    """
    user, rows = seen_behaviors(dataset, view, np.random.default_rng(seed))
    table = embedding.table.numpy()
    for field in dataset.schema.group("behavior"):
        ids = np.asarray(dataset.column("behaviors", field.name)[rows])
        size = dataset.vocabulary_sizes[field.vocabulary]
        vectors = value_vectors(user, ids, size, embedding.dim, seed)
        first = embedding.first_row[field.vocabulary]
        has_vector = np.asarray(vectors.any(axis=1))[:, None]
        table[first : first + size] = np.where(has_vector, vectors, table[first : first + size])
    embedding.table.assign(table)
    # Other processors may round otherwise.
    collectives.broadcast([embedding.table])


def seen_behaviors(
    dataset: Dataset, view: View, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """User and row of the behaviors that are looked at: those of old users before their last training impression."""
    users = np.asarray(dataset.column("train", "user")[view.rows], np.int64)
    end = np.asarray(dataset.column("train", "history_end")[view.rows], np.int64)
    old = ~view.is_new(users, view.rows)
    last = np.zeros(dataset.counts["users"], np.int64)
    np.maximum.at(last, users[old], end[old])
    begin = np.maximum(dataset.offsets[:-1], last - BEHAVIORS_PER_USER)
    count = np.maximum(last - begin, 0)
    if np.count_nonzero(count) > USERS:
        count[rng.permutation(np.flatnonzero(count))[USERS:]] = 0
    user = np.repeat(np.arange(len(count)), count)
    step = np.arange(len(user)) - np.repeat(np.cumsum(count) - count, count)
    return user, np.repeat(begin, count) + step


def value_vectors(
    user: NDArray[np.int64], ids: NDArray[np.integer], size: int, dim: int, seed: int
) -> NDArray[np.float32]:
    """[size, dim], a vector per id of a vocabulary; zeros for padding, unknown and ids without behavior.

    Args:
        user, ids: [N], who did it, and the value's id.
        size: of the vocabulary.
        dim: length of a vector; components that do not exist are zero.
        seed: of the decomposition's starting vector.
    """
    vectors = np.zeros((size, dim), np.float32)
    real = ids >= FIRST_ID
    if not real.any():
        return vectors
    _, user = np.unique(user[real], return_inverse=True)
    shape = user.max() + 1, size - FIRST_ID
    counts = sparse.csr_array((np.ones(len(user)), (user, ids[real] - FIRST_ID)), shape)
    components = min(dim, min(shape) - 1)
    if components < 1:
        return vectors
    per_user: NDArray[np.float64] = counts.sum(axis=1)
    per_value: NDArray[np.float64] = counts.sum(axis=0)
    by_user, by_value = per_user**-0.5, (per_value + per_value.mean()) ** -0.5
    scaled = aslinearoperator(sparse.diags_array(by_user) @ counts @ sparse.diags_array(by_value))
    # A product of two vectors, subtracted without making the dense matrix.
    expected = np.sqrt(per_user)[:, None] / len(user), (per_value * by_value)[None]
    centered = scaled - aslinearoperator(expected[0]) @ aslinearoperator(expected[1])
    _, singular_values, right = svds(centered, k=components, rng=np.random.default_rng(seed))
    places = by_value[:, None] * (right * singular_values[:, None])[::-1].T
    spread = np.sqrt(np.average((places**2).mean(axis=1), weights=per_value))
    if spread > 0:
        vectors[FIRST_ID:, :components] = SCALE * places / spread
    return vectors
