"""Tastes without a ranker: the scalar products behind H1, H4 and H5 of HYPOTHESES.md.

    mail run experiments/combinations-choices.toml
    python experiments/taste_scores.py

AUC of <v, q> on the validation day, q the target's vector and v the mean vector of real behavior, that of users with
the same attributes, or what a network foretells. The vectors are those that `embedding_init=behaviors` begins with.
"""

from pathlib import Path

import keras
import numpy as np

from mailcli.config import make_config
from mailcli.data.batches import Batches
from mailcli.data.dataset import Dataset, open_dataset
from mailcli.data.protocol import View, views
from mailcli.metrics.auc import auc
from mailcli.models.batch_spec import to_tensors
from mailcli.models.factory import make_model
from mailcli.models.features import mean_behavior
from mailcli.models.two_tower import TwoTower
from mailcli.simulation.world import INTEREST_ATTRIBUTES
from mailcli.training.behavior_vectors import start_from_behaviors

SETTINGS = {"data": "combinations-choices", "protocol": "strict", "history": 50, "embedding_init": "behaviors"}
#: Weight of the mean of all users in that of a group, in behaviors.
PRIOR = 10
#: Epochs of the network; the one that foretells held-out users best counts.
EPOCHS = 40

Columns = dict[str, np.ndarray]


def embedded(model: TwoTower, dataset: Dataset, view: View) -> Columns:
    """Mean steps, targets, attributes and labels of a split's impressions, with all histories."""
    seen = view._replace(new=np.zeros_like(view.new), plays_new=np.zeros_like(view.plays_new))
    parts = []
    for batch in Batches(dataset, seen, SETTINGS["history"], 1024).in_order():
        features = model.embedding(to_tensors(batch))
        parts.append(
            {
                "step": mean_behavior(features).numpy(),
                "query": features.query.numpy(),
                "count": features.behavior_mask.numpy().sum(axis=1),
                "attributes": features.attributes.numpy(),
                "ids": batch["attributes"],
                "user": batch["user"],
                "click": batch["click"],
            }
        )
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def last_of_users(train: Columns) -> Columns:
    """The last impression of each user with behavior, whose history is the longest."""
    rows = np.flatnonzero(train["count"])
    last = rows[len(rows) - 1 - np.unique(train["user"][rows][::-1], return_index=True)[1]]
    return {name: column[last] for name, column in train.items()}


def group_means(users: Columns, asked: Columns, columns: list[int]) -> np.ndarray:
    """The mean step of users with the same attributes."""
    mean = np.average(users["step"], axis=0, weights=users["count"])
    sums: dict[bytes, tuple[np.ndarray, float]] = {}
    for key, step, count in zip(users["ids"][:, columns], users["step"], users["count"], strict=True):
        total, number = sums.get(key.tobytes(), (PRIOR * mean, PRIOR))
        sums[key.tobytes()] = total + count * step, number + count
    known = {key: total / number for key, (total, number) in sums.items()}
    return np.array([known.get(key.tobytes(), mean) for key in asked["ids"][:, columns]])


def foretold(users: Columns, asked: Columns) -> tuple[np.ndarray, float]:
    """What a network foretells, and the share of the variance of held-out users that it explains."""
    keras.utils.set_random_seed(0)
    order = np.random.default_rng(0).permutation(len(users["step"]))
    held, own = order[: len(order) // 5], order[len(order) // 5 :]
    layers = [
        layer
        for units in (512, 256)
        for layer in (keras.layers.Dropout(0.5), keras.layers.Dense(units), keras.layers.LeakyReLU(0.2))
    ]
    network = keras.Sequential([*layers, keras.layers.Dense(users["step"].shape[1])])
    network.compile(keras.optimizers.Adam(1e-3), "mse")
    inputs, steps = unit_signature(users["attributes"]), users["step"]
    variance = ((steps[held] - steps[own].mean(axis=0)) ** 2).sum()
    best = np.inf, np.empty(0)
    for _ in range(EPOCHS):
        network.fit(inputs[own], steps[own], sample_weight=users["count"][own], batch_size=256, verbose=0)
        error = ((network.predict(inputs[held], verbose=0) - steps[held]) ** 2).sum() / variance
        if error < best[0]:
            best = error, network.predict(unit_signature(asked["attributes"]), verbose=0)
    return best[1], float(1 - best[0])


def unit_signature(attributes: np.ndarray) -> np.ndarray:
    """All attributes but the user id, the first, each of length 1."""
    others = attributes[:, 1:] / np.linalg.norm(attributes[:, 1:], axis=2, keepdims=True)
    return others.reshape(len(others), -1)


def main() -> None:
    """Print the numbers."""
    config = make_config([SETTINGS])
    dataset = open_dataset(Path("data"), SETTINGS["data"])
    splits = views(dataset, config)
    model = make_model(dataset, config)
    start_from_behaviors(model.embedding, dataset, splits["train"], config.seed)
    users = last_of_users(embedded(model, dataset, splits["train"]))
    asked = embedded(model, dataset, splits["validation"])
    is_new = splits["validation"].new[asked["user"]]
    names = [field.name for field in dataset.schema.group("attributes")]
    groups = group_means(users, asked, [names.index(name) for name in INTEREST_ATTRIBUTES])
    network, explained = foretold(users, asked)

    def show(title: str, taste: np.ndarray, who: np.ndarray, *, cosine: bool = False) -> None:
        scores = (taste * asked["query"]).sum(axis=1)
        if cosine:
            lengths = np.linalg.norm(taste, axis=1) * np.linalg.norm(asked["query"], axis=1)
            scores = scores / (lengths + 1e-9)
        print(f"{title}: {auc(asked['click'][who], scores[who]):.3f}")

    show("old users, real behavior", asked["step"], ~is_new)
    show("old users, real behavior, cosine", asked["step"], ~is_new, cosine=True)
    show("new users, real behavior", asked["step"], is_new)
    show("new users, the mean of users with the same attributes", groups, is_new)
    show("new users, a network", network, is_new)
    print(f"variance of held-out users that the network explains: {explained:.1%} ({len(users['user'])} users)")


if __name__ == "__main__":
    main()
