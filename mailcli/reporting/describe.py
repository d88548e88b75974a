"""What a dataset holds, and which models there are: `mail describe` and `mail models`."""

from __future__ import annotations

import click
import numpy as np
from rich.console import Console, Group, RenderableType
from rich.table import Table

from mailcli import plugins
from mailcli.data.dataset import Dataset
from mailcli.data.schema import SPLITS
from mailcli.escape import terminal

#: Columns of text; all others hold numbers.
_LEFT_ALIGNED = {"note", "group", "vocabulary", "name", "what it is"}
#: Columns of a terminal table that is piped or redirected (ours: wide enough for every table).
_PIPE_WIDTH = 160


def describe(dataset: Dataset) -> Group:
    """Tables, fields, vocabularies, history lengths, CTR and naturally new users of a dataset."""
    manifest = dataset.manifest
    lines = [f"{dataset.label}: source {manifest['source']}, format {manifest['format']}, n_v {dataset.history}"]
    if dataset.simulation:
        settings = ", ".join(
            f"{key} {value:.6g}" if isinstance(value, int | float) else f"{key} {value}"
            for key, value in dataset.simulation.items()
        )
        lines.append(f"simulated: {settings}")
    return Group(*map(terminal, lines), _splits(dataset), _tables(dataset), _fields(dataset), _histories(dataset))


def _splits(dataset: Dataset) -> Table:
    counts = dataset.counts
    table = _table("split", "impressions", "clicks", "CTR", "users", "without history")
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
    table = _table("table", "rows", "note")
    users_note = (
        f"{counts['users_without_profile']:,} without profile; {counts['users_without_history']:,} naturally new "
        "(no visible behavior)"
    )
    table.add_row("users", f"{counts['users']:,}", users_note)
    table.add_row("items", f"{counts['items']:,}", f"{counts['items_without_features']:,} without features")
    _add_names(table, "behaviors", f"{counts['behaviors']:,}", f"actions: {', '.join(dataset.schema.actions)}")
    return table


def _fields(dataset: Dataset) -> Table:
    table = _table("field", "group", "vocabulary", "ids (with padding, unknown)")
    for field in dataset.schema.fields:
        several = f", up to {field.values} values" if field.values > 1 else ""
        size = dataset.vocabulary_sizes[field.vocabulary]
        _add_names(table, field.name, field.group + several, field.vocabulary, f"{size:,}")
    for name in dataset.schema.dense:
        _add_names(table, name, "target, a number", "", "")
    return table


def _histories(dataset: Dataset) -> Table:
    """Quantiles of the history length that training impressions see."""
    lengths = np.minimum(dataset.earlier_behaviors("train"), dataset.history)
    table = _table("history length in train", *(f"{q}%" for q in (0, 25, 50, 75, 100)), "mean")
    quantiles = np.quantile(lengths, (0, 0.25, 0.5, 0.75, 1))
    table.add_row("", *(f"{quantile:.0f}" for quantile in quantiles), f"{lengths.mean():.1f}")
    return table


def _table(*columns: str) -> Table:
    table = Table(show_edge=False, pad_edge=False)
    for number, name in enumerate(columns):
        table.add_column(name, justify="left" if number == 0 or name in _LEFT_ALIGNED else "right")
    return table


def _add_names(table: Table, *cells: str) -> None:
    """Add a row with names that a user chose."""
    table.add_row(*map(terminal, cells))


def print_description(dataset: Dataset) -> None:
    """Print the description to stdout."""
    _print(describe(dataset))


def print_models() -> None:
    """Print all rankers, cold-start methods and trivial rows, each with a line that says what it is and its source."""
    table = _table("", "name", "what it is")
    for kind in (plugins.RANKERS, plugins.COLD_STARTS, plugins.TRIVIAL_ROWS):
        for number, (name, summary) in enumerate(plugins.summaries(kind).items()):
            _add_names(table, kind.title if number == 0 else "", name, summary.rstrip("."))
        table.add_section()
    _print(table)


def _print(text: RenderableType) -> None:
    console = Console(highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console.width = _PIPE_WIDTH
    with console.capture() as captured:
        console.print(text)
    # Rich would end the process without a word if the program that reads stdout has ended.
    click.echo(captured.get(), nl=False)
