"""Errors about memory in one line, while a model is trained, too (tests/models/test_factory.py: while it is made)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf

from mailcli.data.dataset import Dataset
from mailcli.errors import MailError
from mailcli.experiments.cells import train_if_missing
from mailcli.models.out_of_memory import out_of_memory_in_one_line
from mailcli.models.step import Step
from tests.helpers.runs import config


def test_a_step_that_does_not_fit_is_one_line(tiny: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def step(self: Step, batch: Any) -> Any:
        del self, batch
        message = "OOM when allocating tensor with shape[8192,60000] and type float on /job:localhost by allocator cpu"
        raise tf.errors.ResourceExhaustedError(None, None, message)

    monkeypatch.setattr(Step, "__call__", step)
    with pytest.raises(MailError) as error:
        train_if_missing(config("base"), tiny, tmp_path)
    assert error.value.message == (
        "base+none: an array of the shape [8192,60000] does not fit into memory. Set a smaller batch_size, history or "
        "embedding_dim, or smaller options of the ranker or the method."
    )


def test_a_full_disk_is_no_matter_of_memory() -> None:
    with pytest.raises(tf.errors.ResourceExhaustedError), out_of_memory_in_one_line("base+none", "Buy more"):
        raise tf.errors.ResourceExhaustedError(None, None, "events; No space left on device")
