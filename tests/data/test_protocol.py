from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mailcli.config import RunConfig, make_config
from mailcli.data.batches import Batches
from mailcli.data.dataset import Dataset
from mailcli.data.protocol import hidden_ids, views
from mailcli.data.schema import PADDING, UNKNOWN


def config(**changes: object) -> RunConfig:
    return make_config([{"data": "tiny", **changes}])


class Sampled(Dataset):
    """A dataset with some columns replaced."""

    columns: dict[tuple[str, str], NDArray]

    def column(self, table: str, name: str) -> NDArray:
        return self.columns[table, name] if (table, name) in self.columns else super().column(table, name)


def test_paper_hides_the_same_users_everywhere_and_keeps_their_impressions(tiny: Dataset) -> None:
    splits = views(tiny, config())
    for name, view in splits.items():
        np.testing.assert_array_equal(view.rows, np.arange(tiny.counts[name]))
        np.testing.assert_array_equal(view.new, splits["test"].new)
        assert not view.anonymous.any()
    assert 0.3 < splits["train"].new.mean() < 0.5


def test_the_part_of_new_users_that_is_new_in_training_is_one_of_those_at_test(tiny: Dataset) -> None:
    splits = views(tiny, config(train_as_new=0.5))
    train, test = splits["train"].new, splits["test"].new
    assert not (train & ~test).any()
    assert 0.3 < train.sum() / test.sum() < 0.7
    np.testing.assert_array_equal(splits["validation"].new, test)
    assert not views(tiny, config(train_as_new=0))["train"].new.any()


def test_ids_of_earlier_users_are_hidden_as_those_of_the_datasets_users_are(tiny: Dataset) -> None:
    """Under strict, of a run that continues another one, whose share is nearly all or none."""
    sampled = Sampled(tiny.folder)
    users = tiny.column("vocabularies", "user")
    sampled.columns = {("vocabularies", "user"): np.append(users, users.max() + 1)}
    for changes, hides_known, hides_earlier in (
        ({"protocol": "strict", "new_share": 1 - 1e-9, "continues": "0" * 64}, True, True),
        ({"protocol": "strict", "new_share": 1 - 1e-9}, True, False),
        ({"protocol": "strict", "new_share": 1e-9, "continues": "0" * 64}, False, False),
        ({"protocol": "paper", "new_share": 1 - 1e-9}, False, False),
    ):
        settings_of_run = config(**changes)
        hidden = hidden_ids(sampled, settings_of_run, views(tiny, settings_of_run)["test"])
        assert hidden[:-1].all() == hides_known
        assert hidden[-1] == hides_earlier


def test_strict_lets_a_part_of_the_impressions_play_new(tiny: Dataset) -> None:
    for part, new_share, anonymous_share in ((0.5, 0.2, 0.28), (0, 0, 0.1)):
        train = views(tiny, config(protocol="strict", train_as_new=part))["train"]
        user = tiny.column("train", "user")[train.rows]
        error = 4 * 0.5 / len(user) ** 0.5
        assert train.is_new(user, train.rows).mean() == pytest.approx(new_share, abs=error)
        # .2 + .1 * .8, and .1 * 1.
        assert train.is_anonymous(user, train.rows).mean() == pytest.approx(anonymous_share, abs=error)


def test_strict_keeps_new_users_out_of_training(tiny: Dataset) -> None:
    splits = views(tiny, config(protocol="strict"))
    new = splits["test"].new
    trained = np.unique(tiny.column("train", "user")[splits["train"].rows])
    assert not new[trained].any(), "a new user of the test split has a training impression"
    np.testing.assert_array_equal(splits["validation"].new, new)


def test_strict_hides_40_percent_of_the_impressions_and_a_tenth_of_the_other_ids(tiny: Dataset) -> None:
    train = views(tiny, config(protocol="strict"))["train"]
    user = tiny.column("train", "user")[train.rows]
    new, anonymous = train.is_new(user, train.rows), train.is_anonymous(user, train.rows)
    assert not (new & ~anonymous).any()
    # .4, and .4 + .1 * .6 = .46, within four standard errors.
    error = 4 * 0.5 / len(user) ** 0.5
    assert abs(new.mean() - 0.4) < error
    assert abs(anonymous.mean() - 0.46) < error
    users = np.unique(user)
    mixed = [0 < new[user == one].mean() < 1 for one in users if np.count_nonzero(user == one) > 20]
    assert mixed, "no user has more than 20 impressions"
    assert all(mixed), "a user either always or never plays new"


def test_a_continued_run_knows_the_ids_of_others_and_none_that_it_never_trained(tiny: Dataset) -> None:
    """User 0 has one training impression, whose id is hidden; user 1 has none; user 2 has one that shows his id."""
    strict = config(protocol="strict", continues="f" * 64)
    old = np.flatnonzero(~views(tiny, strict)["test"].new)[:3]
    view = views(tiny, strict)["train"]
    drawn = np.arange(tiny.counts["train"])
    is_hidden = view.treated_as_new | view.without_id
    rows = {old[0]: drawn[is_hidden][0], old[2]: drawn[~is_hidden][0]}
    dataset = Sampled(tiny.folder)
    # All other impressions are of a new user, and so not of the training split.
    new = np.flatnonzero(views(tiny, strict)["test"].new)[0]
    user = np.full(tiny.counts["train"], new)
    for who, row in rows.items():
        user[row] = who
    dataset.columns = {("train", "user"): user}
    assert views(dataset, strict)["test"].anonymous[old].tolist() == [True, False, False]
    alone = config(protocol="strict")
    assert views(dataset, alone)["test"].anonymous[old].tolist() == [True, True, False]


@given(st.data())
@settings(max_examples=10, deadline=None)
def test_strict_reads_no_user_id_that_training_never_shows(tiny: Dataset, data: st.DataObject) -> None:
    """Of whatever training impressions there are: users with none, one or many of them."""
    seed, kept = data.draw(st.integers(0, 1000)), data.draw(st.integers(300, 600))
    rng = np.random.default_rng(seed)
    count = tiny.counts["train"]
    chosen = np.sort(rng.permutation(count)[:kept])
    names = [path.stem for path in (tiny.folder / "train").glob("*.npy")]
    columns = {("train", name): tiny.column("train", name)[chosen] for name in names}
    dataset = Sampled(tiny.folder)
    dataset.columns, dataset.counts = columns, {**tiny.counts, "train": kept}
    splits = views(dataset, config(protocol="strict", seed=seed))

    def shown(name: str) -> tuple[np.ndarray, np.ndarray]:
        """The user ids that a split shows, and whether each comes with behaviors."""
        view = splits[name]
        batch = Batches(dataset, view, 20, 4096).gather(view.rows)
        return batch["attributes"][:, 0], (batch["actions"] != PADDING).any(axis=1)

    trained, with_behaviors = shown("train")
    for name in ("validation", "test"):
        ids, _ = shown(name)
        assert set(ids.tolist()) <= {*trained.tolist(), UNKNOWN}
    assert (with_behaviors & (trained == UNKNOWN)).any(), "UNKNOWN beside real behaviors is never trained"
    # Some id of an old user must be hidden for want of training, or the law above says nothing.
    view = splits["test"]
    assert (view.anonymous & ~view.new).any()


def test_strict_hides_the_ids_of_new_users(tiny: Dataset) -> None:
    strict = config(protocol="strict", history=10)
    for name in ("validation", "test"):
        view = views(tiny, strict)[name]
        user = tiny.column(name, "user")[view.rows]
        batch = Batches(tiny, view, 10, 4096).gather(view.rows)
        hidden = view.new[user]
        assert hidden.any()
        assert not hidden.all()
        assert (batch["attributes"][hidden, 0] == UNKNOWN).all()
        assert (batch["actions"][hidden] == PADDING).all()
        visible = ~view.anonymous[user]
        np.testing.assert_array_equal(batch["attributes"][visible, 0], tiny.column("users", "user")[user[visible]])


@pytest.mark.parametrize("protocol", ["paper", "strict"])
def test_seeds_draw_differently_and_repeatably(tiny: Dataset, protocol: str) -> None:
    new, repeated, other_seed = (views(tiny, config(protocol=protocol, seed=s))["test"].new for s in (0, 0, 1))
    np.testing.assert_array_equal(new, repeated)
    assert not np.array_equal(new, other_seed)
