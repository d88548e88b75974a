"""Names that libraries take for something else, or not at all: in texts of a schema file, and of files and folders."""

from __future__ import annotations

import os
import subprocess
import sys
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from mailcli.errors import MailError
from tests.helpers.command_line import error_line, mail
from tests.helpers.schema_files import FILES, SCHEMA, edited, impressions_of, make_dataset


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ('kind = "kind"\nprice', 'kind = "ki\\u0000nd"\nprice', r"items.features.kind = 'ki\x00nd'"),
        ('["view", "buy"]', '["view", "b\\u0000"]', r"behaviors.action.values = 'b\x00'"),
        ('page = "page"', '"p\\u0000" = "page"', r"impressions.context.p\x00 = 'p\x00'"),
    ],
)
def test_the_character_zero_in_a_schema_file_is_refused(tmp_path: Path, old: str, new: str, key: str) -> None:
    with pytest.raises(MailError) as error:
        make_dataset(tmp_path, edited((old, new)))
    assert error.value.message == (
        f"{tmp_path}/my.toml: {key}: expected a string without the character U+0000. Remove it."
    )


@pytest.mark.parametrize("name", [pytest.param("a\\b", marks=pytest.mark.slow), "a\\b[1]", "ü*? quo'te"])
def test_names_of_folders_and_files_are_no_patterns(tmp_path: Path, name: str) -> None:
    """DuckDB takes a backslash in a pattern for the end of a folder's name."""
    expected = impressions_of(make_dataset(tmp_path, SCHEMA))
    files = {**FILES, f"shown {name}.csv": FILES["shown.csv"]}
    del files["shown.csv"]
    folder = tmp_path / f"folder {name}"
    pd.DataFrame({"sku": ["x1", "x2"], "kind": ["hat", "shoe"], "price": [10, 20]}).to_parquet(
        tmp_path / "items.parquet"
    )
    (folder / "raw").mkdir(parents=True)
    os.replace(tmp_path / "items.parquet", folder / "raw" / f"items {name}.parquet")
    schema = edited(('"shown.csv"', "'shown *.csv'"), ('"items.csv"', "'items *.parquet'"))
    assert impressions_of(make_dataset(folder, schema, files)) == expected


NOT_UTF_8 = os.fsdecode(b"shown-\xff.csv")


def test_a_file_whose_name_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / NOT_UTF_8).write_text(FILES["shown.csv"])
    with pytest.raises(MailError) as error:
        make_dataset(tmp_path, edited(('"shown.csv"', '"shown-*.csv"')))
    assert error.value.message == (
        f"{tmp_path}/my.toml: impressions.files = 'shown-*.csv': {tmp_path}/raw/shown-\\udcff.csv: its name is "
        "not UTF-8. Rename it."
    )


@pytest.mark.parametrize("option", ["--data-dir", "--raw", "--temp-dir"])
def test_an_option_with_a_path_that_is_not_utf_8_is_refused(option: str) -> None:
    line = error_line(mail("preprocess", "alimama", option, NOT_UTF_8))
    assert line == r"shown-\udcff.csv: its name is not UTF-8. Rename it."


def test_a_path_that_the_locale_cannot_write_is_refused() -> None:
    command = [sys.executable, "-m", "mailcli", "preprocess", "alimama", "--raw", "rohdaten-ü"]
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    run = subprocess.run(command, env={**os.environ, **plain}, capture_output=True, timeout=120)
    assert run.returncode == 2
    assert run.stderr.decode("ascii").splitlines()[-1] == (
        r"Error: rohdaten-\udcc3\udcbc: its name cannot be read in the locale's encoding, ascii. Set PYTHONUTF8=1, or "
        "rename it to ASCII."
    )


def test_many_unknown_keys_and_columns_are_not_compared_each_with_all_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would take minutes."""
    compared = 0

    def close_matches(word: str, possibilities: list[str], *arguments: Any, **options: Any) -> list[str]:
        nonlocal compared
        compared += len(possibilities)
        return get_close_matches(word, possibilities, *arguments, **options)

    monkeypatch.setattr("difflib.get_close_matches", close_matches)
    names = [f"n{number}" for number in range(20_000)]
    shown = FILES["shown.csv"].replace("\n", "," + ",".join(names) + "\n", 1)
    context = "\n".join(f'm{number} = {{column = "m{number}", edges = 3}}' for number in range(10_000))
    schema = edited(('page = "page"', context)) + "\n".join(f"key_{number} = 1" for number in range(20_000))
    with pytest.raises(MailError) as error:
        make_dataset(tmp_path, schema, {**FILES, "shown.csv": shown})
    assert "split.key_19999: unknown key" in error.value.message
    assert "'shown.csv'" not in error.value.message
    # At most one for each name, not the 20,000 that are known.
    assert compared <= 30_000
