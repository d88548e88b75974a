"""Simulated logs of the published files' size, all the way: 723 million behaviors and 26.6 million impressions.

Each step is a process of its own: simulation, the lower bound (DuckDB only converts the same CSV files to Parquet),
`mail preprocess`, one epoch of BaseDNN and of DMR with the paper's settings, and `mail evaluate` of each run. Finished
steps are kept in FOLDER/costs.json: after an interruption, the same command goes on.

Run: python benchmarks/full_size.py FOLDER [--report]   (about two and a half hours and 45 GB of disk)
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path
from typing import NamedTuple

from measure import Cost, cost, machine, record, table
from preprocess import BEHAVIORS, FLOOR, MAIL, USERS

#: The costs of finished steps.
COSTS = "costs.json"


class Step(NamedTuple):
    """A process of the measurement."""

    output: Path
    """What it leaves behind, whose size is reported."""
    arguments: list[object]
    """Of Python."""


def steps(folder: Path, users: int) -> dict[str, Step]:
    """The steps by name, in their order."""
    raw, floor, data = folder / "raw", folder / "floor", folder / "data"
    size = ["--users", users, "--behaviors-per-user", BEHAVIORS / USERS]
    simulate = ["-c", MAIL, "simulate", "alimama", "--out", raw, *size]
    preprocess = ["-c", MAIL, "preprocess", "alimama", "--raw", raw, "--data-dir", data]
    by_name = {
        "simulate": Step(raw, simulate),
        "floor": Step(floor, ["-c", FLOOR, raw, floor]),
        "preprocess": Step(data, preprocess),
    }
    for name, ranker in (("BaseDNN", "base"), ("DMR", "dmr")):
        runs = folder / "runs" / ranker
        places = ["--runs", runs, "--data-dir", data]
        by_name[f"train {name}"] = Step(runs, ["-c", MAIL, "train", "--ranker", ranker, "--set", "epochs=1", *places])
        by_name[f"evaluate {name}"] = Step(runs, ["-c", MAIL, "evaluate", *places])
    return by_name


def gigabytes(folder: Path) -> float:
    """Size of all files of a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e9


def kept_costs(folder: Path) -> dict[str, list[float]]:
    """Those of finished steps: seconds, peak MB and GB on disk."""
    path = folder / COSTS
    costs: dict[str, list[float]] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return costs


def measure(folder: Path, users: int) -> dict[str, list[float]]:
    """Seconds, peak MB and GB on disk of each step; those of costs.json are not repeated."""
    costs = kept_costs(folder)
    for name, step in steps(folder, users).items():
        if name in costs:
            continue
        if name == "floor":
            # What an interrupted run left.
            shutil.rmtree(step.output, ignore_errors=True)
        spent: Cost = cost(*step.arguments)
        costs[name] = [*spent, gigabytes(step.output)]
        if name == "floor":
            shutil.rmtree(step.output)
        (folder / COSTS).write_text(json.dumps(costs, indent=2), encoding="utf-8")
        print(f"{name}: {spent.seconds:,.0f} s, {spent.megabytes:,.0f} MB", flush=True)
    return costs


def report(costs: dict[str, list[float]], users: int) -> str:
    """The section of RESULTS.md."""
    floor = costs.get("floor")
    names = list(steps(Path(), users))
    rows = [
        [name, f"{seconds:,.0f}", f"{seconds / floor[0]:.2f}" if floor else "", f"{megabytes:,.0f}", f"{size:.1f}"]
        for name, (seconds, megabytes, size) in sorted(costs.items(), key=lambda step: names.index(step[0]))
    ]
    missing = [name for name in names if name not in costs]
    return "\n\n".join(
        [
            machine("duckdb", "sqlframe", "tensorflow", "keras"),
            f"{users:,} simulated users with {BEHAVIORS / USERS:.0f} behaviors each, as in the published files. "
            "`floor` is DuckDB only converting the same CSV files to Parquet. Both rankers train one epoch with the "
            "paper's settings (batches of 1,024, n_v = 100); `train` includes validation and scoring the test day. "
            "`peak MB` is the largest resident set of a process, with pages of mapped files, which the system can "
            "reclaim.",
            table(("step", "seconds", "x floor", "peak MB", "GB on disk"), rows),
            *([f"Not measured: {', '.join(missing)}."] if missing else []),
        ]
    )


def main() -> None:
    """Measure and record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="for raw files, dataset and runs; it is kept")
    parser.add_argument("--users", type=int, default=USERS, help="fewer, to try the script; nothing is recorded then")
    parser.add_argument("--report", action="store_true", help="record the finished steps, and measure no others")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    costs = kept_costs(arguments.folder) if arguments.report else measure(arguments.folder, arguments.users)
    text = report(costs, arguments.users)
    if arguments.users == USERS:
        record("Full size", text)
    else:
        print(text)


if __name__ == "__main__":
    main()
