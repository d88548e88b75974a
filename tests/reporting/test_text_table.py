"""Numbers as tables print them."""

from __future__ import annotations

import math

import pytest

from mailcli.reporting.cell_texts import p_text
from mailcli.reporting.text_table import signed, unsigned


@pytest.mark.parametrize(
    ("number", "without_sign", "with_sign"),
    [
        (0.58624, ".5862", "+.5862"),
        (0.0, ".0000", "+.0000"),
        (1.0, "1.0000", "+1.0000"),
        (10.25, "10.2500", "+10.2500"),
        (None, "-", "-"),
        (math.nan, "-", "-"),
    ],
)
def test_numbers(number: float | None, without_sign: str, with_sign: str) -> None:
    assert (unsigned(number), signed(number)) == (without_sign, with_sign)


def test_negative_numbers() -> None:
    assert [signed(number) for number in (-0.01234, -10.25, -0.00001)] == ["-.0123", "-10.2500", "-.0000"]


def test_p_values() -> None:
    assert [f"p {p_text(p)}" for p in (0.0004, 0.0184, 1.0)] == ["p <.001", "p .018", "p 1.000"]
