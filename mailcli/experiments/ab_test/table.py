"""The table of a simulated A/B test, next to the paper's result."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mailcli.data.dataset import Dataset
from mailcli.experiments.ab_test.policies import Contender
from mailcli.experiments.ab_test.run import ARMS, GROUPS, Outcome, Setup
from mailcli.metrics.statistics import Lift
from mailcli.reporting.captions import protocol_text
from mailcli.reporting.cell_texts import p_text
from mailcli.reporting.rows import TITLES
from mailcli.reporting.text_table import TextBlock, TextTable, text_block

#: MAIL Sec. 4.5, MAIL-DMR over DMR, in %; the text does not say for which users.
PAPER = {"CTR": "+13 to +15", "CTCVR": "+3 to +4"}


def ab_test_table(
    setup: Setup, dataset: Dataset, arms: tuple[Contender, Contender], outcomes: Sequence[Outcome]
) -> TextTable:
    """The table of a test's outcomes."""
    return TextTable(
        "Simulated A/B test, B over A",
        ("", "A", "B", "lift %", "95% interval", "p", "true lift %", "paper %"),
        tuple(_block(users, [outcome for outcome in outcomes if outcome.users == users]) for users in GROUPS),
        _notes(setup, dataset, arms, outcomes),
        [_record(outcome) for outcome in outcomes],
    )


def _block(users: str, outcomes: Sequence[Outcome]) -> TextBlock:
    a, b = outcomes[0].sizes
    return text_block(f"{TITLES[users]} ({a:,} in A, {b:,} in B)", [_line(outcome) for outcome in outcomes])


def _line(outcome: Outcome) -> list[str]:
    observed = outcome.observed
    paper = PAPER[outcome.metric] if outcome.users == "all" else ""
    rates = _rate(observed.a), _rate(observed.b)
    return [outcome.metric, *rates, *_lift(observed), _signed(outcome.expected), paper]


def _rate(value: float | None) -> str:
    return "-" if value is None else f"{value:.3%}"


def _signed(value: float | None) -> str:
    return "-" if value is None else f"{value:+.1f}"


def _lift(observed: Lift) -> list[str]:
    """The lift, its interval and its p-value."""
    if observed.lift is None or observed.p is None:
        return ["-", "-", "-"]
    return [
        _signed(observed.lift),
        f"{_signed(observed.low)} to {_signed(observed.high)}",
        p_text(observed.p) + ("" if observed.significant else " n.s."),
    ]


def _notes(
    setup: Setup, dataset: Dataset, arms: tuple[Contender, Contender], outcomes: Sequence[Outcome]
) -> tuple[str, ...]:
    notes = [f"data {dataset.display_name} | {setup.users:,} users in each arm | seed {setup.seed}"]
    notes += [f"{letter}: {_describe(arm)}" for letter, arm in zip(ARMS, arms, strict=True)]
    notes.append(
        f"each user sees the top {setup.slate} of {setup.candidates} candidates, which are the same for all users"
    )
    if not any(outcome.observed.significant for outcome in outcomes):
        notes.append("no significant difference")
    notes += [
        "n.s. = no significant difference at 5%; p: two-sided, over users, not corrected for the number of lines",
        "true lift: from the true probabilities of what A and B would show to the same users, those of both arms",
    ]
    if any(outcome.observed.lift is None for outcome in outcomes):
        notes.append("-: an arm has fewer than two users, or nothing to count")
    if "CTCVR" not in {outcome.metric for outcome in outcomes}:
        notes.append("no CTCVR: the dataset was simulated without --conversions")
    draws = {(arm.run.config.seed, arm.run.config.new_share) for arm in arms if arm.run}
    if len(draws) > 1:
        notes.append("the two runs were trained with different draws of new users; each arm uses that of its own run")
    notes.append(
        "paper: Section 4.5, MAIL-DMR over DMR, two arms of 3 M users, half a month; not comparable with a simulation"
    )
    return tuple(notes)


def _describe(arm: Contender) -> str:
    if arm.run is None:
        return {"oracle": "oracle, by the true click probability", "random": "random, by chance"}[arm.name]
    config = arm.run.config
    return f"{config.cell}, seed {config.seed}, {protocol_text(config)} ({arm.name})"


def _record(outcome: Outcome) -> dict[str, Any]:
    observed = outcome.observed
    return {
        "users": outcome.users,
        "metric": outcome.metric,
        "users_A": outcome.sizes[0],
        "users_B": outcome.sizes[1],
        "A": observed.a,
        "B": observed.b,
        "lift": observed.lift,
        "low_95": observed.low,
        "high_95": observed.high,
        "p": observed.p,
        "significant": None if observed.p is None else observed.significant,
        "true_lift": outcome.expected,
    }
