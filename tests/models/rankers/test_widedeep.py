"""Wide & Deep is the sum of its parts."""

from __future__ import annotations

import numpy as np

from mailcli.models.rankers import widedeep
from tests.helpers.features import some_features, spec


def test_widedeep_is_the_sum_of_its_parts() -> None:
    ranker = widedeep.Ranker(units=(4,))
    ranker.build_for(spec())
    features = some_features(3)
    before = ranker(features).numpy()
    rows = np.zeros(ranker.wide.weight.shape, np.float32)
    rows[1:] = 0.25
    ranker.wide.weight.assign(rows)
    added = 0.25 * np.count_nonzero(features.table_rows.numpy(), axis=1)
    np.testing.assert_allclose(ranker(features).numpy() - before, added, atol=1e-6)
