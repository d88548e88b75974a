"""Whether one column has one value for each value of another, as a city has for a user."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from mailcli.preprocessing.schema_init.column_profile import ColumnProfile

#: Contradicting rows that independent columns are expected to have; if none of so many occurs, the columns depend on
#: each other (ours: by chance, that has a probability of e^-10).
_EXPECTED_CONTRADICTIONS = 10


def determined_by(key: ColumnProfile, columns: Sequence[ColumnProfile]) -> list[ColumnProfile]:
    """The columns that have one value for each value of a key, though they have several values."""
    return [column for column in columns if column is not key and _is_determined(key, column)]


def _is_determined(key: ColumnProfile, column: ColumnProfile) -> bool:
    if not (key.cells and column.cells) or column.distinct < 2 or column.distinct > key.distinct:
        return False
    first: dict[str, str] = {}
    repeats: Counter[str] = Counter()
    for owner, cell in zip(key.cells, column.cells, strict=True):
        if not owner:
            continue
        if owner not in first:
            first[owner] = cell
        elif first[owner] != cell:
            return False
        else:
            repeats[cell] += 1
    total = repeats.total()
    # A repeated row has another value than its first row with this probability, if values are drawn independently.
    return sum(count * (1 - count / total) for count in repeats.values()) >= _EXPECTED_CONTRADICTIONS
