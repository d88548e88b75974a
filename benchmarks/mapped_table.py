"""Training with a table that is three times as large as --table-memory, beside the same table in memory.

Ids by Zipf's law, except the users', each of whom is as likely as any other. The two alternate, each in a process of
its own; the time is taken once all memory is in use.

Run: python benchmarks/mapped_table.py   (10 minutes and 1 GB of disk)
"""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path

from alimama_shape import make_dataset
from fed_step import FedStep, measure_in_process
from measure import machine, record, table
from train import BATCH, DIM

from mailcli.utils.hardware import table_bytes

#: A quarter of Alimama's vocabularies, so that memory is full after few steps, and users enough for that (ours).
SCALE, USERS, IMPRESSIONS = 0.25, 200_000, 600_000
#: The table with its moments is so many times as large as the memory for it.
TIMES = 3
SETTINGS = {
    "BaseDNN": {"ranker": "base", "history": 100},
    "DMR": {"ranker": "dmr", "history": 50},
}
PLACES = ("in memory", "mapped")
WARM_UP, STEPS, TURNS = 300, 100, 3


def main() -> None:
    """Measure by turns, and record."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "data"
        dataset = make_dataset(folder, scale=SCALE, users=USERS, impressions=IMPRESSIONS)
        whole = table_bytes(sum(dataset.vocabulary_sizes.values()) + 100, DIM)
        turns: dict[tuple[str, str], list[FedStep]] = {(name, place): [] for name in SETTINGS for place in PLACES}
        for _ in range(TURNS):
            for (name, place), measured in turns.items():
                settings = {**SETTINGS[name], "batch_size": BATCH, "embedding_dim": DIM}
                memory = whole if place == "in memory" else whole // TIMES
                measured.append(measure_in_process(folder, settings, WARM_UP, STEPS, memory))
        record("A table larger than memory", _report(turns, whole))


def _report(turns: dict[tuple[str, str], list[FedStep]], whole: int) -> str:
    times = {key: statistics.median(turn.milliseconds for turn in measured) for key, measured in turns.items()}
    rows = [
        [
            f"{name}, {place}",
            f"{times[name, place]:.1f}",
            f"{times[name, 'in memory'] / times[name, place]:.2f}",
            f"{measured[0].rows_in_memory:,}",
            f"{statistics.median(turn.megabytes for turn in measured):,.0f}",
        ]
        for (name, place), measured in turns.items()
    ]
    return "\n\n".join(
        [
            machine("tensorflow", "keras", "numpy"),
            f"{turns['BaseDNN', 'mapped'][0].rows:,} embeddings, d = {DIM}, {whole / 1e6:,.0f} MB with their moments, "
            f"and --table-memory a third of it; batches of {BATCH:,}, {STEPS} steps after {WARM_UP}, median of {TURNS} "
            "turns. Ids by Zipf's law but the users', who are equally likely. The files fit in the system's cache "
            "here: a table that is larger than the machine's memory also waits for its disk. `private MB`: memory of "
            "the process without mapped files and libraries.",
            table(("", "step ms", "speed / in memory", "rows in memory", "private MB"), rows),
        ]
    )


if __name__ == "__main__":
    main()
