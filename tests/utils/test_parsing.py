"""TOML and JSON files that cannot be read."""

from __future__ import annotations

import math
import os
from pathlib import Path

import pytest

from mailcli.errors import MailError
from mailcli.utils.parsing import none_if_nan, numbers_among, read_json, read_toml


def test_what_files_hold(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text("seed = 3\n[ranker_options]\nunits = [8, 4]\n")
    assert read_toml(tmp_path / "a.toml") == {"seed": 3, "ranker_options": {"units": [8, 4]}}
    (tmp_path / "a.json").write_text('{"a": [1, null]}')
    assert read_json(tmp_path / "a.json") == {"a": [1, None]}


@pytest.mark.parametrize(
    "text",
    [
        "[[",
        "a = ",
        "a = 1\na = 2",
        pytest.param(f"a = {'9' * 5000}", id="digits"),
        pytest.param("a = " + "[" * 100_000, id="deep"),
        "\0",
    ],
)
def test_toml_that_cannot_be_read(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.toml"
    path.write_text(text)
    with pytest.raises(MailError, match=r"a.toml: cannot be read as TOML \("):
        read_toml(path)


def test_a_toml_file_that_is_missing_or_none(tmp_path: Path) -> None:
    with pytest.raises(MailError, match="a.toml: there is no such file. Expected a TOML file."):
        read_toml(tmp_path / "a.toml")
    with pytest.raises(MailError, match="is not a file. Expected a TOML file of settings."):
        read_toml(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(MailError, match="is not a file"):
        read_toml(tmp_path / "pipe")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "Expecting property name"),
        ('{"a": NaN}', "NaN is not valid JSON"),
        ("-Infinity", "-Infinity is not valid JSON"),
        pytest.param("[" * 100_000, "it is nested too deeply", id="deep"),
    ],
)
def test_json_that_cannot_be_read(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_json(path)


def test_an_undefined_number_is_null() -> None:
    assert none_if_nan(math.nan) is None
    assert none_if_nan(0.5) == 0.5


def test_a_byte_order_mark_is_no_content(tmp_path: Path) -> None:
    """Windows editors write one."""
    path = tmp_path / "settings.toml"
    path.write_bytes(b"\xef\xbb\xbfepochs = 3\n")
    assert read_toml(path) == {"epochs": 3}


def test_a_number_with_an_underscore_is_none() -> None:
    assert numbers_among(["-1", "18_24", "NULL", "1e3", "inf", ""]) == [-1.0, 1000.0]
