"""What a dataset holds, as `mail describe` prints it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from rich.console import Console, Group
from rich.table import Table

from mailcli import plugins
from mailcli.data.dataset import Dataset
from mailcli.data.schema import SPLITS


def describe(dataset: Dataset) -> Group:
    """Tables, fields, vocabularies, history lengths, CTR and naturally new users of a dataset."""
    return Group(*_blocks(dataset))


def _blocks(dataset: Dataset) -> Iterator[Table | str]:
    counts = dataset.counts
    manifest = dataset.manifest
    yield f"{dataset.label}: source {manifest['source']}, format {manifest['format']}, n_v {dataset.history}"
    if dataset.simulation:
        shown = ", ".join(
            f"{key} {value:.6g}" if isinstance(value, int | float) else f"{key} {value}"
            for key, value in dataset.simulation.items()
        )
        yield f"simulated: {shown}"
    splits = _table("split", "impressions", "clicks", "CTR", "users", "without history")
    for name in SPLITS:
        empty = (dataset.earlier_behaviors(name) == 0).mean()
        clicks = counts[f"{name}_clicks"]
        splits.add_row(
            name,
            f"{counts[name]:,}",
            f"{clicks:,}",
            f"{clicks / counts[name]:.2%}",
            f"{len(np.unique(dataset.column(name, 'user'))):,}",
            f"{empty:.2%}",
        )
    yield splits
    tables = _table("table", "rows", "note")
    lonely = counts["users_without_history"]
    tables.add_row(
        "users",
        f"{counts['users']:,}",
        f"{counts['users_without_profile']:,} without profile; {lonely:,} naturally new (no visible behavior)",
    )
    tables.add_row("items", f"{counts['items']:,}", f"{counts['items_without_features']:,} without features")
    tables.add_row("behaviors", f"{counts['behaviors']:,}", f"actions: {', '.join(dataset.schema.actions)}")
    yield tables
    fields = _table("field", "group", "vocabulary", "ids (with padding, unknown)")
    for field in dataset.schema.fields:
        many = f", up to {field.values} values" if field.values > 1 else ""
        fields.add_row(
            field.name, field.group + many, field.vocabulary, f"{dataset.vocabulary_sizes[field.vocabulary]:,}"
        )
    for name in dataset.schema.dense:
        fields.add_row(name, "target, a number", "", "")
    yield fields
    yield _histories(dataset)


def _histories(dataset: Dataset) -> Table:
    """Quantiles of the history length that training impressions see."""
    length = np.minimum(dataset.earlier_behaviors("train"), dataset.history)
    table = _table("history length in train", *(f"{q}%" for q in (0, 25, 50, 75, 100)), "mean")
    quantiles = np.quantile(length, (0, 0.25, 0.5, 0.75, 1))
    table.add_row("", *(f"{q:.0f}" for q in quantiles), f"{length.mean():.1f}")
    return table


def _table(*columns: str) -> Table:
    table = Table(show_edge=False, pad_edge=False)
    for number, name in enumerate(columns):
        table.add_column(
            name,
            justify="left" if number == 0 or name in {"note", "group", "vocabulary", "name", "what it is"} else "right",
        )
    return table


def print_description(dataset: Dataset) -> None:
    """Print the description to stdout."""
    _console().print(describe(dataset))


def print_models() -> None:
    """Print every ranker and cold-start method, with what it is and where it comes from."""
    table = _table("", "name", "what it is")
    for kind in (plugins.RANKERS, plugins.COLD_STARTS):
        for number, (name, line) in enumerate(plugins.summaries(kind).items()):
            table.add_row(kind.title if number == 0 else "", name, line.rstrip("."))
        table.add_section()
    _console().print(table)


def _console() -> Console:
    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        console.width = 130
    return console
