"""The values that `mail tune --range` searches for one setting."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import fields
from typing import Any, NamedTuple

from mailcli import plugins
from mailcli.config import OPTION_TABLES, Options, RunConfig, option_text
from mailcli.errors import MailError
from mailcli.settings.option_defaults import option_defaults

#: Settings that say what is compared, on which users.
NOT_TUNED = ("data", "ranker", "cold_start", "seed", "protocol", "new_share", "train_as_new", "select", "continues")


class Range(NamedTuple):
    """The possible values of one setting.

    Its `repr` is in study.log, to recognize a search: renaming the class or a field would make old searches unusable.
    """

    key: str
    low: float
    high: float
    log: bool
    whole: bool
    """Whether the values are whole numbers."""
    choices: tuple[str, ...]
    """The texts to choose from; empty for a range of numbers."""

    @property
    def ends(self) -> tuple[Any, ...]:
        """All choices, or the lowest and the highest number: if these are possible values, all are."""
        return self.choices or (self._number(self.low), self._number(self.high))

    def _number(self, value: float) -> float:
        return int(value) if self.whole else value


class OptionOwner(NamedTuple):
    """The ranker or cold-start method that a setting is an option of."""

    kind: plugins.PluginKind
    name: str
    option: str
    """Without the name of its table."""
    given: Options
    """All options of it that are set."""


def option_owner(config: RunConfig, key: str) -> OptionOwner | None:
    """What `ranker.KEY` or `cold_start.KEY` is an option of in a config; None for any other setting."""
    table, _, option = key.partition(".")
    if not option or table not in OPTION_TABLES:
        return None
    return OptionOwner(
        plugins.OPTION_OWNERS[table], getattr(config, table), option, getattr(config, OPTION_TABLES[table])
    )


def with_types(ranges: Sequence[Range], config: RunConfig) -> list[Range]:
    """The ranges of a config: of fractions where a setting is a fraction, so that 0..1 is not only its two ends.

    A setting of another type keeps what the text of its range says.
    """
    return [_with_type(setting, config) for setting in ranges]


def _with_type(setting: Range, config: RunConfig) -> Range:
    kind = _type_of(setting.key, config)
    if setting.choices or kind not in {"int", "float"}:
        return setting
    return setting._replace(whole=kind == "int" and setting.low.is_integer() and setting.high.is_integer())


def _type_of(key: str, config: RunConfig) -> str:
    """The name of the type of a setting, or of an option's default; empty if it is not known."""
    owner = option_owner(config, key)
    if owner is None:
        return next((str(field.type) for field in fields(RunConfig) if field.name == key), "")
    defaults = option_defaults(owner.kind, owner.name)
    return type(defaults[owner.option]).__name__ if owner.option in defaults else ""


def is_number_text(text: str) -> bool:
    """Whether a text is a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def same_value(first: str, second: str) -> bool:
    """Whether two texts are the same option, or the same number: `true` and `True`, `1e-3` and `0.001`."""
    if is_number_text(first) and is_number_text(second):
        return float(first) == float(second)
    return option_text(first) == option_text(second)


def parse_ranges(texts: Sequence[str], option: str = "--range") -> list[Range]:
    """`KEY=LOW..HIGH`, `KEY=log:LOW..HIGH` or `KEY=A|B|C`.

    Args:
        texts: one per setting.
        option: where they come from, for an error.

    Raises:
        MailError: a text is none of these, or two have the same key.
    """
    if not texts:
        hint = "Name one setting or more, e.g. learning_rate=log:1e-4..1e-2."
        raise MailError(f"{option.removesuffix(':')}: nothing to search. {hint}")
    ranges = [_parse(text, option) for text in texts]
    keys = [setting.key for setting in ranges]
    for key in keys:
        if keys.count(key) > 1:
            raise MailError(f"{option} {key}: is named twice.")
    return ranges


def check_comparable(ranges: Sequence[Range], option: str = "--range") -> None:
    """Refuse a range of a setting that says what is compared, or on which users (MailError)."""
    for setting in ranges:
        if setting.key in NOT_TUNED:
            raise MailError(
                f"{option} {setting.key}: results with different values of it are not comparable. Leave it out."
            )


def _parse(text: str, option: str) -> Range:
    def wrong(expected: str = "KEY=LOW..HIGH, KEY=log:LOW..HIGH or KEY=A|B|C") -> MailError:
        return MailError(f"{option} {text}: expected {expected}.")

    key, _, values = text.partition("=")
    if not key.strip() or not values.strip():
        raise wrong()
    if "|" in values:
        choices = tuple(value.strip() for value in values.split("|"))
        if "" in choices:
            raise wrong()
        if len(set(choices)) < len(choices):
            raise wrong("each value once")
        return Range(key.strip(), 0, 0, False, False, choices)
    low, dots, high = values.removeprefix("log:").partition("..")
    log = values.startswith("log:")
    try:
        numbers = float(low), float(high)
    except ValueError:
        raise wrong() from None
    if not dots:
        raise wrong()
    if not all(map(math.isfinite, numbers)):
        raise wrong("finite numbers")
    if not numbers[0] < numbers[1]:
        raise wrong("LOW below HIGH")
    if log and numbers[0] <= 0:
        raise wrong("LOW above 0, since the logarithm is searched")
    integers = low.strip().lstrip("-").isdecimal() and high.strip().lstrip("-").isdecimal()
    return Range(key.strip(), *numbers, log, integers, ())


def distribution(optuna: Any, setting: Range) -> Any:
    """Optuna's distribution of a setting."""
    if setting.choices:
        return optuna.distributions.CategoricalDistribution(setting.choices)
    if setting.whole:
        return optuna.distributions.IntDistribution(int(setting.low), int(setting.high), log=setting.log)
    return optuna.distributions.FloatDistribution(setting.low, setting.high, log=setting.log)
