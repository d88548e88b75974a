"""Impressions of a dataset without times: no column `time` is needed, and none is read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mailcli import open_run
from mailcli.experiments.cells import train_if_missing
from mailcli.serving.signatures import SignatureInputs
from mailcli.serving.time_limits import time_limits
from tests.helpers.schema_files import LISTS, make_dataset
from tests.helpers.serving import assert_close, config_of

SCHEMA = LISTS.replace("[impressions.context]\n", '[impressions.context]\npage = "page"\n')
#: Of user n: a list of n % 3 items, and five impressions.
ROWS = [
    f"u{n},{'xyz'[(n + k) % 3]},{(n + k) % 2},{'rs'[n % 2]},{'aaabc'[k]},{'|'.join('xyz'[: n % 3])},{'pq'[k % 2]}"
    for n in range(20)
    for k in range(5)
]


@pytest.mark.slow
def test_times_are_not_needed(tmp_path: Path) -> None:
    log = "\n".join(["user,item,click,city,part,hist,page", *ROWS]) + "\n"
    dataset = make_dataset(tmp_path, SCHEMA, {"log.csv": log})
    assert time_limits(dataset) is None
    assert SignatureInputs(dataset, 5).time == []
    run = train_if_missing(config_of(dataset, "base+none"), dataset, tmp_path / "runs")
    test = {name: dataset.column("test", name) for name in ("user", "item", "page")}
    frame = pd.DataFrame(
        {
            "user": dataset.column("users", "raw")[test["user"]],
            "item": dataset.column("items", "raw")[test["item"]],
            "page": dataset.column("vocabularies", "page")[test["page"] - 2],
        }
    )
    finished = open_run(run.folder, dataset.folder.parent)
    trained = np.load(run.folder / "predictions.npy")
    assert np.ptp(trained) > 1e-5
    for given in (frame, frame.assign(time=1_652_016_474_000), frame.assign(time="noon")):
        assert_close(finished.predict(given, quiet=True)["score"].to_numpy(), trained)
