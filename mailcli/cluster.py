"""The workers of a training, each a process on a machine of its own: who they are."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from mailcli.errors import MailError, choices

#: Seconds that workers wait for one another (ours: machines of a cluster are seldom started at one moment).
TIMEOUT = 300.0


@dataclass(frozen=True)
class Cluster:
    """All workers, and which of them this process is."""

    addresses: tuple[str, ...]
    """HOST:PORT of each."""
    index: int
    """This worker's place among them; 0 is the chief, who writes the run's folder."""
    timeout: float = TIMEOUT
    """Seconds that workers wait for one another."""

    def name(self, index: int) -> str:
        """How a worker is called in a text."""
        return f"worker {index} ({self.addresses[index]})"


def parse(workers: str | None, index: int | None, timeout: float, environ: Mapping[str, str]) -> Cluster | None:
    """The cluster that `--workers` and `--index` or the variable TF_CONFIG tell of; None without any.

    Raises:
        MailError: one line with all that is wrong.
    """
    told = _tf_config(environ["TF_CONFIG"]) if environ.get("TF_CONFIG") else None
    if workers is None and told is None:
        if index is not None:
            raise MailError(f"--index {index}: it goes with --workers HOST:PORT,HOST:PORT. Give both.")
        return None
    given = tuple(part.strip() for part in workers.split(",")) if workers is not None else None
    if told:
        if (given is not None and given != told[0]) or (index is not None and index != told[1]):
            raise MailError(
                f"TF_CONFIG tells of worker {told[1]} of {','.join(told[0])}, --workers and --index of "
                f"{'worker ' + str(index) if index is not None else 'no index'} of {workers}. Give one of the two."
            )
        given, index = told
    assert given is not None
    faults = _faults(given)
    if index is None:
        faults.append(f"--index: which of the workers is this? Expected 0 to {len(given) - 1}")
    elif not 0 <= index < len(given):
        faults.append(f"--index {index}: expected 0 to {len(given) - 1}, the place of this worker in --workers")
    if faults or index is None:
        raise MailError("; ".join(faults) + ".")
    return Cluster(given, index, timeout)


def _faults(addresses: tuple[str, ...]) -> list[str]:
    """What is wrong with the addresses."""
    faults = []
    for each in addresses:
        host, colon, port = each.rpartition(":")
        if not (host and colon and port.isascii() and port.isdigit() and 0 < int(port) < 2**16 and " " not in host):
            faults.append(f"--workers: '{each}' is not HOST:PORT, such as 10.0.0.1:2222")
    twice = sorted({each for each in addresses if addresses.count(each) > 1})
    if twice:
        faults.append(f"--workers: {choices(twice)} is there more than once")
    if len(addresses) < 2:
        faults.append("--workers: expected two workers or more")
    return faults


def _tf_config(text: str) -> tuple[tuple[str, ...], int] | None:
    """Addresses and index of TF_CONFIG: the job `chief`, then the job `worker`; None of one without a cluster."""
    try:
        found = json.loads(text)
        jobs, task = found.get("cluster") or {}, found.get("task") or {}
        if not jobs:
            return None
        if set(jobs) - {"chief", "worker"} or len(jobs.get("chief", [])) > 1:
            raise ValueError(f"its jobs are {choices(sorted(jobs))}; expected 'worker', and one 'chief' or none")
        if not all(isinstance(each, str) for job in jobs.values() for each in job):
            raise ValueError("an address is not a text")
        kind, index = task["type"], task["index"]
        if kind not in jobs or type(index) is not int or not 0 <= index < len(jobs[kind]):
            raise ValueError(f"its task is {kind} {index}, which its cluster does not have")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        what = f"{type(error).__name__} {error}" if isinstance(error, KeyError) else str(error)
        raise MailError(
            f"TF_CONFIG: cannot be understood ({what}). Expected "
            '{"cluster": {"worker": ["HOST:PORT", "HOST:PORT"]}, "task": {"type": "worker", "index": 0}}.'
        ) from None
    chiefs = jobs.get("chief", [])
    return (*chiefs, *jobs.get("worker", [])), index + (len(chiefs) if kind == "worker" else 0)
