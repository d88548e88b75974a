"""Every engine gives the same dataset, and refuses what it cannot do."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mailcli import plugins
from mailcli.errors import MailError
from mailcli.preprocessing.engines.duckdb import Engine
from mailcli.preprocessing.pipeline import PreprocessOptions, preprocess
from tests.helpers import alimama, grouplens
from tests.helpers.files import files_of


class TestSpark:
    """PySpark in a real JVM on this machine."""

    @pytest.mark.slow
    def test_a_spoilt_log_gives_the_same_dataset(
        self, simulated_raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        raw = tmp_path / "raw [1] o'x" / "user=1"
        shutil.copytree(simulated_raw, raw)
        alimama.spoil(raw)
        monkeypatch.setattr("mailcli.preprocessing.buckets.BUCKET_BYTES", 100_000)
        datasets = [
            preprocess(
                "alimama",
                raw,
                tmp_path / engine,
                "s",
                PreprocessOptions(20, 0.7, True, max_bad_rows=0.05, engine=engine, threads=2),
            )
            for engine in ("duckdb", "spark")
        ]
        assert datasets[0].counts["duplicate_behaviors"] > 100
        assert files_of(datasets[1].folder) == files_of(datasets[0].folder)

    @pytest.mark.slow
    def test_texts_and_lists_give_the_same_dataset(self, tmp_path: Path) -> None:
        grouplens.write(tmp_path / "raw")
        datasets = [
            preprocess(
                "ml-100k", tmp_path / "raw", tmp_path / engine, None, PreprocessOptions(engine=engine, threads=2)
            )
            for engine in ("duckdb", "spark")
        ]
        assert files_of(datasets[1].folder) == files_of(datasets[0].folder)

    def test_without_pyspark_the_answer_says_how_to_install_it(
        self, tmp_path: Path, simulated_raw: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "pyspark", None)
        with pytest.raises(MailError) as error:
            preprocess("alimama", simulated_raw, tmp_path, None, PreprocessOptions(engine="spark"))
        assert (
            error.value.message
            == "--engine spark needs PySpark. Install it with `pip install -c constraints.txt -e '.[spark]'`."
        )
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.slow
    def test_a_master_that_is_none_is_one_line(self, tmp_path: Path, simulated_raw: Path) -> None:
        code = (
            "import sys; from mailcli.cli import main; main(['preprocess', 'alimama', '--engine', 'spark', "
            "'--spark-master', 'nonsense', '--raw', *sys.argv[1:2], '--data-dir', sys.argv[2]])"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, simulated_raw, tmp_path], capture_output=True, text=True, check=False
        )
        assert done.returncode == 2
        assert done.stderr.splitlines()[-1].startswith("Error: Spark cannot start on nonsense (")
        assert list(tmp_path.iterdir()) == []


class TestDuckDB:
    """DuckDB in this process."""

    def test_a_spark_master_goes_with_spark(self, tmp_path: Path, simulated_raw: Path) -> None:
        with pytest.raises(MailError) as error:
            preprocess(
                "alimama", simulated_raw, tmp_path, None, PreprocessOptions(spark_master="spark://somewhere:7077")
            )
        assert error.value.message == "--spark-master spark://somewhere:7077: needs --engine spark."

    def test_too_little_memory_is_one_line(self, tmp_path: Path, simulated_raw: Path) -> None:
        with pytest.raises(MailError) as error:
            preprocess("alimama", simulated_raw, tmp_path, None, PreprocessOptions(memory_limit="1MB", threads=1))
        # The sizes are DuckDB's.
        assert re.fullmatch(
            r"DuckDB has too little memory: could not allocate block of size [\d.]+ [KM]iB \([^()]+ used\)\. "
            r"Raise --memory-limit, which is 1\.0 MB, or lower --threads\.",
            error.value.message,
        )
        assert not (tmp_path / "alimama").exists()

    def test_ctrl_c_during_a_statement_is_ctrl_c(self, tmp_path: Path) -> None:
        """DuckDB raises an error of its own, caused by Ctrl-C."""
        engine = Engine(tmp_path, 10**9, None, None)
        interrupted = RuntimeError("Query interrupted")
        interrupted.__cause__ = KeyboardInterrupt()
        with pytest.raises(KeyboardInterrupt):
            engine.__exit__(RuntimeError, interrupted, None)


@pytest.mark.parametrize("name", plugins.names(plugins.ENGINES))
def test_every_engine_has_a_test(name: str) -> None:
    assert f"test{name}" in {name_.lower() for name_ in globals()}
