"""Slow and obvious implementations, with which the fast code must agree."""

from __future__ import annotations

import csv
import math
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


def auc(labels: Sequence[int], scores: Sequence[float]) -> float:
    """Over all pairs of a click and a non-click; a tie counts half."""
    won = total = 0.0
    for y1, s1 in zip(labels, scores, strict=True):
        for y0, s0 in zip(labels, scores, strict=True):
            if y1 == 1 and y0 == 0:
                total += 1
                won += 1 if s1 > s0 else 0.5 if s1 == s0 else 0
    return won / total if total else math.nan


def gauc(users: Sequence[int], labels: Sequence[int], scores: Sequence[float]) -> float:
    """One user at a time."""
    weighted = weight = 0.0
    for user in set(users):
        rows = [i for i, u in enumerate(users) if u == user]
        value = auc([labels[i] for i in rows], [scores[i] for i in rows])
        if not math.isnan(value):
            weighted += len(rows) * value
            weight += len(rows)
    return weighted / weight if weight else math.nan


def resampled(
    users: Sequence[int], labels: Sequence[int], scores: Sequence[float], draw: Sequence[int]
) -> tuple[float, float]:
    """AUC and GAUC of a bootstrap draw of users; a user drawn twice counts as two users with the same rows."""
    rows = [(number, i) for number, user in enumerate(draw) for i, u in enumerate(users) if u == user]
    numbers = [number for number, _ in rows]
    drawn_labels, drawn_scores = [labels[i] for _, i in rows], [scores[i] for _, i in rows]
    return auc(drawn_labels, drawn_scores), gauc(numbers, drawn_labels, drawn_scores)


def leaky(x: NDArray[Any]) -> NDArray[Any]:
    """LeakyReLU with slope 0.2."""
    return np.where(x > 0, x, 0.2 * x)


def sigmoid(x: Any) -> NDArray[np.float64]:
    """1 / (1 + e⁻ˣ)."""
    return 1 / (1 + np.exp(-np.asarray(x, np.float64)))


def read_csv(path: Path) -> list[dict[str, str]]:
    """Rows of a CSV file as texts, header names stripped."""
    with open(path, newline="") as file:
        return [{key.strip(): value for key, value in row.items()} for row in csv.DictReader(file)]


def histories(raw: Path, n_v: int) -> dict[tuple[int, int], list[tuple[int, str, str]]]:
    """Alimama: (user, time of an impression) -> sorted (time, category, brand) of the behaviors it may see."""
    log = defaultdict(list)
    for row in read_csv(raw / "behavior_log.csv"):
        time = int(row["time_stamp"])
        # The 22 days up to 2017-05-13 in UTC+8: from 1492790400, before 1494691200.
        if 1492790400 <= time < 1494691200:
            log[int(row["user"])].append((time, row["btag"], row["cate"], row["brand"]))
    actions = ("pv", "cart", "fav", "buy")
    for rows in log.values():
        rows.sort(key=lambda r: (r[0], actions.index(r[1]), int(r[2]), int(r[3])))
    visible = {}
    for row in read_csv(raw / "raw_sample.csv"):
        key = int(row["user"]), int(row["time_stamp"])
        visible[key] = [(t, c, b) for t, _, c, b in log[key[0]] if t < key[1]][-n_v:]
    return visible
