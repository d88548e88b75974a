"""What trivial rows reach on MovieLens-100K: as measured apart from this code, to .001."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mailcli.config import make_config
from mailcli.data.dataset import Dataset
from mailcli.experiments.cells import train_if_missing


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "auc", "gauc"),
    [
        ("item-rate", 0.7101, 0.6846),
        ("item-logistic", 0.7126, 0.6825),
        ("item-bias", 0.7156, 0.6904),
        ("item-grade-bias", 0.7175, 0.6907),
        ("attribute-grade-factors", 0.7193, 0.6927),
    ],
)
def test_new_users_of_the_strict_protocol(name: str, auc: float, gauc: float, ml_100k: Dataset, tmp_path: Path) -> None:
    configs = [
        make_config([{"data": ml_100k.name, "ranker": name, "protocol": "strict", "history": 50, "seed": seed}])
        for seed in range(5)
    ]
    results = [train_if_missing(config, ml_100k, tmp_path).result or {} for config in configs]
    assert np.mean([result["test"]["new"]["AUC"] for result in results]) == pytest.approx(auc, abs=0.001)
    assert np.mean([result["test"]["new"]["GAUC"] for result in results]) == pytest.approx(gauc, abs=0.001)
