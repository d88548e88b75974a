"""Options that a ranker or a method cannot have: the text of each error."""

from __future__ import annotations

import re
from typing import Any

import pytest

from mailcli import plugins
from tests.helpers.features import spec

RANKER, METHOD = plugins.RANKERS, plugins.COLD_STARTS


@pytest.mark.parametrize(
    ("kind", "name", "options", "message"),
    [
        (METHOD, "metaemb", {"alpha": 1.5}, "`alpha` should be 0 to 1. Received: 1.5"),
        (
            METHOD,
            "metaemb",
            {"inner_rate": 0.0},
            "`inner_rate` and `learning_rate` should be positive. Received: 0.0 and 0.001",
        ),
        (
            METHOD,
            "metaemb",
            {"steps": 0},
            "`steps`, `users` and `impressions` should be 1 or more. Received: 0, 128 and 4",
        ),
        (METHOD, "eszsl", {"gamma": 0.0}, "`gamma` and `penalty` should be positive. Received: 0.0 and 0.01"),
        (
            METHOD,
            "conse",
            {"neighbors": 11, "references": 10},
            "`neighbors` should be 1 to `references`. Received: 11 and 10",
        ),
        (METHOD, "conse", {"temperature": 0.0}, "`temperature` should be positive. Received: 0.0"),
        (METHOD, "llae", {"rank": 0}, "`rank` should be 1 or more. Received: 0"),
        (METHOD, "llae", {"low_rank_weight": -1.0}, "`low_rank_weight` should be at least 0. Received: -1.0"),
        (METHOD, "llae", {"reconstruction_weight": 0.0}, "`reconstruction_weight` should be above 0. Received: 0.0"),
        (METHOD, "llae", {"corruption": 1.0}, "`corruption` should be at least 0 and below 1. Received: 1.0"),
        (METHOD, "cvae", {"latent": 0}, "`latent`, `units` and `attention_units` should be 1 or more"),
        (METHOD, "cvae", {"kl_weight": -0.5}, "`kl_weight` should be at least 0. Received: -0.5"),
        (
            METHOD,
            "mail",
            {"decoder_units": (8,)},
            "`decoder_units` should be 2 widths, as Eq. (16). Received: (8,)",
        ),
        (
            METHOD,
            "mail",
            {"encoder_units": (8, 8)},
            "`encoder_units` should be 3 widths, as Eq. (15). Received: (8, 8)",
        ),
        (RANKER, "dcnv2", {"cross_layers": 0}, "`cross_layers` should be 1 or more. Received: 0"),
        (RANKER, "dmr", {"match_weight": -0.1}, "`match_weight` should be at least 0. Received: -0.1"),
        (RANKER, "din", {"dropout": 1.0}, "`dropout` should be at least 0 and below 1. Received: 1.0"),
    ],
)
def test_an_impossible_option_is_named_with_its_value(
    kind: plugins.PluginKind, name: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        plugins.load(kind, name)(**options)


def test_dmr_needs_a_behavior_before_the_one_that_it_predicts() -> None:
    message = "history = 1: the match loss predicts a behavior from those before it. Expected 2 or more"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        plugins.load(RANKER, "dmr")().build_for(spec(n_v=1))
