"""The test impressions of drawn new users who have behavior that the model does not see."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mailcli.data.dataset import Dataset
from mailcli.data.protocol import Mask, View
from mailcli.errors import MailError
from mailcli.runs.folder import RunFolder

#: The second number of the generator's seed for the draw of other users (ours).
_OTHERS = 7


class NotMeasurableError(MailError):
    """A run's new users have no AUC, or there is nothing to compare."""


def have_hidden_behavior(run: RunFolder, dataset: Dataset, view: View) -> Mask:
    """[impressions of the view], those of drawn new users with behavior.

    Raises:
        NotMeasurableError: there are none, or all have the same label.
    """
    user, click = (dataset.column("test", name)[view.rows] for name in ("user", "click"))
    chosen: Mask = view.new[user] & (dataset.earlier_behaviors("test")[view.rows] > 0)
    clicks, impressions = int(click[chosen].sum()), int(chosen.sum())
    if not impressions:
        raise NotMeasurableError(f"{run.folder}: no user drawn as new has behavior before a test impression.")
    if clicks in {0, impressions}:
        raise NotMeasurableError(
            f"{run.folder}: all test impressions of drawn new users with behavior have the same label, so there is no "
            "AUC."
        )
    return chosen


def another_user(users: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """[N], for the user of each impression another one of them, the same for all impressions of a user.

    The users are shuffled into a ring, and each gets the next one: nobody gets themselves, and everyone is used once.
    """
    distinct, position = np.unique(users, return_inverse=True)
    order = np.random.default_rng([seed, _OTHERS]).permutation(len(distinct))
    following = np.empty_like(distinct)
    following[order] = distinct[np.roll(order, -1)]
    return following[position]
