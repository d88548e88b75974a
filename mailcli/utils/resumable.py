"""The finished steps of a long job, kept on disk: the same job, interrupted and started again, goes on from them.

A stage is a folder that is renamed to its name when it is whole, so what bears a stage's name is finished.
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mailcli.utils.files import PARTIAL_PREFIX, write_atomically

logger = logging.getLogger(__name__)


#: Raised whenever a stage of an older version could be misread.
FORMAT = 1
_KEY = "key.json"
_TEMP = "temp"


class ResumableStages:
    """The stages of one job.

    Args:
        folder: where they are; nothing else may be in it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.temp = folder / _TEMP
        """A folder for what need not outlive the run; empty at its start."""

    def open(self) -> None:
        """Make the folders, and drop what an interrupted run did not finish."""
        self.folder.mkdir(exist_ok=True)
        for path in self.folder.iterdir():
            if path.name == _TEMP or path.name.startswith(PARTIAL_PREFIX):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        self.temp.mkdir()

    def begin(self, key: dict[str, Any]) -> None:
        """Keep an earlier run's stages if it was the same job; say on stderr what is kept, or why nothing is.

        Args:
            key: all that the stages depend on, by the name to tell the user.
        """
        key = json.loads(json.dumps({"version of the stages": FORMAT, **key}))
        path = self.folder / _KEY
        finished = [stage.name for stage in self._finished()]
        # Without its record, a kill came while an older run's stages were deleted: what is left may not be whole.
        if finished and path.is_file():
            changed = _changed(path, key)
            if changed:
                logger.info(f"Starting over after an interrupted run: {changed}.")
            else:
                logger.info(f"Going on with an interrupted run: {', '.join(finished)} done already.")
                return
        self._forget()
        for stage in self._finished():
            shutil.rmtree(stage)
        with write_atomically(path) as partial:
            partial.write_text(json.dumps(key), encoding="utf-8")

    def _finished(self) -> list[Path]:
        stages = [path for path in self.folder.iterdir() if path.is_dir() and path.name != _TEMP]
        return sorted(stages, key=lambda path: (path.stat().st_mtime_ns, path.name))

    def run(self, name: str, make: Callable[[Path], object]) -> Path:
        """The folder of a stage, made by `make` in an empty one unless it is finished already."""
        folder = self.folder / name
        if not folder.exists():
            partial = self.folder / f"{PARTIAL_PREFIX}{name}"
            partial.mkdir()
            make(partial)
            partial.rename(folder)
        return folder

    def _forget(self) -> None:
        """Before a stage is deleted: a stage that is deleted in part still bears its name."""
        (self.folder / _KEY).unlink(missing_ok=True)

    @property
    def any(self) -> bool:
        """Whether a stage is finished."""
        return self.folder.is_dir() and bool(self._finished())

    def remove(self) -> None:
        """Drop everything."""
        self._forget()
        shutil.rmtree(self.folder, ignore_errors=True)


def _changed(path: Path, key: dict[str, Any]) -> str:
    """What is not as it was, in words; empty where nothing differs."""
    try:
        old = dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return "its record cannot be read"
    names = [name for name in {**old, **key} if old.get(name) != key.get(name)]
    return ", ".join(names) + (" changed" if names else "")
