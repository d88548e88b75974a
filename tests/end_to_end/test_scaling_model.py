"""The time model of benchmarks/scaling.py."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest


def test_what_a_byte_and_a_message_cost_is_fitted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps of two workers: 40 and 10 ms of computing, 1,000 bytes per millisecond, .5 ms per message."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent.parent.parent / "benchmarks"))
    scaling = importlib.import_module("scaling")
    lines = [
        scaling.Line("a", "0.3", 8, 1, {"ms": 70.0, "bytes": 0, "messages": 0}),
        scaling.Line("a", "0.3", 4, 1, {"ms": 40.0, "bytes": 0, "messages": 0}),
        scaling.Line("a", "0.3", 8, 2, {"ms": 40 + 30 + 15.0, "bytes": 60_000, "messages": 30}),
        scaling.Line("b", "0.3", 4, 1, {"ms": 10.0, "bytes": 0, "messages": 0}),
        scaling.Line("b", "0.3", 8, 2, {"ms": 10 + 2 + 5.0, "bytes": 4_000, "messages": 10}),
    ]
    bandwidth, latency = scaling.fit(lines)
    assert (bandwidth, latency) == (pytest.approx(1000), pytest.approx(0.5))
    assert scaling.modelled(lines[2], lines, bandwidth, latency) == pytest.approx(85)
