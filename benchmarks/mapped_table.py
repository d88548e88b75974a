"""Training with a table that is three times as large as --table-memory, beside the same table in memory.

Speed: ids by Zipf's law, except the users', each of whom is as likely as any other. The two alternate, each in a
process of its own; the time is taken once all memory is in use.

Memory: of a whole `mail train`, which writes checkpoints, writes the best weights and reads them again, with a table of
9.4 million rows and with one of 31 thousand; the difference, in copies of the table.

Run: python benchmarks/mapped_table.py   (15 minutes and 20 GB of disk)
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from alimama_shape import make_dataset
from fed_step import FedStep, measure_in_process
from measure import machine, private_megabytes, record, table
from preprocess import MAIL
from train import BATCH, DIM

from mailcli.utils.table_memory import table_bytes

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
#: The two tables whose memory is compared, as parts of Alimama's, and the impressions of a split (ours: few, for it is
#: the table that matters).
LARGE, LITTLE, FEW = 3.0, 0.01, 20_000
#: Seconds between two looks at a process's memory.
LOOK = 0.05


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
        speed = _report(turns, whole)
    record("A table larger than memory", f"{speed}\n\n{_memory()}")


def _memory() -> str:
    """Peak memory of `mail train` with a large table, beyond that with a small one."""
    peaks: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for name, scale in (("large", LARGE), ("little", LITTLE)):
            dataset = make_dataset(folder / name, scale=scale, impressions=FEW)
            if name == "large":
                copy = table_bytes(sum(dataset.vocabulary_sizes.values()), DIM) // 3
        for name, memory in (("little", 3 * copy), ("large", 4 * copy), ("large", copy)):
            place = f"{name}, {memory // copy}"
            sizes = ["--set", f"batch_size={BATCH}", "--set", f"embedding_dim={DIM}", "--set", "epochs=2"]
            folders = ["--data", name, "--data-dir", folder, "--runs", folder / place]
            limits = ["--table-memory", f"{memory / 1e6}MB", "--checkpoint-every", "0.2"]
            peaks[place] = _peak("train", "--ranker", "base", *sizes, *folders, *limits)
    rows = [
        [text, f"{peaks[place]:,.0f}", f"{(peaks[place] - peaks['little, 3']) / copy * 1e6:.2f}"]
        for text, place in (("in memory", "large, 4"), ("mapped, a third in memory", "large, 1"))
    ]
    return "\n\n".join(
        [
            f"Peak memory of `mail train` without mapped files and libraries, where a copy of the table has "
            f"{copy / 1e6:,.0f} MB, and what of it is beyond the {peaks['little, 3']:,.0f} MB with a small table. The "
            "table and Adam's two moments are three copies.",
            table(("9.4 million embeddings", "peak MB", "copies of the table"), rows),
        ]
    )


def _peak(*arguments: object) -> float:
    """Peak MB of `mail` in a process of its own, without mapped files and libraries."""
    peak = 0.0
    with subprocess.Popen([sys.executable, "-c", MAIL, *map(str, arguments)], stdout=subprocess.DEVNULL) as process:
        while process.poll() is None:
            peak = max(peak, private_megabytes(process.pid))
            time.sleep(LOOK)
    if process.returncode:
        raise RuntimeError(f"mail {' '.join(map(str, arguments))} failed with status {process.returncode}")
    return peak


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
