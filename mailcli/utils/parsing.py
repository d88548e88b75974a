"""TOML and JSON files, read safely, and numbers that JSON can hold."""

from __future__ import annotations

import contextlib
import json
import math
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NoReturn

from mailcli.errors import MailError
from mailcli.utils.system_errors import unreadable


def read_toml(path: Path, remedy: str = "") -> dict[str, Any]:
    """The content of a TOML file (MailError if it cannot be read).

    Args:
        path: of the file.
        remedy: what to do if it is not TOML.
    """
    if _is_no_file(path):
        raise MailError(f"{path}: is not a file. Expected a TOML file of settings.")
    if not path.exists():
        raise MailError(f"{path}: there is no such file. Expected a TOML file.")
    try:
        # With or without the byte order mark that Windows editors write.
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except RecursionError:
        raise MailError(f"{path}: cannot be read as TOML (it is nested too deeply). {remedy}".rstrip()) from None
    except OSError as error:
        raise unreadable(path, error) from error
    except ValueError as error:
        # Not only TOMLDecodeError: a number of 5,000 digits raises another ValueError.
        raise MailError(f"{path}: cannot be read as TOML ({error}). {remedy}".rstrip()) from error


def read_json(path: Path) -> Any:
    """The content of a JSON file.

    Raises:
        OSError, ValueError: it cannot be read, is not a file, is not JSON, contains NaN or infinity, or is nested too
            deeply.
    """

    def refuse(constant: str) -> NoReturn:
        raise ValueError(f"{constant} is not valid JSON")

    if _is_no_file(path):
        raise ValueError("it is not a file")
    try:
        return json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _is_no_file(path: Path) -> bool:
    """Whether a folder, a pipe or a device is there; reading one of the latter might never end."""
    return path.exists() and not path.is_file()


def is_number(value: Any, largest: float = sys.float_info.max) -> bool:
    """Whether a value of a JSON file is a number from 0 to `largest`; neither a boolean, NaN nor infinity is one."""
    return type(value) in {int, float} and 0 <= value <= largest


def numbers_among(texts: Iterable[str]) -> list[float]:
    """The finite numbers among some texts, such as those that stand for a missing value: `-1` is one, `NULL` is not."""
    numbers = []
    for text in texts:
        with contextlib.suppress(ValueError):
            # Python would read 18_24 as 1824.
            numbers.append(math.nan if "_" in text else float(text))
    return [number for number in numbers if math.isfinite(number)]


def none_if_nan(value: float) -> float | None:
    """None, JSON's null, for a metric that is undefined: JSON has no NaN."""
    return None if math.isnan(value) else value
