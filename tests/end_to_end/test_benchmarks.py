"""What benchmarks/RESULTS.md says of the machine can be found out where the project is installed as setup.cfg says."""

from __future__ import annotations

import ast
from importlib.metadata import version
from pathlib import Path

import pytest

BENCHMARKS = sorted((Path(__file__).parent.parent.parent / "benchmarks").glob("*.py"))


def versions_asked_for(path: Path) -> list[str]:
    calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    asked = [call for call in calls if isinstance(call.func, ast.Name) and call.func.id == "machine"]
    return [str(each.value) for call in asked for each in call.args if isinstance(each, ast.Constant)]


def test_some_are_asked_for() -> None:
    assert sum(bool(versions_asked_for(path)) for path in BENCHMARKS) >= 6


@pytest.mark.parametrize("path", BENCHMARKS, ids=lambda path: path.stem)
def test_the_packages_whose_versions_are_noted_are_installed(path: Path) -> None:
    """A name that is not installed would end a benchmark after minutes of measuring."""
    for name in versions_asked_for(path):
        assert version(name)
