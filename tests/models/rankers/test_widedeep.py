"""Wide & Deep is the sum of its parts."""

from __future__ import annotations

import numpy as np

from mailcli.models.rankers import widedeep
from tests.helpers.features import as_arrays, some_features, spec
from tests.helpers.networks import deep, fields


def test_widedeep_is_the_sum_of_its_parts() -> None:
    ranker = widedeep.Ranker(units=(4,))
    ranker.build_for(spec())
    features = some_features(3)
    ranker(features)
    ranker.wide.weight.assign(np.full(ranker.wide.weight.shape, 0.25, np.float32))
    # Row 0 is padding.
    linear = 0.25 * np.count_nonzero(features.table_rows.numpy(), axis=1)
    expected = linear + deep(ranker, fields(as_arrays(features)).reshape(3, -1))
    np.testing.assert_allclose(ranker(features), expected, atol=1e-5)
