"""`mail settings`: settings with their defaults, ranges and meanings as a table."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from mailcli.reporting.text_table import TextTable, text_block
from mailcli.settings.reference import Setting

_HEAD = ("setting", "default", "meaning")
_NOTES = (
    "for --set KEY=VALUE, a --config file, and the table [settings] of an experiment",
    "(ours): a default that we chose",
    "other defaults are from MAIL's paper or published code, or the method's paper",
)


def settings_table(settings: Sequence[Setting]) -> TextTable:
    """A block for the settings of every run, and one for each ranker and method."""
    by_owner = groupby(settings, key=lambda setting: setting.owner)
    blocks = [
        text_block(owner or "every run", [[line.key, line.default, f"{line.meaning} {_range(line)}"] for line in group])
        for owner, group in by_owner
    ]
    records = [setting._asdict() for setting in settings]
    return TextTable("Settings", _HEAD, tuple(blocks), _NOTES, records, wraps=True)


def _range(setting: Setting) -> str:
    """What the setting may be, after its meaning."""
    return f"[{setting.values}]"
