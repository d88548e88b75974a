"""Small configs of every ranker and cold-start method, and what training changes in a model."""

from __future__ import annotations

from typing import Any

import numpy as np

from mailcli import plugins
from mailcli.config import RunConfig, make_config

RANKERS = plugins.names(plugins.RANKERS)
COLD_STARTS = plugins.names(plugins.COLD_STARTS)
#: Every ranker with MAIL, and BaseDNN with every other method.
AXES = [*((ranker, "mail") for ranker in RANKERS), *(("base", method) for method in COLD_STARTS if method != "mail")]
#: Options that make a plugin quick to test; one that is not listed is tested with its defaults.
QUICK = {
    **{name: {"ranker.units": "16,8"} for name in RANKERS if name != "emblr"},
    "mail": {"cold_start.encoder_units": "16,16,16", "cold_start.decoder_units": "16,16"},
    "poso": {"cold_start.units": "8"},
    "cvae": {"cold_start.units": "16", "cold_start.latent": "4"},
    "mail-pooled": {"cold_start.units": "16,8"},
    "mail-softmax": {"cold_start.units": "8", "cold_start.epochs": "2", "cold_start.folds": "2"},
    "match": {"cold_start.references": "64", "cold_start.steps": "3", "cold_start.dim": "4"},
    "cvar": {"cold_start.steps": "3", "cold_start.batch_size": "16"},
    "metaemb": {"cold_start.steps": "3", "cold_start.users": "8"},
    "conse": {"cold_start.references": "64"},
    "neighbors": {"cold_start.references": "64", "cold_start.steps": "3"},
    "pfd": {"cold_start.folds": "2"},
    "prior": {"cold_start.folds": "2"},
}
BATCH = 64
SHAPE = {"embedding_dim": 8, "history": 10, "batch_size": BATCH}


def config_of(ranker: str, cold_start: str) -> RunConfig:
    """A cell of the matrix on the dataset `buys`."""
    cell = {"ranker": ranker, "cold_start": cold_start}
    return make_config([{"data": "buys", **SHAPE}, cell, QUICK.get(ranker, {}), QUICK.get(cold_start, {})])


def mail_config(variant: str | None = "base", **settings: Any) -> RunConfig:
    """BaseDNN with a variant of MAIL, or without a method, on the dataset `tiny`."""
    method = {"cold_start": "mail", "cold_start.variant": variant, **QUICK["mail"]} if variant else {}
    return make_config([{"data": "tiny", **SHAPE, **QUICK["base"], **method, **settings}])


def values(variables: list[Any]) -> list[np.ndarray]:
    """Copies of the values of variables."""
    return [np.array(variable) for variable in variables]


def changes(before: list[np.ndarray], after: list[np.ndarray]) -> list[bool]:
    """For every variable, whether its value has changed."""
    return [not np.array_equal(old, new) for old, new in zip(before, after, strict=True)]
