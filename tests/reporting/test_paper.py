"""Row names and numbers of the paper."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from mailcli.config import make_config
from mailcli.data.dataset import Dataset
from mailcli.errors import MailError
from mailcli.reporting.paper import REPORTED, is_papers_data, row_label, row_name, row_settings


def test_reported_numbers_are_those_of_the_paper() -> None:
    assert REPORTED["BaseDNN"]["new"] == {"AUC": 0.5862, "GAUC": 0.5658}
    assert "MAIL-Dual" not in REPORTED


@pytest.mark.parametrize(
    ("manifest", "settings", "expected"),
    [
        ({}, {}, True),
        ({"source": "ml-100k"}, {}, False),
        ({"simulation": {"users": 10}}, {}, False),
        ({"sample": 0.1}, {}, False),
        ({}, {"protocol": "strict"}, False),
        ({}, {"new_share": 0.2}, False),
    ],
)
def test_the_papers_data(manifest: dict[str, Any], settings: dict[str, Any], expected: bool) -> None:
    whole = {"source": "alimama", "sample": 1.0, "simulation": None, **manifest}
    dataset = cast(Dataset, SimpleNamespace(manifest=whole, simulation=whole["simulation"]))
    assert is_papers_data(dataset, make_config([{"data": "alimama"}, settings])) is expected


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


@pytest.mark.parametrize(
    ("settings", "label"),
    [
        ({"ranker.units": "8", "ranker.dropout": 0.1}, "BaseDNN (units=8, dropout=0.1)"),
        ({"cold_start": "mail", "cold_start.steps": "all", "ranker.units": "8"}, "MAIL-Base (units=8, steps=all)"),
        # Both have a dropout.
        ({"cold_start": "mail", "cold_start.dropout": 0.5}, "MAIL-Base (cold_start.dropout=0.5)"),
        ({"cold_start": "mail", "ranker.dropout": 0.5}, "MAIL-Base (ranker.dropout=0.5)"),
        (
            {"cold_start": "mail", "ranker.dropout": 0.1, "cold_start.dropout": 0.5},
            "MAIL-Base (ranker.dropout=0.1, cold_start.dropout=0.5)",
        ),
        # What options a method from elsewhere has is not known.
        (
            {"cold_start": "own:Method", "ranker.units": "8", "cold_start.strength": 2},
            "base+own-Method (ranker.units=8, strength=2)",
        ),
        # Only MAIL's variant is in the name of its cell.
        ({"cold_start": "mail", "cold_start.variant": "none"}, "MAIL-None"),
        ({"cold_start": "own:Method", "cold_start.variant": "b"}, "base+own-Method (variant=b)"),
    ],
)
def test_labels_tell_rows_apart(settings: dict[str, Any], label: str) -> None:
    assert row_label(make_config([{"data": "toy", **settings}])) == label


@pytest.mark.parametrize("ranker", ["base", "dmr", "dcnv2"])
@pytest.mark.parametrize(
    ("method", "variant"),
    [*(("mail", variant) for variant in ("none", "single", "dual", "base")), ("none", None), ("mail-pooled", None)],
)
def test_what_a_table_calls_a_row_is_taken_as_a_row(ranker: str, method: str, variant: str | None) -> None:
    cell = {"ranker": ranker, "cold_start": method, **({"cold_start.variant": variant} if variant else {})}
    config = make_config([{"data": "toy", **cell}])
    assert row_settings(row_name(config)) == row_settings(config.cell) == cell


def test_mail_alone_is_its_default_variant() -> None:
    assert row_settings("din+mail") == {"ranker": "din", "cold_start": "mail", "cold_start.variant": "base"}
    with pytest.raises(MailError, match="^unknown cold-start method 'mail-bass'. Did you mean 'mail'"):
        row_settings("din+mail-bass")
