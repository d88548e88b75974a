"""A TOML table, read key by key: each fault is recorded with its key, unknown keys at the end."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from mailcli.errors import MailError, did_you_mean, quoted, shorten
from mailcli.utils.validation import NUMBER


def faulty_keys(faults: Iterable[str]) -> set[str]:
    """The keys that faults are about, and the tables that contain them."""
    keys = {re.split(" = |: | is missing", fault, maxsplit=1)[0] for fault in faults}
    return {key[:end] for key in keys for end in (len(key), *(match.start() for match in re.finditer("[ :.]", key)))}


def has_fault(faults: Iterable[str], key: str) -> bool:
    """Whether one of the faults is about a key, or about a key inside its table."""
    return any(fault.startswith((f"{key} ", f"{key}:", f"{key}.")) for fault in faults)


def check_texts(path: Path, value: Any, key: str = "") -> None:
    """Refuse the character U+0000 in keys and texts (MailError): no library takes it.

    Args:
        path: the file.
        value: its content, or what one of its keys holds.
        key: that key, dotted from the top of the file.
    """
    if isinstance(value, dict):
        for name, inner in value.items():
            check_texts(path, name, f"{key}.{name}".removeprefix("."))
            check_texts(path, inner, f"{key}.{name}".removeprefix("."))
    elif isinstance(value, list):
        for inner in value:
            check_texts(path, inner, key)
    elif isinstance(value, str) and "\0" in value:
        raise MailError(f"{path}: {key} = {shorten(value)}: expected a string without the character U+0000. Remove it.")


class TomlTable:
    """One table. Only the first fault of each key is recorded, since the others usually follow from it.

    Args:
        values: its keys and values. Anything but a table is a fault and counts as an empty table without further
            faults; so does None, a missing table, but without a fault of its own.
        name: its own key, dotted; empty for the whole file.
        faults: the list to which faults are added.
    """

    def __init__(self, values: Any, name: str, faults: list[str]) -> None:
        self.name = name
        self.values: dict[str, Any] = values if isinstance(values, dict) else {}
        self.faults = faults if isinstance(values, dict) else []
        if values is not None and not isinstance(values, dict):
            faults.append(f"{name} = {shorten(values)}: expected a table")
        self._known: set[str] = set()
        self._wrong: set[str] = set()

    def path(self, key: str) -> str:
        """A key of this table, dotted from the top of the file."""
        return ".".join(part for part in (self.name, key) if part)

    def fault(self, key: str, expected: str, with_value: bool = True) -> None:
        """Record that a key does not hold what was expected, unless it already has a fault."""
        if key in self._wrong:
            return
        self._wrong.add(key)
        value = self.values.get(key) if key else self.values
        actual = f" = {shorten(value)}" if value is not None and with_value else ""
        self.faults.append(f"{self.path(key)}{actual}: expected {expected}")

    def get(self, key: str) -> Any:
        """The value of a key; None if it is missing."""
        self._known.add(key)
        return self.values.get(key)

    def require(self, key: str) -> Any:
        """The value of a required key; None and a fault if it is missing."""
        if key not in self.values and key not in self._wrong:
            self.faults.append(f"{self.path(key)} is missing")
            self._wrong.add(key)
        return self.get(key)

    def _read(self, key: str, required: bool) -> Any:
        return self.require(key) if required else self.get(key)

    def string(self, key: str, default: str = "", required: bool = False) -> str:
        """A string; a required one must not be empty."""
        value = self._read(key, required)
        if value is None:
            return default
        if not isinstance(value, str) or (required and not value):
            self.fault(key, "a string")
            return default
        return value

    def strings(self, key: str, required: bool = False) -> tuple[str, ...]:
        """A string or a list of strings; whole numbers are accepted as strings."""
        return tuple(map(str, self.strings_or_whole_numbers(key, required)))

    def strings_or_whole_numbers(self, key: str, required: bool = False) -> tuple[str | int, ...]:
        """A string or a whole number, or a list of them."""
        value = self._read(key, required)
        if value is None:
            return ()
        parts = value if isinstance(value, list) else [value]
        if not parts or not all(isinstance(part, str | int) and not isinstance(part, bool) for part in parts):
            self.fault(key, "a string or a whole number, or a list of these")
            return ()
        return tuple(parts)

    def choice(self, key: str, known: Sequence[str], default: str, required: bool = False) -> str:
        """One of a few strings."""
        value = self._read(key, required)
        if value is None:
            return default
        if value not in known:
            hint = did_you_mean(value, known) if isinstance(value, str) else ""
            self.fault(key, f"one of {quoted(known)}.{hint}".removesuffix("."))
            return default
        return str(value)

    def number(self, key: str, default: float, whole: bool = False, required: bool = False) -> float:
        """A number."""
        value = self._read(key, required)
        if value is None:
            return default
        if not NUMBER.accepts(value) or (whole and not isinstance(value, int)):
            self.fault(key, "a whole number" if whole else "a number")
            return default
        return value

    def numbers(self, key: str) -> tuple[float, ...]:
        """A list of numbers."""
        value = self.get(key)
        if value is None:
            return ()
        if not isinstance(value, list) or not all(map(NUMBER.accepts, value)):
            self.fault(key, "a list of numbers")
            return ()
        return tuple(map(float, value))

    def flag(self, key: str) -> bool:
        """True or false; false if it is missing."""
        value = self.get(key)
        if value is not None and not isinstance(value, bool):
            self.fault(key, "true or false")
        return value is True

    def regex(self, key: str) -> str:
        """A regular expression with one group, whose text is the value."""
        text = self.string(key)
        try:
            if not text or re.compile(text).groups == 1:
                return text
            self.fault(key, "a regular expression with one group ( ), whose text is the value")
        except re.error as error:
            self.fault(key, f"a regular expression ({error})")
        return ""

    def table(self, key: str, required: bool = False) -> TomlTable:
        """A table inside this one; an empty one if it is missing."""
        value = self._read(key, required)
        return TomlTable(value if value is not None or required else {}, self.path(key), self.faults)

    def check_unknown_keys(self) -> None:
        """Record the keys that nobody has read."""
        missing = self._known - set(self.values)
        for key in self.values:
            if key not in self._known:
                hint = did_you_mean(key, missing)
                self.faults.append(f"{self.path(key)}: unknown key.{hint}".removesuffix("."))
