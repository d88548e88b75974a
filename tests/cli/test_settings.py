"""`mail settings`."""

from __future__ import annotations

import csv
import io
import json
import unicodedata
from pathlib import Path

import pytest

from tests.helpers.command_line import error_line, mail


def test_all_settings_and_options_in_json_and_csv(home: Path) -> None:
    done = mail("settings", "--format", "json")
    assert done.exit_code == 0, done.output
    records = json.loads(done.stdout)["results"]
    assert {"key": "patience", "owner": "", "default": "2"}.items() <= records[17].items()
    assert records[17]["values"] == "a whole number from 1 to 1000000"
    assert [record["key"] for record in records if record["owner"] == "ranker dcnv2"] == [
        *("ranker.cross_layers", "ranker.units", "ranker.dropout"),
    ]
    rows = list(csv.DictReader(io.StringIO(mail("settings", "--format", "csv").stdout)))
    assert [row["key"] for row in rows] == [record["key"] for record in records]


@pytest.mark.parametrize("columns", [80, 120, 200])
def test_the_table_fits_the_terminal(home: Path, monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    lines = mail("settings").stdout.splitlines()
    # A circumflex above the letter before it has no width.
    assert max(sum(not unicodedata.combining(letter) for letter in line) for line in lines) <= columns
    text = " ".join(line.rpartition("│")[2].strip() for line in lines)
    assert "Validations without a better AUC before training stops (ours). [a whole number from 1 to 1000000]" in text


def test_one_setting(home: Path) -> None:
    done = mail("settings", "dropout", "--format", "markdown")
    assert [line for line in done.stdout.splitlines() if line.startswith("| *")] == [
        *(f"| *ranker {name}* |  |  |" for name in ("base", "dcnv2", "deepfm", "din", "dmr", "esmm", "widedeep")),
        *(f"| *cold-start method {name}* |  |  |" for name in ("dropout", "mail", "mail-pooled", "mail-softmax")),
    ]
    assert error_line(mail("settings", "epoch")) == (
        "unknown setting 'epoch'. Did you mean 'epochs'? `mail settings` lists all."
    )
    assert "unknown format" in error_line(mail("settings", "--format", "xml"))
