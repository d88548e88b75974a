"""A newcomer's own files: `mail schema init`, `mail preprocess` and `mail train`, with only the edits that are named."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mailcli.data.dataset import Dataset
from tests.helpers.command_line import SMALL, SMALL_MAIL, mail

USERS, ITEMS, ROWS = 60, 30, 1_500


def clicks(folder: Path) -> dict[str, np.ndarray]:
    """Users, items, labels, and seconds of eight days from 2023-05-01 on, in order."""
    folder.mkdir()
    rng = np.random.default_rng(7)
    user, item = rng.integers(0, USERS, ROWS), rng.integers(0, ITEMS, ROWS)
    click = (rng.random(ROWS) < np.where(user % 3 == item % 3, 0.7, 0.2)).astype(int)
    return {"user": user, "item": item, "click": click, "second": 1_682_899_200 + np.sort(rng.integers(0, 8 * 86_400, ROWS))}  # fmt: skip


def podcasts(folder: Path) -> list[Path]:
    """Three files, none of whose names is known; ISO times, of which some have a fraction; a second label."""
    drawn = clicks(folder)
    moments = [datetime.fromtimestamp(int(s), UTC).replace(tzinfo=None) for s in drawn["second"]]
    texts = [moment.replace(microsecond=250_000 * (n % 2)).isoformat() for n, moment in enumerate(moments)]
    handles, codes = [f"h{n:03}" for n in range(USERS)], [f"s-{n}" for n in range(ITEMS)]
    frames: dict[str, dict[str, Any]] = {
        "people.csv": {"handle": handles, "town": ["Rome", "Oslo", "Lima"] * 20, "born": [1950 + n % 50 for n in range(USERS)]},
        "shows.csv": {"code": codes, "topic": ["a", "b", "c"] * 10, "tags": ["x|y", "z", "x|z"] * 10},
        "plays.csv": {
            "played_at": texts,
            "who": np.array(handles)[drawn["user"]],
            "what": np.array(codes)[drawn["item"]],
            "finished": drawn["click"],
            "seconds": 60 * drawn["click"] + 1,
        },
    }  # fmt: skip
    for name, columns in frames.items():
        pd.DataFrame(columns).to_csv(folder / name, index=False)
    return [folder / name for name in frames]


def shop(folder: Path) -> list[Path]:
    """One file with everything: milliseconds since 1970, attributes and features in the log, yes and no."""
    drawn = clicks(folder)
    columns = {
        "shopper": drawn["user"] + 5_000,
        "place": np.array(["Rome", "Oslo", "Lima"])[drawn["user"] % 3],
        "article": drawn["item"] + 100,
        "maker": np.array(list("ABC"))[drawn["item"] % 3],
        "showTime": drawn["second"] * 1000 + 5,
        "tapped": np.where(drawn["click"] == 1, "yes", "no"),
        "rank": np.arange(ROWS) % 40,
    }
    pd.DataFrame(columns).to_parquet(folder / "shop.parquet")
    return [folder / "shop.parquet"]


def mind(folder: Path) -> list[Path]:
    """Pages with what they showed, histories without times, and readers with attributes."""
    drawn = clicks(folder)
    readers = {"user_id": [f"U{n}" for n in range(USERS)], "country": ["US", "GB", "IE"] * 20}
    pd.DataFrame(readers).to_csv(folder / "readers.csv", index=False)
    news = [[f"N{n}", "abc"[n % 3], "x", f"Title {n}", f"Abstract {n}", "url", "[]", "[]"] for n in range(ITEMS)]
    pages = [
        [
            page + 1,
            f"U{drawn['user'][page]}",
            datetime.fromtimestamp(int(drawn["second"][page]), UTC).strftime("%m/%d/%Y %I:%M:%S %p"),
            " ".join(f"N{(drawn['user'][page] + n) % ITEMS}" for n in range(page % 4)),
            f"N{drawn['item'][page]}-{drawn['click'][page]} N{page % ITEMS}-0",
        ]
        for page in range(ROWS)
    ]
    pd.DataFrame(news).to_csv(folder / "news.tsv", sep="\t", header=False, index=False)
    pd.DataFrame(pages).to_csv(folder / "behaviors.tsv", sep="\t", header=False, index=False)
    refused = mail("schema", "init", *(folder / name for name in ("readers.csv", "news.tsv", "behaviors.tsv")))
    assert refused.exit_code == 2
    commands = [line for line in refused.stderr.splitlines() if line.startswith("  python -c")]
    assert len(commands) == 2
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    for command in commands:
        subprocess.run(command, shell=True, check=True, env={**os.environ, "PATH": path})
    written = ("behaviors-impressions.csv", "behaviors-history.csv")
    return [folder / name for name in ("readers.csv", "news.tsv", *written)]


@pytest.mark.slow
@pytest.mark.parametrize("make", [podcasts, shop, mind])
def test_files_of_any_names_become_a_trained_model(tmp_path: Path, make: Callable[[Path], list[Path]]) -> None:
    raw, data, schema = tmp_path / "raw", tmp_path / "data", tmp_path / "mine.toml"
    proposed = mail("schema", "init", *make(raw), "-o", schema)
    assert proposed.exit_code == 0, proposed.stderr
    made = mail("preprocess", "mine", "--schema", schema, "--raw", raw, "--data-dir", data)
    assert made.exit_code == 0, made.stderr
    dataset = Dataset(data / "mine")
    counts = dataset.counts
    assert counts["users"] == USERS
    assert sum(counts[split] for split in ("train", "validation", "test")) == ROWS * (2 if make is mind else 1)
    # 2023-05-01 is the first day, the last two are validation and test.
    assert int(dataset.column("test", "time").min()) // 86_400 == 1_682_899_200 // 86_400 + 7
    trained = mail(
        "train", "--data", "mine", "--data-dir", data, "--runs", tmp_path / "runs", "--cold-start", "mail", *SMALL, *SMALL_MAIL
    )  # fmt: skip
    assert trained.exit_code == 0, trained.stderr
    (result,) = (tmp_path / "runs").rglob("base+mail-base/**/result.json")
    assert json.loads(result.read_text(encoding="utf-8"))
