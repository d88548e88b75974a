"""The table of a continued run: forgetting on the earlier day, gain on the new one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from mailcli.reporting.captions import ONE_SEED, protocol_text
from mailcli.reporting.rows import METRICS, TITLES
from mailcli.reporting.text_table import TextBlock, TextTable, signed, text_block, unsigned
from mailcli.runs.folder import RunFolder

#: What a change means on the dataset of the earlier day, and on that of the new one.
_MEANINGS = ("forgetting", "gain")


class _Change(NamedTuple):
    """One metric of one group of users, before and after the run was continued; None where it is undefined."""

    users: str
    metric: str
    before: float | None
    after: float | None

    @property
    def difference(self) -> float | None:
        return None if self.before is None or self.after is None else self.after - self.before


def retraining_table(run: RunFolder, parent: Path) -> TextTable:
    """The metrics of both days, before and after the run was continued."""
    result, config = run.result or {}, run.config
    days = list(zip(_MEANINGS, result["days"], strict=True))
    return TextTable(
        f"{config.cell} on {config.data}",
        ("", *(f"{metric} {column}" for metric in METRICS for column in ("before", "after", "difference"))),
        tuple(_block(meaning, day) for meaning, day in days),
        (
            f"data {result['dataset']} | {protocol_text(config)} | seed {config.seed}",
            f"before: {parent}; ids that are new to it count as unknown",
            f"after: {run.folder}",
            "forgetting: the change on the day that the run was trained on before; gain: the change on the new day",
            ONE_SEED,
        ),
        [_record(number, *day, change) for number, day in enumerate(days, start=1) for change in _changes(day[1])],
    )


def _changes(day: Mapping[str, Any]) -> list[_Change]:
    before, after = day["before"], day["after"]
    return [
        _Change(users, metric, before.get(users, {}).get(metric), after.get(users, {}).get(metric))
        for users in TITLES
        for metric in METRICS
    ]


def _block(meaning: str, day: Mapping[str, Any]) -> TextBlock:
    """A line for each group of users that the test split has."""
    lines = []
    for users in TITLES:
        changes = [change for change in _changes(day) if change.users == users]
        if any(value is not None for change in changes for value in (change.before, change.after)):
            lines.append([TITLES[users], *(text for change in changes for text in _texts(change))])
    return text_block(f"{meaning}: test of {day['dataset']}", lines)


def _texts(change: _Change) -> list[str]:
    return [unsigned(change.before), unsigned(change.after), signed(change.difference)]


def _record(number: int, meaning: str, day: Mapping[str, Any], change: _Change) -> dict[str, Any]:
    return {
        "day": number,
        "shows": meaning,
        "dataset": day["dataset"],
        "users": change.users,
        "metric": change.metric,
        "before": change.before,
        "after": change.after,
        "difference": change.difference,
    }
