"""Cells x seeds -> runs -> results: what is finished is reused, what is missing is trained."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mailcli.config import RunConfig
from mailcli.quiet import load_tensorflow
from mailcli.runs import Run, claim
from mailcli.store import Store

Result = dict[str, Any]


@dataclass(frozen=True)
class Row:
    """One row of a table: a cell with its results and those of its baseline, both in the order of the seeds."""

    config: RunConfig
    seeds: tuple[int, ...]
    results: tuple[Result, ...]
    baseline: tuple[Result, ...] | None
    """None where the cell is a baseline itself, or its baseline has not been run."""


def ensure(config: RunConfig, store: Store, runs: Path, minutes: float | None = None) -> Run:
    """The finished run of a config, trained if need be; `minutes` between checkpoints, None for the default."""
    run = claim(runs, config, store)
    if run.result is None:
        # TensorFlow takes seconds to import, and a table of finished runs does not need it.
        load_tensorflow()
        from mailcli.model import is_two_stage
        from mailcli.training import CHECKPOINT_MINUTES, train

        baseline = ensure(config.baseline(), store, runs, minutes) if is_two_stage(config) else None
        train(run, store, baseline, CHECKPOINT_MINUTES if minutes is None else minutes)
    return run


def make_rows(
    configs: Iterable[RunConfig], seeds: Iterable[int], store: Store, runs: Path, minutes: float | None = None
) -> list[Row]:
    """Rows for cells, each with its baseline: the same ranker alone with the same seed, hence the same draw.

    Args:
        configs: the cells, with any seed.
        seeds: those of the rows.
        store: the dataset.
        runs: folder of the runs.
        minutes: between two checkpoints of a training; None for the default.
    """
    seeds, configs = tuple(seeds), list(configs)
    _check_all(configs, seeds[0], store, runs)
    rows = []
    for config in configs:
        with_seed = [replace(config, seed=seed) for seed in seeds]
        paired = config.cold_start != "none"
        baseline = tuple(_result(c.baseline(), store, runs, minutes) for c in with_seed) if paired else None
        rows.append(Row(config, seeds, tuple(_result(c, store, runs, minutes) for c in with_seed), baseline))
    return rows


def _check_all(configs: Iterable[RunConfig], seed: int, store: Store, runs: Path) -> None:
    """Make each model that is yet to be trained once, so that what cannot be made is told before hours of training."""
    first = (replace(config, seed=seed) for config in configs)
    every = {repr(config): config for each in first for config in (each.baseline(), each)}
    missing = [config for config in every.values() if claim(runs, config, store).result is None]
    if missing:
        load_tensorflow()
        from mailcli.training import check

        for config in missing:
            check(config, store)


def _result(config: RunConfig, store: Store, runs: Path, minutes: float | None) -> Result:
    result = ensure(config, store, runs, minutes).result
    assert result is not None
    return result
