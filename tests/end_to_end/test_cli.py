"""Every command as typed, and the text of every error."""

from __future__ import annotations

import gzip
import json
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner, Result

from mailcli import plugins
from mailcli.cli import main
from mailcli.cli.preprocess import preprocess
from mailcli.preprocessing.pipeline import Options
from tests.helpers import alimama, grouplens

SMALL = [
    *("--set", "epochs=1", "--set", "batch_size=256", "--set", "embedding_dim=8", "--set", "history=5"),
    *("--set", "ranker.units=16,8"),
]
SMALL_MAIL = ["--set", "cold_start.encoder_units=16,16,16", "--set", "cold_start.decoder_units=16,16"]


def mail(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(a) for a in arguments])


def refused(result: Result) -> str:
    """The one line of an error, which must be the user's and not a bug."""
    assert result.exit_code == 2, (result.output, result.exception)
    lines = result.stderr.strip().splitlines()
    error = [line for line in lines if line.startswith("Error: ")]
    assert error == lines[-1:], "the error is one line, the last one"
    assert "Usage:" not in result.stderr
    assert "Traceback" not in result.output
    return error[0].removeprefix("Error: ")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def with_data(home: Path, data_dir: Path) -> Path:
    """A working folder with the dataset `tiny`."""
    shutil.copytree(data_dir, home / "data")
    return home


# what works


def test_from_simulated_files_to_tables_as_typed(home: Path) -> None:
    made = mail(
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
    assert made.exit_code == 0, made.output
    assert "Ceiling: the true click probability reaches AUC ." in made.output.replace("AUC 0.", "AUC .")
    done = mail("preprocess", "alimama")
    assert done.exit_code == 0, done.output
    assert "alimama (simulated)" in done.output
    assert (home / "data" / "alimama" / "dataset.json").is_file()
    trained = mail("train", "--ranker", "base", *SMALL)
    assert trained.exit_code == 0, trained.output
    assert "BaseDNN" in trained.stdout
    assert "alimama (simulated) | protocol paper, 40% of users new | seeds 0" in trained.stdout
    table = mail("ablate", "--variants", "none,base", "--seeds", "2", *SMALL, *SMALL_MAIL)
    assert table.exit_code == 0, table.output
    for name in ("BaseDNN", "MAIL-None", "MAIL-Base", ".5934", "seeds 0, 1", "±"):
        assert name in table.stdout
    assert len(list((home / "runs").rglob("result.json"))) == 6
    evaluated = mail("evaluate")
    assert evaluated.exit_code == 0, evaluated.output
    rows = [line.split(" ")[0] for line in evaluated.stdout.splitlines()[4:7]]
    assert rows == ["BaseDNN", "MAIL-Base", "MAIL-None"], "the ranker alone first"
    assert evaluated.stdout.count("MAIL-None") == 4  # new, old, all, naturally new


def test_train_with_a_cold_start_method_trains_its_baseline_too(with_data: Path) -> None:
    done = mail(
        "train",
        "--cold-start",
        "mail",
        "--variant",
        "dual",
        "--protocol",
        "strict",
        "--seed",
        "3",
        *SMALL,
        *SMALL_MAIL,
    )
    assert done.exit_code == 0, done.output
    assert "BaseDNN" in done.stdout
    assert "MAIL-Dual" in done.stdout
    assert "protocol strict" in done.stdout
    runs = sorted(str(p.parent.relative_to(with_data)) for p in with_data.rglob("result.json"))
    assert runs == ["runs/tiny/strict/base+mail-dual/seed-3", "runs/tiny/strict/base+none/seed-3"]
    one = mail("evaluate", runs[0])
    assert one.exit_code == 0, one.output
    assert "%" in one.stdout
    assert "MAIL-Dual" in one.stdout


TABLE_2 = ["EmbLR", "LLAE", "BaseDNN", "MetaEmb", "MAIL-Base", "DMR", "MAIL-DMR"]


@pytest.mark.slow
def test_compare_prints_the_papers_rows_each_from_its_own_run(with_data: Path) -> None:
    quick = ["--set", "embedding_dim=4", "--set", "history=5", "--set", "epochs=1", "--set", "batch_size=512"]
    done = mail("compare", "--seeds", "1", *quick)
    assert done.exit_code == 0, done.output
    lines = [[cell.strip() for cell in line.split("│")] for line in done.stdout.splitlines()]
    new = lines[3 : 3 + len(TABLE_2) + 1]
    assert [line[0] for line in new] == ["new users", *TABLE_2]
    cells = ["emblr+none", "emblr+llae", "base+none", "base+metaemb", "base+mail-base", "dmr+none", "dmr+mail-base"]
    for line, cell in zip(new[1:], cells, strict=True):
        folder = with_data / "runs" / "tiny" / "paper" / cell / "seed-0"
        result = json.loads((folder / "result.json").read_text())
        assert line[1] == f"{result['test']['new']['AUC']:.4f}".removeprefix("0")
        # RI is against the same ranker alone.
        assert (line[3] == "") == cell.endswith("+none")
    # The paper's numbers, empty where its text gives none.
    assert [line[5] for line in new[1:]] == ["", "", ".5862", ".5911", ".5934", "", ".5958"]
    assert len(list(with_data.rglob("result.json"))) == 7
    again = mail("compare", "--seeds", "1", "--rows", "metaemb,MAIL-BASE,base+metaemb,BaseDNN", *quick)
    assert again.exit_code == 0, again.output
    assert len(list(with_data.rglob("result.json"))) == 7
    names = [line.split("│")[0].strip() for line in again.stdout.splitlines()[3:7]]
    assert names == ["new users", "MetaEmb", "MAIL-Base", "BaseDNN"]


def test_esmm_needs_conversions_and_scores_them(with_data: Path) -> None:
    assert refused(mail("train", "--ranker", "esmm", *SMALL)) == (
        "esmm+none on tiny: it needs the label 'conversion', but the dataset has only 'click' "
        "(a schema file names its column as impressions.conversion; `mail simulate --conversions` simulates one)"
    )
    made = mail("simulate", "alimama", "--users", "150", "--out", "raw", "--behaviors-per-user", "20", "--conversions")
    assert made.exit_code == 0, made.output
    assert mail("preprocess", "alimama", "--raw", "raw", "--name", "buys").exit_code == 0
    done = mail("train", "--data", "buys", "--ranker", "esmm", *SMALL)
    assert done.exit_code == 0, done.output
    assert "CTCVR AUC" in done.stdout
    scores = np.load(with_data / "runs/buys/paper/esmm+none/seed-0/predictions.npy")
    assert scores.shape[1] == 2
    assert (scores[:, 1] <= scores[:, 0]).all()


def test_evaluate_shows_intervals_over_users_where_asked_for(with_data: Path) -> None:
    for seed in ("0", "1"):
        assert mail("train", *SMALL, "--seed", seed).exit_code == 0
    plain = mail("evaluate")
    assert plain.exit_code == 0, plain.output
    assert "over users" not in plain.stdout
    drawn = mail("evaluate", "--bootstrap", "200")
    assert drawn.exit_code == 0, drawn.output
    assert mail("evaluate", "--bootstrap", "200").stdout == drawn.stdout
    rows = [[c.strip() for c in line.split("│")] for line in drawn.stdout.splitlines() if line.startswith("BaseDNN")]
    same = [[c.strip() for c in line.split("│")] for line in plain.stdout.splitlines() if line.startswith("BaseDNN")]
    assert [[auc, gauc] for _, auc, _, gauc, *_ in rows] == [row[1:3] for row in same]
    for _, auc, of_auc, gauc, of_gauc, *_ in rows:
        for mean, interval in ((auc, of_auc), (gauc, of_gauc)):
            low, high = map(float, interval.split(" to "))
            assert low < float(mean.split()[0]) < high
    assert "200 draws of the test's users" in drawn.stdout
    assert "±: 95 % interval over seeds" in drawn.stdout


def test_models_has_a_line_and_a_citation_for_each(home: Path) -> None:
    done = mail("models")
    assert done.exit_code == 0
    lines = [[cell.strip() for cell in line.split("│")] for line in done.stdout.splitlines() if line.count("│") == 2]
    names = [name for _, name, _ in lines]
    assert names == [*plugins.names(plugins.RANKERS), *plugins.names(plugins.COLD_STARTS)]
    for _, name, text in lines:
        assert re.search(r"(19|20)\d\d\)$", text) or name == "none", "what it is, and in whose paper"


def test_default_and_named_variant_are_one_cell(with_data: Path) -> None:
    for arguments in (
        [],
        ["--variant", "base"],
        ["--config", "runs/tiny/paper/base+mail-base/seed-0/config.toml"],
    ):
        done = mail("train", "--cold-start", "mail", *arguments, *SMALL, *SMALL_MAIL)
        assert done.exit_code == 0, done.output
    assert len(list(with_data.rglob("result.json"))) == 2


def test_describe(with_data: Path) -> None:
    done = mail("describe")
    assert done.exit_code == 0
    for text in (
        "tiny (simulated)",
        "attribute_strength 0.5",
        "naturally new",
        "without history",
        "pv, cart, fav, buy",
        "n_v 20",
    ):
        assert text in done.stdout


def test_preprocess_grouplens_files(home: Path) -> None:
    grouplens.write(home / "ml")
    done = mail("preprocess", "ml-100k", "--raw", "ml", "--name", "small")
    assert done.exit_code == 0, done.output
    assert "small (real data)" in done.stdout


@pytest.mark.parametrize(
    "command", ["preprocess", "simulate", "describe", "train", "evaluate", "ablate", "compare", "models"]
)
def test_help(command: str) -> None:
    done = mail(command, "--help")
    assert done.exit_code == 0
    assert done.stdout.startswith(f"Usage: mail {command}")


# what is refused


def test_without_raw_files_the_answer_says_which_where_and_how(home: Path) -> None:
    assert refused(mail("preprocess", "alimama")) == (
        "data/raw/alimama: raw_sample.csv, ad_feature.csv, user_profile.csv, behavior_log.csv not found. "
        "Looked for raw_sample.csv, ad_feature.csv, user_profile.csv, behavior_log.csv (or .csv.gz). "
        "Get them from Tianchi, data set 56 'Ad Display/Click Data on Taobao.com' (a free login), or simulate them: "
        "mail simulate alimama --users 2000 --seed 0 --out data/raw/alimama"
    )
    assert list(home.iterdir()) == []


def unusable(rows: str, share: str) -> str:
    """The end of an error about rows."""
    return f"{rows} rows ({share}) cannot be used, --max-bad-rows allows 0.1%. Fix or remove them."


Change = Callable[[dict[str, list[str]]], None]


def edit(stem: str, line: int, text: str) -> Change:
    def change(rows: dict[str, list[str]]) -> None:
        rows[stem][line] = text

    return change


def labels(click: int) -> Change:
    def change(rows: dict[str, list[str]]) -> None:
        rows["raw_sample"] = [f"{line.rsplit(',', 2)[0]},{1 - click},{click}" for line in rows["raw_sample"]]

    return change


def drop(stem: str, keep: slice) -> Change:
    def change(rows: dict[str, list[str]]) -> None:
        rows[stem] = rows[stem][keep]

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            edit("behavior_log", 1, "1,1493999960,look,7,8"),
            "raw/behavior_log.csv, line 3: column 'btag' holds 'look'. Expected one of 'pv', 'cart', 'fav', 'buy'. "
            + unusable("1 of 2", "50.00%"),
        ),
        (
            edit("behavior_log", 0, "one,1493999960,pv,7,8"),
            "raw/behavior_log.csv, line 2: column 'user' holds 'one'. Expected a whole number. "
            + unusable("1 of 2", "50.00%"),
        ),
        (
            edit("raw_sample", 2, "1,1494000000,ten,430548_1007,1,0"),
            "raw/raw_sample.csv, line 4: column 'adgroup_id' holds 'ten'. Expected a whole number. "
            + unusable("1 of 6", "16.67%"),
        ),
        (
            edit("raw_sample", 0, "1,1494691200,10,430548_1007,1,0"),
            "raw/raw_sample.csv, line 2: column 'time_stamp' holds '1494691200'. "
            "Expected a whole number from 1494000000 to 1494691199. " + unusable("1 of 6", "16.67%"),
        ),
        (
            edit("behavior_log", 0, "1,-5,pv,7,8"),
            "raw/behavior_log.csv, line 2: column 'time_stamp' holds '-5'. "
            "Expected a whole number from 1492790400 to 1494691199. " + unusable("1 of 2", "50.00%"),
        ),
        (
            edit("raw_sample", 1, "1,1494043201,10,430548_1007,1,1"),
            "raw/raw_sample.csv, line 3: 'nonclk' holds '1', 'clk' holds '1'. Expected nonclk = 1 - clk. "
            + unusable("1 of 6", "16.67%"),
        ),
        (
            edit("raw_sample", 1, "1,1494043201,10"),
            "raw/raw_sample.csv, line 3: has 3 fields. Expected 6: user,time_stamp,adgroup_id,pid,nonclk,clk. "
            + unusable("1 of 6", "16.67%"),
        ),
        (
            edit("ad_feature", 0, "10,500,1,1,600,cheap"),
            "raw/ad_feature.csv, line 2: column 'price' holds 'cheap'. Expected a number. "
            + unusable("1 of 1", "100.00%"),
        ),
        (
            edit("user_profile", 0, "1,0,1,1,old,,1,0,"),
            "raw/user_profile.csv, line 2: column 'age_level' holds 'old'. Expected a whole number or nothing. "
            + unusable("1 of 1", "100.00%"),
        ),
        (labels(0), "raw/raw_sample.csv: every label is 0 (no click). Expected both classes."),
        (labels(1), "raw/raw_sample.csv: every label is 1 (click). Expected both classes."),
        (
            drop("raw_sample", slice(4)),
            "raw/raw_sample.csv: no impression falls into the test split. Expected some in each.",
        ),
        (
            drop("raw_sample", slice(5)),
            "raw/raw_sample.csv: all 1 labels of the test split are equal. Expected both classes.",
        ),
        (
            lambda rows: rows["ad_feature"].append("10,5,1,1,6,1.0"),
            "raw/ad_feature.csv, line 2: has the same item as another row. Expected one row per item. "
            + unusable("1 of 2", "50.00%"),
        ),
        (
            edit("behavior_log", slice(None), ["2,1493999960,pv,7,8"]),  # type: ignore[arg-type]
            "user_profile.csv, ad_feature.csv, raw_sample.csv, behavior_log.csv: no behavior is earlier than an impression of "
            "its user. MAIL learns from those.",
        ),
    ],
)
def test_bad_rows_are_named(home: Path, change: Change, message: str) -> None:
    rows = alimama.good_rows()
    change(rows)
    alimama.write_rows(home / "raw", rows)
    assert refused(mail("preprocess", "alimama", "--raw", "raw")) == message
    assert not (home / "data").exists()


def test_help_tells_the_defaults_of_the_code(home: Path) -> None:
    command = preprocess
    context = click.Context(command)
    defaults = {option.name: option.get_default(context) for option in command.params}
    for field in fields(Options):
        if field.name in defaults and field.default is not None:
            assert defaults[field.name] == field.default, field.name


def test_the_good_rows_are_good(home: Path) -> None:
    alimama.write_rows(home / "raw", alimama.good_rows())
    assert mail("preprocess", "alimama", "--raw", "raw").exit_code == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "raw/ad_feature.csv: the file is empty. Expected a header line and rows."),
        (
            "adgroup_id,category,campaign_id,customer,brand,price\n1,1,1,1,1,1\n",
            "raw/ad_feature.csv: no column 'cate_id'. Did you mean 'category'? The file's header is: "
            "adgroup_id,category,campaign_id,customer,brand,price. "
            "Expected: adgroup_id,cate_id,campaign_id,customer,brand,price.",
        ),
    ],
)
def test_a_wrong_file_is_told_at_once(home: Path, text: str, message: str) -> None:
    alimama.write_rows(home / "raw", alimama.good_rows())
    (home / "raw" / "ad_feature.csv").write_text(text)
    assert refused(mail("preprocess", "alimama", "--raw", "raw")) == message


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("u.data", "1\t1\t3\n", "ml/u.data, line 1: 3 fields. Expected 4, separated by '\\t'."),
        (
            "u.data",
            "1\t1\tthree\t5\n",
            "ml/u.data, line 1: column 'rating' holds 'three'. Expected a whole number.",
        ),
        ("u.data", "1\t99\t3\t5\n", "ml/u.data: a rating has item 99, which the item file lacks."),
        ("u.data", "1\t1\t9\t5\n", "ml/u.data: rating 9 found. Expected 1 to 5."),
        ("u.user", "", "ml/u.user: the file is empty."),
        (
            "u.item",
            None,
            "ml/u.item: cannot be read (No such file or directory). Expected GroupLens' u.item.",
        ),
        (
            "u.data",
            None,
            "ml: u.data not found. Expected GroupLens' u.data, u.user, u.item; without --raw the files are downloaded.",
        ),
    ],
)
def test_wrong_grouplens_files(home: Path, file: str, text: str | None, message: str) -> None:
    grouplens.write(home / "ml")
    if text is None:
        (home / "ml" / file).unlink()
    else:
        (home / "ml" / file).write_text(text)
    assert refused(mail("preprocess", "ml-100k", "--raw", "ml")) == message


def test_a_damaged_download_is_refused(home: Path) -> None:
    folder = home / "data" / "raw" / "ml-100k"
    folder.mkdir(parents=True)
    (folder / "recbole-1.2.1-py3-none-any.whl").write_bytes(b"not it")
    message = refused(mail("preprocess", "ml-100k"))
    assert "SHA-256 is " in message
    assert "Expected 9c9948202011f37eb0a7c6768129313f00d6403ad221ec940d5e2d5d5f33a407. Delete the file" in message


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["preprocess", "alibaba"],
            "unknown data source 'alibaba'. Did you mean 'alimama'? Known: 'alimama', 'ml-100k'.",
        ),
        (["preprocess", "alimama", "--history", "0"], "--history is 0. Expected 1 to 100000."),
        (["preprocess", "alimama", "--threads", "0"], "--threads is 0. Expected 1 or more."),
        (
            ["preprocess", "alimama", "--memory-limit", "lots"],
            "--memory-limit is 'lots'. Expected a size such as 2GB or 500MB.",
        ),
        (
            ["preprocess", "alimama", "--memory-limit", "0GB"],
            "--memory-limit is '0GB'. Expected a size such as 2GB or 500MB.",
        ),
        (
            ["preprocess", "alimama", "--sample", "0"],
            "--sample is 0. Expected a share of the users, above 0 and up to 1 or 100%.",
        ),
        (
            ["preprocess", "alimama", "--sample", "200%"],
            "--sample is 2. Expected a share of the users, above 0 and up to 1 or 100%.",
        ),
        (
            ["preprocess", "alimama", "--sample", "few"],
            "Invalid value for '--sample': 'few' is not a share such as 0.001 or 0.1%. Try 'mail preprocess --help'.",
        ),
        (
            ["preprocess", "alimama", "--max-bad-rows", "-1%"],
            "--max-bad-rows is -0.01. Expected a share of the rows, 0 to 1 or 100%.",
        ),
        (
            ["preprocess", "alimama", "--engine", "sparc"],
            "unknown engine 'sparc'. Did you mean 'spark'? Known: 'duckdb', 'spark'.",
        ),
        (["preprocess", "alimama", "--temp-dir", "no"], "--temp-dir no: is not a folder. Make it first."),
        (
            ["preprocess", "alimama", "--name", "../up"],
            "'../up' cannot name a dataset. Expected lower-case letters, digits, '.', '_' and '-' (not 'raw').",
        ),
        (
            ["simulate", "alibaba", "--users", "20", "--out", "x"],
            "unknown form 'alibaba'. Did you mean 'alimama'? Known: 'alimama'.",
        ),
        (["simulate", "alimama", "--users", "2", "--out", "x"], "--users is 2. Expected 10 or more."),
        (["describe", "tny"], "unknown dataset 'tny'. Did you mean 'tiny'? data holds: 'tiny'."),
        (
            ["compare", "--rows", "MAIL-Bas"],
            "unknown row 'MAIL-Bas'. Did you mean 'MAIL-Base'? Known: 'EmbLR', 'LLAE', 'BaseDNN', 'MetaEmb', 'MAIL-Base', "
            "'DMR', 'MAIL-DMR', 'MAIL-None', 'MAIL-Single', 'MAIL-Dual', or ranker+method, e.g. 'din+cvae'.",
        ),
        (
            ["compare", "--rows", "din+cva"],
            "unknown cold-start method 'cva'. Did you mean 'cvae'? Known: 'conse', 'cvae', 'dropout', 'eszsl', 'llae', 'mail', 'metaemb', 'none'.",
        ),
        (["compare", "--seeds", "0"], "--seeds is 0. Expected 1 or more."),
        (
            ["train", "--cold-start", "mail", "--set", "cold_start.bogus=1"],
            "cold-start method 'mail' has no option 'bogus'. Known: 'variant', 'reduction', 'attention_units', 'encoder_units', 'decoder_units', 'dropout', 'bandwidth', 'sigma', 'steps'.",
        ),
        (["train", "--data", "tyni"], "unknown dataset 'tyni'. Did you mean 'tiny'? data holds: 'tiny'."),
        (
            ["train", "--ranker", "bass"],
            "unknown ranker 'bass'. Did you mean 'base'? Known: 'base', 'dcnv2', 'deepfm', 'din', 'dmr', 'emblr', 'esmm', 'widedeep'.",
        ),
        (
            ["train", "--cold-start", "male"],
            "unknown cold-start method 'male'. Did you mean 'mail'? Known: 'conse', 'cvae', 'dropout', 'eszsl', 'llae', 'mail', 'metaemb', 'none'.",
        ),
        (
            ["train", "--cold-start", "mail", "--variant", "duel"],
            "unknown variant 'duel'. Did you mean 'dual'? Known: 'none', 'single', 'dual', 'base'.",
        ),
        (["train", "--variant", "dual"], "--variant goes with --cold-start mail, not with 'none'."),
        (
            ["train", "--protocol", "strct"],
            "protocol = 'strct': expected one of 'paper', 'strict'. Did you mean 'strict'?",
        ),
        (["train", "--set", "epoch=3"], "unknown setting 'epoch'. Did you mean 'epochs'?"),
        (["train", "--set", "epochs"], "--set epochs: expected KEY=VALUE."),
        (
            ["train", "--set", "ranker.unit=3"],
            "ranker 'base' has no option 'unit'. Did you mean 'units'? Known: 'units', 'dropout'.",
        ),
        (
            ["train", "--set", "history=500"],
            "history = 500: the dataset 'tiny' keeps the last 20 behaviors. Expected 20 or less; more needs `mail preprocess --history 500`.",
        ),
        (
            ["train", "--config", "no.toml"],
            "no.toml: cannot be read as TOML ([Errno 2] No such file or directory: 'no.toml').",
        ),
        (
            ["ablate", "--variants", "none,sngle"],
            "unknown variant 'sngle'. Did you mean 'single'? Known: 'none', 'single', 'dual', 'base'.",
        ),
        (["ablate", "--seeds", "0"], "--seeds is 0. Expected 1 or more."),
        (["evaluate"], "runs: holds no finished run. Make one with `mail train`."),
        (["evaluate", "--bootstrap", "-1"], "--bootstrap is -1. Expected 0 (no intervals), or 40 to 100000 draws."),
        (["evaluate", "--bootstrap", "39"], "--bootstrap is 39. Expected 0 (no intervals), or 40 to 100000 draws."),
        (
            ["evaluate", "--bootstrap", "100001"],
            "--bootstrap is 100001. Expected 0 (no intervals), or 40 to 100000 draws.",
        ),
        (
            ["evaluate", "data"],
            "data: holds no config.toml, so it is not a run folder. Expected one made by `mail train`.",
        ),
    ],
)
def test_mistakes_on_the_command_line(with_data: Path, arguments: list[str], message: str) -> None:
    before = sorted(with_data.rglob("*"))
    assert refused(mail(*arguments)) == message
    left = {p for p in sorted(with_data.rglob("*")) if p.is_file()} - set(before)
    assert {p.name for p in left} <= {"config.toml"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["trian"], "No such command 'trian'. Did you mean 'train'? Try 'mail --help'."),
        (["--verson"], "No such option '--verson'. Did you mean '--version'? Try 'mail --help'."),
        (["schema", "int"], "No such command 'int'. Did you mean 'init'? Try 'mail schema --help'."),
        (
            ["train", "--rankr", "base"],
            "No such option '--rankr'. (Did you mean one of: '--ranker', '--variant', '--workers'?). "
            "Try 'mail train --help'.",
        ),
        (["train", "--seed"], "Option '--seed' requires an argument. Try 'mail train --help'."),
        (["describe", "a", "b"], "Got unexpected extra argument (b). Try 'mail describe --help'."),
        (
            ["simulate", "alimama", "--users", "many", "--out", "x"],
            "Invalid value for '--users': 'many' is not a valid integer. Try 'mail simulate --help'.",
        ),
        (
            ["evaluate", "--bootstrap", "many"],
            "Invalid value for '--bootstrap': 'many' is not a valid integer. Try 'mail evaluate --help'.",
        ),
        (["simulate", "alimama", "--out", "x"], "Missing option '--users'. Try 'mail simulate --help'."),
        (["preprocess"], "Missing argument 'SOURCE'. Try 'mail preprocess --help'."),
    ],
)
def test_mistakes_that_click_tells_are_one_line(home: Path, arguments: list[str], message: str) -> None:
    done = mail(*arguments)
    assert refused(done) == message
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


@pytest.mark.parametrize("arguments", [[], ["schema"]])
def test_a_group_without_a_command_shows_its_help(home: Path, arguments: list[str]) -> None:
    done = mail(*arguments)
    assert done.stderr.startswith(f"Usage: {' '.join(['mail', *arguments])} [OPTIONS] COMMAND")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["train", "--ranker", "bsae"],
            "unknown ranker 'bsae'. Did you mean 'base'? Known: 'base', 'dcnv2', 'deepfm', 'din', 'dmr', 'emblr', 'esmm', "
            "'widedeep'.",
        ),
        (
            ["train", "--cold-start", "male"],
            "unknown cold-start method 'male'. Did you mean 'mail'? Known: 'conse', 'cvae', 'dropout', 'eszsl', 'llae', "
            "'mail', 'metaemb', 'none'.",
        ),
        (
            ["train", "--cold-start", "mail", "--variant", "duel"],
            "unknown variant 'duel'. Did you mean 'dual'? Known: 'none', 'single', 'dual', 'base'.",
        ),
        (
            ["train", "--cold-start", "mail", "--set", "cold_start.variant=duel"],
            "unknown variant 'duel'. Did you mean 'dual'? Known: 'none', 'single', 'dual', 'base'.",
        ),
        (
            ["train", "--cold-start", "mail", "--variant", "dual", "--set", "cold_start.variant=base"],
            "variant 'dual' and cold_start.variant = 'base' contradict each other. Give one.",
        ),
        (["train", "--variant", "dual"], "--variant goes with --cold-start mail, not with 'none'."),
        (["train", "--devices", "2x"], "--devices 2x: expected a number of graphics cards from 1 on, or 'all'."),
    ],
)
def test_a_mistyped_name_is_told_before_the_missing_dataset(home: Path, arguments: list[str], message: str) -> None:
    assert refused(mail(*arguments)) == message


def test_names_and_what_is_needed_are_in_the_help() -> None:
    for command in ("train", "tune"):
        told = " ".join(mail(command, "--help").stdout.split())
        assert "MAIL's zero-shot tower: 'none', 'single', 'dual', 'base'. [default: base]" in told
        assert "Cold-start method: 'conse', 'cvae', 'dropout', 'eszsl', 'llae', 'mail', 'metaemb', 'none'" in told
    assert "LOW..HIGH, log:LOW..HIGH, or A|B|C; repeatable. [required]" in told
    told = " ".join(mail("simulate", "--help").stdout.split())
    assert "--seed INTEGER Decides everything: the same seed writes the same files. [default: 0]" in told


def commands(group: click.Group, *path: str) -> Iterator[list[str]]:
    """All groups and commands, as typed."""
    yield list(path)
    for name, command in group.commands.items():
        yield from commands(command, *path, name) if isinstance(command, click.Group) else [[*path, name]]


@pytest.mark.parametrize("command", list(commands(main)), ids=lambda words: " ".join(["mail", *words]))
def test_no_line_of_a_help_is_cut_at_80_columns(command: list[str]) -> None:
    done = CliRunner().invoke(main, [*command, "--help"], terminal_width=80)
    assert done.exit_code == 0
    # After a metavar they say that it may be given again.
    assert not re.search(r"[^A-Z\]\s,]\s*\.\.\.", done.stdout)


def test_several_datasets_need_a_choice(with_data: Path) -> None:
    shutil.copytree(with_data / "data" / "tiny", with_data / "data" / "other")
    assert refused(mail("train")) == "data holds several datasets: name one of 'other', 'tiny'."


def test_a_bug_keeps_its_traceback(with_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr("mailcli.reporting.describe.describe", broken)
    result = mail("describe")
    assert result.exit_code == 1
    assert isinstance(result.exception, ZeroDivisionError)


class TestNothingOfTheUsersIsLost:
    """What was found by trying to break it."""

    def test_a_mistyped_option_does_not_block_the_mended_command(self, with_data: Path) -> None:
        message = refused(mail("train", *SMALL, "--set", "ranker.dropout=1.5"))
        assert message.startswith("ranker 'base': Invalid value received for argument `rate`.")
        assert not (with_data / "runs").exists()
        assert mail("train", *SMALL, "--set", "ranker.dropout=0.4").exit_code == 0

    def test_no_setting_leads_out_of_the_runs_folder(self, with_data: Path) -> None:
        refused(mail("train", *SMALL, "--set", "cold_start.variant=../../../../evil"))
        assert sorted(path.name for path in with_data.iterdir()) == ["data"]

    def test_simulate_leaves_a_strangers_file_alone(self, home: Path) -> None:
        arguments = ["simulate", "alimama", "--users", "50", "--out", "raw", "--behaviors-per-user", "5"]
        assert mail(*arguments).exit_code == 0
        (home / "raw" / "notes.txt").write_text("mine")
        assert "was not written by `mail simulate`" in refused(mail(*arguments))
        assert (home / "raw" / "notes.txt").read_text() == "mine"

    def test_preprocess_leaves_a_folder_with_another_dataset_json_alone(self, home: Path, simulated_raw: Path) -> None:
        other = home / "data" / "other"
        other.mkdir(parents=True)
        (other / "dataset.json").write_text('{"format": "csv"}')
        (other / "my.csv").write_text("mine")
        message = refused(mail("preprocess", "alimama", "--raw", simulated_raw, "--name", "other"))
        assert "is not a dataset made by `mail`" in message
        assert (other / "my.csv").read_text() == "mine"

    def test_a_training_is_not_lost_without_git(self, with_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", "/nowhere")
        done = mail("train", *SMALL)
        assert done.exit_code == 0, done.output


class TestOddFiles:
    """Files and paths as they come."""

    def write(self, folder: Path) -> None:
        alimama.write_rows(folder, alimama.good_rows())

    @pytest.mark.parametrize("name", ["br[1]x", "o'brien", "a b", "st*r", 'quo"te', "ünï"])
    def test_any_folder_name(self, home: Path, name: str) -> None:
        self.write(home / name)
        # What a wildcard would match instead.
        for decoy in ("br1x", "stir"):
            alimama.write_rows(home / decoy, {**alimama.good_rows(), "raw_sample": ["1,1,1,1,1,1"]})
        done = mail("preprocess", "alimama", "--raw", name, "--name", "odd")
        assert done.exit_code == 0, done.output
        made = mail("simulate", "alimama", "--users", "50", "--out", f"{name}/new", "--behaviors-per-user", "5")
        assert made.exit_code == 0, made.output

    @pytest.mark.parametrize(
        "header",
        [
            "\ufeffuser,time_stamp,adgroup_id,pid,nonclk,clk",
            '"user","time_stamp","adgroup_id","pid","nonclk","clk"',
            "user,time_stamp,adgroup_id,pid,nonclk,clk,",
            "user,time_stamp,adgroup_id,pid,nonclk,clk,USER",
            "user,time_stamp,adgroup_id,pid,nonclk,clk,a'b`c\"d",
            "user,time_stamp,adgroup_id,pid,nonclk,clk,x,x",
        ],
    )
    def test_headers_that_are_odd_but_clear(self, home: Path, header: str) -> None:
        self.write(home / "raw")
        path = home / "raw" / "raw_sample.csv"
        extra = "," * (header.count(",") - 5)
        _, *rows = path.read_text().splitlines()
        path.write_text("\r\n".join([header, *(row + extra for row in rows)]), encoding="utf-8")
        done = mail("preprocess", "alimama", "--raw", "raw")
        assert done.exit_code == 0, done.output

    @pytest.mark.parametrize("stem", ["behavior_log", "raw_sample", "ad_feature"])
    def test_a_gzip_file_that_is_cut_off_is_refused(self, home: Path, simulated_raw: Path, stem: str) -> None:
        raw = home / "raw"
        shutil.copytree(simulated_raw, raw)
        (raw / "SIMULATED.json").unlink()
        path = raw / f"{stem}.csv"
        packed = gzip.compress(path.read_bytes())
        path.unlink()
        (raw / f"{stem}.csv.gz").write_bytes(packed[: len(packed) // 2])
        refused(mail("preprocess", "alimama", "--raw", "raw"))
        assert not (home / "data" / "alimama").exists()

    def test_simulated_files_may_be_gzipped(self, home: Path, simulated_raw: Path) -> None:
        shutil.copytree(simulated_raw, home / "raw")
        path = home / "raw" / "behavior_log.csv"
        (home / "raw" / "behavior_log.csv.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
        assert "alimama (simulated)" in mail("preprocess", "alimama", "--raw", "raw").output

    def test_a_row_of_too_many_fields_names_the_file(self, home: Path) -> None:
        self.write(home / "raw")
        with open(home / "raw" / "behavior_log.csv", "a") as file:
            file.write("1,1493999960,pv,7,8,9,10\n")
        message = refused(mail("preprocess", "alimama", "--raw", "raw"))
        assert message == (
            "raw/behavior_log.csv, line 4: has 7 fields. Expected 5: user,time_stamp,btag,cate,brand. "
            + unusable("1 of 3", "33.33%")
        )

    @pytest.mark.parametrize("option", ["--data-dir", "--raw"])
    def test_a_file_in_place_of_a_folder(self, home: Path, option: str) -> None:
        self.write(home / "raw")
        (home / "file").write_text("")
        paths = {"--raw": "raw", "--data-dir": "data", option: "file"}
        refused(mail("preprocess", "alimama", *(text for pair in paths.items() for text in pair)))

    def test_settings_of_the_wrong_type(self, with_data: Path) -> None:
        (with_data / "c.toml").write_text("data = 5\n")
        assert refused(mail("train", "--config", "c.toml")) == "c.toml: data = 5: expected a string."
        (with_data / "c.toml").write_text("epoch = 5\n")
        assert refused(mail("train", "--config", "c.toml", "--set", "epochs=3")) == (
            "c.toml: unknown setting 'epoch'. Did you mean 'epochs'?"
        )


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("cold_start.dropout=1.5", "`dropout` should be at least 0 and below 1. Received: dropout=1.5"),
        (
            "cold_start.encoder_units=8,0,8",
            "`attention_units`, `encoder_units` and `decoder_units` should be 1 or more",
        ),
        ("cold_start.attention_units=0", "`attention_units`, `encoder_units` and `decoder_units` should be 1 or more"),
        ("cold_start.sigma=0", "`sigma` should be positive. Received: sigma=0.0"),
    ],
)
def test_options_of_mail(with_data: Path, option: str, message: str) -> None:
    # The baseline is trained first; it is right.
    assert (
        refused(mail("train", "--cold-start", "mail", *SMALL, "--set", option))
        == f"cold-start method 'mail': {message}"
    )


class TestTamperedRuns:
    """`mail evaluate` on run folders that somebody changed."""

    @pytest.fixture
    def run(self, with_data: Path) -> Path:
        assert mail("train", *SMALL).exit_code == 0
        return with_data / "runs" / "tiny" / "paper" / "base+none" / "seed-0"

    @pytest.mark.parametrize(
        "content", [b"", b"{", b"{}", b"[]", b"\xff\xfe", b'{"test": {}}', b'{"test": {"new": 3}}']
    )
    def test_a_damaged_result(self, run: Path, content: bytes) -> None:
        (run / "result.json").write_bytes(content)
        for command in (["evaluate"], ["train", *SMALL]):
            assert "result.json: is damaged. Delete the folder" in refused(mail(*command))

    def test_a_damaged_config(self, run: Path) -> None:
        (run / "config.toml").write_text("epochs = 1\n")
        assert refused(mail("evaluate", run)) == "data: no dataset is named."

    def test_missing_weights(self, run: Path) -> None:
        (run / "checkpoints" / "best.weights.h5").unlink()
        assert "does not fit this run's model and dataset" in refused(mail("evaluate"))

    def test_the_same_run_twice_is_one_run(self, run: Path) -> None:
        done = mail("evaluate", run, run)
        assert done.exit_code == 0, done.output
        assert "seeds 0\n" in done.stdout
        assert "one seed: no interval" in done.stdout

    def test_a_copy_is_no_second_seed(self, run: Path, tmp_path: Path) -> None:
        shutil.copytree(run, tmp_path / "copy")
        assert "are runs of the same settings and seed. Give one of them." in refused(mail("evaluate", run, "copy"))

    def test_rows_of_other_seeds_and_settings_are_told_apart(self, run: Path) -> None:
        assert mail("train", *SMALL[:-1], "ranker.units=8", "--seed", "5").exit_code == 0
        done = mail("evaluate")
        assert "seeds BaseDNN (units=16,8): 0; BaseDNN (units=8): 5" in done.stdout

    def test_a_run_whose_dataset_is_gone_is_left_out_and_said(self, run: Path, with_data: Path) -> None:
        shutil.copytree(with_data / "data" / "tiny", with_data / "data" / "other")
        assert mail("train", "--data", "other", *SMALL).exit_code == 0
        shutil.rmtree(with_data / "data" / "tiny")
        done = mail("evaluate")
        assert done.exit_code == 0, done.output
        assert "seed-0: left out, data has no dataset 'tiny'." in done.stderr
        assert "BaseDNN" in done.stdout
        assert "unknown dataset 'tiny'" in refused(mail("evaluate", run))
