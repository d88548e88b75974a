"""Intervals and p-values: by hand, and on simulated seeds with a known truth."""

from __future__ import annotations

import gc
import math

import numpy as np
import pytest
from scipy import stats

from mailcli.metrics.statistics import Improvement, estimate, holm, improvement, improvement_if_defined

#: The number of simulated experiments.
DRAWS = 2000
#: Nearly certain limits for 2,000 draws with a true coverage of 95%: .95 ± 4 standard errors.
COVERED = (0.93, 0.97)


def test_an_estimate_by_hand() -> None:
    # Values 1, 2, 3: mean 2, s = 1, t(.975, 2) = 4.302653, half = 4.302653 / √3.
    result = estimate([1, 2, 3])
    assert (result.mean, result.deviation) == (2, 1)
    assert result.half_width == pytest.approx(2.484138, abs=1e-5)
    assert estimate([5]) == (5, None, None)


def test_an_improvement_by_hand() -> None:
    # RI 10, 12, 14%: mean 12, s = 2, t = 12 / (2 / √3) = 10.3923; with 2 degrees of freedom p = 1 - t / √(2 + t²).
    result = improvement([0.5, 0.5, 0.5], [0.55, 0.56, 0.57])
    t = 12 / (2 / math.sqrt(3))
    assert result.mean == pytest.approx(12)
    assert result.half_width == pytest.approx(4.968276, abs=1e-5)
    assert result.p == pytest.approx(1 - t / math.sqrt(2 + t * t), abs=1e-9)
    assert list(improvement([0.5], [0.55])) == [pytest.approx(10), None, None, None, None]


def test_there_is_no_improvement_on_nothing() -> None:
    assert improvement_if_defined([0.5, 0.5], [0.6, 0.7]) == improvement([0.5, 0.5], [0.6, 0.7])
    assert improvement_if_defined([0.0, 0.5], [0.5, 0.5]) is None
    assert improvement_if_defined(None, [0.5]) is improvement_if_defined([0.5], None) is None


def test_equivalence_by_hand() -> None:
    # RI .1, 0, -.1%: t = .5 / (.1 / √3) = 8.66 against either bound of .5%; with 2 degrees of freedom, one-sided,
    # p = (1 - t / √(2 + t²)) / 2.
    close = improvement([0.5, 0.5, 0.5], [0.5005, 0.5, 0.4995])
    t = 0.5 / (0.1 / math.sqrt(3))
    assert close.equivalence_p == pytest.approx((1 - t / math.sqrt(2 + t * t)) / 2, abs=1e-9)
    assert close.equivalent
    # The same mean with ten times the spread: not significant, and not shown to be harmless.
    wide = improvement([0.5, 0.5, 0.5], [0.505, 0.5, 0.495])
    assert holm([wide])[0] == wide._replace(adjusted_p=wide.p)
    assert not wide.equivalent
    # A loss of .3 ±.02% is significant and yet within the bounds; of 12%, of course not.
    assert improvement([0.5] * 3, [0.4985, 0.49855, 0.49845]).equivalent
    assert not improvement([0.5] * 3, [0.44] * 3).equivalent
    assert improvement([0.5] * 3, [0.5] * 3).equivalent


@pytest.mark.parametrize(("improved", "p"), [([0.5, 0.5], 1.0), ([0.6, 0.6], 0.0)])
def test_seeds_that_do_not_differ_at_all(improved: list[float], p: float) -> None:
    """A two-stage method does not change old users: the standard deviation is 0."""
    assert improvement([0.5, 0.5], improved).p == p


def with_p_values(*ps: float | None) -> list[Improvement | None]:
    return [None if p is None else Improvement(1.0, 0.5, p, None) for p in ps]


def test_holm_by_hand() -> None:
    # Sorted .01, .03, .04: times 3, 2, 1 and never decreasing: .03, .06, .06. Baselines and single seeds do not count.
    corrected = holm([*with_p_values(0.01, None, 0.04, 0.03), Improvement(1.0, None, None, None)])
    adjusted = [None if row is None else row.adjusted_p for row in corrected]
    assert adjusted == [pytest.approx(0.03), None, pytest.approx(0.06), pytest.approx(0.06), None]
    assert [row.significant for row in corrected if row] == [True, False, False, False]
    assert holm(with_p_values(None)) == [None]


def test_a_row_that_equals_its_baseline_is_not_counted() -> None:
    """Of two tests, the smaller p is doubled; with a third row without any difference it is not tripled."""
    equal = improvement([0.5, 0.6], [0.5, 0.6])
    corrected = holm([*with_p_values(0.01, 0.04), equal])
    assert [row and row.adjusted_p for row in corrected] == [pytest.approx(0.02), pytest.approx(0.04), 1.0]
    assert holm([equal]) == [equal._replace(adjusted_p=1.0)]


def test_a_correction_does_not_collect_all_garbage() -> None:
    """statsmodels asks for it, which takes long while TensorFlow is loaded."""
    seen: list[int] = []

    def watch(phase: str, info: dict[str, int]) -> None:
        if phase == "start" and info["generation"] == 2:
            seen.append(len(gc.get_objects()))

    gc.callbacks.append(watch)
    try:
        holm(with_p_values(0.01, 0.04))
    finally:
        gc.callbacks.remove(watch)
    assert len(seen) == 1
    assert seen[0] < len(gc.get_objects()) / 10
    assert gc.get_freeze_count() == 0


@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_intervals_cover_the_truth(seeds: int) -> None:
    rng = np.random.default_rng(seeds)
    means = [estimate(values.tolist()) for values in rng.normal(0.58, 0.01, (DRAWS, seeds))]
    covered = np.mean([abs(mean.mean - 0.58) <= (mean.half_width or 0) for mean in means])
    assert COVERED[0] <= covered <= COVERED[1]


def simulated(rng: np.random.Generator, effect: float, seeds: int) -> Improvement:
    """Seeds that shift baseline and method together, ten times as much as the method's effect varies."""
    baseline = rng.normal(0.58, 0.02, seeds)
    return improvement(baseline.tolist(), (baseline * (1 + rng.normal(effect, 0.2, seeds) / 100)).tolist())


@pytest.mark.slow
@pytest.mark.parametrize("effect", [0.0, 1.22])
def test_paired_intervals_cover_a_known_improvement(effect: float) -> None:
    rng = np.random.default_rng(7)
    improvements = [simulated(rng, effect, 5) for _ in range(DRAWS)]
    covered = np.mean([abs(row.mean - effect) <= (row.half_width or 0) for row in improvements])
    assert COVERED[0] <= covered <= COVERED[1]


def test_p_values_are_uniform_without_an_effect() -> None:
    rng = np.random.default_rng(11)
    p_values = np.array([simulated(rng, 0.0, 5).p for _ in range(DRAWS)], float)
    assert stats.kstest(p_values, "uniform").pvalue > 0.01
    assert 0.035 <= np.mean(p_values < 0.05) <= 0.065


def test_p_values_find_a_known_effect() -> None:
    rng = np.random.default_rng(13)
    p_values = np.array([simulated(rng, 1.22, 5).p for _ in range(200)], float)
    assert np.mean(p_values < 0.05) > 0.99


@pytest.mark.slow
def test_a_table_without_effects_rarely_shows_one() -> None:
    """With seven rows without effect, one table in three would show one by chance; Holm keeps it at 5%."""
    rng = np.random.default_rng(17)
    tables = [holm([simulated(rng, 0.0, 5) for _ in range(7)]) for _ in range(DRAWS // 10)]
    corrected = np.mean([any(row.significant for row in table if row) for table in tables])
    raw = np.mean([any(row.p < 0.05 for row in table if row and row.p is not None) for table in tables])
    # 5% and 3 standard errors of 200 tables.
    assert corrected <= 0.1
    assert raw > 0.2
