"""The finished stages of a long job, kept on disk: an interrupted job that is started again resumes after them.

A stage is a folder that receives its name when it is complete, so a folder with a stage's name is a finished stage.
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mailcli.utils.files import PARTIAL_PREFIX, make_folder_atomically, remove, write_atomically
from mailcli.utils.parsing import read_json

logger = logging.getLogger(__name__)


#: Raised whenever a stage of an older version could be misread.
FORMAT = 3
_KEY = "key.json"
_TEMP = "temp"


class ResumableStages:
    """The stages of one job.

    Args:
        folder: holds the stages and nothing else.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.temp = folder / _TEMP
        """A folder for temporary files; it is emptied when a job starts."""
        self.has_begun = False
        """Whether the stages are those of this job; before `begin`, they are an earlier one's."""

    def open(self) -> None:
        """Make the folders, and delete what an interrupted run did not finish."""
        self.folder.mkdir(exist_ok=True)
        for path in self.folder.iterdir():
            if path.name == _TEMP or path.name.startswith(PARTIAL_PREFIX):
                remove(path)
        self.temp.mkdir()

    def begin(self, key: dict[str, Any]) -> None:
        """Keep the finished stages of an earlier run of the same job; log what is kept, or why nothing is.

        Args:
            key: everything that the stages depend on; its keys are names that the user understands.
        """
        self.has_begun = True
        key = json.loads(json.dumps({"version of the stages": FORMAT, **key}))
        path = self.folder / _KEY
        finished = [stage.name for stage in self._finished()]
        # Without key.json, a run was killed while it deleted its stages: what is left may be incomplete.
        if finished and path.is_file():
            changes = _changes(path, key)
            if changes:
                logger.info(f"Starting over: {changes}.")
            else:
                logger.info(f"Resuming the interrupted preprocessing: {', '.join(finished)} already done.")
                return
        self._delete_key()
        for stage in self._finished():
            shutil.rmtree(stage)
        with write_atomically(path) as partial:
            partial.write_text(json.dumps(key), encoding="utf-8")

    def _finished(self) -> list[Path]:
        no_stages = (_TEMP, PARTIAL_PREFIX)
        stages = [path for path in self.folder.iterdir() if path.is_dir() and not path.name.startswith(no_stages)]
        return sorted(stages, key=lambda path: (path.stat().st_mtime_ns, path.name))

    def run(self, name: str, make: Callable[[Path], object]) -> Path:
        """The folder of a stage; unless it is finished already, `make` fills an empty one."""
        folder = self.folder / name
        if not folder.exists():
            with make_folder_atomically(folder, sync=False) as partial:
                make(partial)
        return folder

    def _delete_key(self) -> None:
        """Call before deleting stages: a stage that is only partly deleted still has its name."""
        (self.folder / _KEY).unlink(missing_ok=True)

    @property
    def any_finished(self) -> bool:
        """Whether at least one stage is finished."""
        return self.folder.is_dir() and bool(self._finished())

    def remove(self) -> None:
        """Delete all stages."""
        self._delete_key()
        shutil.rmtree(self.folder, ignore_errors=True)


def _changes(path: Path, key: dict[str, Any]) -> str:
    """Which keys changed, in words; empty if none did."""
    try:
        old = dict(read_json(path))
    except (OSError, ValueError, TypeError):
        return "the interrupted run's record is unreadable"
    names = [name for name in {**old, **key} if old.get(name) != key.get(name)]
    return f"{', '.join(names)} changed since the interrupted run" if names else ""
