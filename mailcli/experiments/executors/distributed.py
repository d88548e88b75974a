"""A training on several replicas: the graphics cards of this machine, or workers on several machines."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mailcli import __version__, plugins
from mailcli.config import RunConfig
from mailcli.data.dataset import Dataset
from mailcli.data.protocol import views
from mailcli.errors import MailError
from mailcli.experiments.cells import ensure
from mailcli.experiments.executors.cluster import Cluster
from mailcli.experiments.executors.processes import Task
from mailcli.experiments.executors.rendezvous import AGAIN, VERSIONS, Links, meet, port_in_use, refuse
from mailcli.training.remote_run import RemoteRun
from mailcli.training.run_registry import find_run, run_identity
from mailcli.utils.tensorflow_startup import load_tensorflow

if TYPE_CHECKING:
    from mailcli.models.distribute import ReplicaGroup

logger = logging.getLogger(__name__)


#: What `mail train --devices` asks for: so many graphics cards, "all", or None for what TensorFlow does by itself.
Devices = int | str | None
Wanted = tuple[RunConfig, Dataset]


def parse_devices(text: str | None) -> Devices:
    """The value of --devices (MailError when it is neither a number from 1 on nor `all`)."""
    if text is None or text == "all":
        return text
    if not (text.isascii() and text.isdigit() and len(text) < 5 and int(text)):
        raise MailError(f"--devices {text}: expected a number of graphics cards from 1 on, or 'all'.")
    return int(text)


class OnDevices:
    """Trains on the graphics cards of this machine. Call: the tasks."""

    def __init__(self, devices: Devices) -> None:
        self._devices = devices

    def __call__(self, tasks: Sequence[Task]) -> None:
        """Make the runs one after the other."""
        load_tensorflow(lambda: _choose(self._devices))
        import tensorflow as tf

        from mailcli.models.distribute import ReplicaGroup

        # One card needs no copies.
        several = len(tf.config.get_visible_devices("GPU")) > 1
        team = ReplicaGroup(tf.distribute.MirroredStrategy()) if several else None
        make = partial(_ensure, tasks)
        _in_turn([(task.config, Dataset(task.dataset)) for task in tasks], team, make, make)


class OnWorkers:
    """Trains with all workers of a cluster.

    Args:
        cluster: who they are.
        devices: how many graphics cards each takes.
        config: the cell that all were asked for.
        dataset: the dataset.
    """

    def __init__(self, cluster: Cluster, devices: Devices, config: RunConfig, dataset: Dataset) -> None:
        if config.batch_size < len(cluster.addresses):
            raise MailError(
                f"batch_size = {config.batch_size}: every worker takes a part of each batch, and there are "
                f"{len(cluster.addresses)}. Expected {len(cluster.addresses)} or more."
            )
        self._cluster, self._devices, self._met = cluster, devices, False
        if os.environ.get("TF_CPP_MIN_LOG_LEVEL") == "2":
            # Else TensorFlow tells in many lines of its own what one line of ours tells: that another worker is gone.
            os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
        self._asked = {
            **run_identity(config, dataset),
            **{name: __version__ if name == "mail" else metadata.version(name) for name in VERSIONS},
            "devices": devices,
        }

    @property
    def is_chief(self) -> bool:
        """Whether this process writes the runs' folders and prints the table."""
        return self._cluster.index == 0

    @contextmanager
    def refusals_told(self) -> Iterator[None]:
        """Inside, a MailError of the chief before it has met the others is told to them, who would wait for it."""
        try:
            yield
        except MailError as error:
            if not self._met:
                name = self._cluster.name(0)
                logger.info(f"{name} cannot begin. It waits for the others to tell them; Ctrl-C ends it.")
                # What is wrong with the port matters less than what was wrong before.
                with suppress(KeyboardInterrupt, MailError):
                    refuse(self._cluster, error.message)
            raise

    def __call__(self, tasks: Sequence[Task]) -> None:
        """As the chief, make the runs that are missing, if any, one after the other."""
        self._met = True
        links = meet(self._cluster, self._asked, plan=[task.config.cell for task in tasks])
        with _until_the_end(links):
            if tasks:
                runs = [(task.config, Dataset(task.dataset)) for task in tasks]
                self._train(links, runs, partial(_lead, tasks), partial(_ensure, tasks))

    def follow(self, configs: Sequence[RunConfig], dataset: Dataset) -> int:
        """As another worker, do this one's part of the runs that the chief is missing; how many they were."""
        links = meet(self._cluster, self._asked)
        wanted = [(config, dataset) for config in configs if config.cell in links.plan]

        def take_part(config: RunConfig) -> None:
            from mailcli.training.train import train

            train(RemoteRun(Path(), config), dataset)

        with _until_the_end(links):
            if wanted:
                self._train(links, wanted, take_part, lambda _: None)
        return len(wanted)

    def _train(
        self,
        links: Links,
        runs: Sequence[Wanted],
        together: Callable[[RunConfig], object],
        alone: Callable[[RunConfig], object],
    ) -> None:
        cluster, teams = self._cluster, []

        def begin() -> None:
            # Before TensorFlow's first operation, as it wants it.
            _choose(self._devices)
            with _explained(cluster, links):
                teams.append(team_of(cluster))

        load_tensorflow(begin)
        with _explained(cluster, links):
            _in_turn(runs, teams[0], together, alone)


def _ensure(tasks: Sequence[Task], config: RunConfig) -> None:
    task = next(task for task in tasks if task.config == config)
    ensure(config, Dataset(task.dataset), task.folders, task.minutes)


def _lead(tasks: Sequence[Task], config: RunConfig) -> None:
    """The chief's part of a run. That another process has finished it meanwhile is for `train` to tell to all."""
    from mailcli.training.train import CHECKPOINT_MINUTES, train

    task = next(task for task in tasks if task.config == config)
    dataset = Dataset(task.dataset)
    minutes = CHECKPOINT_MINUTES if task.minutes is None else task.minutes
    train(find_run(task.folders.of(config), config, dataset), dataset, minutes=minutes)


def _in_turn(
    runs: Sequence[Wanted],
    team: ReplicaGroup | None,
    together: Callable[[RunConfig], object],
    alone: Callable[[RunConfig], object],
) -> None:
    """Make runs on a team; two-stage methods, which are fitted to what was trained, on the chief alone."""
    from mailcli.models import distribute
    from mailcli.models.factory import is_two_stage

    for config, dataset in runs:
        if team is None or is_two_stage(config):
            if team is None or team.worker_index == 0:
                alone(config)
            continue
        with distribute.use_replicas(team):
            _check(config, dataset, distribute.replica_count())
            together(config)


def _check(config: RunConfig, dataset: Dataset, count: int) -> None:
    """Refuse what several replicas cannot do (MailError)."""
    if config.batch_size < count:
        raise MailError(
            f"batch_size = {config.batch_size}: every replica takes a part of each batch, and there are {count}. "
            f"Expected {count} or more."
        )
    rest = len(views(dataset, config)["train"].rows) % config.batch_size
    if 0 < rest < count:
        raise MailError(
            f"batch_size = {config.batch_size}: the last batch of an epoch would have {rest} of the training "
            f"impressions, and each of {count} replicas takes a part of it. Choose another batch_size."
        )
    for kind, name in ((plugins.RANKERS, config.ranker), (plugins.COLD_STARTS, config.cold_start)):
        if plugins.is_external(kind, name) and not getattr(plugins.load(kind, name), "supports_replicas", False):
            raise MailError(
                f"{kind.title} '{name}': has not declared support for several replicas, where losses, "
                "batch normalization and dropout must be those of mailcli.models. Use them and set "
                "`supports_replicas = True` in the class, or train on one replica."
            )


def _choose(devices: Devices) -> None:
    """Let TensorFlow see so many graphics cards (MailError where there are fewer)."""
    if devices is None:
        return
    import tensorflow as tf

    cards = tf.config.list_physical_devices("GPU")
    if not cards or (isinstance(devices, int) and devices > len(cards)):
        there = f"{len(cards)} graphics card{'s' * (len(cards) != 1)}" if cards else "no graphics card"
        advice = f"Expected {len(cards)} or less." if cards else "Leave the option out to train on its processor."
        raise MailError(f"--devices {devices}: this machine has {there} that TensorFlow can use. {advice}")
    tf.config.set_visible_devices(cards if devices == "all" else cards[:devices], "GPU")


def team_of(cluster: Cluster) -> ReplicaGroup:
    """This process' place in a MultiWorkerMirroredStrategy; waits until all workers are there.

    Call it before TensorFlow's first operation.

    Raises:
        MailError: this worker's port is in use.
    """
    import tensorflow as tf
    from tensorflow.compiler.xla.tsl.protobuf.coordination_config_pb2 import CoordinatedJob
    from tensorflow.python.eager import context

    from mailcli.models.distribute import ReplicaGroup

    # The strategy would leave it at 10 seconds, after which a worker that pauses ends the training.
    context.context().configure_coordination_service(
        service_type="standalone",
        service_leader="/job:worker/replica:0/task:0",
        coordinated_jobs=[CoordinatedJob(name="worker", num_tasks=len(cluster.addresses))],
        heartbeat_timeout_in_ms=int(1000 * _patience(cluster)),
    )
    cards = len(tf.config.get_visible_devices("GPU"))
    resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
        tf.train.ClusterSpec({"worker": list(cluster.addresses)}),
        task_type="worker",
        task_id=cluster.index,
        num_accelerators={"GPU": cards},
        rpc_layer="grpc",
    )
    # Longer than what a chief does alone: checkpoints, and the metrics of a validation.
    options = tf.distribute.experimental.CommunicationOptions(timeout_seconds=_patience(cluster))
    try:
        strategy = tf.distribute.MultiWorkerMirroredStrategy(resolver, options)
    except tf.errors.UnknownError as error:
        # Another process may have taken the port since the workers met.
        raise port_in_use(cluster, f"TensorFlow: {error.message}") from error
    return ReplicaGroup(strategy, cluster.index, len(cluster.addresses))


def _patience(cluster: Cluster) -> float:
    """Seconds that a message between the workers may take."""
    return max(cluster.timeout, 60)


@contextmanager
def _explained(cluster: Cluster, links: Links) -> Iterator[None]:
    """What TensorFlow tells of another worker becomes a MailError."""
    import tensorflow as tf

    try:
        yield
    except tf.errors.OpError as error:
        raise (links.explained() or _out_of_time(cluster, error) or error) from error


def _out_of_time(cluster: Cluster, error: Any) -> MailError | None:
    """The error to tell of a worker that is there and does not answer; None of what is a fault of ours."""
    import tensorflow as tf

    if isinstance(error, tf.errors.DeadlineExceededError):
        return MailError(f"a worker has not answered for {_patience(cluster):g} seconds. Look at each. {AGAIN}")
    if isinstance(error, tf.errors.UnavailableError | tf.errors.AbortedError):
        return MailError(f"a worker cannot be reached ({error.message}). Look at each. {AGAIN}")
    return None


@contextmanager
def _until_the_end(links: Links) -> Iterator[None]:
    """Tell the others how it ends; the chief ends last."""
    try:
        yield
    except BaseException as error:
        links.close(getattr(error, "message", None) or type(error).__name__)
        raise
    links.close("")
    links.wait()
