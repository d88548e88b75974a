"""The figures of a report, and what they show in words."""

from __future__ import annotations

from collections.abc import Sequence

from mailcli import plugins
from mailcli.escape import figure_label
from mailcli.metrics.statistics import estimate
from mailcli.reporting.cell_texts import estimate_cell, improvement_text
from mailcli.reporting.columns import number_text
from mailcli.reporting.plots._style import PAGE
from mailcli.reporting.plots.cost import cost_figure
from mailcli.reporting.plots.forest import forest
from mailcli.reporting.plots.map import map_figure
from mailcli.reporting.plots.validation import draw_curves
from mailcli.reporting.plots.warmup import draw_warm_up
from mailcli.reporting.report.content import ReportFigure
from mailcli.reporting.report.svg import PAGE_STYLE, to_svg
from mailcli.reporting.rows import METRICS, Row
from mailcli.reporting.tables import ResultLine, make_table
from mailcli.reporting.warm_up_table import WarmUpLine
from mailcli.reporting.worlds import WorldRows

_AUC = METRICS[0]


def forest_figure(rows: Sequence[Row], caption: str, name: str) -> list[ReportFigure]:
    """RI with intervals; no figure if no row has a baseline."""
    if not any(row.baseline for row in rows):
        return []
    import matplotlib as mpl

    with mpl.rc_context(PAGE_STYLE):
        figure = forest(rows, caption)
    gains = [
        f"{line.name} {improvement_text(line.improvements[_AUC])}"
        for line in _lines_of_new_users(rows)
        if line.improvements[_AUC]
    ]
    alt = (
        "Forest plot of the relative improvement of AUC and GAUC in percent, with 95% intervals over seeds, by row "
        f"and group of users. AUC of new users: {_listed(gains)}"
    )
    return [ReportFigure(to_svg(figure, name, alt), alt)]


def validation_figure(rows: Sequence[Row], caption: str, name: str) -> list[ReportFigure]:
    """The validation curves; no figure if no run was trained by epochs."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    networks = [row for row in rows if not plugins.is_trivial(row.config.ranker)]
    with mpl.rc_context(PAGE_STYLE):
        # Ours: higher than in a column of a paper.
        figure = Figure(figsize=(PAGE, PAGE / 2.3), layout="constrained")
        if not draw_curves(figure, [(figure_label(row.label), row.results) for row in networks], caption):
            return []
    texts = [
        f"{row.label} {', '.join(str(result['best_epoch']) for result in row.results)}"
        for row in networks
        if all(result.get("curve") for result in row.results)
    ]
    alt = (
        "Validation AUC of new, old and all users over the steps of training, by row; a ring marks the weights "
        f"that were kept. Best epochs by seed: {_listed(texts)}"
    )
    return [ReportFigure(to_svg(figure, name, alt), alt)]


def cost_against_gain(rows: Sequence[Row], caption: str, name: str) -> list[ReportFigure]:
    """AUC and RI against seconds of training; no figure if no row says how long it trained."""
    import matplotlib as mpl

    with mpl.rc_context(PAGE_STYLE):
        figure = cost_figure(rows, caption)
    if figure is None:
        return []
    alt = (
        "AUC of new users, and RI over the same ranker without a method, against seconds of training: "
        f"{_listed([_cost_text(line) for line in _lines_of_new_users(rows)])}"
    )
    return [ReportFigure(to_svg(figure, name, alt), alt)]


def _cost_text(line: ResultLine) -> str:
    cell = line.cells.get("training_seconds")
    seconds = number_text("training_seconds", cell.estimate.mean) if cell and cell.estimate else "not recorded,"
    return f"{line.name} {seconds} s, AUC {estimate_cell(line.cells[_AUC]).text}"


def warm_up_figure(lines: Sequence[WarmUpLine], caption: str, name: str) -> ReportFigure:
    """AUC by the number of known behaviors."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(PAGE_STYLE):
        # Ours: half as high as wide, as the page is wider than a column.
        figure = Figure(figsize=(PAGE, PAGE / 2), layout="constrained")
        draw_warm_up(figure, [(figure_label(line.name), line.by_seed) for line in lines], caption)
    alt = f"AUC of new users by the number of their known behaviors: {_listed(list(map(_warm_up_text, lines)))}"
    return ReportFigure(to_svg(figure, name, alt), alt)


def _warm_up_text(line: WarmUpLine) -> str:
    means = {
        known: estimate([warm_up.metrics[known][_AUC] for warm_up in line.by_seed]).mean
        for known in line.by_seed[0].metrics
    }
    return f"{line.name} {', '.join(f'{number_text(_AUC, mean)} with {known}' for known, mean in means.items())}"


def map_of_worlds(worlds: Sequence[WorldRows], caption: str, name: str) -> ReportFigure:
    """RI of generated behavior over simulated worlds."""
    import matplotlib as mpl

    with mpl.rc_context(PAGE_STYLE):
        figure = map_figure(worlds, caption)
    alt = "Heat maps of the RI of AUC by generated behavior in simulated worlds; the table has the numbers."
    return ReportFigure(to_svg(figure, name, alt), alt, on_paper=True)


def _listed(texts: Sequence[str]) -> str:
    """The end of a sentence; `n.s.` has its period already."""
    return "; ".join(texts).removesuffix(".") + "."


def _lines_of_new_users(rows: Sequence[Row]) -> list[ResultLine]:
    return [line for line in make_table(rows, "").lines if line.users == "new"]
