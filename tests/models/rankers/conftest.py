"""A fixed seed for the weights of every layer."""

from __future__ import annotations

import keras
import pytest


@pytest.fixture(autouse=True)
def seed() -> None:
    keras.utils.set_random_seed(3)
