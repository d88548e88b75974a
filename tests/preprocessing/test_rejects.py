"""Rows that cannot be used: set aside with the reason, counted against the limit."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path

import pyarrow as pa
import pytest

from mailcli.data.dataset import Dataset
from mailcli.errors import MailError
from mailcli.preprocessing.engines._base import DataFrame
from mailcli.preprocessing.engines.duckdb import Engine
from mailcli.preprocessing.pipeline import PreprocessOptions, preprocess
from mailcli.preprocessing.rejects import Rejects
from tests.helpers import alimama
from tests.helpers.datasets import columns, rejected
from tests.helpers.schema_files import FILES, SCHEMA, make_dataset, values_by_user


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


def test_of_very_many_unusable_rows_a_few_are_kept_for_the_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log's five good rows, and two lines that cannot be split among 30,000 with a wrong action."""
    kept: list[int] = []
    set_aside = Rejects.set_aside

    def counted(self: Rejects, table: str, rows: int, faulty: pa.Table, count: int | None = None) -> None:
        kept.append(len(faulty))
        set_aside(self, table, rows, faulty, count)

    monkeypatch.setattr(Rejects, "set_aside", counted)
    bad = "".join(f"bob,{second},look,hat\n" for second in range(100_000, 130_000))
    files = {**FILES, "log-1.csv": FILES["log-1.csv"] + bad + "zoe,1\nzoe,2\n"}
    with pytest.raises(MailError) as error:
        make_dataset(tmp_path, SCHEMA, files)
    assert error.value.message == (
        f"{tmp_path}/raw/log-1.csv, line 5: column 'what' holds 'look'. Expected one of 'view', 'buy'; or behaviors.where = "
        '{column = "what", one_of = ["view", "buy"]}, which leaves other rows out. 30,002 of 30,007 rows (99.98%) cannot be '
        "used, --max-bad-rows allows 0.1%. Fix or remove them."
    )
    assert kept[-1] == 10_000


def test_of_several_rows_of_a_user_the_first_text_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The texts of all other rows stay on disk."""
    collected: list[str] = []
    collect = Engine.collect

    def noted(self: Engine, frame: DataFrame) -> pa.Table:
        table = collect(self, frame)
        collected.extend(table.column_names)
        return table

    monkeypatch.setattr(Engine, "collect", noted)
    again = "ann,Bonn,golf,40,10\nbob,Bonn,,1,1\nann,Zug,,40,10\nbob,Bonn,,1,1\n"
    dataset = make_dataset(tmp_path, SCHEMA, {**FILES, "users.csv": FILES["users.csv"] + again}, max_bad_rows=0.5)
    assert "line" not in collected
    assert values_by_user(dataset, "city") == {"ann": "Bonn", "bob": "Paris, TX", "cid": None, "dan": None}
    assert values_by_user(dataset, "hobbies") == {"ann": ["golf"], "bob": ["go"], "cid": [None], "dan": [None]}
    twice = "has the same user as another row. Expected one row per user"
    assert rejected(dataset, "users") == {
        "ann,Rome,chess|go,17,10": twice,
        "ann,Zug,,40,10": twice,
        "bob,Bonn,,1,1": twice,
    }
    text = (dataset.folder / "rejected" / "users.csv").read_text()
    assert text.count("bob,Bonn,,1,1") == 2
