"""audit.npz of a run: how well its new users are ranked with what it generates for them, and with other behavior.

AUC and GAUC by the source of the behavior, once and for each draw of users, so that tables have intervals over users
without weights, dataset or TensorFlow.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mailcli.errors import MailError
from mailcli.metrics.bootstrap import MIN_AUDIT_DRAWS, WeightedMetrics, resampled_metrics
from mailcli.runs.remedy import TRAIN_AGAIN
from mailcli.utils.damage import NPZ_ERRORS
from mailcli.utils.files import write_atomically

#: What new users' impressions are scored with, and how tables name it.
SOURCES = {
    "own": "v̂ of the user",
    "other": "v̂ of another new user",
    "permuted": "attributes and v̂ of another new user",
    "mean": "mean v of old users",
    "none": "no behavior (v = 0)",
    "real": "real v (what the model never sees)",
}
#: Draws of users in a run folder (ours: 24 kB; the ends of intervals are then good to a tenth of a standard error).
DRAWS = 500


class AuditScores(NamedTuple):
    """The test impressions of a run's drawn new users who have behavior, N of them."""

    users: NDArray[np.int64]
    """[N], rows of the dataset's users."""
    clicks: NDArray[np.float32]
    """[N]"""
    scores: Mapping[str, NDArray[np.float32]]
    """[N], pCTR with each of SOURCES."""


class RunAudit(NamedTuple):
    """The metrics of an audited run, in the order of SOURCES; the last axis is AUC, GAUC."""

    users: int
    """The number of new users who have behavior."""
    values: NDArray[np.float64]
    """[sources, 2]; GAUC is NaN where no user has both labels."""
    draws: NDArray[np.float32]
    """[draws, sources, 2]; NaN where a draw lacks a label."""

    def first_draws(self, number: int) -> RunAudit:
        """The audit with fewer draws: those of a smaller number are the first of a larger one."""
        return self._replace(draws=self.draws[:number])


def measure_audit(audited: AuditScores, users: int, draws: int = DRAWS) -> RunAudit:
    """AUC and GAUC by source, and those of draws of the users with replacement.

    Args:
        audited: the scores of a run.
        users: the number of the dataset's users.
        draws: the number of draws; all sources, and all runs on the dataset, are measured on the same ones.
    """
    samples = [WeightedMetrics(audited.users, audited.clicks, audited.scores[source], users) for source in SOURCES]
    everyone = np.ones(users, np.int64)
    values = np.array([(sample.auc(everyone), sample.gauc(everyone)) for sample in samples])
    drawn = resampled_metrics(samples, users, draws).astype(np.float32)
    return RunAudit(len(np.unique(audited.users)), values, drawn)


def write_audit(path: Path, audit: RunAudit) -> None:
    """Write audit.npz."""
    with write_atomically(path) as partial, open(partial, "wb") as file:
        np.savez_compressed(file, allow_pickle=False, sources=np.array(list(SOURCES)), **audit._asdict())


def read_audit(path: Path) -> RunAudit | None:
    """The audit in a run folder; None if there is none: nothing is generated, nothing to measure, or an older run.

    Raises:
        MailError: it is damaged.
    """
    if not path.exists():
        return None
    try:
        if not path.is_file():
            # Reading a named pipe might never end.
            raise ValueError("it is not a file")
        with np.load(path, allow_pickle=False) as file:
            sources, users, values, draws = (file[name] for name in ("sources", *RunAudit._fields))
        _check(sources, users, values, draws)
    except NPZ_ERRORS as error:
        raise MailError(f"{path}: is damaged ({error}). {TRAIN_AGAIN}") from error
    return RunAudit(int(users), values, draws)


def _check(sources: NDArray, users: NDArray, values: NDArray, draws: NDArray) -> None:
    """ValueError unless these are arrays of an audit."""
    if sources.tolist() != list(SOURCES):
        raise ValueError(f"its sources are {sources.tolist()}, expected {list(SOURCES)}")
    if users.shape or users.dtype.kind != "i" or users < 2:
        raise ValueError("users is not a number from 2")
    if values.dtype != np.float64 or values.shape != (len(SOURCES), 2):
        raise ValueError(f"values is {values.dtype} {values.shape}, expected float64 {(len(SOURCES), 2)}")
    if draws.dtype != np.float32 or draws.shape[1:] != values.shape or len(draws) < MIN_AUDIT_DRAWS:
        raise ValueError(
            f"draws is {draws.dtype} {draws.shape}, expected float32 ({MIN_AUDIT_DRAWS} or more, {len(SOURCES)}, 2)"
        )
    for name, array in (("values", values), ("draws", draws)):
        if not (np.isnan(array) | ((array >= 0) & (array <= 1))).all():
            raise ValueError(f"{name} holds a number that is not from 0 to 1")
