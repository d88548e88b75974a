"""How much attributes tell of behavior: the distributions behind H19 of HYPOTHESES.md.

    python experiments/behavior_distribution.py kuairand-rebuilt

P(y | a) is the distribution of the first field y of a user's behaviors (a video, movie or category) given all
attributes but the user id. Three estimates, each from the behaviors of old users before their last training impression:

- popularity: P(y), the same for everybody;
- counting: (Σ_k K_k c_k(y) + κ P(y)) / (Σ_k K_k n_k + κ), c_k the n_k behaviors of user k, with the kernel K that
  `match` has learned;
- softmax: a network from attributes to all values, trained on all behaviors.

Printed are nats per behavior that each tells of users held out, beyond popularity, and how well the score
log P(y_t | a) / P(y_t) ranks the impressions of new users on the validation day, next to the scores of `match` by
attributes and by the users' real behavior. Protocol strict, so that new users are no part of any estimate.
"""

from itertools import product
from pathlib import Path

import click
import keras
import numpy as np
import tensorflow as tf
from scipy import sparse
from scipy.special import logit
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.preprocessing import StandardScaler

from mailcli.config import RunConfig, make_config
from mailcli.data.batches import target_ids
from mailcli.data.dataset import Dataset, open_dataset
from mailcli.data.protocol import View, views
from mailcli.metrics.auc import auc, gauc
from mailcli.models.coldstart._behavior_network import Histories
from mailcli.models.coldstart._columns import group_keys
from mailcli.models.coldstart.match import ColdStart, kernel
from mailcli.models.contracts import user_folds
from mailcli.models.factory import make_model
from mailcli.runs.opening import open_run
from mailcli.training.predictor import Predictor
from mailcli.training.preparation import training_rows

#: One fifth of the old users is held out.
FOLDS = 5
#: κ of counting, in behaviors; the one that tells most of held-out users counts.
PRIORS = (10.0, 100.0, 1000.0, 10000.0)
#: Hidden layers and dropout of the networks; the one that tells most of held-out users counts.
NETWORKS = (((), 0.0), *product(((256,), (512, 256)), (0.0, 0.5)))
#: Epochs of a network at most; it stops after five that tell no more of held-out users.
EPOCHS, PATIENCE = 100, 5
BATCH = 256


def popularity(users: Histories) -> np.ndarray:
    """P(y) [values], each value counted once more than it is."""
    counts = users.counts.sum(axis=0) + 1
    return counts / counts.sum()


def nats(users: Histories, log_probability: np.ndarray, base: np.ndarray) -> float:
    """The mean of log P(y | a) / P(y) over the behaviors of some users, log P(y | a) [users, values]."""
    return float((users.counts.multiply(log_probability - np.log(base))).sum() / users.counts.sum())


def counting(users: Histories, keys: np.ndarray, weights: np.ndarray, prior: float) -> np.ndarray:
    """log P(y | a) [queries, values] by the formula of the module."""
    base = popularity(users)
    parts = []
    for start in range(0, len(keys), BATCH):
        common = kernel(tf.constant(keys[start : start + BATCH]), tf.constant(users.keys), weights).numpy()
        total = common @ users.counts.sum(axis=1)
        mixed = (users.counts.T @ common.T).T + prior * base
        parts.append(np.log(mixed / (total + prior)[:, None]).astype(np.float32))
    return np.concatenate(parts)


def one_hot(keys: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """[queries, Σ sizes], the values of all attributes."""
    rows = np.zeros((len(keys), sizes.sum()), np.float32)
    rows[np.arange(len(keys))[:, None], keys + np.cumsum(sizes) - sizes] = 1
    return rows


class Softmax:
    """The network, which begins with P(y); `log_probability` is that of its best epoch."""

    def __init__(self, sizes: np.ndarray, base: np.ndarray, units: tuple[int, ...], dropout: float) -> None:
        keras.utils.set_random_seed(0)
        hidden = [
            layer
            for width in units
            for layer in (keras.layers.Dense(width), keras.layers.LeakyReLU(0.2), keras.layers.Dropout(dropout))
        ]
        self.sizes = sizes
        output = keras.layers.Dense(len(base))
        self.network = keras.Sequential([keras.Input((int(sizes.sum()),)), *hidden, output])
        output.bias.assign(np.log(base))
        self.optimizer = keras.optimizers.Adam(1e-3)
        self.step = tf.function(self._step, reduce_retracing=True)

    def _step(self, inputs: tf.Tensor, counts: tf.Tensor) -> None:
        with tf.GradientTape() as tape:
            log_probability = tf.nn.log_softmax(self.network(inputs, training=True))
            loss = -tf.reduce_sum(counts * log_probability) / tf.reduce_sum(counts)
        variables = self.network.trainable_variables
        self.optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))

    def log_probability(self, keys: np.ndarray) -> np.ndarray:
        """log P(y | a) [queries, values]."""
        parts = (keys[start : start + BATCH] for start in range(0, len(keys), BATCH))
        return np.concatenate([tf.nn.log_softmax(self.network(one_hot(part, self.sizes))).numpy() for part in parts])

    def fit(self, own: Histories, held: Histories) -> float:
        """Train it to the epoch that tells most of held-out users; that many nats per behavior."""
        rng, best, weights, since = np.random.default_rng(0), -np.inf, None, 0
        for _ in range(EPOCHS):
            order = rng.permutation(len(own.keys))
            for start in range(0, len(order), BATCH):
                part = own.rows(order[start : start + BATCH])
                self.step(one_hot(part.keys, self.sizes), part.counts.toarray().astype(np.float32))
            gain = nats(held, self.log_probability(held.keys), popularity(own))
            if gain > best:
                best, weights, since = gain, self.network.get_weights(), 0
            elif (since := since + 1) == PATIENCE:
                break
        self.network.set_weights(weights)
        return best


def fitted_match(dataset: Dataset, config: RunConfig, train: View) -> tuple[ColdStart, Histories, np.ndarray]:
    """`match` as it is before the first step; the old users; and the keys of all users."""
    rows = training_rows(dataset, train, config, lambda folds: np.empty(folds))
    method = make_model(dataset, config).cold_start
    method.prepare(rows)
    keys = group_keys(method.attributes, rows.attributes)
    user, ids, _ = rows.behaviors()
    shape = len(keys), method.vectors.shape[0]
    counts = sparse.csr_array((np.ones(len(user)), (user, ids)), shape)
    old = np.flatnonzero(counts.sum(axis=1))
    return method, Histories(keys[old], counts[old]), keys


def ranking(users: np.ndarray, clicks: np.ndarray, scores: np.ndarray) -> str:
    """AUC and GAUC."""
    return f"AUC {auc(clicks, scores):.4f}, GAUC {gauc(users, clicks, scores).value:.4f}"


def ranker_logits(run: Path, dataset: Dataset, view: View) -> np.ndarray:
    """The logits of a trained ranker for the impressions of a split."""
    predictor = Predictor.open(open_run(run), dataset)
    return logit(predictor.scorer(predictor.batches(view), "scoring").astype(np.float64))


def stacked(users: np.ndarray, clicks: np.ndarray, scores: list[np.ndarray]) -> np.ndarray:
    """A logistic regression of clicks on some scores, fitted to the users of the other folds."""
    inputs = StandardScaler().fit_transform(np.column_stack(scores))
    regression = LogisticRegression(C=1e6)
    return cross_val_predict(regression, inputs, clicks, groups=users, cv=GroupKFold(FOLDS), method="decision_function")


@click.command()
@click.argument("name")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the draw of new users, and of all else.")
@click.option("--data-dir", type=Path, default=Path("data"), show_default=True)
@click.option("--run", type=Path, help="A run of a ranker alone, with this protocol and seed: what a score adds to it.")
def main(name: str, seed: int, data_dir: Path, run: Path | None) -> None:
    """Print the numbers of the dataset NAME."""
    dataset = open_dataset(data_dir, name)
    config = make_config([{"data": name, "protocol": "strict", "cold_start": "match", "history": 25, "seed": seed}])
    splits = views(dataset, config)
    method, users, keys = fitted_match(dataset, config, splits["train"])
    fold = user_folds(np.arange(len(users.keys)), FOLDS, seed)
    own, held = users.rows(np.flatnonzero(fold)), users.rows(np.flatnonzero(fold == 0))
    base, weights = popularity(own), method.field_weights.numpy()

    def gain_of_counting(prior: float) -> float:
        return nats(held, counting(own, held.keys, weights, prior), base)

    prior = max(PRIORS, key=gain_of_counting)
    sizes = keys.max(axis=0) + 1
    networks = [Softmax(sizes, base, *settings) for settings in NETWORKS]
    gains = [network.fit(own, held) for network in networks]
    best = int(np.argmax(gains))
    print(f"{name}: {len(users.keys)} old users, {users.counts.sum():.0f} behaviors, {len(base)} values")
    print(f"entropy of popularity: {-np.log(base) @ held.counts.sum(axis=0) / held.counts.sum():.3f} nats per behavior")
    print(f"counting, prior of {prior:.0f} behaviors: {gain_of_counting(prior):+.4f} nats")
    for (units, dropout), value in zip(NETWORKS, gains, strict=True):
        print(f"softmax, hidden layers {units}, dropout {dropout}: {value:+.4f} nats")

    view = splits["validation"]
    user, item = (np.asarray(dataset.column("validation", column), np.int64)[view.rows] for column in ("user", "item"))
    clicks = dataset.column("validation", "click")[view.rows]
    new = view.new[user] & (dataset.earlier_behaviors("validation")[view.rows] > 0)
    asked, place = np.unique(user[new], return_inverse=True)
    target = method.target.from_group(target_ids(dataset, item))[new, 0]
    vectors = method.vectors.numpy()[target]

    ranker = ranker_logits(run, dataset, view)[new] if run else None

    def show(title: str, scores: np.ndarray) -> None:
        line = f"{title}: {ranking(place, clicks[new], scores)}"
        if ranker is not None:
            alone, both = (stacked(place, clicks[new], x) for x in ([ranker], [ranker, scores]))
            line += f"; the ranker {ranking(place, clicks[new], alone)}, with it {ranking(place, clicks[new], both)}"
        print(line)

    print(f"{new.sum()} validation impressions of {len(asked)} new users")
    for title, log_probability in (
        ("counting", counting(own, keys[asked], weights, prior)),
        ("softmax", networks[best].log_probability(keys[asked])),
    ):
        show(f"log P(y | a) / P(y), {title}", (log_probability - np.log(base))[place, target])
    tastes = method.predict_tastes(tf.constant(keys[asked], tf.int32)).numpy()
    show("<ŷ, y_t> of `match`", (tastes[place] * vectors).sum(axis=1))
    real = mean_vectors(dataset, method.vectors.numpy(), np.flatnonzero(new))
    show("the same with their real behavior", (real * vectors).sum(axis=1))


def mean_vectors(dataset: Dataset, vectors: np.ndarray, impressions: np.ndarray) -> np.ndarray:
    """[impressions, d], the mean vector of the last 100 behaviors before each."""
    end = dataset.column("validation", "history_end")[impressions]
    user = dataset.column("validation", "user")[impressions]
    begin = np.maximum(dataset.offsets[user], end - 100)
    ids = np.asarray(dataset.column("behaviors", dataset.schema.group("behavior")[0].name))
    return np.array([vectors[ids[a:b]].mean(axis=0) for a, b in zip(begin, end, strict=True)])


if __name__ == "__main__":
    main()
