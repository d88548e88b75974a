"""The package versions that benchmarks/RESULTS.md reports are available after the installation of setup.cfg."""

from __future__ import annotations

import ast
import importlib
import json
import sys
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


def test_the_full_size_goes_on_where_it_was_interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS[0].parent))
    full_size = importlib.import_module("full_size")
    (tmp_path / "costs.json").write_text('{"simulate": [700.0, 2300.0, 23.0]}')
    commands = []

    def cost(*arguments: object) -> tuple[float, float]:
        commands.append(" ".join(str(argument) for argument in arguments))
        if len(commands) == 1:
            (tmp_path / "floor").mkdir()
            (tmp_path / "floor" / "behavior_log.parquet").write_bytes(bytes(2_000_000))
        if len(commands) == 3:
            raise RuntimeError("killed")
        return full_size.Cost(250.0 * len(commands), 4000.0)

    monkeypatch.setattr(full_size, "cost", cost)
    with pytest.raises(RuntimeError, match="killed"):
        full_size.measure(tmp_path, 1000)
    costs = json.loads((tmp_path / "costs.json").read_text())
    assert costs["floor"] == [250.0, 4000.0, 0.002]
    assert not (tmp_path / "floor").exists()
    assert "preprocess alimama" in commands[1]
    lines = full_size.report(costs, 1000).splitlines()
    assert "| simulate | 700 | 2.80 | 2,300 | 23.0 |" in lines
    assert "| preprocess | 500 | 2.00 | 4,000 | 0.0 |" in lines
    # Before DuckDB's own conversion is measured, there is no ratio to it.
    assert "| simulate | 700 |  | 2,300 | 23.0 |" in full_size.report({"simulate": [700.0, 2300.0, 23.0]}, 1000)
    assert lines[-1] == "Not measured: train BaseDNN, evaluate BaseDNN, train DMR, evaluate DMR."


def test_the_first_batch_is_made_from_the_only_dataset(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS[0].parent))
    monkeypatch.setattr(sys, "argv", ["-c", str(data_dir)])
    exec(importlib.import_module("preprocess").FIRST_BATCH, {})
    assert capsys.readouterr().out.startswith("first batch of 1024 after ")
