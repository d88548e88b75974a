"""Biases of four clicks, worked out by hand."""

from __future__ import annotations

import numpy as np

from mailcli.metrics.biases import fit_biases

USER, ITEM, CLICK = np.array([0, 0, 1, 2]), np.array([0, 1, 0, 0]), np.array([1.0, 0, 1, 0])


def test_biases_are_alternating_shrunk_means() -> None:
    biases = fit_biases(USER, ITEM, CLICK, users=4, items=3, passes=1)
    assert biases.mean == 0.5
    # Item 0: (.5 + .5 - .5) / (3 + 3); item 1: -.5 / (1 + 3). Nobody has seen item 2.
    np.testing.assert_allclose(biases.item, [1 / 12, -1 / 8, 0])
    # User 0: (.5 - 1/12 - .5 + 1/8) / (2 + 3); user 1: (.5 - 1/12) / 4; user 2: (-.5 - 1/12) / 4.
    np.testing.assert_allclose(biases.user, [1 / 120, 5 / 48, -7 / 48, 0])
    # What is left of the first click: 1 - .5 - 1/120 - 1/12.
    assert np.isclose(biases.residual(USER, ITEM, CLICK)[0], 1 - 0.5 - 1 / 120 - 1 / 12)
