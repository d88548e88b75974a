"""Pages as a browser shows them: headless Chromium, where a machine has it.

`dom_of` and `picture_of` look at a page once; `open_browser` drives one through the browser's own pipe: it clicks, resizes,
and hears what the browser complains of.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

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


#: Seconds that the browser may take to end.
PATIENCE = 10


#: Starts a program with these two files as its files 3 and 4, where the browser reads and writes.
_START = """
import fcntl, os, sys
files = [fcntl.fcntl(int(number), fcntl.F_DUPFD, 10) for number in sys.argv[1:3]]
os.dup2(files[0], 3)
os.dup2(files[1], 4)
os.execv(sys.argv[3], sys.argv[3:])
"""


class Page:
    """A page that is open in the browser."""

    def __init__(self, browser: _Browser, session: str) -> None:
        self._browser, self._session = browser, session

    def _send(self, method: str, **parameters: Any) -> dict[str, Any]:
        return self._browser.send(method, self._session, **parameters)

    def resize(self, width: int, height: int = 900) -> None:
        """Give the page the size of a screen."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self._send("Emulation.setDeviceMetricsOverride", **size)

    def prefer(self, scheme: str) -> None:
        """Choose light or dark."""
        self._send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def open(self, path: Path) -> None:
        """Load a file, and wait for it."""
        self._send("Page.navigate", url=path.resolve().as_uri())
        self._browser.wait_for("Page.loadEventFired")

    def run(self, script: str) -> Any:
        """The value of an expression of JavaScript."""
        done = self._send("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in done, done
        return done["result"].get("value")

    def screenshot(self, path: Path, whole: bool = True) -> None:
        """Write the page as a PNG."""
        image = self._send("Page.captureScreenshot", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(image["data"]))

    @property
    def complaints(self) -> list[str]:
        """Errors and warnings of the console, exceptions, and requests."""
        return self._browser.complaints


class _Browser:
    """The other end of the pipe: JSON messages, each ended by a zero byte."""

    def __init__(self, to_browser: int, from_browser: int) -> None:
        self._to, self._from = os.fdopen(to_browser, "wb"), os.fdopen(from_browser, "rb")
        self._number, self._rest = 0, b""
        self._events: list[str] = []
        self.complaints: list[str] = []

    def send(self, method: str, session: str = "", **parameters: Any) -> dict[str, Any]:
        """Call a method of the DevTools protocol, and return its result."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        message |= {"sessionId": session} if session else {}
        self._to.write(json.dumps(message).encode() + b"\0")
        self._to.flush()
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                result: dict[str, Any] = answer["result"]
                return result

    def wait_for(self, event: str) -> None:
        """Read until an event has come since the last wait for it."""
        while event not in self._events:
            self._next()
        self._events.clear()

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            read = os.read(self._from.fileno(), 1 << 20)
            assert read, "the browser has ended"
            self._rest += read
        text, _, self._rest = self._rest.partition(b"\0")
        message: dict[str, Any] = json.loads(text)
        method, parameters = message.get("method", ""), message.get("params", {})
        self._events.append(method)
        if method in {"Runtime.exceptionThrown", "Log.entryAdded"} or (
            method == "Runtime.consoleAPICalled" and parameters["type"] in {"error", "warning", "assert"}
        ):
            self.complaints.append(json.dumps(parameters))
        if method == "Network.requestWillBeSent" and not parameters["request"]["url"].startswith(("file:", "data:")):
            self.complaints.append(f"a request for {parameters['request']['url']}")
        return message

    def close(self) -> None:
        """End the browser."""
        with suppress(AssertionError, OSError):
            self.send("Browser.close")
        for pipe in (self._to, self._from):
            with suppress(OSError):
                pipe.close()


@contextmanager
def open_browser(profile: Path) -> Iterator[Page]:
    """A page of headless Chromium; the test is skipped where there is none.

    Args:
        profile: an empty folder.
    """
    command = [
        _chromium(),
        *_OPTIONS,
        "--disable-dev-shm-usage",
        f"--user-data-dir={profile}",
        "--remote-debugging-pipe",
    ]
    reads, to_browser = os.pipe()
    from_browser, writes = os.pipe()
    starter = [sys.executable, "-c", _START, str(reads), str(writes), *command]
    process = subprocess.Popen(starter, pass_fds=(reads, writes), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    os.close(reads)
    os.close(writes)
    browser = _Browser(to_browser, from_browser)
    try:
        target = browser.send("Target.createTarget", url="about:blank")["targetId"]
        session = browser.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            browser.send(f"{domain}.enable", session)
        yield Page(browser, session)
    finally:
        browser.close()
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
