"""`mail describe`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers.command_line import mail


def test_describe(with_data: Path) -> None:
    done = mail("describe")
    assert done.exit_code == 0
    for text in (
        "tiny (simulated)",
        "attribute_strength 0.5",
        "naturally new",
        "without history",
        "pv, cart, fav, buy",
        "n_v 20",
    ):
        assert text in done.stdout


def test_a_bug_keeps_its_traceback(with_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr("mailcli.reporting.describe.describe", broken)
    result = mail("describe")
    assert result.exit_code == 1
    assert isinstance(result.exception, ZeroDivisionError)
