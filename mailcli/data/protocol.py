"""Which users are new: the two protocols, applied to a dataset when a run starts."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mailcli.config import RunConfig
from mailcli.data.dataset import Dataset
from mailcli.data.hashing import share_of_users
from mailcli.data.schema import SPLITS
from mailcli.data.seed_streams import TREATED_AS_NEW

Mask = NDArray[np.bool_]

#: Of the training impressions that are not treated as new users' under protocol strict, the share that lacks its user
#: id (ours: enough to train UNKNOWN next to real behaviors, and little for the ids to lose).
UNKNOWN_SHARE = 0.1


class View(NamedTuple):
    """A split as a run sees it."""

    split: str
    rows: NDArray[np.int64]
    """The impressions of the split that are used."""
    new: Mask
    """[users], users whose behaviors are hidden in this split."""
    anonymous: Mask
    """[users], users whose id is hidden in this split: it is read as UNKNOWN."""
    treated_as_new: Mask
    """[impressions of the split], those of other users that lack their id and behaviors, as new users' do."""
    without_id: Mask
    """[impressions of the split], those that lack only their id."""

    def with_all_histories(self) -> View:
        """The split with the histories of all users, those drawn as new included."""
        return self._replace(new=np.zeros_like(self.new))

    def is_new(self, user: NDArray, rows: NDArray[np.int64]) -> Mask:
        """[rows], whether an impression's behaviors are hidden; `user` is the user of each."""
        return self.new[user] | self.treated_as_new[rows]

    def is_anonymous(self, user: NDArray, rows: NDArray[np.int64]) -> Mask:
        """[rows], whether an impression's user id is hidden; `user` is the user of each."""
        return self.anonymous[user] | self.treated_as_new[rows] | self.without_id[rows]


def old_impressions(dataset: Dataset, view: View) -> Mask:
    """[impressions of the view], those of old users: with behavior that is not hidden, flag 0 in MAIL Eq. (9)."""
    user = dataset.column(view.split, "user")[view.rows]
    return ~view.is_new(user, view.rows) & (dataset.earlier_behaviors(view.split)[view.rows] > 0)


def hidden_ids(dataset: Dataset, config: RunConfig, view: View) -> Mask:
    """[values of the user vocabulary], whether the id of each counts as unknown in a view of validation or test.

    Those of the view's anonymous users. A run that continues another one also has ids of users whom only the previous
    dataset has: of these, under strict, those drawn as new.
    """
    # Only here: it takes half a second to import.
    import pandas as pd

    values = dataset.column("vocabularies", dataset.schema.user)
    anonymous = dataset.column("users", "raw")[view.anonymous]
    hidden: Mask = pd.Index(values).isin(pd.Index(anonymous))
    return (
        hidden | _drawn(values, config, config.new_share)
        if config.protocol == "strict" and config.continues
        else hidden
    )


def _drawn(raw: NDArray, config: RunConfig, share: float) -> Mask:
    """Which users, by their raw ids, the run's seed draws; a larger share draws the same users, and others."""
    return share_of_users(raw, share, 2 * config.seed)


def views(dataset: Dataset, config: RunConfig) -> dict[str, View]:
    """The train, validation and test splits under the config's protocol, seed and share of new users.

    paper: the drawn users lose their behaviors in every split but keep their impressions and ids (MAIL Sec. 4.1.1).
    In train, only the part `train_as_new` of them does.

    strict: the drawn users have no impressions in train. In train, a second draw picks single impressions, a share
    new_share · train_as_new, which are treated as new users': without id and behaviors. A tenth of the others lack only
    their id. So the embedding UNKNOWN is trained in the two ways in which the test reads it: for new users, and for
    users with behaviors whose own id has never been trained.
    """
    raw = dataset.column("users", "raw")
    new = _drawn(raw, config, config.new_share)
    new_in_training = config.new_share * config.train_as_new
    rows = {name: np.arange(dataset.counts[name]) for name in SPLITS}
    nobody = np.zeros_like(new)
    nothing = {name: np.zeros(dataset.counts[name], bool) for name in SPLITS}
    if config.protocol == "paper":
        hidden = dict.fromkeys(SPLITS, new) | {"train": _drawn(raw, config, new_in_training)}
        return {name: View(name, rows[name], hidden[name], nobody, nothing[name], nothing[name]) for name in SPLITS}
    user = dataset.column("train", "user")
    draw = np.random.default_rng([config.seed, TREATED_AS_NEW]).random(dataset.counts["train"])
    treated_as_new = draw < new_in_training
    without_id = ~treated_as_new & (draw < new_in_training + UNKNOWN_SHARE * (1 - new_in_training))
    train = View("train", rows["train"][~new[user]], nobody, nobody, treated_as_new, without_id)
    in_training, has_trained_id = nobody.copy(), nobody.copy()
    in_training[user[train.rows]] = True
    has_trained_id[user[train.rows[~train.is_anonymous(user[train.rows], train.rows)]]] = True
    # A run that continues another one also knows ids of users who are not in its own training split.
    untrained = in_training & ~has_trained_id if config.continues else ~has_trained_id
    anonymous = new | untrained
    held_out = {name: View(name, rows[name], new, anonymous, nothing[name], nothing[name]) for name in SPLITS[1:]}
    return {"train": train, **held_out}
