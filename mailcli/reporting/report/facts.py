"""What the table of a section shows, in a few numbers."""

from __future__ import annotations

from collections.abc import Iterator

from mailcli.reporting.cell_texts import estimate_cell
from mailcli.reporting.report.content import Fact
from mailcli.reporting.rows import METRICS
from mailcli.reporting.tables import ResultLine, ResultTable

_AUC = METRICS[0]


def facts_of(table: ResultTable) -> list[Fact]:
    """Who is best, whether the networks reach the trivial rows, who gains and who loses, and what v̂ is worth."""
    by_users = {block[0].users: block for block in table.blocks}
    new, old = (by_users.get(users, []) for users in ("new", "old"))
    return [
        *_best(new),
        *_against_trivial(new),
        *_changes("Gain for new users", new, better=True),
        *_changes("Harm to old users", old, better=False),
        *_personal(table),
    ]


def _best(lines: list[ResultLine]) -> Iterator[Fact]:
    best = [line for line in lines if line.cells[_AUC].rank == 1]
    if best:
        kind = " (a trivial row)" if best[0].trivial else ""
        names = ", ".join(line.name for line in best)
        yield Fact("Best for new users", names, f"AUC {estimate_cell(best[0].cells[_AUC]).text}{kind}")


def _against_trivial(lines: list[ResultLine]) -> Iterator[Fact]:
    trivial = [line for line in lines if line.trivial and line.cells[_AUC].estimate]
    others = [line for line in lines if not line.trivial and line.cells[_AUC].estimate]
    if trivial and others:
        best = max(trivial, key=_mean)
        below = sum(line.cells[_AUC].below_trivial for line in others)
        auc = estimate_cell(best.cells[_AUC]).text
        text = f"networks rank new users worse than the best trivial row, {best.name}: AUC {auc}"
        yield Fact("Below a trivial row", f"{below} of {len(others)}", text)


def _mean(line: ResultLine) -> float:
    estimate = line.cells[_AUC].estimate
    return estimate.mean if estimate else float("-inf")


def _changes(name: str, lines: list[ResultLine], better: bool) -> Iterator[Fact]:
    """How many rows are significantly better, or worse, than their baselines."""
    gains = [gain for line in lines if (gain := line.improvements[_AUC])]
    if not gains:
        return
    if all(gain.adjusted_p is None for gain in gains):
        yield Fact(name, "unknown", "one seed: significance cannot be assessed")
        return
    ups, downs = (sum(gain.significant and sign * gain.mean > 0 for gain in gains) for sign in (1, -1))
    expected_changes, opposite_changes = (ups, downs) if better else (downs, ups)
    words = ("better", "worse") if better else ("worse", "better")
    same = sum(gain.equivalent for gain in gains)
    text = (
        f"methods significantly {words[0]} in AUC than the same ranker without one; {opposite_changes} {words[1]}, "
        f"{same} practically equal (≈)"
    )
    yield Fact(name, f"{expected_changes} of {len(gains)}", text)


def _personal(table: ResultTable) -> Iterator[Fact]:
    if table.audits:
        personal = [row.name for row in table.audits if row.audit.is_personal]
        text = "methods are shown to generate behavior (v̂) that is the new user's own: another user's ranks worse"
        yield Fact("Personal behavior", f"{len(personal)} of {len(table.audits)}", text)
