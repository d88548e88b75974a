"""What runs were made with, in words."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from mailcli.reporting.provenance import cost_note, environment_notes
from mailcli.runs.folder import RunFolder


def runs(*environments: dict[str, Any]) -> list[RunFolder]:
    return [
        cast(RunFolder, SimpleNamespace(folder=Path(str(number)), environment=environment))
        for number, environment in enumerate(environments)
    ]


def test_what_was_not_recorded_is_said_in_full() -> None:
    notes = environment_notes(runs({}))
    assert notes[0] == "1 run, finished not recorded to not recorded"
    assert notes[3] == "commits: none"


def test_dates_and_minutes() -> None:
    first, second = ({"finished": f"2026-11-2{day}T01:02:03Z", "seconds": 60, "threads": 1} for day in (4, 1))
    assert environment_notes(runs(first, second))[0] == "2 runs, finished 2026-11-21 to 2026-11-24"
    cost = "of training and evaluation in total, threads per run: 1"
    assert cost_note(runs(first)) == f"1 run, 1 minute {cost}"
    assert cost_note(runs(first, second)) == f"2 runs, 2 minutes {cost}"
