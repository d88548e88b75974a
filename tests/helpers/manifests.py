"""Datasets whose dataset.json was edited."""

from __future__ import annotations

import json
from pathlib import Path

from mailcli.data.manifest import seal


def edit_manifest(folder: Path, **changes: object) -> None:
    """Change values in a dataset's dataset.json, and its checksum with them."""
    path = folder / "dataset.json"
    manifest = {**json.loads(path.read_text()), **changes}
    del manifest["checksum"]
    path.write_text(json.dumps(seal(manifest)))
