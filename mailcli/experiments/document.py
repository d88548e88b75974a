"""Experiments -> one Markdown document: tables, what they say, figures, and what they were made with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mailcli.experiments.plan import Plan
from mailcli.reporting.formats import FORMATS
from mailcli.reporting.tables import METRICS, TITLES, Line, Table
from mailcli.training.run_folder import Run

#: Which groups of users the summary of a table tells of; "all" is these two, the naturally new are few.
TOLD = ("new", "old")


@dataclass(frozen=True)
class Section:
    """One experiment."""

    plan: Plan
    tables: Sequence[Table]
    runs: Sequence[Run]
    """All runs behind the tables, baselines too."""
    figures: Sequence[Path]
    """Relative to the document."""


def document(sections: Sequence[Section], reading: str) -> str:
    """The whole document.

    Args:
        sections: one per experiment.
        reading: what all of them say together, in Markdown; it stands first.
    """
    every = [run for section in sections for run in section.runs]
    parts = [
        "# Results",
        "This file is written by `mail results`, from the small files of finished runs that are kept in `results/`: "
        "do not edit it. `make results` writes it anew within seconds; each section names the command that trains its "
        "runs.",
        reading.strip(),
        "## What it was made with",
        _bullets(_environments(every)),
        *(part for section in sections for part in _section(section)),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _section(section: Section) -> list[str]:
    plan = section.plan
    return [
        f"## {plan.title}",
        plan.reading,
        *(
            FORMATS["markdown"]([table]).replace(f"**{table.title}**\n\n", "", 1).strip()
            for table in section.tables[:1]
        ),
        *(FORMATS["markdown"]([table]).strip() for table in section.tables[1:]),
        _bullets([line for table in section.tables for line in _summary(table)]),
        *(f"![{path.stem}]({path.as_posix()})" for path in section.figures),
        f"Made by `mail run {plan.path.as_posix()}`: {_cost(section.runs)}.",
    ]


def _summary(table: Table) -> list[str]:
    """The differences of a table by what can be said of them."""
    found: dict[str, list[str]] = {"Better": [], "Worse": [], "No significant difference": []}
    for line in (line for line in table.lines if line.users in TOLD):
        for metric in METRICS:
            gain = line.improvements[metric]
            if gain is None or gain.half_width is None:
                continue
            kind = "No significant difference" if not gain.significant else "Better" if gain.mean > 0 else "Worse"
            found[kind].append(_told(line, metric))
    return [f"{kind}: {'; '.join(told)}." for kind, told in found.items() if told]


def _told(line: Line, metric: str) -> str:
    gain = line.improvements[metric]
    assert gain is not None
    return f"{line.name}, {TITLES[line.users]}, {metric} {gain.mean:+.2f} ±{gain.half_width:.2f} %"


def _environments(runs: Sequence[Run]) -> list[str]:
    """Machines, versions and times; what the runs have in common, or the range of it."""
    found = [run.environment for run in runs]
    versions = ("python", "tensorflow", "keras", "numpy", "pandas", "scipy")
    machines = {
        f"{each['machine']}, {each['cores']} cores, {each['gpus']} GPUs, {', '.join(each['instructions'])}"
        for each in found
    }
    finished = sorted(each["finished"] for each in found)
    return [
        f"{len({run.folder for run in runs})} runs, finished {finished[0][:10]} to {finished[-1][:10]}",
        f"machine: {'; '.join(sorted(machines))}",
        "versions: " + ", ".join(f"{name} {_values(found, name)}" for name in versions),
        f"commits: {_values([{'commit': (each['commit'] or 'none')[:9]} for each in found], 'commit')}",
    ]


def _values(environments: Sequence[dict[str, Any]], key: str) -> str:
    return " and ".join(sorted({str(each.get(key, "not told")) for each in environments}))


def _cost(runs: Sequence[Run]) -> str:
    found = [run.environment for run in runs]
    seconds = sum(each["seconds"] for each in found)
    threads = _values(found, "threads")
    return (
        f"{len(runs)} runs, {seconds / 60:,.0f} minutes of training and evaluation in all, threads of a run: {threads}"
    )


def _bullets(lines: Sequence[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)
