"""Sizes of memory and files, as options take them and texts show them."""

from __future__ import annotations

import re
from decimal import Decimal

from mailcli.errors import MailError, shorten

#: The first size that no machine has (ours: 64-bit integers end there).
_LIMIT = 1 << 63
_SIZE = re.compile(r"(\d+(?:\.\d+)?) ?([KMGT]B)", re.IGNORECASE)


def parse_size(text: str, option: str) -> int:
    """Bytes of a size such as `2GB` or `500MB`, decimal as DuckDB's are.

    Args:
        text: the size.
        option: whose value it is, for the error.

    Raises:
        MailError: the text is not a size.
    """
    match = _SIZE.fullmatch(text.strip())
    size = int(Decimal(match[1]) * 1000 ** ("KMGT".index(match[2][0].upper()) + 1)) if match else 0
    if not 0 < size < _LIMIT:
        raise MailError(f"{option} is {shorten(text)}. Expected a size such as 2GB or 500MB.")
    return size


def size_text(number: int) -> str:
    """`1.2 MB`"""
    for unit, name in ((10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if number >= unit:
            return f"{number / unit:.0f} {name}" if number >= 10 * unit else f"{number / unit:.1f} {name}"
    return f"{number} B"
