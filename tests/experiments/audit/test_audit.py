"""`mail audit`: other users are others, the numbers are those of the scores, and a stranger's behavior is found out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from mailcli.config import make_config
from mailcli.data.dataset import Dataset
from mailcli.experiments.audit.scores import SOURCES, AuditedRun, another_user, audit_run
from mailcli.experiments.audit.table import measure_audit, verdict
from mailcli.experiments.cells import train_if_missing
from mailcli.models.coldstart.mail import ColdStart as Mail
from mailcli.training.predictor import Predictor
from tests.helpers.command_line import error_line, mail
from tests.helpers.models import QUICK, SHAPE


class Stranger(Mail):
    """MAIL that gives every user what it generates for the next one of the batch."""

    def generate(self, attributes: Any) -> Any:
        return super().generate(tf.roll(attributes, 1, axis=0))


@given(
    st.lists(st.integers(0, 50), min_size=2, max_size=60).filter(lambda users: len(set(users)) > 1), st.integers(0, 9)
)
def test_everyone_gets_another_user(users: list[int], seed: int) -> None:
    others = another_user(np.array(users), seed)
    pairs = set(zip(users, others.tolist(), strict=True))
    assert all(user != other for user, other in pairs)
    # The same one for all impressions of a user, and each for one user.
    assert len(pairs) == len(set(users)) == len({other for _, other in pairs})
    assert {other for _, other in pairs} == set(users)


def audited(scores: dict[str, list[float]]) -> AuditedRun:
    """Users 0 and 1 with a click and two other impressions each."""
    columns = {source: np.array(scores.get(source, [0.5] * 6), np.float32) for source in SOURCES}
    return AuditedRun(np.array([0, 0, 0, 1, 1, 1]), np.array([1, 0, 0, 1, 0, 0], np.float32), columns)


def test_numbers_by_hand() -> None:
    own = [0.9, 0.1, 0.2, 0.8, 0.3, 0.4]
    # Of 2 x 4 pairs of a click and another impression, 4 are in order; within users, 2 of 2 and 0 of 2.
    other = [0.9, 0.1, 0.2, 0.1, 0.3, 0.4]
    audit = measure_audit([audited({"own": own, "other": other})], users=3, draws=50)
    assert audit.values["own"].tolist() == [1, 1]
    assert audit.values["other"].tolist() == pytest.approx([4.5 / 8, 0.5])
    assert audit.values["none"].tolist() == [0.5, 0.5]
    cost, _ = audit.cost("other")
    assert cost.tolist() == pytest.approx([4.5 / 8 - 1, -0.5])


def test_means_over_seeds() -> None:
    runs = [audited({"own": [0.9, 0.1, 0.2, 0.8, 0.3, 0.4]}), audited({"own": [0.1, 0.9, 0.9, 0.1, 0.9, 0.9]})]
    assert measure_audit(runs, users=2, draws=50).values["own"].tolist() == [0.5, 0.5]


def many_users(gain: float) -> AuditedRun:
    """100 users; their own v̂ adds `gain` to the score of what they click."""
    rng = np.random.default_rng(0)
    users, clicks = np.repeat(np.arange(100), 10), np.tile([1.0] * 3 + [0.0] * 7, 100)
    noise = rng.normal(size=1000)
    scores = {source: (noise + rng.normal(0, 0.1, 1000)).astype(np.float32) for source in SOURCES}
    scores["own"] = (noise + gain * clicks).astype(np.float32)
    return AuditedRun(users, clicks.astype(np.float32), scores)


def test_the_verdict() -> None:
    personal = measure_audit([many_users(1.0)], users=100, draws=100)
    assert personal.is_personal
    assert verdict(personal).startswith("v̂ is personal: AUC -0.")
    alike = measure_audit([many_users(0.0)], users=100, draws=100)
    assert not alike.is_personal
    assert verdict(alike).startswith("v̂ is not personal: another user's is as good (AUC ")


class TestRuns:
    """Two runs of one epoch on a small dataset."""

    @pytest.fixture(scope="class")
    def runs(self, tiny: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
        runs = tmp_path_factory.mktemp("runs")
        quick = {"data": "tiny", **SHAPE, "epochs": 1, **QUICK["base"]}
        for method, options in (("mail", QUICK["mail"]), (f"{__name__}:Stranger", QUICK["mail"]), ("none", {})):
            train_if_missing(make_config([quick, {"cold_start": method}, options]), tiny, runs)
        return runs / "tiny" / "paper"

    def test_sources_are_what_they_say(self, runs: Path, tiny: Dataset) -> None:
        from mailcli.training.run_registry import open_run

        (folder,) = runs.glob("base+mail*/seed-0")
        predictor = Predictor(open_run(folder), tiny)
        result = audit_run(predictor)
        hidden = predictor.score(predictor.batches(), "")
        shown = predictor.score(predictor.batches(predictor.test_with_all_histories), "")
        user = tiny.column("test", "user")
        chosen = predictor.test.new[user] & (tiny.earlier_behaviors("test") > 0)
        assert chosen.any()
        # As the test split is scored, and as it would be if nothing were hidden.
        np.testing.assert_allclose(result.scores["own"], hidden[chosen], atol=1e-6)
        np.testing.assert_allclose(result.scores["real"], shown[chosen], atol=1e-6)
        for source in SOURCES.keys() - {"own"}:
            assert np.abs(result.scores[source] - result.scores["own"]).max() > 1e-6, source
        np.testing.assert_array_equal(result.users, user[chosen])

    def test_a_strangers_behavior_is_not_personal(self, runs: Path, with_data: Path) -> None:
        (folder,) = runs.glob("*Stranger")
        result = mail("audit", folder, "--bootstrap", 40, "--format", "json")
        assert result.exit_code == 0, result.output
        records = json.loads(result.stdout)[0]["results"]
        assert {record["source"] for record in records} == set(SOURCES)
        assert not any(record["personal"] for record in records)
        assert "v̂ is not personal: another user's is as good" in mail("audit", folder, "--bootstrap", 40).stdout

    def test_errors(self, runs: Path, with_data: Path) -> None:
        (folder,) = runs.glob("base+none/seed-0")
        assert error_line(mail("audit", folder)) == (
            f"{folder}: 'none' generates no behavior, so there is nothing to audit. "
            "Expected a run of a method such as mail, cvae, llae, eszsl or conse."
        )
        assert error_line(mail("audit", folder, "--bootstrap", 0)) == (
            "--bootstrap is 0. Expected a number of draws: whether v̂ is personal is read off intervals."
        )
