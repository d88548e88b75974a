"""Experiments -> one Markdown document: tables, what they show, figures, and what they were made with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from mailcli.escape import markdown, markdown_code
from mailcli.experiments.plan import Plan
from mailcli.metrics.statistics import Improvement
from mailcli.reporting.formats import render
from mailcli.reporting.result_layout import lay_out
from mailcli.reporting.rows import METRICS, TITLES
from mailcli.reporting.tables import ResultTable
from mailcli.training.run_folder import Run

#: The groups of users in the summary of a table: "all" is these two, and the naturally new are few.
SUMMARIZED_USERS = ("new", "old")


@dataclass(frozen=True)
class ExperimentSection:
    """One experiment."""

    plan: Plan
    tables: Sequence[ResultTable]
    runs: Sequence[Run]
    """All runs behind the tables, with baselines."""
    figures: Sequence[Path]
    """Relative to the document."""


def render_document(sections: Sequence[ExperimentSection], reading: str) -> str:
    """The whole document.

    Args:
        sections: one per experiment.
        reading: what they show together, in Markdown; it comes first.
    """
    runs = [run for section in sections for run in section.runs]
    parts = [
        "# Results",
        "This file is written by `mail results`, from the small files of finished runs that are kept in `results/`: "
        "do not edit it. `make results` rewrites it within seconds; each section names the command that trains its "
        "runs.",
        reading.strip(),
        "## What it was made with",
        _bullets(_environments(runs)),
        *(part for section in sections for part in _section(section)),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _section(section: ExperimentSection) -> list[str]:
    plan = section.plan
    tables = [render(lay_out(table), "markdown") for table in section.tables]
    # The section's heading is the title of the first table.
    tables[0] = tables[0].removeprefix(f"**{markdown(section.tables[0].title)}**\n\n")
    return [
        f"## {markdown(plan.title)}",
        plan.reading,
        *(table.strip() for table in tables),
        _bullets([line for table in section.tables for line in _summary(table)]),
        *(f"![{markdown(path.stem)}]({quote(path.as_posix())})" for path in section.figures),
        f"Made by {markdown_code(f'mail run {plan.path.as_posix()}')}: {markdown(_cost(section.runs))}.",
    ]


def _summary(table: ResultTable) -> list[str]:
    """The differences of a table, grouped by what can be said about them."""
    summary: dict[str, list[str]] = {"Better": [], "Worse": [], "No significant difference": []}
    for line in table.lines:
        for metric in METRICS if line.users in SUMMARIZED_USERS else ():
            gain = line.improvements[metric]
            if gain is not None and gain.half_width is not None:
                text = f"{line.name}, {TITLES[line.users]}, {metric} {gain.mean:+.2f} ±{gain.half_width:.2f} %"
                summary[_verdict(gain)].append(text)
    return [f"{verdict}: {'; '.join(texts)}." for verdict, texts in summary.items() if texts]


def _verdict(gain: Improvement) -> str:
    if not gain.significant:
        return "No significant difference"
    return "Better" if gain.mean > 0 else "Worse"


def _environments(runs: Sequence[Run]) -> list[str]:
    """Machines, versions and dates: what the runs have in common, or all values."""
    environments = [run.environment for run in runs]
    versions = ("python", "tensorflow", "keras", "numpy", "pandas", "scipy")
    machines = {
        f"{environment['machine']}, {environment['cores']} cores, {environment['gpus']} GPUs, "
        f"{', '.join(environment['instructions'])}"
        for environment in environments
    }
    dates = sorted(environment["finished"][:10] for environment in environments)
    commits = [{"commit": (environment["commit"] or "none")[:9]} for environment in environments]
    return [
        f"{len({run.folder for run in runs})} runs, finished {dates[0]} to {dates[-1]}",
        f"machine: {'; '.join(sorted(machines))}",
        "versions: " + ", ".join(f"{name} {_values(environments, name)}" for name in versions),
        f"commits: {_values(commits, 'commit')}",
    ]


def _values(environments: Sequence[dict[str, Any]], key: str) -> str:
    return " and ".join(sorted({str(environment.get(key, "not recorded")) for environment in environments}))


def _cost(runs: Sequence[Run]) -> str:
    environments = [run.environment for run in runs]
    minutes = sum(environment["seconds"] for environment in environments) / 60
    return (
        f"{len(runs)} runs, {minutes:,.0f} minutes of training and evaluation in total, threads per run: "
        f"{_values(environments, 'threads')}"
    )


def _bullets(lines: Sequence[str]) -> str:
    return "\n".join(f"- {markdown(line)}" for line in lines)
