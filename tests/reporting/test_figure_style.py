"""How figures look with much to show: many cells, long names, long titles."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import matplotlib as mpl
import pytest
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from mailcli.config import make_config
from mailcli.errors import MailError
from mailcli.reporting.plots._style import (
    STYLE,
    add_legend,
    caption,
    group_by_cell,
    labeled,
    line_style,
    wrapped,
)
from mailcli.reporting.plots.cost import cost_figure
from mailcli.reporting.plots.forest import forest
from mailcli.reporting.plots.loss import Plot
from mailcli.reporting.plots.map import map_caption
from mailcli.reporting.plots.validation import SIZE, draw_curves
from mailcli.reporting.plots.warmup import draw_warm_up
from mailcli.reporting.warm_up import WarmUp
from mailcli.runs.folder import RunFolder
from tests.helpers.figures import assert_readable
from tests.helpers.results import BASE, three_rows

TITLE = "toy (simulated), protocol paper, seeds 0, 1, 2"
LONG = "a row (batch_size=256, embedding_l2=0.001, learning_rate=0.002, dropout=0.5), the {} of its kind"


@pytest.fixture(autouse=True)
def style() -> Iterator[None]:
    with mpl.rc_context(STYLE):
        yield


def test_a_forest_is_readable() -> None:
    figure = forest(three_rows(), TITLE)
    assert_readable(figure)
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["new users", "old users", "all users"]
    assert figure.get_suptitle().endswith("; filled: significant at 5%, Holm-corrected")
    # A filled mark says that a row's difference is significant, so those of the legend are open.
    handles = [handle for handle in legend.legend_handles if isinstance(handle, Line2D)]
    assert [handle.get_markerfacecolor() for handle in handles] == ["white"] * 3


def test_a_forest_of_one_seed_says_that_nothing_can_be_significant() -> None:
    one_seed = [dataclasses.replace(row, seeds=row.seeds[:1], results=row.results[:1]) for row in three_rows()]
    rows = [dataclasses.replace(row, baseline=row.baseline and row.baseline[:1]) for row in one_seed]
    title = " ".join(forest(rows, "Title").get_suptitle().split())
    assert title == "Title; one seed: no interval over seeds, so significance cannot be assessed"


def test_a_forest_with_long_names_and_a_long_title_is_readable() -> None:
    rows = [dataclasses.replace(row, name=LONG.format(number)) for number, row in enumerate(three_rows())]
    figure = forest(rows, f"{TITLE}, {', '.join(map(str, range(3, 60)))}")
    assert_readable(figure)
    assert figure.axes[0].get_yticklabels()[0].get_text().splitlines() == [
        "a row (batch_size=256,",
        "embedding_l2=0.001,",
        "learning_rate=0.002, dropout=0.5),",
        "the 1 of its kind",
    ]


def test_rows_of_one_name_have_a_place_each_in_a_forest() -> None:
    rows = [dataclasses.replace(row, name="a") for row in three_rows()]
    (left, _) = forest(rows, TITLE).axes
    assert [label.get_text() for label in left.get_yticklabels()] == ["a", "a"]
    # New, old and all users; .18 apart.
    places = [cast(Any, bar).lines[0].get_ydata()[0] for bar in left.containers]
    assert places == pytest.approx([-0.18, 0.82, 0, 1, 0.18, 1.18])


def run_of(number: int) -> RunFolder:
    """A finished run of a cell of its own, with four losses of 40 batches."""
    config = dataclasses.replace(BASE, ranker_options={"units": number})
    steps: list[dict[str, Any]] = [
        {"step": step, "L_rt": 1 / step + number, "L_a": 2.0, "L_v": 3.0, "L_d": 4.0} for step in range(1, 41)
    ]
    fields = {"folder": str(number), "config": config, "history": lambda: steps}
    return cast(RunFolder, SimpleNamespace(**fields, result={"dataset": "toy (simulated)", "protocol": "paper"}))


def test_no_cell_is_left_out_of_the_losses() -> None:
    figure = Plot().draw([run_of(number) for number in range(9)], cast(Any, None))["loss"]
    figure.draw_without_rendering()
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [f"BaseDNN (units={number})" for number in range(9)]
    # Thin and thick, of each cell.
    assert [len(axis.lines) for axis in figure.axes] == [18] * 4


def run_with(data: str = "toy", seed: int = 0, **settings: Any) -> RunFolder:
    """A finished run, without a method unless it is set."""
    config = make_config([{"data": data, "seed": seed}, settings])
    result = {"dataset": f"{data} (simulated)", "protocol": config.protocol}
    return cast(RunFolder, SimpleNamespace(config=config, result=result))


def test_runs_of_other_settings_are_no_seeds_of_a_cell() -> None:
    runs = [
        run_with(seed=1),
        run_with(seed=1, learning_rate=0.002),
        run_with(seed=0),
        run_with(seed=0, train_as_new=0.5, learning_rate=0.002),
        run_with(cold_start="mail", learning_rate=0.002),
    ]
    assert [(label, [runs.index(run) for run in group]) for label, group in group_by_cell(runs)] == [
        ("BaseDNN, train_as_new 1.0, learning_rate 0.001", [2, 0]),
        ("BaseDNN, train_as_new 0.5, learning_rate 0.002", [3]),
        ("BaseDNN, train_as_new 1.0, learning_rate 0.002", [1]),
        # The only one of its name.
        ("MAIL-Base", [4]),
    ]


def test_options_of_one_name_are_told_apart_by_their_owners() -> None:
    both: dict[str, Any] = {"cold_start": "mail", "cold_start.dropout": 0.5}
    runs = [run_with(**both), run_with(**{**both, "ranker.dropout": 0.1})]
    assert [label for label, _ in group_by_cell(runs)] == [
        "MAIL-Base (cold_start.dropout=0.5)",
        "MAIL-Base (ranker.dropout=0.1, cold_start.dropout=0.5)",
    ]


def test_the_ticks_of_a_warm_up_are_those_of_the_longest_history() -> None:
    rows = [(str(most), [WarmUp({key: {"AUC": 0.5} for key in range(most)}, {})]) for most in (2, 4, 3)]
    figure = Figure(layout="constrained")
    draw_warm_up(figure, rows, "Title")
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == ["0", "1", "2", "3"]


def test_runs_with_other_shares_of_new_users_are_not_drawn_together() -> None:
    runs = [run_with(), run_with(seed=1, new_share=0.2)]
    with pytest.raises(MailError, match=r"^the runs have new_share 0.2 and 0.4. Name runs with one of them.$"):
        caption(runs)
    with pytest.raises(MailError, match=r"^the runs have new_share 0.2 and 0.4. Name runs with one of them.$"):
        map_caption([*runs, run_with("other")])


def test_five_cells_can_be_told_apart_in_black_and_white() -> None:
    assert_readable(Plot().draw([run_of(number) for number in range(5)], cast(Any, None))["loss"])


def test_a_legend_takes_the_room_that_it_needs() -> None:
    figures = []
    for count in (2, 7):
        figure = Figure(figsize=(4, 2), layout="constrained")
        axis = figure.subplots()
        for number in range(count):
            axis.plot([0, 1], [0, number], label=LONG.format(number)[:40], **line_style(number))
        add_legend(figure, labeled([axis]))
        assert_readable(figure)
        figures.append(figure)
    few, many = (figure.axes[0].bbox.height for figure in figures)
    assert many == pytest.approx(few, rel=0.1)


def test_a_label_is_broken_at_spaces_only() -> None:
    assert wrapped(r"cost in \$\$\$\$ of a-long-word", 6) == "cost\nin\n\\$\\$\\$\\$\nof\na-long-word"
    assert wrapped(" ", 6) == " "


def test_the_first_49_points_differ_in_color_or_marker() -> None:
    pairs = [(line_style(number)["color"], line_style(number)["marker"]) for number in range(49)]
    assert len(set(pairs)) == 49


@pytest.mark.parametrize("seconds", [(1.0, 1.3, 2.2), (0.0, 30.0, 50_000.0), (5.0, 5.0, 5.0)])
def test_costs_are_readable_however_far_apart_they_are(seconds: tuple[float, ...]) -> None:
    rows = [
        dataclasses.replace(row, results=tuple({**result, "cost": {"training_seconds": own}} for result in row.results))
        for row, own in zip(three_rows(), seconds, strict=True)
    ]
    figure = cost_figure(rows, TITLE)
    assert figure is not None
    assert_readable(figure)
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["BaseDNN", "MAIL-Base", "MAIL-None"]
    # Without seconds, there is nothing to draw.
    assert cost_figure(three_rows(), TITLE) is None


def test_validation_curves_of_many_rows_are_readable() -> None:
    figure = Figure(figsize=SIZE, layout="constrained")
    curve = [{"epoch": 1, "step": step, "new": step / 50, "old": None, "all": 0.5} for step in (10, 20, 30)]
    results = [{"curve": curve, "best_step": 20}] * 3
    assert draw_curves(figure, [(f"row {number}", results) for number in range(9)], TITLE)
    assert_readable(figure)
    assert not draw_curves(figure, [("row", [{}])], TITLE)
