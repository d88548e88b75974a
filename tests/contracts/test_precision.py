"""`--precision bfloat16`: every ranker and every method trains in it, close to float32, with float32 variables and scores."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mailcli.data.batches import Batches
from mailcli.data.dataset import Dataset
from mailcli.data.protocol import views
from mailcli.models.batch_spec import to_tensors
from mailcli.models.factory import make_model
from mailcli.models.step import make_step
from tests.helpers.models import AXES, BATCH, config_of


# One cell has the layers that most others have; the others take half a minute.
@pytest.mark.parametrize(
    ("ranker", "cold_start"),
    [pytest.param(*cell, marks=[] if cell == ("base", "mail") else pytest.mark.slow) for cell in AXES],
)
def test_products_in_bfloat16_change_little(ranker: str, cold_start: str, with_buys: Dataset) -> None:
    full = config_of(ranker, cold_start)
    half = replace(full, precision="bfloat16")
    view = views(with_buys, full)["train"]
    batches = [to_tensors(batch) for batch in Batches(with_buys, view, full.history, BATCH).shuffled(0, 1)]
    reference, model = make_model(with_buys, full), make_model(with_buys, half)
    for made in (reference, model):
        if hasattr(made.cold_start, "gain"):
            # Methods that start from a logit of their own weight the ranker's with zero at first.
            made.cold_start.gain.assign(1.0)
    expected, scores = (np.asarray(made.probabilities(batches[0])) for made in (reference, model))
    assert scores.dtype == np.float32
    # bfloat16 has 8 bits: three digits of a logit near 0.
    np.testing.assert_allclose(scores, expected, atol=0.02)
    assert (scores != expected).any(), "nothing was computed in bfloat16"
    assert {variable.dtype for variable in model.trainable_variables} == {"float32"}
    step = make_step(model, half)
    losses = [step(batch) for batch in batches[:3]]
    assert all(np.isfinite(float(value)) for loss in losses for value in loss.values())
