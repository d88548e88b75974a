"""Milliseconds of a training step in a process of its own, with batches prepared at the same time, as in a run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from measure import private_megabytes


class FedStep(NamedTuple):
    """Measurements of a process."""

    milliseconds: float
    megabytes: float
    """Without mapped files and libraries."""
    rows: int
    """Embeddings."""
    rows_in_memory: int


def measure_in_process(
    folder: Path, settings: Mapping[str, Any], warm_up: int, steps: int, table_memory: int | None = None
) -> FedStep:
    """Time the last `steps` of a run on a dataset in a new process.

    Args:
        folder: of the dataset.
        settings: of the run.
        warm_up: steps before.
        steps: that are timed.
        table_memory: bytes; None for the default.
    """
    arguments = json.dumps([str(folder), dict(settings), warm_up, steps, table_memory])
    output = subprocess.run([sys.executable, __file__, arguments], check=True, stdout=subprocess.PIPE, text=True).stdout
    return FedStep(*json.loads(output.splitlines()[-1]))


def measure(folder: Path, settings: Mapping[str, Any], warm_up: int, steps: int, table_memory: int | None) -> FedStep:
    """The measurements of this process."""
    from train import train_for

    from mailcli.utils.tensorflow_startup import load_tensorflow

    load_tensorflow()
    from mailcli.config import make_config
    from mailcli.data.batches import Batches
    from mailcli.data.dataset import Dataset
    from mailcli.data.protocol import views
    from mailcli.models.factory import make_model
    from mailcli.models.step import make_step
    from mailcli.utils.table_memory import limit_table_memory

    if table_memory:
        limit_table_memory(table_memory)
    dataset = Dataset(folder)
    config = make_config([{"data": dataset.name, **settings}])
    batches = Batches(dataset, views(dataset, config)["train"], config.history, config.batch_size)
    model = make_model(dataset, config, folder)
    step = make_step(model, config)
    train_for(step, batches, warm_up)
    milliseconds = 1e3 * train_for(step, batches, steps) / steps
    rows, mapped = model.embedding.rows, model.embedding.mapped
    return FedStep(milliseconds, private_megabytes(), rows, mapped.capacity if mapped else rows)


if __name__ == "__main__":
    dataset_folder, *rest = json.loads(sys.argv[1])
    print(json.dumps(measure(Path(dataset_folder), *rest)))
