"""Requests of all kinds: one user in several ways, unknown users and items, and inputs that do not match each other."""

from __future__ import annotations

import numpy as np
import pandas as pd

from mailcli.runs.folder import RunFolder
from tests.helpers.serving import MISSING, PROFILE, RawRequests, Request, drawn_as_new, without_history


def request_variants(raw: RawRequests) -> dict[str, tuple[str, Request]]:
    """One user with several candidates in several kinds of requests, and with unknown values."""
    impressions = raw.test[raw.test["user"] == raw.test["user"].iloc[-1]].iloc[:1]
    single = raw.request(impressions, np.array([False]))
    assert single["history_action"].shape[1] > 5
    many = {**single, "item": raw.test["item"].unique()[None, :7]}
    # What cannot be unknown or missing.
    known = {name: many[name] for name in ("history_action", "context_time")}
    unknown: Request = {
        name: np.full_like(value, "?" if value.dtype == object else -7) for name, value in many.items()
    } | known
    missing: Request = {
        name: np.full_like(value, "" if value.dtype == object else MISSING) for name, value in many.items()
    } | known
    # Seven users with one candidate each.
    flat = {name: np.repeat(value, 7, axis=0) for name, value in many.items()} | {"item": many["item"].T}
    features = {**many, **raw.features(many["item"])}
    empty = {name: value[:, :0] if name.startswith("history_") else value for name, value in many.items()}
    last_five = {name: value[:, -5:] if name.startswith("history_") else value for name, value in many.items()}
    gaps = {
        name: np.insert(value, [0, 3, 3, value.shape[1]], "look" if value.dtype == object else 3, axis=1)
        if name.startswith("history_")
        else value
        for name, value in many.items()
    }
    by_id = {name: value for name, value in many.items() if not name.startswith("user_")}
    no_price_or_brand = {**features, "item_price": np.full((1, 7), np.nan), "item_brand": np.full((1, 7), MISSING)}
    return {
        "many": ("serving_default", many),
        "flat": ("serving_default", flat),
        "features": ("item_features", features),
        "no price or brand": ("item_features", no_price_or_brand),
        "no price": ("item_features", {**features, "item_price": np.full((1, 7), np.nan)}),
        "infinite prices": ("item_features", {**features, "item_price": np.array([[np.inf, -np.inf, *[np.nan] * 5]])}),
        "by id": ("known_users", by_id),
        "by an unknown id": ("known_users", {**by_id, "user": np.array([-7])}),
        "without attributes": (
            "serving_default",
            {k: np.full_like(v, -7) if k.startswith("user") else v for k, v in many.items()},
        ),
        "empty": ("serving_default", empty),
        "new": ("new_users", without_history(many)),
        "last five": ("serving_default", last_five),
        "gaps": ("serving_default", gaps),
        "unknown": ("serving_default", unknown),
        "missing": ("serving_default", missing),
        "nobody": ("serving_default", {k: v[:0] for k, v in many.items()}),
        "nothing to rank": ("serving_default", {**many, "item": many["item"][:, :0]}),
    }


def unknown_impressions(raw: RawRequests) -> tuple[pd.DataFrame, Request]:
    """Impressions of two users and two items that are not in the dataset, and of a user who keeps their history."""
    impressions = raw.test.iloc[:4].copy()
    for name in PROFILE:
        impressions[name] = [1, 1, 2, 1]
    last = len(raw.test) - 1
    impressions["user"] = [-5, -5, -6, raw.test["user"].iloc[last]]
    impressions["time"] = raw.test["time"].iloc[last]
    impressions["item"] = [impressions["item"].iloc[0], 10**9, 10**9 + 1, impressions["item"].iloc[3]]
    impressions["pid"] = ["", "?", *impressions["pid"].iloc[2:]]
    request = raw.request(impressions, np.zeros(4, bool))
    for name in PROFILE:
        request[f"user_{name}"][:3] = [1, 1, 2]
    return impressions, request


def around_last_behavior(raw: RawRequests, run: RunFolder) -> tuple[pd.DataFrame, Request]:
    """A user at the time of a behavior that differs from the one before it, and a second later."""
    dataset = raw.dataset
    has_history = ~drawn_as_new(dataset, run.config) & (dataset.earlier_behaviors("test") > 1)
    time = dataset.column("behaviors", "time")
    for row in np.flatnonzero(has_history):
        end = int(dataset.column("test", "history_end")[row])
        if time[end - 1] > time[end - 2] and dataset.column("behaviors", "cate")[end - 1] != 1:
            impressions = raw.test.take([row, row]).reset_index(drop=True)
            impressions["time"] = [time[end - 1], time[end - 1] + 1]
            return impressions, raw.request(impressions, np.zeros(2, bool))
    raise AssertionError("no such user")


#: Requests of two users and seven candidates: signature, inputs that are cut to a shape, and the server's error.
MISFITS: dict[str, tuple[str, dict[str, tuple[int, ...]], str]] = {
    # These three once killed the server by a division by zero.
    "no user, one item": (
        "serving_default",
        {"user": (0,), "user_": (0,), "history": (0,), "context": (0,), "item": (1, 1)},
        "[input 'item' has the shape] [1 1] [Expected] [0 1] [[U, N]: U is that of 'user', N is that of 'item']",
    ),
    "no user is new, one item": (
        "new_users",
        {"user": (0,), "user_": (0,), "context": (0,), "item": (1, 1)},
        "[input 'item' has the shape] [1 1] [Expected] [0 1] [[U, N]: U is that of 'user', N is that of 'item']",
    ),
    "histories of nobody": (
        "serving_default",
        {"history": (0, 3)},
        "[input 'history_cate' has the shape] [0 3] [Expected] [2 3] "
        "[[U, T]: U is that of 'user', T is that of 'history_cate']",
    ),
    "nobody's context": (
        "serving_default",
        {"context": (0,)},
        "[input 'context_pid' has the shape] [0] [Expected] [2] [[U]: U is that of 'user']",
    ),
    "one item row": (
        "serving_default",
        {"item": (1,)},
        "[input 'item' has the shape] [1 7] [Expected] [2 7] [[U, N]: U is that of 'user', N is that of 'item']",
    ),
    "no item row": (
        "serving_default",
        {"item": (0,)},
        "[input 'item' has the shape] [0 7] [Expected] [2 7] [[U, N]: U is that of 'user', N is that of 'item']",
    ),
    "one of each attribute": (
        "serving_default",
        {"user_": (1,)},
        "[input 'user_cms_segid' has the shape] [1] [Expected] [2] [[U]: U is that of 'user']",
    ),
    "one time": (
        "serving_default",
        {"context_time": (1,)},
        "[input 'context_time' has the shape] [1] [Expected] [2] [[U]: U is that of 'user']",
    ),
    "one history": (
        "serving_default",
        {"history": (1, 3)},
        "[input 'history_cate' has the shape] [1 3] [Expected] [2 3] "
        "[[U, T]: U is that of 'user', T is that of 'history_cate']",
    ),
    "a short category": (
        "serving_default",
        {"history": (2, 3), "history_cate": (2, 2)},
        "[input 'history_brand' has the shape] [2 3] [Expected] [2 2] "
        "[[U, T]: U is that of 'user', T is that of 'history_cate']",
    ),
    "a short action": (
        "known_users",
        {"history": (2, 3), "history_action": (2, 2)},
        "[input 'history_action' has the shape] [2 2] [Expected] [2 3] "
        "[[U, T]: U is that of 'user', T is that of 'history_cate']",
    ),
    "a short price": (
        "item_features",
        {"item_price": (2, 6)},
        "[input 'item_price' has the shape] [2 6] [Expected] [2 7] [[U, N]: U is that of 'user', N is that of 'item']",
    ),
    "a short feature": (
        "item_features",
        {"item_cate": (2, 6)},
        "[input 'item_cate' has the shape] [2 6] [Expected] [2 7] [[U, N]: U is that of 'user', N is that of 'item']",
    ),
}


def misfit_requests(raw: RawRequests) -> dict[str, tuple[str, Request]]:
    """The requests of MISFITS: signature and inputs."""
    variants = request_variants(raw)
    names = {signature: name for name, (signature, _) in reversed(variants.items())}
    requests = {}
    for key, (signature, cuts, _) in MISFITS.items():
        request = {name: np.repeat(value, 2, axis=0) for name, value in variants[names[signature]][1].items()}
        for start, shape in cuts.items():
            for name in request:
                if name == start or (name.startswith(start) and start in {"user_", "history", "context"}):
                    request[name] = request[name][tuple(slice(size) for size in shape)]
        requests[key] = signature, request
    return requests
