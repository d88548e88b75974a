"""Files in parts become one pattern."""

from __future__ import annotations

from pathlib import Path

import pytest

from mailcli.preprocessing.schema_file.read import read_schema_file
from mailcli.preprocessing.schema_init.propose import propose
from tests.helpers.proposals import FILES, USERS, log
from tests.helpers.schema_files import (
    run_mail,
    write_files,
)


@pytest.mark.parametrize(
    ("names", "unrelated", "expected"),
    [
        (("log-1.csv", "log-2.csv", "log-10.csv"), (), "log-*.csv"),
        (("log-10.csv", "log-11.csv"), (), "log-*.csv"),
        (("day=1/part-0.csv", "day=2/part-0.csv", "day=2/part-1.csv"), (), "day=*/part-*.csv"),
        (("to=de/log.csv", "to=dk/log.csv"), (), "to=*/log.csv"),
        (("[x]-1.csv", "[x]-2.csv"), (), "[[]x]-*.csv"),
        # The pattern would match a third file; train and test are not numbers; the files are in different folders.
        (("log-1.csv", "log-2.csv"), ("log-3.csv",), ["log-1.csv", "log-2.csv"]),
        (("train.csv", "test.csv"), (), ["train.csv", "test.csv"]),
        (("a/log-1.csv", "log-2.csv"), (), ["a/log-1.csv", "log-2.csv"]),
    ],
)
def test_files_in_parts_are_one_pattern(
    tmp_path: Path, names: tuple[str, ...], unrelated: tuple[str, ...], expected: str | list[str]
) -> None:
    for name in (*names, *unrelated):
        path = tmp_path / "raw" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(log(), encoding="utf-8")
    write_files(tmp_path / "raw", {"users.csv": USERS})
    text = propose([tmp_path / "raw" / name for name in ("users.csv", *names)], "my.toml")
    path = tmp_path / "my.toml"
    path.write_text(text, encoding="utf-8")
    assert read_schema_file(path).impressions.patterns == tuple([expected] if isinstance(expected, str) else expected)


def test_a_file_that_is_given_twice_counts_once(tmp_path: Path) -> None:
    raw = write_files(tmp_path / "raw", FILES)
    out = tmp_path / "my.toml"
    twice = raw / ".." / "raw" / "log.csv"
    assert run_mail("schema", "init", raw / "log.csv", raw / "users.csv", twice, "-o", out) == (
        f"{out}: proposed from 2 files; look at its lines with `check this`.\n"
    )
    assert read_schema_file(out).impressions.patterns == ("log.csv",)
