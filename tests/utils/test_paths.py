"""Paths without links."""

from __future__ import annotations

from pathlib import Path

import pytest

from mailcli.utils.paths import real_path
from tests.helpers.command_line import mail


def test_links_are_followed(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("folder")
    assert real_path(tmp_path / "link" / "file") == real_path(tmp_path) / "folder" / "file"


@pytest.mark.parametrize(
    "command",
    ["runs rm loop --yes", "results toy.toml --out loop", "report runs --out loop", "schema init loop"],
)
def test_links_that_lead_in_a_circle_are_no_bug(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "toy.toml").write_text("", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    done = mail(*command.split())
    assert done.exit_code == 2
    assert done.stderr.startswith("Error: ")
    assert done.stderr.count("\n") == 1
