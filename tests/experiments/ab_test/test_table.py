"""The table of a simulated A/B test."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from mailcli.config import RunConfig
from mailcli.data.dataset import Dataset
from mailcli.experiments.ab_test.policies import Contender
from mailcli.experiments.ab_test.run import Setup, run_ab_test
from mailcli.experiments.ab_test.table import ab_test_table
from mailcli.runs.folder import RunFolder


def test_runs_with_different_new_users_are_noted(tiny: Dataset) -> None:
    a, b = (Contender(str(seed), RunFolder(Path(), replace(RunConfig("tiny"), seed=seed))) for seed in (0, 1))
    setup = Setup(users=20, candidates=30)
    outcomes = run_ab_test(setup, tiny, (Contender("random"), Contender("random")))
    notes = ab_test_table(setup, tiny, (a, b), outcomes).notes
    note = "the two runs were trained with different draws of new users; each arm uses that of its own run"
    assert note in notes
    assert note not in ab_test_table(setup, tiny, (a, a), outcomes).notes
    # A protocol hides other things of the same users.
    strict = Contender("strict", RunFolder(Path(), replace(RunConfig("tiny"), seed=0, protocol="strict")))
    assert note not in ab_test_table(setup, tiny, (a, strict), outcomes).notes
