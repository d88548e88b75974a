"""Finished rows, with their runs, as a section of a report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from mailcli.data.display_name import worlds_name
from mailcli.errors import counted
from mailcli.reporting.captions import new_share_text, table_titles
from mailcli.reporting.formats import render
from mailcli.reporting.plots._style import caption
from mailcli.reporting.provenance import cost_note, environment_notes
from mailcli.reporting.report.content import ReportFigure, ReportPart, ReportSection
from mailcli.reporting.report.details import cost_table, own_settings, run_table, shared_settings
from mailcli.reporting.report.facts import facts_of
from mailcli.reporting.report.figures import (
    cost_against_gain,
    forest_figure,
    map_of_worlds,
    validation_figure,
    warm_up_figure,
)
from mailcli.reporting.result_layout import lay_out, lay_out_with_audit
from mailcli.reporting.rows import Row
from mailcli.reporting.tables import ResultTable
from mailcli.reporting.text_table import TextTable
from mailcli.reporting.warm_up_table import SHOWS, WarmUpLine, warm_up_table
from mailcli.reporting.worlds import WorldRows
from mailcli.runs.folder import RunFolder

_SORT = "Click a column header to sort the rows within each group of users."
_GAIN = (
    "Relative improvement (RI) over the same ranker without a cold-start method. An interval that covers 0 shows no "
    "significant difference, and which differences cannot be excluded; filled markers are significant after Holm's "
    "correction."
)
_AUDIT = (
    "Are new users ranked well because of what was generated for them (v̂)? The same weights rank them with other "
    "behavior; the table shows what that costs or gains."
)
_VALIDATION = (
    "AUC on the validation split while the runs were trained. Thick: the mean over seeds, as far as all of them go; "
    "thin: each run. A ring marks the weights that were kept."
)
_WARM_UP = "Where does a user stop being new? The last behaviors of the new users are given back, a few at a time."
_MAP = "RI of the AUC of new users by generated behavior, over the same ranker without it."
_COST = "What a row gains for new users, and what it costs to train and to score."
_SETTINGS = "The settings in which rows differ; a dash stands for the default."
_ALL_SETTINGS = "Bold: not the default."
_RUNS = (
    "The runs of the rows. RI compares them with those of the same ranker without a method, even if it is not a row."
)


class ReportRows(NamedTuple):
    """The rows of a table, and all runs behind it."""

    rows: Sequence[Row]
    runs: Sequence[RunFolder]
    """With baselines."""
    warm_up: Sequence[WarmUpLine] = ()
    """Empty if it was not measured."""


def section_of_rows(
    report_rows: ReportRows, tables: Sequence[ResultTable], name: str, reading: str = "", command: str = ""
) -> ReportSection:
    """The section of some rows.

    Args:
        report_rows: its rows and runs.
        tables: the table of all rows, and those of rows against rows.
        name: its anchor.
        reading: what the numbers show, in words.
        command: that trains the runs; empty if they were trained one by one.
    """
    rows, runs, _ = report_rows
    data, label = tables[0].notes[0], caption(runs)
    main, *audits = lay_out_with_audit(tables[0])
    against = [lay_out(table) for table in tables[1:]]
    return ReportSection(
        title=tables[0].title,
        dataset=rows[0].results[0]["dataset"],
        badges=_badges(rows, runs),
        reading=reading,
        facts=facts_of(tables[0]),
        parts=[
            ReportPart("results", "Results", _SORT, [main, *against]),
            *_part("gain", "Gain", _GAIN, figures=forest_figure(rows, label, f"{name}-gain")),
            *_part("audit", "Is generated behavior personal?", _AUDIT, audits),
            *_part("validation", "Validation", _VALIDATION, figures=validation_figure(rows, label, f"{name}-curve")),
            *_warm_up(report_rows, label, name),
            *_part("cost", "Cost", _COST, cost_table(tables[0]), cost_against_gain(rows, label, f"{name}-cost")),
            *_part("settings", "Settings of single rows", _SETTINGS, own_settings(rows, data)),
            ReportPart("all-settings", "All settings", _ALL_SETTINGS, [shared_settings(rows, data)], folded=True),
            ReportPart("runs", "Runs", _RUNS, [run_table(rows, data)], folded=True),
        ],
        csv=render([main, *audits, *against], "csv"),
        command=command,
        environment=[cost_note(runs), *environment_notes(runs)],
    )


def section_of_worlds(
    worlds: Sequence[WorldRows],
    runs: Sequence[RunFolder],
    tables: Sequence[TextTable],
    map_title: str,
    name: str,
    reading: str,
    command: str,
) -> ReportSection:
    """The section of a grid of simulated worlds.

    Args:
        worlds: the rows of each world.
        runs: all runs behind them, with baselines.
        tables: those of the grid.
        map_title: the title of the map.
        name, reading, command: as for `section_of_rows`.
    """
    rows = worlds[0].rows
    return ReportSection(
        title=tables[0].title,
        dataset=worlds_name(len(worlds)),
        badges=_badges(rows, runs),
        reading=reading,
        facts=[],
        parts=[
            ReportPart("results", "Results", _SORT, list(tables)),
            ReportPart("map", "Map", _MAP, figures=[map_of_worlds(worlds, map_title, name)]),
            ReportPart(
                "all-settings", "All settings", _ALL_SETTINGS, [shared_settings(rows, tables[0].notes[0])], folded=True
            ),
        ],
        csv=render(tables, "csv"),
        command=command,
        environment=[cost_note(runs), *environment_notes(runs)],
    )


def _badges(rows: Sequence[Row], runs: Sequence[RunFolder]) -> list[str]:
    seeds = sorted({seed for row in rows for seed in row.seeds})
    config = rows[0].config
    return [
        f"protocol {config.protocol}",
        new_share_text(config),
        f"{'seed' if len(seeds) == 1 else 'seeds'} {', '.join(map(str, seeds))}",
        counted(len(runs), "run"),
    ]


def _part(
    name: str, title: str, lead: str, tables: Sequence[TextTable] = (), figures: Sequence[ReportFigure] = ()
) -> list[ReportPart]:
    """The part, if it holds anything."""
    return [ReportPart(name, title, lead, tables, figures)] if tables or figures else []


def _warm_up(report_rows: ReportRows, label: str, name: str) -> list[ReportPart]:
    if not report_rows.warm_up:
        return []
    known = list(report_rows.warm_up[0].by_seed[0].metrics)
    (title,) = table_titles([(SHOWS, [line.row.config for line in report_rows.warm_up])])
    table, figure = (
        warm_up_table(report_rows.warm_up, known, title),
        warm_up_figure(report_rows.warm_up, label, f"{name}-warm-up"),
    )
    return _part("warm-up", "Warm-up", _WARM_UP, [table], [figure])
