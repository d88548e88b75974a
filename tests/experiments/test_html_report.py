"""`mail report`: the page of an experiment and of run folders, and what is refused."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import os
import re
import shutil
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tomli_w
from click.testing import Result

from mailcli.reporting import warm_up_table
from mailcli.reporting.report import figures
from mailcli.reporting.warm_up import WarmUp
from mailcli.runs.audit import RunAudit, write_audit
from tests.helpers import kept_runs
from tests.helpers.command_line import error_line, mail
from tests.helpers.hostile_names import WORST, seen
from tests.helpers.html_pages import HtmlPage
from tests.helpers.kept_runs import write_run

EXPERIMENT = kept_runs.EXPERIMENT.replace("rows = [", 'rows = ["item-rate", ')
#: AUC by row and seed: RI is 2% and 4% for MAIL-Base against BaseDNN.
AUC = {
    "item-rate+none": (0.505, 0.505),
    "base+none": (0.50, 0.50),
    "base+mail-none": (0.40, 0.40),
    "base+mail-base": (0.51, 0.52),
}
CURVE: list[dict[str, Any]] = [
    {"epoch": 1, "step": 10, "new": 0.5, "old": None, "all": 0.55},
    {"epoch": 2, "step": 20, "all": 0.6},
]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Finished runs and an experiment, of which figures are made but not painted."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(figures, "to_svg", lambda *_: "<svg></svg>")
    write_all(tmp_path)
    return tmp_path


def write_all(folder: Path) -> None:
    """The files of an experiment and of its finished runs."""
    (folder / "toy.toml").write_text(EXPERIMENT, encoding="utf-8")
    values = np.array([0.6, 0.55, 0.5, 0.59, 0.58, 0.7])[:, None] - np.array([0.0, 0.1])
    audit = RunAudit(9, values, np.repeat(values[None], 80, axis=0).astype(np.float32))
    for cell, aucs in AUC.items():
        curve = [{"new": 0.5, "old": 0.6, **point} for point in CURVE]
        trained: dict[str, Any] = {} if cell.startswith("item") else {"curve": curve, "best_epoch": 2, "best_step": 20}
        for seed, auc in enumerate(aucs):
            cost = {"training_seconds": 0.2 if cell.startswith("item") else 61.5, "scoring_microseconds": 3.0}
            run = write_run(folder / "runs", cell, seed, auc, cost=cost, **trained)
            if "mail-base" in cell:
                write_audit(run / "audit.npz", audit)


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of the experiment, painted."""
    folder = tmp_path_factory.mktemp("report")
    write_all(folder)
    done = mail("report", folder / "toy.toml", "--runs", folder / "runs", "-o", folder / "page.html")
    assert (done.exit_code, done.stdout, done.stderr) == (0, f"{folder / 'page.html'}\n", "")
    return folder / "page.html"


@pytest.fixture(scope="module")
def page(page_file: Path) -> HtmlPage:
    return HtmlPage(page_file.read_text(encoding="utf-8"))


def report(*arguments: str) -> Result:
    return mail("report", *arguments, "-o", "page.html")


def page_of(home: Path) -> HtmlPage:
    return HtmlPage((home / "page.html").read_text(encoding="utf-8"))


def test_the_page_says_what_its_numbers_are(page: HtmlPage) -> None:
    assert page.texts["title"] == ["Toy table, simulated"]
    assert page.texts["h1"] == ["Toy table, simulated"]
    assert page.texts["h3"] == [
        *("Results", "Gain", "Is generated behavior personal?", "Validation", "Cost"),
        *("All settings", "Runs", "What it was made with"),
    ]
    for text in (
        "Simulated data.",
        "toy (simulated)",
        "protocol paper",
        "40% of users new",
        "seeds 0, 1",
        "8 runs",
        "Nothing is learned here.",
        "data toy (simulated) | protocol paper, 40% of users new | seeds 0, 1",
        "±: 95% interval over seeds; n.s. = no significant difference at 5%",
        "in round brackets: standard deviation over seeds; best bold, second best underlined",
        "machine: m68k, 3 cores, 0 GPUs, fma",
        "versions: python 9.9, tensorflow 9.9, keras 9.9, numpy 9.9, pandas 9.9, scipy 9.9",
        "commits: abcdef012",
    ):
        assert text in page.text, text
    assert "8 runs, 12 minutes of training and evaluation in total, threads per run: 1" in page.text
    assert next(text for text in page.texts["code"] if text.endswith("toy.toml")).startswith("mail run ")


def test_the_tables_by_hand(page: HtmlPage) -> None:
    main, against, audit, cost, settings, runs = page.tables
    assert main[0] == ["row", "AUC", "GAUC", "RI AUC %", "RI GAUC %"]
    # t(.975, 1) = 12.706, s / √2 = .005: half a width of .0635; and of RI 2% and 4%, 12.706.
    assert main[1:6] == [
        ["new users"],
        ["trivial: item-rate", ".5050 ±.0000 (.0000)", ".5000 ±.0000 (.0000)", "", ""],
        ["BaseDNN", ".5000↓ ±.0000 (.0000)", ".5000 ±.0000 (.0000)", "", ""],
        [
            "MAIL-None",
            ".4000↓ ±.0000 (.0000)",
            ".5000 ±.0000 (.0000)",
            "-20.00 ±0.00, p <.001",
            "+0.00 ±0.00, p 1.000 n.s. ≈",
        ],
        [
            "MAIL-Base",
            ".5150 ±.0635 (.0071)",
            ".5000 ±.0000 (.0000)",
            "+3.00 ±12.71, p .205 n.s.",
            "+0.00 ±0.00, p 1.000 n.s. ≈",
        ],
    ]
    assert [row for row in main if len(row) == 1] == [["new users"], ["old users"], ["all users"]]
    assert against[2][:1] + against[2][3:4] == ["MAIL-Base against MAIL-None", "+28.75 ±15.88, p .028"]
    assert audit[2][:2] == ["MAIL-Base", "-.0500 ±.0000 [-.0500, -.0500]"]
    assert cost[0] == ["row", "AUC", "RI AUC %", "training s", "scoring us"]
    assert cost[5] == ["MAIL-Base", ".5150 ±.0635 (.0071)", "+3.00 ±12.71, p .205 n.s.", "61.5", "3.0"]
    assert [row[1] for row in settings if row[0] == "history"] == ["10"]
    assert runs[-1] == ["MAIL-Base", "1", ".5200", ".5000", ".5200", ".5000", "2", "61.5"]
    # A row for every run, also of the trivial row.
    assert len(runs) == 1 + 8


def test_the_facts_are_those_of_the_table(page: HtmlPage) -> None:
    facts = list(zip(page.texts["dt"], page.texts["dd"][::2], page.texts["dd"][1::2], strict=True))
    assert facts == [
        ("Best for new users", "MAIL-Base", "AUC .5150 ±.0635"),
        (
            "Below a trivial row",
            "2 of 3",
            "networks rank new users worse than the best trivial row, item-rate: AUC .5050 ±.0000",
        ),
        (
            "Gain for new users",
            "0 of 2",
            "methods significantly better in AUC than the same ranker without one; 1 worse, 0 practically equal (≈)",
        ),
        (
            "Harm to old users",
            "1 of 2",
            "methods significantly worse in AUC than the same ranker without one; 0 better, 0 practically equal (≈)",
        ),
        (
            "Personal behavior",
            "1 of 1",
            "methods are shown to generate behavior (v̂) that is the new user's own: another user's ranks worse",
        ),
    ]


def test_every_number_of_the_document_is_on_the_page(page_file: Path, page: HtmlPage) -> None:
    """`mail results` has the numbers of the terminal's table in its own form."""
    folder = page_file.parent
    places = ("--kept", folder / "kept", "--figures", folder / "figures", "--out", folder / "R.md")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("matplotlib.figure.Figure.savefig", lambda _, path, **__: Path(path).touch())
        assert mail("results", folder / "toy.toml", "--runs", folder / "runs", *places).exit_code == 0
    lines = [line for line in (folder / "R.md").read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    numbers = {number for line in lines for number in re.findall(r"[+-]?\d*\.\d+", line)}
    assert len(numbers) > 15
    cells = " ".join(cell for table in page.tables for row in table for cell in row)
    assert numbers <= set(re.findall(r"[+-]?\d*\.\d+", cells))


def test_the_page_loads_nothing_and_runs_only_its_own_script(page: HtmlPage) -> None:
    assert page.loaded == []
    assert len(page.ids) == len(set(page.ids))
    (script,) = page.texts["script"]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    (policy,) = [value for tag, name, value in page.attributes if (tag, name) == ("meta", "content") and "src" in value]
    assert policy.split("; ")[:3] == [
        "default-src 'none'",
        "style-src 'unsafe-inline'",
        f"script-src 'sha256-{digest}'",
    ]
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]


def test_figures_say_in_words_what_they_show(page: HtmlPage) -> None:
    assert ("svg", "role", "img") in page.attributes
    forest, curves, cost = (value for tag, name, value in page.attributes if (tag, name) == ("svg", "aria-label"))
    assert forest.endswith("AUC of new users: MAIL-None -20.00 ±0.00, p <.001; MAIL-Base +3.00 ±12.71, p .205 n.s.")
    assert curves.endswith("Best epochs by seed: BaseDNN 2, 2; MAIL-None 2, 2; MAIL-Base 2, 2.")
    assert "item-rate 0.2 s, AUC .5050 ±.0000; BaseDNN 61.5 s, AUC .5000↓ ±.0000;" in cost
    # Data, protocol and seeds are in every figure.
    assert sum("toy (simulated), protocol paper, seeds 0, 1" in text for text in page.texts["text"]) == 3


def test_the_csv_has_all_numbers(page: HtmlPage) -> None:
    (address,) = [value for tag, name, value in page.attributes if name == "href" and value.startswith("data:text/csv")]
    text = base64.b64decode(address.partition(",")[2]).decode()
    rows = list(csv.DictReader(io.StringIO(text)))
    (gain,) = [
        row["RI"]
        for row in rows
        if (row["table"], row["row"], row["users"], row["metric"])
        == ("Toy table, simulated", "MAIL-Base", "new", "AUC")
    ]
    assert float(gain) == pytest.approx(3)
    assert {row["table"] for row in rows} == {
        *("Toy table, simulated", "Audit of v̂: Toy table, simulated", "Toy table, simulated: row against row"),
    }


@pytest.mark.parametrize(
    ("sources", "title", "rows"),
    [
        # Baselines first; without an experiment, rankers are in the order of the folders.
        ([], "Test metrics on toy, protocol paper", ["BaseDNN", "MAIL-Base", "MAIL-None", "trivial: item-rate"]),
        (
            ["runs/toy"],
            "Test metrics on toy, protocol paper",
            ["BaseDNN", "MAIL-Base", "MAIL-None", "trivial: item-rate"],
        ),
        (["runs/toy/paper/base+mail-base/seed-1"], "Test metrics on toy, protocol paper", ["MAIL-Base"]),
        (["runs/toy/paper/item-rate+none"], "Test metrics on toy, protocol paper", ["trivial: item-rate"]),
        (["toy.toml", "runs/toy/paper/base+none"], "2 tables of results", ["trivial: item-rate", "BaseDNN"]),
    ],
)
def test_folders_of_runs(home: Path, sources: list[str], title: str, rows: list[str]) -> None:
    before = {path: path.read_bytes() for path in home.rglob("*") if path.is_file()}
    done = report(*sources)
    assert (done.exit_code, done.stdout, done.stderr) == (0, "page.html\n", "")
    page = page_of(home)
    assert page.texts["h1"] == [title]
    names = [row[0] for row in page.tables[0] if len(row) > 1][1:]
    assert names[: len(rows)] == rows
    # Nothing else is written, not even a lock.
    after = {path: path.read_bytes() for path in home.rglob("*") if path.is_file() and path.name != "page.html"}
    assert after == before


def test_tables_that_differ_only_in_settings_have_titles_that_tell_them_apart(home: Path) -> None:
    write_run(home / "other", "base+none", 0, 0.5, history=20)
    assert report("runs", "other").exit_code == 0
    assert page_of(home).texts["h2"] == [
        "Test metrics on toy, protocol paper: history 10",
        "Test metrics on toy, protocol paper: history 20",
    ]


def test_an_experiment_on_another_dataset_with_fewer_seeds(home: Path) -> None:
    """What `mail run toy.toml --data other --seeds 1` has trained."""
    for cell, aucs in AUC.items():
        write_run(home / "runs", cell, 0, aucs[0], data="other")
    assert error_line(report("toy.toml", "--data", "other")).endswith(
        "Train them with `mail run toy.toml --data other`."
    )
    assert report("toy.toml", "--data", "other", "--seeds", "1").exit_code == 0
    text = (home / "page.html").read_text()
    assert "mail run toy.toml --data other --seeds 1" in text
    expected = "--data and --seeds are of an experiment. Name its FILE, or leave them out."
    assert error_line(report("runs", "--data", "other")) == expected
    assert error_line(report("toy.toml", "--seeds", "0")) == "--seeds is 0. Expected a number from 1 to 1,000."
    document = mail(
        "results", "toy.toml", "--data", "other", "--seeds", "1", "--out", "x.md", "--kept", "kept", "--figures", "f"
    )
    assert document.exit_code == 0, document.output
    assert "Made by `mail run toy.toml --data other --seeds 1`" in (home / "x.md").read_text()


def test_a_grid_has_the_map_of_its_worlds(home: Path) -> None:
    experiment = (
        EXPERIMENT.replace('against = [["MAIL-Base", "MAIL-None"]]\n', "") + "[grid]\nattribute_strength = [0.0, 1]\n"
    )
    (home / "toy.toml").write_text(experiment, encoding="utf-8")
    for world in ("toy-as0", "toy-as1"):
        for cell, aucs in AUC.items():
            for seed, auc in enumerate(aucs):
                write_run(home / "runs", cell, seed, auc, data=world)
    done = report("toy.toml")
    assert (done.exit_code, done.stderr) == (0, "")
    page = page_of(home)
    assert page.texts["h1"] == ["Toy table, simulated"]
    assert "2 worlds (simulated)" in page.text
    assert page.tables[0][0][:2] == ["row", "worlds"]
    assert page.tables[1][0][:3] == ["row", "item-rate", "ranker"]
    for table in page.tables[:3]:
        assert [row[0] for row in table if row[0].startswith("as")] == ["as0", "as1"]
    assert ("figure", "class", "scroll paper") in page.attributes
    error = "toy.toml: the table of a grid has columns of its own. Leave out --columns and --known."
    assert error_line(report("toy.toml", "--columns", "logloss")) == error
    assert error_line(report("toy.toml", "--known", "1")) == error


def test_the_warm_up_is_measured_where_it_is_asked_for(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def measure(run: object, data: object, known: list[int]) -> WarmUp:
        return WarmUp({number: {"AUC": 0.5 + number / 100, "GAUC": 0.5} for number in known}, dict.fromkeys(known, 1.0))

    monkeypatch.setattr(warm_up_table, "measure_warm_up", measure)
    assert report("toy.toml", "--known", "5,0").exit_code == 0
    page = page_of(home)
    assert "Warm-up" in page.texts["h3"]
    (table,) = [table for table in page.tables if table[0] == ["known", "0", "5"]]
    assert table[1:4] == [["AUC"], ["trivial: item-rate", ".5000 ±.0000 (.0000)", ".5500 ±.0000 (.0000)"], table[3]]
    assert error_line(report("--known", "11")).startswith("--known 11: runs/toy/paper/base+none/seed-0 sees at most ")
    assert error_line(report("--known", "x")).startswith("--known x: 'x' is not a number of behaviors.")


def test_hostile_titles_and_labels_are_text(home: Path) -> None:
    name = f"{WORST}</title></style><img src=x onerror=alert(1)>"
    # JSON's strings are TOML's.
    title, label = json.dumps(name), json.dumps(name).replace("\\u007f", "\\u007F")
    experiment = EXPERIMENT.replace('"Toy table"', title).replace(
        '"BaseDNN",', f'{{ row = "BaseDNN", label = {label} }},'
    )
    (home / "toy.toml").write_text(experiment, encoding="utf-8")
    done = report("toy.toml")
    assert (done.exit_code, done.stderr) == (0, "")
    page = page_of(home)
    assert page.texts["h1"] == [f"{seen(name)}, simulated"]
    assert page.tables[0][3][0] == seen(name)
    assert "img" not in {element[0] for element in page.structure}
    assert page.loaded == []


def test_a_page_is_replaced_and_its_folder_made(home: Path) -> None:
    for _ in range(2):
        done = mail("report", "-o", "new/folder/page.html")
        assert (done.exit_code, done.stdout) == (0, "new/folder/page.html\n")
    assert [path.name for path in (home / "new/folder").iterdir()] == ["page.html"]


def _no_run(home: Path) -> None:
    shutil.rmtree(home / "runs")


def _run_missing(home: Path) -> None:
    shutil.rmtree(home / "runs/toy/paper/base+mail-none")


def _nothing(home: Path) -> None:
    del home


@pytest.mark.parametrize(
    ("change", "arguments", "error"),
    [
        (_no_run, [], "runs: holds no finished run. Make one with `mail train`."),
        (
            _run_missing,
            ["toy.toml"],
            "toy.toml: 2 of 8 runs are not in runs, for example toy/paper/base+mail-none/seed-0. Train them with "
            "`mail run toy.toml`.",
        ),
        (
            _nothing,
            ["runs/toi"],
            "runs/toi: there is no such folder. Did you mean 'toy'? Expected one made by `mail train`.",
        ),
        (_nothing, ["toi.toml"], "toi.toml: not found. Expected the TOML file of an experiment."),
        (_nothing, ["toy.toml", "-o", "runs"], "--out runs: is a folder. Name a file, e.g. runs/report.html."),
        (
            _nothing,
            ["toy.toml", "-o", "./toy.toml"],
            "--out toy.toml: is one of the files that it is made from. Name another file.",
        ),
        (
            _nothing,
            ["--columns", "acu"],
            "--columns acu: unknown column 'acu'. Did you mean 'auc'? Known: 'auc', 'gauc', 'logloss', 'ne', 'ece', "
            "'parameters', 'seconds', 'scoring_us'.",
        ),
    ],
)
def test_what_cannot_be_reported_is_told_in_one_line(
    home: Path, change: Callable[[Path], None], arguments: list[str], error: str
) -> None:
    change(home)
    done = mail("report", *arguments)
    assert (done.exit_code, done.stdout, done.stderr) == (2, "", f"Error: {error}\n")
    assert not list(home.glob("*.html"))
    assert (home / "toy.toml").read_text(encoding="utf-8") == EXPERIMENT


def test_options_may_stand_in_another_order_than_when_they_were_trained(home: Path) -> None:
    options = {"units": "8,4", "dropout": "0.1"}
    lines = "".join(f'"ranker.{key}" = "{value}"\n' for key, value in options.items())
    experiment = EXPERIMENT.replace('against = [["MAIL-Base", "MAIL-None"]]\n', "").replace(
        "[settings]\n", f"[settings]\n{lines}"
    )
    (home / "toy.toml").write_text(experiment, encoding="utf-8")
    for path in (home / "runs").rglob("config.toml"):
        config = tomllib.loads(path.read_text())
        if not config["ranker"].startswith("item"):
            config["ranker_options"] = dict(reversed(options.items()))
            path.write_text(tomli_w.dumps(config))
    done = report("toy.toml")
    assert done.exit_code == 0, done.output


def test_only_a_page_is_replaced(home: Path) -> None:
    """A slip in -o must not cost a run's files."""
    target = home / "runs" / "toy" / "paper" / "base+none" / "seed-0" / "config.toml"
    before = target.read_bytes()
    expected = f"--out {target}: already exists and is not a page of `mail report`. Name another file."
    assert error_line(mail("report", "toy.toml", "-o", target)) == expected
    assert target.read_bytes() == before
    assert report("toy.toml").exit_code == report("toy.toml").exit_code == 0
    (home / "other.toml").write_text("x = 1\n")
    (home / "notes.md").write_text("# Notes\n")
    (home / "index.html").write_text("<!doctype html><title>mine</title>")
    for command, out, kind in (
        ("results", "other.toml", "a document of `mail results`"),
        ("results", "notes.md", "a document of `mail results`"),
        ("report", "index.html", "a page of `mail report`"),
    ):
        kept = ("--kept", "kept", "--figures", "f") if command == "results" else ()
        done = mail(command, "toy.toml", "--out", out, *kept)
        assert error_line(done) == f"--out {out}: already exists and is not {kind}. Name another file."
    os.mkfifo("pipe")
    done = mail("report", "toy.toml", "--out", "pipe")
    assert error_line(done) == "--out pipe: is not a regular file. Name another file."
    done = mail("report", "toy.toml", "--out", "notes.md/page.html")
    assert error_line(done) == "--out notes.md/page.html: notes.md is not a folder. Name another file."
