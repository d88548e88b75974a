"""The settings of a run: one frozen dataclass, from TOML and `--set KEY=VALUE`, checked whole, every fault at once."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from mailcli.errors import MailError, did_you_mean, quoted

#: How new users are drawn; `mail train --help` and docs/statistics.md say what each means.
PROTOCOLS = ("paper", "strict")
#: MAIL's zero-shot tower, Table 3 of the paper.
VARIANTS = ("none", "single", "dual", "base")
#: What G_A and G_B are. sparse_adam moves the embeddings of a batch alone; adam is the dense one of the paper.
OPTIMIZERS = ("sparse_adam", "adam")
#: What the products of matrices are computed in; variables, the table, losses and sums are float32 in both.
PRECISIONS = ("float32", "bfloat16")
#: How the embedding table begins.
EMBEDDING_INITS = ("xavier", "small")
#: The values of the settings that have a few.
CHOICES = {
    "protocol": PROTOCOLS,
    "embedding_init": EMBEDDING_INITS,
    "optimizer": OPTIMIZERS,
    "precision": PRECISIONS,
}
#: The largest value of each whole number (ours: beyond what any run needs, within what arrays and counters hold).
LARGEST = {"history": 10**6, "embedding_dim": 10**5, "batch_size": 10**8, "epochs": 10**6, "patience": 10**6}
#: Tables of a ranker's or cold-start method's own options, `--set ranker.units=256,128`.
OPTION_TABLES = {"ranker": "ranker_options", "cold_start": "cold_start_options"}

Options = dict[str, Any]


@dataclass(frozen=True)
class RunConfig:
    """Everything that a run's result depends on, besides the data and the versions in environment.json."""

    data: str
    """Name of the dataset."""
    ranker: str = "base"
    """Ranking tower: a file of mailcli/rankers, an entry point, or package.module:Class."""
    cold_start: str = "none"
    """Cold-start method: a file of mailcli/coldstart, an entry point, or package.module:Class."""
    seed: int = 0
    """Decides the draw of new users, initialization, order of impressions and dropout."""
    protocol: str = "paper"
    """paper: new users lose their behaviors, in train and test alike. strict: they have no training impression."""
    new_share: float = 0.4
    """Share of users made new (MAIL Sec. 4.1.1)."""
    history: int = 100
    """n_v, most recent behaviors that a model sees (MAIL Sec. 4.1.4)."""
    embedding_dim: int = 32
    """d, the size of an embedding (MAIL Sec. 4.1.4)."""
    embedding_init: str = "xavier"
    """xavier: Algorithm 1's letter. small: U(±0.01), actions at one; it ranks better on ml-100k (README)."""
    batch_size: int = 1024
    """Impressions per step (MAIL Sec. 4.1.4)."""
    optimizer: str = "sparse_adam"
    """sparse_adam: embeddings that are not in a batch stay. adam: all are moved in every step, as the paper's are."""
    precision: str = "float32"
    """float32, or bfloat16 for the products of matrices, twice as fast on processors that have it."""
    learning_rate: float = 0.001
    """Adam's rate for the ranking tower and the embeddings (MAIL Sec. 4.1.4)."""
    zero_shot_learning_rate: float = 0.001
    """Adam's rate for the zero-shot tower (MAIL Sec. 4.1.4; the published code halves it)."""
    epochs: int = 10
    """Most passes over the training impressions (ours; the paper does not tell)."""
    patience: int = 2
    """Validations without a better AUC before training stops (ours)."""
    eval_every: int = 0
    """Steps between two validations inside an epoch, besides the one at its end; 0: that one alone (ours)."""
    continues: str = ""
    """SHA-256 of the weights of the run that this one goes on with (`mail train --continue`); empty for none."""
    ranker_options: Options = field(default_factory=dict)
    """The ranker's own options, by name."""
    cold_start_options: Options = field(default_factory=dict)
    """The cold-start method's own options, by name."""

    @property
    def cell(self) -> str:
        """Name of the cell in the ranker x cold-start matrix, e.g. `base+mail-dual`."""
        variant = self.cold_start_options.get("variant", "") if self.cold_start == "mail" else ""
        # The colon of package.module:Class cannot be in every file system's names.
        name = f"{self.ranker}+{self.cold_start}".replace(":", "-") + (f"-{variant}" if variant else "")
        return f"{name}+continued" if self.continues else name

    @property
    def place(self) -> Path:
        """Where the run is in a folder of runs."""
        return Path(self.data, self.protocol, self.cell, f"seed-{self.seed}")

    def baseline(self) -> RunConfig:
        """The same ranker alone, with the same seed, hence the same draw and initialization."""
        return replace(self, cold_start="none", cold_start_options={})


def make_config(layers: Iterable[Mapping[str, Any]]) -> RunConfig:
    """A checked config from layers of settings, later ones winning.

    A layer's keys are the fields' names; `ranker.KEY` and `cold_start.KEY`, or tables of these names + `_options`, hold
    options.

    Raises:
        MailError: one line that names every unknown key and every wrong value.
    """
    values: Options = {}
    faults: list[str] = []
    known = {f.name: f for f in fields(RunConfig)}
    tables: dict[str, Options] = {name: {} for name in OPTION_TABLES.values()}
    for layer in layers:
        for key, value in layer.items():
            head, _, rest = key.partition(".")
            if rest and head in OPTION_TABLES:
                tables[OPTION_TABLES[head]][rest] = _text(value)
            elif key in tables and isinstance(value, Mapping):
                tables[key].update({name: _text(option) for name, option in value.items()})
            elif key not in known:
                faults.append(f"unknown setting '{key}'.{did_you_mean(key, known)}")
            else:
                values[key] = value
    right = {}
    for key, value in values.items():
        try:
            right[key] = _cast(value, str(known[key].type))
        except ValueError as error:
            faults.append(f"{key} = {value!r}: {error}")
    if "data" not in values:
        faults.append("data: no dataset is named")
    config = RunConfig(**{"data": "", **right, **tables})
    faults += _faults(config)
    if faults:
        raise MailError("; ".join(faults))
    return config


def _text(value: Any) -> str:
    """An option as text, as --set gives it: one spelling, so that equal settings are equal."""
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _cast(value: Any, kind: str) -> Any:
    """Text from --set, or a TOML value, as the field's type."""
    if kind == "int":
        if isinstance(value, bool) or (isinstance(value, float) and not value.is_integer()):
            raise ValueError("expected a whole number")
        try:
            return int(value)
        except (TypeError, ValueError, OverflowError):
            raise ValueError("expected a whole number") from None
    if kind == "float":
        if isinstance(value, bool):
            raise ValueError("expected a number")
        try:
            return float(value)
        except (TypeError, ValueError, OverflowError):
            raise ValueError("expected a number") from None
    if kind == "str":
        if not isinstance(value, str):
            raise ValueError("expected a text")
        return value
    raise ValueError("expected a table of options")


def _faults(config: RunConfig) -> list[str]:
    rules = [
        (
            getattr(config, name) in known,
            name,
            f"one of {quoted(known)}",
            did_you_mean(getattr(config, name), known),
        )
        for name, known in CHOICES.items()
    ]
    rules += [
        (0 <= config.seed < 2**32, "seed", "0 to 4294967295", ""),
        (0 < config.new_share < 1, "new_share", "a number between 0 and 1", ""),
        (0 < config.learning_rate < math.inf, "learning_rate", "a positive number", ""),
        (0 <= config.eval_every <= 10**9, "eval_every", "0 (at the end of an epoch alone) to 1000000000", ""),
        (
            not config.continues or len(config.continues) == 64,
            "continues",
            "nothing: `mail train --continue` sets it",
            "",
        ),
        (0 < config.zero_shot_learning_rate < math.inf, "zero_shot_learning_rate", "a positive number", ""),
    ]
    for name, most in LARGEST.items():
        rules.append((1 <= getattr(config, name) <= most, name, f"1 to {most}", ""))
    return [
        f"{name} = {getattr(config, name)!r}: expected {expected}.{hint}"
        for ok, name, expected, hint in rules
        if not ok
    ]


def parse_settings(pairs: Iterable[str]) -> Options:
    """`KEY=VALUE` texts as a layer for `make_config`; a comma makes a list."""
    layer: Options = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key.strip():
            raise MailError(f"--set {pair}: expected KEY=VALUE.")
        layer[key.strip()] = value.strip()
    return layer


def read_toml(path: Path) -> Options:
    """A TOML file as a layer for `make_config` (MailError when it cannot be read)."""
    if path.exists() and not path.is_file():
        # A pipe or device might never end.
        raise MailError(f"{path}: is not a file. Expected a TOML file of settings.")
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except RecursionError:
        raise MailError(f"{path}: cannot be read as TOML (it is nested too deeply).") from None
    except (OSError, ValueError) as error:
        # Not every ValueError of tomllib is a TOMLDecodeError: that of a number of 5,000 digits is not.
        raise MailError(f"{path}: cannot be read as TOML ({error}).") from error


def to_toml(config: RunConfig) -> Options:
    """The config as plain values, every field present."""
    return asdict(config)


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """`key: old -> new` for every field that differs."""
    keys = dict.fromkeys([*old, *new])
    return [f"{key}: {old.get(key)!r} -> {new.get(key)!r}" for key in keys if old.get(key) != new.get(key)]
