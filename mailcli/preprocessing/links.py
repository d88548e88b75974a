"""One rule for every link between two tables: ids, keys or field values of one that must occur in the other.

No common value is an error, since ids written differently are read without any other sign; few are a note.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from mailcli.errors import MailError, shorten

logger = logging.getLogger(__name__)

#: Share of values that may be missing from the other table without a note (ours; in Ali_Display_Ad_Click, one user in
#: 20 lacks a row).
MAX_MISSING = 0.2


@dataclass(frozen=True)
class Link:
    """How many distinct values of one table occur in another."""

    path: Path
    """The file with the values."""
    values: str
    """What they are: "user of the impressions"."""
    target: str
    """Where each should occur: "users.csv"."""
    count: int
    """The number of distinct values."""
    missing: int
    """How many of them do not occur there."""
    example: object
    """One of the missing; None if there is none."""
    target_example: object
    """A value that does occur in the other table; None if it has none."""
    plural: str = ""
    """Several of them: "users of the impressions"; empty for values of a column."""


def check_link(link: Link) -> None:
    """Log a note if many values are missing from the other table (MailError: all are)."""
    if not link.count:
        return
    there = (
        f"values there look like {shorten(link.target_example)}"
        if link.target_example is not None
        else "there is no value there"
    )
    if link.missing == link.count:
        raise MailError(
            f"{link.path}: no {link.values} is in {link.target}, for example {shorten(link.example)}; {there}. "
            "They must be written the same way in both."
        )
    if link.missing > MAX_MISSING * link.count:
        logger.warning(
            f"Note: {link.missing:,} of {link.count:,} distinct {link.plural or f'values of {link.values}'} "
            f"({link.missing / link.count:.2%}) are not in {link.target}, for example {shorten(link.example)}; {there}."
        )
