"""environment.json of a run: what its result depends on besides its config, versions and machine, and what it cost."""

from __future__ import annotations

import platform
import subprocess
import time
from collections.abc import Callable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from mailcli import __version__
from mailcli.errors import MailError
from mailcli.runs.remedy import TRAIN_AGAIN
from mailcli.utils import hardware
from mailcli.utils.parsing import is_number, read_json
from mailcli.utils.system_errors import unreadable

#: The form of times, in UTC.
TIME_FORMAT = "%Y-%m-%dT%H:%M:%SZ"
#: Libraries on whose version the numbers of a run depend.
_LIBRARIES = ("keras", "numpy", "pandas", "scipy", "scikit-learn", "tensorflow")
#: What the numbers of a run depend on besides its settings.
_VERSIONS = ("mail", "commit", "python", *_LIBRARIES, "machine", "cores", "threads", "instructions")


def environment(seconds: float, devices: Mapping[str, int], cost: Mapping[str, float] | None = None) -> dict[str, Any]:
    """The contents of environment.json: versions and machine, how many seconds the run took, and its `cost`.

    Args:
        seconds: of the whole run, in this process.
        devices: the numbers of workers, replicas and GPUs that made it.
        cost: the number of `parameters`, `training_seconds`, and `scoring_microseconds` per impression.
    """
    return {
        "mail": __version__,
        "commit": _commit(),
        "python": platform.python_version(),
        **{name: metadata.version(name) for name in _LIBRARIES},
        **hardware.describe(),
        **devices,
        "seconds": round(seconds, 1),
        "finished": time.strftime(TIME_FORMAT, time.gmtime()),
        **({"cost": dict(cost)} if cost else {}),
    }


def read_environment(path: Path) -> dict[str, Any]:
    """The contents of a run's environment.json; runs of older versions lack some of them.

    Raises:
        MailError: it cannot be read, or a value is not of its kind.
    """
    try:
        contents = read_json(path)
    except FileNotFoundError as error:
        raise MailError(f"{path}: is missing. {TRAIN_AGAIN}") from error
    except OSError as error:
        raise unreadable(path, error) from error
    except ValueError as error:
        raise MailError(f"{path}: cannot be read ({error}). {TRAIN_AGAIN}") from error
    if not isinstance(contents, dict) or not contents or not all(map(_is_valid, contents, contents.values())):
        raise MailError(f"{path}: is damaged. {TRAIN_AGAIN}")
    return contents


def versions_and_machine(recorded: Mapping[str, Any]) -> dict[str, str]:
    """What a run's numbers depend on besides its settings, as text; without what environment.json does not say."""
    return {
        key: " ".join(value) if isinstance(value, list) else str(value)
        for key in _VERSIONS
        if (value := recorded.get(key)) is not None
    }


def _commit() -> str | None:
    """The commit of the code, if git is installed and a checkout has this file; installed elsewhere, it has none."""
    file = Path(__file__)
    try:
        _git(file.parent, "ls-files", "--error-unmatch", file.name)
        return _git(file.parent, "rev-parse", "HEAD")
    except (OSError, subprocess.CalledProcessError):
        return None


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_text, value))


def _are_numbers(value: Any) -> bool:
    return isinstance(value, dict) and all(map(is_number, value.values()))


_CHECKS: Mapping[str, Callable[[Any], bool]] = {
    **dict.fromkeys(("mail", "python", *_LIBRARIES, "machine", "finished"), _is_text),
    "commit": lambda value: value is None or _is_text(value),
    **dict.fromkeys(("cores", "threads", "workers", "replicas", "gpus", "seconds"), is_number),
    "instructions": _are_texts,
    "cost": _are_numbers,
}


def _is_valid(key: str, value: Any) -> bool:
    return key not in _CHECKS or _CHECKS[key](value)
