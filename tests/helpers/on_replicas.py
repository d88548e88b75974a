"""The same training steps on one replica and on several logical CPUs, in a process of its own.

For tests/experiments/executors/test_distributed.py:
python -m tests.helpers.on_replicas DATA_DIR REPLICAS SETTINGS -> a line of JSON: the losses and weights of both, and
whether random numbers are the same.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"

import keras
import numpy as np
import tensorflow as tf

from mailcli.config import make_config
from mailcli.data.batches import Batches
from mailcli.data.dataset import Dataset
from mailcli.data.protocol import views
from mailcli.models import distribute
from mailcli.models.batch_spec import to_tensors
from mailcli.models.factory import make_model
from mailcli.models.rankers import dmr
from mailcli.models.step import make_step

#: Batches of 64, and sizes that do not divide evenly; with 3 rows on 3 replicas, each has one, which may be a new user's.
SIZES = (64, 64, 7, 3, 64, 3, 64)


def train(dataset: Dataset, settings: dict[str, Any], group: distribute.ReplicaGroup | None) -> dict[str, Any]:
    """The losses of all steps, and the weights after them."""
    config = make_config([{"data": dataset.name}, settings])
    with ExitStack() as stack:
        if group:
            stack.enter_context(distribute.use_replicas(group))
        model = make_model(dataset, config)
        step = make_step(model, config)
        data = Batches(dataset, views(dataset, config)["train"], config.history, config.batch_size)
        # For the methods that read them; what they say does not matter here.
        data.prepared = np.random.default_rng(1).normal(size=len(data.view.rows)).astype(np.float32)
        order = np.random.default_rng(0).permutation(dataset.counts["train"])
        losses = []
        for start, size in zip(np.cumsum((0, *SIZES)), SIZES, strict=False):
            rows = data.view.rows[order[start : start + size]]
            losses.append({name: float(value) for name, value in step(to_tensors(data.gather(rows))).items()})
        seeds = [np.asarray(v).tolist() for v in model.variables if v.dtype == "int64"]
        return {
            "losses": losses,
            "table": np.asarray(model.embedding.table).tolist(),
            "others": [float(np.abs(np.asarray(v)).sum()) for v in model.variables if v.dtype == "float32"],
            "seeds": seeds,
        }


#: Our samplers and Keras'; widths that fill Philox' blocks of four and widths that do not; rows once and repeated.
SAMPLERS = {
    f"{name} {width} {times}": (ours, theirs, width, times)
    for name, ours, theirs in (
        ("uniform", distribute.uniform, keras.random.uniform),
        ("normal", distribute.normal, keras.random.normal),
    )
    for width in (1, 3, 4)
    for times in (1, 2)
}


def same_random_numbers(group: distribute.ReplicaGroup) -> dict[str, bool]:
    """Whether the replicas' random numbers together are what Keras samples for all 11 rows."""
    with distribute.use_replicas(group), distribute.scope():
        generators = {name: keras.random.SeedGenerator(5) for name in SAMPLERS}

    def sample(batch: dict[str, Any]) -> dict[str, Any]:
        x, samples = batch["click"], {}
        with distribute.exchange_row_counts(tf.shape(x)[0]):
            for name, (ours, _, width, times) in SAMPLERS.items():
                with distribute.repeated_rows(times):
                    own_rows = ours(tf.tile(x[:, :width], [times, 1]), generators[name])
                parts = [distribute.all_gather(part) for part in tf.split(own_rows, times)]
                samples[name] = tf.concat(parts, axis=0)
        return samples

    with distribute.use_replicas(group):
        samples = tf.function(distribute.run_on_replicas(sample))({"click": tf.zeros([11, 4])})
    return {
        name: bool(
            np.array_equal(samples[name], theirs((11 * times, width), seed=keras.random.SeedGenerator(5)).numpy())
        )
        for name, (_, theirs, width, times) in SAMPLERS.items()
    }


def main() -> None:
    """Print the comparison."""
    folder, count, settings = Path(sys.argv[1]), int(sys.argv[2]), json.loads(sys.argv[3])
    dmr.NEGATIVES = 10
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * count)
    group = distribute.ReplicaGroup(tf.distribute.MirroredStrategy([f"CPU:{number}" for number in range(count)]))
    dataset = Dataset(folder / "tiny")
    runs = {"one": train(dataset, settings, None), "several": train(dataset, settings, group)}
    print(json.dumps({**runs, "draws": same_random_numbers(group) if count == 3 else {}}))


if __name__ == "__main__":
    main()
