"""The notebooks of docs/notebooks can be executed from the first cell to the last."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from mailcli.config import RunConfig
from tests.helpers.cells import Cells
from tests.helpers.documents import ROOT, Sandbox, small_defaults

NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))


def cells_of(path: Path) -> list[tuple[str, str]]:
    """Kind and text of each cell."""
    book = json.loads(path.read_text(encoding="utf-8"))
    assert (book["nbformat"], book["metadata"]["kernelspec"]["name"]) == (4, "python3")
    return [(cell["cell_type"], "".join(cell["source"])) for cell in book["cells"]]


def test_there_are_three_notebooks_which_the_page_names() -> None:
    names = [path.name for path in NOTEBOOKS]
    assert names == ["your_first_table.ipynb", "your_own_data.ipynb", "your_own_ranker.ipynb"]
    page = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
    assert all(f"(notebooks/{name})" in page for name in names)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_has_no_leftovers(path: Path) -> None:
    book: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    assert len({cell["id"] for cell in book["cells"]}) == len(book["cells"])
    for cell in book["cells"]:
        if cell["cell_type"] == "code":
            compile("".join(cell["source"]), path.name, "exec")
            assert (cell["execution_count"], cell["outputs"]) == (None, [])


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_can_be_executed(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.setattr(RunConfig.__init__, "__defaults__", small_defaults())
    Sandbox(tmp_path)
    cells = Cells()
    for kind, text in cells_of(path):
        if kind == "code":
            cells.run(text)
    assert list((tmp_path / "runs").rglob("result.json"))
