"""Row names and results of the MAIL paper (Tables 2-3 and their text); what the text does not report is missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING

from mailcli import plugins
from mailcli.config import OPTION_TABLES, VARIANTS, RunConfig
from mailcli.errors import MailError, did_you_mean, quoted
from mailcli.settings.option_defaults import may_have_option

if TYPE_CHECKING:  # the command line reads this module for --help, which does not import NumPy
    from mailcli.data.dataset import Dataset

#: The rows of Table 2, in its order, as settings of a run.
TABLE_2: dict[str, dict[str, str]] = {
    "EmbLR": {"ranker": "emblr", "cold_start": "none"},
    "LLAE": {"ranker": "emblr", "cold_start": "llae"},
    "BaseDNN": {"ranker": "base", "cold_start": "none"},
    "MetaEmb": {"ranker": "base", "cold_start": "metaemb"},
    "MAIL-Base": {"ranker": "base", "cold_start": "mail", "cold_start.variant": "base"},
    "DMR": {"ranker": "dmr", "cold_start": "none"},
    "MAIL-DMR": {"ranker": "dmr", "cold_start": "mail", "cold_start.variant": "base"},
}
#: The trivial rows that are shown next to Table 2 (ours: those that every dataset has and that take a second).
TRIVIAL = ("item-rate", "item-bias")
#: The other rows of Table 3.
TABLE_3: dict[str, dict[str, str]] = {
    f"MAIL-{variant.capitalize()}": {"ranker": "base", "cold_start": "mail", "cold_start.variant": variant}
    for variant in VARIANTS
    if variant != "base"
}
ROWS = {**TABLE_2, **TABLE_3}

Reported = Mapping[str, Mapping[str, Mapping[str, float]]]
"""Row -> users -> metric or `RI metric` -> a number that a paper reports; what it does not report is missing."""

#: Test metrics on Alimama under the paper protocol.
REPORTED: Reported = {
    "BaseDNN": {"new": {"AUC": 0.5862, "GAUC": 0.5658}, "old": {"AUC": 0.6271, "GAUC": 0.5897}},
    "MetaEmb": {
        "new": {"AUC": 0.5911, "GAUC": 0.5682, "RI AUC": 0.84, "RI GAUC": 0.42},
        "old": {"AUC": 0.6273, "GAUC": 0.5900, "RI AUC": 0.03, "RI GAUC": 0.05},
    },
    "MAIL-DMR": {
        "new": {"AUC": 0.5958, "GAUC": 0.5733, "RI AUC": 1.34, "RI GAUC": 1.14},
        "old": {"AUC": 0.6302, "GAUC": 0.5915, "RI AUC": 0.00, "RI GAUC": 0.06},
    },
    "MAIL-None": {"new": {"AUC": 0.5834}},
    "MAIL-Single": {"new": {"AUC": 0.5844}},
    "MAIL-Base": {
        "new": {"AUC": 0.5934, "GAUC": 0.5710, "RI AUC": 1.22, "RI GAUC": 0.91},
        "old": {"AUC": 0.6271, "GAUC": 0.5898, "RI AUC": 0.00, "RI GAUC": 0.02},
    },
}


def is_papers_data(dataset: Dataset, config: RunConfig) -> bool:
    """Whether REPORTED is of this data: the real files of Alimama, all users, with the paper's draw of new ones."""
    is_whole = (
        dataset.manifest["source"] == "alimama"
        and dataset.simulation is None
        and dataset.manifest.get("sample", 1) == 1
    )
    return is_whole and (config.protocol, config.new_share) == ("paper", RunConfig.new_share)


#: The settings that a row's label does not show.
_SETTINGS = [field.name for field in fields(RunConfig) if field.name not in OPTION_TABLES.values()]


def row_name(config: RunConfig) -> str:
    """The paper's name of a cell, or `ranker+method` if the paper has none; a trivial row has only its own name."""
    if plugins.is_trivial(config.ranker):
        return config.ranker
    default_variant = "base" if config.cold_start == "mail" else None
    variant = config.cold_start_options.get("variant", default_variant)
    cell = (config.ranker, config.cold_start, variant)
    for name, row in () if config.continues else ROWS.items():
        if (row["ranker"], row["cold_start"], row.get("cold_start.variant")) == cell:
            return name
    return config.cell


def row_label(config: RunConfig) -> str:
    """The row's name, with its options: they distinguish it from other rows of that name."""
    texts = [
        f"{_option_name(config, owner, key)}={value}"
        for owner, options in config.shown_options.items()
        for key, value in options.items()
    ]
    return f"{row_name(config)} ({', '.join(texts)})" if texts else row_name(config)


def row_labels(configs: Sequence[RunConfig]) -> list[str]:
    """The label of each row; those that share one have the settings in which they differ after it.

    For example 'BaseDNN, learning_rate 0.001' and 'BaseDNN, learning_rate 0.002'.
    """
    names = [row_label(config) for config in configs]
    labels = []
    for name, config in zip(names, configs, strict=True):
        namesakes = [other for other_name, other in zip(names, configs, strict=True) if other_name == name]
        differ = [key for key in _SETTINGS if len({getattr(other, key) for other in namesakes}) > 1]
        labels.append(", ".join([name, *(f"{key} {getattr(config, key)}" for key in differ)]))
    return labels


def _option_name(config: RunConfig, owner: str, key: str) -> str:
    """`KEY`; `ranker.KEY` or `cold_start.KEY` if the other of the two may have an option of this name."""
    other = "cold_start" if owner == "ranker" else "ranker"
    return f"{owner}.{key}" if may_have_option(config, other, key) else key


def row_settings(name: str) -> dict[str, str]:
    """The settings of a row: a name of the paper's (case does not matter), a trivial row, or `ranker+method`.

    The method may be a variant of MAIL, such as `mail-dual`, as tables and run folders name it.

    Raises:
        MailError: the name is none of these.
    """
    if plugins.is_trivial(name):
        return {"ranker": name, "cold_start": "none"}
    by_lower_case = {known.lower(): row for known, row in ROWS.items()}
    if name.lower() in by_lower_case:
        return by_lower_case[name.lower()]
    ranker, plus, method = name.partition("+")
    if not plus:
        suggestion = did_you_mean(name, [*ROWS, *plugins.names(plugins.TRIVIAL_ROWS)])
        raise MailError(
            f"unknown row '{name}'.{suggestion} Known: {quoted(ROWS)}, a trivial row (`mail models`), "
            "or ranker+method, e.g. 'din+cvae'."
        )
    plugins.check_ranker(ranker)
    variants = {"mail": "base", **{f"mail-{variant}": variant for variant in VARIANTS}}
    if method in variants:
        return {"ranker": ranker, "cold_start": "mail", "cold_start.variant": variants[method]}
    plugins.check(plugins.COLD_STARTS, method)
    return {"ranker": ranker, "cold_start": method}
