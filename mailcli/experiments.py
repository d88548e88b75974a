"""Cells x seeds -> runs -> results: what is finished is reused, what is missing is trained."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mailcli.config import RunConfig
from mailcli.errors import MailError
from mailcli.quiet import load_tensorflow
from mailcli.runs import Run, baseline_of, check_unchanged, claim
from mailcli.store import Store, find

Result = dict[str, Any]


@dataclass(frozen=True)
class Row:
    """One row of a table: a cell with its results and those of its baseline, both in the order of the seeds."""

    config: RunConfig
    seeds: tuple[int, ...]
    results: tuple[Result, ...]
    baseline: tuple[Result, ...] | None
    """None where the cell is a baseline itself, or its baseline has not been run."""


def ensure(config: RunConfig, store: Store, runs: Path) -> Run:
    """The finished run of a config, trained if need be."""
    run = claim(runs, config, store)
    if run.result is None:
        # TensorFlow takes seconds to import, and a table of finished runs does not need it.
        load_tensorflow()
        from mailcli.model import is_two_stage
        from mailcli.training import train

        train(run, store, ensure(config.baseline(), store, runs) if is_two_stage(config) else None)
    return run


def make_rows(configs: Iterable[RunConfig], seeds: Iterable[int], store: Store, runs: Path) -> list[Row]:
    """Rows for cells, each with its baseline: the same ranker alone with the same seed, hence the same draw."""
    seeds, configs = tuple(seeds), list(configs)
    _check_all(configs, seeds[0], store, runs)
    rows = []
    for config in configs:
        with_seed = [replace(config, seed=seed) for seed in seeds]
        paired = config.cold_start != "none"
        baseline = tuple(_result(c.baseline(), store, runs) for c in with_seed) if paired else None
        rows.append(Row(config, seeds, tuple(_result(c, store, runs) for c in with_seed), baseline))
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


def rescore(runs: Iterable[Run], data_dir: Path) -> list[list[Row]]:
    """Finished runs, their test split scored anew: a list of rows for each dataset, protocol and shared settings.

    Runs that differ by the seed alone share a row. A baseline comes from its own run's result.json.

    Raises:
        MailError: a dataset is missing, or has changed since the run.
    """
    load_tensorflow()
    from mailcli.training import evaluate

    tables: dict[str, dict[str, list[tuple[Run, Result]]]] = {}
    seen: dict[str, Run] = {}
    for run in runs:
        first = seen.setdefault(repr(run.config), run).folder
        if first.resolve() != run.folder.resolve():
            raise MailError(f"{first} and {run.folder} are runs of the same settings and seed. Give one of them.")
    for run in seen.values():
        store = find(data_dir, run.config.data)
        check_unchanged(run, store)
        result = {**(run.result or {}), "test": evaluate(run, store)}
        shared = replace(run.config.baseline(), ranker="", ranker_options={}, seed=0)
        table = tables.setdefault(repr(shared), {})
        table.setdefault(repr(replace(run.config, seed=0)), []).append((run, result))
    return [[_row(scored) for scored in table.values()] for table in tables.values()]


def _row(scored: list[tuple[Run, Result]]) -> Row:
    baselines = [baseline_of(run) for run, _ in scored]
    paired = tuple(b for b in baselines if b is not None)
    return Row(
        scored[0][0].config,
        tuple(run.config.seed for run, _ in scored),
        tuple(result for _, result in scored),
        paired if len(paired) == len(scored) else None,
    )


def _result(config: RunConfig, store: Store, runs: Path) -> Result:
    result = ensure(config, store, runs).result
    assert result is not None
    return result
