"""The package versions that benchmarks/RESULTS.md reports are available after the installation of setup.cfg."""

from __future__ import annotations

import ast
from importlib.metadata import version
from pathlib import Path

import pytest

BENCHMARKS = sorted((Path(__file__).parent.parent.parent / "benchmarks").glob("*.py"))


def reported_packages(path: Path) -> list[str]:
    """The arguments of a benchmark's calls of `machine`."""
    calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    reports = [call for call in calls if isinstance(call.func, ast.Name) and call.func.id == "machine"]
    return [str(argument.value) for call in reports for argument in call.args if isinstance(argument, ast.Constant)]


def test_some_are_asked_for() -> None:
    assert sum(bool(reported_packages(path)) for path in BENCHMARKS) >= 6


@pytest.mark.parametrize("path", BENCHMARKS, ids=lambda path: path.stem)
def test_the_packages_whose_versions_are_noted_are_installed(path: Path) -> None:
    """Otherwise a benchmark would fail after minutes of measuring."""
    for name in reported_packages(path):
        assert version(name)
