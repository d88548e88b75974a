"""Hostile settings: a file or --set gives a config or an error of one line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailcli.config import make_config, parse_settings
from mailcli.errors import MailError
from tests.helpers.hostile import CORRUPT, KINDS, error_of, replace


@pytest.mark.parametrize("path", sorted(CORRUPT.glob("*.toml")), ids=lambda path: path.stem)
def test_settings_that_are_none(data_dir: Path, tmp_path: Path, path: Path) -> None:
    error = error_of("train", "--config", path, "--data-dir", data_dir, "--runs", tmp_path / "runs")
    assert error
    assert len(error) < 1000 or "digits" in path.stem
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("kind", KINDS)
def test_no_file_of_settings(data_dir: Path, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "c.toml"
    path.write_text("epochs = 1\n")
    replace(path, kind)
    error = error_of("train", "--config", path, "--data-dir", data_dir, "--runs", tmp_path / "runs")
    assert re.search(r"c.toml: (cannot be read as TOML|is not a file|there is no such file)", str(error))


VALUES_OF_SETTINGS = ["", "x", "nan", "-inf", "0x10", "1e999", "-1", "9" * 5000, "[1]", "True", "1.5.2", "\0"]
NUMBERS = ["seed", "history", "embedding_dim", "batch_size", "epochs", "patience", "learning_rate", "new_share"]


@pytest.mark.parametrize("key", NUMBERS)
@pytest.mark.parametrize("value", VALUES_OF_SETTINGS, ids=lambda value: repr(value)[:12])
def test_numbers_of_settings(data_dir: Path, tmp_path: Path, key: str, value: str) -> None:
    error = error_of("train", "--set", f"{key}={value}", "--data-dir", data_dir, "--runs", tmp_path / "runs")
    assert error
    assert error.startswith(f"{key} = ")
    assert not (tmp_path / "runs").exists()


ANYTHING = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.dates(), st.just(10**400)),
    lambda inner: st.one_of(st.lists(inner), st.dictionaries(st.text(), inner)),
)
KEYS = st.one_of(st.sampled_from([*NUMBERS, "data", "protocol", "ranker_options", "ranker.units"]), st.text())


@contextmanager
def perhaps_refused_in_one_line() -> Iterator[None]:
    try:
        yield
    except MailError as error:
        lines = error.message.splitlines()
        assert len(lines) == 1, lines


@settings(deadline=None)
@given(st.dictionaries(KEYS, ANYTHING), st.lists(st.text()))
def test_any_settings_make_a_config_or_one_line(layer: dict[str, object], pairs: list[str]) -> None:
    with perhaps_refused_in_one_line():
        assert 0 < make_config([{"data": "tiny"}, layer]).new_share < 1
    with perhaps_refused_in_one_line():
        assert all(isinstance(value, str) for value in parse_settings(pairs).values())
