"""`mail models`."""

from __future__ import annotations

import re
from pathlib import Path

from mailcli import plugins
from tests.helpers.command_line import mail


def test_models_has_a_line_and_a_citation_for_each(home: Path) -> None:
    done = mail("models")
    assert done.exit_code == 0
    lines = [[cell.strip() for cell in line.split("│")] for line in done.stdout.splitlines() if line.count("│") == 2]
    names = [name for _, name, _ in lines]
    assert names == [
        *plugins.names(plugins.RANKERS),
        *plugins.names(plugins.COLD_STARTS),
        *plugins.names(plugins.TRIVIAL_ROWS),
    ]
    for _, name, text in lines:
        assert re.search(r"(19|20)\d\d\)$", text) or name == "none", "what it is, and in whose paper"
