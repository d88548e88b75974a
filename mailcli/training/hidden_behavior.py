"""The test impressions of drawn new users who have behavior that the model does not see."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mailcli import plugins
from mailcli.data.dataset import Dataset
from mailcli.data.protocol import Mask, View
from mailcli.data.seed_streams import OTHER_USERS
from mailcli.errors import MailError, quoted
from mailcli.runs.folder import RunFolder
from mailcli.settings.class_code import generates_behavior, generating_methods


class NotMeasurableError(MailError):
    """A run's new users have no AUC, or there is nothing to compare."""


def check_generates(run: RunFolder) -> None:
    """Refuse the run of a method of ours that generates no behavior (NotMeasurableError); nothing is loaded for it."""
    method = run.config.cold_start
    if not plugins.is_external(plugins.COLD_STARTS, method) and not generates_behavior(method):
        raise generates_nothing(run)


def generates_nothing(run: RunFolder) -> NotMeasurableError:
    """The error that there is nothing to audit."""
    return NotMeasurableError(
        f"{run.folder}: '{run.config.cold_start}' generates no behavior, so there is nothing to audit. Expected a run "
        f"of one of {quoted(generating_methods())}."
    )


def have_hidden_behavior(run: RunFolder, dataset: Dataset, view: View) -> Mask:
    """[impressions of the view], those of drawn new users with behavior; the view is one of the test split.

    Raises:
        NotMeasurableError: there are none, or all have the same label.
    """
    user, click = (dataset.column(view.split, name)[view.rows] for name in ("user", "click"))
    has_hidden_behavior: Mask = view.new[user] & (dataset.earlier_behaviors(view.split)[view.rows] > 0)
    clicks, impressions = int(click[has_hidden_behavior].sum()), int(has_hidden_behavior.sum())
    if not impressions:
        raise NotMeasurableError(f"{run.folder}: no user drawn as new has behavior before a test impression.")
    if clicks in {0, impressions}:
        raise NotMeasurableError(
            f"{run.folder}: all test impressions of drawn new users with behavior have the same label, so there is no "
            "AUC."
        )
    return has_hidden_behavior


def another_user(users: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """[N], another user for each impression, the same for all impressions of a user.

    The users are shuffled into a ring, and each gets the next one: nobody gets themselves, and everyone is used once.
    """
    distinct, position = np.unique(users, return_inverse=True)
    order = np.random.default_rng([seed, OTHER_USERS]).permutation(len(distinct))
    following = np.empty_like(distinct)
    following[order] = distinct[np.roll(order, -1)]
    return following[position]
