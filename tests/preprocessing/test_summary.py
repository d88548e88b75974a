"""summary.md."""

from __future__ import annotations

from pathlib import Path

from mailcli.preprocessing.pipeline import PreprocessOptions, preprocess
from tests.helpers import alimama
from tests.helpers.alimama import START


def test_the_summary_counts_what_the_raw_files_have(tmp_path: Path) -> None:
    alimama.write(
        tmp_path / "raw",
        impressions=[*alimama.both_classes(1, 10, day=0), (2, START + 5, 11, 0), *alimama.validation_and_test(1, 10)],
        ads=[(10, 500, None)],
        behaviors=[(1, START - 9, 1, 1), (1, START - 8, 1, 1), (3, START, 1, 1), (1, START + 8 * 86400 - 1, 1, 1)],
    )
    dataset = preprocess("alimama", tmp_path / "raw", tmp_path / "data", None, PreprocessOptions(history=1))
    text = (dataset.folder / "summary.md").read_text()
    for line in (
        "| users of impressions without a profile | 1 | 2 |",
        "| their impressions | 1 | 14.29% of all |",
        "| items of impressions without a row in the item table | 1 | 11 |",
        "| their impressions | 1 |  |",
        "| users without a behavior before an impression (naturally new) | 1 |  |",
        "| impressions without a behavior before them | 1 |  |",
        "| behaviors of users without an impression in the dataset (dropped) | 1 |  |",
        "| behaviors not before their user's last impression (dropped) | 1 |  |",
        "| behaviors older than the last n_v of every impression (dropped) | 1 |  |",
        "| behaviors in the dataset | 1 |  |",
        "| train | 3 | 1 | 33.33% |",
        "| items.brand | 0 | 1 | `None` | `None` | 99,815 |",
        "| items.cate | 1 | 0 | `500` | `500` | 6,769 |",
        "| impressions.user | 2 |  |  |  | 1,141,729 |",
    ):
        assert line in text
    assert text.startswith("# alimama (real data), n_v 1, 100% of the users, duplicates kept\n")
