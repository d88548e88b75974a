"""Folders compared by their files."""

from __future__ import annotations

from pathlib import Path


def files_of(folder: Path) -> dict[str, bytes]:
    """The content of every file in a folder, by relative path."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def outcomes_of(runs: Path) -> dict[str, bytes]:
    """What runs of equal settings must have in common: settings, losses, scores and metrics, by relative path."""
    names = ("result.json", "history.jsonl", "predictions.npy", "config.toml")
    return {str(path.relative_to(runs)): path.read_bytes() for path in sorted(runs.rglob("*")) if path.name in names}
