"""The simulated A/B test: true probabilities, statistics, and the command as typed."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mailcli.config import RunConfig
from mailcli.data.dataset import Dataset
from mailcli.data.manifest import seal
from mailcli.experiments.ab_test.policies import Contender, contender, is_new, policy
from mailcli.experiments.ab_test.run import Setup, abtest, compare, draw_pages, rank, show
from mailcli.metrics.auc import auc
from mailcli.metrics.statistics import lift
from mailcli.simulation.ground_truth import Truth
from mailcli.simulation.world import Settings, World
from tests.end_to_end.test_cli import SMALL, SMALL_MAIL, home, mail, refused, with_data

__all__ = ["home", "with_data"]


@pytest.fixture(scope="module")
def truth(tiny: Dataset) -> Truth:
    return Truth(tiny)


@pytest.fixture(scope="module")
def buyable(with_buys: Dataset) -> Truth:
    return Truth(with_buys)


def slow_click(world: World, user: int, ad: int) -> float:
    """sigmoid(b + (log θ - mean) / std + quality), one pair at a time; `user` and `ad` are raw ids."""
    for chunk in world.chunks():
        if user in chunk.ids:
            theta = chunk.theta[list(chunk.ids).index(user), world.ad_interest[ad - 1]]
            pull = (math.log(theta) - world.mean) / world.std + world.quality[ad - 1]
            return 1 / (1 + math.exp(-world.intercept - pull))
    raise AssertionError(f"no user {user}")


# the truth


def test_the_world_is_made_again(tiny: Dataset, truth: Truth, simulated_raw: Path) -> None:
    user, item = tiny.column("test", "user"), tiny.column("test", "item")
    noted = json.loads((simulated_raw / "SIMULATED.json").read_text())
    found = auc(tiny.column("test", "click"), truth.click(user, item).astype(np.float32))
    assert found == noted["ceiling_auc"]
    every = truth.click(tiny.column("train", "user"), tiny.column("train", "item"))
    clicks = tiny.column("train", "click")
    # About 5,000 clicks of probability .05: their mean is known to .003, and they go with their probabilities.
    assert every.mean() == pytest.approx(clicks.mean(), abs=4 * math.sqrt(0.05 / len(clicks)))
    assert np.corrcoef(every, clicks)[0, 1] > 0.15
    others = np.random.default_rng(0).permutation(tiny.counts["users"])[tiny.column("train", "user")]
    assert abs(np.corrcoef(truth.click(others, tiny.column("train", "item")), clicks)[0, 1]) < 0.15


def test_true_probabilities_are_those_of_the_formula(tiny: Dataset, truth: Truth) -> None:
    world = World(Settings(users=300, seed=1, behaviors_per_user=30))
    users, items = np.array([0, 17, 250]), np.array([3, 0, 40])
    raw = zip(tiny.column("users", "raw")[users], tiny.column("items", "raw")[items], strict=True)
    expected = [slow_click(world, int(user), int(ad)) for user, ad in raw]
    np.testing.assert_allclose(truth.click(users, items), expected, rtol=1e-12)


def test_buys_follow_clicks_as_the_data_does(with_buys: Dataset, buyable: Truth) -> None:
    assert buyable.has_conversions
    user, item = with_buys.column("train", "user"), with_buys.column("train", "item")
    both = buyable.click(user, item) * buyable.buy(user, item)
    bought = with_buys.column("train", "conversion")
    assert both.sum() == pytest.approx(bought.sum(), abs=4 * math.sqrt(both.sum()))


# the statistics


def test_lift_by_hand() -> None:
    # Means .25 and .5, variances (n - 1) .25 / 3 and 1 / 3, hence s² = .25/3/4/.0625 + 1/3/4/.25 = 2/3.
    found = lift(np.array([0.0, 0.0, 0.5, 0.5]), np.array([0.0, 1.0, 0.0, 1.0]))
    assert (found.a, found.b) == (0.25, 0.5)
    assert found.lift == pytest.approx(100)
    # exp(.693147 ± 1.959964 · .816497) - 1; p = 2 Φ(-.693147 / .816497) = 2 Φ(-.848928).
    assert found.low == pytest.approx(100 * (math.exp(0.693147 - 1.600304) - 1), rel=1e-5)
    assert found.high == pytest.approx(100 * (math.exp(0.693147 + 1.600304) - 1), rel=1e-5)
    assert found.p == pytest.approx(0.395921, rel=1e-4)
    assert not found.significant


def test_a_lift_that_cannot_be_told() -> None:
    some, none = np.array([0.2, 0.4]), np.zeros(3)
    assert lift(some, none)[2:] == (None, None, None, None)
    assert lift(none, some).a == 0.0
    assert lift(none, some).b == pytest.approx(0.3)
    assert lift(none, some).lift is None
    assert lift(some[:1], some).p is None
    assert lift(some[:0], some).a is None
    same = np.full(3, 0.5)
    assert lift(same, same).p == 1.0
    assert lift(same, same / 2).p == 0.0
    assert lift(same, same / 2).significant


@pytest.mark.parametrize(("rate", "ratio"), [(0.05, 1.0), (0.05, 1.3), (0.005, 1.0)])
def test_intervals_hold_the_true_lift_95_times_of_100(rate: float, ratio: float) -> None:
    """Users who differ: their rates are gamma-distributed, and of 5 items shown some are clicked."""
    rng, repeats, users = np.random.default_rng(3), 2000, 1500
    held = wrong = 0
    for _ in range(repeats):
        own = np.minimum(rng.gamma(2, rate / 2, (2, users)) * np.array([[1], [ratio]]), 1)
        clicks = rng.binomial(5, own) / 5
        found = lift(clicks[0], clicks[1])
        assert found.low is not None
        assert found.high is not None
        held += found.low <= 100 * (ratio - 1) <= found.high
        wrong += found.significant
    # 4 standard errors of a share of 2,000 at .95 are .0195.
    assert held / repeats == pytest.approx(0.95, abs=0.02)
    if ratio == 1:
        assert held + wrong == repeats, "the p-value and the interval say the same"
    else:
        assert wrong / repeats > 0.5


# the test


def test_chance_against_chance_shows_nothing(with_buys: Dataset, buyable: Truth) -> None:
    """A/A over 300 seeds, from the draw of arms to the p-value."""
    lifts, significant = [], 0
    for seed in range(300):
        setup = Setup(users=100, slate=5, candidates=60, seed=seed)
        arms = []
        for number, page in enumerate(draw_pages(setup, with_buys)):
            rng = np.random.default_rng([seed, number])
            shown = rank(policy(Contender("random"), with_buys, buyable), page, setup.slate, rng)
            arms.append(show(buyable, page.users, shown, is_new(with_buys, RunConfig("buys"), page.users), rng))
        found = {(each.users, each.metric): each.observed for each in compare(arms[0], arms[1])}["all", "CTR"]
        assert found.a is not None
        assert found.b is not None
        lifts.append(found.b - found.a)
        significant += found.significant
    # The difference of means of 300 tests has mean 0 within 4 of its standard errors; 5 % ± 4 standard errors.
    assert abs(np.mean(lifts)) < 4 * np.std(lifts) / math.sqrt(300)
    assert significant / 300 == pytest.approx(0.05, abs=0.05)


def test_the_oracle_beats_chance_by_what_the_probabilities_say(with_buys: Dataset) -> None:
    world = World(Settings(users=200, seed=1, behaviors_per_user=30, conversions=True))
    setup = Setup(users=60, slate=3, candidates=30, seed=5)
    found = abtest(setup, with_buys, (Contender("random"), Contender("oracle")))
    page = draw_pages(setup, with_buys)[1]
    raw = with_buys.column("users", "raw"), with_buys.column("items", "raw")
    best = []
    for user in page.users:
        every = [slow_click(world, int(raw[0][user]), int(raw[1][item])) for item in page.items]
        best.append(sum(sorted(every, reverse=True)[:3]) / 3)
    by_name = {(each.users, each.metric): each for each in found}
    clicked = by_name["all", "CTR"]
    assert clicked.sizes == (60, 60)
    # B's clicks are 180 draws with these probabilities.
    spread = math.sqrt(np.mean(best) * (1 - np.mean(best)) / 180)
    assert clicked.observed.b == pytest.approx(np.mean(best), abs=4 * spread)
    random = [np.mean([slow_click(world, int(raw[0][u]), int(raw[1][i])) for i in page.items]) for u in page.users[:30]]
    assert clicked.expected is not None
    assert clicked.expected > 100 * (np.mean(best) / np.mean(random) - 1) / 2 > 50
    assert by_name["new", "CTR"].sizes[0] + by_name["old", "CTR"].sizes[0] == 60
    assert {metric for _, metric in by_name} == {"CTR", "CTCVR"}


def test_expected_rates_are_the_means_of_what_is_drawn(with_buys: Dataset, buyable: Truth) -> None:
    users, shown = np.arange(4), np.array([[0, 1], [2, 3], [4, 5], [6, 7]])
    draws = [show(buyable, users, shown, users < 2, np.random.default_rng(seed)) for seed in range(4000)]
    for name in ("CTR", "CTCVR"):
        expected = draws[0].expected[name]
        mean = np.mean([draw.rates[name] for draw in draws], axis=0)
        np.testing.assert_allclose(mean, expected, atol=4 * math.sqrt(expected.max() / 8000))
    click = buyable.click(np.array([0, 0]), np.array([0, 1]))
    assert draws[0].expected["CTR"][0] == pytest.approx(click.mean())
    assert all((draw.rates["CTCVR"] <= draw.rates["CTR"]).all() for draw in draws[:50])


def test_arms_are_disjoint_and_candidates_are_shared(tiny: Dataset) -> None:
    a, b = draw_pages(Setup(users=150, candidates=40, seed=2), tiny)
    assert sorted([*a.users, *b.users]) == list(range(300))
    assert (a.items == b.items).all()
    assert len(set(a.items)) == 40
    assert set(a.items) <= set(tiny.column("test", "item"))
    other = draw_pages(Setup(users=150, candidates=40, seed=3), tiny)[0]
    assert set(other.users) != set(a.users)


def test_the_slate_is_the_top(tiny: Dataset, truth: Truth) -> None:
    page = draw_pages(Setup(users=5, candidates=6), tiny)[0]
    scores = np.array([[3, 1, 2, 3, 0, 5]] * 5)
    shown = rank(lambda page, rng: scores[: len(page.users)], page, 3, np.random.default_rng(0))
    assert (shown == page.items[[5, 0, 3]]).all()
    best = rank(policy(contender("oracle"), tiny, truth), page, 2, np.random.default_rng(0))
    values = np.array([truth.click(np.full(6, user), page.items) for user in page.users])
    assert (best[:, 0] == page.items[values.argmax(axis=1)]).all()


def test_flags_are_those_of_the_run(tiny: Dataset) -> None:
    users = np.arange(300)
    lonely = np.diff(tiny.offsets) == 0
    found = is_new(tiny, RunConfig("tiny", seed=4), users)
    assert found[lonely].all()
    assert 0.3 < found.mean() < 0.5
    assert (found != is_new(tiny, RunConfig("tiny", seed=5), users)).any()


# the command


def changed_manifest(folder: Path, **changes: object) -> None:
    """Write other values into a dataset's description, with the checksum that goes with them."""
    path = folder / "dataset.json"
    manifest = {**json.loads(path.read_text()), **changes}
    del manifest["checksum"]
    path.write_text(json.dumps(seal(manifest)))


@pytest.mark.slow
def test_as_typed(with_data: Path) -> None:
    made = mail("train", "--cold-start", "mail", *SMALL, *SMALL_MAIL)
    assert made.exit_code == 0, made.output
    runs = [f"runs/tiny/paper/{cell}/seed-0" for cell in ("base+none", "base+mail-base")]
    command = ["abtest", *runs, "--users", "150", "--candidates", "30"]
    done = mail(*command)
    assert done.exit_code == 0, done.output
    for text in (
        "Simulated A/B test, B over A",
        "data tiny (simulated) | 150 users in each arm | seed 0",
        f"A: base+none, seed 0, protocol paper, 40% of users new ({runs[0]})",
        f"B: base+mail-base, seed 0, protocol paper, 40% of users new ({runs[1]})",
        "each user is shown the first 5 of 30 candidates, the same for all users",
        "CTCVR is left out: the dataset was simulated without --conversions",
        "+13 to +15",
        "paper: Section 4.5, MAIL-DMR over DMR, two arms of 3 M users, half a month",
    ):
        assert text in done.stdout
    # A run against itself: other users and other clicks, the same policy.
    other = json.loads(mail("abtest", runs[0], runs[0], *command[3:], "--format", "json").stdout)
    assert [each["users"] for each in other["results"]] == ["new", "old", "all"]
    assert other["results"][2]["users_A"] == 150
    assert other["results"][2]["A"] != other["results"][2]["B"]
    # The same seed, arm and run give the same numbers.
    assert f"{other['results'][2]['A']:.3%}" in done.stdout.split("all users")[1].split("B")[1].split("\n")[1]
    assert refused(mail("abtest", *runs, "--users", "10", "--data", "tiny2")) == (
        f"--data tiny2: {runs[0]} is a run on 'tiny'. Leave --data out."
    )
    result = with_data / runs[1] / "result.json"
    result.rename(result.with_name("kept"))
    assert refused(mail(*command)) == f"{runs[1]}: the run is not finished. Run its `mail train` command again."
    result.with_name("kept").rename(result)
    shutil.copytree("data/tiny", "data/other")
    config = with_data / runs[1] / "config.toml"
    text = config.read_text()
    config.write_text(text.replace('data = "tiny"', 'data = "other"'))
    assert refused(mail(*command)) == (
        f"{runs[0]} is a run on 'tiny', {runs[1]} on 'other'. Expected two runs on one dataset."
    )
    config.write_text(text)
    changed_manifest(with_data / "data" / "tiny", source="changed")
    assert refused(mail(*command)) == (
        f"{runs[0]}: was trained on another version of the dataset 'tiny' than the one in data/tiny. "
        "Train again in another --runs folder."
    )


def test_forms(with_data: Path) -> None:
    command = ["abtest", "random", "oracle", "--users", "150", "--format"]
    for form, text in (("markdown", "| CTR |"), ("latex", r"\toprule"), ("csv", "table,users,metric,users_A")):
        assert text in mail(*command, form).stdout
    assert mail(*command, "json").stdout == mail(*command, "json").stdout


def test_no_significant_difference_is_said(with_data: Path) -> None:
    done = mail("abtest", "random", "random", "--users", "20", "--candidates", "30", "--slate", "2")
    assert done.exit_code == 0, done.output
    assert "no significant difference\n" in done.stdout
    lone = mail("abtest", "random", "oracle", "--users", "150")
    assert "no significant difference\n" not in lone.stdout


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["--users", "1"], "--users is 1. Expected 2 to 150, half of the dataset's."),
        (["--users", "151"], "--users is 151. Expected 2 to 150, half of the dataset's."),
        (["--users", "9", "--slate", "0"], "--slate is 0. Expected 1 to 99, fewer than the candidates."),
        (
            ["--users", "9", "--slate", "7", "--candidates", "7", "--seed", "-1"],
            "--slate is 7. Expected 1 to 6, fewer than the candidates. --seed is -1. Expected 0 or more.",
        ),
        (["--users", "9", "--format", "tabel"], "--format tabel: no such form. Did you mean 'table'? Known: 'table', "
         "'markdown', 'csv', 'latex', 'json'."),
        (["--users", "9", "--data", "tinny"], "unknown dataset 'tinny'. Did you mean 'tiny'? data holds: 'tiny'."),
    ],
)  # fmt: skip
def test_refuses_numbers_that_cannot_be(with_data: Path, arguments: list[str], error: str) -> None:
    assert refused(mail("abtest", "random", "oracle", *arguments)) == error


def test_refuses_more_candidates_than_the_test_day_has(with_data: Path, tiny: Dataset) -> None:
    items = len(set(tiny.column("test", "item").tolist()))
    error = refused(mail("abtest", "random", "oracle", "--users", "9", "--candidates", "5000"))
    assert error == f"--candidates is 5000. Expected 2 to {items}, the test day's items."


def test_refuses_what_is_no_run(with_data: Path) -> None:
    assert refused(mail("abtest", "random", "orcale", "--users", "9")) == (
        "orcale: is neither a run's folder nor 'oracle' or 'random'. Did you mean 'oracle'? "
        "Expected a folder made by `mail train`."
    )
    assert refused(mail("abtest", "data", "oracle", "--users", "9")) == (
        "data: holds no config.toml, so it is not a run folder. Expected one made by `mail train`."
    )


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        (
            {"simulation": None},
            "'tiny' is real data, so the true probabilities of a click are not known. "
            "Expected a dataset made from files of `mail simulate`.",
        ),
        (
            {"sample": 0.5},
            "holds 50% of the simulated users, so its world cannot be checked against what the simulator noted. "
            "Preprocess it without --sample.",
        ),
        (
            {"simulation": {"seed": 1}},
            "does not keep the simulator's settings (Settings.__init__() missing 1 required positional argument: "
            "'users'). Simulate and preprocess it again.",
        ),
        (
            {"simulation": {"users": 300, "seed": 2, "behaviors_per_user": 30, "ceiling_auc": 0.7}},
            "its world cannot be rebuilt from the simulator's settings, so the true probabilities are not known "
            "(it was simulated by another version). Simulate and preprocess it again.",
        ),
    ],
)
def test_refuses_data_whose_truth_is_not_known(with_data: Path, changes: dict[str, object], error: str) -> None:
    changed_manifest(with_data / "data" / "tiny", **changes)
    separator = ": "
    assert refused(mail("abtest", "random", "oracle", "--users", "9")) == f"data/tiny{separator}{error}"


def test_another_draw_is_told(with_data: Path, tiny: Dataset) -> None:
    from mailcli.experiments.ab_test.table import make_sheet
    from mailcli.training.run_folder import Run

    arms = tuple(Contender(str(n), Run(Path(), replace(RunConfig("tiny"), seed=n))) for n in (0, 1))
    setup = Setup(users=20, candidates=30)
    found = abtest(setup, tiny, (Contender("random"), Contender("random")))
    notes = make_sheet(setup, tiny, (arms[0], arms[1]), found).notes
    expected = "the two runs were trained with different draws of new users: each arm's are those of its own run"
    assert expected in notes
