"""--workers, --index and TF_CONFIG."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from mailcli.cli import main
from mailcli.experiments.executors.cluster import Cluster, parse_cluster

TWO = "a:1,b:2"
CHIEF = '{"cluster": {"worker": ["a:1", "b:2"]}, "task": {"type": "worker", "index": 0}}'
EXPECTED = ' Expected {"cluster": {"worker": ["HOST:PORT", "HOST:PORT"]}, "task": {"type": "worker", "index": 0}}.'


class TestOptions:
    def test_by_options(self) -> None:
        assert parse_cluster(" a:1, b:2", 1, 7.0, {}) == Cluster(("a:1", "b:2"), 1, 7.0)
        assert parse_cluster("[::1]:1,b:2", 0, 7.0, {}) == Cluster(("[::1]:1", "b:2"), 0, 7.0)

    def test_by_tf_config(self) -> None:
        assert parse_cluster(None, None, 7.0, {"TF_CONFIG": CHIEF}) == Cluster(("a:1", "b:2"), 0, 7.0)
        assert parse_cluster(TWO, 0, 7.0, {"TF_CONFIG": CHIEF}) == Cluster(("a:1", "b:2"), 0, 7.0)
        as_string = CHIEF.replace(": 0", ': "1"')
        assert parse_cluster(None, None, 7.0, {"TF_CONFIG": as_string}) == Cluster(("a:1", "b:2"), 1, 7.0)
        with_chief = '{"cluster": {"chief": ["c:3"], "worker": ["a:1", "b:2"]}, "task": {"type": "worker", "index": 1}}'
        assert parse_cluster(None, None, 7.0, {"TF_CONFIG": with_chief}) == Cluster(("c:3", "a:1", "b:2"), 2, 7.0)

    def test_without_either(self) -> None:
        assert parse_cluster(None, None, 300.0, {}) is None
        # As some platforms set it on a single machine.
        assert parse_cluster(None, None, 7.0, {"TF_CONFIG": "{}"}) is None
        single = '{"cluster": {"chief": ["a:1"]}, "task": {"type": "chief", "index": 0}}'
        assert parse_cluster(None, None, 7.0, {"TF_CONFIG": single}) is None

    @pytest.mark.parametrize(
        ("options", "tf_config", "message"),
        [
            (["--index", "1"], None, "--index 1: requires --workers HOST:PORT,HOST:PORT as well."),
            (
                ["--workers", TWO],
                None,
                "--index is missing: expected 0 to 1, the position of this worker in --workers.",
            ),
            (
                ["--workers", TWO, "--index", "2"],
                None,
                "--index 2: expected 0 to 1, the position of this worker in --workers.",
            ),
            (
                ["--workers", "a,b:x,c:70000,:1", "--index", "-1"],
                None,
                "--workers: 'a' is not HOST:PORT, such as 10.0.0.1:2222 or [fd00::1]:2222; "
                "--workers: 'b:x' is not HOST:PORT, such as 10.0.0.1:2222 or [fd00::1]:2222; "
                "--workers: 'c:70000' is not HOST:PORT, such as 10.0.0.1:2222 or [fd00::1]:2222; "
                "--workers: ':1' is not HOST:PORT, such as 10.0.0.1:2222 or [fd00::1]:2222; "
                "--index -1: expected 0 to 3, the position of this worker in --workers.",
            ),
            (
                ["--workers", "a:1,b:2,a:1", "--index", "0"],
                None,
                "--workers: 'a:1' is listed more than once.",
            ),
            (
                ["--workers", "a:1", "--index", "0"],
                None,
                "--workers: 'a:1' is only one worker; expected two or more, HOST:PORT,HOST:PORT.",
            ),
            *(
                (
                    ["--workers", f"{address},b:2", "--index", "0"],
                    None,
                    f"--workers: '{address}' is not HOST:PORT, such as 10.0.0.1:2222 or [fd00::1]:2222.",
                )
                for address in (
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
            (["--workers", "A:1,a:1", "--index", "0"], None, "--workers: 'A:1', 'a:1' are the same address."),
            (
                ["--workers", "[::1]:1,[0:0::1]:01,b:2", "--index", "0"],
                None,
                "--workers: '[::1]:1', '[0:0::1]:01' are the same address.",
            ),
            *(
                (
                    ["--workers", TWO, "--index", "0", "--worker-timeout", seconds],
                    None,
                    f"--worker-timeout {seconds}: expected 1 to 86400 seconds.",
                )
                for seconds in ("nan", "inf", "0", "1e+300")
            ),
            (["--worker-timeout", "60"], None, "--worker-timeout 60: requires --workers HOST:PORT,HOST:PORT as well."),
            (
                [],
                "workers",
                "TF_CONFIG: is invalid (Expecting value: line 1 column 1 (char 0))." + EXPECTED,
            ),
            (
                [],
                '{"cluster": {"worker": ["a:1", "b:2"]}}',
                "TF_CONFIG: is invalid (KeyError 'type')." + EXPECTED,
            ),
            (
                [],
                CHIEF.replace(": 0", ": 2"),
                "TF_CONFIG: is invalid (its task is worker 2, which is not in its cluster)." + EXPECTED,
            ),
            (
                [],
                CHIEF.replace('"worker": [', '"ps": ["p:1"], "worker": ['),
                "TF_CONFIG: is invalid (its jobs are 'ps', 'worker'; expected 'worker' and at most one "
                "'chief')." + EXPECTED,
            ),
            (
                ["--workers", "a:1,b:3", "--index", "0"],
                CHIEF,
                "TF_CONFIG says --workers a:1,b:2 --index 0, but the command says --workers a:1,b:3 --index 0. Use "
                "only one of the two.",
            ),
            (
                ["--workers", TWO, "--index", "1"],
                CHIEF,
                "TF_CONFIG says --workers a:1,b:2 --index 0, but the command says --workers a:1,b:2 --index 1. Use "
                "only one of the two.",
            ),
            (
                ["--index", "1"],
                CHIEF,
                "TF_CONFIG says --workers a:1,b:2 --index 0, but the command says --index 1. Use only one of the two.",
            ),
            (
                [],
                CHIEF.replace("b:2", "b"),
                "TF_CONFIG: 'b' is not HOST:PORT, such as 10.0.0.1:2222 or [fd00::1]:2222.",
            ),
            ([], CHIEF.replace("b:2", "a:1"), "TF_CONFIG: 'a:1' is listed more than once."),
            (
                [],
                CHIEF.replace('["a:1", "b:2"]', '"a:1,b:2"'),
                "TF_CONFIG: is invalid (a job is not a list of strings)." + EXPECTED,
            ),
            (
                [],
                "[" * 100_000,
                "TF_CONFIG: is invalid (it is nested too deeply)." + EXPECTED,
            ),
            (
                ["--workers", TWO, "--index", "0", "--set", "batch_size=1"],
                None,
                "batch_size = 1: each of the 2 workers takes a part of every batch. Expected 2 or more.",
            ),
            (
                ["--devices", "0"],
                None,
                "--devices 0: expected a number of GPUs, 1 or more, or 'all'.",
            ),
            (
                ["--devices", "9" * 5000],
                None,
                f"--devices {'9' * 5000}: expected a number of GPUs, 1 or more, or 'all'.",
            ),
            (
                ["--devices", "some"],
                None,
                "--devices some: expected a number of GPUs, 1 or more, or 'all'.",
            ),
        ],
    )
    def test_what_is_wrong_is_one_line(
        self,
        options: list[str],
        tf_config: str | None,
        message: str,
        data_dir: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.delenv("TF_CONFIG", raising=False)
        if tf_config:
            monkeypatch.setenv("TF_CONFIG", tf_config)
        folders = ["--data", "tiny", "--data-dir", str(data_dir), "--runs", str(tmp_path / "runs")]
        done = CliRunner().invoke(main, ["train", *folders, *options])
        assert (done.exit_code, done.stderr) == (2, f"Error: {message}\n")
        assert not (tmp_path / "runs").exists()
