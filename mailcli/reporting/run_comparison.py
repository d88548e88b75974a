"""`mail runs compare`: how two finished runs differ, and by how much in AUC and GAUC."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mailcli.reporting.paired_differences import (
    Difference,
    NotComparableError,
    common_metrics,
    metrics_of_test,
    paired_differences,
)
from mailcli.reporting.rows import TITLES
from mailcli.reporting.text_table import TextTable, signed, text_block, unsigned
from mailcli.runs.environment import versions_and_machine
from mailcli.runs.folder import RunFolder
from mailcli.runs.settings import recorded_settings

#: Letters of a SHA-256 or another long text that a table shows (ours: enough to tell two apart).
_SHOWN = 24


def comparison_tables(first: RunFolder, second: RunFolder, data_dir: Path, draws: int) -> list[TextTable]:
    """The settings and versions in which two finished runs differ, and their test metrics.

    Args:
        first, second: finished runs.
        data_dir: folder of the datasets; only the intervals need the runs' dataset.
        draws: the number of draws of the test users, for intervals.

    Raises:
        MailError: a file of a run is damaged.
    """
    try:
        differences = paired_differences(first, second, data_dir, draws)
        note = f"over users: 95% intervals of B - A from {draws:,} bootstrap draws of the test users" if draws else ""
    except NotComparableError as reason:
        differences, note = {}, f"no differences: {reason}"
    return [_settings_table(first, second), _metric_table(first, second, differences, note)]


def _settings_table(first: RunFolder, second: RunFolder) -> TextTable:
    """The settings and versions in which they differ."""
    blocks, records = [], []
    for title, texts in (
        ("settings", [recorded_settings(run) for run in (first, second)]),
        ("versions and machine", [versions_and_machine(run.environment) for run in (first, second)]),
    ):
        keys = [key for key in dict.fromkeys([*texts[0], *texts[1]]) if texts[0].get(key) != texts[1].get(key)]
        lines = [[key, *_cut_pair(*(side.get(key) for side in texts))] for key in keys]
        blocks.append(text_block(title, lines or [["none", "", ""]]))
        records += [{"of": title, "key": key, "a": texts[0].get(key), "b": texts[1].get(key)} for key in keys]
    return TextTable("What differs", ("", "A", "B"), tuple(blocks), _names(first, second), records)


def _cut_pair(first: str | None, second: str | None) -> list[str]:
    """Both texts, a long one cut to a part in which the two differ; `-` for None."""
    texts = [text if text is not None else "-" for text in (first, second)]
    same = next((place for place, (a, b) in enumerate(zip(*texts, strict=False)) if a != b), min(map(len, texts)))
    begin = max(0, same - _SHOWN // 2) if same >= _SHOWN else 0
    return [
        text
        if len(text) <= _SHOWN
        else f"{'...' * (begin > 0)}{text[begin : begin + _SHOWN]}{'...' * (len(text) > begin + _SHOWN)}"
        for text in texts
    ]


def _names(first: RunFolder, second: RunFolder) -> tuple[str, str]:
    return f"A: {first.folder}", f"B: {second.folder}"


def _metric_table(
    first: RunFolder, second: RunFolder, differences: Mapping[tuple[str, str], Difference], note: str
) -> TextTable:
    """The test metrics side by side, with differences where both scored the same impressions."""
    tests = metrics_of_test(first), metrics_of_test(second)
    measured = common_metrics(*tests)
    blocks, records = [], []
    for users in dict.fromkeys(users for users, _ in measured):
        lines = []
        for _, metric in filter(lambda pair: pair[0] == users, measured):
            values = [test[users][metric] for test in tests]
            difference = differences.get((users, metric))
            lines.append([metric, *map(unsigned, values), *(_difference_cells(difference) if differences else [])])
            numbers = difference or Difference(None, None, None)
            records.append(
                {
                    **{"users": users, "metric": metric, "a": values[0], "b": values[1]},
                    **{"difference": numbers.mean, "difference_low": numbers.low, "difference_high": numbers.high},
                }
            )
        blocks.append(text_block(TITLES[users], lines))
    head = ("", "A", "B", *(("B - A", "over users") if differences else ()))
    labels = " and ".join(dict.fromkeys(run.result["dataset"] for run in (first, second) if run.result))
    notes = (f"data {labels} | test split", *_names(first, second), *([note] if note else []))
    return TextTable("Test metrics", head, tuple(blocks), notes, records)


def _difference_cells(difference: Difference | None) -> list[str]:
    if difference is None:
        return ["-", "-"]
    has_interval = difference.low is not None
    return [signed(difference.mean), f"{signed(difference.low)} to {signed(difference.high)}" if has_interval else "-"]
