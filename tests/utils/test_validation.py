"""Rules for settings and for the keys of TOML and JSON files."""

from __future__ import annotations

import math
from typing import Any

import pytest

from mailcli.utils.validation import (
    NUMBER,
    STRING,
    TABLE,
    Rule,
    number_between,
    one_of,
    sentence,
    table_faults,
    whole_number,
)

RULES = {"name": STRING, "seeds": whole_number(1), "kind": one_of(["paper", "strict"]), "options": TABLE}


@pytest.mark.parametrize(
    ("rule", "accepted", "refused"),
    [
        (STRING, ["", "a"], [1, None, ["a"]]),
        (TABLE, [{}, {"a": 1}], [[], None, "a"]),
        (whole_number(1), [1, 10**5000], [0, True, 1.0, "1", None]),
        (whole_number(0, 3), [0, 3], [-1, 4, False, 2.0]),
        (NUMBER, [0, -1.5], [True, math.nan, math.inf, "1", None]),
        (number_between(0, 1, "a share"), [0.5], [0, 1, 0.0, math.nan]),
        (one_of(["a"]), ["a"], ["b", 1, ["a"], None]),
    ],
)
def test_rules(rule: Rule, accepted: list[Any], refused: list[Any]) -> None:
    assert [rule.accepts(value) for value in accepted] == [True] * len(accepted)
    assert [rule.accepts(value) for value in refused] == [False] * len(refused)


def test_every_fault_of_a_table() -> None:
    table = {"nam": 1, "seeds": 10**5000, "kind": "papr", "options": "x" * 100}
    faults = table_faults(table, RULES, "experiment.", required=("name", "seeds"))
    assert faults == [
        "unknown key 'experiment.nam'. Did you mean 'name'?",
        "'experiment.name' is missing",
        "experiment.kind = 'papr': expected one of 'paper', 'strict'. Did you mean 'paper'?",
        f"experiment.options = '{'x' * 59}...: expected a table",
    ]
    assert table_faults({"seeds": -(10**5000)}, RULES) == [
        "seeds = a number of thousands of digits: expected a whole number, 1 or more"
    ]
    assert table_faults({"more": 1, "kind": "paper"}, RULES, other_keys=True) == []


def test_faults_as_a_sentence() -> None:
    assert sentence(["a is wrong", "b is missing"]) == "a is wrong; b is missing."
    assert sentence(["unknown key 'a'. Did you mean 'b'?"]) == "unknown key 'a'. Did you mean 'b'?"
