"""Settings that several rows share: a row takes those options that its ranker or cold-start method has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from mailcli import plugins
from mailcli.config import OPTION_TABLES, Options, RunConfig
from mailcli.errors import MailError, did_you_mean
from mailcli.settings.option_defaults import known_options, may_have_option


def share(settings: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], place: str = "") -> list[Options]:
    """The settings of each row: the shared ones without the options that it does not have.

    Where the settings name a ranker or a method, as a run's config.toml does, their options belong to that one.

    Args:
        settings: what the rows share.
        rows: `ranker`, `cold_start` and `variant` of each; a missing one, or None, is that of the settings, or the
            default. A row's variant replaces the one in the settings.
        place: where the settings come from, for an error.

    Raises:
        MailError: no row has an option.

    Example:
        >>> share({"epochs": 3, "cold_start.sigma": 2}, [{}, {"cold_start": "mail"}])
        [{'epochs': 3}, {'epochs': 3, 'cold_start.sigma': 2}]
    """
    flat, configs = _with_dotted_options(settings), [_names(settings, row) for row in rows]
    owners = {kind: settings[kind] for kind in OPTION_TABLES if settings.get(kind)}
    for key in flat:
        if _kind(key) not in owners and not any(_may_have(config, key) for config in configs):
            _refuse(key, configs, f"{place}{key}: ")
    shares = [{key: value for key, value in flat.items() if _takes(config, key, owners)} for config in configs]
    for row, own in zip(rows, shares, strict=True):
        if row.get("variant"):
            own.pop("cold_start.variant", None)
    return shares


def _with_dotted_options(settings: Mapping[str, Any]) -> Options:
    """Settings with the options of tables such as `ranker_options` as `ranker.KEY`."""
    kinds = {table: kind for kind, table in OPTION_TABLES.items()}
    flat: Options = {}
    for key, value in settings.items():
        if key in kinds and isinstance(value, Mapping):
            flat |= {f"{kinds[key]}.{option}": x for option, x in value.items()}
        else:
            flat[key] = value
    return flat


def _names(settings: Mapping[str, Any], row: Mapping[str, Any]) -> RunConfig:
    """A config with only the ranker and the method of a row."""
    names = {kind: row.get(kind) or settings.get(kind) or getattr(RunConfig, kind) for kind in OPTION_TABLES}
    return RunConfig("", **{kind: str(name) for kind, name in names.items()})  # type: ignore[arg-type]


def _kind(key: str) -> str:
    """`ranker` or `cold_start`, if a setting is an option of one; else empty."""
    kind, dot, _ = key.partition(".")
    return kind if dot and kind in OPTION_TABLES else ""


def _takes(config: RunConfig, key: str, owners: Mapping[str, str]) -> bool:
    """Whether a row takes a setting: an option with an owner, only if that is the row's own ranker or method."""
    kind = _kind(key)
    return owners[kind] == getattr(config, kind) if kind in owners else _may_have(config, key)


def _may_have(config: RunConfig, key: str) -> bool:
    """Whether a setting concerns a row: an option, only if its ranker or method may have it."""
    kind = _kind(key)
    return not kind or may_have_option(config, kind, key.removeprefix(f"{kind}."))


def _refuse(key: str, configs: Sequence[RunConfig], place: str) -> NoReturn:
    """Say that no row has an option; where all rows have one ranker, or one method, say what that one has."""
    kind, _, option = key.partition(".")
    names, known = {getattr(config, kind) for config in configs}, known_options(configs[0], kind)
    if len(names) == 1 and known:
        try:
            plugins.check_options(plugins.OPTION_OWNERS[kind], names.pop(), [option], known)
        except MailError as error:
            raise MailError(f"{place}{error.message}") from error
    options = [f"{kind}.{name}" for config in configs for name in known_options(config, kind) or []]
    raise MailError(f"{place}no row has this option.{did_you_mean(key, options)}")
