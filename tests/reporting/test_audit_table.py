"""Means of audits over seeds, and the verdict whether v̂ is personal."""

from __future__ import annotations

import numpy as np
import pytest

from mailcli.config import make_config
from mailcli.reporting.audit_block import NamedAudit, audit_block, verdicts
from mailcli.reporting.audit_table import audit_table, difference_text, verdict
from mailcli.reporting.audits import AuditDifference, mean_audit
from mailcli.runs.audit import AuditScores, measure_audit
from tests.helpers.audits import many_users, scored_run


def test_means_over_seeds() -> None:
    runs = [scored_run({"own": [0.9, 0.1, 0.2, 0.8, 0.3, 0.4]}), scored_run({"own": [0.1, 0.9, 0.9, 0.1, 0.9, 0.9]})]
    audit = mean_audit([measure_audit(run, users=2, draws=draws) for run, draws in zip(runs, (50, 60), strict=True)])
    assert audit.values["own"].tolist() == [0.5, 0.5]
    # Of fewer draws, those that both have; 1 and 0 in each.
    assert audit.draws["own"].tolist() == [[0.5, 0.5]] * 50


def test_costs_by_hand() -> None:
    own, other = [0.9, 0.1, 0.2, 0.8, 0.3, 0.4], [0.9, 0.1, 0.2, 0.1, 0.3, 0.4]
    audit = mean_audit([measure_audit(scored_run({"own": own, "other": other}), users=2, draws=200)])
    auc, gauc = audit.differences("other")
    assert (auc.mean, gauc.mean) == pytest.approx((4.5 / 8 - 1, -0.5))
    # Draws of user 0 alone cost nothing, those of user 1 alone everything.
    assert (auc.low, auc.high, gauc.low, gauc.high) == (-1, 0, -1, 0)
    assert audit.differences("own") == [(0, 0, 0), (0, 0, 0)]


def test_the_verdict() -> None:
    personal = mean_audit([measure_audit(many_users(1.0), users=100, draws=100)])
    assert personal.is_personal
    assert verdict(personal).startswith("v̂ is personal: AUC -.")
    alike = mean_audit([measure_audit(many_users(0.0), users=100, draws=100)])
    assert not alike.is_personal
    assert verdict(alike).startswith("no evidence that v̂ is personal: another user's costs nothing significant (AUC ")


def test_without_auc_and_gauc_nothing_is_known() -> None:
    """All impressions have one label."""
    scored = scored_run({})
    clicks = np.ones_like(scored.clicks)
    audit = mean_audit([measure_audit(scored._replace(clicks=clicks), users=2, draws=80)])
    assert audit.is_personal is None
    assert verdict(audit) == "whether v̂ is personal is unknown: AUC and GAUC are undefined"
    row = NamedAudit("MAIL-Base", (0,), audit)
    assert verdicts([row]) == "whether v̂ is personal is unknown, AUC and GAUC being undefined: MAIL-Base"
    # Without a mark, which would say that it is known.
    assert audit_block([row], "Title", ["data toy"]).blocks[0].lines[0][0].text == "MAIL-Base"


def test_an_undefined_gauc_is_said_to_be_so() -> None:
    one_label_each = AuditScores(
        np.array([0, 0, 1, 1]),
        np.array([1, 1, 0, 0], np.float32),
        {source: np.array([0.4, 0.3, 0.2, 0.1], np.float32) for source in scored_run({}).scores},
    )
    audit = mean_audit([measure_audit(one_label_each, users=2, draws=40)])
    assert not audit.is_personal
    assert "AUC +.0000 [+.0000, +.0000], GAUC undefined" in verdict(audit)
    table = audit_table(audit, [make_config([{"data": "toy", "cold_start": "mail"}])], "toy", "Title")
    assert [cell.text for cell in table.blocks[0].lines[1]] == [
        *("v̂ of another new user", "1.0000", "1.0000 to 1.0000", "+.0000 [+.0000, +.0000]"),
        *("undefined", "", ""),
    ]
    assert [record["mean"] for record in table.records[:2]] == [1, None]


def test_texts_of_costs() -> None:
    assert difference_text(AuditDifference(-0.01234, -0.02, 0.004)) == "-.0123 [-.0200, +.0040]"
    assert difference_text(AuditDifference(float("nan"), float("nan"), float("nan"))) == "undefined"
