"""The machine's properties, and the options that depend on them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from mailcli.cli import main
from mailcli.experiments import cells
from mailcli.utils import hardware


def cpuinfo(monkeypatch: pytest.MonkeyPatch, text: str | None) -> None:
    """Pretend that this is the content of /proc/cpuinfo; None if there is no such file."""

    def read(path: Path, **_: object) -> str:
        if text is None:
            raise FileNotFoundError(path)
        return text

    hardware._instructions.cache_clear()
    monkeypatch.setattr(Path, "read_text", read)
    monkeypatch.setattr(hardware, "has_graphics_card", lambda: False)


@pytest.fixture(autouse=True)
def as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
        monkeypatch.setenv(name, "2")


@pytest.mark.parametrize(
    ("text", "fast"),
    [
        ("processor : 0\nflags\t\t: fpu avx2 avx512f avx512_bf16 \n", True),
        ("processor : 0\nflags\t\t: fpu amx_bf16\n", True),
        ("processor : 0\nFeatures\t: fp asimd bf16\n", True),
        ("processor : 0\nflags\t\t: fpu avx2 avx512f\n", False),
        ("", False),
        (None, False),
    ],
)
def test_bfloat16_is_told_by_the_processor(monkeypatch: pytest.MonkeyPatch, text: str | None, fast: bool) -> None:
    cpuinfo(monkeypatch, text)
    assert hardware.has_bfloat16() == fast
    assert "fpu" not in hardware.describe()["instructions"]
    hardware._instructions.cache_clear()


def test_a_processor_without_it_is_told_of_once(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cells, "has_bfloat16", lambda: False)
    cells._note_slow_bfloat16.cache_clear()
    # More history than the dataset holds is refused before anything is trained; so little training is not measured.
    settings = ["--set", "history=21", "--set", "epochs=1"]
    folders = ["--data-dir", str(data_dir), "--runs", str(tmp_path)]
    result = CliRunner().invoke(main, ["compare", "--precision", "bfloat16", *settings, *folders])
    note = "This processor has no bfloat16 instructions; float32 will be faster."
    assert result.output.count(note) == 1
    assert result.exit_code == 2
    cells._note_slow_bfloat16.cache_clear()


def test_an_unknown_precision_is_refused(data_dir: Path) -> None:
    result = CliRunner().invoke(main, ["train", "--precision", "bfloat61", "--data-dir", str(data_dir)])
    assert result.exit_code == 2
    assert "precision = 'bfloat61': expected one of 'float32', 'bfloat16'. Did you mean 'bfloat16'?" in result.output


@pytest.mark.slow
def test_threads_are_those_of_tensorflow() -> None:
    # The number of threads is the size of TensorFlow's pool, whose threads /proc lists by name.
    code = (
        "import os\n"
        "from mailcli.utils.hardware import limit_threads\n"
        "limit_threads(1)\n"
        "import tensorflow as tf\n"
        "tf.matmul(tf.ones([512, 512]), tf.ones([512, 512]))\n"
        "names = [open(f'/proc/self/task/{t}/comm').read().strip() for t in os.listdir('/proc/self/task')]\n"
        "print(sum(name.startswith('tf_') for name in names), names)\n"
    )
    outputs = {}
    for count in ("1", "3"):
        limited = code.replace("limit_threads(1)", f"limit_threads({count})")
        process = subprocess.run(
            [sys.executable, "-c", limited], capture_output=True, text=True, check=True, env=os.environ
        )
        outputs[count] = process.stdout
    assert outputs["1"] != outputs["3"], outputs


@pytest.mark.parametrize("number", [0, 1025])
@pytest.mark.parametrize("command", ["train", "compare", "ablate", "evaluate"])
def test_no_threads_and_more_than_any_machine_has_are_refused(command: str, number: int) -> None:
    result = CliRunner().invoke(main, [command, "--threads", str(number)])
    assert (result.exit_code, result.output) == (
        2,
        f"Error: Invalid value for '--threads': {number} is not in the range 1<=x<=1024. Try 'mail {command} --help'.\n",
    )


def test_threads_are_the_cores_that_the_process_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TF_NUM_INTRAOP_THREADS")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 3, 5}, raising=False)
    assert hardware.describe()["threads"] == 3


@pytest.mark.parametrize(("requested", "count"), [("2", 2), ("0", 3), ("", 3), ("auto", 3), ("-1", 3)])
def test_threads_that_are_no_number_are_left_to_tensorflow(
    monkeypatch: pytest.MonkeyPatch, requested: str, count: int
) -> None:
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", requested)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 3, 5}, raising=False)
    assert hardware.threads() == count
