"""The built documentation in headless Chromium: nothing is cut, and the search works without a server."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.browser import dom_of
from tests.helpers.documents import ROOT

pytestmark = pytest.mark.slow

#: A common laptop, and a phone.
LAPTOP, PHONE = 1366, 390
#: Shows pages in frames, which may be narrower than a window can be, and writes down what does not fit into them.
MEASURE = """<!doctype html><meta charset="utf-8"><body>
<script>
const wide = (box) => box.scrollWidth > box.clientWidth + 1;
const text = (box) => box.textContent.trim().slice(0, 40);
window.onload = () => {
  const found = [...document.querySelectorAll("iframe")].map((frame) => {
    const page = frame.contentDocument, root = page.documentElement;
    const tables = [...page.querySelectorAll("table:not(.highlighttable)")].filter(
      (table) => wide(table) || wide(table.parentElement.parentElement));
    const blocks = [...page.querySelectorAll("pre > code")].filter((code) => /[│┃]/.test(code.textContent) && wide(code));
    return {page: frame.dataset.page, width: root.clientWidth, page_width: root.scrollWidth, tables: tables.map(text),
            blocks: blocks.map(text), images: [...page.images].filter((image) => !image.naturalWidth).map((i) => i.src)};
  });
  document.body.innerHTML = "<pre id=found></pre>";
  document.getElementById("found").textContent = JSON.stringify(found);
};
</script>
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the built site."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    build = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert build.returncode == 0, build.stdout + build.stderr
    return folder


def measure(site: Path, width: int, profile: Path) -> list[dict[str, Any]]:
    """What does not fit into frames of a width, of each page."""
    frame = '<iframe data-page="{0}" src="{0}" width="{1}" height="900" style="border: 0"></iframe>'
    pages = sorted(path.name for path in site.glob("*.html") if path.name != "measure.html")
    lines = [frame.format(page, width) for page in pages]
    (site / "measure.html").write_text(MEASURE + "\n".join(lines), encoding="utf-8")
    # A page on the disk may not look into another by default.
    dom = dom_of((site / "measure.html").as_uri(), profile, "--allow-file-access-from-files", "--window-size=1400,900")
    found = re.search(r'<pre id="found">(.*?)</pre>', dom, re.DOTALL)
    assert found is not None, dom[:2000]
    measured: list[dict[str, Any]] = json.loads(unescape(found[1]))
    assert [line["page"] for line in measured] == pages
    assert {line["width"] for line in measured} == {width}
    return measured


@pytest.mark.parametrize("width", [LAPTOP, PHONE])
def test_nothing_is_cut(site: Path, width: int, tmp_path: Path) -> None:
    for line in measure(site, width, tmp_path):
        assert line["page_width"] <= width, f"{line['page']} scrolls sideways"
        assert not line["images"], f"{line['page']} lacks images"
        assert not line["tables"], f"{line['page']}: tables that are cut at {width} pixels"
        # On a phone, a block scrolls by itself, and so do windows of 120 and 200 columns on a laptop.
        scrolls = width == PHONE or line["page"] == "terminal.html"
        assert scrolls or not line["blocks"], f"{line['page']}: printed tables that are cut at {width} pixels"


def test_the_search_works_from_disk(site: Path, tmp_path: Path) -> None:
    dom = dom_of((site / "index.html").as_uri() + "?q=bootstrap", tmp_path)
    found = re.findall(r'<a href="([^"#?]+)[^"]*" class="md-search-result__link"', dom)
    assert any(address.endswith("statistics.html") for address in found), found
