"""Run folders without training: finished ones of trivial rows, and unfinished ones made by hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import tomli_w

from tests.helpers.command_line import mail


def finish_trivial(row: str, *options: str) -> Path:
    """The folder of a finished run of a trivial row on the dataset `tiny` in the working folder."""
    done = mail("train", "--ranker", row, *options)
    assert done.exit_code == 0, done.output
    given = dict(zip(options[::2], options[1::2], strict=True))
    protocol, seed = given.get("--protocol", "paper"), given.get("--seed", "0")
    return Path("runs", "tiny", protocol, f"{row}+none", f"seed-{seed}")


def begin_run(seed: int = 0, **settings: object) -> Path:
    """The folder of a run of BaseDNN on the dataset `tiny` that has begun and has no checkpoint yet."""
    folder = Path("runs", "tiny", "paper", "base+none", f"seed-{seed}")
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "config.toml").write_text(tomli_w.dumps({"data": "tiny", "seed": seed, **settings}))
    (folder / "history.jsonl").write_text("")
    return folder


def write_checkpoint(folder: Path, epoch: int, step: int, steps: int) -> None:
    """A checkpoint of a run that has come to this epoch, this step of the epoch, and so many steps in all."""
    state = {"epoch": epoch, "step": step, "steps": steps, "history_bytes": 0, "validated": 0, "worse": 0}
    text = json.dumps({**state, "seconds": 1.5, "best": {"best_epoch": 0}}).encode()
    np.savez(folder / "checkpoints" / f"step-{steps}.npz", progress=np.frombuffer(text, np.uint8))
