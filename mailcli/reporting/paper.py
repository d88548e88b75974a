"""Names and numbers of the MAIL paper (Tables 2-3 and their text); a number that the text does not give is not here."""

from __future__ import annotations

from typing import Any

from mailcli import plugins
from mailcli.config import VARIANTS, RunConfig
from mailcli.errors import MailError, did_you_mean, quoted

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
#: The other rows of Table 3.
TABLE_3: dict[str, dict[str, str]] = {
    f"MAIL-{variant.capitalize()}": {"ranker": "base", "cold_start": "mail", "cold_start.variant": variant}
    for variant in VARIANTS
    if variant != "base"
}
ROWS = {**TABLE_2, **TABLE_3}

#: Test metrics on Alimama, paper protocol: row -> users -> metric.
REPORTED: dict[str, dict[str, dict[str, float]]] = {
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


def row_name(config: RunConfig) -> str:
    """The paper's name of a cell, or `ranker+method` where it has none."""
    for name, row in () if config.continues else ROWS.items():
        same = (row["ranker"], row["cold_start"]) == (config.ranker, config.cold_start)
        default = "base" if config.cold_start == "mail" else None
        if same and row.get("cold_start.variant") == config.cold_start_options.get("variant", default):
            return name
    return config.cell


def row_settings(name: str) -> dict[str, str]:
    """The settings of a row: a name of the paper's, in any case, or `ranker+method`.

    Raises:
        MailError: the name is neither.
    """
    by_lower = {known.lower(): row for known, row in ROWS.items()}
    if name.lower() in by_lower:
        return by_lower[name.lower()]
    ranker, plus, method = name.partition("+")
    if not plus:
        raise MailError(
            f"unknown row '{name}'.{did_you_mean(name, ROWS)} Known: {quoted(ROWS)}, or ranker+method, e.g. 'din+cvae'."
        )
    plugins.check(plugins.RANKERS, ranker)
    plugins.check(plugins.COLD_STARTS, method)
    return {"ranker": ranker, "cold_start": method, **({"cold_start.variant": "base"} if method == "mail" else {})}


def reported(row: str, users: str) -> dict[str, Any]:
    """The paper's numbers for a row and group of users; empty where the text gives none."""
    return REPORTED.get(row, {}).get(users, {})
