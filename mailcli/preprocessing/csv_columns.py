"""What the columns of a raw CSV file must hold, and how an engine reads and checks their values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from mailcli.errors import quoted
from mailcli.preprocessing.whole_numbers import without_zeros

#: A larger magnitude is a mistake, not a price; this also refuses infinity (ours).
LARGEST_NUMBER = 1e308
_NUMBER = r"^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?$"
#: What decoders write in place of bytes that are not UTF-8.
_REPLACEMENT = "\ufffd"


@dataclass(frozen=True)
class Column:
    """What one column must hold. Whole numbers are written plainly, `12`, or as floats, `12.0`; not `1e1` or `012`."""

    name: str
    type: Literal["bigint", "double", "string"] = "bigint"
    optional: bool = False
    """Whether the field may be missing: empty, or `missing`."""
    missing: str = ""
    """A literal that stands for a missing value, e.g. `NULL`."""
    values: tuple[str, ...] = ()
    """The only texts allowed; empty: any."""
    at_least: int | None = None
    """Smallest number allowed."""
    below: int | None = None
    """Upper bound of whole numbers, exclusive."""

    @property
    def expected(self) -> str:
        """What a value should be, for an error text."""
        if self.values:
            return f"one of {quoted(self.values)}"
        kind = {"bigint": "a whole number", "double": "a number", "string": "UTF-8 text"}[self.type]
        if self.type == "string" and not self.optional:
            kind += ", not empty"
        if self.at_least is not None:
            bounds = f"of {self.at_least} or more"
            if self.below is not None:
                bounds = f"from {self.at_least} to {self.below - 1}"
            kind += f" {bounds}"
        return f"{kind} or nothing" if self.optional else kind

    def typed(self, F: Any, position: str) -> tuple[Any, Any]:
        """The column as the engine reads it.

        Args:
            F: the engine's functions.
            position: name of the text column in the engine's frame, e.g. `c0`.

        Returns:
            (value, fault): the typed value, and whether it is not what the column must hold.
        """
        sql = f"`{position}`"
        if self.type == "bigint":
            sql = without_zeros(sql, matches="{} rlike {}")
        text = F.expr(sql)
        # An empty field is null on one engine and an empty string on another.
        if self.optional:
            text = F.when(~text.isin("", self.missing), text)
        value = text if self.type == "string" else F.expr(f"try_cast({sql} as {self.type})")
        fault = self._fault(F, text, value)
        if self.at_least is not None or self.below is not None:
            # Arithmetic with an absurd number would overflow.
            value = F.when(~fault, value)
        return value, text.isNotNull() & fault if self.optional else text.isNull() | fault

    def _fault(self, F: Any, text: Any, value: Any) -> Any:
        """Whether a text that is not null is faulty."""
        if self.values:
            return ~text.isin(*self.values)
        if self.type == "double":
            # Engines differ in what else they accept as a number: "1d", "infinity", "0x1p3".
            least = -LARGEST_NUMBER if self.at_least is None else self.at_least
            in_range = (value >= F.lit(least)) & (value < F.lit(LARGEST_NUMBER))
            return ~text.rlike(_NUMBER) | F.coalesce(~in_range, F.lit(True))
        if self.type == "string":
            return (text == F.lit("")) | (F.instr(text, _REPLACEMENT) > 0) | text.rlike(r"\x00")
        # Writing the number out again refuses "1.5", "1e3", " 1" and "01" on every engine.
        fault = F.coalesce(value.cast("string") != text, F.lit(True))
        if self.at_least is not None:
            fault = fault | (value < F.lit(self.at_least))
        if self.below is not None:
            fault = fault | (value >= F.lit(self.below))
        return fault


class Rule(NamedTuple):
    """What several columns of a row must satisfy together."""

    columns: tuple[str, ...]
    expected: str
    """For an error text, e.g. `nonclk = 1 - clk`."""
    violated: Callable[[Any], Any]
    """From the engine's functions to a column that is true where the rule does not hold."""
