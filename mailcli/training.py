"""One run: the loop, the best checkpoint by validation AUC, the final evaluation on test."""

from __future__ import annotations

import math
import platform
import subprocess
import time
from collections.abc import Callable
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from mailcli import __version__, hardware
from mailcli.batches import Batches
from mailcli.config import RunConfig
from mailcli.contracts import Tensor, TrainingData
from mailcli.errors import MailError
from mailcli.evaluation import Scorer, measure
from mailcli.model import TwoTower, batch_signature, click_logit, make_model, make_step, to_tensors
from mailcli.progress import progress
from mailcli.protocol import View, views
from mailcli.runs import Run
from mailcli.store import Store

#: Steps whose losses are fetched and written together (ours): the loop then seldom waits for a step to end.
LOG_EVERY = 50


def train(run: Run, store: Store, baseline: Run | None = None) -> dict[str, Any]:
    """Train, keep the best epoch by validation AUC, evaluate it on test, write the run folder.

    Args:
        run: where to.
        store: the dataset.
        baseline: for a two-stage method, the finished run of the ranker alone, whose best epoch it is fitted to.

    Returns:
        The contents of result.json.

    Raises:
        MailError: an option is wrong, histories are longer than the store's, or a loss is not finite.
    """
    config = run.config
    started = time.monotonic()
    model, splits = check(config, store)
    run.begin()
    scorer = Scorer(model, config.history)
    fit = partial(_fit_to, baseline) if baseline else _fit
    best = fit(run, store, model, scorer, splits)
    run.restore(model)
    scores = scorer(_batches(store, splits["test"], config), "scoring test")
    result = {
        "cell": config.cell,
        "seed": config.seed,
        "protocol": config.protocol,
        "dataset": store.label,
        **best,
        "test": measure(store, splits["test"], scores),
    }
    run.finish(scores, environment(time.monotonic() - started), result)
    return result


def check(config: RunConfig, store: Store) -> tuple[TwoTower, dict[str, View]]:
    """The model and the splits of a run that is yet to begin.

    Raises:
        MailError: they cannot be made.
    """
    check_history(config, store)
    model = make_model(store, config)
    splits = views(store, config)
    _check_views(splits, config)
    return model, splits


def check_history(config: RunConfig, store: Store) -> None:
    """Refuse n_v beyond what the store keeps (MailError)."""
    if config.history > store.history:
        raise MailError(
            f"history = {config.history}: the store '{store.name}' keeps the last {store.history} behaviors. "
            f"Expected {store.history} or less; more needs `mail preprocess --history {config.history}`."
        )


def _check_views(splits: dict[str, View], config: RunConfig) -> None:
    for name, view in splits.items():
        if not len(view.rows) or view.new.all() or not view.new.any():
            raise MailError(
                f"seed {config.seed}, new_share {config.new_share}: the draw leaves the {name} split without "
                f"impressions, or without new or old users. Expected more users, or another share."
            )


def _batches(store: Store, view: View, config: RunConfig) -> Batches:
    return Batches(store, view, config.history, config.batch_size)


def _fit(run: Run, store: Store, model: TwoTower, scorer: Scorer, splits: dict[str, View]) -> dict[str, Any]:
    """Epochs until validation no longer improves; the best one's weights are saved."""
    config = run.config
    step = make_step(model, config)
    train_batches = _batches(store, splits["train"], config)
    validation = _batches(store, splits["validation"], config)
    best: dict[str, Any] = {"best_epoch": 0}
    best_auc = -math.inf
    for epoch in range(1, config.epochs + 1):
        _epoch(run, step, train_batches, epoch)
        found = measure(store, splits["validation"], scorer(validation, "scoring validation"))
        run.log([{"epoch": epoch, "validation": found}])
        auc = found["all"]["AUC"]
        if auc > best_auc:
            best_auc = auc
            best = {"best_epoch": epoch, "validation": found}
            model.save_weights(run.weights)
        elif epoch - best["best_epoch"] >= config.patience:
            break
    return best


def _fit_to(
    baseline: Run, run: Run, store: Store, model: TwoTower, scorer: Scorer, splits: dict[str, View]
) -> dict[str, Any]:
    """The baseline's table and ranker, and the two-stage method fitted to them."""
    config = run.config
    trained = make_model(store, baseline.config)
    baseline.restore(trained)
    model.embedding.set_weights(trained.embedding.get_weights())
    model.ranker.set_weights(trained.ranker.get_weights())
    model.cold_start.fit(training_data(model, store, splits["train"], config))
    model.save_weights(run.weights)
    found = measure(
        store, splits["validation"], scorer(_batches(store, splits["validation"], config), "scoring validation")
    )
    best = {"best_epoch": (baseline.result or {}).get("best_epoch"), "validation": found}
    run.log([{"fitted to epoch": best["best_epoch"], "validation": found}])
    return best


def training_data(model: TwoTower, store: Store, view: View, config: RunConfig) -> TrainingData:
    """What a two-stage method sees of the training split."""
    batches = _batches(store, view, config)
    signature = batch_signature(store.schema, config.history)
    embed = tf.function(model.embedding, input_signature=[signature])
    users = store.column("train", "user")[view.rows].astype(np.int64)
    return TrainingData(
        features=lambda: (embed(to_tensors(batch)) for batch in batches.in_order()),
        clicks=store.column("train", "click")[view.rows].astype(np.float32),
        users=users,
        old=~view.new[users] & (store.earlier_behaviors("train")[view.rows] > 0),
        gather=lambda places: embed(to_tensors(batches.gather(view.rows[places]))),
        ranker=lambda features: click_logit(model.ranker(features, training=False)),
        seed=config.seed,
    )


def _epoch(run: Run, step: Callable[..., dict[str, Tensor]], batches: Batches, epoch: int) -> None:
    pending: list[dict[str, Tensor]] = []
    done = (epoch - 1) * len(batches)
    title = f"{run.config.cell}, seed {run.config.seed}, epoch {epoch}"
    with progress(title, len(batches.view.rows), "impressions") as advance:
        for batch in batches.shuffled(run.config.seed, epoch):
            pending.append(step(to_tensors(batch)))
            advance(len(batch["click"]))
            if len(pending) == LOG_EVERY:
                done = _log(run, pending, epoch, done)
        _log(run, pending, epoch, done)


def _log(run: Run, pending: list[dict[str, Tensor]], epoch: int, done: int) -> int:
    """Write the losses of some steps, empty the list, return the count of steps so far."""
    lines = [
        {"step": done + number, "epoch": epoch, **{name: float(value) for name, value in losses.items()}}
        for number, losses in enumerate(pending, start=1)
    ]
    run.log(lines)
    for line in lines:
        wrong = [name for name, value in line.items() if not math.isfinite(value)]
        if wrong:
            raise MailError(
                f"step {line['step']}: {wrong[0]} is {line[wrong[0]]}. Training stopped; "
                f"a lower learning_rate may help."
            )
    pending.clear()
    return done + len(lines)


def environment(seconds: float) -> dict[str, Any]:
    """What a result depends on besides its config: versions and machine; and how long it took."""
    return {
        "mail": __version__,
        "commit": _commit(),
        "python": platform.python_version(),
        **{name: metadata.version(name) for name in ("keras", "numpy")},
        "tensorflow": tf.__version__,
        **hardware.describe(),
        "gpus": len(tf.config.list_physical_devices("GPU")),
        "seconds": round(seconds, 1),
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def _commit() -> str | None:
    """The commit of the code, where it is a checkout and git is there."""
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip() or None
    except OSError:
        return None
