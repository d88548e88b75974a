"""What commands print besides tables, and the files that they write."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

import click

from mailcli.errors import MailError
from mailcli.escape import terminal
from mailcli.utils.files import existing_parent
from mailcli.utils.paths import real_path


def print_line(text: object) -> None:
    """Print one line to stdout; the names in it cannot change the terminal."""
    click.echo(terminal(text))


def check_output(
    option: str, path: Path, kind: str, example: str, sources: Iterable[Path], is_own: Callable[[Path], bool]
) -> None:
    """Refuse to write over something that the command has not written.

    Args:
        option: the option that names the file, e.g. `--out`.
        path: the file to write.
        kind: what the command writes there, e.g. "a page of `mail report`".
        example: a file name to suggest.
        sources: the files that it is made from.
        is_own: whether an existing file was written by this command and may be replaced.

    Raises:
        MailError: `path` is a folder, a device, one of the sources, a file of another kind, below a file, or in a
            folder that cannot be written.
    """
    if path.is_dir():
        raise MailError(f"{option} {path}: is a folder. Name a file, e.g. {path / example}.")
    if any(real_path(path) == real_path(source) for source in sources):
        raise MailError(f"{option} {path}: is one of the files that it is made from. Name another file.")
    _check_writable(option, path, path.parent, "file")
    if path.exists() and not path.is_file():
        raise MailError(f"{option} {path}: is not a regular file. Name another file.")
    if path.is_file() and not is_own(path):
        raise MailError(f"{option} {path}: already exists and is not {kind}. Name another file.")


def check_output_folder(option: str, folder: Path) -> None:
    """Refuse a folder in which nothing can be written, before the work for it is done (MailError).

    Args:
        option: the option that names it, e.g. `--out`.
        folder: it need not exist yet.
    """
    _check_writable(option, folder, folder, "folder")


def _check_writable(option: str, named: Path, folder: Path, noun: str) -> None:
    """Refuse what the user has named if nothing can be written in its folder, or that cannot be made (MailError)."""
    parent = existing_parent(folder)
    place = "" if parent == named else f"{parent} "
    if not parent.is_dir():
        raise MailError(f"{option} {named}: {place}is not a folder. Name another {noun}.")
    if not os.access(parent, os.W_OK | os.X_OK):
        raise MailError(f"{option} {named}: {place}cannot be written. Check its permissions, or name another {noun}.")
