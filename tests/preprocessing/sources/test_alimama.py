"""Alimama: rows of the real files, and the days in UTC+8."""

from __future__ import annotations

from pathlib import Path

import pytest

from mailcli.preprocessing.engines.duckdb import Engine
from mailcli.preprocessing.pipeline import preprocess
from mailcli.preprocessing.sources.alimama import Source
from tests.helpers import alimama
from tests.helpers.alimama import START

SAMPLE = Path(__file__).parents[4] / "shared" / "data" / "alimama_raw_rows"


@pytest.mark.skipif(not SAMPLE.is_dir(), reason="the printed rows of the real files are next to the project")
def test_ten_printed_rows_of_each_real_file_parse(tmp_path: Path) -> None:
    source = Source(SAMPLE, tmp_path)
    with Engine(tmp_path, 10**9, None, None) as engine:
        users, items, log, impressions = (
            engine.collect(table(engine)).to_pylist()
            for table in (source.users, source.items, source.behaviors, source.impressions)
        )
    assert users[0]["user"] == 234
    assert users[0]["pvalue_level"] is None
    assert users[0]["new_user_class_level"] == 3
    assert users[2]["new_user_class_level"] is None
    assert items[0] == {
        "item": 63133,
        "cate": 6406,
        "brand": 95471,
        "campaign": 83237,
        "customer": 1,
        "price": 170.0,
        "fault": None,
        "line": "63133,6406,83237,1,95471,170.0",
    }
    assert [row["brand"] for row in items].count(None) == 2
    assert log[0] == {
        "user": 558157,
        "time": 1493741625,
        "action": 0,
        "cate": 6250,
        "brand": 91286,
        "fault": None,
        "line": None,
    }
    first = {
        "user": 581738,
        "item": 1,
        "time": 1494137644,
        "pid": "430548_1007",
        "click": 0,
        "split": 0,
        "fault": None,
        "line": None,
    }
    # 2017-05-07 14:14:04 in UTC+8, the second day.
    assert impressions[0] == {**first, "hour": 14, "weekday": 1}
    by_time = {row["time"]: row["split"] for row in impressions}
    assert by_time[1494638778] == 2
    assert len(users) == len(items) == len(log) == len(impressions) == 10


@pytest.mark.parametrize(
    "zone", [*(pytest.param(zone, marks=pytest.mark.slow) for zone in ("UTC", "Asia/Shanghai")), "America/Los_Angeles"]
)
def test_the_test_day_starts_at_1494604800_in_any_time_zone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, zone: str
) -> None:
    monkeypatch.setenv("TZ", zone)
    first = 1494604800
    edge = [(1, first - 1, 10, 0), (1, first - 2, 10, 1), (1, first, 10, 0), (1, first + 1, 10, 1)]
    alimama.write(
        tmp_path / "raw",
        impressions=[*edge, *alimama.both_classes(1, 10, day=0)],
        ads=[(10, 1, 1)],
        behaviors=[(1, START - 5, 1, 1)],
    )
    dataset = preprocess("alimama", tmp_path / "raw", tmp_path / "data", None)
    assert dataset.column("test", "time").tolist() == [first, first + 1]
    assert dataset.column("validation", "time").tolist() == [first - 2, first - 1]
