"""What preprocessing finds in raw files: rows set aside, the summary, official counts; and what it leaves out."""

from __future__ import annotations

import csv
import gzip
import shutil
from pathlib import Path

import numpy as np
import pytest

from mailcli.data.dataset import Dataset
from mailcli.data.schema import SPLITS
from mailcli.errors import MailError
from mailcli.preprocessing.pipeline import Options, preprocess
from mailcli.preprocessing.sources.alimama import Source
from tests.helpers import alimama
from tests.preprocessing.test_pipeline import START, columns, history_of


@pytest.fixture
def spoilt(simulated_raw: Path, tmp_path: Path) -> Path:
    raw = tmp_path / "raw"
    shutil.copytree(simulated_raw, raw)
    alimama.spoil(raw)
    return raw


def rejected(dataset: Dataset, stem: str) -> dict[str, str]:
    with open(dataset.folder / "rejected" / f"{stem}.csv", newline="") as file:
        return {row["row"]: row["reason"] for row in csv.DictReader(file)}


def test_unusable_rows_are_set_aside_with_the_reason(spoilt: Path, tmp_path: Path) -> None:
    dataset = preprocess("alimama", spoilt, tmp_path / "data", "spoilt", Options(max_bad_rows=0.05))
    for stem, expected in alimama.BAD_ROWS.items():
        found = rejected(dataset, stem)
        assert {line: found[line] for line in expected} == expected
        # Two rows of the simulated log have an absurd time by themselves, and one line is very long.
        assert len(found) - len(expected) == (3 if stem == "behavior_log" else 0)
    text = (dataset.folder / "summary.md").read_text()
    assert "| impressions | nonclk = 1 - clk | 1 | `1,1494000009,10,p,1,1` |" in text
    assert (
        "| behaviors | 5 fields of UTF-8 text | 5 | `1,1494000000,pv,1` `1,1494000000,pv,1,2,` `1,1494000000,pv,1,2,3,4` |"
        in text
    )
    assert "| behaviors | behavior_log.csv | " in text


@pytest.mark.slow
def test_the_other_rows_are_as_without_the_unusable_ones(spoilt: Path, tmp_path: Path) -> None:
    dataset = preprocess("alimama", spoilt, tmp_path / "data", "spoilt", Options(max_bad_rows=0.05))
    for stem, lines in alimama.BAD_ROWS.items():
        path = spoilt / f"{stem}.csv"
        path.write_text("".join(f"{line}\n" for line in path.read_text().splitlines() if line not in lines))
    again = preprocess("alimama", spoilt, tmp_path / "data", "clean", Options(max_bad_rows=0.05))
    assert columns(again) == columns(dataset)


def test_too_many_stop_it_and_nothing_is_kept(spoilt: Path, tmp_path: Path) -> None:
    with pytest.raises(MailError) as error:
        preprocess("alimama", spoilt, tmp_path / "data", "spoilt")
    line = len((spoilt / "user_profile.csv").read_text().splitlines())
    assert error.value.message == (
        f"{spoilt}/user_profile.csv, line {line}: column 'age_level' holds 'old'. Expected a whole number or nothing. "
        f"1 of {line - 1} rows ({1 / (line - 1):.2%}) cannot be used, --max-bad-rows allows 0.1%. Mend or remove them."
    )
    assert not (tmp_path / "data").exists()


def test_a_log_that_is_all_wrong_is_told_before_anything_slow(
    simulated_raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = tmp_path / "raw"
    shutil.copytree(simulated_raw, raw)
    (raw / "SIMULATED.json").unlink()
    header = alimama.HEADERS["behavior_log"]
    (raw / "behavior_log.csv").write_text(header + "\n" + "1,1494000000000,pv,1,1\n" * 5000)
    monkeypatch.setattr("mailcli.utils.resumable.ResumableStages.run", lambda *_: pytest.fail("a stage was begun"))
    with pytest.raises(MailError) as error:
        preprocess("alimama", raw, tmp_path / "data", None)
    assert error.value.message == (
        f"{raw}/behavior_log.csv: of 1,000 rows from all over the file none can be used. In '1,1494000000000,pv,1,1' "
        "column 'time_stamp' holds '1494000000000'. Expected a whole number from 1492790400 to 1494691199."
    )


def test_bad_rows_at_the_start_alone_are_counted_like_others(tmp_path: Path) -> None:
    rows = alimama.good_rows()
    rows["behavior_log"] = ["1,5,pv,1,1"] * 1500 + rows["behavior_log"] * 10_000
    alimama.write_rows(tmp_path / "raw", rows)
    dataset = preprocess("alimama", tmp_path / "raw", tmp_path, "s", Options(max_bad_rows=0.1))
    assert len((dataset.folder / "rejected" / "behavior_log.csv").read_text().splitlines()) == 1501


def test_blank_lines_are_no_rows(simulated_raw: Path, tiny: Dataset, tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    shutil.copytree(simulated_raw, raw)
    (raw / "SIMULATED.json").unlink()
    with open(raw / "behavior_log.csv", "a") as file:
        file.write("\n   \n\t\n\n")
    dataset = preprocess("alimama", raw, tmp_path / "data", "tiny", Options(history=20))
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


def twins(folder: Path) -> Path:
    """A log with a row three times, and rows that differ in one column each."""
    log = [(1, START - 10, "pv", 5, 6)] * 3
    log += [(1, START - 9, "pv", 5, 6), (1, START - 10, "buy", 5, 6), (1, START - 10, "pv", 6, 6)]
    rows = alimama.good_rows()
    rows["behavior_log"] = [",".join(map(str, row)) for row in log]
    alimama.write_rows(folder, rows)
    return folder


@pytest.mark.parametrize(("drop", "stored"), [(False, 6), (True, 4)])
def test_exact_duplicates(tmp_path: Path, drop: bool, stored: int) -> None:
    dataset = preprocess("alimama", twins(tmp_path / "raw"), tmp_path, "twins", Options(drop_duplicates=drop))
    assert dataset.counts["behaviors"] == stored
    assert dataset.counts["duplicate_behaviors"] == 2
    assert len(history_of(dataset, "train", 0)) == stored
    text = (dataset.folder / "summary.md").read_text()
    assert "| exact duplicates among the other behaviors | 2 |  |" in text
    assert f"duplicates {'dropped' if drop else 'kept'}" in text


def test_the_summary_counts_what_the_raw_files_have(tmp_path: Path) -> None:
    alimama.write(
        tmp_path / "raw",
        impressions=[*alimama.both_classes(1, 10, day=0), (2, START + 5, 11, 0), *alimama.rest(1, 10)],
        ads=[(10, 500, None)],
        behaviors=[(1, START - 9, 1, 1), (1, START - 8, 1, 1), (3, START, 1, 1), (1, START + 8 * 86400 - 1, 1, 1)],
    )
    dataset = preprocess("alimama", tmp_path / "raw", tmp_path / "data", None, Options(history=1))
    text = (dataset.folder / "summary.md").read_text()
    for line in (
        "| users of impressions without a profile | 1 | 2 |",
        "| impressions of these | 1 | 14.29% of all |",
        "| items of impressions without a row in the item table | 1 | 11 |",
        "| impressions of these | 1 |  |",
        "| users without a behavior before an impression (naturally new) | 1 |  |",
        "| impressions without a behavior before them | 1 |  |",
        "| behaviors of users without an impression that is kept, not stored | 1 |  |",
        "| behaviors not before their user's last impression, not stored | 1 |  |",
        "| behaviors older than the last n_v of every impression, not stored | 1 |  |",
        "| behaviors stored | 1 |  |",
        "| train | 3 | 1 | 33.33% |",
        "| items.brand | 0 | 1 | `None` | `None` | 99,815 |",
        "| items.cate | 1 | 0 | `500` | `500` | 6,769 |",
        "| impressions.user | 2 |  |  |  | 1,141,729 |",
    ):
        assert line in text
    assert text.startswith("# alimama (real data), n_v 1, 100% of the users, duplicates kept\n")


OFFICIAL = {"users.rows": 1, "items.rows": 1, "impressions.rows": 6, "impressions.user": 1, "behaviors.rows": 2}


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({}, None),
        ({"items.brand": 3, "impressions.rows": 7}, "impressions.rows 6 (published 7), items.brand 1 (published 3)"),
        ({"behaviors.rows": 3}, "behaviors.rows 2 (published 3)"),
    ],
)
def test_expect_official(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: dict[str, int], told: str | None
) -> None:
    alimama.write_rows(tmp_path / "raw", alimama.good_rows())
    monkeypatch.setattr(Source, "official", {**OFFICIAL, **wrong})
    options = Options(expect_official=True)
    if told is None:
        assert preprocess("alimama", tmp_path / "raw", tmp_path / "data", None, options).counts["users"] == 1
    else:
        with pytest.raises(MailError) as error:
            preprocess("alimama", tmp_path / "raw", tmp_path / "data", None, options)
        assert error.value.message == (
            f"{tmp_path}/raw: not the published files: {told}. Get them again, or leave out --expect-official."
        )
        assert not (tmp_path / "data").exists()


def test_ml_100k_is_as_published(ml_100k_raw: Path, tmp_path: Path) -> None:
    dataset = preprocess("ml-100k", ml_100k_raw, tmp_path, None, Options(expect_official=True))
    assert dataset.counts["users"] == 943


def test_simulated_files_are_not_the_published_ones(simulated_raw: Path, tmp_path: Path) -> None:
    with pytest.raises(MailError, match=r"not the published files: users.rows \d+ \(published 1,061,768\), "):
        preprocess("alimama", simulated_raw, tmp_path, None, Options(expect_official=True))


def test_a_sample_is_the_whole_restricted_to_its_users(simulated_raw: Path, tiny: Dataset, tmp_path: Path) -> None:
    shares = (0.3, 0.6)
    small, large = (
        preprocess("alimama", simulated_raw, tmp_path, f"s{share}", Options(history=20, sample=share))
        for share in shares
    )
    kept = [set(dataset.column("users", "raw").tolist()) for dataset in (small, large, tiny)]
    assert kept[0] < kept[1] < kept[2]
    assert [len(users) / 300 for users in kept[:2]] == pytest.approx(shares, abs=0.06)
    rows = [row for row, user in enumerate(tiny.column("users", "raw")) if user in kept[0]]
    for split in SPLITS:
        of_sample = np.isin(tiny.column(split, "user"), rows)
        np.testing.assert_array_equal(small.column(split, "time"), tiny.column(split, "time")[of_sample])
        histories = [history_of(tiny, split, row) for row in np.flatnonzero(of_sample).tolist()]
        for row, whole in enumerate(histories):
            assert [time for time, _, _ in history_of(small, split, row)] == [time for time, _, _ in whole]
    assert (small.folder / "summary.md").read_text().startswith("# s0.3 (simulated), n_v 20, 30% of the users, ")


def test_a_sample_may_be_too_small(tmp_path: Path) -> None:
    alimama.write_rows(tmp_path / "raw", alimama.good_rows())
    with pytest.raises(MailError, match=r"every label is 0 .* Of the users, --sample kept 0."):
        preprocess("alimama", tmp_path / "raw", tmp_path, "s", Options(sample=1e-9))
