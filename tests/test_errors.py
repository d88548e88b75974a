"""How the errors of users look."""

from __future__ import annotations

import pytest

from mailcli.errors import Interrupted, MailError


@pytest.mark.parametrize("kind", [MailError, Interrupted])
def test_a_notebook_shows_one_line_instead_of_a_traceback(kind: type[MailError]) -> None:
    # IPython calls this method of an exception, if there is one.
    assert kind("a.csv: row 3. Fix it.")._render_traceback_() == [f"{kind.__name__}: a.csv: row 3. Fix it."]
