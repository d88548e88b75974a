"""`mail.compare`: the numbers of `mail compare` as a DataFrame, and rows that are classes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import mailcli as mail
from tests.helpers.cells import Cells
from tests.helpers.command_line import SMALL
from tests.helpers.command_line import mail as command

#: SMALL without options of a ranker.
SETTINGS: dict[str, Any] = {"epochs": 1, "batch_size": 256, "embedding_dim": 8, "history": 5}
RANKER = """
import keras
import tensorflow as tf
import mailcli as mail

class Popular(mail.Ranker):
    def __init__(self, units=4, **kwargs):
        super().__init__(**kwargs)
        self.logit = keras.layers.Dense(1)

    def call(self, features, training=False):
        return self.logit(tf.concat([features.query, features.behavior_sum], axis=1))[:, 0]
"""


def test_the_frame_has_the_numbers_of_the_command(with_data: Path) -> None:
    data = mail.load("tiny")
    frame = mail.compare(data, [("item-rate", None), "item-bias"], seeds=2, quiet=True)
    done = command("compare", "--rows", "item-rate,item-bias", "--seeds", 2, "--format", "json")
    records = json.loads(done.stdout)[0]["results"]
    assert list(frame.columns) == ["AUC", "AUC ±", "GAUC", "GAUC ±"]
    assert list(frame.index.names) == ["users", "row"]
    shown = {(record["users"], record["row"], record["metric"]): record for record in records}
    for name, line in frame.to_dict("index").items():
        for metric in ("AUC", "GAUC"):
            record = shown[*name, metric]  # type: ignore[misc]
            assert (line[metric], line[f"{metric} ±"]) == (record["mean"], record["half_width_95"])
    assert frame.attrs["title"] == "Comparison on tiny"
    assert "data tiny (simulated) | protocol paper, 40% of users new | seeds 0, 1" in frame.attrs["notes"]


def test_mistakes_end_in_one_line(with_data: Path) -> None:
    def message(*arguments: Any, **settings: Any) -> str:
        with pytest.raises(mail.MailError) as error:
            mail.compare(mail.load("tiny"), *arguments, **settings)
        return error.value.message

    assert message(["item-rates"]).startswith("unknown row 'item-rates'. Did you mean 'item-rate'?")
    assert message(None) == "rows is None. Expected a list of rows, e.g. ['BaseDNN', 'MAIL-Base']."
    assert message([("base",)]) == "('base',): expected a ranker and a cold-start method, e.g. ('din', 'masked')."
    assert message(["item-rate"], seeds=0) == "seeds is 0. Expected a whole number from 1 to 1,000."
    assert message(["item-rate"], seeds=True) == "seeds is True. Expected a whole number from 1 to 1,000."
    assert message(["item-rate"], seeds=1001) == "seeds is 1001. Expected a whole number from 1 to 1,000."
    assert message([["din", "masked"]]) == (
        "['din', 'masked']: expected a ranker and a cold-start method, e.g. ('din', 'masked')."
    )
    minutes = message(["item-rate"], checkpoint_minutes=10**400)
    assert minutes.startswith("checkpoint_minutes is 1000")
    assert minutes.endswith("Expected a number of minutes, 0 or more.")
    assert message(["item-rate"], jobs=1.5) == "jobs is 1.5. Expected a whole number, 1 or more."
    assert message(["item-rate"], runs=None) == "runs is None. Expected a path."
    assert message(["item-rate"], overwrite=1) == "overwrite is 1. Expected True or False."
    assert message(["item-rate"], seed=3) == "seed: the seeds of a table start at 0. Set their number with seeds."
    assert message([]) == "rows is empty. Expected names of rows, e.g. ['item-bias', 'BaseDNN', 'MAIL-Base']."
    for key in ("ranker", "cold_start"):
        assert message(["item-rate"], **{key: "dmr"}) == f"{key} = 'dmr': the rows of a table name it. Leave it out."
    assert message("item-rate") == "rows is 'item-rate'. Expected a list of rows, e.g. ['item-rate']."
    expected = "rows is 'BaseDNN, DMR'. Expected a list of rows, e.g. ['BaseDNN', 'DMR']."
    assert message("BaseDNN, DMR") == expected
    assert message([("din", "cve")]).startswith("unknown cold-start method 'cve'. Did you mean 'cvae'?")
    assert message([5]).startswith("ranker 5: is neither a name nor a class.")
    assert not (with_data / "runs").exists()


@pytest.mark.slow
def test_a_class_of_a_notebook_is_a_row_and_the_command_line_knows_its_run(with_data: Path) -> None:
    ranker = Cells().run(RANKER)["Popular"]
    frame = mail.compare(mail.load("tiny"), [ranker, (ranker, "masked")], seeds=1, quiet=True, **SETTINGS)
    assert list(frame.loc["new"].index) == ["Popular", "Popular+masked"]
    assert "RI AUC %" in frame.columns
    run = mail.train(mail.load("tiny"), ranker, quiet=True, **SETTINGS)
    assert run.table()["AUC"].to_dict()["new"] == frame["AUC"].to_dict()["new", "Popular"]
    (module,) = (with_data / "notebook_code").iterdir()
    assert f"notebook_code.{module.stem}:Popular" == run.config.ranker
    done = command("train", "--ranker", run.config.ranker, *SMALL[:-2])
    assert done.exit_code == 0, done.output
    # It is finished, so nothing is trained.
    assert done.stderr == ""
    assert command("evaluate", run.folder).exit_code == 0


@pytest.mark.slow
def test_several_processes_train_for_a_script_without_a_guard(with_data: Path) -> None:
    script = RANKER + (
        "print('once')\n"
        f"frame = mail.compare(mail.load('tiny'), ['BaseDNN', Popular], seeds=1, jobs=2, **{SETTINGS!r})\n"
        "print(list(frame.loc['all'].index))\n"
        # So many steps that they are measured first.
        f"mail.train(mail.load('tiny'), Popular, runs='long', **{SETTINGS | {'epochs': 400, 'patience': 1}!r})\n"
    )
    (with_data / "mine.py").write_text(script)
    done = subprocess.run([sys.executable, "mine.py"], capture_output=True, text=True, check=False)
    assert done.stdout == "once\n['BaseDNN', 'Popular']\n", done.stderr
    assert "2 of 2 runs done" in done.stderr
