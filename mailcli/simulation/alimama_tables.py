"""The tables of Alimama's raw files, drawn from the simulated world chunk by chunk; quirks of the real files included.

The order of the draws is fixed: the same seed must give the same files.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mailcli.data.derivations import DAY, HOUR
from mailcli.preprocessing.sources.alimama import (
    ACTIONS,
    DAYS,
    FIRST_BEHAVIOR,
    FIRST_IMPRESSION,
    TEST_DAY,
)
from mailcli.simulation.world import (
    AD_BRANDS_PER_CATEGORY,
    ATTRIBUTES,
    BRANDS_PER_CATEGORY,
    IMPRESSIONS_PER_USER,
    INTERESTS,
    Chunk,
    World,
    draw_interests,
)

# Proportions of the published files.
NO_PROFILE = 79_961 / 1_141_729
NO_BEHAVIOR = 5_389 / 1_141_729
NULL_BRAND = 0.29
DUPLICATES = 0.07
ACTION_SHARES = np.array([688.9, 15.9, 9.3, 9.1]) / 723.2
#: Rows of the log per absurd time (ours: half of what --max-bad-rows allows by default).
ROWS_PER_ABSURD_TIME = 2_000
PIDS = ("430548_1007", "430539_1007")
#: Share of impressions on the second of PIDS (ours).
SECOND_PID = 0.4


class SimulatedTestDay(NamedTuple):
    """What is true of some users' impressions on the test day: N impressions of U users."""

    user_ids: NDArray[np.int64]
    """[N], raw ids."""
    user_rows: NDArray[np.int64]
    """[N], rows of the arrays by user below."""
    ad: NDArray[np.int64]
    """[N], the ad's number in the world."""
    click: NDArray[np.int64]
    """[N]"""
    probability: NDArray[np.float32]
    """[N], the true click probability."""
    combination: NDArray[np.int64]
    """[U], the user's combination of attributes, a row of World.means."""
    interests: NDArray[np.int64]
    """[U, INTERESTS], the user's behaviors before the test day by interest, without duplicates."""


class TableChunk(NamedTuple):
    """The rows of some users."""

    users: int
    """How many users."""
    profiles: pa.Table
    behaviors: pa.Table
    impressions: pa.Table
    test_day: SimulatedTestDay


def draw_ads(world: World) -> pa.Table:
    """The ad table."""
    rng = np.random.default_rng([world.settings.seed, 1])
    brand = world.brands(world.ad_category, AD_BRANDS_PER_CATEGORY, rng).astype(str).astype(object)
    brand[rng.random(world.ads) < NULL_BRAND] = "NULL"
    campaign = rng.integers(1, world.ads // 2 + 2, world.ads)
    return pa.table(
        {
            "adgroup_id": np.arange(1, world.ads + 1),
            "cate_id": world.ad_category + 1,
            "campaign_id": campaign,
            # Six customers per ten campaigns; prices are log-normal with median e^5 (ours).
            "customer": campaign * 6 // 10 + 1,
            "brand": brand,
            "price": np.round(np.exp(rng.normal(5, 1.5, world.ads)).clip(0.01, 1e8), 2),
        }
    )


def draw_chunks(world: World) -> Iterator[TableChunk]:
    """The other tables, some users at a time."""
    for chunk in world.chunks():
        # Purchases have their own generator, so that all else is the same without them.
        buy_rng = np.random.default_rng([world.settings.seed, 3, chunk.number]) if world.settings.conversions else None
        impressions, shown = _impressions(world, chunk, buy_rng)
        profiles = _profiles(chunk.ids, chunk.attributes, chunk.rng)
        behaviors, interests = _behaviors(world, chunk)
        test_day = SimulatedTestDay(**shown, combination=chunk.combination, interests=interests)
        yield TableChunk(len(chunk.ids), profiles, behaviors, impressions, test_day)


def _profiles(ids: NDArray, attributes: dict[str, NDArray[np.int64]], rng: np.random.Generator) -> pa.Table:
    rows = np.flatnonzero(rng.random(len(ids)) >= NO_PROFILE)
    columns: dict[str, Any] = {"userid": ids[rows]}
    for name, (_, empty) in ATTRIBUTES.items():
        # These three begin at 0 in the published file, the others at 1.
        first = 0 if name in {"cms_segid", "age_level", "occupation"} else 1
        header = f"{name} " if name == "new_user_class_level" else name
        columns[header] = pa.array(attributes[name][rows] + first, mask=rng.random(len(rows)) < empty)
    return pa.table(columns)


def _behaviors(world: World, chunk: Chunk) -> tuple[pa.Table, NDArray[np.int64]]:
    """The behaviors, and [U, INTERESTS] how many of each user's are of each interest and before the test day."""
    ids, theta, rng = chunk.ids, chunk.theta, chunk.rng
    mean = world.settings.behaviors_per_user
    # Activity differs much between users: a Poisson count with a gamma-distributed rate, shape 2 (ours).
    count = rng.poisson(rng.gamma(2.0, mean / 2, len(ids)))
    count[rng.random(len(ids)) < NO_BEHAVIOR] = 0
    user = np.repeat(np.arange(len(ids)), count)
    category = world.category_sampler.draw(draw_interests(theta[user], rng), rng)
    columns = {
        "user": ids[user],
        "time_stamp": _session_times(user, FIRST_BEHAVIOR, FIRST_IMPRESSION + DAYS * DAY, rng),
        "btag": rng.choice(len(ACTIONS), len(user), p=ACTION_SHARES),
        "cate": category + 1,
        "brand": world.brands(category, BRANDS_PER_CATEGORY, rng),
    }
    # An exact duplicate repeats the row before it.
    duplicate = np.flatnonzero(rng.random(len(user)) < DUPLICATES)
    duplicate = duplicate[(duplicate > 0) & (user[duplicate] == user[duplicate - 1])]
    duplicate = duplicate[~np.isin(duplicate - 1, duplicate)]
    for values in columns.values():
        values[duplicate] = values[duplicate - 1]
    counted = columns["time_stamp"] < FIRST_IMPRESSION + TEST_DAY * DAY
    counted[duplicate] = False
    interests = np.zeros((len(ids), INTERESTS), np.int64)
    np.add.at(interests, (user[counted], world.interest_of_category[category[counted]]), 1)
    # At most two in a chunk, and none if the log is so small that they would exceed the default of --max-bad-rows.
    absurd = np.array((-2_082_686_353, 2_038_000_000))[: len(user) // ROWS_PER_ABSURD_TIME]
    columns["time_stamp"][rng.integers(max(len(user), 1), size=len(absurd))] = absurd
    order = rng.permutation(len(user))
    table = {name: values[order] for name, values in columns.items()}
    btag = pa.DictionaryArray.from_arrays(table["btag"].astype(np.int8), pa.array(ACTIONS)).cast(pa.string())
    return pa.table({**table, "btag": btag}), interests


def _session_times(user: NDArray[np.int64], first: int, end: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Times in bursts of about five: a burst begins anywhere, its steps are 0 to 60 seconds apart (ties included)."""
    is_first = rng.random(len(user)) < 0.2
    is_first |= np.r_[True, user[1:] != user[:-1]][: len(user)]
    begin = rng.integers(first, end - HOUR, len(user))
    step = np.where(is_first, 0, rng.integers(0, 61, len(user)))
    total = np.cumsum(step)
    burst = np.maximum.accumulate(np.where(is_first, np.arange(len(user)), 0))
    return np.minimum(begin[burst] + total - total[burst], end - 1)


def _impressions(
    world: World, chunk: Chunk, buy_rng: np.random.Generator | None
) -> tuple[pa.Table, dict[str, NDArray]]:
    """The impressions, with a column `buy` if there is a generator for it; and by name, the test day's arrays [N]."""
    ids, theta, rng = chunk.ids, chunk.theta, chunk.rng
    user = np.repeat(np.arange(len(ids)), rng.geometric(1 / IMPRESSIONS_PER_USER, len(ids)))
    ad = world.draw_ads(theta[user], rng)
    affinity = world.affinity(world.log_interest(theta[user], ad), ad)
    probability = world.click(affinity)
    click = (rng.random(len(user)) < probability).astype(np.int64)
    pid = pa.array(PIDS).take(pa.array((rng.random(len(user)) < SECOND_PID).astype(np.int64)))
    time = _session_times(user, FIRST_IMPRESSION, FIRST_IMPRESSION + DAYS * DAY, rng)
    table = {
        "user": ids[user],
        "time_stamp": time,
        "adgroup_id": ad + 1,
        "pid": pid,
        "nonclk": 1 - click,
        "clk": click,
    }
    if buy_rng is not None:
        table["buy"] = click * (buy_rng.random(len(user)) < world.buy(affinity))
    test = (time - FIRST_IMPRESSION) // DAY == TEST_DAY
    probability = probability.astype(np.float32)
    shown = {
        "user_ids": ids[user],
        "user_rows": user,
        "ad": ad,
        "click": click,
        "probability": probability,
    }
    return pa.table(table), {name: column[test] for name, column in shown.items()}
