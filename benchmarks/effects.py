"""Effect of faster training on AUC: row-sparse Adam against the paper's, bfloat16 against float32.

MovieLens-100K, protocol paper, otherwise as experiments/demo.toml, pairs of runs with the same seed: the same new
users, initialization and order. Finished runs in runs/demo, runs/adam and runs/bfloat16 are reused.

Run: python benchmarks/effects.py (half an hour on 2 cores)
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
from measure import machine, record, table

from mailcli.config import RunConfig, make_config
from mailcli.data import dataset
from mailcli.experiments.cells import train_if_missing
from mailcli.experiments.experiment_file import read_experiment
from mailcli.metrics.statistics import estimate, holm, improvement

HERE = Path(__file__).parent.parent
SEEDS = range(5)
CELLS = {"BaseDNN": {"cold_start": "none"}, "MAIL-Base": {"cold_start": "mail", "cold_start.variant": "base"}}
#: The runs that are compared: their folder, and the setting that differs.
DEFAULT = ("demo", {})
ALTERNATIVES = {
    "optimizer=adam (dense, the paper's)": ("adam", {"optimizer": "adam"}),
    "precision=bfloat16": ("bfloat16", {"precision": "bfloat16"}),
}
GROUPS = ("new", "old", "all")


def aucs(folder: str, config: RunConfig, data: dataset.Dataset) -> dict[str, list[float]]:
    """The test AUC of each group by seed; missing runs are trained."""
    values: dict[str, list[float]] = {group: [] for group in GROUPS}
    for seed in SEEDS:
        result = train_if_missing(replace(config, seed=seed), data, HERE / "runs" / folder).result
        assert result is not None
        for group in GROUPS:
            values[group].append(result["test"][group]["AUC"])
    return values


def main() -> None:
    """Train the missing runs, compare, record."""
    data = dataset.open_dataset(HERE / "data", "ml-100k")
    demo = read_experiment(HERE / "experiments" / "demo.toml").settings
    settings = {"data": "ml-100k", **demo, "protocol": "paper"}
    rows, gains = [], []
    for name, cell in CELLS.items():
        folder, changes = DEFAULT
        default = aucs(folder, make_config([settings, cell, changes]), data)
        for alternative, (folder, changes) in ALTERNATIVES.items():
            changed = aucs(folder, make_config([settings, cell, changes]), data)
            for group in GROUPS:
                mean, _, half = estimate(default[group])
                change, _, width = estimate(np.subtract(changed[group], default[group]).tolist())
                rows.append((name, group, f"{mean:.4f} ±{half:.4f}", alternative, f"{change:+.4f} ±{width:.4f}"))
                gains.append(improvement(default[group], changed[group]))
    verdicts = ["significant" if gain and gain.significant else "no significant difference" for gain in holm(gains)]
    rows = [(*row, verdict) for row, verdict in zip(rows, verdicts, strict=True)]
    head = ("cell", "users", "default AUC", "alternative", "change of AUC", "RI of AUC at 5%")
    text = (
        f"{machine('tensorflow', 'keras')}\n\n"
        f"MovieLens-100K (real data), protocol paper, otherwise as experiments/demo.toml, seeds {SEEDS[0]} to "
        f"{SEEDS[-1]}, paired by seed; ±: 95% interval over seeds; Holm-corrected over all lines.\n\n"
        f"{table(head, rows)}"
    )
    record("Effect of faster training on AUC", text)


if __name__ == "__main__":
    main()
