"""The numbers of known behaviors that `--known` gives."""

from __future__ import annotations

from mailcli.cli._tables import split_names
from mailcli.errors import MailError, quoted


def parse_known(text: str) -> list[int]:
    """`"0, 1, 5"` -> `[0, 1, 5]`, ascending (MailError)."""
    names = split_names(text)
    wrong = [name for name in names if not (name.isascii() and name.isdigit() and len(name) <= 9)]
    if wrong:
        raise MailError(
            f"--known {text}: {quoted(wrong[:1])} is not a number of behaviors. Expected whole numbers from 0, "
            "separated by commas, e.g. 0,1,2,5,10,30."
        )
    return sorted(set(map(int, names)))
