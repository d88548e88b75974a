"""Training on several replicas and several workers: as one replica does it, and what is refused."""

from __future__ import annotations

import importlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from click.testing import CliRunner

from mailcli.cli import main
from mailcli.config import make_config
from mailcli.data.batches import Batches
from mailcli.data.dataset import Dataset
from mailcli.data.protocol import views
from mailcli.errors import Interrupted, MailError
from mailcli.experiments.executors import distributed as workers_of_mail
from mailcli.experiments.executors import rendezvous
from mailcli.experiments.executors.cluster import Cluster, parse
from mailcli.experiments.executors.rendezvous import Links, meet
from mailcli.training.checkpoints import TrainingState
from mailcli.training.loop import TrainingLoop
from mailcli.training.remote_run import RemoteRun

TWO = "a:1,b:2"
CHIEF = '{"cluster": {"worker": ["a:1", "b:2"]}, "task": {"type": "worker", "index": 0}}'
EXPECTED = ' Expected {"cluster": {"worker": ["HOST:PORT", "HOST:PORT"]}, "task": {"type": "worker", "index": 0}}.'


class TestTold:
    """--workers, --index and TF_CONFIG."""

    def test_by_options(self) -> None:
        assert parse(" a:1, b:2", 1, 7.0, {}) == Cluster(("a:1", "b:2"), 1, 7.0)
        assert parse("[::1]:1,b:2", 0, 7.0, {}) == Cluster(("[::1]:1", "b:2"), 0, 7.0)

    def test_by_the_variable(self) -> None:
        assert parse(None, None, 7.0, {"TF_CONFIG": CHIEF}) == Cluster(("a:1", "b:2"), 0, 7.0)
        assert parse(TWO, 0, 7.0, {"TF_CONFIG": CHIEF}) == Cluster(("a:1", "b:2"), 0, 7.0)
        as_text = CHIEF.replace(": 0", ': "1"')
        assert parse(None, None, 7.0, {"TF_CONFIG": as_text}) == Cluster(("a:1", "b:2"), 1, 7.0)
        with_chief = '{"cluster": {"chief": ["c:3"], "worker": ["a:1", "b:2"]}, "task": {"type": "worker", "index": 1}}'
        assert parse(None, None, 7.0, {"TF_CONFIG": with_chief}) == Cluster(("c:3", "a:1", "b:2"), 2, 7.0)

    def test_not_at_all(self) -> None:
        assert parse(None, None, 7.0, {}) is None
        # As some platforms set it on a single machine.
        assert parse(None, None, 7.0, {"TF_CONFIG": "{}"}) is None
        single = '{"cluster": {"chief": ["a:1"]}, "task": {"type": "chief", "index": 0}}'
        assert parse(None, None, 7.0, {"TF_CONFIG": single}) is None

    @pytest.mark.parametrize(
        ("options", "variable", "told"),
        [
            (["--index", "1"], None, "--index 1: it goes with --workers HOST:PORT,HOST:PORT. Give both."),
            (["--workers", TWO], None, "--index: which of the workers is this? Expected 0 to 1."),
            (
                ["--workers", TWO, "--index", "2"],
                None,
                "--index 2: expected 0 to 1, the place of this worker in --workers.",
            ),
            (
                ["--workers", "a,b:x,c:70000,:1", "--index", "-1"],
                None,
                "--workers: 'a' is not HOST:PORT, such as 10.0.0.1:2222 or [fd00::1]:2222; "
                "--workers: 'b:x' is not HOST:PORT, such as 10.0.0.1:2222 or [fd00::1]:2222; "
                "--workers: 'c:70000' is not HOST:PORT, such as 10.0.0.1:2222 or [fd00::1]:2222; "
                "--workers: ':1' is not HOST:PORT, such as 10.0.0.1:2222 or [fd00::1]:2222; "
                "--index -1: expected 0 to 3, the place of this worker in --workers.",
            ),
            (
                ["--workers", "a:1,b:2,a:1", "--index", "0"],
                None,
                "--workers: 'a:1' is there more than once.",
            ),
            (
                ["--workers", "a:1", "--index", "0"],
                None,
                "--workers: 'a:1' is one worker; expected two or more, HOST:PORT,HOST:PORT.",
            ),
            *(
                (
                    ["--workers", f"{wrong},b:2", "--index", "0"],
                    None,
                    f"--workers: '{wrong}' is not HOST:PORT, such as 10.0.0.1:2222 or [fd00::1]:2222.",
                )
                for wrong in (
                    "http://127.0.0.1:1",
                    "a:1;b:2",
                    "::1:5",
                    "[a]:1",
                    "[::1:5",
                    "a:" + "1" * 5000,
                    "a:0",
                    "ä:1",
                )
            ),
            (["--workers", "A:1,a:1", "--index", "0"], None, "--workers: 'A:1', 'a:1' are one address."),
            (
                ["--workers", "[::1]:1,[0:0::1]:01,b:2", "--index", "0"],
                None,
                "--workers: '[::1]:1', '[0:0::1]:01' are one address.",
            ),
            *(
                (
                    ["--workers", TWO, "--index", "0", "--worker-timeout", seconds],
                    None,
                    f"--worker-timeout {seconds}: expected seconds from 1 to 86400.",
                )
                for seconds in ("nan", "inf", "0", "1e+300")
            ),
            (
                [],
                "workers",
                "TF_CONFIG: cannot be understood (Expecting value: line 1 column 1 (char 0))." + EXPECTED,
            ),
            (
                [],
                '{"cluster": {"worker": ["a:1", "b:2"]}}',
                "TF_CONFIG: cannot be understood (KeyError 'type')." + EXPECTED,
            ),
            (
                [],
                CHIEF.replace(": 0", ": 2"),
                "TF_CONFIG: cannot be understood (its task is worker 2, which its cluster does not have)." + EXPECTED,
            ),
            (
                [],
                CHIEF.replace('"worker": [', '"ps": ["p:1"], "worker": ['),
                "TF_CONFIG: cannot be understood (its jobs are 'ps', 'worker'; expected 'worker', and one 'chief' or "
                "none)." + EXPECTED,
            ),
            (
                ["--workers", "a:1,b:3", "--index", "0"],
                CHIEF,
                "TF_CONFIG tells of --workers a:1,b:2 --index 0, and the command of --workers a:1,b:3 --index 0. Give "
                "one of the two.",
            ),
            (
                ["--workers", TWO, "--index", "1"],
                CHIEF,
                "TF_CONFIG tells of --workers a:1,b:2 --index 0, and the command of --workers a:1,b:2 --index 1. Give "
                "one of the two.",
            ),
            (
                ["--index", "1"],
                CHIEF,
                "TF_CONFIG tells of --workers a:1,b:2 --index 0, and the command of --index 1. Give one of the two.",
            ),
            (
                [],
                CHIEF.replace("b:2", "b"),
                "TF_CONFIG: 'b' is not HOST:PORT, such as 10.0.0.1:2222 or [fd00::1]:2222.",
            ),
            ([], CHIEF.replace("b:2", "a:1"), "TF_CONFIG: 'a:1' is there more than once."),
            (
                [],
                CHIEF.replace('["a:1", "b:2"]', '"a:1,b:2"'),
                "TF_CONFIG: cannot be understood (a job is not a list of texts)." + EXPECTED,
            ),
            (
                [],
                "[" * 100_000,
                "TF_CONFIG: cannot be understood (it is nested too deeply)." + EXPECTED,
            ),
            (
                ["--workers", TWO, "--index", "0", "--set", "batch_size=1"],
                None,
                "batch_size = 1: every worker takes a part of each batch, and there are 2. Expected 2 or more.",
            ),
            (
                ["--devices", "0"],
                None,
                "--devices 0: expected a number of graphics cards from 1 on, or 'all'.",
            ),
            (
                ["--devices", "9" * 5000],
                None,
                f"--devices {'9' * 5000}: expected a number of graphics cards from 1 on, or 'all'.",
            ),
            (
                ["--devices", "some"],
                None,
                "--devices some: expected a number of graphics cards from 1 on, or 'all'.",
            ),
        ],
    )
    def test_what_is_wrong_is_one_line(
        self,
        options: list[str],
        variable: str | None,
        told: str,
        data_dir: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.delenv("TF_CONFIG", raising=False)
        if variable:
            monkeypatch.setenv("TF_CONFIG", variable)
        where = ["--data", "tiny", "--data-dir", str(data_dir), "--runs", str(tmp_path / "runs")]
        done = CliRunner().invoke(main, ["train", *where, *options])
        assert (done.exit_code, done.stderr) == (2, f"Error: {told}\n")
        assert not (tmp_path / "runs").exists()


def free_ports(count: int) -> list[int]:
    """Ports that nobody has now."""
    servers = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [server.getsockname()[1] for server in servers]
    for server in servers:
        server.close()
    return ports


def local(count: int, timeout: float = 10.0) -> list[Cluster]:
    """Each worker's cluster, all on this machine."""
    addresses = tuple(f"127.0.0.1:{port}" for port in free_ports(count))
    return [Cluster(addresses, index, timeout) for index in range(count)]


def all_meet(workers: list[Cluster], asked: list[dict[str, Any]], plan: Any = None) -> list[Any]:
    """What `meet` gives each, or the text of its error."""
    found: list[Any] = [None] * len(workers)

    def one(place: int) -> None:
        try:
            found[place] = meet(workers[place], asked[place], plan)
        except MailError as error:
            found[place] = error.message

    threads = [threading.Thread(target=one, args=(place,)) for place in range(len(workers))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


class TestMeeting:
    """Before TensorFlow starts; each worker is a thread here."""

    def test_all_hear_the_chiefs_plan(self) -> None:
        found = all_meet(local(3), [{"seed": 1}] * 3, ["base+none"])
        assert [links.plan for links in found] == [["base+none"]] * 3
        for links in found:
            links.close("")
        for links in found:
            links.wait()
        assert [links.lost for links in found] == [""] * 3

    def test_whoever_does_not_come_is_named(self) -> None:
        workers = local(4, timeout=0.5)
        one, three = workers[1].name(1), workers[3].name(3)
        told = f"{one}, {three} did not call within 0.5 seconds. Start it, or see --worker-timeout."
        assert all_meet([workers[0], workers[2]], [{}] * 2) == [told, told]

    def test_a_chief_that_does_not_answer_is_named(self) -> None:
        workers = local(2, timeout=0.5)
        told = f"{workers[0].name(0)} did not answer within 0.5 seconds. Start it, or see --worker-timeout."
        assert all_meet(workers[1:], [{}]) == [told]

    def test_other_settings_are_named(self) -> None:
        workers = local(2)
        told = (
            f"{workers[1].name(1)} was asked for something else (seed: 1 -> 2). Give all workers the same command but "
            "for --index."
        )
        asked = [{"seed": 1, "dataset_sha256": "a"}, {"seed": 2, "dataset_sha256": "b"}]
        assert all_meet(workers, asked) == [told, told]

    def test_other_versions_and_files_are_told_as_such(self) -> None:
        installed = {"seed": 1, "dataset_sha256": "0123456789abcdef", "tensorflow": "2.21.0", "numpy": "2.3.1"}
        for other, told in (
            (
                {"tensorflow": "2.22.0", "numpy": "2.3.2", "dataset_sha256": "f"},
                "has other versions (tensorflow: '2.21.0' -> '2.22.0'; numpy: '2.3.1' -> '2.3.2'). Install the same on "
                "all workers.",
            ),
            (
                {"dataset_sha256": "fedcba9876543210"},
                "has other files (dataset_sha256: '0123456789ab' -> 'fedcba987654'). Copy them from one worker to all, "
                "or preprocess the same raw files there.",
            ),
        ):
            workers = local(2)
            found = all_meet(workers, [installed, {**installed, **other}])
            assert found == [f"{workers[1].name(1)} {told}"] * 2

    @pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="the machine has no IPv6")
    def test_over_ipv6(self) -> None:
        addresses = tuple(f"[::1]:{port}" for port in free_ports(2))
        found = all_meet([Cluster(addresses, index, 10.0) for index in range(2)], [{}] * 2, "plan")
        assert [links.plan for links in found] == ["plan"] * 2
        for links in found:
            links.close("")

    def test_a_worker_listens_at_its_own_address_where_it_has_one(self) -> None:
        (port,) = free_ports(1)
        # 192.0.2.1 is nobody's: as where a router hands on what comes to it.
        for host, expected in (
            ("127.0.0.1", {"127.0.0.1"}),
            ("192.0.2.1", {"::", "0.0.0.0"}),
            ("a", {"::", "0.0.0.0"}),
        ):
            with rendezvous._listening(Cluster((f"{host}:{port}", "b:2"), 0)) as server:
                assert server.getsockname()[0] in expected

    def test_a_refused_chief_tells_all(self) -> None:
        workers = local(3)
        refused = threading.Thread(target=lambda: rendezvous.refuse(workers[0], "runs: is full."))
        refused.start()
        told = f"{workers[0].name(0)} cannot begin: runs: is full."
        assert all_meet(workers[1:], [{}] * 2) == [told, told]
        refused.join(5)
        assert not refused.is_alive()

    def test_a_refused_chief_waits_no_longer_than_asked(self) -> None:
        began = time.monotonic()
        rendezvous.refuse(local(2, timeout=0.5)[0], "runs: is full.")
        assert 0.4 < time.monotonic() - began < 5

    @pytest.mark.parametrize("index", [0, 1])
    def test_ctrl_c_while_waiting(self, index: int, monkeypatch: pytest.MonkeyPatch) -> None:
        workers = local(3)

        def interrupted(*_: Any) -> None:
            raise KeyboardInterrupt

        if index:
            monkeypatch.setattr("time.sleep", interrupted)
        else:
            # Once one has come.
            admitted = rendezvous._admit

            def admit(*given: Any) -> None:
                admitted(*given)
                interrupted()

            monkeypatch.setattr(rendezvous, "_admit", admit)
        told: list[str] = []

        def one() -> None:
            try:
                meet(workers[1], {})
            except MailError as error:
                told.append(error.message)

        other = threading.Thread(target=one)
        if index == 0:
            other.start()
        with pytest.raises(Interrupted, match="^Interrupted while waiting for the other workers.$") as error:
            meet(workers[index], {})
        assert error.value.exit_code == 130
        if index == 0:
            other.join(5)
            assert told == [f"{workers[0].name(0)} was interrupted while it waited for the others."]

    def test_two_of_one_index(self) -> None:
        workers = local(3)
        other = Cluster(workers[0].addresses, 1)
        found = all_meet([workers[0], workers[1], other], [{}] * 3)
        told = "two workers were started with --index 1. Give all workers the same command but for --index."
        # The second may have seen the port of the first in use.
        assert found[0] == told

    def test_a_stranger_is_left_out(self) -> None:
        workers = local(2)
        host, _, port = workers[0].addresses[0].rpartition(":")

        def knock() -> None:
            for text in (b"GET / HTTP/1.1\r\n\r\n", b"", b"[1]\n", b'{"index": 1}\n'):
                for _ in range(100):
                    try:
                        with socket.create_connection((host, int(port))) as stranger:
                            stranger.sendall(text)
                        break
                    except OSError:
                        time.sleep(0.01)

        knocking = threading.Thread(target=knock)
        knocking.start()
        chief: list[Any] = []
        rendezvous = threading.Thread(target=lambda: chief.append(meet(workers[0], {}, "plan")))
        rendezvous.start()
        knocking.join()
        other = meet(workers[1], {})
        rendezvous.join()
        assert other.plan == "plan"
        assert list(chief[0].calls) == [1]
        for links in (chief[0], other):
            links.close("")

    def test_a_port_in_use(self) -> None:
        workers = local(2)
        port = int(workers[1].addresses[1].rpartition(":")[2])
        with socket.create_server(("", port)), pytest.raises(MailError) as error:
            meet(workers[1], {})
        assert error.value.message == (
            f"{workers[1].name(1)}: port {port} cannot be used on this machine (Address already in use). Choose another "
            "port, or end the process that has it."
        )

    def test_an_unknown_host(self) -> None:
        (port,) = free_ports(1)
        with pytest.raises(MailError, match=r"^worker 0 \(nowhere.invalid:1\): the host is not known \(.*\)\.$"):
            meet(Cluster(("nowhere.invalid:1", f"127.0.0.1:{port}"), 1, 5.0), {})

    def test_the_end_of_one_reaches_all(self, monkeypatch: pytest.MonkeyPatch) -> None:
        ended: list[int] = []
        monkeypatch.setattr(rendezvous, "GRACE", 0.2)
        monkeypatch.setattr("os._exit", ended.append)
        workers = local(3)
        chief, one, two = all_meet(workers, [{}] * 3)
        two.close("the disk is full")
        expected = f"{workers[2].name(2)} has ended before the training did (the disk is full)."
        assert [explained(links) for links in (chief, one)] == [f"{expected} {rendezvous.AGAIN}"] * 2
        # Whatever TensorFlow waits for then.
        until = time.monotonic() + 10
        while len(ended) < 2 and time.monotonic() < until:
            time.sleep(0.05)
        assert ended == [2, 2]
        for links in (chief, one):
            links.close("")

    def test_what_to_do_is_told_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        ended: list[int] = []
        monkeypatch.setattr(rendezvous, "GRACE", 0.2)
        monkeypatch.setattr("os._exit", ended.append)
        chief, one = all_meet(local(2), [{}] * 2)
        one.close(f"a worker has not answered for 300 seconds. Look at each. {rendezvous.AGAIN}")
        assert explained(chief) == (
            f"{chief.cluster.name(1)} has ended before the training did (a worker has not answered for 300 seconds. "
            "Look at each). Start all workers again with the same commands: they go on from the last checkpoint."
        )
        chief.close("")
        until = time.monotonic() + 10
        while not ended and time.monotonic() < until:
            time.sleep(0.05)
        assert ended == [2]


def explained(links: Links) -> str:
    links._known.wait(10)
    error = links.explained()
    assert error is not None
    return error.message


def test_a_batch_is_cut_into_the_workers_parts(tiny: Dataset) -> None:
    view = views(tiny, make_config([{"data": "tiny"}]))["train"]
    whole = Batches(tiny, view, 20, 100)
    parts = [Batches(tiny, view, 20, 100, (index, 3)) for index in range(3)]
    sizes = set()
    for batch, *cut in zip(whole.shuffled(0, 1), *(part.shuffled(0, 1) for part in parts), strict=True):
        sizes.add(tuple(len(each["click"]) for each in cut))
        for name, array in batch.items():
            np.testing.assert_array_equal(array, np.concatenate([each[name] for each in cut]))  # type: ignore[literal-required]
    last = tiny.counts["train"] % 100
    assert sizes == {(33, 33, 34), (last // 3, 2 * last // 3 - last // 3, last - 2 * last // 3)}
    users = np.concatenate([batch["user"] for part in parts for batch in part.in_order()])
    np.testing.assert_array_equal(users, tiny.column("train", "user")[view.rows])


def test_seconds_are_told_where_they_have_passed() -> None:
    cluster = Cluster(("a:1", "b:2"), 0, 100.0)
    again = "Look at each. Start all workers again with the same commands: they go on from the last checkpoint."
    for error, told in (
        (tf.errors.DeadlineExceededError(None, None, "x"), f"a worker has not answered for 100 seconds. {again}"),
        (tf.errors.UnavailableError(None, None, "no route"), f"a worker cannot be reached (no route). {again}"),
    ):
        found = workers_of_mail._out_of_time(cluster, error)
        assert found is not None
        assert found.message == told
    assert workers_of_mail._out_of_time(cluster, tf.errors.InternalError(None, None, "x")) is None


def test_a_worker_tells_of_no_folder_that_it_does_not_have(tiny: Dataset) -> None:
    config = make_config([{"data": "tiny", "seed": 3, "cold_start": "mail", "cold_start.variant": "base"}])
    loop = object.__new__(TrainingLoop)
    loop._run, loop._state = RemoteRun(Path(), config), TrainingState(steps=7)
    loop._pending = [{"L_rt": tf.constant(1.0)}, {"L_rt": tf.constant(float("nan"))}]
    with pytest.raises(MailError) as error:
        loop._flush()
    assert error.value.message == (
        "base+mail-base, seed 3: L_rt is nan in step 7, of steps 6 to 7. Training stopped. Worker 0 has the checkpoints. "
        "A lower learning_rate may help."
    )


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="tells the peak of memory anew: Linux")
def test_the_chiefs_weights_are_told_without_a_second_table() -> None:
    """A table of 128 MB; a second worker that tells nothing but zeros, and takes what it hears."""
    code = """
import re, sys
from pathlib import Path
import keras, numpy as np, tensorflow as tf
from mailcli.models import distribute
from mailcli.training import collectives

table = keras.Variable(np.ones([1_000_000, 32], np.float32))
others = [keras.Variable(np.arange(7)), keras.Variable(3.0), keras.Variable(np.ones([3, 1], bool), dtype="bool")]

def peak(place):
    Path("/proc/self/clear_refs").write_text("5")
    status = lambda key: int(re.search(key + r":\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024
    before = status("VmRSS")
    team = distribute.ReplicaGroup(tf.distribute.MirroredStrategy(["CPU:0"]), place, 2)
    with distribute.use_replicas(team):
        collectives.broadcast([table, *others])
    return status("VmHWM") - before

def total(variable):
    return float(np.asarray(variable).sum())

peak(0)
print(peak(0), total(table), *map(total, others), peak(1), total(table), *map(total, others))
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    chief, *kept, other, table, numbers, one, flags = map(float, done.stdout.split())
    assert (kept, [table, numbers, one, flags]) == ([32_000_000, 21, 3, 3], [0, 0, 0, 0])
    # Messages of 8 MB; five more tables without them.
    assert chief < 100
    assert other < 100 + 128


SMALL = {"cold_start.encoder_units": "16,16,16", "cold_start.decoder_units": "16,16"}
CELLS: dict[str, dict[str, str]] = {
    "base+mail": {"cold_start": "mail", "cold_start.variant": "base", **SMALL},
    "typical": {"cold_start": "mail", "cold_start.steps": "typical", "cold_start.bandwidth": "adaptive", **SMALL},
    "dmr+cvae": {"ranker": "dmr", "cold_start": "cvae", "cold_start.units": "16"},
    "deepfm+dropout": {"ranker": "deepfm", "cold_start": "dropout"},
    "dense": {"optimizer": "adam"},
    "bfloat16": {"precision": "bfloat16", "cold_start": "mail", **SMALL},
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
    """With dropout; batches that do not divide, and some of one row each."""
    command = [sys.executable, "-m", "tests.helpers.on_replicas", str(data_dir), str(count)]
    done = subprocess.run(
        [*command, json.dumps({**SETTINGS, **CELLS[cell]})],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parent.parent.parent.parent,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    one, several = found["one"], found["several"]
    # bfloat16 has 8 bits, and a product of other rows is added up in another order.
    atol = 2e-2 if "bfloat16" in cell else 1e-5
    for number, (expected, got) in enumerate(zip(one["losses"], several["losses"], strict=True)):
        if cell == "deepfm+dropout":
            # Rows that are twice in a batch: one replica's norm takes each by itself, several sum them first.
            del got["gradient"], expected["gradient"]
        assert got == pytest.approx(expected, abs=atol, rel=atol), f"step {number}"
    # Where a gradient is all rounding, Adam moves by .001 one way or the other in each of the 7 steps.
    np.testing.assert_allclose(several["table"], one["table"], atol=5e-3 if "bfloat16" in cell else 1e-4)
    assert several["seeds"] == one["seeds"]
    assert [name for name, same in found["draws"].items() if not same] == []
    assert len(found["draws"]) == (12 if count == 3 else 0)


TRAINING = {"history": 20, "embedding_dim": 8, "batch_size": 256, "epochs": 2, "ranker.units": "16,8"}


def commands(
    data_dir: Path,
    runs: Path,
    workers: int,
    cell: dict[str, str],
    *more: str,
    host: str = "127.0.0.1",
    before: str = "",
) -> list[list[str]]:
    """`mail train` of each worker, which does something before; of one process where `workers` is 1."""
    settings = [f"{key}={value}" for key, value in {**TRAINING, **cell}.items()]
    code = f"{before}\nfrom mailcli.cli import main; main()"
    where = ["--data", "tiny", "--data-dir", str(data_dir), "--runs", str(runs), "--threads", "1"]
    command = [sys.executable, "-c", code, "train", *where, *(part for each in settings for part in ("--set", each))]
    if workers == 1:
        return [[*command, *more]]
    addresses = ",".join(f"{host}:{port}" for port in free_ports(workers))
    return [[*command, *more, "--workers", addresses, "--index", str(index)] for index in range(workers)]


def start(command: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler) and None,
    )


def finish(running: list[subprocess.Popen[str]], seconds: float = 240) -> list[tuple[int, list[str]]]:
    """Exit code and the lines of stderr of each, without those of progress; none is left behind."""
    try:
        told = [each.communicate(timeout=seconds)[1] for each in running]
    finally:
        for each in running:
            each.kill()
    shown = [[line for line in text.splitlines() if not re.search(r" left$", line)] for text in told]
    return [(each.returncode, lines) for each, lines in zip(running, shown, strict=True)]


def curves(runs: Path) -> dict[str, list[dict[str, float]]]:
    """The steps of each run's history.jsonl, by cell."""
    found = {}
    for path in sorted(runs.glob("*/*/*/seed-0/history.jsonl")):
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        found[path.parent.parent.name] = [line for line in lines if "step" in line]
    return found


def weights(runs: Path) -> dict[str, bytes]:
    return {path.parent.parent.name: path.read_bytes() for path in runs.glob("*/*/*/seed-0/predictions.npy")}


@pytest.fixture(scope="module")
def two_workers(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The runs of base+none and base+mail by two processes on the loopback interface."""
    runs = tmp_path_factory.mktemp("two")
    done = finish([start(command) for command in commands(data_dir, runs, 2, CELLS["base+mail"])])
    assert [code for code, _ in done] == [0, 0], done
    assert re.fullmatch(r"worker 1 \(.*\): finished, 2 runs. worker 0 \(.*\) has them.", done[1][1][-1])
    return runs


@pytest.mark.slow
def test_two_workers_have_the_loss_curve_of_one_process(two_workers: Path, data_dir: Path, tmp_path: Path) -> None:
    (done,) = finish([start(command) for command in commands(data_dir, tmp_path, 1, CELLS["base+mail"])])
    assert done[0] == 0, done
    one, two = curves(tmp_path), curves(two_workers)
    assert sorted(one) == sorted(two) == ["base+mail-base", "base+none"]
    for cell in one:
        assert len(one[cell]) == len(two[cell]) == 44
        for expected, got in zip(one[cell], two[cell], strict=True):
            assert got == pytest.approx(expected, abs=1e-5), cell
    results = [
        json.loads((runs / "tiny/paper/base+none/seed-0/result.json").read_text()) for runs in (tmp_path, two_workers)
    ]
    assert results[1]["test"]["all"]["AUC"] == pytest.approx(results[0]["test"]["all"]["AUC"], abs=1e-3)


@pytest.mark.slow
def test_a_killed_workers_job_goes_on(two_workers: Path, data_dir: Path, tmp_path: Path) -> None:
    """SIGKILL in the middle of the second epoch of base+mail; both started again end with the same bits."""
    for victim in (1, 0):
        runs = tmp_path / f"victim-{victim}"
        running = [
            start(command) for command in commands(data_dir, runs, 2, CELLS["base+mail"], "--checkpoint-every", "0")
        ]
        folder = runs / "tiny/paper/base+mail-base/seed-0/checkpoints"
        wait_for((folder / "step-27.npz").exists, running)
        running[victim].kill()
        began = time.monotonic()
        done = finish(running, 60)
        assert time.monotonic() - began < 40
        code, lines = done[1 - victim]
        assert code == 2
        assert re.fullmatch(
            rf"Error: worker {victim} \(127.0.0.1:\d+\) has ended before the training did. Start all workers again with "
            "the same commands: they go on from the last checkpoint.",
            lines[-1],
        )
        assert len([line for line in lines if line.startswith(("Error", "Traceback"))]) == 1
        again = finish([start(command) for command in commands(data_dir, runs, 2, CELLS["base+mail"])])
        assert [code for code, _ in again] == [0, 0], again
        assert any("resuming after step" in line for line in again[0][1])
        # The other has no folder to tell of.
        assert len(again[1][1]) == 1, again[1][1]
        assert curves(runs) == curves(two_workers)
        assert weights(runs) == weights(two_workers)


@pytest.mark.slow
@pytest.mark.parametrize("victim", [0, 1])
def test_a_worker_that_pauses_is_waited_for(victim: int, data_dir: Path, tmp_path: Path) -> None:
    """For longer than TensorFlow's own check of its health would; over IPv6 where there is one."""
    host = "[::1]" if socket.has_dualstack_ipv6() else "127.0.0.1"
    cell = {"epochs": "20", "patience": "20"}
    running = [start(command) for command in commands(data_dir, tmp_path, 2, cell, host=host)]
    history = tmp_path / "tiny/paper/base+none/seed-0/history.jsonl"
    wait_for(lambda: history.exists() and history.stat().st_size > 0, running)
    running[victim].send_signal(signal.SIGSTOP)
    time.sleep(40)
    ended = running[1 - victim].poll()
    running[victim].send_signal(signal.SIGCONT)
    done = finish(running)
    assert ended is None, done
    assert [code for code, _ in done] == [0, 0], done


@pytest.mark.slow
def test_a_run_that_another_process_finishes_meanwhile(two_workers: Path, data_dir: Path, tmp_path: Path) -> None:
    """After the workers have agreed on what is missing: none trains it, and none waits for the others."""
    before = f"""
import shutil
from mailcli.experiments.executors import distributed as workers
meet = workers.meet
def meet_late(cluster, asked, plan=None):
    found = meet(cluster, asked, plan)
    if cluster.index == 0:
        shutil.copytree({str(two_workers)!r}, {str(tmp_path)!r}, dirs_exist_ok=True)
    return found
workers.meet = meet_late
"""
    running = [start(each) for each in commands(data_dir, tmp_path, 2, CELLS["base+mail"], before=before)]
    done = finish(running, 100)
    assert [code for code, _ in done] == [0, 0], done
    assert curves(tmp_path) == curves(two_workers)


@pytest.mark.slow
def test_a_chief_that_is_refused_tells_the_others(data_dir: Path, tmp_path: Path) -> None:
    folder = tmp_path / "tiny/paper/base+none/seed-0"
    folder.mkdir(parents=True)
    (folder / "mine.txt").write_text("")
    (chief, told), (other, lines) = finish([start(each) for each in commands(data_dir, tmp_path, 2, {})], 60)
    assert (chief, other) == (2, 2)
    why = f"{folder}: is not a run folder; it holds mine.txt. Choose another --runs folder."
    name = told[0].partition(")")[0] + ")"
    assert told == [f"{name} cannot begin. It waits for the others to tell them; Ctrl-C ends it.", f"Error: {why}"]
    assert lines == [f"Error: {name} cannot begin: {why}"]


@pytest.mark.slow
def test_a_port_that_another_process_takes_before_tensorflow_does(data_dir: Path, tmp_path: Path) -> None:
    before = """
import socket
from mailcli.experiments.executors import distributed as workers
meet = workers.meet
def meet_and_take(cluster, asked, plan=None):
    global taken
    found = meet(cluster, asked, plan)
    if cluster.index == 1:
        taken = socket.create_server(("", cluster.host_and_port(1)[1]))
    return found
workers.meet = meet_and_take
"""
    running = [start(each) for each in commands(data_dir, tmp_path, 2, {}, before=before)]
    until = time.monotonic() + 100
    while running[1].poll() is None and time.monotonic() < until:
        time.sleep(0.1)
    # TensorFlow waits for the other where no thread of Python is heard.
    running[0].kill()
    _, (code, lines) = finish(running, 10)
    assert code == 2
    assert re.fullmatch(
        r"Error: worker 1 \(127.0.0.1:(\d+)\): port \1 cannot be used on this machine \(TensorFlow: Could not start gRPC "
        r"server\). Choose another port, or end the process that has it.",
        lines[-1],
    ), lines
    assert not [line for line in lines if line.startswith("Traceback")]


@pytest.mark.slow
def test_ctrl_c_in_one_worker_stops_all_with_a_checkpoint(data_dir: Path, tmp_path: Path) -> None:
    running = [start(command) for command in commands(data_dir, tmp_path, 2, {"epochs": "200", "patience": "200"})]
    history = tmp_path / "tiny/paper/base+none/seed-0/history.jsonl"
    wait_for(lambda: history.exists() and history.stat().st_size > 0, running)
    running[1].send_signal(signal.SIGINT)
    (code, chief), (other, lines) = finish(running, 60)
    assert (code, other) == (130, 130), (chief, lines)
    (newest,) = sorted(history.parent.glob("checkpoints/step-*.npz"), key=lambda path: path.stat().st_mtime)[-1:]
    assert chief[-1] == f"Interrupted. The last good checkpoint is {newest}. Run the same command to resume."
    assert lines[-1] == "Interrupted. Worker 0 has the checkpoints. Run the same commands to resume."


def wait_for(happened: Callable[[], bool], running: list[subprocess.Popen[str]]) -> None:
    until = time.monotonic() + 200
    while not happened():
        if time.monotonic() > until or any(each.poll() is not None for each in running):
            raise AssertionError(finish(running, 1))
        time.sleep(0.01)


@pytest.mark.slow
def test_more_devices_than_there_are(data_dir: Path, tmp_path: Path) -> None:
    for devices in ("2", "all"):
        (done,) = finish([start(command) for command in commands(data_dir, tmp_path, 1, {}, "--devices", devices)])
        assert done == (
            2,
            [
                f"Error: --devices {devices}: this machine has no graphics card that TensorFlow can use. Leave the option "
                "out to train on its processor."
            ],
        )
    assert not list(tmp_path.rglob("config.toml"))


def test_what_a_byte_and_a_message_cost_is_fitted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two workers' steps made of 40 and 10 ms of computing, 1,000 bytes a millisecond, and .5 ms a message."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent.parent.parent.parent / "benchmarks"))
    scaling = importlib.import_module("scaling")
    lines = [
        scaling.Line("a", "0.3", 8, 1, {"ms": 70.0, "bytes": 0, "messages": 0}),
        scaling.Line("a", "0.3", 4, 1, {"ms": 40.0, "bytes": 0, "messages": 0}),
        scaling.Line("a", "0.3", 8, 2, {"ms": 40 + 30 + 15.0, "bytes": 60_000, "messages": 30}),
        scaling.Line("b", "0.3", 4, 1, {"ms": 10.0, "bytes": 0, "messages": 0}),
        scaling.Line("b", "0.3", 8, 2, {"ms": 10 + 2 + 5.0, "bytes": 4_000, "messages": 10}),
    ]
    bandwidth, latency = scaling.fit(lines)
    assert (bandwidth, latency) == (pytest.approx(1000), pytest.approx(0.5))
    assert scaling.modelled(lines[2], lines, bandwidth, latency) == pytest.approx(85)
