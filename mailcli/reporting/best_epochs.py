"""The best epochs of a row's runs, and whether training ended while they were still improving."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mailcli.reporting.rows import Result, Row, listed

#: Seeds whose best epochs a note lists (ours: one of many rows stays readable); of more, the earliest and the latest.
MOST_LISTED = 5


@dataclass(frozen=True)
class BestEpochs:
    """The epochs of a row."""

    by_seed: tuple[int, ...]
    cap: int
    """The setting `epochs`, the last epoch that there may be."""
    improving: int
    """The number of seeds that reached the cap before `patience` validations without a better one: more epochs might
    help."""


def best_epochs(row: Row) -> BestEpochs | None:
    """The best epoch of each seed; None if a result has none, such as that of a row which is not trained by epochs."""
    epochs: list[Any] = [result.get("best_epoch") for result in row.results]
    if not epochs or None in epochs:
        return None
    improving = sum(_ended_improving(result, row.config.epochs, row.config.patience) for result in row.results)
    return BestEpochs(tuple(epochs), row.config.epochs, improving)


def _ended_improving(result: Result, cap: int, patience: int) -> bool:
    """Whether training reached the epoch limit while validation was still improving.

    False for a two-stage method, which has the best epoch of its ranker: the ranker's row has the curve.
    """
    curve = result.get("curve")
    if not curve:
        return False
    later_validations = [point for point in curve if point["step"] > result["best_step"]]
    return result["best_epoch"] >= cap and len(later_validations) < patience


def epoch_notes(rows: Sequence[Row]) -> list[str]:
    """The notes under a table: every row's best epochs next to the cap, and a warning where more might be better."""
    # By config, since two rows may share a label; and once where a table compares a row with several others.
    distinct = {row.config.key: row for row in rows}.values()
    labeled = [(row.label, epochs) for row in distinct if (epochs := best_epochs(row)) is not None]
    if not labeled:
        return []
    texts = "; ".join(f"{label} {_text(epochs)}" for label, epochs in labeled)
    return [f"best epoch by validation AUC: {texts}", *_warnings(labeled)]


def still_improving(what: str) -> str:
    """The warning that some runs were stopped by the setting `epochs`."""
    return f"still improving: {what}; not trained to the end, so raise the setting epochs before comparing"


def _text(epochs: BestEpochs) -> str:
    """`2, 1, 2 of 2` by seed, `1 to 9 of 10` for many seeds, or `2 of 2` for all."""
    least, most = min(epochs.by_seed), max(epochs.by_seed)
    if least == most:
        numbers = f"{least}"
    elif len(epochs.by_seed) > MOST_LISTED:
        numbers = f"{least} to {most}"
    else:
        numbers = ", ".join(map(str, epochs.by_seed))
    return f"{numbers} of {epochs.cap}"


def _warnings(labeled: Sequence[tuple[str, BestEpochs]]) -> list[str]:
    """A warning for each cap that some rows have reached."""
    warnings = []
    for cap in sorted({epochs.cap for _, epochs in labeled if epochs.improving}):
        reached = [
            label + ("" if epochs.improving == len(epochs.by_seed) else f" ({epochs.improving} of its seeds)")
            for label, epochs in labeled
            if epochs.improving and epochs.cap == cap
        ]
        warnings.append(still_improving(f"best epoch {cap} of {cap} in {listed(reached)}"))
    return warnings
