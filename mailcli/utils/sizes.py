"""Sizes of memory, as options take them."""

from __future__ import annotations

import re

from mailcli.errors import MailError

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
    if not match or float(match[1]) <= 0:
        raise MailError(f"{option} is {text!r}. Expected a size such as 2GB or 500MB.")
    return int(float(match[1]) * 1000 ** ("KMGT".index(match[2][0].upper()) + 1))
