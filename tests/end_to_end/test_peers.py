"""The part of benchmarks/peers.py that needs no peer."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def peers(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(Path(__file__).parent.parent.parent / "benchmarks"))
    return importlib.import_module("peers")


def process(step: float, memory: float, **more: object) -> dict[str, object]:
    return {"step": step, "inputs": 640, "memory": memory, **more}


def test_a_measurement_is_the_last_line_printed(peers: Any) -> None:
    printed = 'cpu\n{"step": 9}\n{"step": 0.5, "inputs": 640, "memory": 1000}\n'
    assert peers.measurement(printed) == {"step": 0.5, "inputs": 640, "memory": 1000}


@pytest.mark.parametrize(("printed", "last"), [("", "''"), ("cpu\n", "'cpu'"), ("3\n", "'3'"), ('{"loss": 1}', "loss")])
def test_anything_else_is_named(peers: Any, printed: str, last: str) -> None:
    with pytest.raises(RuntimeError, match=f"expected a measurement in JSON in the last line, found .*{last}"):
        peers.measurement(printed)


def test_a_process_with_a_second_optimizer_gives_two_lines(peers: Any) -> None:
    measured = {
        ("DNN", "mail"): [process(0.04, 1000.0), process(0.05, 1200.0)],
        ("DNN", "FuxiCTR"): [process(0.9, 3000.0, fused=0.4), process(0.8, 2900.0, fused=0.5)],
    }
    assert [tuple(line) for line in peers.lines_of(measured)] == [
        ("DNN", "mail", [0.04, 0.05], 640, 1200.0),
        ("DNN", "FuxiCTR", [0.9, 0.8], 640, 3000.0),
        ("DNN", "FuxiCTR, fused Adam", [0.4, 0.5], 640, 3000.0),
    ]


def test_each_line_is_compared_with_ours_for_the_same_model(peers: Any) -> None:
    """Medians 40 and 100 ms of ours: 1,024 impressions / .04 s = 25,600/s; 400 ms / 100 ms = 4."""
    lines = [
        peers.Line("DNN", "mail", [0.05, 0.04, 0.03], 129, 2000.4),
        peers.Line("DNN", "FuxiCTR", [0.9, 0.8, 1.0], 640, 3456.0),
        peers.Line("DIN", "mail", [0.1, 0.1, 0.2], 641, 2100.0),
        peers.Line("DIN", "FuxiCTR", [0.5, 0.4, 0.4], 640, 3500.0),
    ]
    text = peers.report(lines, {"fuxictr": "2.3.10", "torch": "2.13.0"}, 3_142_554, 8)
    rows = [row for row in text.splitlines() if row.startswith("| D")]
    assert rows == [
        "| DNN | mail | 40.0 | 30, 40, 50 | 25,600 | 1.00 | 129 | 2,000 |",
        "| DNN | FuxiCTR | 900.0 | 800, 900, 1000 | 1,138 | 22.50 | 640 | 3,456 |",
        "| DIN | mail | 100.0 | 100, 100, 200 | 10,240 | 1.00 | 641 | 2,100 |",
        "| DIN | FuxiCTR | 400.0 | 400, 400, 500 | 2,560 | 4.00 | 640 | 3,500 |",
    ]
    assert "Peers: fuxictr 2.3.10, torch 2.13.0." in text
    assert "3,142,554 rows" in text
    assert "the median of 8 steps" in text


def test_a_whole_environment_is_reused(peers: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(peers.PEERS, "FuxiCTR", ("fuxictr==2.3.10",))
    commands: list[list[str]] = []
    monkeypatch.setattr(peers.subprocess, "run", lambda command, check: commands.append([*map(str, command)]))
    (tmp_path / "fuxictr").mkdir()
    pythons = [peers.environment("FuxiCTR", tmp_path) for _ in range(2)]
    assert pythons == [tmp_path / "fuxictr" / "bin" / "python"] * 2
    assert [command[1:4] for command in commands] == [
        ["-m", "venv", str(tmp_path / "fuxictr")],
        ["-m", "pip", "install"],
    ]
    assert commands[1][-1] == "fuxictr==2.3.10"
    monkeypatch.setitem(peers.PEERS, "FuxiCTR", ("fuxictr==2.3.11",))
    peers.environment("FuxiCTR", tmp_path)
    assert len(commands) == 4
