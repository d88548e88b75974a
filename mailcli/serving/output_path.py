"""Where a result may be written."""

from __future__ import annotations

from pathlib import Path

from mailcli.errors import MailError


def refuse_existing(path: Path, kind: str) -> None:
    """Refuse a path that exists, even as a broken link (MailError); `kind` is "file" or "folder"."""
    if path.exists() or path.is_symlink():
        raise MailError(f"{path}: exists already. Expected the name of a new {kind}; choose another, or delete it.")
