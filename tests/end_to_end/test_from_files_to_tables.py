"""From simulated raw files to tables, by commands as typed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers.command_line import SMALL, SMALL_MAIL, mail


@pytest.mark.slow
def test_from_simulated_files_to_tables_as_typed(home: Path) -> None:
    simulated = mail(
        "simulate",
        "alimama",
        "--users",
        "200",
        "--seed",
        "0",
        "--out",
        "data/raw/alimama",
        "--behaviors-per-user",
        "20",
    )
    assert simulated.exit_code == 0, simulated.output
    assert "Best possible AUC on the test day: 0." in simulated.output
    preprocessed = mail("preprocess", "alimama")
    assert preprocessed.exit_code == 0, preprocessed.output
    assert "alimama (simulated)" in preprocessed.output
    assert (home / "data" / "alimama" / "dataset.json").is_file()
    trained = mail("train", "--ranker", "base", *SMALL)
    assert trained.exit_code == 0, trained.output
    assert "BaseDNN" in trained.stdout
    assert "alimama (simulated) | protocol paper, 40% of users new | seeds 0" in trained.stdout
    table = mail("ablate", "--variants", "none,base", "--seeds", "2", *SMALL, *SMALL_MAIL)
    assert table.exit_code == 0, table.output
    for name in ("BaseDNN", "MAIL-None", "MAIL-Base", "seeds 0, 1", "±"):
        assert name in table.stdout
    assert ".5934" not in table.stdout, "the paper's numbers are of other data"
    assert len(list((home / "runs").rglob("result.json"))) == 6
    evaluated = mail("evaluate")
    assert evaluated.exit_code == 0, evaluated.output
    rows = [line.split(" ")[0] for line in evaluated.stdout.splitlines()[4:7]]
    assert rows == ["BaseDNN", "MAIL-Base", "MAIL-None"], "the ranker without a method first"
    metrics, _, audit = evaluated.stdout.partition("Audit of v̂")
    lines = [[line for line in text.splitlines() if line.startswith("MAIL-None")] for text in (metrics, audit)]
    # Metrics of new, old, all and naturally new users; the audit of AUC and of GAUC of new users.
    assert [len(part) for part in lines] == [4, 2], evaluated.stdout
