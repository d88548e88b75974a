"""What the start of TensorFlow sets in its environment."""

from __future__ import annotations

import os

import pytest

from mailcli.utils.tensorflow_startup import load_tensorflow

#: TensorFlow's name of the setting by which a process takes a graphics card's memory as it needs it.
ALLOW_GROWTH = "TF_FORCE_GPU_ALLOW_GROWTH"


@pytest.mark.parametrize(("value", "expected"), [(None, "true"), ("false", "false")])
def test_runs_share_a_graphics_cards_memory(monkeypatch: pytest.MonkeyPatch, value: str | None, expected: str) -> None:
    if value is None:
        monkeypatch.delenv(ALLOW_GROWTH, raising=False)
    else:
        monkeypatch.setenv(ALLOW_GROWTH, value)
    load_tensorflow()
    assert os.environ[ALLOW_GROWTH] == expected
