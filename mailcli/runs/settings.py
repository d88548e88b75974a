"""The settings of a run as a flat list, options included, to tell two runs apart, or a run from the defaults."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mailcli.config import DEFAULTS, OPTION_TABLES, RunConfig, option_text, to_toml
from mailcli.runs.folder import CONFIG, RunFolder
from mailcli.settings.option_defaults import default_tables
from mailcli.utils.parsing import read_toml

#: The keys of config.toml for the options of a ranker and a method that are set, and for the defaults of the others.
_TABLES = {table: key for key, own in OPTION_TABLES.items() for table in (own, f"{key}{DEFAULTS}")}


def recorded_settings(run: RunFolder) -> dict[str, str]:
    """All of a run's config.toml: settings, options whether set or not, and the SHA-256 of dataset and outside code."""
    return _flat(read_toml(run.folder / CONFIG))


def other_than_default(config: RunConfig) -> dict[str, str]:
    """The settings of a config that differ from those of its cell on its dataset, and the options that are set."""
    own = _flat({**to_toml(config), **default_tables(config)})
    plain = RunConfig(config.data, config.ranker, config.cold_start, config.seed, config.protocol)
    default = _flat({**to_toml(plain), **default_tables(plain)})
    return {key: text for key, text in own.items() if default.get(key) != text}


def _flat(settings: Mapping[str, Any]) -> dict[str, str]:
    """`{"epochs": "50", "ranker.units": "512,256"}`, as --set takes them."""
    plain = {key: str(value) for key, value in settings.items() if key not in _TABLES}
    # Options that are set, and the defaults of the others.
    options = {
        f"{owner}.{name}": option_text(value)
        for table, owner in _TABLES.items()
        for name, value in settings.get(table, {}).items()
    }
    return {**plain, **options}
