"""docs/terminal.md, which `make captures` writes: it has every command, at its widths, and is up to date."""

from __future__ import annotations

import importlib.util
import re
import shutil
import sys
import tomllib
import unicodedata
from types import ModuleType
from typing import Any, NamedTuple

import click
import pytest

from mailcli.cli import main
from tests.helpers.documents import ROOT

PAGE = ROOT / "docs" / "terminal.md"
PLAN: dict[str, Any] = tomllib.loads((ROOT / "docs" / "terminal.toml").read_text(encoding="utf-8"))
SHOTS: list[dict[str, Any]] = [shot for section in PLAN["section"] for shot in section["shot"]]


class Capture(NamedTuple):
    """A block of the page."""

    command: str
    columns: int
    live: bool
    lines: list[str]


def captures(text: str) -> list[Capture]:
    """All blocks of the page."""
    blocks = re.findall(r"(?:With (\d+) columns:\n\n)?(While it runs:\n\n)?```text\n\$ (.*)\n((?:.*\n)*?)```\n", text)
    return [
        Capture(command, int(columns or 80), bool(live), body.splitlines()) for columns, live, command, body in blocks
    ]


@pytest.fixture(scope="module")
def committed() -> str:
    return PAGE.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def program() -> ModuleType:
    """docs/captures.py."""
    spec = importlib.util.spec_from_file_location("captures", ROOT / "docs" / "captures.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["captures"] = module
    spec.loader.exec_module(module)
    return module


def names_below(group: click.Group, prefix: str) -> list[str]:
    """All commands, with those of groups."""
    names = []
    for name, command in group.commands.items():
        full = f"{prefix} {name}"
        names += names_below(command, full) if isinstance(command, click.Group) else [full]
    return names


def test_the_page_has_every_command(committed: str) -> None:
    shown = [capture.command + " " for capture in captures(committed)]
    # `mail runs` is `mail runs list`.
    wanted = [name.removesuffix(" list") for name in names_below(main, "mail")]
    assert not [name for name in wanted if not any(command.startswith(f"{name} ") for command in shown)]


def test_the_page_is_that_of_its_plan(committed: str) -> None:
    planned = [(shot["command"], columns) for shot in SHOTS for columns in shot.get("columns", [80])]
    shown = captures(committed)
    assert [(capture.command, capture.columns) for capture in shown if not capture.live] == planned
    assert [capture.command for capture in shown if capture.live] == [s["command"] for s in SHOTS if s.get("live")]
    assert committed.startswith(PLAN["head"].strip())


def test_no_line_is_longer_than_its_window(committed: str) -> None:
    for capture in captures(committed):
        for line in capture.lines:
            # The hat of v̂ takes no room.
            width = sum(not unicodedata.combining(character) for character in line)
            assert width <= capture.columns, (capture.command, capture.columns, line)
    assert not re.search(r"/(tmp|root|work|home/(?!you/))", committed)


def stable(text: str) -> list[tuple[str, int, list[str]]]:
    """What is the same whenever and wherever the page is made: words, without numbers, times and what depends on them.

    Lines are joined, since where they break depends on the length of numbers.
    """
    varying = {shot["command"] for shot in SHOTS if shot.get("varies")}
    kept = []
    for capture in captures(text):
        words = " ".join(capture.lines) if capture.command not in varying and not capture.live else ""
        # Significance and best values follow from digits that differ between processors.
        words = re.sub(r"[↓†≈*·━─┃│╇┼]|n\.s\.|-(?= )", " ", words)
        words = re.sub(
            r"\b(seconds?|minutes?|hours?|kB|MB|GB|s|min|h)\b", "", re.sub(r"[+±-]?\.?\d[\d.,:]*", "", words)
        )
        kept.append((capture.command, capture.columns, re.findall(r"\S*[^\W_]\S*", re.sub(r"[,;:]", " ", words))))
    return kept


def test_numbers_times_and_layout_do_not_count() -> None:
    before = "```text\n$ mail x\nAUC │ .7112 ±.0025 │ +0.4 n.s.\ntook 1:03, 2 minutes ago\n```\n"
    after = "```text\n$ mail x\nAUC │ .7013↓ ±.0104 │ -0.4\ntook 59 s, 1\nminute ago\n```\n"
    assert stable(before) == stable(after) == [("mail x", 80, ["AUC", "took", "ago"])]
    assert stable(before) != stable(before.replace("took", "lasted"))


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("tmux") is None, reason="this machine has no tmux (apt-get install tmux)")
def test_the_page_is_what_the_commands_print(committed: str, program: ModuleType) -> None:
    made = program.page()
    for now, then in zip(stable(made), stable(committed), strict=True):
        assert now == then, "run `make captures`"
    assert re.sub(r"```text\n.*?```", "", made, flags=re.DOTALL) == re.sub(
        r"```text\n.*?```", "", committed, flags=re.DOTALL
    )
