"""A step of MAIL-Base that trains the tower in every k-th step only, beside one of BaseDNN.

All alternate, each in a process of its own, on random data of Alimama's shape with the paper's settings.

Run: python benchmarks/update_every.py   (6 minutes and 1 GB of disk)
"""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path

from alimama_shape import make_dataset
from fed_step import measure_in_process
from measure import machine, record, table
from train import BATCH, DIM

SHAPE = {"history": 100, "batch_size": BATCH, "embedding_dim": DIM}
ROWS = {
    "BaseDNN": {},
    **{f"MAIL-Base, {k}": {"cold_start": "mail", "cold_start.update_every": str(k)} for k in (1, 2, 3, 4)},
}
#: Steps that are multiples of every k.
WARM_UP, STEPS, TURNS = 12, 48, 3


def main() -> None:
    """Measure by turns, and record."""
    times: dict[str, list[float]] = {name: [] for name in ROWS}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "data"
        make_dataset(folder)
        for _ in range(TURNS):
            for name, settings in ROWS.items():
                times[name].append(measure_in_process(folder, {**SHAPE, **settings}, WARM_UP, STEPS).milliseconds)
    medians = {name: statistics.median(measured) for name, measured in times.items()}
    rows = [[name, f"{median:.1f}", f"{median / medians['BaseDNN']:.1f}"] for name, median in medians.items()]
    text = "\n\n".join(
        [
            machine("tensorflow", "keras", "numpy"),
            f"Batches of {BATCH:,}, d = {DIM}, histories of 100, as in the section Training; {STEPS} steps after "
            f"{WARM_UP}, with batches prepared at the same time, median of {TURNS} turns. What "
            "`cold_start.update_every` does to AUC is in experiments/RESULTS.md.",
            table(("cell, update_every", "step ms", "x BaseDNN"), rows),
        ]
    )
    record("A tower that is not trained in every step", text)


if __name__ == "__main__":
    main()
