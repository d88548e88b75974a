"""environment.json: read whatever version wrote it, and refused where a value is not of its kind."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mailcli.errors import MailError
from mailcli.training.run_environment import read_environment

GOOD: dict[str, Any] = {
    "mail": "0.1.0",
    "commit": None,
    "numpy": "2.4.6",
    "machine": "x86_64",
    "threads": 1,
    "instructions": ["avx", "fma"],
    "seconds": 12.5,
    "cost": {"parameters": 10, "training_seconds": 0.5},
}


def test_what_a_version_did_not_write_may_be_missing(tmp_path: Path) -> None:
    path = tmp_path / "environment.json"
    for contents in (GOOD, {"mail": "0.1.0"}, {**GOOD, "commit": "0ce5dc44", "new": [1]}):
        path.write_text(json.dumps(contents))
        assert read_environment(path) == contents


@pytest.mark.parametrize(
    "change",
    [
        {"mail": 1},
        {"commit": 7},
        {"numpy": ["2"]},
        {"threads": "1"},
        {"threads": -1},
        {"seconds": True},
        {"instructions": "avx"},
        {"instructions": [None]},
        {"cost": [1]},
        {"cost": {"parameters": None}},
        {"cost": {"parameters": -0.5}},
    ],
)
def test_a_value_of_another_kind_is_one_error(tmp_path: Path, change: dict[str, Any]) -> None:
    path = tmp_path / "environment.json"
    path.write_text(json.dumps(GOOD | change))
    with pytest.raises(MailError) as error:
        read_environment(path)
    assert error.value.message == f"{path}: is damaged. Delete the folder and run again."


@pytest.mark.parametrize("text", ["", "{", '{"seconds": NaN}', '{"cost": {"parameters": Infinity}}'])
def test_what_is_no_json_is_one_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "environment.json"
    path.write_text(text)
    with pytest.raises(MailError, match=r"environment.json: cannot be read \(.+\). Delete the folder and run again.$"):
        read_environment(path)
