"""The warm-up track as tables: AUC and GAUC of new users by the number of their known behaviors."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mailcli import plugins
from mailcli.metrics.statistics import Improvement, estimate, holm, improvement_if_defined
from mailcli.reporting.best_epochs import epoch_notes
from mailcli.reporting.captions import (
    EQUIVALENCE_NOTE,
    INTERVAL_NOTE,
    NOT_SIGNIFICANT,
    ONE_SEED,
    RI_NOTE,
    STACKED_TEXTS,
    STARS,
    TRIVIAL_MARK,
    TRIVIAL_NOTE,
    data_note,
    settings_note,
    table_titles,
)
from mailcli.reporting.cell_texts import estimate_cell, improvement_cell, improvement_text, short_improvement_text
from mailcli.reporting.rescore import cell_of, group_by_table
from mailcli.reporting.result_layout import DETAILS_LEGEND, cell_numbers, improvement_numbers
from mailcli.reporting.rows import METRICS, Row, listed, row_of
from mailcli.reporting.tables import MetricCell, compare_cells, other_seeds_note
from mailcli.reporting.text_table import Layout, TextBlock, TextCell, TextTable
from mailcli.reporting.warm_up import WarmUp, check_known, measure_warm_up
from mailcli.runs.folder import RunFolder

#: The beginning of a title.
SHOWS = "New users by known behaviors"


@dataclass(frozen=True)
class WarmUpLine:
    """A row of the table."""

    row: Row
    by_seed: tuple[WarmUp, ...]
    """In the order of the row's seeds."""

    @property
    def trivial(self) -> bool:
        """Whether it is fitted without a network."""
        return plugins.is_trivial(self.row.config.ranker)

    @property
    def name(self) -> str:
        """The row's name in records."""
        return self.row.label

    def values(self, metric: str, known: int) -> list[float] | None:
        """The metric by seed; None if a seed lacks it: no user with clicks and non-clicks has a GAUC."""
        values = [warm_up.metrics[known][metric] for warm_up in self.by_seed]
        return None if any(map(math.isnan, values)) else values


def warm_up_tables(runs: Sequence[RunFolder], data_dir: Path, known: Sequence[int]) -> list[TextTable]:
    """A table per dataset, protocol and shared settings; a row's baseline counts if its runs are among these.

    Raises:
        MailError: a run's histories are shorter than a number of behaviors, or as `measure_warm_up`.
    """
    check_known(known, runs)
    tables = [
        [(row_of([(run, run.result or {}) for run in row]), row) for row in table] for table in group_by_table(runs)
    ]
    titles = table_titles([(SHOWS, [row.config for row, _ in rows]) for rows in tables])
    return [
        warm_up_table(measure_lines(rows, data_dir, known), known, title)
        for rows, title in zip(tables, titles, strict=True)
    ]


def measure_lines(
    rows: Sequence[tuple[Row, Sequence[RunFolder]]], data_dir: Path, known: Sequence[int]
) -> list[WarmUpLine]:
    """The lines of a table.

    Args:
        rows: with their runs, in the order of the seeds.
        data_dir: folder of the datasets.
        known: numbers of behaviors; `check_known` has checked them.

    Raises:
        MailError: as `measure_warm_up`.
    """
    return [WarmUpLine(row, tuple(measure_warm_up(run, data_dir, known) for run in runs)) for row, runs in rows]


def warm_up_table(lines: Sequence[WarmUpLine], known: Sequence[int], title: str) -> TextTable:
    """The table of some lines: a block per metric, and one per metric for RI where a baseline is among the lines."""
    names = [f"{TRIVIAL_MARK}{line.name}" if line.trivial else line.name for line in lines]
    baselines = [_baseline(line, lines) for line in lines]
    blocks, gains_by_metric, records = [], [], []
    for metric in METRICS:
        cells = [_ranked_cells(lines, metric, number) for number in known]
        gains = [_gains(lines, baselines, metric, number) for number in known]
        blocks.append(_block(metric, names, [list(map(estimate_cell, column)) for column in cells]))
        gains_by_metric.append(gains)
        records += [
            {
                "known": number,
                "row": line.name,
                "trivial": line.trivial,
                "metric": metric,
                **cell_numbers(cell_column[position]),
                **improvement_numbers(gain_column[position]),
                "seeds": list(line.row.seeds),
            }
            for number, cell_column, gain_column in zip(known, cells, gains, strict=True)
            for position, line in enumerate(lines)
        ]
    head, notes = ("known", *map(str, known)), tuple(_notes(lines, known, baselines))
    gains_shown = gains_by_metric if any(baselines) else []
    wide = (*blocks, *_gain_blocks(names, gains_shown, improvement_text)), notes
    narrow = (*blocks, *_gain_blocks(names, gains_shown, short_improvement_text)), tuple(map(_short_note, notes))
    detailed = (*(note.replace("|", "/") for note in notes), DETAILS_LEGEND)
    return TextTable(title, head, *wide, records, detailed, layouts=(Layout(head, *wide), Layout(head, *narrow)))


def _gain_blocks(
    names: Sequence[str],
    gains_by_metric: Sequence[Sequence[Sequence[Improvement | None]]],
    text_of: Callable[[Improvement | None], str],
) -> list[TextBlock]:
    """The blocks of RI, one for each metric.

    Args:
        names: of the lines.
        gains_by_metric: for each metric and column, the improvements of the lines; empty for no blocks.
        text_of: an improvement's text.
    """

    def cells(column: Sequence[Improvement | None]) -> list[TextCell]:
        return [improvement_cell(gain, text_of(gain)) for gain in column]

    return [
        _block(f"RI {metric} %", names, [cells(column) for column in columns])
        for metric, columns in zip(METRICS, gains_by_metric, strict=False)
    ]


def _short_note(note: str) -> str:
    """A note for a table with short marks of p."""
    return note.replace(NOT_SIGNIFICANT, STARS).replace(EQUIVALENCE_NOTE, STACKED_TEXTS[EQUIVALENCE_NOTE])


def _baseline(line: WarmUpLine, lines: Sequence[WarmUpLine]) -> WarmUpLine | None:
    """The line of the same ranker without a method, with the seeds of this line, if it is in the table and has them."""
    config = line.row.config
    if config.cold_start == "none":
        return None
    wanted = cell_of(config.baseline())
    for other in lines:
        by_seed = dict(zip(other.row.seeds, other.by_seed, strict=True))
        if cell_of(other.row.config) == wanted and by_seed.keys() >= set(line.row.seeds):
            return replace(other, by_seed=tuple(by_seed[seed] for seed in line.row.seeds))
    return None


def _ranked_cells(lines: Sequence[WarmUpLine], metric: str, known: int) -> list[MetricCell]:
    """One column of a block."""
    values = [line.values(metric, known) for line in lines]
    cells = [MetricCell(None if numbers is None else estimate(numbers)) for numbers in values]
    return compare_cells(cells, [line.row for line in lines], direction=1)


def _gains(
    lines: Sequence[WarmUpLine], baselines: Sequence[WarmUpLine | None], metric: str, known: int
) -> list[Improvement | None]:
    """The improvements in one column, Holm-corrected; None without a baseline."""

    def gain(line: WarmUpLine, baseline: WarmUpLine | None) -> Improvement | None:
        own, base = line.values(metric, known), baseline.values(metric, known) if baseline else None
        return improvement_if_defined(base, own)

    return holm([gain(*pair) for pair in zip(lines, baselines, strict=True)])


def _block(title: str, names: Sequence[str], columns: Sequence[Sequence[TextCell]]) -> TextBlock:
    """A block of lines from its columns; lines without any text, such as the RI of a baseline, are left out."""
    lines = zip(names, zip(*columns, strict=True), strict=True)
    return TextBlock(title, [[TextCell(name), *cells] for name, cells in lines if any(cell.text for cell in cells)])


def _notes(lines: Sequence[WarmUpLine], known: Sequence[int], baselines: Sequence[WarmUpLine | None]) -> list[str]:
    """What the reader of any number in the table must know."""
    rows = [line.row for line in lines]
    several_seeds = any(len(row.seeds) > 1 for row in rows)
    warm_ups = [warm_up for line in lines for warm_up in line.by_seed]
    shares = {number: float(np.mean([warm_up.reached[number] for warm_up in warm_ups])) for number in known}
    notes = [
        data_note(rows),
        f"settings: {settings_note([row.config for row in rows])}",
        INTERVAL_NOTE if several_seeds else ONE_SEED,
        "known: how many of their last behaviors the drawn new users have back; an id that the protocol hides stays "
        "hidden; the same impressions in every column, without users who have no behavior in the raw data",
        "share of these impressions whose user has as many behaviors (the others show all they have): "
        + ", ".join(f"{number}: {share:.0%}" for number, share in shares.items()),
    ]
    notes += [*epoch_notes(rows), *other_seeds_note(rows)]
    if any(line.trivial for line in lines):
        notes.append(TRIVIAL_NOTE + "; they read no behavior of new users, so their columns are equal")
    if any(baselines):
        notes.append(RI_NOTE)
    if any(baselines) and several_seeds:
        notes += [
            "p: two-sided t-test, paired by seed, Holm-corrected over the rows of a block, not over columns; "
            + NOT_SIGNIFICANT,
            EQUIVALENCE_NOTE,
        ]
    without = [
        line.name
        for line, baseline in zip(lines, baselines, strict=True)
        if baseline is None and line.row.config.cold_start != "none"
    ]
    if without:
        notes.append(f"no RI of {listed(without)}: no row has the ranker alone with the same settings and seeds")
    return notes
