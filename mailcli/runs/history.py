"""history.jsonl of a run: one line per step of training and per validation."""

from __future__ import annotations

import json
from collections.abc import Callable
from numbers import Real
from pathlib import Path
from typing import Any

from mailcli.errors import MailError
from mailcli.runs.remedy import TRAIN_AGAIN

#: The key of a line that is a validation: the step that it follows.
VALIDATED_STEP = "after_step"
_USERS = ("new", "old", "all")


def read_history(path: Path) -> list[dict[str, Any]]:
    """All lines of a file (MailError, with the line's number, if one is damaged)."""
    return _read(path)


def read_validation_curve(path: Path) -> list[dict[str, Any]]:
    """For each validation its epoch, its step, and the AUC of new, old and all users; empty without a loop.

    Raises:
        MailError: a validation is damaged; the line's number is named.
    """
    marker = f'"{VALIDATED_STEP}"'.encode()
    # There is a line for every step of training, and few validations; the last one may not be whole yet.
    return _read(path, lambda line: marker in line and line.endswith(b"\n"), _point)


def check_history(path: Path) -> None:
    """Refuse a file with a damaged line (MailError); nothing of it is kept in memory."""
    with open(path, "rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                dict(json.loads(line.decode("utf-8")))
            except (ValueError, TypeError, RecursionError) as error:
                raise _damaged(path, number, str(error)) from error
            if not line.endswith(b"\n"):
                raise _damaged(path, number, "it is cut off")


def _read(
    path: Path,
    is_wanted: Callable[[bytes], bool] = bool,
    convert: Callable[[dict[str, Any]], dict[str, Any]] = dict,
) -> list[dict[str, Any]]:
    if not path.exists():
        raise MailError(
            f"{path.parent}: holds no {path.name}, so the losses and validations of its training are not known. "
            "Expected the folder of the run itself, not a copy of its small files."
        )
    lines = []
    with open(path, "rb") as file:
        for number, line in enumerate(file, start=1):
            if is_wanted(line):
                try:
                    lines.append(convert(json.loads(line.decode("utf-8"))))
                except (ValueError, TypeError, AttributeError, RecursionError) as error:
                    raise _damaged(path, number, str(error)) from error
                except KeyError as error:
                    raise _damaged(path, number, f"it has no key {error}") from error
    return lines


def _damaged(path: Path, number: int, reason: str) -> MailError:
    return MailError(f"{path}, line {number}: is damaged ({reason}). Expected what training wrote there. {TRAIN_AGAIN}")


def _point(line: dict[str, Any]) -> dict[str, Any]:
    """A point of the curve (KeyError, TypeError, AttributeError or ValueError if a line is no validation)."""
    aucs = {users: line["validation"].get(users, {}).get("AUC") for users in _USERS}
    point = {"epoch": line["epoch"], "step": line[VALIDATED_STEP], **aucs}
    for name, value in point.items():
        if not isinstance(value, Real) and not (value is None and name in _USERS):
            raise ValueError(f"{name} is {value!r}, not a number")
    return point
