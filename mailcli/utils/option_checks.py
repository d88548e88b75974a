"""Checks of the options of rankers and methods, for their constructors; the reference of all settings reads them."""

from __future__ import annotations

#: What `check_rates` expects.
RATE = "at least 0 and below 1"


def at_least(least: int) -> str:
    """What `check_least` expects."""
    return f"{least} or more"


def check_rates(**rates: float) -> None:
    """Refuse rates of dropout and the like outside of [0, 1) (ValueError)."""
    for name, rate in rates.items():
        if not 0 <= rate < 1:
            raise ValueError(f"`{name}` should be {RATE}. Received: {rate}")


def check_least(least: int, **numbers: int) -> None:
    """Refuse numbers below `least` (ValueError)."""
    for name, number in numbers.items():
        if number < least:
            raise ValueError(f"`{name}` should be {at_least(least)}. Received: {number}")
