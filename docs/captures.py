"""`make captures` writes docs/terminal.md: what the commands of docs/terminal.toml print on a terminal.

Each command runs in a window of tmux, so that a capture is what a reader would see, but for the colors: bars are gone
when the work is done, and lines are broken where the window ends.
"""

from __future__ import annotations

import getpass
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

ROOT = Path(__file__).parent.parent
PLAN = ROOT / "docs" / "terminal.toml"
PAGE = ROOT / "docs" / "terminal.md"
#: Lines of a window, and of what has left it at the top (ours: more than any command prints).
LINES, HISTORY = 50, 5000
#: Seconds that one command may take (ours: the longest takes a minute on two idle cores).
PATIENCE = 1200.0
#: Seconds between two looks at a window, and until all that was written is on it (ours).
LOOK, SETTLED = 0.1, 0.5
#: What the page shows in place of the working folder, which some commands print; as long as /tmp/mail-abcdefgh.
FOLDER = "/home/you/projects"
#: Stands above what is on the screen of a command that has not ended.
LIVE = "While it runs:"
#: The entry point that pip installs, but of this checkout.
MAIL = """#!/bin/sh
exec .venv/bin/python -c 'from mailcli.cli import main; main(prog_name="mail")' "$@"
"""


@dataclass(frozen=True)
class Shot:
    """A command and the widths of the windows in which it is run, one after the other."""

    command: str
    columns: tuple[int, ...] = (80,)
    live: str = ""
    """Also show the screen as soon as this text is on it."""
    answer: str = ""
    """What to type when the command asks a question."""
    varies: bool = False
    """Whether the output is about this machine, so that it is not compared with another's."""


class Terminal:
    """Windows of tmux in which commands run in a folder; a context manager."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._status = folder / "status"

    def __enter__(self) -> Self:
        for name, value in {"exit-empty": "off", "status": "off", "history-limit": HISTORY}.items():
            self._do("start-server", ";", "set", "-g", name, str(value))
        return self

    def __exit__(self, *_: object) -> None:
        self._do("kill-server")

    def run(self, shot: Shot, columns: int) -> tuple[str, str]:
        """What is on the screen while the command runs (empty if `live` is) and when it has ended.

        Raises:
            RuntimeError: the command fails, does not end, or never shows what it should.
        """
        self._status.unlink(missing_ok=True)
        # The window stays open when the command has ended.
        script = f"( {shot.command}\n); echo $? > status; exec sleep {PATIENCE:.0f}"
        self._do("new-session", "-d", "-s", "shot", "-x", str(columns), "-y", str(LINES), script)
        try:
            live = self._wait_for(shot.live, shot) if shot.live else ""
            if shot.answer:
                self._wait_for("[y/N]", shot)
                self._do("send-keys", shot.answer, "Enter")
            return live, self._wait_for_the_end(shot)
        finally:
            self._do("kill-session", "-t", "shot")

    def _wait_for(self, text: str, shot: Shot) -> str:
        for status in self._looks():
            if text in (screen := self._screen()):
                return screen
            if status:
                break
        raise RuntimeError(f"`{shot.command}` never shows '{text}':\n{self._screen()}")

    def _wait_for_the_end(self, shot: Shot) -> str:
        status = next(filter(None, self._looks()), "none")
        time.sleep(SETTLED)
        if status != "0":
            raise RuntimeError(f"`{shot.command}` ends with exit code {status}:\n{self._screen()}")
        return self._screen()

    def _looks(self) -> Iterator[str]:
        """Again and again, as long as there is patience, the exit code of the command; empty while it runs."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            yield self._status.read_text(encoding="utf-8").strip() if self._status.exists() else ""
            time.sleep(LOOK)

    def _screen(self) -> str:
        lines = self._do("capture-pane", "-p", "-S", f"-{HISTORY}").splitlines()
        return "\n".join(line.rstrip() for line in lines).strip("\n")

    def _do(self, *words: str) -> str:
        command = ("tmux", "-S", str(self._folder / "tmux"), "-f", os.devnull, *words)
        environment = _environment(self._folder)
        return subprocess.run(
            command, cwd=self._folder, env=environment, check=True, stdout=subprocess.PIPE, text=True
        ).stdout


def _environment(folder: Path) -> dict[str, str]:
    """The environment of the commands: nothing in it is this user's."""
    return {
        "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "HOME": str(folder / "home"),
        "LANG": "C.UTF-8",
        "TERM": "screen-256color",
        "TF_CPP_MIN_LOG_LEVEL": "2",
    }


@contextmanager
def working_folder(files: Mapping[str, str]) -> Iterator[Path]:
    """A new folder with some files and the command `mail`, for as long as the block lasts."""
    folder = Path(tempfile.mkdtemp(prefix="mail-", dir="/tmp"))
    assert len(str(folder)) == len(FOLDER), "so that tables keep their form"
    try:
        for path, text in {"bin/mail": MAIL, "home/.keep": "", **files}.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text, encoding="utf-8")
        (folder / "bin" / "mail").chmod(0o755)
        (folder / ".venv").symlink_to(sys.prefix)
        yield folder
    finally:
        shutil.rmtree(folder)


def page() -> str:
    """The text of docs/terminal.md.

    Raises:
        RuntimeError: a command fails, or prints something about this machine that nobody else should read.
    """
    plan = tomllib.loads(PLAN.read_text(encoding="utf-8"))
    parts = [plan["head"].strip()]
    with working_folder(plan["files"]) as folder, Terminal(folder) as terminal:
        for section in plan["section"]:
            parts += [f"## {section['title']}", section["text"].strip()]
            for fields in section["shot"]:
                parts += _captures(terminal, Shot(**{**fields, "columns": tuple(fields.get("columns", (80,)))}))
        text = "\n\n".join(parts).replace(str(folder), FOLDER) + "\n"
    _check_privacy(text, folder)
    return text


def _captures(terminal: Terminal, shot: Shot) -> Iterator[str]:
    """The blocks of a command, one of each width, with what stands between them."""
    for columns in shot.columns:
        print(f"{columns:4}  {shot.command}", file=sys.stderr, flush=True)
        live, ended = terminal.run(shot, columns)
        if columns != 80:
            yield f"With {columns} columns:"
        if live:
            yield from (LIVE, _block(shot.command, live), "When it has ended:")
        yield _block(shot.command, ended)


def _block(command: str, screen: str) -> str:
    return f"```text\n$ {command}\n{screen}\n```"


def _check_privacy(text: str, folder: Path) -> None:
    """RuntimeError if the page says where on which machine it was made, and by whom."""
    for secret in (folder.name, str(ROOT), sys.prefix, socket.gethostname(), getpass.getuser()):
        if re.search(rf"(?<!\w){re.escape(secret)}(?!\w)", text):
            raise RuntimeError(f"the page names '{secret}', which is this machine's. Change docs/terminal.toml.")


def main() -> None:
    """Write the page; an older one stays if a command fails."""
    if shutil.which("tmux") is None:
        sys.exit("Error: there is no tmux, which shows the commands a terminal. Install it: apt-get install tmux")
    text = page()
    PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
