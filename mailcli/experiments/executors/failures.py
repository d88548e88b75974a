"""Runs that fail while others go on: each is reported at once, and all of them in the end."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from mailcli.errors import MailError
from mailcli.experiments.executors.tasks import PoolTask
from mailcli.utils.system_errors import explain

logger = logging.getLogger(__name__)


class Failures:
    """The tasks that have failed, and why.

    Args:
        tasks: all tasks.
    """

    def __init__(self, tasks: Sequence[PoolTask]) -> None:
        self._count, self._noun = len(tasks), tasks[0].noun if tasks else "runs"
        self._has_worlds = len({task.dataset for task in tasks}) > 1
        self._failed: list[tuple[PoolTask, MailError]] = []

    def add(self, task: PoolTask, error: BaseException) -> None:
        """Note that a task has failed, and warn if there are others.

        Raises:
            BaseException: the error itself, if it is neither a fault in the input nor one of the system such as a full
                disk: then it is a bug.
        """
        failure = _explained(error)
        self._failed.append((task, failure))
        if self._count > 1:
            logger.warning(self._text(task, failure, " failed"))

    def of_baseline(self, task: PoolTask) -> MailError | None:
        """Why a two-stage method cannot be fitted: the run of its baseline has failed; None if it has not."""
        baseline = task.config.baseline()
        if not any(failed.config == baseline for failed, _ in self._failed):
            return None
        return MailError(f"its baseline {baseline.cell}, seed {baseline.seed}, failed.")

    def raise_any(self) -> None:
        """Report all tasks that have failed.

        Raises:
            MailError: some have; one error for all of them, with their datasets if there are several, or a single
                task's own.
        """
        if not self._failed:
            return
        if self._count == 1:
            raise self._failed[0][1]
        title = f"{len(self._failed)} of {self._count} {self._noun} failed."
        combined = MailError(" ".join([title, *(self._text(task, error) for task, error in self._failed)]))
        raise combined from ExceptionGroup(title, [error for _, error in self._failed])

    def _text(self, task: PoolTask, error: MailError, verb: str = "") -> str:
        dataset = f"{task.config.data}, " if self._has_worlds else ""
        return f"{dataset}{task.config.cell}, seed {task.config.seed}{verb}: {error.message}"


def _explained(error: BaseException) -> MailError:
    """The fault in the input or of the system, such as a full disk; any other error is a bug, and is raised."""
    if isinstance(error, MailError):
        return error
    explained = explain(error) if isinstance(error, OSError) else None
    if explained is None:
        raise error
    explained.__cause__ = error
    return explained
