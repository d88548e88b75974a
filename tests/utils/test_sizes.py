"""Sizes of memory as options take them."""

from __future__ import annotations

import pytest

from mailcli.errors import MailError
from mailcli.utils.sizes import parse_size


@pytest.mark.parametrize(
    ("text", "size"), [("2GB", 2_000_000_000), ("1.5 kb", 1500), (" 9TB ", 9_000_000_000_000), ("0.001KB", 1)]
)
def test_decimal_units(text: str, size: int) -> None:
    assert parse_size(text, "--max-memory") == size


@pytest.mark.parametrize("text", ["", "2", "GB", "-1GB", "0GB", "0.0001KB", "1e3GB", f"{320 * '9'}GB", "10000000TB"])
def test_others_are_refused(text: str) -> None:
    with pytest.raises(MailError) as error:
        parse_size(text, "--max-memory")
    assert error.value.message.startswith("--max-memory is '")
    assert error.value.message.endswith(". Expected a size such as 2GB or 500MB.")
    assert len(error.value.message) < 140
