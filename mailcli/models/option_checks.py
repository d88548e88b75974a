"""Checks of the options of rankers and methods, for their constructors."""

from __future__ import annotations


def check_rates(**rates: float) -> None:
    """Refuse rates of dropout and the like outside of [0, 1) (ValueError)."""
    for name, rate in rates.items():
        if not 0 <= rate < 1:
            raise ValueError(f"`{name}` should be at least 0 and below 1. Received: {rate}")


def check_least(least: int, **numbers: int) -> None:
    """Refuse numbers below `least` (ValueError)."""
    for name, number in numbers.items():
        if number < least:
            raise ValueError(f"`{name}` should be {least} or more. Received: {number}")
