"""The user's keras.json and Keras' environment variables change nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.command_line import SMALL

HOSTILE = {
    "floatx": "float64",
    "epsilon": 0.5,
    "backend": "jax",
    "nnx_enabled": True,
    "image_data_format": "channels_first",
}
SETTINGS = """
import sys
before = dict(__import__("os").environ)
import mailcli.models
import keras, os
assert dict(os.environ).items() >= before.items()
c = keras.config
print(c.floatx(), c.epsilon(), c.backend(), c.is_nnx_enabled(), c.image_data_format(), c.dtype_policy().name)
print(keras.src.backend.config.keras_home())
"""


def python(home: Path, keras_json: str, *arguments: str) -> str:
    """The output of Python in a process whose user has this keras.json."""
    (home / ".keras").mkdir(parents=True)
    (home / ".keras" / "keras.json").write_text(keras_json, encoding="utf-8")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("KERAS")}
    environment |= {"HOME": str(home), "KERAS_MAX_EPOCHS": "1", "KERAS_BACKEND": "jax"}
    done = subprocess.run(
        [sys.executable, *arguments], env=environment, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    "keras_json",
    [
        json.dumps(HOSTILE),
        json.dumps({"floatx": "float99"}),
        "[1, 2]",
        "{",
    ],
)
def test_keras_has_its_own_defaults(tmp_path: Path, keras_json: str) -> None:
    lines = python(tmp_path, keras_json, "-c", SETTINGS).splitlines()
    assert lines == ["float32 1e-07 tensorflow False channels_last float32", f"{tmp_path}/.keras"]
    assert (tmp_path / ".keras" / "keras.json").read_text(encoding="utf-8") == keras_json


@pytest.mark.slow
def test_a_run_has_the_same_numbers(tmp_path: Path, data_dir: Path) -> None:
    method = ["--cold-start", "dropout"]
    results = []
    for name, settings in (("plain", {}), ("hostile", HOSTILE)):
        runs = tmp_path / name / "runs"
        command = ["-m", "mailcli", "train", *SMALL, *method, "--data-dir", str(data_dir), "--runs", str(runs)]
        python(tmp_path / name, json.dumps(settings), *command)
        results.append({str(path.relative_to(runs)): path.read_bytes() for path in sorted(runs.rglob("history.jsonl"))})
    assert results[0] == results[1]
