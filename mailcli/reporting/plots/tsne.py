"""MAIL Figs. 5 and 6: t-SNE of real and generated behavior, and of the attributes' side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mailcli.data.dataset import Dataset, open_dataset
from mailcli.errors import MailError
from mailcli.reporting.plots._style import COLORS, MARKERS, PAGE, caption
from mailcli.training.run_folder import Run
from mailcli.utils.tensorflow_startup import load_tensorflow

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Users of each kind (ours: a map of more is a blot).
USERS = 300
#: t-SNE's default.
PERPLEXITY = 30


class Codes(NamedTuple):
    """What is drawn of some users, a row each."""

    real: NDArray[np.float32]
    """v, flattened [n_v · d]"""
    generated: NDArray[np.float32]
    """v̂, flattened"""
    attributes: NDArray[np.float32]
    """h_a, Eq. (2); the mean attribute of a method without attention"""
    new: NDArray[np.bool_]


class Plot:
    """t-SNE of v against v̂, old and new users (MAIL Fig. 5); of h_a and of v̂, new against old (Fig. 6)."""

    def draw(self, runs: Sequence[Run], data_dir: Path) -> dict[str, Figure]:
        """Two figures of one run."""
        from matplotlib.figure import Figure

        if len(runs) != 1:
            raise MailError(f"t-SNE is of one run, and there are {len(runs)}. Name one run folder.")
        run = runs[0]
        codes = encode(run, open_dataset(data_dir, run.config.data))
        old, new = ~codes.new, codes.new
        five = Figure(figsize=(PAGE, 3.2), layout="constrained")
        real, made = embed(
            [codes.real[old], codes.generated[old]], [codes.real[new], codes.generated[new]], run.config.seed
        )
        for axis, title, (v, v_hat) in zip(
            five.subplots(1, 2, sharex=True, sharey=True), ("old users", "new users"), (real, made), strict=True
        ):
            _scatter(axis, [("real $v$", v), (r"generated $\hat{v}$", v_hat)])
            axis.set_title(title)
        six = Figure(figsize=(PAGE, 3.2), layout="constrained")
        for axis, title, x in zip(
            six.subplots(1, 2), ("$h_a$", r"$\hat{v}$"), (codes.attributes, codes.generated), strict=True
        ):
            (of_old,), (of_new,) = embed([x[old]], [x[new]], run.config.seed)
            _scatter(axis, [("old users", of_old), ("new users", of_new)])
            axis.set_title(title)
        for figure in (five, six):
            figure.suptitle(f"{run.config.cell} on {caption([run])}", fontsize="small")
        return {"tsne-behavior": five, "tsne-attributes": six}


def _scatter(axis: Any, groups: Sequence[tuple[str, NDArray]]) -> None:
    for color, marker, (name, points) in zip(COLORS, MARKERS, groups, strict=False):
        axis.scatter(*points.T, s=5, color=color, marker=marker, alpha=0.6, linewidths=0, label=name)
    axis.set(xticks=[], yticks=[])
    axis.legend()


def encode(run: Run, dataset: Dataset) -> Codes:
    """v, v̂ and h_a of up to 300 old and 300 new users of the test, at their last impressions.

    The behavior of the drawn new users is hidden from the model and known to us: it is what v̂ should be like.

    Raises:
        MailError: the run has no cold-start method that generates behavior, or too few users have behavior.
    """
    load_tensorflow()
    import tensorflow as tf

    from mailcli.models.batch_spec import to_tensors
    from mailcli.models.features import without_behaviors
    from mailcli.training.predictor import Predictor

    predictor = Predictor.open(run, dataset)
    dataset, config = predictor.dataset, run.config
    if config.cold_start == "none":
        raise MailError(f"{run.folder}: has no cold-start method, so there is nothing generated to draw.")
    model, view = predictor.model, predictor.test
    user = dataset.column("test", "user")[view.rows]
    seen = np.flatnonzero(dataset.earlier_behaviors("test")[view.rows] > 0)
    last = seen[len(seen) - 1 - np.unique(user[seen][::-1], return_index=True)[1]]
    is_new = view.new[user[last]]
    chosen = np.concatenate([_some(last[is_new == flag], config.seed) for flag in (False, True)])
    flags = view.new[user[chosen]]
    if min(flags.sum(), (~flags).sum()) < 2:
        raise MailError(f"{run.folder}: fewer than two old or new users of the test have behavior.")
    batches = predictor.batches(predictor.test_with_all_histories)
    features = model.embedding(to_tensors(batches.gather(view.rows[chosen])))
    made = model.cold_start.complete(without_behaviors(features, tf.ones(len(chosen), tf.bool)))
    pool = getattr(model.cold_start, "pool_a", None)
    h_a = pool(features.attributes) if pool else tf.reduce_mean(features.attributes, axis=1)
    real, generated = (tf.reshape(each.behaviors, [len(chosen), -1]).numpy() for each in (features, made))
    return Codes(real, generated, np.asarray(h_a), flags)


def _some(places: NDArray, seed: int) -> NDArray:
    return np.sort(np.random.default_rng(seed).permutation(places)[:USERS])


def embed(
    old: Sequence[NDArray], new: Sequence[NDArray], seed: int
) -> tuple[list[NDArray[np.float64]], list[NDArray[np.float64]]]:
    """The two-dimensional places of some groups of old and of new users.

    By openTSNE the map is made of the old users, and the new ones are placed in it (Poličar et al., JSS 109, 2024);
    where it is not installed, scikit-learn's t-SNE makes a map of all.

    Args:
        old, new: groups [users, n] each.
        seed: decides the map.
    """
    known, unknown = np.concatenate(old).astype(np.float64), np.concatenate(new).astype(np.float64)
    perplexity = min(PERPLEXITY, (len(known) - 1) / 3)
    try:
        from openTSNE import TSNE
    except ImportError:
        from sklearn import manifold

        all_places = manifold.TSNE(perplexity=perplexity, random_state=seed, init="pca").fit_transform(
            np.concatenate([known, unknown])
        )
        at_known, at_unknown = all_places[: len(known)], all_places[len(known) :]
    else:
        fitted = TSNE(perplexity=perplexity, random_state=seed, initialization="pca").fit(known)
        at_known, at_unknown = np.asarray(fitted), np.asarray(fitted.transform(unknown))

    def parts(places: NDArray, groups: Sequence[NDArray]) -> list[NDArray]:
        return np.split(places, np.cumsum([len(group) for group in groups])[:-1])

    return parts(at_known, old), parts(at_unknown, new)
