"""A table of a TOML file, read key by key: what is wrong is noted with its key, unknown keys at the end."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from typing import Any

from mailcli.errors import did_you_mean, quoted, shorten


def is_told(faults: Iterable[str], key: str) -> bool:
    """Whether one of the faults is of a key, or of one in its table."""
    return any(fault.startswith((f"{key} ", f"{key}:", f"{key}.")) for fault in faults)


class Section:
    """One table. Of each key the first fault is noted: what else is wrong with it follows from that.

    Args:
        given: its keys and values; anything else is noted, and counts as an empty table of which nothing is noted; as
            does None, a table that is missing, without a note.
        name: its own key, dotted; empty for the whole file.
        faults: takes what is wrong.
    """

    def __init__(self, given: Any, name: str, faults: list[str]) -> None:
        self.name = name
        self.given: dict[str, Any] = given if isinstance(given, dict) else {}
        self.faults = faults if isinstance(given, dict) else []
        if given is not None and not isinstance(given, dict):
            faults.append(f"{name} = {shorten(given)}: expected a table")
        self._known: set[str] = set()
        self._wrong: set[str] = set()

    def path(self, key: str) -> str:
        """A key of this table, from the file's top."""
        return ".".join(part for part in (self.name, key) if part)

    def fault(self, key: str, expected: str, found: str = "") -> None:
        """Note that a key's value is not what was expected, unless it is known to be wrong."""
        if key in self._wrong:
            return
        self._wrong.add(key)
        value = self.given.get(key) if key else self.given
        held = f" = {shorten(value)}" if value is not None and not found else ""
        self.faults.append(f"{self.path(key)}{held}: expected {expected}")

    def peek(self, key: str) -> Any:
        """A key's value as it is; None where it is missing."""
        self._known.add(key)
        return self.given.get(key)

    def take(self, key: str) -> Any:
        """A needed key's value as it is, None and a fault where it is missing."""
        if key not in self.given and key not in self._wrong:
            self.faults.append(f"{self.path(key)} is missing")
            self._wrong.add(key)
        return self.peek(key)

    def _get(self, key: str, required: bool) -> Any:
        return self.take(key) if required else self.peek(key)

    def text(self, key: str, default: str = "", required: bool = False) -> str:
        """A text; of a needed one, not empty."""
        value = self._get(key, required)
        if value is None:
            return default
        if not isinstance(value, str) or (required and not value):
            self.fault(key, "a text")
            return default
        return value

    def texts(self, key: str, required: bool = False) -> tuple[str, ...]:
        """A text or a list of texts, in which whole numbers will do."""
        value = self._get(key, required)
        if value is None:
            return ()
        each = value if isinstance(value, list) else [value]
        if not each or not all(isinstance(one, str | int) and not isinstance(one, bool) for one in each):
            self.fault(key, "a text, or a list of texts")
            return ()
        return tuple(map(str, each))

    def choice(self, key: str, known: Sequence[str], default: str, required: bool = False) -> str:
        """One of a few texts."""
        value = self._get(key, required)
        if value is None:
            return default
        if value not in known:
            hint = did_you_mean(value, known) if isinstance(value, str) else ""
            self.fault(key, f"one of {quoted(known)}.{hint}".removesuffix("."))
            return default
        return str(value)

    def number(self, key: str, default: float, whole: bool = False, required: bool = False) -> float:
        """A number."""
        value = self._get(key, required)
        if value is None:
            return default
        if not _is_number(value) or (whole and not isinstance(value, int)):
            self.fault(key, "a whole number" if whole else "a number")
            return default
        return value

    def numbers(self, key: str) -> tuple[float, ...]:
        """A list of numbers."""
        value = self._get(key, False)
        if value is None:
            return ()
        if not isinstance(value, list) or not all(map(_is_number, value)):
            self.fault(key, "a list of numbers")
            return ()
        return tuple(map(float, value))

    def flag(self, key: str) -> bool:
        """True or false; false where it is missing."""
        value = self._get(key, False)
        if value is not None and not isinstance(value, bool):
            self.fault(key, "true or false")
        return value is True

    def regex(self, key: str) -> str:
        """A regular expression with one group, whose text is the value."""
        text = self.text(key)
        try:
            if not text or re.compile(text).groups == 1:
                return text
            self.fault(key, "a regular expression with one group ( ), whose text is the value")
        except re.error as error:
            self.fault(key, f"a regular expression ({error})")
        return ""

    def section(self, key: str, required: bool = False) -> Section:
        """A table in this one; an empty one where it is missing."""
        value = self._get(key, required)
        return Section(value if value is not None or required else {}, self.path(key), self.faults)

    def sections(self, key: str) -> list[Section]:
        """A list of tables."""
        value = self._get(key, False)
        return [Section(each, self.path(f"{key}[{place}]"), self.faults) for place, each in enumerate(value)]

    def done(self) -> None:
        """Note the keys that nobody asked for."""
        for key in self.given:
            if key not in self._known:
                hint = did_you_mean(key, self._known - set(self.given))
                self.faults.append(f"{self.path(key)}: unknown key.{hint}".removesuffix("."))


def _is_number(value: Any) -> bool:
    """Whether a value is a number that fits into a double."""
    try:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:
        return False
