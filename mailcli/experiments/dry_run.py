"""`--dry-run` of the commands that train: which runs are finished, which are missing, and what these take."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from mailcli.experiments.estimate import TimeEstimate, estimate_time
from mailcli.experiments.plan import PlannedRun, PlannedTable, largest_run_memory
from mailcli.runs.checkpoints import PEAK_COPIES
from mailcli.utils.sizes import size_text


def describe(titles: Sequence[str], tables: Sequence[PlannedTable], jobs: int | None) -> list[str]:
    """Lines: the runs of each table, then the time, memory and disk that the missing ones take.

    Args:
        titles: of the tables.
        tables: what they need.
        jobs: the value of --jobs.

    Raises:
        MailError: a run cannot be made.
    """
    for table in tables:
        table.check()
    lines = [line for title, table in zip(titles, tables, strict=True) for line in _table_lines(title, table)]
    runs = [run for table in tables for run in table.runs()]
    if not runs:
        return [*lines, "Only trivial rows, which take seconds, or minutes on millions of impressions."]
    if all(run.is_finished for run in runs):
        return [*lines, "Nothing to train: all runs are finished."]
    estimate = estimate_time(tables, jobs)
    memory = largest_run_memory(tables) * estimate.jobs
    needs = f"Memory: up to {size_text(memory)}. Disk: up to {size_text(disk_bytes(estimate))}."
    return [*lines, estimate.text(), needs]


def _table_lines(title: str, table: PlannedTable) -> list[str]:
    """The title, and a line for each cell with the seeds that are finished, begun and missing; of a grid one line."""
    if table.grid:
        states = Counter(map(_state, table.runs()))
        counts = "; ".join(f"{state}: {count}" for state, count in states.items())
        return [f"{title} on {table.dataset.display_name}, runs {counts}"]
    cells: dict[str, list[PlannedRun]] = {}
    for run in table.runs():
        cells.setdefault(run.cell_key, []).append(run)
    return [f"{title} on {table.dataset.display_name}", *map(_cell_line, cells.values())]


def _cell_line(runs: Sequence[PlannedRun]) -> str:
    seeds: dict[str, list[str]] = {}
    for run in runs:
        seeds.setdefault(_state(run), []).append(str(run.config.seed))
    texts = [f"{state}: {', '.join(numbers)}" for state, numbers in seeds.items()]
    return f"  {runs[0].name}, seeds {'; '.join(texts)}"


def _state(run: PlannedRun) -> str:
    if run.replaces_another:
        return "to train anew"
    return "finished" if run.is_finished else "to resume" if run.steps_done else "to train"


def disk_bytes(estimate: TimeEstimate) -> int:
    """What the missing runs leave (weights and optimizers), and the checkpoints of those that train at once."""
    sizes = [4 * estimate.speeds[run.cell_key].numbers for run in estimate.missing]
    # What a run leaves is one of its copies.
    return sum(sizes) + (PEAK_COPIES - 1) * sum(sorted(sizes)[-estimate.jobs :])
