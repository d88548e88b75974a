"""Several replicas compute what one computes, and what they cannot train is rejected."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray

from mailcli.config import RunConfig, make_config
from mailcli.data.dataset import Dataset
from mailcli.data.protocol import views
from mailcli.errors import MailError
from mailcli.experiments.executors.cluster import Cluster
from mailcli.experiments.executors.distributed import _train_in_turn
from mailcli.experiments.executors.replicas import _unreachable_error, check_replicas
from tests.helpers.workers import (
    BASE_MAIL,
    SMALL_MAIL,
    finish,
    start,
    thread_counts_of_epochs,
    train_commands,
    without_norms,
)


def test_what_several_replicas_cannot_train(tiny: Dataset, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(home))
    (home / "unsupported.py").write_text("def ranker(features, training):\n    return features.query[:, 0]\n")
    (home / "as_property.py").write_text(
        "from mailcli.models import RankingTower\nclass R(RankingTower):\n"
        "    @property\n    def supports_replicas(self): return False\n"
    )
    rows = len(views(tiny, make_config([{"data": "tiny"}]))["train"].rows)
    for changes, message in (
        ({"batch_size": 1}, "batch_size = 1: each of the 2 replicas takes a part of every batch. Expected 2 or more."),
        (
            {"batch_size": rows - 1},
            f"batch_size = {rows - 1}: the last batch of an epoch would have 1 of the training impressions, too few for 2 "
            "replicas. Choose another batch_size.",
        ),
        (
            {"batch_size": rows, "ranker": "unsupported:ranker"},
            "ranker 'unsupported:ranker': has not declared support for several replicas, where losses, batch "
            "normalization and dropout must be those of mailcli.models. Use them and set `supports_replicas = True` in "
            "the class, or train on one replica.",
        ),
        (
            {"batch_size": rows, "ranker": "as_property:R"},
            "ranker 'as_property:R': supports_replicas is a property. Expected True or False, as an attribute of the "
            "class.",
        ),
    ):
        with pytest.raises(MailError) as error:
            check_replicas(make_config([{"data": "tiny"}, changes]), tiny, 2)
        assert error.value.message == message


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


def test_a_worker_without_a_sign_of_life_is_named() -> None:
    """As TensorFlow reports it: after a trace of Python calls, in several lines."""
    cluster = Cluster(("a:1", "b:2", "c:3"), 0, 100.0)
    advice = "Check all workers. Start all workers again with the same commands to resume from the last checkpoint."
    trace = (
        'Graph execution error:\n\nDetected at node X:\n  File "x.py", line 1, in x\n\nCollective ops is aborted by: '
    )
    report = "Error reported from /job:worker/task:1: The following tasks are unhealthy (stopped sending heartbeats):\n"
    end = "The tasks have crashed. Check the task logs for an earlier error.\n\t [[{{node X}}]]"
    one, two = "/job:worker/replica:0/task:1\n", "/job:worker/replica:0/task:2\n"
    for cause, message in (
        (f"{trace}{report}{one}{end}", f"worker 1 (b:2) has not answered for 100 seconds. {advice}"),
        (
            f"{trace}{report}{one}{two}{end}",
            f"worker 1 (b:2) and worker 2 (c:3) have not answered for 100 seconds. {advice}",
        ),
        (f"{trace}Socket closed\n{end}", f"a worker cannot be reached (Socket closed). {advice}"),
    ):
        error = _unreachable_error(cluster, tf.errors.UnavailableError(None, None, cause))
        assert error is not None
        assert error.message == message


def test_a_later_run_is_refused_before_the_first_is_trained(tiny: Dataset) -> None:
    trained: list[RunConfig] = []
    settings = {"data": "tiny", "cold_start": "pfd", "cold_start.folds": "999"}
    runs = [(make_config([{"data": "tiny"}]), tiny), (make_config([settings]), tiny)]
    with pytest.raises(MailError, match="^folds = 999: the training split has "):
        _train_in_turn(runs, None, trained.append, trained.append)
    assert not trained


CELLS: dict[str, dict[str, str]] = {
    "base": {},
    "base+mail": BASE_MAIL,
    "typical": {"cold_start": "mail", "cold_start.steps": "typical", "cold_start.bandwidth": "adaptive", **SMALL_MAIL},
    "dmr+cvae": {"ranker": "dmr", "cold_start": "cvae", "cold_start.units": "16"},
    "deepfm+dropout": {"ranker": "deepfm", "cold_start": "dropout"},
    "dmr+masked": {"ranker": "dmr", "cold_start": "masked", "cold_start.prefix": "true"},
    "din+poso": {"ranker": "din", "cold_start": "poso", "cold_start.prefix": "true"},
    "dmr+pfd": {"ranker": "dmr", "cold_start": "pfd", "cold_start.loss": "listwise"},
    "base+prior": {"cold_start": "prior"},
    "dmr+match": {"ranker": "dmr", "cold_start": "match", "cold_start.steps": "3"},
    "base+mail-pooled": {"cold_start": "mail-pooled", "cold_start.units": "16,8"},
    "every second": {"cold_start": "mail", "cold_start.update_every": "2", **SMALL_MAIL},
    "dense": {"optimizer": "adam"},
    "penalized": {"ranker": "tests.helpers.penalized_ranker:Ranker"},
    "bfloat16": {"precision": "bfloat16", "cold_start": "mail", **SMALL_MAIL},
    "dmr+cvae bfloat16": {"precision": "bfloat16", "ranker": "dmr", "cold_start": "cvae", "cold_start.units": "16"},
}
#: With embeddings as small as the default's, the distances of codes that L_d compares are lost in bfloat16's 8 bits.
SETTINGS = {"history": 20, "embedding_dim": 8, "embedding_init": "xavier", "batch_size": 64, "ranker.units": "16,8"}


#: The steps of tests/helpers/on_replicas.py whose batches have 7 or 3 rows; the others have 64.
FEW_ROWS = (2, 3, 5)


def check_rounded_tables(one: NDArray[np.float64], several: NDArray[np.float64], steps: int) -> None:
    """Tables after gradients in bfloat16, whose losses and norms have been compared.

    Adam moves by .001 whatever the size of a gradient, and if it is only rounding error, in either direction in each
    step: so far may any number be off, but only those few may be.
    """
    off = np.abs(several - one)
    assert off.max() <= 2 * steps * 0.001
    assert (off > 0.005).mean() < 0.001


def trained_on_replicas(data_dir: Path, count: int, settings: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """The process of tests/helpers/on_replicas.py."""
    command = [sys.executable, "-m", "tests.helpers.on_replicas", str(data_dir), str(count)]
    return subprocess.run(
        [*command, json.dumps({**SETTINGS, **settings})],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parent.parent.parent.parent,
    )


@pytest.mark.slow
def test_an_inner_layers_loss_is_refused_on_several_replicas(data_dir: Path) -> None:
    """It would be left out, as regularizers and constraints once were."""
    done = trained_on_replicas(data_dir, 2, {"ranker": "tests.helpers.penalized_ranker:WithInnerLoss"})
    assert done.returncode != 0
    assert (
        "ValueError: on several replicas, a loss should be given to the ranker's own `add_loss`. Received one of a layer "
        "inside of it (`add_loss` or `activity_regularizer`)."
    ) in done.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("cell", "count"),
    [
        ("base", 2),
        pytest.param("base+mail", 3, marks=pytest.mark.slow),
        *(pytest.param(cell, 2, marks=pytest.mark.slow) for cell in CELLS if cell != "base"),
    ],
)
def test_several_replicas_do_what_one_does(cell: str, count: int, data_dir: Path) -> None:
    """With dropout, and with batches that cannot be divided evenly or have one row per replica."""
    done = trained_on_replicas(data_dir, count, CELLS[cell])
    assert done.returncode == 0, done.stderr
    results = json.loads(done.stdout.splitlines()[-1])
    one, several = results["one"], results["several"]
    # bfloat16 has 8 bits, and a replica adds up products in another order.
    atol = 2e-2 if "bfloat16" in cell else 1e-5
    for number, (expected, losses) in enumerate(zip(one["losses"], several["losses"], strict=True)):
        if "bfloat16" in cell and number in FEW_ROWS:
            # One replica's own norms are 8 to 400% off those of float32 there: nothing to compare with.
            losses, expected = without_norms(losses), without_norms(expected)
        assert losses == pytest.approx(expected, abs=atol, rel=atol), f"step {number}"
    if "bfloat16" in cell:
        check_rounded_tables(np.array(one["table"]), np.array(several["table"]), steps=len(one["losses"]))
    else:
        np.testing.assert_allclose(several["table"], one["table"], atol=1e-4)
    assert several["seeds"] == one["seeds"]
    assert [name for name, same in results["draws"].items() if not same] == []
    assert len(results["draws"]) == (12 if count == 3 else 0)


#: Makes of `--devices 2` two logical CPUs.
TWO_CPUS = """
from mailcli.experiments.executors import distributed
def set_logical_cpus(devices):
    import tensorflow as tf
    (cpu,) = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * devices)
    tf.config.get_visible_devices = lambda kind: [cpu] * devices
distributed.set_visible_gpus = set_logical_cpus
"""


@pytest.mark.slow
def test_two_replicas_keep_their_number_of_threads(data_dir: Path, tmp_path: Path) -> None:
    """From the first validation, after 22 steps, to the fourth, after 88."""
    cell = {"epochs": "50", "patience": "50"}
    running = start(train_commands(data_dir, tmp_path, 1, cell, "--devices", "2", setup=TWO_CPUS))
    history = tmp_path / "tiny/paper/base+none/seed-0/history.jsonl"
    (first,), (last,) = thread_counts_of_epochs(running, history, (1, 4))
    assert last <= first + 5


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
