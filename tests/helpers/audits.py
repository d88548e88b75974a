"""Audits of runs, made by hand."""

from __future__ import annotations

import numpy as np

from mailcli.runs.audit import AuditScores

SOURCES = ["own", "other", "permuted", "mean", "none", "real"]


def scored_run(scores: dict[str, list[float]]) -> AuditScores:
    """Users 0 and 1 with a click and two other impressions each; .5 for a source without scores."""
    columns = {source: np.array(scores.get(source, [0.5] * 6), np.float32) for source in SOURCES}
    return AuditScores(np.array([0, 0, 0, 1, 1, 1]), np.array([1, 0, 0, 1, 0, 0], np.float32), columns)


def many_users(gain: float) -> AuditScores:
    """100 users; their own v̂ adds `gain` to the score of what they click."""
    rng = np.random.default_rng(0)
    users, clicks = np.repeat(np.arange(100), 10), np.tile([1.0] * 3 + [0.0] * 7, 100)
    noise = rng.normal(size=1000)
    scores = {source: (noise + rng.normal(0, 0.1, 1000)).astype(np.float32) for source in SOURCES}
    scores["own"] = (noise + gain * clicks).astype(np.float32)
    return AuditScores(users, clicks.astype(np.float32), scores)
