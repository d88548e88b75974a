from __future__ import annotations

import math
import tomllib
from dataclasses import replace
from typing import Any

import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st

from mailcli.config import RunConfig, differences, make_config, parse_settings, to_toml
from mailcli.errors import MailError

configs = st.builds(
    RunConfig,
    data=st.text(min_size=1, max_size=5),
    seed=st.integers(0, 2**31),
    protocol=st.sampled_from(["paper", "strict"]),
    new_share=st.floats(0.01, 0.99),
    epochs=st.integers(1, 100),
    learning_rate=st.floats(1e-6, 1),
    cold_start_options=st.dictionaries(st.text("abc", min_size=1), st.text(max_size=3)),
)


@given(configs)
def test_toml_round_trip(config: RunConfig) -> None:
    assert make_config([tomllib.loads(tomli_w.dumps(to_toml(config)))]) == config


def test_later_layers_win() -> None:
    layers: list[dict[str, Any]] = [
        {"data": "x", "epochs": 3, "ranker.units": "1,2"},
        {"epochs": "4", "ranker_options": {"dropout": 0.1}},
    ]
    config = make_config(layers)
    assert (config.epochs, config.ranker_options) == (4, {"units": "1,2", "dropout": "0.1"})


def test_every_fault_is_reported_at_once() -> None:
    with pytest.raises(MailError) as error:
        make_config(
            [
                {
                    "data": "x",
                    "epoch": 3,
                    "batch_size": "many",
                    "seed": 1.5,
                    "learning_rate": True,
                    "ranker": 7,
                    "new_share": 2,
                }
            ]
        )
    assert error.value.message == (
        "unknown setting 'epoch'. Did you mean 'epochs'?; ranker = 7: expected a string; "
        "seed = 1.5: expected a whole number from 0 to 4294967295; "
        "new_share = 2.0: expected a number above 0 and below 1; "
        "batch_size = 'many': expected a whole number from 1 to 100000000; "
        "learning_rate = True: expected a positive number."
    )


def test_every_value_out_of_range_is_reported_at_once() -> None:
    with pytest.raises(MailError) as error:
        make_config(
            [
                {
                    "data": "x",
                    "protocol": "papr",
                    "new_share": 1,
                    "epochs": 0,
                    "train_as_new": 1.5,
                    "embedding_l2": -0.5,
                    "learning_rate": "nan",
                    "seed": -1,
                }
            ]
        )
    assert error.value.message == (
        "seed = -1: expected a whole number from 0 to 4294967295; "
        "protocol = 'papr': expected one of 'paper', 'strict'. Did you mean 'paper'?; "
        "new_share = 1.0: expected a number above 0 and below 1; train_as_new = 1.5: expected a number from 0 to 1; "
        "embedding_l2 = -0.5: expected 0 or a positive number; learning_rate = nan: expected a positive number; "
        "epochs = 0: expected a whole number from 1 to 1000000."
    )


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ({"epochs": "3"}, 3),
        ({"epochs": 3.0}, 3),
        ({"learning_rate": "1e-3"}, 0.001),
        ({"learning_rate": 1}, 1.0),
        ({"history": " 7 "}, 7),
    ],
)
def test_texts_and_numbers_become_the_fields_type(setting: dict[str, Any], expected: float) -> None:
    (value,) = (getattr(make_config([{"data": "x", **setting}]), key) for key in setting)
    assert (type(value), value) == (type(expected), expected)


@pytest.mark.parametrize("value", [True, "true", "True", "TRUE"])
def test_an_option_that_is_true_has_one_spelling(value: object) -> None:
    """That of the folders of kept results."""
    config = make_config([{"data": "true", "cold_start": "masked", "cold_start.prefix": value}])
    assert config.cold_start_options == {"prefix": "True"}
    assert config.data == "true"


@pytest.mark.parametrize(
    "value",
    [
        "3.0",
        "",
        True,
        None,
        [],
        1.5,
        math.inf,
        math.nan,
        "1_0",
        pytest.param("9" * 5000, id="text of digits"),
        pytest.param(10**5000, id="digits"),
    ],
)
def test_what_is_no_whole_number_is_refused_in_one_line(value: object) -> None:
    with pytest.raises(MailError, match="^epochs = .{1,70}: expected a whole number from 1 to 1000000.$"):
        make_config([{"data": "x", "epochs": value}])


@pytest.mark.parametrize("value", ["inf", math.nan, False, None, {}, "1e400", "1_0.5"])
def test_what_is_no_positive_number_is_refused_in_one_line(value: object) -> None:
    with pytest.raises(MailError, match="^learning_rate = .{1,70}: expected a positive number.$"):
        make_config([{"data": "x", "learning_rate": value}])


def test_what_continues_a_run_cannot_be_set_by_hand() -> None:
    with pytest.raises(MailError, match="^continues = 'run': expected no value; use `mail train --continue RUN`.$"):
        make_config([{"data": "x", "continues": "run"}])


@pytest.mark.parametrize("pair", ["epochs", "=3", " =3"])
def test_settings_need_a_key_and_a_value(pair: str) -> None:
    with pytest.raises(MailError, match="expected KEY=VALUE"):
        parse_settings([pair])


def test_the_last_value_of_a_setting_counts() -> None:
    assert parse_settings(["epochs=3", "patience=2", "epochs = 4"]) == {"epochs": "4", "patience": "2"}


def test_a_value_may_hold_an_equals_sign() -> None:
    assert parse_settings(["data=a=b"]) == {"data": "a=b"}


def test_differences_are_named() -> None:
    assert differences({"a": 1, "b": 2}, {"a": 1, "b": 3, "c": 4}) == ["b: 2 -> 3", "c: None -> 4"]


def test_cells_and_baselines() -> None:
    config = make_config([{"data": "x", "cold_start": "mail", "cold_start.variant": "dual", "seed": 5}])
    assert config.cell == "base+mail-dual"
    assert config.baseline().cell == "base+none"
    assert config.baseline().seed == 5


def test_equal_configs_have_one_key() -> None:
    options = {"units": "8,4", "dropout": "0.1"}
    turned = dict(reversed(options.items()))
    one, other = (RunConfig("any", ranker_options=own, cold_start_options=own) for own in (options, turned))
    assert one == other
    assert one.key == other.key
    assert one.key != RunConfig("any", ranker_options=options).key
    assert one.key != replace(one, seed=1).key
