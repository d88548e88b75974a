"""The replicas of a distributed training in TensorFlow: visible GPUs, the workers' strategy, TensorFlow's errors."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from mailcli import plugins
from mailcli.config import RunConfig
from mailcli.data.dataset import Dataset
from mailcli.data.protocol import views
from mailcli.errors import MailError, counted
from mailcli.experiments.executors.cluster import Cluster
from mailcli.experiments.executors.connections import RESTART, Connections
from mailcli.experiments.executors.rendezvous import port_error

if TYPE_CHECKING:
    from mailcli.models.distribute import ReplicaGroup

#: The value of `mail train --devices`: a number of GPUs, "all", or None for TensorFlow's own choice.
Devices = int | str | None
#: The shortest time in seconds that workers wait for a sign of life (ours: a busy worker is not taken for a lost one).
_SHORTEST_HEARTBEAT_TIMEOUT = 60.0
#: In TensorFlow's errors: what follows names the workers that are lost.
_SILENT = "stopped sending heartbeats"
#: In TensorFlow's errors: a trace of Python calls precedes it, the cause follows.
_ABORTED_BY = "Collective ops is aborted by: "


def parse_devices(text: str | None) -> Devices:
    """The value of --devices (MailError if it is neither a number from 1 on nor `all`)."""
    if text is None or text == "all":
        return text
    if not (text.isascii() and text.isdigit() and len(text) < 5 and int(text)):
        raise MailError(f"--devices {text}: expected a number of GPUs, 1 or more, or 'all'.")
    return int(text)


def set_visible_gpus(devices: Devices) -> None:
    """Let TensorFlow use only so many GPUs (MailError if there are fewer)."""
    if devices is None:
        return
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    if not gpus or (isinstance(devices, int) and devices > len(gpus)):
        available = counted(len(gpus), "GPU") if gpus else "no GPU"
        advice = f"Expected {len(gpus)} or fewer." if gpus else "Leave out the option to train on the CPU."
        raise MailError(f"--devices {devices}: this machine has {available} that TensorFlow can use. {advice}")
    tf.config.set_visible_devices(gpus if devices == "all" else gpus[:devices], "GPU")


def check_replicas(config: RunConfig, dataset: Dataset, count: int) -> None:
    """Reject what several replicas cannot train (MailError)."""
    if config.batch_size < count:
        raise MailError(
            f"batch_size = {config.batch_size}: each of the {count} replicas takes a part of every batch. "
            f"Expected {count} or more."
        )
    last_batch = len(views(dataset, config)["train"].rows) % config.batch_size
    if 0 < last_batch < count:
        raise MailError(
            f"batch_size = {config.batch_size}: the last batch of an epoch would have {last_batch} of the training "
            f"impressions, too few for {count} replicas. Choose another batch_size."
        )
    from mailcli.models.factory import class_flag

    for kind, name in plugins.of_run(config):
        if plugins.is_external(kind, name) and not class_flag(kind, name, "supports_replicas"):
            raise MailError(
                f"{kind.title} '{name}': has not declared support for several replicas, where losses, "
                "batch normalization and dropout must be those of mailcli.models. Use them and set "
                "`supports_replicas = True` in the class, or train on one replica."
            )


def connect_replicas(cluster: Cluster) -> ReplicaGroup:
    """This worker's place in a MultiWorkerMirroredStrategy; waits until all workers are there.

    Call it before TensorFlow's first operation.

    Raises:
        MailError: this worker's port is in use.
    """
    import tensorflow as tf
    from tensorflow.compiler.xla.tsl.protobuf.coordination_config_pb2 import CoordinatedJob
    from tensorflow.python.eager import context

    from mailcli.models.distribute import ReplicaGroup

    # TensorFlow's own timeout is 10 seconds: a worker that pauses for longer would end the training.
    context.context().configure_coordination_service(
        service_type="standalone",
        service_leader="/job:worker/replica:0/task:0",
        coordinated_jobs=[CoordinatedJob(name="worker", num_tasks=len(cluster.addresses))],
        heartbeat_timeout_in_ms=int(1000 * _heartbeat_timeout(cluster)),
    )
    resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
        tf.train.ClusterSpec({"worker": list(cluster.addresses)}),
        task_type="worker",
        task_id=cluster.index,
        num_accelerators={"GPU": len(tf.config.get_visible_devices("GPU"))},
        rpc_layer="grpc",
    )
    # No timeout for messages: with one, TensorFlow starts two threads for every message, which sleep until it is over,
    # thousands of them in short steps. Heartbeats notice a lost worker as well.
    options = tf.distribute.experimental.CommunicationOptions(timeout_seconds=0)
    try:
        strategy = tf.distribute.MultiWorkerMirroredStrategy(resolver, options)
    except tf.errors.UnknownError as error:
        # Another process may have taken the port since the workers connected.
        raise port_error(cluster, f"TensorFlow: {error.message}") from error
    return ReplicaGroup(strategy, cluster.index, len(cluster.addresses))


def _heartbeat_timeout(cluster: Cluster) -> float:
    """Seconds without a sign of life after which a worker counts as lost."""
    return max(cluster.timeout, _SHORTEST_HEARTBEAT_TIMEOUT)


@contextmanager
def tensorflow_errors_explained(cluster: Cluster, connections: Connections) -> Iterator[None]:
    """Turn TensorFlow's errors about another worker into MailErrors."""
    import tensorflow as tf

    try:
        yield
    except tf.errors.OpError as error:
        raise (connections.error() or _unreachable_error(cluster, error) or error) from error


def _unreachable_error(cluster: Cluster, error: Any) -> MailError | None:
    """The error about a worker that has not ended but does not answer; None for all other errors of TensorFlow."""
    import tensorflow as tf

    silent = re.findall(r"/task:(\d+)", error.message.partition(_SILENT)[2])
    if silent or isinstance(error, tf.errors.DeadlineExceededError):
        workers = " and ".join(cluster.name(int(index)) for index in silent) or "a worker"
        have = "have" if len(silent) > 1 else "has"
        return MailError(
            f"{workers} {have} not answered for {_heartbeat_timeout(cluster):g} seconds. Check all workers. {RESTART}"
        )
    if isinstance(error, tf.errors.UnavailableError | tf.errors.AbortedError):
        reason = error.message.rpartition(_ABORTED_BY)[2].partition("\n")[0]
        return MailError(f"a worker cannot be reached ({reason}). Check all workers. {RESTART}")
    return None
