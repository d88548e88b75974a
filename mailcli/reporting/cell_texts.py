"""The texts of a result table's cells."""

from __future__ import annotations

from collections.abc import Callable

from mailcli.metrics.statistics import Improvement
from mailcli.reporting.captions import BELOW_TRIVIAL_MARK
from mailcli.reporting.columns import number_text
from mailcli.reporting.rows import COST_METRICS, METRICS
from mailcli.reporting.tables import MetricCell
from mailcli.reporting.text_table import TextCell, unsigned


def estimate_cell(cell: MetricCell, metric: str = METRICS[0]) -> TextCell:
    """`.5600 ±.0248`, and in brackets the standard deviation; of what a row costs only the mean."""
    estimate = cell.estimate
    if estimate is None:
        return TextCell("-")
    text = number_text(metric, estimate.mean) + (BELOW_TRIVIAL_MARK if cell.below_trivial else "")
    if metric in COST_METRICS or estimate.half_width is None or estimate.deviation is None:
        return TextCell(text, rank=cell.rank)
    return TextCell(f"{text} ±{unsigned(estimate.half_width)}", f" ({unsigned(estimate.deviation)})", cell.rank)


def over_users_cell(cell: MetricCell) -> TextCell:
    """`.5510 to .5690`."""
    return TextCell(" to ".join(map(unsigned, cell.over_users)) if cell.over_users else "-")


def improvement_cell(gain: Improvement | None, text: str) -> TextCell:
    """A cell with an improvement's text."""
    sign = 0 if gain is None or not gain.significant else 1 if gain.mean > 0 else -1
    return TextCell(text, sign=sign)


def improvement_text(gain: Improvement | None) -> str:
    """`+12.00 ±4.97, p .018`, with `n.s.` if it is not significant and `≈` if it is practically zero."""
    return _gain_text(gain, lambda known, p: f", p {p_text(p)}" + _marks(known))


def short_improvement_text(gain: Improvement | None) -> str:
    """`+12.00 ±4.97 *`, with `**` for p < .01, and `≈` if it is practically zero; nothing if it is not significant."""
    return _gain_text(gain, _short_marks)


def _gain_text(gain: Improvement | None, significance: Callable[[Improvement, float], str]) -> str:
    """`+12.00 ±4.97` and its significance; without an interval only the mean, and nothing without a gain."""
    if gain is None:
        return ""
    text = f"{gain.mean:+.2f}"
    if gain.half_width is None or gain.adjusted_p is None:
        return text
    return f"{text} ±{gain.half_width:.2f}" + significance(gain, gain.adjusted_p)


def _short_marks(gain: Improvement, p: float) -> str:
    stars = (" **" if p < 0.01 else " *") if gain.significant else ""
    return stars + (" ≈" if gain.equivalent else "")


def _marks(gain: Improvement) -> str:
    return ("" if gain.significant else " n.s.") + (" ≈" if gain.equivalent else "")


def p_text(p: float) -> str:
    """`.018`, or `<.001`."""
    return "<.001" if p < 0.001 else f"{p:.3f}".removeprefix("0")
