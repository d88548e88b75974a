"""Standard streams that are closed or full, and few open files: one line, never a traceback, never an exit in silence."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import pytest

pytestmark = pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")


def mail(command: str, stdout: IO[Any] | int = subprocess.PIPE, before: Callable[[], Any] | None = None) -> list[str]:
    """Run a command as typed; its exit code, then the lines of its stderr."""
    done = subprocess.run(
        [sys.executable, "-c", "from mailcli.cli import main; main(prog_name='mail')", *command.split()],
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=before,
        check=False,
    )
    return [str(done.returncode), *done.stderr.splitlines()]


@pytest.fixture
def full() -> Iterator[IO[Any]]:
    with open("/dev/full", "w") as file:
        yield file


@pytest.mark.parametrize("command", ["--version", "models"])
def test_stdout_is_full(command: str, full: IO[Any]) -> None:
    assert mail(command, full) == [
        "2",
        "Error: stdout, or a file: No space left on device. Free some space and run the same command again.",
    ]


def test_stdout_is_closed() -> None:
    assert mail("models", before=lambda: os.close(1)) == [
        "2",
        "Error: stdout is closed, so the output would be lost. Write it to a file or to /dev/null.",
    ]


def test_the_program_that_reads_stdout_has_ended() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "wb") as pipe:
        assert mail("models", pipe) == [
            "2",
            "Error: stdout, or a file: Broken pipe. The program that reads this command's output ended before all of it "
            "was written.",
        ]


def test_stderr_is_closed() -> None:
    assert mail("models -v", before=lambda: os.close(2)) == ["0"]


def test_messages_that_cannot_be_shown_do_not_stop_the_work(full: IO[Any]) -> None:
    # `-v` writes a message.
    assert mail("-v models", before=lambda: os.dup2(full.fileno(), 2)) == ["0"]


def test_few_open_files() -> None:
    resource = pytest.importorskip("resource")

    def allow(files: int, at_most: int) -> Callable[[], Any]:
        return lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (files, at_most))

    assert mail("models", before=allow(24, 24)) == [
        "2",
        "Error: only 24 files may be open at once (`ulimit -n`). Expected 64 or more; `ulimit -n 1024` allows them.",
    ]
    assert mail("models", before=allow(24, 1024)) == ["0"]
