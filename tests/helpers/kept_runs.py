"""Finished runs written by hand: their small files, without training."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

#: An experiment whose runs can be written so.
EXPERIMENT = """
title = "Toy table"
source = "alimama"
seeds = 2
rows = ["BaseDNN", "MAIL-None", "MAIL-Base"]
against = [["MAIL-Base", "MAIL-None"]]
reading = "Nothing is learned here."
[settings]
history = 10
[simulate]
name = "toy"
users = 150
"""
CONFIG = """
dataset_sha256 = "{sha}"
data = "{data}"
ranker = "{ranker}"
cold_start = "{cold_start}"
seed = {seed}
history = {history}
[cold_start_options]
{options}
"""
MACHINE = {"machine": "m68k", "cores": 3, "threads": 1, "gpus": 0, "instructions": ["fma"], "commit": "abcdef012345"}
VERSIONS = dict.fromkeys(("python", "tensorflow", "keras", "numpy", "pandas", "scipy"), "9.9")


def write_run(
    runs: Path,
    cell: str,
    seed: int,
    auc: float,
    sha: str = "0",
    history: int = 10,
    cost: dict[str, float] | None = None,
    data: str = "toy",
    **scored: Any,
) -> Path:
    """A finished run's small files, by hand, and a large one that is not to be archived.

    Args:
        runs: folder of the runs.
        cell: e.g. `base+mail-dual`, or `item-rate+none`.
        seed: of the run.
        auc: of new, old and all users; the GAUC is .5.
        sha: of the dataset.
        history: a setting.
        cost: of environment.json.
        data: the dataset.
        scored: more of result.json.
    """
    folder = runs / data / "paper" / cell / f"seed-{seed}"
    folder.mkdir(parents=True)
    ranker, _, rest = cell.partition("+")
    method, _, variant = rest.partition("-")
    options = f'variant = "{variant}"' if variant else ""
    text = CONFIG.format(
        sha=sha, data=data, ranker=ranker, cold_start=method, seed=seed, history=history, options=options
    )
    (folder / "config.toml").write_text(text, encoding="utf-8")
    counts = {"impressions": 8, "clicks": 4, "users": 2}
    group = {"AUC": auc, "GAUC": 0.5, "one_class_impressions": 0.25, **counts}
    result = {"cell": cell, "seed": seed, "protocol": "paper", "dataset": f"{data} (simulated)", **scored}
    result |= {"test": {"new": group, "old": group, "all": group}}
    (folder / "result.json").write_text(json.dumps(result), encoding="utf-8")
    environment = {**MACHINE, **VERSIONS, "seconds": 90.0, "finished": f"2026-11-2{seed}T00:00:00Z"}
    environment |= {"cost": cost} if cost else {}
    (folder / "environment.json").write_text(json.dumps(environment), encoding="utf-8")
    (folder / "predictions.npy").write_bytes(b"large")
    return folder
