"""The workers of a distributed training, one process per machine: their addresses and which one this process is."""

from __future__ import annotations

import hashlib
import ipaddress
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from mailcli.errors import MailError, quoted

#: Seconds that workers wait for each other by default (ours: machines of a cluster seldom start at the same moment).
TIMEOUT = 300.0
#: The longest timeout that can be set (ours): a day.
LONGEST_TIMEOUT = 86_400.0
#: The environment variable of a secret that all workers share, so that nobody else can take part.
SECRET = "MAIL_WORKER_SECRET"
_NAME = re.compile(r"[A-Za-z0-9._-]+")
_PORT = re.compile(r"[0-9]{1,5}")


@dataclass(frozen=True)
class Cluster:
    """All workers, and which of them this process is."""

    addresses: tuple[str, ...]
    """HOST:PORT of each worker."""
    index: int
    """This worker's index in `addresses`; worker 0 is the chief, which writes the run's folder."""
    timeout: float = TIMEOUT
    """Seconds that workers wait for each other."""
    secret: str = field(default="", repr=False)
    """The value of the environment variable SECRET."""

    @property
    def key(self) -> bytes:
        """The key that authenticates messages: whoever does not know it is no worker of this job."""
        return hashlib.sha256(json.dumps([*self.addresses, self.secret]).encode()).digest()

    def name(self, index: int) -> str:
        """A worker's name in messages."""
        return f"worker {index} ({self.addresses[index]})"

    def host_and_port(self, index: int) -> tuple[str, int]:
        """A worker's host and port; an IPv6 address without its brackets."""
        host, _, port = self.addresses[index].rpartition(":")
        return host.strip("[]"), int(port)


def parse_cluster(workers: str | None, index: int | None, timeout: float, environ: Mapping[str, str]) -> Cluster | None:
    """The cluster given by `--workers` and `--index` or by the environment variable TF_CONFIG; None without either.

    Raises:
        MailError: an option or TF_CONFIG is invalid; one line names all faults.
    """
    # Also rejects NaN, which `timeout < 1` would let through.
    if not 1 <= timeout <= LONGEST_TIMEOUT:
        raise MailError(f"--worker-timeout {timeout:g}: expected 1 to {LONGEST_TIMEOUT:.0f} seconds.")
    addresses = tuple(part.strip() for part in workers.split(",")) if workers is not None else None
    tf_config = _parse_tf_config(environ["TF_CONFIG"]) if environ.get("TF_CONFIG") else None
    if tf_config:
        cluster = _cluster_of_tf_config(*tf_config, addresses, index, timeout)
        return replace(cluster, secret=environ.get(SECRET, ""))
    if addresses is None:
        if index is not None:
            raise MailError(f"--index {index}: requires --workers HOST:PORT,HOST:PORT as well.")
        # Some platforms set TF_CONFIG on a single machine, too, where the same command should work.
        if timeout != TIMEOUT and not environ.get("TF_CONFIG"):
            raise MailError(f"--worker-timeout {timeout:g}: requires --workers HOST:PORT,HOST:PORT as well.")
        return None
    faults = [f"--workers: {fault}" for fault in _address_faults(addresses)]
    if len(addresses) < 2:
        faults.append(f"--workers: '{workers}' is only one worker; expected two or more, HOST:PORT,HOST:PORT")
    expected = f"expected 0 to {len(addresses) - 1}, the position of this worker in --workers"
    if index is None:
        faults.append(f"--index is missing: {expected}")
    elif not 0 <= index < len(addresses):
        faults.append(f"--index {index}: {expected}")
    if faults or index is None:
        raise MailError("; ".join(faults) + ".")
    return Cluster(addresses, index, timeout, environ.get(SECRET, ""))


def _cluster_of_tf_config(
    addresses: tuple[str, ...], index: int, workers: tuple[str, ...] | None, index_option: int | None, timeout: float
) -> Cluster:
    """The cluster of TF_CONFIG, which the options must not contradict (MailError)."""
    if (workers is not None and workers != addresses) or (index_option is not None and index_option != index):
        options = [f"--workers {','.join(workers)}"] if workers else []
        options += [f"--index {index_option}"] if index_option is not None else []
        raise MailError(
            f"TF_CONFIG says --workers {','.join(addresses)} --index {index}, but the command says "
            f"{' '.join(options)}. Use only one of the two."
        )
    faults = _address_faults(addresses)
    if faults:
        raise MailError("; ".join(f"TF_CONFIG: {fault}" for fault in faults) + ".")
    return Cluster(addresses, index, timeout)


def _address_faults(addresses: tuple[str, ...]) -> list[str]:
    """What is wrong with the addresses."""
    faults, spellings = [], dict[tuple[str, int], list[str]]()
    for address in addresses:
        canonical = _canonical_address(address)
        if canonical is None:
            faults.append(f"'{address}' is not HOST:PORT, such as 10.0.0.1:2222 or [fd00::1]:2222")
        else:
            spellings.setdefault(canonical, []).append(address)
    for spelling in spellings.values():
        if len(spelling) > 1:
            distinct = dict.fromkeys(spelling)
            fault = "is listed more than once" if len(distinct) == 1 else "are the same address"
            faults.append(f"{quoted(distinct)} {fault}")
    return faults


def _canonical_address(address: str) -> tuple[str, int] | None:
    """Host and port, equal for all spellings of an address; None if it is not HOST:PORT."""
    host, _, port = address.rpartition(":")
    if not (_PORT.fullmatch(port) and 0 < int(port) < 2**16):
        return None
    if host.startswith("[") and host.endswith("]"):
        try:
            return str(ipaddress.IPv6Address(host[1:-1])), int(port)
        except ValueError:
            return None
    return (host.lower(), int(port)) if _NAME.fullmatch(host) else None


def _parse_tf_config(text: str) -> tuple[tuple[str, ...], int] | None:
    """Addresses (the job `chief`, then the job `worker`) and index in TF_CONFIG; None if it has less than two tasks."""
    try:
        return _addresses_and_index(json.loads(text))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        reason = f"{type(error).__name__} {error}" if isinstance(error, KeyError) else str(error)
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else reason
        raise MailError(
            f"TF_CONFIG: is invalid ({reason}). Expected "
            '{"cluster": {"worker": ["HOST:PORT", "HOST:PORT"]}, "task": {"type": "worker", "index": 0}}.'
        ) from None


def _addresses_and_index(tf_config: Any) -> tuple[tuple[str, ...], int] | None:
    jobs, task = tf_config.get("cluster") or {}, tf_config.get("task") or {}
    if not jobs:
        return None
    if set(jobs) - {"chief", "worker"} or len(jobs.get("chief", [])) > 1:
        raise ValueError(f"its jobs are {quoted(sorted(jobs))}; expected 'worker' and at most one 'chief'")
    if not all(isinstance(job, list) and all(isinstance(address, str) for address in job) for job in jobs.values()):
        raise ValueError("a job is not a list of strings")
    kind, index = task["type"], task["index"]
    # Some platforms write the index as a string.
    position = int(index) if isinstance(index, str) and _PORT.fullmatch(index) else index
    if kind not in jobs or type(position) is not int or not 0 <= position < len(jobs[kind]):
        raise ValueError(f"its task is {kind} {index}, which is not in its cluster")
    chiefs = jobs.get("chief", [])
    addresses = (*chiefs, *jobs.get("worker", []))
    return (addresses, position + (len(chiefs) if kind == "worker" else 0)) if len(addresses) > 1 else None
