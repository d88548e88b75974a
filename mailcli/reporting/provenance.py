"""What finished runs were made with: machines, versions, dates and times, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mailcli.errors import counted
from mailcli.runs.folder import RunFolder

_NOT_RECORDED = "not recorded"


def environment_notes(runs: Sequence[RunFolder]) -> list[str]:
    """Machines, versions and dates: what the runs have in common, or all values."""
    environments = [run.environment for run in runs]
    versions = ("python", "tensorflow", "keras", "numpy", "pandas", "scipy")
    dates = sorted(map(_date, environments))
    commits = [{"commit": (environment.get("commit") or "none")[:9]} for environment in environments]
    return [
        f"{counted(len({run.folder for run in runs}), 'run')}, finished {dates[0]} to {dates[-1]}",
        f"machine: {'; '.join(sorted(set(map(_machine, environments))))}",
        "versions: " + ", ".join(f"{name} {_values(environments, name)}" for name in versions),
        f"commits: {_values(commits, 'commit')}",
    ]


def cost_note(runs: Sequence[RunFolder]) -> str:
    """The number of runs, and what all of them took."""
    environments = [run.environment for run in runs]
    minutes = round(sum(environment.get("seconds", 0) for environment in environments) / 60)
    return (
        f"{counted(len(runs), 'run')}, {counted(minutes, 'minute')} of training and evaluation in total, threads per "
        f"run: {_values(environments, 'threads')}"
    )


def _date(environment: Mapping[str, Any]) -> str:
    return str(environment["finished"])[:10] if "finished" in environment else _NOT_RECORDED


def _machine(environment: Mapping[str, Any]) -> str:
    machine, cores, gpus = (environment.get(key, _NOT_RECORDED) for key in ("machine", "cores", "gpus"))
    return f"{machine}, {cores} cores, {gpus} GPUs, {', '.join(environment.get('instructions', ()))}"


def _values(environments: Sequence[Mapping[str, Any]], key: str) -> str:
    return " and ".join(sorted({str(environment.get(key, _NOT_RECORDED)) for environment in environments}))
