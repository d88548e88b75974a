"""Trivial rows on data made by hand, with numbers worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from mailcli.errors import MailError
from mailcli.trivial import (
    attribute_category,
    attribute_factors,
    attribute_grade_factors,
    attribute_item,
    item_bias,
    item_grade_bias,
    item_logistic,
    item_rate,
    logistic,
)
from mailcli.trivial._factors import _factorize
from mailcli.trivial._interactions import NO_PAIR, fit_pair_means
from mailcli.trivial._outcomes import click_outcomes, grade_outcomes
from tests.helpers.trivial import HandMade

#: (user, item, click, time)
FOUR = [(0, 0, 1, 10), (0, 1, 0, 20), (1, 0, 1, 10), (2, 0, 0, 10)]


def fitted(module: Any, data: Any, view: Any) -> Any:
    row = module.TrivialRow()
    row.fit(data, view)
    return row


def value(row: Any, data: Any, view: Any) -> list[float]:
    return [round(float(number), 6) for number in row.value(data, view)]


def test_the_click_rate_of_an_item_has_three_pseudo_clicks_of_the_global_rate() -> None:
    data: Any = HandMade([*FOUR, (3, 3, 1, 10)])
    row = fitted(item_rate, data, data.view(rows=[0, 1, 2, 3]))
    # Global 2/4. Item 0: (2 + 1.5) / (3 + 3); item 1: (0 + 1.5) / (1 + 3); item 3 is in no row that is used.
    scores = row.score(data, data.view())
    np.testing.assert_allclose(scores, [3.5 / 6, 1.5 / 4, 3.5 / 6, 3.5 / 6, 0.5])


def test_biases_are_those_of_the_training_impressions() -> None:
    data: Any = HandMade(FOUR)
    biases = click_outcomes(data, data.view(rows=[0, 1, 2])).biases(passes=1)
    # Clicks 1, 0, 1: mean 2/3. Item 0: (1/3 + 1/3) / 5, item 1: -2/3 / 4. User 0: (1/5 - 1/2) / 5, user 1: 1/5 / 4.
    assert biases.mean == pytest.approx(2 / 3)
    np.testing.assert_allclose(biases.item, [2 / 15, -1 / 6, 0, 0], atol=1e-12)
    np.testing.assert_allclose(biases.user, [-0.06, 0.05, 0, 0], atol=1e-12)


def test_an_item_is_not_better_because_its_users_click_everything() -> None:
    # Items 0 and 1 have one click in two each; item 1 is shown to users who click nothing else or everything else.
    data: Any = HandMade(
        [
            *[(0, 2, 1, time) for time in range(6)],
            *[(1, 2, 0, time) for time in range(6)],
            *((0, 0, 1, 9), (0, 0, 0, 9), (1, 1, 1, 9), (1, 1, 0, 9)),
        ]
    )
    view = data.view(anonymous=[0, 1])
    rate, bias = fitted(item_rate, data, view).score(data, view), value(fitted(item_bias, data, view), data, view)
    assert rate[-4] == rate[-1]
    assert bias[-4] < 0 < bias[-1]


def test_a_users_own_bias_counts_unless_the_id_is_hidden() -> None:
    data: Any = HandMade(FOUR)
    # User 1 is new, but the id is trained, as under protocol paper: what the user clicked in training is known.
    view = data.view(1, anonymous=[2])
    row = fitted(item_bias, data, view)
    own = row.biases.user
    assert value(row, data, view) == [
        pytest.approx(row.biases.item[0] + own[0], abs=1e-6),
        pytest.approx(row.biases.item[1] + own[0], abs=1e-6),
        pytest.approx(row.biases.item[0] + own[1], abs=1e-6),
        pytest.approx(row.biases.item[0], abs=1e-6),
    ]
    assert own[1] != 0
    assert own[2] != 0


class TestGrades:
    #: (user, item, grade, time); user 2 is new, user 3 has no training impression.
    BEHAVIORS = ((0, 2, 5, 5), (0, 0, 4, 10), (0, 1, 2, 20), (0, 3, 1, 20), (1, 0, 3, 10), (2, 1, 1, 5), (3, 1, 1, 5))

    def test_are_those_before_the_training_impressions_and_of_the_impressions_themselves(self) -> None:
        data: Any = HandMade(FOUR, self.BEHAVIORS)
        outcomes = grade_outcomes(data, data.view(2))
        used = list(zip(outcomes.user, outcomes.item - 2, outcomes.value, strict=True))
        # Not user 0's (3, 1) at time 20, which is no training impression; a later split may have it.
        assert used == [(0, 2, 5), (0, 0, 4), (0, 1, 2), (1, 0, 3)]

    def test_grades_of_a_new_user_are_hidden_behavior_and_make_no_bias(self) -> None:
        data: Any = HandMade(FOUR, self.BEHAVIORS)
        row = fitted(item_grade_bias, data, data.view(2))
        assert row.biases.user[2] == 0
        assert row.biases.user[0] != 0

    def test_rows_of_grades_rank_by_them(self) -> None:
        data: Any = HandMade(FOUR, [(0, 0, 1, 10), (0, 1, 5, 20), (1, 0, 1, 10), (2, 0, 2, 10)])
        view = data.view()
        row = fitted(item_grade_bias, data, view)
        # Mean 9/4; the first pass gives item 0 (4 - 27/4) / 6 and item 1 (5 - 9/4) / 4.
        assert row.fitted.biases(passes=1).item[2:4].tolist() == pytest.approx([-2.75 / 6, 2.75 / 4])
        assert row.biases.item[3] > 0 > row.biases.item[2]
        scores = row.score(data, view)
        # Here a low grade goes with a click, and the calibration says so.
        assert scores[0] > scores[1]

    @pytest.mark.parametrize("actions", [("pv", "buy"), ("1",), ("1", "nan")])
    def test_actions_that_are_no_grades_are_refused(self, actions: tuple[str, ...]) -> None:
        data: Any = HandMade(FOUR, self.BEHAVIORS)
        data.schema = replace(data.schema, actions=actions)
        with pytest.raises(MailError, match=r"dataset 'hand-made': its actions are .*, not grades\. Expected two"):
            grade_outcomes(data, data.view())

    def test_behaviors_without_an_item_are_refused(self) -> None:
        data: Any = HandMade(FOUR, self.BEHAVIORS)
        fields = tuple(field for field in data.schema.fields if field.group != "behavior")
        data.schema = replace(data.schema, fields=fields)
        with pytest.raises(MailError, match="no field of its behaviors has the vocabulary of a field of its items"):
            grade_outcomes(data, data.view())

    def test_a_dataset_without_any_is_refused(self) -> None:
        data: Any = HandMade(FOUR)
        with pytest.raises(MailError, match="no graded action is before a training impression"):
            grade_outcomes(data, data.view())


def test_means_of_pairs_are_shrunk_by_a_hundred_zeros() -> None:
    pairs = np.array([[5, NO_PAIR], [5, 7], [NO_PAIR, NO_PAIR]])
    means = fit_pair_means(pairs, np.array([1.0, 0.5, 9.0]))
    # Pair 5: (1 + .5) / (2 + 100); pair 7: .5 / (1 + 100). An impression has the mean of its pairs.
    five, seven = 1.5 / 102, 0.5 / 101
    np.testing.assert_allclose(means.of(pairs), [five, (five + seven) / 2, 0])
    np.testing.assert_allclose(means.of(np.array([[6, 8]])), [0])
    assert fit_pair_means(pairs[2:], np.array([9.0])).of(pairs).tolist() == [0, 0, 0]


def tastes() -> Any:
    """Gender 2 clicks genre 2 and gender 3 genre 3, 50 times each; so nobody and nothing has a bias."""
    return HandMade([(u, i, int(u // 2 == i // 2), 9) for u in range(4) for i in range(4) for _ in range(50)])


@pytest.mark.parametrize("module", [attribute_item, attribute_category, attribute_factors])
def test_new_users_are_ranked_by_what_their_attribute_likes(module: Any) -> None:
    data = tastes()
    first = range(150)
    # Users 1 and 3 are new: only users 0 and 2 are in train.
    train = data.view(rows=[*first, *range(150, 200), *range(400, 600)])
    test = data.view(1, 3)
    row = fitted(module, data, train)
    scores = row.score(data, test).reshape(4, 4, 50)[:, :, 0]
    assert (scores[1, :2] > 0.5).all()
    assert (scores[1, 2:] < 0.5).all()
    assert (scores[3, :2] < 0.5).all()
    assert (scores[3, 2:] > 0.5).all()


def test_pairs_of_attribute_and_item_by_hand() -> None:
    data = tastes()
    row = fitted(attribute_item, data, data.view())
    # Each pair of gender and item has 100 impressions that the biases leave ±.5: ±.5 x 100 / 200.
    assert value(row, data, data.view())[::50] == [0.25, 0.25, -0.25, -0.25] * 2 + [-0.25, -0.25, 0.25, 0.25] * 2
    row = fitted(attribute_category, data, data.view())
    # Of gender and genre, 200: ±.5 x 200 / 300.
    assert value(row, data, data.view())[0] == pytest.approx(1 / 3, abs=1e-6)


def test_factors_by_hand() -> None:
    from scipy.sparse import csr_matrix

    matrix = np.outer([1.0, 2.0, 0.0], [3.0, -1.0])
    users, items = _factorize(csr_matrix(matrix))
    assert users.shape == (3, 1)
    np.testing.assert_allclose(users @ items.T, matrix, atol=1e-12)
    with pytest.raises(MailError, match=r"factors need two users and two items or more\. Found 1 and 2"):
        _factorize(csr_matrix(matrix[:1]))


def test_factors_of_grades_use_grades() -> None:
    grades = [(u, i, 5 if u // 2 == i // 2 else 1, 9) for u in range(4) for i in range(4)]
    data: Any = HandMade([(u, i, int(grade > 3), time) for u, i, grade, time in grades], grades)
    row = fitted(attribute_grade_factors, data, data.view())
    numbers = np.array(value(row, data, data.view())).reshape(4, 4)
    # What is left are ±2; the ridge of 10 shrinks what a gender says, and does not turn it round.
    assert (np.sign(numbers) == np.sign(np.array([[1, 1, -1, -1]] * 2 + [[-1, -1, 1, 1]] * 2))).all()


def test_logistic_weights_are_at_the_optimum() -> None:
    data: Any = HandMade(FOUR)
    view = data.view()
    row = fitted(item_logistic, data, view)
    error = np.array([1, 0, 1, 0]) - row.score(data, view)
    weights = row._model.coef_[0]
    # d/db = 0, and for each item's weight the sum of its errors = w / C.
    assert error.sum() == pytest.approx(0, abs=1e-3)
    np.testing.assert_allclose([error[[0, 2, 3]].sum(), error[1], 0, 0], weights / 0.3, atol=1e-3)


def test_logistic_uses_all_fields_and_hides_ids() -> None:
    data: Any = HandMade([*FOUR, *FOUR])
    row = fitted(logistic, data, data.view())
    # user and item: 4 values each; gender and genre: 2 each.
    assert row._model.coef_.shape == (1, 12)
    known, hidden = row.score(data, data.view()), row.score(data, data.view(anonymous=[0]))
    weight = row._model.coef_[0][0]
    logit = np.log(known / (1 - known)) - np.log(hidden / (1 - hidden))
    np.testing.assert_allclose(logit, [weight, weight, 0, 0] * 2, atol=1e-9)


@pytest.mark.parametrize("click", [0, 1])
def test_a_training_split_with_one_label_is_refused(click: int) -> None:
    data: Any = HandMade([(u, i, click, 9) for u, i, _, _ in FOUR])
    with pytest.raises(MailError, match=f"dataset 'hand-made': {4 * click} of the 4 training impressions are clicks"):
        fitted(item_rate, data, data.view())


def test_users_without_attributes_and_items_without_categories_are_refused() -> None:
    data: Any = HandMade(FOUR)
    whole = data.schema
    data.schema = replace(whole, fields=tuple(field for field in whole.fields if field.name != "gender"))
    with pytest.raises(MailError, match="its users have no attributes but their id"):
        fitted(attribute_item, data, data.view())
    data.schema = replace(whole, fields=tuple(field for field in whole.fields if field.name != "genre"))
    with pytest.raises(MailError, match="no field of its items groups them"):
        fitted(attribute_category, data, data.view())
