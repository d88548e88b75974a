"""Where commands write: what cannot be written is refused before the work for it is done."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mailcli.cli._output import check_output, check_output_folder
from mailcli.errors import MailError
from tests.helpers.command_line import error_line, mail


@pytest.fixture
def read_only(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that the user may read only; tests may run as root, who may write everywhere."""
    (home / "theirs").mkdir()
    access = os.access

    def without_permission(path: Path, mode: int) -> bool:
        return not (path.name == "theirs" and mode & os.W_OK) and access(path, mode)

    monkeypatch.setattr("mailcli.cli._output.os.access", without_permission)
    return home / "theirs"


def test_a_folder_without_permission_is_refused(read_only: Path) -> None:
    for path, message in (
        ("theirs/new/figures", "--out theirs/new/figures: {theirs} cannot be written. "),
        ("theirs/figures", "--out theirs/figures: {theirs} cannot be written. "),
        ("theirs", "--out theirs: cannot be written. "),
    ):
        with pytest.raises(MailError) as error:
            check_output_folder("--out", Path(path))
        assert error.value.message == (
            f"{message.format(theirs=read_only)}Check its permissions, or name another folder."
        )
    with pytest.raises(MailError) as error:
        check_output("--out", Path("theirs/page.html"), "a page", "page.html", [], lambda _: True)
    assert error.value.message == (
        "--out theirs/page.html: theirs cannot be written. Check its permissions, or name another file."
    )
    check_output_folder("--out", Path("mine/new"))


def test_figures_need_a_folder_before_a_run_is_read(home: Path) -> None:
    (home / "notes.md").write_text("mine", encoding="utf-8")
    assert error_line(mail("plot", "loss", "--out", "notes.md")) == (
        "--out notes.md: is not a folder. Name another folder."
    )
    assert error_line(mail("plot", "loss", "--out", "notes.md/figures")) == (
        f"--out notes.md/figures: {home}/notes.md is not a folder. Name another folder."
    )
    assert (home / "notes.md").read_text(encoding="utf-8") == "mine"
