"""The settings that a name stands for."""

from __future__ import annotations

from pathlib import Path

import pytest

from mailcli.errors import MailError
from mailcli.settings.search import settings_named


@pytest.mark.parametrize(
    ("name", "keys"),
    [
        ("epochs", ["epochs", "cold_start.epochs"]),
        ("match_weight", ["ranker.match_weight"]),
        ("ranker.match_weight", ["ranker.match_weight"]),
        ("dmr", ["ranker.units", "ranker.dropout", "ranker.match_weight"]),
        # Of dropout, masked, pfd and poso.
        ("rate", ["cold_start.rate"] * 4),
        ("ranker", ["ranker"]),
    ],
)
def test_settings_by_name(name: str, keys: list[str]) -> None:
    assert [setting.key for setting in settings_named(name)] == keys


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("epoch", "unknown setting 'epoch'. Did you mean 'epochs'? `mail settings` lists all."),
        ("ranker.unit", "unknown setting 'ranker.unit'. Did you mean 'ranker.units'? `mail settings` lists all."),
        ("xyz", "unknown setting 'xyz'. `mail settings` lists all."),
        ("emblr", "'emblr' has no options. `mail settings` lists all settings."),
        ("continues", "unknown setting 'continues'. Did you mean 'conse'? `mail settings` lists all."),
    ],
)
def test_an_unknown_name(name: str, text: str) -> None:
    with pytest.raises(MailError) as error:
        settings_named(name)
    assert error.value.message == text


def test_the_options_of_an_outside_ranker_or_method(home: Path) -> None:
    (home / "outside_options.py").write_text(
        "from mailcli.models import ColdStartMethod, RankingTower\n\n\n"
        "class Mine(RankingTower):\n"
        '    """A ranker.\n\n    Args:\n        units: widths\n            of its layers.\n        gate: whether.\n    """\n\n'
        "    def __init__(self, units=(8, 4), gate=True, floor=None, **kwargs):\n        super().__init__(**kwargs)\n\n\n"
        "class Method(ColdStartMethod):\n    def __init__(self, rate: float = 0.1, **kwargs):\n        pass\n\n\n"
        "def ranker(features, training):\n    return features\n"
    )
    assert [tuple(setting) for setting in settings_named("outside_options:Mine")] == [
        (
            "ranker.units",
            "ranker outside_options:Mine",
            "8,4",
            "whole numbers, separated by commas",
            "widths of its layers.",
        ),
        ("ranker.gate", "ranker outside_options:Mine", "True", "true or false", "whether."),
        ("ranker.floor", "ranker outside_options:Mine", "None", "see its code", "-"),
    ]
    assert [tuple(setting) for setting in settings_named("outside_options:Method")] == [
        ("cold_start.rate", "cold-start method outside_options:Method", "0.1", "a number", "-")
    ]
    for name, text in (
        (
            "outside_options:ranker",
            "'outside_options:ranker' has no options: its constructor has no keywords with defaults.",
        ),
        (
            "outside_options:Mein",
            "ranker 'outside_options:Mein': 'outside_options' has no 'Mein'. Did you mean 'Mine'?",
        ),
        ("yours:Mine", f"there is no module 'yours'. Expected package.module:Class, importable from {home}."),
    ):
        with pytest.raises(MailError) as error:
            settings_named(name)
        assert error.value.message.endswith(text)
