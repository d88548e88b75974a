"""Titles that tell tables apart, and how new users are drawn, in words."""

from __future__ import annotations

from typing import Any

import pytest

from mailcli.config import make_config
from mailcli.reporting.captions import protocol_text, table_titles


def titles(*tables: dict[str, Any]) -> list[str]:
    """The titles of tables of one row each, without their beginning."""
    shown = [("Test metrics", [make_config([{"data": "toy"}, settings])]) for settings in tables]
    return [title.removeprefix("Test metrics on ") for title in table_titles(shown)]


def test_a_title_names_as_much_as_tells_tables_apart() -> None:
    assert titles({}) == ["toy, protocol paper"]
    assert titles({}, {"data": "other"}, {"protocol": "strict"}) == [
        *("toy, protocol paper", "other, protocol paper", "toy, protocol strict"),
    ]
    assert titles({"new_share": 0.125}, {"new_share": 0.2}, {"history": 20}) == [
        *("toy, protocol paper, 12.5% of users new", "toy, protocol paper, 20% of users new"),
        "toy, protocol paper, 40% of users new",
    ]
    assert titles({"history": 10}, {"history": 20}) == [f"toy, protocol paper: history {n}" for n in (10, 20)]
    assert titles(*({"history": history, "new_share": share} for history in (10, 20) for share in (0.1, 0.3))) == [
        f"toy, protocol paper, {percent}% of users new: history {history}"
        for history in (10, 20)
        for percent in (10, 30)
    ]


@pytest.mark.parametrize(("share", "percent"), [(0.4, "40"), (0.125, "12.5"), (0.005, "0.5"), (0.29, "29")])
def test_a_share_of_new_users_is_not_rounded(share: float, percent: str) -> None:
    config = make_config([{"data": "toy", "new_share": share, "protocol": "strict"}])
    assert protocol_text(config) == f"protocol strict, {percent}% of users new"
