"""The table of a simulated A/B test, the paper's result beside."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mailcli.data.dataset import Dataset
from mailcli.experiments.ab_test.policies import Contender
from mailcli.experiments.ab_test.run import ARMS, GROUPS, Outcome, Setup
from mailcli.metrics.statistics import Lift
from mailcli.reporting.tables import TITLES
from mailcli.reporting.text_table import Sheet

#: MAIL Sec. 4.5, MAIL-DMR over DMR, in %; of which users the text does not say.
PAPER = {"CTR": "+13 to +15", "CTCVR": "+3 to +4"}


def make_sheet(setup: Setup, dataset: Dataset, arms: tuple[Contender, Contender], found: Sequence[Outcome]) -> Sheet:
    """The table of a test's outcomes."""
    head = ("", "A", "B", "lift %", "95 % interval", "p", "true lift %", "paper %")
    blocks = {}
    for users in GROUPS:
        lines = [each for each in found if each.users == users]
        title = f"{TITLES[users]} ({lines[0].sizes[0]:,} in A, {lines[0].sizes[1]:,} in B)"
        blocks[title] = [_line(each) for each in lines]
    notes = _notes(setup, dataset, arms, found)
    return Sheet("Simulated A/B test, B over A", head, blocks, notes, [_record(each) for each in found])


def _line(each: Outcome) -> list[str]:
    seen = each.observed
    paper = PAPER[each.metric] if each.users == "all" else ""
    return [each.metric, _rate(seen.a), _rate(seen.b), *_lift(seen), _signed(each.expected), paper]


def _rate(value: float | None) -> str:
    return "-" if value is None else f"{value:.3%}"


def _signed(value: float | None) -> str:
    return "-" if value is None else f"{value:+.1f}"


def _lift(seen: Lift) -> list[str]:
    if seen.lift is None or seen.p is None:
        return ["-", "-", "-"]
    p = "<.001" if seen.p < 0.001 else f"{seen.p:.3f}".removeprefix("0")
    return [
        _signed(seen.lift),
        f"{_signed(seen.low)} to {_signed(seen.high)}",
        p + ("" if seen.significant else " n.s."),
    ]


def _notes(
    setup: Setup, dataset: Dataset, arms: tuple[Contender, Contender], found: Sequence[Outcome]
) -> tuple[str, ...]:
    notes = [f"data {dataset.label} | {setup.users:,} users in each arm | seed {setup.seed}"]
    notes += [f"{letter}: {_name(arm)}" for letter, arm in zip(ARMS, arms, strict=True)]
    notes.append(f"each user is shown the first {setup.slate} of {setup.candidates} candidates, the same for all users")
    if not any(each.observed.significant for each in found):
        notes.append("no significant difference")
    notes += [
        "n.s. = no significant difference at 5 %; p is two-sided, of users, not corrected for the number of lines",
        "true lift: by the true probabilities of what was shown, without the chance of single clicks",
    ]
    if any(each.observed.lift is None for each in found):
        notes.append("-: fewer than two users, or nothing to count, in an arm")
    if "CTCVR" not in {each.metric for each in found}:
        notes.append("CTCVR is left out: the dataset was simulated without --conversions")
    draws = {(arm.run.config.seed, arm.run.config.new_share, arm.run.config.protocol) for arm in arms if arm.run}
    if len(draws) > 1:
        notes.append("the two runs were trained with different draws of new users: each arm's are those of its own run")
    notes.append(
        "paper: Section 4.5, MAIL-DMR over DMR, two arms of 3 M users, half a month; not comparable with a simulation"
    )
    return tuple(notes)


def _name(arm: Contender) -> str:
    if arm.run is None:
        return {"oracle": "oracle, by the true click probability", "random": "random, by chance"}[arm.name]
    config = arm.run.config
    draw = f"seed {config.seed}, protocol {config.protocol}, {config.new_share:.0%} of users new"
    return f"{config.cell}, {draw} ({arm.name})"


def _record(each: Outcome) -> dict[str, Any]:
    numbers = each.observed
    return {
        "users": each.users,
        "metric": each.metric,
        "users_A": each.sizes[0],
        "users_B": each.sizes[1],
        "A": numbers.a,
        "B": numbers.b,
        "lift": numbers.lift,
        "low_95": numbers.low,
        "high_95": numbers.high,
        "p": numbers.p,
        "significant": None if numbers.p is None else numbers.significant,
        "true_lift": each.expected,
    }
