"""The settings of a run: a frozen dataclass, built from TOML and `--set KEY=VALUE`; every fault is reported at once."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from mailcli.errors import MailError, did_you_mean
from mailcli.utils.validation import (
    STRING,
    TABLE,
    Rule,
    number_between,
    number_from,
    one_of,
    sentence,
    table_faults,
    whole_number,
)

#: How new users are drawn; `mail train --help` and docs/statistics.md explain both.
PROTOCOLS = ("paper", "strict")
#: MAIL's zero-shot tower, Table 3 of the paper.
VARIANTS = ("none", "single", "dual", "base")
#: G_A and G_B. sparse_adam touches only the embeddings in the batch; adam is the paper's dense one.
OPTIMIZERS = ("sparse_adam", "adam")
#: Seeds have 32 bits, as NumPy's and Keras'.
MAX_SEED = 2**32 - 1
#: The most seeds of a table (ours: a hundred times more than any of ours has, so that a typo is refused at once).
MOST_SEEDS = 1000
#: Precision of matrix products; variables, the embedding table, losses and sums are float32 in both.
PRECISIONS = ("float32", "bfloat16")
#: How the embedding table is initialized.
EMBEDDING_INITS = ("normal", "xavier", "small", "behaviors", "glorot")
#: Users whose validation AUC selects the best epoch.
SELECTIONS = ("all", "new")
#: Tables of a ranker's or cold-start method's own options, `--set ranker.units=256,128`.
OPTION_TABLES = {"ranker": "ranker_options", "cold_start": "cold_start_options"}
#: Suffix of the tables in config.toml that hold the defaults of options that are not set.
DEFAULTS = "_defaults"

Options = dict[str, Any]


@dataclass(frozen=True)
class RunConfig:
    """Everything that a run's result depends on, except the data and the versions in environment.json."""

    data: str
    """Name of the dataset."""
    ranker: str = "base"
    """Ranking tower: a file of mailcli/models/rankers, an entry point, package.module:Class, or a trivial row."""
    cold_start: str = "none"
    """Cold-start method: a file of mailcli/models/coldstart, an entry point, or package.module:Class."""
    seed: int = 0
    """Random seed: draw of new users, initialization, order of impressions, dropout."""
    protocol: str = "paper"
    """paper: new users lose their behaviors in every split. strict: they also have no training impressions."""
    new_share: float = 0.4
    """Share of users drawn as new (MAIL Sec. 4.1.1)."""
    train_as_new: float = 1.0
    """Part of `new_share` that is new in training too: of the users under paper, of the impressions that are treated as
    new users' under strict. With 0, generated behavior is filled in at test only, as the published code does (ours:
    1)."""
    history: int = 100
    """n_v, the number of most recent behaviors that a model sees (MAIL Sec. 4.1.4)."""
    embedding_dim: int = 32
    """d, the size of an embedding (MAIL Sec. 4.1.4)."""
    embedding_init: str = "normal"
    """normal: N(0, 0.01²), as in the published code. xavier: as in Algorithm 1; needs several times the epochs. small:
    U(±0.01), actions at one. behaviors: as small, but values that occur in the same users' histories start close
    together. glorot: as TensorFlow initializes a table."""
    batch_size: int = 1024
    """Impressions per step (MAIL Sec. 4.1.4)."""
    embedding_l2: float = 0.0
    """Weight in the ranking loss of ||e||², summed over an impression's attributes, context and target (ours; MAIL has
    none)."""
    optimizer: str = "sparse_adam"
    """sparse_adam (ours): a step touches only the embeddings in its batch, and catches up what their momentum missed.
    adam: every step updates all embeddings, as in the paper."""
    precision: str = "float32"
    """Precision of matrix products: float32 or bfloat16. Where the processor supports bfloat16, a step of MAIL is about
    1.5 times as fast, one of BaseDNN no faster."""
    learning_rate: float = 0.001
    """Adam's learning rate for the ranking tower and the embeddings (MAIL Sec. 4.1.4)."""
    zero_shot_learning_rate: float = 0.001
    """Adam's learning rate for the zero-shot tower (MAIL Sec. 4.1.4; the published code halves it)."""
    epochs: int = 50
    """Maximum number of passes over the training impressions (ours: so many that `patience` ends training)."""
    patience: int = 2
    """Validations without a better AUC before training stops (ours)."""
    eval_every: int = 0
    """Steps between validations, in addition to the one at the end of each epoch; 0: every 10,000 in epochs of 15,000
    steps or more, otherwise none (ours: click models are often best before the end of their first epoch)."""
    select: str = "all"
    """Users whose validation AUC selects the best epoch and ends training: all, or new (ours)."""
    continues: str = ""
    """SHA-256 of the weights of the run that this one continues (`mail train --continue`); empty for none."""
    ranker_options: Options = field(default_factory=dict)
    """The ranker's own options, by name."""
    cold_start_options: Options = field(default_factory=dict)
    """The cold-start method's own options, by name."""

    @property
    def cell(self) -> str:
        """Name of the cell in the ranker x cold-start matrix, e.g. `base+mail-dual`."""
        variant = self.cold_start_options.get("variant", "") if self.cold_start == "mail" else ""
        # Not every file system allows the colon of package.module:Class.
        name = f"{self.ranker}+{self.cold_start}".replace(":", "-") + (f"-{variant}" if variant else "")
        return f"{name}+continued" if self.continues else name

    @property
    def shown_options(self) -> dict[str, Options]:
        """The options that are set, under `ranker` and `cold_start`, without MAIL's variant: the cell's name has it."""
        in_name = {"variant"} if self.cold_start == "mail" else set()
        of_method = {key: value for key, value in self.cold_start_options.items() if key not in in_name}
        return {"ranker": self.ranker_options, "cold_start": of_method}

    @property
    def key(self) -> str:
        """A text that is the same for equal configs, in whatever order their options are given."""
        in_order = {table: dict(sorted(getattr(self, table).items())) for table in OPTION_TABLES.values()}
        return repr({**vars(self), **in_order})

    @property
    def run_path(self) -> Path:
        """The run's folder, relative to the folder of runs."""
        return Path(self.data, self.protocol, self.cell, f"seed-{self.seed}")

    def baseline(self) -> RunConfig:
        """The same ranker without a cold-start method; the same seed, hence the same draw and initialization."""
        return replace(self, cold_start="none", cold_start_options={})

    def without_seed(self) -> RunConfig:
        """What the runs of a cell have in common: the config with seed 0."""
        return replace(self, seed=0)


def check_number_of_seeds(seeds: int) -> None:
    """Refuse a value of --seeds that no table has (MailError)."""
    if not 1 <= seeds <= MOST_SEEDS:
        raise MailError(f"--seeds is {seeds}. Expected a number from 1 to {MOST_SEEDS:,}.")


_POSITIVE = number_between(0, math.inf, "a positive number")
#: What the value of each setting must be.
RULES = {
    "data": STRING,
    "ranker": STRING,
    "cold_start": STRING,
    "seed": whole_number(0, MAX_SEED),
    "protocol": one_of(PROTOCOLS),
    "new_share": number_between(0, 1, "a number above 0 and below 1"),
    "train_as_new": number_from(0, 1, "a number from 0 to 1"),
    # Upper limits of whole numbers (ours): more than any run needs, and within what arrays and counters hold.
    "history": whole_number(1, 10**6),
    "embedding_dim": whole_number(1, 10**5),
    "embedding_init": one_of(EMBEDDING_INITS),
    "batch_size": whole_number(1, 10**8),
    "embedding_l2": number_from(0, math.inf, "0 or a positive number"),
    "optimizer": one_of(OPTIMIZERS),
    "precision": one_of(PRECISIONS),
    "learning_rate": _POSITIVE,
    "zero_shot_learning_rate": _POSITIVE,
    "epochs": whole_number(1, 10**6),
    "patience": whole_number(1, 10**6),
    "eval_every": whole_number(0, 10**9),
    "select": one_of(SELECTIONS),
    "continues": Rule(
        "no value; use `mail train --continue RUN`", lambda value: isinstance(value, str) and len(value) in {0, 64}
    ),
    "ranker_options": TABLE,
    "cold_start_options": TABLE,
}


def make_config(layers: Iterable[Mapping[str, Any]]) -> RunConfig:
    """A checked config from layers of settings; later layers win.

    A layer's keys are the fields' names. Options are given as `ranker.KEY` and `cold_start.KEY`, or as tables named
    `ranker_options` and `cold_start_options`.

    Raises:
        MailError: one line that names every unknown key and every wrong value.
    """
    types = {field.name: str(field.type) for field in fields(RunConfig)}
    options: dict[str, Options] = {name: {} for name in OPTION_TABLES.values()}
    values: Options = {}
    faults: list[str] = []
    for layer in layers:
        for key, value in layer.items():
            table, _, option = key.partition(".")
            if option and table in OPTION_TABLES:
                options[OPTION_TABLES[table]][option] = option_text(value)
            elif key in options and isinstance(value, Mapping):
                options[key].update({name: option_text(option) for name, option in value.items()})
            elif key in types:
                values[key] = _convert(value, types[key])
            else:
                faults.append(f"unknown setting '{key}'.{did_you_mean(key, types)}".removesuffix("."))
    faults += table_faults(values, RULES)
    if "data" not in values:
        faults.append("data: no dataset is named")
    if faults:
        raise MailError(sentence(faults))
    return RunConfig(**{**values, **options})


def option_text(value: Any) -> str:
    """An option as text, as --set gives it. Lists and booleans have one spelling; 0.5 and 0.50 have two."""
    text = ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    # TOML's true is Python's True.
    return text.capitalize() if text.lower() in {"true", "false"} else text


def _convert(value: Any, kind: str) -> Any:
    """A text from --set, or a TOML value, as a field's type; unchanged if it does not have that type."""
    is_fraction = isinstance(value, float) and not value.is_integer()
    if isinstance(value, str) and "_" in value:
        # Python reads 1_6 as 16.
        return value
    with suppress(TypeError, ValueError, OverflowError):
        if kind == "float" and not isinstance(value, bool):
            return float(value)
        if kind == "int" and not isinstance(value, bool) and not is_fraction:
            return int(value)
    return value


def parse_settings(pairs: Iterable[str]) -> Options:
    """`KEY=VALUE` strings as a layer for `make_config`; the last of a key counts (MailError: one is not a pair)."""
    layer: Options = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key.strip():
            raise MailError(f"--set {pair}: expected KEY=VALUE.")
        layer[key.strip()] = value.strip()
    return layer


def to_toml(config: RunConfig) -> Options:
    """The config as plain values, with every field."""
    return asdict(config)


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """`key: old -> new` for every key that differs."""
    keys = dict.fromkeys([*old, *new])
    return [f"{key}: {old.get(key)!r} -> {new.get(key)!r}" for key in keys if old.get(key) != new.get(key)]
