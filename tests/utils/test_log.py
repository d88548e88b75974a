"""Messages on a terminal that shows bars."""

from __future__ import annotations

import io
import logging
import sys
from pathlib import Path

import pytest
from rich.console import Console
from rich.file_proxy import FileProxy

from mailcli.utils.log import LOGGER, stderr_shows


def test_messages_go_through_what_stands_in_for_stderr(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rich puts them above its bars, and knows nothing of what is written to the file behind."""
    shown = io.StringIO()
    with (tmp_path / "stderr").open("w", encoding="utf-8") as behind, stderr_shows(logging.INFO):
        monkeypatch.setattr(sys, "stderr", FileProxy(Console(file=shown, width=80), behind))
        LOGGER.info("2 of 6 runs done")
    assert shown.getvalue() == "2 of 6 runs done\n"
    assert (tmp_path / "stderr").read_text(encoding="utf-8") == ""
