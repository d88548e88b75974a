"""The settings that a name stands for: a key, an option, a ranker or method of ours or of the user's."""

from __future__ import annotations

import inspect
from collections.abc import Collection
from typing import Any

from mailcli import plugins
from mailcli.config import option_text
from mailcli.errors import MailError, did_you_mean
from mailcli.settings.reference import TYPES, Setting, all_settings, described, type_text


def settings_named(name: str) -> list[Setting]:
    """The settings of that key, the options of that name, or those of the ranker or method of that name.

    Raises:
        MailError: there is none, or `package.module:Class` cannot be imported.
    """
    if ":" in name:
        return _outside_options(name)
    settings = all_settings()
    by_name = [setting for setting in settings if name in _names(setting)]
    if by_name:
        return by_name
    kinds = (plugins.RANKERS, plugins.COLD_STARTS, plugins.TRIVIAL_ROWS)
    plugin_names = [plugin for kind in kinds for plugin in plugins.names(kind)]
    if name in plugin_names:
        raise MailError(f"'{name}' has no options. `mail settings` lists all settings.")
    known = dict.fromkeys([*(name for setting in settings for name in _names(setting)), *plugin_names])
    raise MailError(f"unknown setting '{name}'.{did_you_mean(name, known)} `mail settings` lists all.")


def _names(setting: Setting) -> Collection[str]:
    """What names a setting: its key, and for an option also the key's last part and its owner."""
    return {setting.key, setting.key.rpartition(".")[2], setting.owner.rpartition(" ")[2]} - {""}


def _outside_options(path: str) -> list[Setting]:
    """The options of an outside ranker or method, `package.module:Class`, whose code is imported for it.

    Raises:
        MailError: it cannot be imported, or has no options.
    """
    plugin = plugins.load(plugins.RANKERS, path)
    from mailcli.models.contracts import ColdStartMethod, options_of

    is_class = isinstance(plugin, type)
    is_method = is_class and issubclass(plugin, ColdStartMethod)
    title, table = ("cold-start method", "cold_start") if is_method else ("ranker", "ranker")
    defaults = options_of(plugin) if is_class else {}
    if not defaults:
        raise MailError(f"'{path}' has no options: its constructor has no keywords with defaults.")
    meanings = described(inspect.getdoc(plugin) or "")
    return [
        Setting(f"{table}.{key}", f"{title} {path}", option_text(value), _outside_type(value), meanings.get(key, "-"))
        for key, value in defaults.items()
    ]


def _outside_type(default: Any) -> str:
    """The type of an option with any default; that of None or () is in the constructor."""
    first = default[0] if isinstance(default, list | tuple) and default else default
    if type(first) not in TYPES:
        return "see its code"
    return type_text(tuple(default) if isinstance(default, list) else default)
