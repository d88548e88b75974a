"""Row names and numbers of the paper."""

from __future__ import annotations

import pytest

from mailcli.config import make_config
from mailcli.reporting.paper import REPORTED, row_name


def test_reported_numbers_are_those_of_the_paper() -> None:
    assert REPORTED["BaseDNN"]["new"] == {"AUC": 0.5862, "GAUC": 0.5658}
    assert "MAIL-Dual" not in REPORTED


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({}, "BaseDNN"),
        ({"cold_start": "mail", "cold_start.variant": "none"}, "MAIL-None"),
        ({"cold_start": "mail"}, "MAIL-Base"),
        ({"ranker": "other"}, "other+none"),
    ],
)
def test_row_names(settings: dict[str, str], name: str) -> None:
    assert row_name(make_config([{"data": "toy", **settings}])) == name
