"""How the values of fields were made from raw ones: kept in dataset.json, so that serving reads as training did."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

from mailcli.data.schema import Group
from mailcli.utils.parsing import numbers_among

#: Fields that may follow from the time.
CLOCKS = ("hour", "weekday")
#: In seconds.
HOUR, DAY = 3600, 86400
DAYS_PER_WEEK = 7
#: Edges that a message names (ours: it stays one line).
_MOST_EDGES = 5


@dataclass(frozen=True)
class Derivation:
    """How the values of one field follow from raw ones; by default they are the raw ones."""

    edges: tuple[float, ...] = ()
    """Lower ends of all buckets but the first. A value is the number of its bucket: how many edges it reaches."""
    clock: str = ""
    """One of CLOCKS: the value follows from the time of the impression."""
    origin: int = 0
    """Seconds since 1970 at which an hour 0 of a weekday 0 begins."""
    missing: tuple[str, ...] = ()
    """Strings that stand for a missing value, besides the empty one."""

    @property
    def missing_numbers(self) -> list[float]:
        """The numbers among `missing`."""
        return numbers_among(self.missing)

    @property
    def edges_text(self) -> str:
        """The first edges, for people."""
        shown = ", ".join(f"{edge:.15g}" for edge in self.edges[:_MOST_EDGES])
        return f"{shown}, ..." if len(self.edges) > _MOST_EDGES else shown

    def of_time(self, time: Any) -> Any:
        """The values of a clock at some times in seconds since 1970: a NumPy array or a tensor, of whole numbers."""
        local = time - self.origin
        return local % DAY // HOUR if self.clock == "hour" else local // DAY % DAYS_PER_WEEK

    def to_json(self) -> dict[str, Any]:
        """What differs from the default, as plain lists and strings."""
        clock = {"clock": self.clock, "origin": self.origin} if self.clock else {}
        lists = {"edges": [*map(float, self.edges)], "missing": [*self.missing]}
        return {name: values for name, values in lists.items() if values} | clock


#: A field whose values are the raw ones.
RAW = Derivation()
Derivations = Mapping[Group | Literal["dense"], Mapping[str, Derivation]]
"""By group and field, or by `dense` and the name of a number; what is not named has the raw values."""


def derivations_to_json(derivations: Derivations) -> dict[str, dict[str, Any]]:
    """Derivations as dataset.json keeps them."""
    groups = {
        group: {name: json for name, derivation in fields.items() if (json := derivation.to_json())}
        for group, fields in derivations.items()
    }
    return {group: fields for group, fields in groups.items() if fields}


def derivations_from_json(data: Mapping[str, Any]) -> dict[str, dict[str, Derivation]]:
    """The inverse of `derivations_to_json` (KeyError, TypeError or ValueError: `data` is something else)."""
    return {
        group: {name: _from_json(**definition) for name, definition in fields.items()} for group, fields in data.items()
    }


def _from_json(
    edges: list[float] | None = None, clock: str = "", origin: int = 0, missing: list[str] | None = None
) -> Derivation:
    ends, texts = edges or [], missing or []
    is_valid = (
        all(type(end) in {int, float} and math.isfinite(end) for end in ends)
        and all(low < high for low, high in pairwise(ends))
        and clock in {"", *CLOCKS}
        and type(origin) is int
        and all(isinstance(text, str) for text in texts)
    )
    if not is_valid:
        raise ValueError("no derivation")
    return Derivation(tuple(ends), clock, origin, tuple(texts))
