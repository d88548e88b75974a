"""The workers of a training, each a process on a machine of its own: who they are."""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mailcli.errors import MailError, quoted

#: Seconds that workers wait for one another (ours: machines of a cluster are seldom started at one moment).
TIMEOUT = 300.0
#: The longest that they may be asked to wait (ours): a day.
LONGEST_TIMEOUT = 86_400.0
_NAME = re.compile(r"[A-Za-z0-9._-]+")
_PORT = re.compile(r"[0-9]{1,5}")


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

    def host_and_port(self, index: int) -> tuple[str, int]:
        """Where a worker is; an IPv6 address without its brackets."""
        host, _, port = self.addresses[index].rpartition(":")
        return host.strip("[]"), int(port)


def parse(workers: str | None, index: int | None, timeout: float, environ: Mapping[str, str]) -> Cluster | None:
    """The cluster that `--workers` and `--index` or the variable TF_CONFIG tell of; None without any.

    Raises:
        MailError: one line with all that is wrong.
    """
    # Written so that it refuses what is no number, too.
    if not 1 <= timeout <= LONGEST_TIMEOUT:
        raise MailError(f"--worker-timeout {timeout:g}: expected seconds from 1 to {LONGEST_TIMEOUT:.0f}.")
    told = _tf_config(environ["TF_CONFIG"]) if environ.get("TF_CONFIG") else None
    given = tuple(part.strip() for part in workers.split(",")) if workers is not None else None
    if told:
        return _of_variable(told, given, index, timeout)
    if given is None:
        if index is not None:
            raise MailError(f"--index {index}: it goes with --workers HOST:PORT,HOST:PORT. Give both.")
        return None
    faults = [f"--workers: {fault}" for fault in _faults(given)]
    if len(given) < 2:
        faults.append(f"--workers: '{workers}' is one worker; expected two or more, HOST:PORT,HOST:PORT")
    if index is None:
        faults.append(f"--index: which of the workers is this? Expected 0 to {len(given) - 1}")
    elif not 0 <= index < len(given):
        faults.append(f"--index {index}: expected 0 to {len(given) - 1}, the place of this worker in --workers")
    if faults or index is None:
        raise MailError("; ".join(faults) + ".")
    return Cluster(given, index, timeout)


def _of_variable(
    told: tuple[tuple[str, ...], int], given: tuple[str, ...] | None, index: int | None, timeout: float
) -> Cluster:
    """That of TF_CONFIG, which the options must not contradict (MailError)."""
    addresses, place = told
    if (given is not None and given != addresses) or (index is not None and index != place):
        options = [*([f"--workers {','.join(given)}"] if given else []), *([f"--index {index}"] * (index is not None))]
        raise MailError(
            f"TF_CONFIG tells of --workers {','.join(addresses)} --index {place}, and the command of "
            f"{' '.join(options)}. Give one of the two."
        )
    faults = _faults(addresses)
    if faults:
        raise MailError("; ".join(f"TF_CONFIG: {fault}" for fault in faults) + ".")
    return Cluster(addresses, place, timeout)


def _faults(addresses: tuple[str, ...]) -> list[str]:
    """What is wrong with the addresses."""
    faults, spelt = [], dict[tuple[str, int], list[str]]()
    for each in addresses:
        found = _host_and_port(each)
        if found is None:
            faults.append(f"'{each}' is not HOST:PORT, such as 10.0.0.1:2222 or [fd00::1]:2222")
        else:
            spelt.setdefault(found, []).append(each)
    for same in spelt.values():
        if len(same) > 1:
            once = dict.fromkeys(same)
            faults.append(f"{quoted(once)} {'is there more than once' if len(once) == 1 else 'are one address'}")
    return faults


def _host_and_port(address: str) -> tuple[str, int] | None:
    """The same for whatever is spelt another way; None of what is no address."""
    host, _, port = address.rpartition(":")
    if not (_PORT.fullmatch(port) and 0 < int(port) < 2**16):
        return None
    if host.startswith("[") and host.endswith("]"):
        try:
            return str(ipaddress.IPv6Address(host[1:-1])), int(port)
        except ValueError:
            return None
    return (host.lower(), int(port)) if _NAME.fullmatch(host) else None


def _tf_config(text: str) -> tuple[tuple[str, ...], int] | None:
    """Addresses and index of TF_CONFIG: the job `chief`, then the job `worker`; None without others than this one."""
    try:
        return _addresses_and_index(json.loads(text))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        what = f"{type(error).__name__} {error}" if isinstance(error, KeyError) else str(error)
        what = "it is nested too deeply" if isinstance(error, RecursionError) else what
        raise MailError(
            f"TF_CONFIG: cannot be understood ({what}). Expected "
            '{"cluster": {"worker": ["HOST:PORT", "HOST:PORT"]}, "task": {"type": "worker", "index": 0}}.'
        ) from None


def _addresses_and_index(found: Any) -> tuple[tuple[str, ...], int] | None:
    jobs, task = found.get("cluster") or {}, found.get("task") or {}
    if not jobs:
        return None
    if set(jobs) - {"chief", "worker"} or len(jobs.get("chief", [])) > 1:
        raise ValueError(f"its jobs are {quoted(sorted(jobs))}; expected 'worker', and one 'chief' or none")
    if not all(isinstance(job, list) and all(isinstance(each, str) for each in job) for job in jobs.values()):
        raise ValueError("a job is not a list of texts")
    kind, index = task["type"], task["index"]
    # Some platforms write it as a text.
    place = int(index) if isinstance(index, str) and _PORT.fullmatch(index) else index
    if kind not in jobs or type(place) is not int or not 0 <= place < len(jobs[kind]):
        raise ValueError(f"its task is {kind} {index}, which its cluster does not have")
    chiefs = jobs.get("chief", [])
    addresses = (*chiefs, *jobs.get("worker", []))
    return (addresses, place + (len(chiefs) if kind == "worker" else 0)) if len(addresses) > 1 else None
