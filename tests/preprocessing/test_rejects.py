"""Rows that cannot be used: set aside with the reason, counted against the limit."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path

import pytest

from mailcli.data.dataset import Dataset
from mailcli.errors import MailError
from mailcli.preprocessing.pipeline import PreprocessOptions, preprocess
from tests.helpers import alimama
from tests.helpers.datasets import columns, rejected


@pytest.fixture
def spoiled_raw(simulated_raw: Path, tmp_path: Path) -> Path:
    raw = tmp_path / "raw"
    shutil.copytree(simulated_raw, raw)
    alimama.spoil(raw)
    return raw


def test_unusable_rows_are_set_aside_with_the_reason(spoiled_raw: Path, tmp_path: Path) -> None:
    dataset = preprocess("alimama", spoiled_raw, tmp_path / "data", "spoiled", PreprocessOptions(max_bad_rows=0.05))
    for stem, expected in alimama.BAD_ROWS.items():
        reasons = rejected(dataset, stem)
        assert {line: reasons[line] for line in expected} == expected
        # Two rows of the simulated log have an absurd time of their own, and one line is very long.
        assert len(reasons) - len(expected) == (3 if stem == "behavior_log" else 0)
    text = (dataset.folder / "summary.md").read_text()
    assert "| impressions | nonclk = 1 - clk | 1 | `1,1494000009,10,p,1,1` |" in text
    assert (
        "| behaviors | 5 fields of UTF-8 text | 5 | `1,1494000000,pv,1` `1,1494000000,pv,1,2,` `1,1494000000,pv,1,2,3,4` |"
        in text
    )
    assert "| behaviors | behavior_log.csv | " in text


@pytest.mark.slow
def test_the_other_rows_are_as_without_the_unusable_ones(spoiled_raw: Path, tmp_path: Path) -> None:
    dataset = preprocess("alimama", spoiled_raw, tmp_path / "data", "spoiled", PreprocessOptions(max_bad_rows=0.05))
    for stem, lines in alimama.BAD_ROWS.items():
        path = spoiled_raw / f"{stem}.csv"
        path.write_text("".join(f"{line}\n" for line in path.read_text().splitlines() if line not in lines))
    again = preprocess("alimama", spoiled_raw, tmp_path / "data", "clean", PreprocessOptions(max_bad_rows=0.05))
    assert columns(again) == columns(dataset)


def test_too_many_stop_it_and_nothing_is_kept(spoiled_raw: Path, tmp_path: Path) -> None:
    with pytest.raises(MailError) as error:
        preprocess("alimama", spoiled_raw, tmp_path / "data", "spoiled")
    line = len((spoiled_raw / "user_profile.csv").read_text().splitlines())
    assert error.value.message == (
        f"{spoiled_raw}/user_profile.csv, line {line}: column 'age_level' holds 'old'. Expected a whole number or nothing. "
        f"1 of {line - 1} rows ({1 / (line - 1):.2%}) cannot be used, --max-bad-rows allows 0.1%. Fix or remove them."
    )
    assert not (tmp_path / "data").exists()


def test_bad_rows_at_the_start_alone_are_counted_like_others(tmp_path: Path) -> None:
    rows = alimama.good_rows()
    rows["ad_feature"] = ["10,7,1,1,8,9.5"]
    rows["behavior_log"] = ["1,5,pv,1,1"] * 1500 + rows["behavior_log"] * 10_000
    alimama.write_rows(tmp_path / "raw", rows)
    dataset = preprocess("alimama", tmp_path / "raw", tmp_path, "s", PreprocessOptions(max_bad_rows=0.1))
    assert len((dataset.folder / "rejected" / "behavior_log.csv").read_text().splitlines()) == 1501


def test_blank_lines_are_no_rows(simulated_raw: Path, tiny: Dataset, tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    shutil.copytree(simulated_raw, raw)
    (raw / "SIMULATED.json").unlink()
    with open(raw / "behavior_log.csv", "a") as file:
        file.write("\n   \n\t\n\n")
    dataset = preprocess("alimama", raw, tmp_path / "data", "tiny", PreprocessOptions(history=20))
    assert columns(dataset) == columns(tiny)
    assert len(rejected(dataset, "behavior_log")) == 2


def test_a_damaged_gz_is_not_blamed_on_its_rows(simulated_raw: Path, tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    shutil.copytree(simulated_raw, raw)
    (raw / "SIMULATED.json").unlink()
    packed = bytearray(gzip.compress((raw / "behavior_log.csv").read_bytes()))
    middle = len(packed) // 2
    packed[middle : middle + 20] = bytes(20)
    (raw / "behavior_log.csv").unlink()
    (raw / "behavior_log.csv.gz").write_bytes(packed)
    with pytest.raises(MailError, match=r"behavior_log.csv.gz: is cut off or damaged"):
        preprocess("alimama", raw, tmp_path / "data", None)


def test_a_cut_off_file_with_a_bad_row_is_called_cut_off(tmp_path: Path) -> None:
    alimama.write_rows(tmp_path / "raw", alimama.good_rows())
    path = tmp_path / "raw" / "behavior_log.csv"
    whole = gzip.compress(path.read_bytes() + b"1,2,3\n" * 10)
    path.unlink()
    path.with_suffix(".csv.gz").write_bytes(whole[:-12])
    with pytest.raises(MailError, match=r"behavior_log.csv.gz: (is cut off or damaged|cannot be read)"):
        preprocess("alimama", tmp_path / "raw", tmp_path / "data", None)
