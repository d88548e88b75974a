"""How the errors of users look."""

from __future__ import annotations

import io
from contextlib import redirect_stderr

import pytest

from mailcli.errors import Interrupted, MailError


@pytest.mark.parametrize("kind", [MailError, Interrupted])
def test_a_notebook_shows_one_line_instead_of_a_traceback(kind: type[MailError]) -> None:
    # IPython calls this method of an exception, if there is one.
    assert kind("a.csv: row 3. Fix it.")._render_traceback_() == [f"{kind.__name__}: a.csv: row 3. Fix it."]


class Terminal(io.StringIO):
    """Claims to be a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("kind", "begin"), [(MailError, "Error: "), (Interrupted, "")])
def test_a_terminal_breaks_the_line_between_words(
    kind: type[MailError], begin: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    stderr = Terminal()
    with redirect_stderr(stderr):
        kind("a.csv: row 3 has no user. Expected a number in each row.").show()
    lines = stderr.getvalue().splitlines()
    assert "".join(line.replace("  ", " ", 1) if number else line for number, line in enumerate(lines)) == (
        f"{begin}a.csv: row 3 has no user. Expected a number in each row."
    )
    assert len(lines) == 2
    assert max(map(len, lines)) <= 40
    kind("a.csv: row 3 has no user. Expected a number in each row.").show(file := io.StringIO())
    assert file.getvalue() == f"{begin}a.csv: row 3 has no user. Expected a number in each row.\n"
