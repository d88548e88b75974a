"""What the machine lacks (space, open files) or has closed (stdout), as one line that says what to do."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mailcli.errors import MailError

#: The fewest open files with which every command works (ours); TensorFlow and DuckDB fail in many ways with fewer.
FEWEST_OPEN_FILES = 64
#: Characters of a library's error that are shown (ours: it may quote a whole row, or a Java trace).
LONGEST_ERROR = 300
_FREE_SPACE = "Free some space and run the same command again."
#: By error number, what to do about it; these are never faults of the program, whatever raises them.
_ADVICE = {
    errno.ENOSPC: _FREE_SPACE,
    errno.EDQUOT: _FREE_SPACE,
    errno.EFBIG: "Allow larger files (`ulimit -f`) and run the same command again.",
    errno.EMFILE: "Allow more open files, for example with `ulimit -n 1024`, and run the same command again.",
    errno.ENFILE: "Close other programs and run the same command again.",
    errno.EIO: "Check the disk or the terminal, and run the same command again.",
    errno.EPIPE: "The program that reads this command's output ended before all of it was written.",
}
_OTHER_ADVICE = "Check the path and its permissions, or choose another."


def advice(error: OSError) -> str:
    """What to do about an error of the system."""
    return _ADVICE.get(error.errno or 0, _OTHER_ADVICE)


def unreadable(path: Path, error: OSError) -> MailError:
    """The error that a file cannot be read."""
    return MailError(f"{path}: cannot be read ({error.strerror or error}). {advice(error)}")


def advice_on(text: str) -> tuple[str, str] | None:
    """The operating system's error that a library's text quotes, and what to do about it; None if it quotes none."""
    quoted = {os.strerror(number): advice for number, advice in _ADVICE.items() if os.strerror(number) in text}
    return next(iter(quoted.items()), None)


@contextmanager
def name_in_write_errors(path: Path, temporary: Path | None = None) -> Iterator[None]:
    """Let errors of writing name the file: those of Python, NumPy, Arrow and HDF5 do not once it is open.

    Args:
        path: the file.
        temporary: the path under which it is being written, if it is another; errors name `path` instead.
    """
    try:
        yield
    except OSError as error:
        if error.filename not in {None, os.fspath(temporary or path)}:
            raise
        # Arrow's text would name a temporary file.
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise OSError(error.errno or errno.EIO, reason, str(path)) from error


def explain(error: OSError) -> MailError | None:
    """An error of the operating system as one line; None if only a fault of the program can have caused it."""
    if error.filename is not None:
        path = Path(os.fsdecode(error.filename))
        return MailError(f"{path}: {error.strerror}. {advice(error)}")
    if error.errno not in _ADVICE:
        return None
    # Files are named where they are written.
    return MailError(f"stdout, or a file: {error.strerror}. {_ADVICE[error.errno]}")


def open_closed_streams() -> bool:
    """Redirect closed standard streams to os.devnull; returns whether stdout was closed.

    Otherwise the next file that is opened would take its number, and receive what libraries write there.
    """
    closed = sys.stdout is None
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            # The lowest free number is this one.
            os.open(os.devnull, os.O_RDWR)
    if closed:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 (open until the process ends)
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    return closed


def check_open_files() -> None:
    """Refuse a limit of open files with which libraries would fail somewhere (MailError); Windows has none."""
    try:
        import resource
    except ImportError:
        return
    limit, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY or limit >= FEWEST_OPEN_FILES:
        return
    if hard == resource.RLIM_INFINITY or hard >= FEWEST_OPEN_FILES:
        resource.setrlimit(resource.RLIMIT_NOFILE, (FEWEST_OPEN_FILES, hard))
        return
    raise MailError(
        f"only {limit} files may be open at once (`ulimit -n`). Expected {FEWEST_OPEN_FILES} or more; "
        "`ulimit -n 1024` allows them."
    )
