"""Several replicas compute what one computes, and what they cannot train is rejected."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from mailcli.experiments.executors.cluster import Cluster
from mailcli.experiments.executors.replicas import _unreachable_error
from tests.helpers.workers import BASE_MAIL, SMALL_MAIL, finish, start, train_commands


def test_a_worker_that_does_not_answer_is_reported() -> None:
    cluster = Cluster(("a:1", "b:2"), 0, 100.0)
    advice = "Check all workers. Start all workers again with the same commands to resume from the last checkpoint."
    for cause, message in (
        (tf.errors.DeadlineExceededError(None, None, "x"), f"a worker has not answered for 100 seconds. {advice}"),
        (tf.errors.UnavailableError(None, None, "no route"), f"a worker cannot be reached (no route). {advice}"),
    ):
        error = _unreachable_error(cluster, cause)
        assert error is not None
        assert error.message == message
    assert _unreachable_error(cluster, tf.errors.InternalError(None, None, "x")) is None


CELLS: dict[str, dict[str, str]] = {
    "base+mail": BASE_MAIL,
    "typical": {"cold_start": "mail", "cold_start.steps": "typical", "cold_start.bandwidth": "adaptive", **SMALL_MAIL},
    "dmr+cvae": {"ranker": "dmr", "cold_start": "cvae", "cold_start.units": "16"},
    "deepfm+dropout": {"ranker": "deepfm", "cold_start": "dropout"},
    "dmr+masked": {"ranker": "dmr", "cold_start": "masked", "cold_start.prefix": "true"},
    "dense": {"optimizer": "adam"},
    "bfloat16": {"precision": "bfloat16", "cold_start": "mail", **SMALL_MAIL},
    "dmr+cvae bfloat16": {"precision": "bfloat16", "ranker": "dmr", "cold_start": "cvae", "cold_start.units": "16"},
}
SETTINGS = {"history": 20, "embedding_dim": 8, "batch_size": 64, "ranker.units": "16,8"}


@pytest.mark.parametrize(
    ("cell", "count"),
    [
        ("base+mail", 2),
        pytest.param("base+mail", 3, marks=pytest.mark.slow),
        *(pytest.param(cell, 2, marks=pytest.mark.slow) for cell in CELLS if cell != "base+mail"),
    ],
)
def test_several_replicas_do_what_one_does(cell: str, count: int, data_dir: Path) -> None:
    """With dropout, and with batches that cannot be divided evenly or have one row per replica."""
    command = [sys.executable, "-m", "tests.helpers.on_replicas", str(data_dir), str(count)]
    done = subprocess.run(
        [*command, json.dumps({**SETTINGS, **CELLS[cell]})],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parent.parent.parent.parent,
    )
    assert done.returncode == 0, done.stderr
    results = json.loads(done.stdout.splitlines()[-1])
    one, several = results["one"], results["several"]
    # bfloat16 has 8 bits, and a replica adds up products in another order.
    atol = 2e-2 if "bfloat16" in cell else 1e-5
    for number, (expected, losses) in enumerate(zip(one["losses"], several["losses"], strict=True)):
        if cell == "deepfm+dropout":
            # A row that occurs twice in a batch counts twice in one replica's norm; several replicas sum it first.
            del losses["gradient"], expected["gradient"]
        assert losses == pytest.approx(expected, abs=atol, rel=atol), f"step {number}"
    # If a gradient is only rounding error, Adam moves by .001 in either direction in each of the 7 steps.
    np.testing.assert_allclose(several["table"], one["table"], atol=5e-3 if "bfloat16" in cell else 1e-4)
    assert several["seeds"] == one["seeds"]
    assert [name for name, same in results["draws"].items() if not same] == []
    assert len(results["draws"]) == (12 if count == 3 else 0)


@pytest.mark.slow
def test_more_devices_than_there_are(data_dir: Path, tmp_path: Path) -> None:
    for devices in ("2", "all"):
        (done,) = finish(start(train_commands(data_dir, tmp_path, 1, {}, "--devices", devices)))
        assert done == (
            2,
            [
                f"Error: --devices {devices}: this machine has no GPU that TensorFlow can use. Leave out the option to "
                "train on the CPU."
            ],
        )
    assert not list(tmp_path.rglob("config.toml"))
