"""Options that `--help` calls required are."""

from __future__ import annotations

from tests.helpers.command_line import error_line, mail


def test_a_missing_path_ends_in_one_line() -> None:
    assert error_line(mail("score", "runs/x", "impressions.csv")) == (
        "Missing option '-o' / '--out'. Try 'mail score --help'."
    )
