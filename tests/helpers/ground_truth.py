"""The true click probability, computed one pair at a time."""

from __future__ import annotations

import math

from mailcli.simulation.world import World


def slow_click_probability(world: World, user: int, ad: int) -> float:
    """sigmoid(b + (log θ - mean) / std + quality), one pair at a time; `user` and `ad` are raw ids."""
    for chunk in world.chunks():
        if user in chunk.ids:
            theta = chunk.theta[list(chunk.ids).index(user), world.ad_interest[ad - 1]]
            pull = (math.log(theta) - world.mean) / world.std + world.quality[ad - 1]
            return 1 / (1 + math.exp(-world.intercept - pull))
    raise AssertionError(f"no user {user}")
