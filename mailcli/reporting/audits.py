"""The audit of a row: means over its runs of how new users are ranked, by the source of their behavior."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mailcli.metrics.bootstrap import percentile_interval
from mailcli.runs.audit import SOURCES, RunAudit
from mailcli.utils.parsing import none_if_nan


class AuditDifference(NamedTuple):
    """AUC or GAUC with another source minus that with the user's own v̂: positive where the other source ranks better.

    NaN where it is undefined.
    """

    mean: float
    low: float
    high: float
    """The 95% interval over users."""

    @property
    def is_defined(self) -> bool:
        """Whether it has a value and an interval."""
        return not (math.isnan(self.mean) or math.isnan(self.low))

    def record(self) -> dict[str, float | None]:
        """Its numbers in a record of a table."""
        return {
            "against_own": none_if_nan(self.mean),
            "against_own_low": none_if_nan(self.low),
            "against_own_high": none_if_nan(self.high),
        }


class MeanAudit(NamedTuple):
    """Means over runs: AUC and GAUC by source, and by source and draw of users."""

    users: float
    """The number of new users who have behavior."""
    values: dict[str, NDArray[np.float64]]
    """[2], AUC and GAUC."""
    draws: dict[str, NDArray[np.float64]]
    """[draws, 2]; NaN where a draw lacks a class."""

    def differences(self, source: str) -> list[AuditDifference]:
        """How a source differs from the user's own v̂, in AUC and in GAUC."""
        differences = self.values[source] - self.values["own"]
        draws = self.draws[source] - self.draws["own"]
        return [
            AuditDifference(float(difference), *percentile_interval(column))
            for difference, column in zip(differences, draws.T, strict=True)
        ]

    @property
    def is_personal(self) -> bool | None:
        """Whether another user's v̂ is worse than the user's own: AUC's or GAUC's 97.5% interval lies below 0.

        97.5 instead of 95%, because there are two of them (Bonferroni). False is no proof of the contrary; None if AUC
        and GAUC are undefined.
        """
        if not any(difference.is_defined for difference in self.differences("other")):
            return None
        draws = self.draws["other"] - self.draws["own"]
        return any(percentile_interval(column, 0.975)[1] < 0 for column in draws.T)


def mean_audit(audits: Sequence[RunAudit]) -> MeanAudit:
    """The mean over runs that differ by their seed, on one dataset: they share the draws of users."""
    draws = min(len(audit.draws) for audit in audits)
    values: NDArray[np.float64] = np.mean([audit.values for audit in audits], axis=0)
    means: NDArray[np.float64] = np.mean([audit.first_draws(draws).draws for audit in audits], axis=0, dtype=np.float64)
    by_source = list(enumerate(SOURCES))
    return MeanAudit(
        float(np.mean([audit.users for audit in audits])),
        {source: values[index] for index, source in by_source},
        {source: means[:, index] for index, source in by_source},
    )
