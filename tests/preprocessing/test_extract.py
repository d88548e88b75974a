"""What extraction refuses, and samples of the users."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from mailcli.data.dataset import Dataset
from mailcli.data.schema import SPLITS
from mailcli.errors import MailError
from mailcli.preprocessing.pipeline import PreprocessOptions, preprocess
from mailcli.preprocessing.sources.alimama import Source
from tests.helpers import alimama
from tests.helpers.datasets import history_of

OFFICIAL = {"users.rows": 1, "items.rows": 1, "impressions.rows": 6, "impressions.user": 1, "behaviors.rows": 2}


def test_a_log_that_is_all_wrong_is_told_before_anything_slow(
    simulated_raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = tmp_path / "raw"
    shutil.copytree(simulated_raw, raw)
    (raw / "SIMULATED.json").unlink()
    header = alimama.HEADERS["behavior_log"]
    (raw / "behavior_log.csv").write_text(header + "\n" + "1,1494000000000,pv,1,1\n" * 5000)
    monkeypatch.setattr("mailcli.utils.resumable.ResumableStages.run", lambda *_: pytest.fail("a stage has begun"))
    with pytest.raises(MailError) as error:
        preprocess("alimama", raw, tmp_path / "data", None)
    assert error.value.message == (
        f"{raw}/behavior_log.csv: none of 1,000 rows sampled from the whole file can be used. For example, '1,1494000000000,pv,1,1': "
        "column 'time_stamp' holds '1494000000000'. Expected a whole number from 1492790400 to 1494691199."
    )


@pytest.mark.parametrize(
    ("counts", "differences"),
    [
        ({}, None),
        ({"items.brand": 3, "impressions.rows": 7}, "impressions.rows 6 (published 7), items.brand 1 (published 3)"),
        pytest.param({"behaviors.rows": 3}, "behaviors.rows 2 (published 3)", marks=pytest.mark.slow),
    ],
)
def test_expect_official(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, counts: dict[str, int], differences: str | None
) -> None:
    alimama.write_rows(tmp_path / "raw", alimama.good_rows())
    monkeypatch.setattr(Source, "official", {**OFFICIAL, **counts})
    options = PreprocessOptions(expect_official=True)
    if differences is None:
        assert preprocess("alimama", tmp_path / "raw", tmp_path / "data", None, options).counts["users"] == 1
    else:
        with pytest.raises(MailError) as error:
            preprocess("alimama", tmp_path / "raw", tmp_path / "data", None, options)
        assert error.value.message == (
            f"{tmp_path}/raw: not the published files: {differences}. Get them again, or leave out --expect-official."
        )
        assert not (tmp_path / "data").exists()


def test_simulated_files_are_not_the_published_ones(simulated_raw: Path, tmp_path: Path) -> None:
    with pytest.raises(MailError, match=r"not the published files: users.rows \d+ \(published 1,061,768\), "):
        preprocess("alimama", simulated_raw, tmp_path, None, PreprocessOptions(expect_official=True))


def test_a_sample_is_the_whole_restricted_to_its_users(simulated_raw: Path, tiny: Dataset, tmp_path: Path) -> None:
    shares = (0.3, 0.6)
    small, large = (
        preprocess("alimama", simulated_raw, tmp_path, f"s{share}", PreprocessOptions(history=20, sample=share))
        for share in shares
    )
    users_of = [set(dataset.column("users", "raw").tolist()) for dataset in (small, large, tiny)]
    assert users_of[0] < users_of[1] < users_of[2]
    assert [len(users) / 300 for users in users_of[:2]] == pytest.approx(shares, abs=0.06)
    rows = [row for row, user in enumerate(tiny.column("users", "raw")) if user in users_of[0]]
    for split in SPLITS:
        of_sample = np.isin(tiny.column(split, "user"), rows)
        np.testing.assert_array_equal(small.column(split, "time"), tiny.column(split, "time")[of_sample])
        histories = [history_of(tiny, split, row) for row in np.flatnonzero(of_sample).tolist()]
        for row, history in enumerate(histories):
            assert [time for time, _, _ in history_of(small, split, row)] == [time for time, _, _ in history]
    assert (small.folder / "summary.md").read_text().startswith("# s0.3 (simulated), n_v 20, 30% of the users, ")


def test_a_sample_may_be_too_small(tmp_path: Path) -> None:
    alimama.write_rows(tmp_path / "raw", alimama.good_rows())
    with pytest.raises(MailError, match=r"every label is 0 .* --sample kept 0 users."):
        preprocess("alimama", tmp_path / "raw", tmp_path, "s", PreprocessOptions(sample=1e-9))
