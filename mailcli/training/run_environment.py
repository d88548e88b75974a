"""environment.json of a finished run, read and checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mailcli.errors import MailError
from mailcli.training.environment import LIBRARIES
from mailcli.utils.parsing import is_number, read_json


def read_environment(path: Path) -> dict[str, Any]:
    """The contents of a run's environment.json; runs of older versions lack some of them.

    Raises:
        MailError: it cannot be read, or a value is not of its kind.
    """
    try:
        contents = read_json(path)
    except (OSError, ValueError) as error:
        raise MailError(f"{path}: cannot be read ({error}). Delete the folder and run again.") from error
    if not isinstance(contents, dict) or not contents or not all(map(_is_valid, contents, contents.values())):
        raise MailError(f"{path}: is damaged. Delete the folder and run again.")
    return contents


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_text, value))


def _are_numbers(value: Any) -> bool:
    return isinstance(value, dict) and all(map(is_number, value.values()))


_CHECKS: Mapping[str, Callable[[Any], bool]] = {
    **dict.fromkeys(("mail", "python", *LIBRARIES, "machine", "finished"), _is_text),
    "commit": lambda value: value is None or _is_text(value),
    **dict.fromkeys(("cores", "threads", "workers", "replicas", "gpus", "seconds"), is_number),
    "instructions": _are_texts,
    "cost": _are_numbers,
}


def _is_valid(key: str, value: Any) -> bool:
    return key not in _CHECKS or _CHECKS[key](value)
