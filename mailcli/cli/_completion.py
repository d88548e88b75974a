"""What the shell offers after TAB: names of rankers, methods, datasets, settings and runs.

The user waits for them: TensorFlow is never imported.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import click
from click.shell_completion import CompletionItem

from mailcli import plugins

Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def offer(names: Callable[[], Mapping[str, str] | Iterable[str]]) -> Complete:
    """Offers names that begin with what was typed, each with its meaning in shells that show it.

    Args:
        names: returns them, with their meanings by name if they have any; called when they are needed.
    """

    def complete(ctx: click.Context, param: click.Parameter, typed: str) -> list[CompletionItem]:
        del ctx, param
        known = names()
        meanings = known if isinstance(known, Mapping) else dict.fromkeys(known, "")
        return [CompletionItem(name, help=text or None) for name, text in meanings.items() if name.startswith(typed)]

    return complete


def offer_list(names: Callable[[], Iterable[str]]) -> Complete:
    """The same for the last of several names that are separated by commas."""

    def complete(ctx: click.Context, param: click.Parameter, typed: str) -> list[CompletionItem]:
        del ctx, param
        before, comma, last = typed.rpartition(",")
        return [CompletionItem(f"{before}{comma}{name}") for name in names() if name.startswith(last)]

    return complete


def plugin_names(*kinds: plugins.PluginKind) -> Complete:
    """Offers the built-in plugins of some kinds, with the lines of `mail models`."""
    return offer(lambda: {name: text for kind in kinds for name, text in plugins.summaries(kind).items()})


def complete_datasets(ctx: click.Context, param: click.Parameter, typed: str) -> list[CompletionItem]:
    """Offers the datasets of --data-dir."""
    from mailcli.data.dataset import dataset_names

    return offer(lambda: dataset_names(_folder(ctx, "data_dir", "data")))(ctx, param, typed)


def complete_runs(ctx: click.Context, param: click.Parameter, typed: str) -> list[CompletionItem]:
    """Offers the runs below --runs, or folders where what was typed begins none of them."""
    from mailcli.runs.run_folders import run_folders

    folders = run_folders(_folder(ctx, "runs", "runs"))
    return offer(lambda: map(str, folders))(ctx, param, typed) or [CompletionItem(typed, type="dir")]


def setting_names() -> Iterable[str]:
    """What `mail settings NAME` takes."""
    from mailcli.settings.reference import all_settings

    return dict.fromkeys(setting.key for setting in all_settings())


def setting_assignments() -> Iterable[str]:
    """What `--set` takes, up to the value."""
    return [f"{key}=" for key in setting_names()]


def row_names() -> Iterable[str]:
    """The rows of a table: the paper's names, and trivial rows."""
    from mailcli.reporting.paper import ROWS

    return [*ROWS, *plugins.names(plugins.TRIVIAL_ROWS)]


def _folder(ctx: click.Context, name: str, default: str) -> Path:
    """A folder's option, if it was typed before."""
    given = ctx.params.get(name)
    return given if isinstance(given, Path) else Path(default)
