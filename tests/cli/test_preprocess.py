"""`mail preprocess`."""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import click
import pytest

from mailcli.cli.preprocess import preprocess
from mailcli.preprocessing.pipeline import PreprocessOptions
from tests.helpers import alimama, grouplens, kuairand
from tests.helpers.command_line import error_line, mail


def test_preprocess_grouplens_files(home: Path) -> None:
    grouplens.write(home / "ml")
    done = mail("preprocess", "ml-100k", "--raw", "ml", "--name", "small")
    assert done.exit_code == 0, done.output
    assert "small (real data)" in done.stdout


def test_without_raw_files_the_answer_says_which_where_and_how(home: Path) -> None:
    assert error_line(mail("preprocess", "alimama")) == (
        "data/raw/alimama: raw_sample.csv, ad_feature.csv, user_profile.csv, behavior_log.csv not found. "
        "Looked for raw_sample.csv, ad_feature.csv, user_profile.csv, behavior_log.csv (or .csv.gz). "
        "Get them from Tianchi, data set 56 'Ad Display/Click Data on Taobao.com' (a free login), or simulate them: "
        "mail simulate alimama --users 2000 --seed 0 --out data/raw/alimama"
    )
    assert list(home.iterdir()) == []


def test_label_and_test_name_the_dataset(home: Path) -> None:
    kuairand.write(home / "data" / "raw" / "kuairand-pure", kuairand.good_rows())
    done = mail("preprocess", "kuairand-pure", "--label", "long_view", "--test", "random")
    assert done.exit_code == 0, done.output
    assert "kuairand-pure-long-view-random (real data): source kuairand-pure" in done.stdout
    assert error_line(mail("preprocess", "kuairand-pure", "--label", "view")) == (
        "--label is 'view'. Expected one of 'click', 'long_view', 'like'. Did you mean 'long_view'?"
    )
    schema = ("--schema", home / "my.toml")
    assert error_line(mail("preprocess", "mine", *schema, "--test", "random")) == (
        "--test random: the source 'tabular' has no such option. Leave it out."
    )


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
        pytest.param(
            edit("behavior_log", 0, "one,1493999960,pv,7,8"),
            "raw/behavior_log.csv, line 2: column 'user' holds 'one'. Expected a whole number. "
            + unusable("1 of 2", "50.00%"),
            marks=pytest.mark.slow,
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
        pytest.param(
            edit("behavior_log", 0, "1,-5,pv,7,8"),
            "raw/behavior_log.csv, line 2: column 'time_stamp' holds '-5'. "
            "Expected a whole number from 1492790400 to 1494691199. " + unusable("1 of 2", "50.00%"),
            marks=pytest.mark.slow,
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
            "raw/ad_feature.csv, line 2: column 'price' holds 'cheap'. Expected a number of 0 or more. "
            + unusable("1 of 1", "100.00%"),
        ),
        (
            edit("ad_feature", 0, "10,500,1,1,600,-1.5"),
            "raw/ad_feature.csv, line 2: column 'price' holds '-1.5'. Expected a number of 0 or more. "
            + unusable("1 of 1", "100.00%"),
        ),
        pytest.param(
            edit("user_profile", 0, "1,0,1,1,old,,1,0,"),
            "raw/user_profile.csv, line 2: column 'age_level' holds 'old'. Expected a whole number or nothing. "
            + unusable("1 of 1", "100.00%"),
            marks=pytest.mark.slow,
        ),
        (labels(0), "raw/raw_sample.csv: every label is 0 (no click). Expected both classes."),
        pytest.param(
            labels(1), "raw/raw_sample.csv: every label is 1 (click). Expected both classes.", marks=pytest.mark.slow
        ),
        (
            drop("raw_sample", slice(4)),
            "raw/raw_sample.csv: no impression falls into the test split. Expected some in each.",
        ),
        pytest.param(
            drop("raw_sample", slice(5)),
            "raw/raw_sample.csv: all 1 labels of the test split are equal. Expected both classes.",
            marks=pytest.mark.slow,
        ),
        (
            lambda rows: rows["ad_feature"].append("10,5,1,1,6,1.0"),
            "raw/ad_feature.csv, line 2: has the same item as another row. Expected one row per item. "
            + unusable("1 of 2", "50.00%"),
        ),
        (
            edit("behavior_log", slice(None), ["2,1493999960,pv,7,8"]),  # type: ignore[arg-type]
            "raw/behavior_log.csv: no user of the behaviors is in the impressions (raw_sample.csv), for example 2; values "
            "there look like 1. They must be written the same way in both.",
        ),
        (
            edit("behavior_log", slice(None), ["1,1494691199,pv,7,8"]),  # type: ignore[arg-type]
            "user_profile.csv, ad_feature.csv, raw_sample.csv, behavior_log.csv: no behavior is earlier than an impression of "
            "its user. MAIL learns from earlier behaviors.",
        ),
    ],
)
def test_bad_rows_are_named(home: Path, change: Change, message: str) -> None:
    rows = alimama.good_rows()
    change(rows)
    alimama.write_rows(home / "raw", rows)
    assert error_line(mail("preprocess", "alimama", "--raw", "raw")) == message
    assert not (home / "data").exists()


def test_the_help_shows_the_defaults_of_the_code(home: Path) -> None:
    context = click.Context(preprocess)
    defaults = {option.name: option.get_default(context) for option in preprocess.params}
    for field in fields(PreprocessOptions):
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
def test_a_wrong_file_is_rejected_at_once(home: Path, text: str, message: str) -> None:
    alimama.write_rows(home / "raw", alimama.good_rows())
    (home / "raw" / "ad_feature.csv").write_text(text)
    assert error_line(mail("preprocess", "alimama", "--raw", "raw")) == message


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
        ("u.user", "", "ml/u.user: the file is empty. Get it again."),
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
    assert error_line(mail("preprocess", "ml-100k", "--raw", "ml")) == message


def test_a_damaged_download_is_refused(home: Path) -> None:
    folder = home / "data" / "raw" / "ml-100k"
    folder.mkdir(parents=True)
    (folder / "recbole-1.2.1-py3-none-any.whl").write_bytes(b"not it")
    message = error_line(mail("preprocess", "ml-100k"))
    assert "SHA-256 is " in message
    assert "Expected 9c9948202011f37eb0a7c6768129313f00d6403ad221ec940d5e2d5d5f33a407. Delete the file" in message


def test_preprocess_leaves_a_folder_with_another_dataset_json_alone(home: Path, simulated_raw: Path) -> None:
    other = home / "data" / "other"
    other.mkdir(parents=True)
    (other / "dataset.json").write_text('{"format": "csv"}')
    (other / "my.csv").write_text("mine")
    message = error_line(mail("preprocess", "alimama", "--raw", simulated_raw, "--name", "other"))
    assert "is not a dataset made by `mail`" in message
    assert (other / "my.csv").read_text() == "mine"


class TestOddFiles:
    """Unusual but valid files and paths, and damaged ones."""

    def write(self, folder: Path) -> None:
        alimama.write_rows(folder, alimama.good_rows())

    @pytest.mark.parametrize("name", [pytest.param("br[1]x o'brien", marks=pytest.mark.slow), 'st*r quo"te ünï'])
    def test_any_folder_name(self, home: Path, name: str) -> None:
        self.write(home / name)
        # What a wildcard would match instead.
        for decoy in ("br1x o'brien", 'stir quo"te ünï'):
            alimama.write_rows(home / decoy, {**alimama.good_rows(), "raw_sample": ["1,1,1,1,1,1"]})
        done = mail("preprocess", "alimama", "--raw", name, "--name", "odd")
        assert done.exit_code == 0, done.output
        simulated = mail("simulate", "alimama", "--users", "50", "--out", f"{name}/new", "--behaviors-per-user", "5")
        assert simulated.exit_code == 0, simulated.output

    @pytest.mark.parametrize(
        "header",
        [
            "\ufeffuser,time_stamp,adgroup_id,pid,nonclk,clk",
            pytest.param('"user","time_stamp","adgroup_id","pid","nonclk","clk"', marks=pytest.mark.slow),
            pytest.param("user,time_stamp,adgroup_id,pid,nonclk,clk,", marks=pytest.mark.slow),
            pytest.param("user,time_stamp,adgroup_id,pid,nonclk,clk,USER", marks=pytest.mark.slow),
            "user,time_stamp,adgroup_id,pid,nonclk,clk,a'b`c\"d",
            pytest.param("user,time_stamp,adgroup_id,pid,nonclk,clk,x,x", marks=pytest.mark.slow),
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

    @pytest.mark.parametrize(
        "stem", ["behavior_log", *(pytest.param(stem, marks=pytest.mark.slow) for stem in ("raw_sample", "ad_feature"))]
    )
    def test_a_gzip_file_that_is_cut_off_is_refused(self, home: Path, simulated_raw: Path, stem: str) -> None:
        raw = home / "raw"
        shutil.copytree(simulated_raw, raw)
        (raw / "SIMULATED.json").unlink()
        path = raw / f"{stem}.csv"
        packed = gzip.compress(path.read_bytes())
        path.unlink()
        (raw / f"{stem}.csv.gz").write_bytes(packed[: len(packed) // 2])
        assert error_line(mail("preprocess", "alimama", "--raw", "raw")).startswith(f"raw/{stem}.csv.gz")
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
        message = error_line(mail("preprocess", "alimama", "--raw", "raw"))
        assert message == (
            "raw/behavior_log.csv, line 4: has 7 fields. Expected 5: user,time_stamp,btag,cate,brand. "
            + unusable("1 of 3", "33.33%")
        )

    @pytest.mark.parametrize("option", ["--data-dir", "--raw"])
    def test_a_file_in_place_of_a_folder(self, home: Path, option: str) -> None:
        self.write(home / "raw")
        (home / "file").write_text("")
        paths = {"--raw": "raw", "--data-dir": "data", option: "file"}
        error = error_line(mail("preprocess", "alimama", *(text for pair in paths.items() for text in pair)))
        assert error.startswith("file")


def test_a_raw_file_is_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("log.csv").touch()
    assert error_line(mail("preprocess", "alimama", "--raw", "log.csv")) == (
        "log.csv: is a file. Expected the folder of the raw files."
    )
