"""A search over settings: what is varied, and what its trials are."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mailcli.config import MAX_SEED, RunConfig, option_text, to_toml
from mailcli.data.dataset import Dataset
from mailcli.errors import MailError, did_you_mean, quoted
from mailcli.experiments.cells import resolve_config
from mailcli.experiments.search_space import Range, is_number_text, option_owner, same_value
from mailcli.runs.identity import run_identity
from mailcli.settings.option_defaults import option_defaults

#: Names of a search of its own, which are folders.
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")
#: Trials of a search if no number is given (ours).
DEFAULT_TRIALS = 20
#: The groups of users whose AUC can be maximized.
USERS = ("all", "new", "old")


@dataclass(frozen=True)
class Search:
    """A search: which settings of a config are varied, and which metric is maximized."""

    name: str
    """The name of its study and of its folder."""
    config: RunConfig
    ranges: Sequence[Range]
    users: str
    """The group of users whose validation AUC is maximized."""
    seeds: int = 1
    """Seeds of each trial, from the config's on; the mean of their validation AUC is maximized."""
    experiment: str = ""
    """Name of the experiment whose row this is; empty for a search of its own."""

    @property
    def folder(self) -> Path:
        """Relative to the folder of runs."""
        return Path("tune", self.experiment, self.name)

    @property
    def folder_option(self) -> str:
        """What to change for a folder of its own: the rows of an experiment have the names of their cells."""
        return "--runs folder" if self.experiment else "--name"

    @property
    def marks(self) -> dict[str, str]:
        """What distinguishes its study from those of other searches."""
        settings = {key: json.dumps(value, sort_keys=True) for key, value in to_toml(self.config).items()}
        return {**settings, "ranges": repr(sorted(self.ranges)), "users": self.users, "seeds": str(self.seeds)}

    def marks_on(self, dataset: Dataset) -> dict[str, str]:
        """`marks`, and the data and code that its trials depend on: other trials cannot be compared with them."""
        identity = run_identity(self.config, dataset).items()
        settings = vars(self.config)
        return self.marks | {key: str(x) for key, x in identity if key not in settings and not isinstance(x, dict)}

    def check(self) -> None:
        """Refuse a search with impossible trials (MailError)."""
        if not self.experiment and not _NAME.fullmatch(self.name):
            raise MailError(f"--name {self.name!r}: expected letters, digits, '.', '_' or '-'.")
        if self.users not in USERS:
            raise MailError(
                f"--users {self.users}: no such group.{did_you_mean(self.users, USERS)} Known: {quoted(USERS)}."
            )
        self.end_trials()
        last_seed = self.config.seed + self.seeds - 1
        if last_seed > MAX_SEED:
            raise MailError(
                f"--seeds {self.seeds}: the last one is {last_seed}. Expected none above {MAX_SEED}; lower --seed."
            )

    def end_trials(self) -> list[RunConfig]:
        """The trials with one setting at an end of its range, and the others at the first (MailError: one is wrong)."""
        first = {setting.key: setting.ends[0] for setting in self.ranges}
        return [self.trial({**first, setting.key: value}) for setting in self.ranges for value in setting.ends]

    def trial(self, values: Mapping[str, Any]) -> RunConfig:
        """The config of a trial, with the first of its seeds."""
        return resolve_config([vars(self.config), dict(values)])

    def runs_of(self, values: Mapping[str, Any]) -> list[RunConfig]:
        """The configs of a trial's runs, one for each seed."""
        trial = self.trial(values)
        return [replace(trial, seed=trial.seed + number) for number in range(self.seeds)]


def own_values(search: Search) -> dict[str, Any] | None:
    """The values that the search's own config has in the ranges; None if one of them lies outside."""
    values = {setting.key: _own_value(search.config, setting) for setting in search.ranges}
    return None if None in values.values() else values


def _own_value(config: RunConfig, setting: Range) -> Any:
    """The choice or number that a config has of a setting, whose option may have its default; None if out of range."""
    owner = option_owner(config, setting.key)
    if owner:
        text = option_text({**option_defaults(owner.kind, owner.name), **owner.given}.get(owner.option, ""))
    else:
        text = option_text(vars(config)[setting.key])
    if setting.choices:
        return next((choice for choice in setting.choices if same_value(choice, text)), None)
    number = float(text) if is_number_text(text) else math.nan
    if not setting.low <= number <= setting.high or (setting.whole and not number.is_integer()):
        return None
    return int(number) if setting.whole else number
