"""Sizes of memory as options take them."""

from __future__ import annotations

import pytest

from mailcli.errors import MailError
from mailcli.utils.sizes import parse_size, size_text


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("2GB", 2_000_000_000),
        ("500MB", 500_000_000),
        ("64KB", 64_000),
        ("1.5 kb", 1500),
        (" 9TB ", 9_000_000_000_000),
        ("0.001KB", 1),
    ],
)
def test_decimal_units(text: str, size: int) -> None:
    assert parse_size(text, "--memory-limit") == size


@pytest.mark.parametrize("text", ["", "2", "GB", "-1GB", "0GB", "0.0001KB", "1e3GB", f"{320 * '9'}GB", "10000000TB"])
def test_others_are_refused(text: str) -> None:
    with pytest.raises(MailError) as error:
        parse_size(text, "--memory-limit")
    assert error.value.message.startswith("--memory-limit is '")
    assert error.value.message.endswith(". Expected a size such as 2GB or 500MB.")
    assert len(error.value.message) < 140


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (36_000_000, "36 MB"), (9_940_000, "9.9 MB"), (2 * 10**9, "2.0 GB")],
)
def test_a_size_in_a_text(number: int, text: str) -> None:
    assert size_text(number) == text
