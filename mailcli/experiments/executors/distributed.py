"""Training on several replicas: the GPUs of this machine, or workers on several machines."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from mailcli import __version__
from mailcli.config import RunConfig
from mailcli.data.dataset import Dataset
from mailcli.errors import MailError
from mailcli.experiments.cells import train_if_missing
from mailcli.experiments.executors.cluster import Cluster
from mailcli.experiments.executors.connections import Connections
from mailcli.experiments.executors.rendezvous import VERSIONS, connect, reject_workers
from mailcli.experiments.executors.replicas import (
    Devices,
    check_replicas,
    connect_replicas,
    set_visible_gpus,
    tensorflow_errors_explained,
)
from mailcli.experiments.executors.tasks import Task
from mailcli.runs.identity import run_identity
from mailcli.runs.remote import RemoteRun
from mailcli.utils.tensorflow_startup import load_tensorflow

if TYPE_CHECKING:
    from mailcli.models.distribute import ReplicaGroup

logger = logging.getLogger(__name__)


class MultiGpuTrainer:
    """Trains on the GPUs of this machine; call it with the tasks.

    Args:
        devices: the number of GPUs.
    """

    def __init__(self, devices: Devices) -> None:
        self._devices = devices

    def __call__(self, tasks: Sequence[Task]) -> None:
        """Train the runs one after the other."""
        load_tensorflow(lambda: set_visible_gpus(self._devices))
        import tensorflow as tf

        from mailcli.models.distribute import ReplicaGroup

        # One GPU needs no replication.
        several = len(tf.config.get_visible_devices("GPU")) > 1
        replicas = ReplicaGroup(tf.distribute.MirroredStrategy()) if several else None
        train = partial(_train_alone, tasks)
        _train_in_turn([(task.config, Dataset(task.dataset)) for task in tasks], replicas, train, train)


class ClusterTrainer:
    """Trains on all workers of a cluster; call it with the tasks.

    Args:
        cluster: the workers.
        devices: the number of GPUs of each worker.
        config: the requested cell, equal on all workers.
        dataset: the dataset.
    """

    def __init__(self, cluster: Cluster, devices: Devices, config: RunConfig, dataset: Dataset) -> None:
        count = len(cluster.addresses)
        if config.batch_size < count:
            raise MailError(
                f"batch_size = {config.batch_size}: each of the {count} workers takes a part of every batch. "
                f"Expected {count} or more."
            )
        self._cluster, self._devices, self._connected = cluster, devices, False
        if os.environ.get("TF_CPP_MIN_LOG_LEVEL") == "2":
            # TensorFlow would report a lost worker in many lines of its own; we report it in one.
            os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
        self._job = {
            **run_identity(config, dataset),
            **{name: __version__ if name == "mail" else metadata.version(name) for name in VERSIONS},
            "devices": devices,
        }

    @property
    def is_chief(self) -> bool:
        """Whether this process writes the run folders and prints the table."""
        return self._cluster.index == 0

    @contextmanager
    def errors_reported(self) -> Iterator[None]:
        """Report a MailError to the other workers if they have not connected yet: they would wait in vain."""
        try:
            yield
        except MailError as error:
            if not self._connected:
                logger.info(
                    f"{self._cluster.name(0)} cannot start. Waiting to notify the other workers; press Ctrl-C to quit."
                )
                # A port error would only hide the cause.
                with suppress(KeyboardInterrupt, MailError):
                    reject_workers(self._cluster, error.message)
            raise

    def __call__(self, tasks: Sequence[Task]) -> None:
        """As the chief, train the missing runs, if any, one after the other."""
        self._connected = True
        connections = connect(self._cluster, self._job, cells=[task.config.cell for task in tasks])
        with _end_reported(connections):
            if tasks:
                runs = [(task.config, Dataset(task.dataset)) for task in tasks]
                self._train(connections, runs, partial(_train_as_chief, tasks), partial(_train_alone, tasks))

    def follow(self, configs: Sequence[RunConfig], dataset: Dataset) -> int:
        """As another worker, take part in the runs that the chief is missing; returns their number."""
        connections = connect(self._cluster, self._job)
        runs = [(config, dataset) for config in configs if config.cell in connections.cells]

        def take_part(config: RunConfig) -> None:
            from mailcli.training.train import train

            train(RemoteRun(Path(), config), dataset)

        with _end_reported(connections):
            if runs:
                self._train(connections, runs, take_part, lambda _: None)
        return len(runs)

    def _train(
        self,
        connections: Connections,
        runs: Sequence[tuple[RunConfig, Dataset]],
        train_together: Callable[[RunConfig], object],
        train_alone: Callable[[RunConfig], object],
    ) -> None:
        cluster, replicas = self._cluster, []

        def start() -> None:
            # Both must precede TensorFlow's first operation.
            set_visible_gpus(self._devices)
            with tensorflow_errors_explained(cluster, connections):
                replicas.append(connect_replicas(cluster))

        load_tensorflow(start)
        with tensorflow_errors_explained(cluster, connections):
            _train_in_turn(runs, replicas[0], train_together, train_alone)


def _train_alone(tasks: Sequence[Task], config: RunConfig) -> None:
    task = next(task for task in tasks if task.config == config)
    train_if_missing(config, Dataset(task.dataset), task.folders, task.checkpoint_minutes)


def _train_as_chief(tasks: Sequence[Task], config: RunConfig) -> None:
    """The chief's part of a run. If another process finishes the run in the meantime, `train` reports it to all."""
    from mailcli.training.train import train

    task = next(task for task in tasks if task.config == config)
    dataset = Dataset(task.dataset)
    train(task.folders.find(config, dataset), dataset, checkpoint_minutes=task.checkpoint_minutes)


def _train_in_turn(
    runs: Sequence[tuple[RunConfig, Dataset]],
    replicas: ReplicaGroup | None,
    train_together: Callable[[RunConfig], object],
    train_alone: Callable[[RunConfig], object],
) -> None:
    """Train runs one after the other on all replicas.

    Two-stage methods are fitted to a trained baseline, by the chief only.

    Args:
        runs: config and dataset of each.
        replicas: the replicas; None for a single device.
        train_together: trains a run on all replicas.
        train_alone: trains a run on the chief only.

    Raises:
        MailError: one of them cannot be trained this way; raised before any is trained.
    """
    from mailcli.models import distribute
    from mailcli.models.factory import is_two_stage

    for config, dataset in runs:
        _check(config, dataset, replicas)
    for config, _ in runs:
        if replicas is None or is_two_stage(config):
            if replicas is None or replicas.worker_index == 0:
                train_alone(config)
            continue
        with distribute.use_replicas(replicas):
            train_together(config)


def _check(config: RunConfig, dataset: Dataset, replicas: ReplicaGroup | None) -> None:
    """Refuse what the replicas, or the method, cannot be trained on (MailError)."""
    from mailcli.models import distribute
    from mailcli.models.factory import is_two_stage, make_cold_start
    from mailcli.training.dataset_checks import checked_views
    from mailcli.training.preparation import check_method

    check_method(make_cold_start(config), config, dataset, checked_views(dataset, config)["train"])
    if replicas and not is_two_stage(config):
        with distribute.use_replicas(replicas):
            check_replicas(config, dataset, distribute.replica_count())


@contextmanager
def _end_reported(connections: Connections) -> Iterator[None]:
    """Report to the other workers how the block ends; the chief ends last."""
    try:
        yield
    except BaseException as error:
        connections.close(getattr(error, "message", None) or type(error).__name__)
        raise
    connections.close("")
    connections.wait()
