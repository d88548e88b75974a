"""The tables of a grid of simulated worlds: where generated behavior helps a ranker, and where any behavior could."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mailcli.data.display_name import worlds_name
from mailcli.errors import counted
from mailcli.reporting.best_epochs import best_epochs, still_improving
from mailcli.reporting.captions import EQUIVALENCE_NOTE, ONE_SEED, SEEDS_NOTE, protocol_text, settings_note
from mailcli.reporting.cell_texts import improvement_cell, improvement_text
from mailcli.reporting.map_means import MEANS_NOTE, means_table
from mailcli.reporting.result_layout import improvement_numbers
from mailcli.reporting.text_table import TextBlock, TextCell, TextTable, unsigned
from mailcli.reporting.worlds import (
    MATTERS_FROM,
    MapBlock,
    MapLine,
    WorldRows,
    initials,
    map_blocks,
    varying,
    world_name,
)

_P_NOTE = "map, p: two-sided t-test, paired by seed, Holm-corrected over the worlds of a block"
_COLUMNS_NOTE = (
    "map: AUC of new users; v̂: with generated behavior; RI: its relative improvement over the ranker, same seed; "
    "audit: only new users who have behavior, ranked without any, with v̂ and with their own, by the same weights"
)
_MATTERS_NOTE = (
    f"behavior matters: AUC with real v is at least {MATTERS_FROM:g} above v = 0; elsewhere behavior is worth little"
)
_AUDIT_COLUMNS = ("audit: v = 0", "audit: v̂", "audit: real v")
#: The notes that explain columns, and are the same under every map.
MAP_LEGENDS = (_COLUMNS_NOTE, _MATTERS_NOTE, _P_NOTE, MEANS_NOTE)


def map_tables(worlds: Sequence[WorldRows], title: str) -> list[TextTable]:
    """The means over worlds that share a setting, a table of all worlds for each row, and the means by two settings.

    The rows are those that are trained with generated behavior. The first table has the title; that of a row begins
    with its name.

    Args:
        worlds: as for `map_blocks`, simulated, under one protocol, with the same seeds.
        title: of the experiment.
    """
    blocks, shown = map_blocks(worlds), varying(worlds)
    data, has_intervals = _data_note(worlds), len(worlds[0].rows[0].seeds) > 1
    trivial = list(blocks[0].lines[0].trivial)
    methods = list(dict.fromkeys(name for block in blocks for name in block.lines[0].methods))
    notes = [data, *_notes(worlds, shown), *map(verdict, blocks), *_epoch_notes(worlds)]
    of_rows = [
        data,
        _COLUMNS_NOTE,
        _MATTERS_NOTE,
        *([SEEDS_NOTE, _P_NOTE, EQUIVALENCE_NOTE] if has_intervals else [ONE_SEED]),
    ]
    return [
        means_table(blocks, shown, 1, title, notes),
        *(
            TextTable(
                f"{block_title(block)}: {title}",
                ("", *trivial, "ranker", *methods, "v̂", "RI AUC %", *_AUDIT_COLUMNS, "behavior matters"),
                (TextBlock("", [_cells(line, shown, trivial, methods) for line in block.lines]),),
                (*of_rows, verdict(block)),
                [_record(block, line, shown) for line in block.lines],
            )
            for block in blocks
        ),
        *([means_table(blocks, shown, 2, f"By two settings: {title}", [data])] if len(shown) > 1 else []),
    ]


def block_title(block: MapBlock) -> str:
    """`MAIL-Base against BaseDNN`."""
    return f"{block.name} against {block.ranker}"


def _cells(line: MapLine, shown: Sequence[str], trivial: Sequence[str], methods: Sequence[str]) -> list[TextCell]:
    """In the order of the head."""
    columns = [
        *(line.trivial[name] for name in trivial),
        line.ranker,
        *(line.methods.get(name) for name in methods),
        line.generated,
    ]
    audited = [line.no_behavior, line.audited, line.real]
    name = world_name({key: line.settings[key] for key in shown})
    gain = improvement_cell(line.improvement, improvement_text(line.improvement) or "-")
    before, after = [name, *map(unsigned, columns)], [*map(unsigned, audited), _matters(line)]
    return [*map(TextCell, before), gain, *map(TextCell, after)]


def _matters(line: MapLine) -> str:
    if line.real is None or line.no_behavior is None:
        return "not measured"
    return "yes" if line.behavior_matters else "no"


def _data_note(worlds: Sequence[WorldRows]) -> str:
    first = worlds[0].rows[0]
    seeds = ", ".join(map(str, first.seeds))
    return f"data {worlds_name(len(worlds))} | {protocol_text(first.config)} | seeds {seeds}"


def _notes(worlds: Sequence[WorldRows], shown: Sequence[str]) -> list[str]:
    names = ", ".join(f"{initials(name)} = {name}" for name in shown)
    return [f"worlds: {names}", f"settings: {settings_note([row.config for row in worlds[0].rows])}"]


def verdict(block: MapBlock) -> str:
    """In how many worlds the row is better or worse; significantly, with several seeds."""
    several_seeds = any(line.improvement and line.improvement.half_width is not None for line in block.lines)
    significantly = "significantly " if several_seeds else ""
    mattering = [line for line in block.lines if line.behavior_matters]
    better, worse = _better_and_worse(block.lines, several_seeds)
    better_there, worse_there = _better_and_worse(mattering, several_seeds)
    return (
        f"{block_title(block)}: {significantly}better in {better}, worse in {worse} of "
        f"{counted(len(block.lines), 'world')}; in {better_there} and {worse_there} of the {len(mattering)} where "
        "behavior matters"
    )


def _better_and_worse(lines: Sequence[MapLine], significantly: bool) -> tuple[int, int]:
    """In how many worlds RI is above 0, and below."""
    gains = [line.improvement for line in lines if line.improvement]
    counted_gains = [gain.mean for gain in gains if gain.significant or not significantly]
    return sum(gain > 0 for gain in counted_gains), sum(gain < 0 for gain in counted_gains)


def _epoch_notes(worlds: Sequence[WorldRows]) -> list[str]:
    """A warning if runs have ended at the cap of epochs while they were still improving."""
    rows = [epochs for world in worlds for row in world.rows if (epochs := best_epochs(row)) is not None]
    improving, runs = sum(epochs.improving for epochs in rows), sum(len(epochs.by_seed) for epochs in rows)
    if not improving:
        return []
    return [still_improving(f"{improving} of {runs} runs were best at the last epoch that they may have")]


def _record(block: MapBlock, line: MapLine, shown: Sequence[str]) -> dict[str, Any]:
    """A line for programs; each AUC is under what new users are ranked with."""
    # With a kind before each name, which is anything that an experiment's file calls its rows.
    aucs = {
        **{f"trivial {name}": auc for name, auc in line.trivial.items()},
        "ranker": line.ranker,
        **{f"method {name}": auc for name, auc in line.methods.items()},
        "v̂": line.generated,
        **dict(zip(_AUDIT_COLUMNS, (line.no_behavior, line.audited, line.real), strict=True)),
    }
    return {
        "users": "new",
        "row": block.name,
        "against": block.ranker,
        "metric": "AUC",
        "world": world_name({key: line.settings[key] for key in shown}),
        **{f"setting {key}": line.settings[key] for key in shown},
        **{f"AUC {name}": auc for name, auc in aucs.items()},
        **improvement_numbers(line.improvement),
        "behavior_matters": line.behavior_matters,
    }
