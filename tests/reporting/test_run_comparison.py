"""What differs between two runs, cut to what a table has room for."""

from __future__ import annotations

import pytest

from mailcli.reporting.run_comparison import _cut_pair


@pytest.mark.parametrize(
    ("first", "second", "cut"),
    [
        ("base", None, ["base", "-"]),
        # Up to 24 characters are shown whole.
        ("abcdefghijklmnopqrstuvwx", "b", ["abcdefghijklmnopqrstuvwx", "b"]),
        ("a" * 30, "b" * 30, ["a" * 24 + "...", "b" * 24 + "..."]),
        # The first difference, at 30, stands in the middle of what is shown: from 18 on.
        (
            "x" * 30 + "A" + "y" * 20,
            "x" * 30 + "B",
            ["..." + "x" * 12 + "A" + "y" * 11 + "...", "..." + "x" * 12 + "B"],
        ),
    ],
)
def test_both_texts_are_cut_where_they_differ(first: str | None, second: str | None, cut: list[str]) -> None:
    assert _cut_pair(first, second) == cut
