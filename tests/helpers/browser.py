"""Pages as a browser shows them: headless Chromium, where a machine has it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

#: What it is called on Debian, on other systems, and by its vendor.
_NAMES = ("chromium", "chromium-browser", "google-chrome")
#: No windows, nothing of the user's, and no connections to anybody.
_OPTIONS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync", "--disable-quic"),
    *("--disable-background-networking", "--disable-component-update", "--hide-scrollbars"),
)
#: Milliseconds of the page's own clock for scripts to do their work, which pass faster than they would for a reader.
_SCRIPTS = 20_000


def _chromium() -> str:
    found = next((path for name in _NAMES if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip("this machine has no Chromium (apt-get install chromium)")
    return found


def _run(address: str, profile: Path, *options: str) -> str:
    command = [_chromium(), *_OPTIONS, f"--user-data-dir={profile}", f"--virtual-time-budget={_SCRIPTS}", *options]
    done = subprocess.run([*command, address], capture_output=True, text=True, check=True, timeout=300)
    return done.stdout


def dom_of(address: str, profile: Path, *options: str) -> str:
    """The HTML of a page after its scripts have run. `profile` is an empty folder."""
    return _run(address, profile, *options, "--dump-dom")


def picture_of(address: str, profile: Path, width: int, height: int, out: Path) -> None:
    """Write what a window of a size shows of a page as a PNG. Chromium's windows are 500 pixels wide at least."""
    _run(address, profile, f"--window-size={width},{height}", f"--screenshot={out}")
