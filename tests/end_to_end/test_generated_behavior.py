"""What is generated for new users is nearer to their own hidden behavior than what users do on average."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray

from mailcli.config import make_config
from mailcli.data.dataset import Dataset
from mailcli.experiments.cells import train_if_missing
from mailcli.models.batch_spec import to_tensors
from mailcli.models.features import without_behaviors
from mailcli.preprocessing.pipeline import PreprocessOptions, preprocess
from mailcli.simulation.alimama import simulate_alimama
from mailcli.simulation.world import Settings
from mailcli.training.predictor import Predictor

#: Enough for every method to learn from; small embeddings, of which CVAE once could not tell users apart.
SETTINGS = {
    "data": "world",
    "epochs": 6,
    "patience": 6,
    "batch_size": 128,
    "history": 30,
    "embedding_init": "small",
}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """A log in which interests follow from attributes alone."""
    folder = tmp_path_factory.mktemp("world")
    simulate_alimama(Settings(users=2000, seed=0, behaviors_per_user=60, attribute_strength=1.0), folder / "raw")
    return preprocess("alimama", folder / "raw", folder, "world", PreprocessOptions(history=30))


def sums_of_steps(predictor: Predictor) -> tuple[NDArray, NDArray, NDArray[np.bool_]]:
    """Σ v and Σ v̂ [users, d] at each test user's last impression, and who is new."""
    dataset, view = predictor.dataset, predictor.test
    user = dataset.column("test", "user")[view.rows]
    rows = np.flatnonzero(dataset.earlier_behaviors("test")[view.rows] > 0)
    last = rows[np.append(user[rows][1:] != user[rows][:-1], True)]
    batches = predictor.batches(predictor.test_with_all_histories)
    features = predictor.model.embedding(to_tensors(batches.gather(view.rows[last])))
    hidden = without_behaviors(features, tf.ones(len(last), tf.bool))
    generated = predictor.model.cold_start.complete(hidden)
    return features.behavior_sum.numpy(), generated.behavior_sum.numpy(), view.new[user[last]]


@pytest.mark.slow
@pytest.mark.parametrize(("method", "least"), [("llae", 0.1), ("cvae", 0.05), ("mail", 0.05)])
def test_it_is_nearer_than_the_mean_of_old_users(method: str, least: float, world: Dataset, tmp_path: Path) -> None:
    """1 - Σ|v̂ - v|² / Σ|v̄ - v|² over new users, v̄ the mean of old users: the share of what tells them apart."""
    config = make_config([SETTINGS, {"cold_start": method}])
    train_if_missing(config.baseline(), world, tmp_path)
    run = train_if_missing(config, world, tmp_path)
    real, generated, new = sums_of_steps(Predictor(run, world))
    mean = real[~new].mean(axis=0)
    explained = 1 - ((generated - real)[new] ** 2).sum() / ((mean - real)[new] ** 2).sum()
    assert explained > least
    # And it is not the same for everybody.
    spread = np.linalg.norm(generated[new] - generated[new].mean(axis=0), axis=1).mean()
    assert spread > 0.1 * np.linalg.norm(generated[new], axis=1).mean()
