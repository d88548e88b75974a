"""`mail preprocess alimama` on simulated logs of 1/100, 1/30 and 1/10 of the real size.

For each size: time and peak memory of our preprocessing, of the lower bound (DuckDB only converts the same CSV files to
Parquet) and of the same work in pandas; then the time from the dataset to the first training batch.

Run: python benchmarks/preprocess.py [--folder DIR] [--sizes 100,30,10]   (about 7 minutes and 8 GB of disk)
"""

from __future__ import annotations

import argparse
import itertools
import shutil
import tempfile
from pathlib import Path

import numpy as np
from measure import Cost, cost, machine, record, table

USERS, BEHAVIORS = 1_141_729, 723_268_134
FLOOR = """
import sys, duckdb
from pathlib import Path
out = Path(sys.argv[2])
out.mkdir()
duckdb.sql("SET enable_progress_bar = false")
for path in Path(sys.argv[1]).glob("*.csv"):
    duckdb.sql(f"COPY (FROM read_csv('{path}')) TO '{out / path.stem}.parquet'")
"""
MAIL = "import sys; from mailcli.cli import main; main(sys.argv[1:])"
FIRST_BATCH = """
import sys, time
start = time.perf_counter()
from mailcli.data.batches import Batches
from mailcli.config import RunConfig
from mailcli.data.protocol import views
from mailcli.data.last_used import open_chosen
from pathlib import Path
dataset = open_chosen(Path(sys.argv[1]), None)
config = RunConfig(data=dataset.name)
view = views(dataset, config)["train"]
batch = next(Batches(dataset, view, config.history, config.batch_size).shuffled(0, 0))
print(f"first batch of {len(batch['click'])} after {time.perf_counter() - start:.2f} s")
"""


def measure(folder: Path, size: int) -> dict[str, Cost]:
    """The costs for logs of 1/size of the real size."""
    raw = folder / f"raw-{size}"
    costs = {}
    if not raw.exists():
        users = ["--users", round(USERS / size), "--behaviors-per-user", BEHAVIORS / USERS]
        costs["simulate"] = cost("-c", MAIL, "simulate", "alimama", *users, "--out", raw)
    with tempfile.TemporaryDirectory(dir=folder) as temp:
        out = Path(temp)
        # Read the files once first, so that they are in the page cache for all.
        for path in raw.iterdir():
            with open(path, "rb") as file:
                while file.read(1 << 24):
                    pass
        costs["floor"] = cost("-c", FLOOR, raw, out / "floor")
        shutil.rmtree(out / "floor")
        costs["mail"] = cost("-c", MAIL, "preprocess", "alimama", "--raw", raw, "--data-dir", out / "data")
        costs["first batch"] = cost("-c", FIRST_BATCH, out / "data")
        costs["pandas"] = cost(Path(__file__).parent / "pandas_pipeline.py", raw, out / "pandas")
        ours = np.load(out / "data" / "alimama" / "behaviors" / "time.npy", mmap_mode="r")
        theirs = np.load(out / "pandas" / "behavior_time.npy", mmap_mode="r")
        if len(ours) != len(theirs) or int(ours.sum()) != int(theirs.sum()):
            raise RuntimeError(f"1/{size}: we keep {len(ours)} behaviors, pandas keeps {len(theirs)}")
    return costs


def report(costs: dict[int, dict[str, Cost]]) -> str:
    """The section of RESULTS.md."""
    sizes = sorted(costs, reverse=True)
    rows, growth = [], []
    for size in sizes:
        floor = costs[size]["floor"]
        for name in ("floor", "mail", "pandas", "first batch", "simulate"):
            if name in costs[size]:
                seconds, megabytes = costs[size][name]
                ratio = f"{seconds / floor.seconds:.2f}" if name in {"mail", "pandas"} else ""
                rows.append([f"1/{size}", name, f"{seconds:.1f}", ratio, f"{megabytes:,.0f}"])
    for small, large in itertools.pairwise(sizes):
        for name in ("floor", "mail", "pandas"):
            before, after = costs[small][name], costs[large][name]
            cells = [f"{after.seconds / before.seconds:.2f}", f"{after.megabytes / before.megabytes:.2f}"]
            growth.append([f"1/{small} to 1/{large} ({small / large:.2f} x)", name, *cells])
    parts = [
        machine("duckdb", "sqlframe", "pandas"),
        "`floor` is DuckDB only converting the same CSV files to Parquet; ratios are relative to it, from one run. "
        "`first batch` is the time of a new process from its start to the first training batch of 1,024.",
        table(("size", "program", "seconds", "x floor", "peak MB"), rows),
        table(("growth", "program", "time", "memory"), growth),
        "The section *Full size* has what the published size takes.",
    ]
    return "\n\n".join(parts)


def main() -> None:
    """Measure and record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--folder", type=Path, help="keep the simulated files here; by default they are deleted at the end"
    )
    parser.add_argument("--sizes", default="100,30,10")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temp:
        folder = arguments.folder or Path(temp)
        folder.mkdir(parents=True, exist_ok=True)
        costs = {size: measure(folder, size) for size in map(int, arguments.sizes.split(","))}
    record("Preprocessing", report(costs))


if __name__ == "__main__":
    main()
