"""A tuned experiment as a file of its own, for `mail run`: the rows with their best settings, and the budget."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tomli_w

from mailcli.experiments.experiment import Experiment
from mailcli.experiments.experiment_tuning import Budget, TunedRow
from mailcli.utils.files import replace_file


def write_tuned_file(experiment: Experiment, budget: Budget, tuned: Sequence[TunedRow], data: str, path: Path) -> None:
    """Write the file; what was written there before is replaced.

    Args:
        experiment: the experiment that was tuned.
        budget: of each row.
        tuned: what the search of each row has led to, in the order of the rows.
        data: name of the dataset on which it was tuned.
        path: of the file.
    """
    names = _each_once(experiment.row_names(with_settings=False))
    rows = [_row(*row) for row in zip(experiment.content["rows"], names, tuned, strict=True)]
    # `reading` describes the numbers of the untuned experiment.
    kept = {key: value for key, value in experiment.content.items() if key not in {"rows", "tune", "reading"}}
    validation = {
        name: tuned_row.validation
        for name, tuned_row in zip(names, tuned, strict=True)
        if tuned_row.validation is not None
    }
    budget_table = {
        "data": data,
        "trials": budget.trials,
        "ranges": list(budget.ranges),
        "users": budget.users,
        "seed": budget.seed,
        "seeds": budget.seeds,
        "validation": validation,
    }
    kept["title"] = f"{kept['title']}, tuned"
    scalars = {key: value for key, value in kept.items() if not isinstance(value, dict)}
    tables = {key: value for key, value in kept.items() if isinstance(value, dict)}
    header = f"# Written by `mail tune {experiment.path.as_posix()}`: do not edit it.\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    with replace_file(path) as partial:
        text = tomli_w.dumps({**scalars, "rows": rows, **tables, "tuned": budget_table})
        partial.write_text(header + text, encoding="utf-8")


def _each_once(names: Sequence[str]) -> list[str]:
    """Names of rows as keys: the second row of a name has ` (2)` after it, unless another row is called so."""
    keys: list[str] = []
    for name in names:
        key, count = name, 1
        while key in keys or (count > 1 and key in names):
            count += 1
            key = f"{name} ({count})"
        keys.append(key)
    return keys


def _row(row: Any, name: str, tuned: TunedRow) -> Any:
    """A row of the file: with its tuned settings, named as in the table of the untuned one."""
    if not tuned.settings:
        return row
    given = row if isinstance(row, dict) else {"row": row}
    return {**given, "label": name, **tuned.settings}
