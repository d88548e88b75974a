"""The reference of all settings: complete, and as the code says."""

from __future__ import annotations

from dataclasses import fields

import pytest

from mailcli import plugins
from mailcli.config import OPTION_TABLES, RULES, RunConfig, make_config
from mailcli.errors import MailError
from mailcli.models.contracts import options_of
from mailcli.models.factory import _instantiate
from mailcli.settings import reference
from mailcli.settings.reference import Setting, all_settings

OPTIONS = [setting for setting in all_settings() if setting.owner]
KINDS = {kind.title: kind for kind in (plugins.RANKERS, plugins.COLD_STARTS)}


def test_every_setting_and_option_is_there_with_its_default() -> None:
    by_owner: dict[str, dict[str, str]] = {}
    for setting in all_settings():
        by_owner.setdefault(setting.owner, {})[setting.key] = setting.default
    names = [field.name for field in fields(RunConfig) if field.name not in {"continues", *OPTION_TABLES.values()}]
    assert list(by_owner.pop("")) == names
    expected = {}
    for kind, table in ((plugins.RANKERS, "ranker"), (plugins.COLD_STARTS, "cold_start")):
        for name in plugins.names(kind):
            defaults = options_of(plugins.load(kind, name))
            texts = {key: ",".join(map(str, v)) if isinstance(v, tuple) else str(v) for key, v in defaults.items()}
            if texts:
                expected[f"{kind.title} {name}"] = {f"{table}.{key}": text for key, text in texts.items()}
    assert by_owner == expected


def test_every_setting_has_a_range_and_a_meaning() -> None:
    assert set(RULES) == {field.name for field in fields(RunConfig)}
    assert [setting.key for setting in all_settings() if not setting.values or setting.meaning in {"", "-"}] == []
    assert make_config([{"data": "d", **{s.key: s.default for s in all_settings() if s.default and not s.owner}}])


def test_an_option_that_is_not_described_is_listed_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reference, "described", lambda _: {})
    assert {setting.meaning for setting in all_settings() if setting.owner} == {"-"}


@pytest.mark.parametrize(
    ("key", "owner", "default", "values", "meaning"),
    [
        ("epochs", "", "50", "a whole number from 1 to 1000000", "Maximum number of passes over the training"),
        ("select", "", "all", "one of 'all', 'new'", "Users whose validation AUC selects the best epoch"),
        ("ranker.units", "ranker dmr", "512,256", "whole numbers, separated by commas", "widths of the hidden layers"),
        (
            "ranker.match_weight",
            "ranker dmr",
            "0.1",
            "a number, at least 0",
            "weight of the auxiliary loss (published code).",
        ),
        ("cold_start.rate", "cold-start method dropout", "0.5", "a number, between 0 and 1", "share of old users'"),
        ("cold_start.prefix", "cold-start method masked", "False", "true or false", "whether each of the others keeps"),
        ("cold_start.rank", "cold-start method llae", "36", "a whole number, 1 or more", "r, the number of singular"),
        # The constructor leaves the checks to a function of its module.
        ("cold_start.update_every", "cold-start method mail", "1", "a whole number, 1 or more", "n: the tower is "),
        ("cold_start.users", "cold-start method metaemb", "128", "a whole number, 1 or more", "users per step (ours)."),
        (
            "cold_start.bandwidth",
            "cold-start method mail",
            "adaptive",
            "one of 'fixed', 'adaptive'",
            "bandwidth of the MMD kernel",
        ),
    ],
)
def test_settings_by_hand(key: str, owner: str, default: str, values: str, meaning: str) -> None:
    (setting,) = [setting for setting in all_settings() if (setting.key, setting.owner) == (key, owner)]
    assert (setting.default, setting.values) == (default, values)
    assert setting.meaning.startswith(meaning)


@pytest.mark.parametrize("setting", [s for s in OPTIONS if ", " in s.values and "commas" not in s.values], ids=str)
def test_what_is_out_of_an_options_range_is_refused(setting: Setting) -> None:
    title, _, name = setting.owner.rpartition(" ")
    refused = "nothing" if setting.values.startswith("one of") else "-1"
    option = setting.key.partition(".")[2]
    with pytest.raises(MailError, match=f"`{option}`"):
        _instantiate(KINDS[title], name, {option: refused})
