"""`--debug`: the traceback of an error, before the line that every error is."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.command_line import SMALL, error_line, mail

RANKER = """\
import keras


class R(keras.layers.Layer):
    def __init__(self, units=8, **options):
        super().__init__(**options)
        self.units = width(units)

    def call(self, features, training=False):
        return self.look(features)

    def look(self, features):
        return self.hidden(features.query)[:, 0]


def width(units):
    return {8: units}[units]
"""


@pytest.fixture
def own(with_data: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A ranker that fails in line 13, with `ranker.units` other than 8 in line 17."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    path = with_data / "debugged.py"
    path.write_text(RANKER, encoding="utf-8")
    yield path
    sys.modules.pop("debugged", None)


def lines_of_traceback(stderr: str, path: Path) -> list[str]:
    """Which lines of a file a traceback passes, as `line 13, in look`."""
    start = f'  File "{path}", '
    return [line.removeprefix(start) for line in stderr.splitlines() if line.startswith(start)]


def test_an_error_of_the_users_ranker(own: Path) -> None:
    command = ("train", "--ranker", "debugged:R", *SMALL[:-2])
    line = error_line(mail(*command))
    assert line.startswith("debugged:R+none on tiny: debugged.py, line 13: AttributeError: ")
    assert "'R' object has no attribute 'hidden'. Expected a ranker" in line
    for done in (mail(*command, "--debug"), mail("--debug", *command)):
        assert done.exit_code == 2
        assert done.stderr.startswith("Traceback (most recent call last):\n")
        assert lines_of_traceback(done.stderr, own)[:2] == ["line 10, in call", "line 13, in look"]
        assert "        return self.hidden(features.query)[:, 0]\n" not in line
        assert "return self.hidden(features.query)[:, 0]\n" in done.stderr
        assert "\\x1b" not in done.stderr, "Keras prints a part in bold"
        assert done.stderr.splitlines()[-1] == f"Error: {line}"


def test_an_error_of_its_constructor_names_the_line_too(own: Path) -> None:
    command = ("train", "--ranker", "debugged:R", *SMALL[:-2], "--set", "ranker.units=9")
    assert error_line(mail(*command)) == "ranker 'debugged:R': debugged.py, line 17: KeyError: 9"
    done = mail(*command, "--debug")
    assert lines_of_traceback(done.stderr, own) == ["line 7, in __init__", "line 17, in width"]
    own.write_text(RANKER.replace("return {8: units}[units]", "raise ValueError('expected 8')"), encoding="utf-8")
    sys.modules.pop("debugged")
    assert error_line(mail(*command)) == "ranker 'debugged:R': debugged.py, line 17: expected 8"


def test_a_module_that_fails_is_not_called_missing(own: Path) -> None:
    own.write_text("import json\njson.loads('{')\n", encoding="utf-8")
    command = ("train", "--ranker", "debugged:R", *SMALL)
    assert error_line(mail(*command)).startswith(
        "ranker 'debugged:R': debugged.py, line 2: JSONDecodeError: Expecting "
    )
    assert lines_of_traceback(mail(*command, "--debug").stderr, own) == ["line 2, in <module>"]


def test_the_cause_of_any_other_error(home: Path) -> None:
    (home / "mine.toml").write_text("epochs = \n")
    command = ("train", "--config", "mine.toml")
    line = error_line(mail(*command))
    done = mail(*command, "--debug")
    assert "tomllib.TOMLDecodeError: Invalid value (at line 1, column 10)\n" in done.stderr
    assert "The above exception was the direct cause of the following exception:\n" in done.stderr
    assert done.stderr.endswith(f"mailcli.errors.MailError: {line}\nError: {line}\n")


def test_an_error_without_a_cause(home: Path) -> None:
    done = mail("evaluate", "--debug")
    assert done.stderr.startswith("Traceback (most recent call last):\n")
    assert done.stderr.endswith("Error: runs: holds no finished run. Make one with `mail train`.\n")


def test_what_a_terminal_would_obey_is_escaped(own: Path) -> None:
    own.write_text(RANKER.replace("return {8: units}[units]", "raise ValueError('\\x1b]0;title')"), encoding="utf-8")
    done = mail("train", "--ranker", "debugged:R", *SMALL[:-2], "--debug")
    assert "\x1b" not in done.stderr
    assert "ValueError: \\x1b]0;title\n" in done.stderr
