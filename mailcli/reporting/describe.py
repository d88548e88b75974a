"""`mail describe`: what a dataset holds."""

from __future__ import annotations

import numpy as np
from rich.console import Group
from rich.table import Table

from mailcli.data.dataset import Dataset
from mailcli.data.schema import SPLITS
from mailcli.escape import terminal
from mailcli.reporting.listing import add_names, plain_table, print_text


def describe(dataset: Dataset) -> Group:
    """Tables, fields, vocabularies, history lengths, CTR and naturally new users of a dataset."""
    manifest = dataset.manifest
    lines = [f"{dataset.display_name}: source {manifest['source']}, format {manifest['format']}, n_v {dataset.history}"]
    if dataset.simulation:
        settings = ", ".join(
            f"{key} {value:.6g}" if isinstance(value, int | float) else f"{key} {value}"
            for key, value in dataset.simulation.items()
        )
        lines.append(f"simulated: {settings}")
    return Group(*map(terminal, lines), _splits(dataset), _tables(dataset), _fields(dataset), _histories(dataset))


def _splits(dataset: Dataset) -> Table:
    counts = dataset.counts
    table = plain_table("split", "impressions", "clicks", "CTR", "users", "without history")
    for split in SPLITS:
        without_history = (dataset.earlier_behaviors(split) == 0).mean()
        clicks = counts[f"{split}_clicks"]
        table.add_row(
            split,
            f"{counts[split]:,}",
            f"{clicks:,}",
            f"{clicks / counts[split]:.2%}",
            f"{len(np.unique(dataset.column(split, 'user'))):,}",
            f"{without_history:.2%}",
        )
    return table


def _tables(dataset: Dataset) -> Table:
    counts = dataset.counts
    table = plain_table("table", "rows", "note")
    users_note = (
        f"{counts['users_without_profile']:,} without profile; {counts['users_without_history']:,} naturally new "
        "(no visible behavior)"
    )
    table.add_row("users", f"{counts['users']:,}", users_note)
    table.add_row("items", f"{counts['items']:,}", f"{counts['items_without_features']:,} without features")
    add_names(table, "behaviors", f"{counts['behaviors']:,}", f"actions: {', '.join(dataset.schema.actions)}")
    return table


def _fields(dataset: Dataset) -> Table:
    table = plain_table("field", "group", "vocabulary", "ids (with padding, unknown)")
    for field in dataset.schema.fields:
        several = f", up to {field.values} values" if field.values > 1 else ""
        size = dataset.vocabulary_sizes[field.vocabulary]
        add_names(table, field.name, field.group + several, field.vocabulary, f"{size:,}")
    for name in dataset.schema.dense:
        add_names(table, name, "target, a number", "", "")
    return table


def _histories(dataset: Dataset) -> Table:
    """Quantiles of the history length that training impressions see."""
    lengths = np.minimum(dataset.earlier_behaviors("train"), dataset.history)
    table = plain_table("history length in train", *(f"{q}%" for q in (0, 25, 50, 75, 100)), "mean")
    quantiles = np.quantile(lengths, (0, 0.25, 0.5, 0.75, 1))
    table.add_row("", *(f"{quantile:.0f}" for quantile in quantiles), f"{lengths.mean():.1f}")
    return table


def print_description(dataset: Dataset) -> None:
    """Print the description to stdout."""
    print_text(describe(dataset))
