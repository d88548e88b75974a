"""Finds run folders."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

from mailcli.errors import MailError, did_you_mean
from mailcli.runs.folder import CONFIG, RESULT


def run_folders(top: Path, names: Collection[str] = (CONFIG, RESULT)) -> list[Path]:
    """The folders of all runs below a folder, also behind links, by path and seed; the folder need not exist.

    Folders that vanish meanwhile are left out.

    Args:
        top: the folder of the runs.
        names: files of which a run holds at least one.
    """
    runs: dict[str, Path] = {}
    tops, seen = [top], set[str]()
    while tops:
        for folder, subfolders, files in os.walk(tops.pop()):
            path, real = Path(folder), os.path.realpath(folder)
            is_run = path.name.startswith("seed-") and not set(names).isdisjoint(files)
            if is_run:
                runs.setdefault(real, path)
            if is_run or real in seen:
                subfolders.clear()
            seen.add(real)
            # Links come last: a run has its own path where a link leads to it, too.
            tops[:0] = [path / name for name in subfolders if (path / name).is_symlink()]
    return sorted(runs.values(), key=lambda run: (run.parent, _seed(run)))


def _seed(folder: Path) -> tuple[int, str]:
    """The folder's place among those of its cell: seed 10 comes after seed 9."""
    number = folder.name.removeprefix("seed-")
    return (int(number) if number.isascii() and number.isdigit() else -1), number


def check_is_run(folder: Path, names: Collection[str] = (CONFIG, RESULT)) -> None:
    """Refuse a folder that holds none of the given files of a run, finished or not (MailError)."""
    if not folder.exists():
        raise MailError(
            f"{folder}: there is no such folder.{suggest_folder(folder)} Expected one made by `mail train`."
        )
    if any((folder / name).is_file() for name in names):
        return
    below = [run for run in run_folders(folder) if run != folder]
    hint = f"Name one of the runs in it, e.g. {below[0]}." if below else "Expected one made by `mail train`."
    raise MailError(f"{folder}: holds no {CONFIG}, so it is not a run folder. {hint}")


def suggest_folder(folder: Path) -> str:
    """`" Did you mean 'base+mail'?"` for the folder most like the first one on the path that does not exist."""
    missing = next(path for path in (*reversed(folder.parents), folder) if not path.exists())
    siblings = missing.parent.iterdir() if missing.parent.is_dir() else ()
    return did_you_mean(missing.name, [path.name for path in siblings if path.is_dir()])
