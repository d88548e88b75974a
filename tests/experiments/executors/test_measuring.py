"""Processes that measure how long training will take: how they end early."""

from __future__ import annotations

from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import pytest

from mailcli.config import RunConfig
from mailcli.errors import Interrupted, MailError
from mailcli.experiments.executors import measuring


@pytest.mark.parametrize(
    ("raised", "kind", "message"),
    [
        (
            BrokenProcessPool(),
            MailError,
            "A process that measures how long training will take was killed, possibly out of memory. Run the same "
            "command with --jobs 1 to use less memory.",
        ),
        (KeyboardInterrupt(), Interrupted, "Interrupted before training began. Run the same command again."),
    ],
)
def test_measuring_that_ends_early(
    raised: BaseException, kind: type[MailError], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Pool:
        def __init__(self, *_: object) -> None:
            pass

        def map(self, *_: object) -> None:
            raise raised

        def shutdown(self, **_: object) -> None:
            pass

    monkeypatch.setattr(measuring, "ProcessPoolExecutor", Pool)
    with pytest.raises(kind) as error:
        measuring.measure_cells([measuring.MeasuredModel(RunConfig("x"), Path("x"))], 1, 1)
    assert error.value.message == message
