"""New users with some behaviors given back: what is measured, and its table."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mailcli.config import make_config
from mailcli.data.dataset import Dataset
from mailcli.data.protocol import views
from mailcli.experiments.cells import train_if_missing
from mailcli.metrics.auc import auc, gauc
from mailcli.reporting import warm_up_table
from mailcli.reporting.formats import render
from mailcli.reporting.terminal_table import terminal_table
from mailcli.reporting.warm_up import WarmUp, measure_warm_up
from mailcli.runs.folder import RunFolder
from mailcli.runs.opening import open_run
from mailcli.training.scorer import Scorer
from tests.helpers.command_line import error_line, mail
from tests.helpers.models import QUICK, SHAPE, mail_config

SETTINGS = {"data": "tiny", **SHAPE, **QUICK["base"], "epochs": 1, "batch_size": 256, "protocol": "strict"}
BASE, MASKED = "base+none", "base+masked"


@pytest.fixture(scope="module")
def runs(tiny: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Row masks, and the ranker alone."""
    folder = tmp_path_factory.mktemp("runs")
    for method in ("none", "masked"):
        train_if_missing(make_config([SETTINGS, {"cold_start": method}]), tiny, folder)
    return folder


def run_of(runs: Path, cell: str, seed: int = 0) -> RunFolder:
    """A run; one of another seed than 0 has that of seed 0 in its folder, and is not to be scored."""
    run = open_run(runs / "tiny" / "strict" / cell / "seed-0")
    return RunFolder(run.folder / ".." / f"seed-{seed}", replace(run.config, seed=seed), run.settings) if seed else run


def check_nothing_known(run: RunFolder, dataset: Dataset) -> None:
    """With 0 known, a new user is as hidden as in the test itself: the metrics of those with behavior in the raw data."""
    warm_up = measure_warm_up(run, dataset, [0, 1])
    assert list(warm_up.metrics) == [0, 1]
    scores = np.load(run.folder / "predictions.npy")
    user, clicks = dataset.column("test", "user"), dataset.column("test", "click")
    chosen = views(dataset, run.config)["test"].new[user] & (dataset.earlier_behaviors("test") > 0)
    # Impressions are batched differently, so the last bits of a score may differ, and with them a tie.
    assert warm_up.metrics[0]["AUC"] == pytest.approx(auc(clicks[chosen], scores[chosen]), abs=1e-4)
    own_gauc = gauc(user[chosen], clicks[chosen], scores[chosen]).value
    assert warm_up.metrics[0]["GAUC"] == pytest.approx(own_gauc, abs=1e-4)
    assert warm_up.reached == {0: 1.0, 1: 1.0}


@pytest.mark.parametrize("cell", [BASE, MASKED])
def test_no_known_behavior_is_what_the_run_itself_scored(cell: str, runs: Path, tiny: Dataset) -> None:
    check_nothing_known(run_of(runs, cell), tiny)


def test_a_trivial_row_reads_no_behavior(tiny: Dataset, tmp_path: Path) -> None:
    shared = {key: value for key, value in SETTINGS.items() if key != "ranker.units"}
    run = train_if_missing(make_config([shared, {"ranker": "item-rate"}]), tiny, tmp_path)
    check_nothing_known(run, tiny)
    zero, one = measure_warm_up(run, tiny, [0, 1]).metrics.values()
    assert zero == one


@pytest.mark.slow
def test_no_known_behavior_is_generated_behavior(tiny: Dataset, tmp_path: Path) -> None:
    run = train_if_missing(mail_config("base", epochs=1, batch_size=256), tiny, tmp_path)
    check_nothing_known(run, tiny)


def test_more_known_behavior_changes_what_the_model_sees(
    runs: Path, tiny: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    longest: list[int] = []
    ids: set[int] = set()
    call = Scorer.__call__

    def score(self: Scorer, batches: object, title: str) -> object:
        seen = list(batches.in_order())  # type: ignore[attr-defined]
        longest.append(max(int((batch["actions"] > 0).sum(axis=1).max()) for batch in seen))
        ids.update(int(user) for batch in seen for user in batch["attributes"][:, 0])
        return call(self, batches, title)  # type: ignore[arg-type]

    monkeypatch.setattr(Scorer, "__call__", score)
    measure_warm_up(run_of(runs, BASE), tiny, [0, 1, 2, 5, 10])
    assert longest == [0, 1, 2, 5, 10]
    assert ids == {1}, "under protocol strict, the id stays unknown"


#: Row, seed, number of known behaviors -> AUC; GAUC is .1 less.
AUCS = {(BASE, 0): (0.60, 0.70), (BASE, 1): (0.62, 0.72), (MASKED, 0): (0.66, 0.70), (MASKED, 1): (0.651, 0.72)}
AUCS |= {(f"{BASE}+continued", 0): (0.55, 0.70), (f"{MASKED}+continued", 0): (0.66, 0.70)}


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Metrics by hand instead of measured ones."""

    def measure(run: RunFolder, _data: object, known: list[int]) -> WarmUp:
        trivial = run.config.ranker == "item-rate"
        values = zip(known, (0.68, 0.68) if trivial else AUCS[run.config.cell, run.config.seed], strict=True)
        return WarmUp({n: {"AUC": value, "GAUC": value - 0.1} for n, value in values}, {0: 1.0, 5: 0.625})

    monkeypatch.setattr(warm_up_table, "measure_warm_up", measure)


@pytest.mark.usefixtures("planted")
def test_means_intervals_and_improvements_by_hand(runs: Path) -> None:
    """Two seeds: t(.975, 1) = 12.706, so ± is 6.353 times their difference; p = 1 - 2/π atan(t)."""
    name = "base+masked (units=16,8)"
    all_runs = [run_of(runs, cell, seed) for cell in (MASKED, BASE) for seed in (0, 1)]
    (table,) = warm_up_table.warm_up_tables(all_runs, Path("data"), [0, 5])
    assert table.title == "New users by known behaviors on tiny, protocol strict"
    assert table.head == ("known", "0", "5")
    texts = {block.title: [[cell.text for cell in line] for line in block.lines] for block in table.blocks}
    assert texts == {
        "AUC": [["BaseDNN (units=16,8)", ".6100 ±.1271", ".7100 ±.1271"], [name, ".6555 ±.0572", ".7100 ±.1271"]],
        "GAUC": [["BaseDNN (units=16,8)", ".5100 ±.1271", ".6100 ±.1271"], [name, ".5555 ±.0572", ".6100 ±.1271"]],
        "RI AUC %": [[name, "+7.50 ±31.77, p .205 n.s.", "+0.00 ±0.00, p 1.000 n.s. ≈"]],
        "RI GAUC %": [[name, "+8.98 ±38.36, p .206 n.s.", "+0.00 ±0.00, p 1.000 n.s. ≈"]],
    }
    assert [[cell.rank for cell in line[1:]] for line in table.blocks[0].lines] == [[2, 0], [1, 0]]
    assert "seeds 0, 1" in table.notes[0]
    assert (
        "share of these impressions whose user has as many behaviors (the others show all they have): 0: 100%, 5: 62%"
        in (table.notes)
    )
    record = next(record for record in table.records if (record["known"], record["row"]) == (0, name))
    assert record["metric"] == "AUC"
    assert record["mean"] == pytest.approx(0.6555)
    assert record["RI"] == pytest.approx(7.5)
    assert record["seeds"] == [0, 1]
    equivalence = "≈: RI within ±0.5% (two one-sided t-tests, p < .05, not corrected)"
    assert table.notes[-1] == f"{equivalence}; n.s. without ≈ does not mean no harm"
    for form in ("table", "markdown", "latex", "csv", "json"):
        assert "base+masked" in render([table], form)
    # The standard deviations, and the marks of the best, which Markdown and LaTeX show.
    assert "- in round brackets: standard deviation over seeds; best bold, second best underlined" in (
        render([table], "markdown")
    )
    narrow = terminal_table(table, 70).splitlines()
    assert max(map(len, narrow)) <= 70
    assert [line.split("│")[1:] for line in narrow if "+7.50" in line] == [[" +7.50 ±31.77 ", " +0.00 ±0.00 ≈"]]
    assert "* p < .05, ** p < .01" in " ".join(line.strip() for line in narrow)


@pytest.mark.usefixtures("planted")
def test_rows_below_the_best_trivial_row_are_marked(runs: Path) -> None:
    base = run_of(runs, BASE)
    trivial = RunFolder(base.folder / "trivial", replace(base.config, ranker="item-rate", ranker_options={}))
    (table,) = warm_up_table.warm_up_tables([base, trivial], Path("data"), [0, 5])
    assert [[cell.text for cell in line] for line in table.blocks[0].lines] == [
        ["BaseDNN (units=16,8)", ".6000↓", ".7000"],
        ["trivial: item-rate", ".6800", ".6800"],
    ]
    assert any(note.startswith("trivial: statistics of the training split") for note in table.notes)
    assert {record["row"]: record["trivial"] for record in table.records} == {
        "BaseDNN (units=16,8)": False,
        "item-rate": True,
    }


@pytest.mark.usefixtures("planted")
def test_rows_with_other_seeds_are_not_compared(runs: Path) -> None:
    """They have other new users: neither is the best of them marked, nor one that is below a trivial row of others."""
    base = run_of(runs, BASE)
    trivial = RunFolder(base.folder / "trivial", replace(base.config, ranker="item-rate", ranker_options={}, seed=1))
    (table,) = warm_up_table.warm_up_tables([base, run_of(runs, MASKED), trivial], Path("data"), [0, 5])
    assert [[cell.text for cell in line] for line in table.blocks[0].lines if "item-rate" in line[0].text] == [
        ["trivial: item-rate", ".6800", ".6800"]
    ]
    assert not any("↓" in cell.text for line in table.blocks[0].lines for cell in line)
    assert "best, second best and ↓: only among the rows with seeds 0" in table.notes


@pytest.mark.usefixtures("planted")
def test_without_its_baseline_a_row_has_no_improvement(runs: Path) -> None:
    for cells in ([(MASKED, 0), (MASKED, 1)], [(MASKED, 0), (MASKED, 1), (BASE, 0)]):
        (table,) = warm_up_table.warm_up_tables([run_of(runs, *cell) for cell in cells], Path("data"), [0, 5])
        assert [block.title for block in table.blocks] == ["AUC", "GAUC"]
        assert table.notes[-1] == (
            "no RI of 'base+masked (units=16,8)': no row has the ranker alone with the same settings and seeds"
        )


@pytest.mark.usefixtures("planted")
def test_a_baseline_with_more_seeds_in_another_order_is_one(runs: Path) -> None:
    """RI is by seed: of seed 1 alone, .651 against .62 of the ranker's seed 1."""
    for seeds, ri in (((1, 0), "+7.50 ±31.77, p .205 n.s."), ((1,), "+5.00")):
        cells = [(BASE, 0), (BASE, 1), *((MASKED, seed) for seed in seeds)]
        (table,) = warm_up_table.warm_up_tables([run_of(runs, *cell) for cell in cells], Path("data"), [0, 5])
        assert table.blocks[2].lines[0][1].text == ri


@pytest.mark.usefixtures("planted")
def test_a_continued_row_is_compared_with_a_continued_ranker_only(runs: Path) -> None:
    """Its AUC is .66: RI is 10% over the ranker's .60, and 20% over .55 of the continued ranker."""

    def continued(run: RunFolder, weights: str) -> RunFolder:
        return RunFolder(run.folder / "continued", replace(run.config, continues=weights * 64), run.settings)

    base, masked = run_of(runs, BASE), run_of(runs, MASKED)
    both = [continued(base, "a"), continued(masked, "b")]
    for chosen, ris in (([base, masked, both[1]], ["+10.00"]), ([base, *both], ["+20.00"])):
        (table,) = warm_up_table.warm_up_tables(chosen, Path("data"), [0, 5])
        assert [line[1].text for line in table.blocks[2].lines] == ris


def test_evaluate_prints_every_form(runs: Path, tiny: Dataset, data_dir: Path) -> None:
    del tiny
    arguments = ["evaluate", run_of(runs, MASKED).folder, "--known", "5, 0,5", "--data-dir", data_dir]
    done = mail(*arguments, "--format", "json")
    assert done.exit_code == 0, done.output
    (table,) = json.loads(done.stdout)
    numbers = {(record["known"], record["metric"]): record["mean"] for record in table["results"]}
    assert list(numbers) == [(0, "AUC"), (5, "AUC"), (0, "GAUC"), (5, "GAUC")]
    assert all(0 < value < 1 for value in numbers.values())
    assert "one seed: no interval over seeds, so significance cannot be assessed" in table["notes"]
    rows = list(csv.DictReader(io.StringIO(mail(*arguments, "--format", "csv").stdout)))
    assert [(int(row["known"]), row["metric"]) for row in rows] == list(numbers)
    assert [float(row["mean"]) for row in rows] == pytest.approx(list(numbers.values()))


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (
            ["--known", "0,x"],
            "--known 0,x: 'x' is not a number of behaviors. Expected whole numbers from 0, separated by commas, e.g. "
            "0,1,2,5,10,30.",
        ),
        (
            ["--known", "1,-1"],
            "--known 1,-1: '-1' is not a number of behaviors. Expected whole numbers from 0, separated by commas, e.g. "
            "0,1,2,5,10,30.",
        ),
        (
            ["--known", "0", "--bootstrap", "40"],
            "--known has no intervals over users. Leave out --bootstrap or --known.",
        ),
        (
            ["--known", "0,11"],
            "--known 11: {run} sees at most the last 10 behaviors (its setting `history`). Give numbers up to 10.",
        ),
    ],
)
def test_what_cannot_be_shown_is_one_line(arguments: list[str], error: str, runs: Path, data_dir: Path) -> None:
    run = run_of(runs, BASE).folder
    done = mail("evaluate", run, *arguments, "--data-dir", data_dir)
    assert (done.exit_code, done.stdout) == (2, "")
    assert error_line(done) == error.format(run=run)
