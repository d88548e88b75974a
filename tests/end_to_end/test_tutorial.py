"""docs/tutorial.md, followed step by step in a clean clone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.documents import ROOT, blocks


@pytest.mark.slow
def test_the_tutorial_works_in_a_clean_clone(tmp_path: Path) -> None:
    """In its own environment: downloads packages and data, trains six models."""
    clone = tmp_path / "mail"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
    page = ROOT / "docs" / "tutorial.md"
    end = page.read_text(encoding="utf-8").splitlines().index("## What now")
    shell = [block for block in blocks(page) if block.language == "sh" and block.line < end]
    # Of this test's environment, only its Python is there, as `python3`.
    python = tmp_path / "bin" / "python3"
    python.parent.mkdir()
    python.symlink_to(Path(sys.base_prefix) / "bin" / "python3")
    inherited = {key: value for key, value in os.environ.items() if key not in {"PYTHONPATH", "VIRTUAL_ENV"}}
    environment = {**inherited, "PATH": f"{python.parent}:/usr/local/bin:/usr/bin:/bin"}
    tutorial = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", "\n".join(block.code for block in shell)],
        cwd=clone,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert tutorial.returncode == 0, tutorial.stderr
    for title in ("MovieLens-100K", "new users", "MAIL-Base", "over users"):
        assert title in tutorial.stdout
    figures = {path.name.split(".")[-1] for path in (clone / "figures").iterdir()}
    assert figures == {"png", "svg"}
    status = subprocess.run(["git", "status", "--short"], cwd=clone, capture_output=True, text=True, check=True)
    assert status.stdout == "", "the tutorial creates files that git does not ignore"
