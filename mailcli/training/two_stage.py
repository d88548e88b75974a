"""Two-stage cold-start methods: fitted to the baseline's best epoch."""

from __future__ import annotations

from typing import Any

import numpy as np

from mailcli.data.batches import Batches
from mailcli.data.dataset import Dataset
from mailcli.data.protocol import old_impressions
from mailcli.models.batch_spec import to_tensors
from mailcli.models.contracts import TrainingData
from mailcli.models.table.rows import read_parts, write_parts
from mailcli.models.two_tower import TwoTower, click_logit
from mailcli.runs.folder import RunFolder
from mailcli.training.evaluate import measure
from mailcli.training.predictor import Predictor
from mailcli.training.scorer import Scorer


def fit_two_stage(
    baseline: RunFolder, run: RunFolder, dataset: Dataset, model: TwoTower, scorer: Scorer, batches: dict[str, Batches]
) -> dict[str, Any]:
    """Copy the baseline's table and ranker, fit the method to them, and save the weights.

    Returns:
        What result.json says about the best epoch.
    """
    trained = Predictor(baseline, dataset).model
    write_parts(model.embedding.whole_table, read_parts(trained.embedding.whole_table))
    model.ranker.set_weights(trained.ranker.get_weights())
    model.cold_start.fit(training_data(model, dataset, batches["train"], run.config.seed))
    run.begin()
    run.save_weights(model)
    validation = batches["validation"]
    metrics = measure(dataset, validation.view, scorer(validation, "scoring validation"))
    best = {"best_epoch": (baseline.result or {}).get("best_epoch"), "validation": metrics}
    run.log([{"fitted to epoch": best["best_epoch"], "validation": metrics}])
    return best


def training_data(model: TwoTower, dataset: Dataset, batches: Batches, seed: int) -> TrainingData:
    """What a two-stage method sees of the training split."""
    view = batches.view
    embed = model.as_graph(model.embedding)
    users = dataset.column("train", "user")[view.rows].astype(np.int64)
    return TrainingData(
        features=lambda: (embed(to_tensors(batch)) for batch in batches.in_order()),
        clicks=dataset.column("train", "click")[view.rows].astype(np.float32),
        users=users,
        old=old_impressions(dataset, view),
        gather=lambda positions: embed(to_tensors(batches.gather(view.rows[positions]))),
        ranker=lambda features: click_logit(model.ranker(features, training=False)),
        seed=seed,
    )
