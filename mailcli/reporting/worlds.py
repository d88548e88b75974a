"""What generated behavior adds to a ranker in some simulated worlds: the numbers of the map, before any form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from mailcli import plugins
from mailcli.config import Options
from mailcli.metrics.auc import relative_improvement
from mailcli.metrics.statistics import Improvement, estimate, holm, improvement_if_defined
from mailcli.reporting.audits import mean_audit
from mailcli.reporting.paper import row_label
from mailcli.reporting.rows import Row, metric_by_seed
from mailcli.settings.class_code import trains_on_generated_behavior

#: By how much the AUC with real behavior must exceed the AUC without any, for a world to count (ours): elsewhere a
#: user's own behavior says little about clicks.
MATTERS_FROM = 0.05
#: Tolerance for rounding: a difference of AUC this far below the bound still counts as at the bound.
_ROUNDING = 1e-9


class WorldRows(NamedTuple):
    """A simulated world and the rows of its table."""

    settings: Options
    """All settings of the simulator."""
    rows: Sequence[Row]


@dataclass(frozen=True)
class MapLine:
    """The mean AUC of new users in one world, by what they are ranked with; None where it was not measured."""

    settings: Options
    trivial: dict[str, float | None]
    """By the name of the row."""
    ranker: float | None
    """Of the ranker without a method."""
    methods: dict[str, float | None]
    """Of the ranker with methods that have no block of their own, by the name of the method."""
    generated: float | None
    """Of the block's row: with generated behavior."""
    no_behavior: float | None
    """With v = 0 and the weights of the row's runs; only new users who have behavior (audit)."""
    audited: float | None
    """With their v̂, the same weights and users."""
    real: float | None
    """With their real v, the same weights and users."""
    improvement: Improvement | None
    """RI of the row over the ranker; p is Holm-corrected over the worlds."""
    ri_by_seed: tuple[float, ...]
    """The same in percent, by seed; empty where it was not measured."""

    @property
    def behavior_matters(self) -> bool:
        """Whether real behavior is worth enough to the ranker that generated behavior could help."""
        if self.real is None or self.no_behavior is None:
            return False
        return self.real - self.no_behavior >= MATTERS_FROM - _ROUNDING


class MapBlock(NamedTuple):
    """All worlds of one row."""

    name: str
    """Of the row, e.g. MAIL-Base."""
    ranker: str
    """The name of its ranker's row without a method, e.g. BaseDNN."""
    lines: Sequence[MapLine]


def varying(worlds: Sequence[WorldRows]) -> list[str]:
    """The settings that not all worlds share; `attribute_strength` if they share all."""
    names = worlds[0].settings
    differ = [name for name in names if len({world.settings[name] for world in worlds}) > 1]
    return differ or ["attribute_strength"]


def world_name(settings: Options) -> str:
    """`as0.5-bpu20`: each setting by the first letters of its words, and its value; part of the dataset's name."""
    return "-".join(f"{initials(name)}{value_text(value)}" for name, value in settings.items())


def initials(name: str) -> str:
    """`bpu` for behaviors_per_user."""
    return "".join(word[0] for word in name.split("_"))


def value_text(value: float) -> str:
    """`0.5`, `20`, `1` for True."""
    return str(int(value)) if value == int(value) else str(value)


def map_blocks(worlds: Sequence[WorldRows]) -> list[MapBlock]:
    """A block for each row whose ranker is trained with generated behavior.

    Args:
        worlds: one or more, which have the same rows in the same order; one row or more has a block, and its baseline.
    """
    rows = worlds[0].rows
    numbers = [number for number, row in enumerate(rows) if trains_on_generated_behavior(row.config.cold_start)]
    return [_block(worlds, number) for number in numbers]


def _block(worlds: Sequence[WorldRows], number: int) -> MapBlock:
    """The block of the row at a place."""
    row = worlds[0].rows[number]
    lines = [_line(world, world.rows[number]) for world in worlds]
    corrected = holm([line.improvement for line in lines])
    lines = [replace(line, improvement=value) for line, value in zip(lines, corrected, strict=True)]
    baselines = [other.label for other in worlds[0].rows if other.config == row.config.baseline()]
    return MapBlock(row.label, baselines[0] if baselines else row_label(row.config.baseline()), lines)


def _line(world: WorldRows, row: Row) -> MapLine:
    baseline = metric_by_seed(row.baseline or (), "new", "AUC")
    own = metric_by_seed(row.results, "new", "AUC")
    audits = [result["audit"] for result in row.results if "audit" in result]
    ri = improvement_if_defined(baseline, own)
    values = mean_audit(audits).values if len(audits) == len(row.results) else None
    none, generated, real = (float(values[source][0]) if values else None for source in ("none", "own", "real"))
    ranker = (row.config.ranker, row.config.ranker_options)
    same_ranker = [other for other in world.rows if (other.config.ranker, other.config.ranker_options) == ranker]
    return MapLine(
        world.settings,
        {other.label: _mean(other) for other in world.rows if plugins.is_trivial(other.config.ranker)},
        estimate(baseline).mean if baseline else None,
        {_method(other): _mean(other) for other in same_ranker if _is_only_compared(other)},
        estimate(own).mean if own else None,
        none,
        generated,
        real,
        ri,
        tuple(map(relative_improvement, baseline or (), own or ())) if ri else (),
    )


def _is_only_compared(row: Row) -> bool:
    """Whether a row has a method, but no block."""
    return row.config.cold_start != "none" and not trains_on_generated_behavior(row.config.cold_start)


def _mean(row: Row) -> float | None:
    aucs = metric_by_seed(row.results, "new", "AUC")
    return estimate(aucs).mean if aucs else None


def _method(row: Row) -> str:
    """`masked` for base+masked: the ranker is that of the block."""
    return row.label.removeprefix(f"{row.config.ranker}+")
