"""What the start of TensorFlow sets in its environment."""

from __future__ import annotations

import errno
import logging
import os
import tempfile

import pytest

from mailcli.errors import MailError
from mailcli.utils.tensorflow_startup import _without_noise, load_tensorflow

#: TensorFlow's name of the setting by which a process takes a graphics card's memory as it needs it.
ALLOW_GROWTH = "TF_FORCE_GPU_ALLOW_GROWTH"


@pytest.mark.parametrize(("value", "expected"), [(None, "true"), ("false", "false")])
def test_runs_share_a_graphics_cards_memory(monkeypatch: pytest.MonkeyPatch, value: str | None, expected: str) -> None:
    if value is None:
        monkeypatch.delenv(ALLOW_GROWTH, raising=False)
    else:
        monkeypatch.setenv(ALLOW_GROWTH, value)
    load_tensorflow()
    assert os.environ[ALLOW_GROWTH] == expected


def test_that_each_run_has_a_graph_is_no_warning(caplog: pytest.LogCaptureFixture) -> None:
    """Where TensorFlow was imported before, its warnings are shown."""
    load_tensorflow()
    logger = logging.getLogger("tensorflow")
    with caplog.at_level(logging.WARNING, "tensorflow"):
        logger.warning("5 out of the last 12 calls to <f> triggered tf.function retracing. Tracing is expensive")
        logger.warning("Another warning")
    assert [record.getMessage() for record in caplog.records] == ["Another warning"]


def test_a_negative_number_of_threads_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "-1")
    with pytest.raises(MailError) as raised:
        load_tensorflow()
    assert raised.value.message == (
        "TF_NUM_INTRAOP_THREADS is -1. Expected a number of threads, or 0 for one per core."
    )


def test_no_folder_for_temporary_files_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp']")

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    with pytest.raises(MailError) as raised, _without_noise():
        pass
    assert raised.value.message == (
        "No usable temporary directory found in ['/tmp']. TensorFlow's start needs a folder for a small temporary file. "
        "Free some space there, or set TMPDIR to another folder."
    )
