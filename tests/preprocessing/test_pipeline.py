"""Raw files -> dataset, against slow oracles and made-up logs."""

from __future__ import annotations

import gzip
import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mailcli.data.batches import Batches
from mailcli.data.dataset import Dataset
from mailcli.data.protocol import View
from mailcli.data.schema import FIRST_ID, SPLITS, UNKNOWN
from mailcli.data.writer import DatasetWriter
from mailcli.errors import MailError
from mailcli.preprocessing.histories import history_bounds, visible
from mailcli.preprocessing.pipeline import Options, preprocess
from mailcli.simulation.alimama import simulate_alimama
from mailcli.simulation.world import Settings
from tests.helpers import alimama, grouplens, oracles
from tests.helpers.files import files_of

DAY = 86400
START = 1494000000


def history_of(dataset: Dataset, split: str, row: int) -> list[tuple[int, int, int]]:
    """(time, category, brand) of what an impression sees, as raw values."""
    end = dataset.column(split, "history_end")[row]
    begin = max(dataset.offsets[dataset.column(split, "user")[row]], end - dataset.history)
    columns = [dataset.column("behaviors", name)[begin:end] for name in ("time", "cate", "brand")]
    raw = {name: dataset.column("vocabularies", name) for name in ("cate", "brand")}

    def value(name: str, number: int) -> int:
        return -1 if number == UNKNOWN else int(raw[name][number - FIRST_ID])

    return [(int(t), value("cate", c), value("brand", b)) for t, c, b in zip(*columns, strict=True)]


def test_histories_are_what_the_slow_oracle_says(simulated_raw: Path, tiny: Dataset) -> None:
    expected = oracles.histories(simulated_raw, n_v=20)
    seen = 0
    for split in SPLITS:
        users = tiny.column("users", "raw")[tiny.column(split, "user")]
        for row, (user, time) in enumerate(zip(users, tiny.column(split, "time"), strict=True)):
            found = history_of(tiny, split, row)
            truth = expected[int(user), int(time)]
            assert [t for t, _, _ in found] == [t for t, _, _ in truth]
            for (_, c, b), (_, true_c, true_b) in zip(found, truth, strict=True):
                assert c in {int(true_c), -1}
                assert b in {int(true_b), -1}
                if split == "train":
                    assert (c, b) == (int(true_c), int(true_b)), "a value of a training history is in the vocabulary"
            seen += len(found)
    assert seen > 1000


def test_impressions_keep_their_columns(simulated_raw: Path, tiny: Dataset) -> None:
    ads = {int(row["adgroup_id"]): row for row in oracles.read_csv(simulated_raw / "ad_feature.csv")}
    expected = sorted(
        (int(r["user"]), int(r["adgroup_id"]), int(r["time_stamp"]), int(r["clk"]))
        for r in oracles.read_csv(simulated_raw / "raw_sample.csv")
    )
    found = []
    for number, split in enumerate(SPLITS):
        columns = [
            tiny.column("users", "raw")[tiny.column(split, "user")],
            tiny.column("items", "raw")[tiny.column(split, "item")],
        ]
        columns += [tiny.column(split, name) for name in ("time", "click")]
        day = (columns[2] - START) // DAY
        assert set(np.unique(day)) == [{0, 1, 2, 3, 4, 5}, {6}, {7}][number]
        hours = tiny.column("vocabularies", "hour")[tiny.column(split, "hour") - FIRST_ID]
        np.testing.assert_array_equal(hours, (columns[2] - START) % DAY // 3600)
        found += list(zip(*(c.tolist() for c in columns), strict=True))
    assert sorted(found) == expected
    cate = tiny.column("vocabularies", "cate")
    for row, raw in enumerate(tiny.column("items", "raw")):
        number = tiny.column("items", "cate")[row]
        assert number == UNKNOWN or cate[number - FIRST_ID] == int(ads[int(raw)]["cate_id"])


def test_attributes_of_users(simulated_raw: Path, tiny: Dataset) -> None:
    profiles = {int(row["userid"]): row for row in oracles.read_csv(simulated_raw / "user_profile.csv")}
    lonely = 0
    for name in ("age_level", "pvalue_level", "new_user_class_level"):
        values, ids = tiny.column("vocabularies", name), tiny.column("users", name)
        for user, number in zip(tiny.column("users", "raw"), ids, strict=True):
            text = profiles[int(user)][name] if int(user) in profiles else ""
            lonely += int(user) not in profiles
            assert number == UNKNOWN if text == "" else number == UNKNOWN or values[number - FIRST_ID] == int(text)
    assert lonely
    assert tiny.counts["users_without_profile"] == lonely / 3


def test_ids_are_fitted_on_training_impressions_and_their_histories_alone(tmp_path: Path) -> None:
    alimama.write(
        tmp_path / "raw",
        impressions=[
            (1, START + 100, 10, 0),
            (1, START + 200, 10, 1),
            *alimama.both_classes(1, 10, day=6),
            *alimama.both_classes(1, 11, day=7),
            *alimama.both_classes(2, 12, day=7),
        ],
        ads=[(10, 500, 600), (11, 501, 601), (12, 502, None)],
        behaviors=[
            (1, START + 50, 700, 800),
            (1, START + 150, 701, 801),
            (1, START + 7 * DAY - 1, 702, 802),
            (2, START + 50, 703, 803),
        ],
    )
    dataset = preprocess("alimama", tmp_path / "raw", tmp_path / "data", None)
    known = {name: dataset.column("vocabularies", name).tolist() for name in ("user", "item", "cate", "brand")}
    assert known == {"user": [1], "item": [10], "cate": [500, 700, 701], "brand": [600, 800, 801]}
    # A category seen only on the test day, or only before it, has id 1; so has the missing brand.
    assert dataset.column("items", "cate")[:].tolist() == [2, UNKNOWN, UNKNOWN]
    assert dataset.column("items", "brand")[:].tolist() == [2, UNKNOWN, UNKNOWN]
    assert sorted(dataset.column("behaviors", "cate")[:].tolist()) == [UNKNOWN, UNKNOWN, 3, 4]
    # What training does not show is kept apart, for a run that goes on with another and may know it.
    unseen = {name: dataset.column("unseen", name).tolist() for name in ("user", "item", "cate", "brand")}
    assert unseen == {"user": [2], "item": [11, 12], "cate": [501, 502, 702, 703], "brand": [601, 802, 803]}
    assert np.load(dataset.folder / "items" / "cate.npy").tolist() == [2, 5, 6]
    assert np.load(dataset.folder / "items" / "brand.npy").tolist() == [2, 5, UNKNOWN]


def test_behaviors_that_no_impression_sees_are_not_stored(tmp_path: Path) -> None:
    times = [START - 100 + i for i in range(10)]
    alimama.write(
        tmp_path / "raw",
        impressions=[
            *alimama.both_classes(1, 10, day=0),
            *alimama.both_classes(1, 10, day=6),
            *alimama.both_classes(1, 10, day=7),
            (1, START + 8 * DAY - 1, 10, 0),
        ],
        ads=[(10, 500, 600)],
        behaviors=[*((1, t, 7, 8) for t in times), (1, START + 8 * DAY - 1, 7, 8), (2, START, 9, 9)],
    )
    dataset = preprocess("alimama", tmp_path / "raw", tmp_path / "data", None, Options(history=4))
    assert dataset.column("behaviors", "time").tolist() == times[-4:]


def test_a_time_equal_to_the_impressions_is_not_history(tmp_path: Path) -> None:
    alimama.write(
        tmp_path / "raw",
        impressions=[(1, START + 50, 10, 0), (1, START + 51, 10, 1), *alimama.rest(1, 10)],
        ads=[(10, 500, 600)],
        behaviors=[(1, START + 49, 1, 1), (1, START + 50, 2, 2), (1, START + 50, 3, 3)],
    )
    dataset = preprocess("alimama", tmp_path / "raw", tmp_path / "data", None)
    seen = [[t - START for t, _, _ in history_of(dataset, "train", row)] for row in range(2)]
    assert seen == [[49], [49, 50, 50]]


logs = st.lists(
    st.tuples(st.integers(1, 3), st.integers(-3, 12), st.integers(1, 4), st.integers(1, 3)),
    min_size=1,
    max_size=30,
)
shown = st.lists(st.tuples(st.integers(1, 4), st.integers(0, 10)), min_size=0, max_size=10)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(logs, shown, st.integers(1, 5))
@pytest.mark.slow
def test_no_history_contains_the_present_or_the_future(
    log: list[tuple[int, int, int, int]], impressions: list[tuple[int, int]], n_v: int
) -> None:
    """Random logs: what a batch shows is the last n_v behaviors strictly before each impression."""
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder) / "raw"
        alimama.write(
            raw,
            impressions=[(u, START + t, 10, (t + u) % 2) for u, t in impressions]
            + alimama.rest(1, 10)
            + alimama.both_classes(1, 10, day=0),
            ads=[(10, 500, 600)],
            behaviors=[(u, START + t, c, b) for u, t, c, b in log] + [(1, START - DAY, 1, 1)],
        )
        dataset = preprocess("alimama", raw, Path(folder) / "data", None, Options(history=n_v))
        truth = oracles.histories(raw, n_v)
        nobody = np.zeros(dataset.counts["users"], bool)
        for split in SPLITS:
            rows = np.arange(dataset.counts[split])
            batch = Batches(dataset, View(split, rows, nobody, nobody), n_v, 99).gather(rows)
            times = dataset.column("behaviors", "time")
            for row in rows.tolist():
                user = int(dataset.column("users", "raw")[dataset.column(split, "user")[row]])
                now = int(dataset.column(split, "time")[row])
                found = history_of(dataset, split, row)
                assert all(t < now for t, _, _ in found)
                assert [t for t, _, _ in found] == [t for t, _, _ in truth[user, now]]
                assert np.count_nonzero(batch["actions"][row]) == len(found)
            assert len(times) == dataset.counts["behaviors"]


def test_history_bounds_by_hand() -> None:
    b_row, b_time = np.array([0, 0, 0, 2, 2]), np.array([5, 5, 9, 1, 7])
    row, time = np.array([0, 0, 0, 1, 2, 2]), np.array([5, 6, 100, 6, 7, 8])
    begin, end = history_bounds(b_row, b_time, row, time)
    assert begin.tolist() == [0, 0, 0, 3, 3, 3]
    assert end.tolist() == [0, 2, 3, 3, 4, 5]


def test_visible_by_hand() -> None:
    begin, end = np.array([0, 0, 6]), np.array([3, 6, 6])
    # Windows of two: 1-2, 4-5, and none.
    assert visible(begin, end, 8, history=2).tolist() == [False, True, True, False, True, True, False, False]


def columns(dataset: Dataset) -> dict[str, bytes]:
    """Every column of a dataset."""
    return {name: data for name, data in files_of(dataset.folder).items() if name.endswith(".npy")}


def test_order_of_rows_buckets_and_compression_do_not_show(
    simulated_raw: Path, tiny: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shuffled = tmp_path / "raw"
    shuffled.mkdir()
    rng = np.random.default_rng(0)
    for path in simulated_raw.glob("*.csv"):
        header, *rows = path.read_text().splitlines()
        # The published copies differ in the trailing space of one header name.
        text = "\n".join([header.strip(), *(rows[i] for i in rng.permutation(len(rows)))]) + "\n"
        (shuffled / f"{path.name}.gz").write_bytes(gzip.compress(text.encode()))
    monkeypatch.setattr("mailcli.preprocessing.extract.BUCKET_BYTES", 10_000)
    again = preprocess("alimama", shuffled, tmp_path / "data", "again", Options(history=20))
    assert columns(again) == columns(tiny)
    assert again.manifest["counts"] == tiny.manifest["counts"]


def test_real_or_simulated_is_recorded(simulated_raw: Path, tiny: Dataset, tmp_path: Path) -> None:
    assert tiny.label == "tiny (simulated)"
    assert tiny.simulation is not None
    assert tiny.simulation["users"] == 300
    copy = tmp_path / "raw"
    shutil.copytree(simulated_raw, copy)
    (copy / "SIMULATED.json").unlink()
    assert preprocess("alimama", copy, tmp_path / "data", None).label == "alimama (real data)"


def test_dense_features_are_standardised_on_training_impressions(simulated_raw: Path, tiny: Dataset) -> None:
    price = {int(r["adgroup_id"]): float(r["price"]) for r in oracles.read_csv(simulated_raw / "ad_feature.csv")}
    raw = tiny.column("items", "raw")
    shown = np.log1p([price[int(raw[i])] for i in tiny.column("train", "item")])
    expected = (np.log1p([price[int(r)] for r in raw]) - shown.mean()) / shown.std()
    np.testing.assert_allclose(tiny.column("items", "price"), expected, atol=1e-5)


SAMPLE = Path(__file__).parent.parent.parent.parent / "shared" / "data" / "alimama_raw_rows"


@pytest.mark.skipif(not SAMPLE.is_dir(), reason="the printed rows of the real files lie beside the project")
def test_ten_printed_rows_of_each_real_file_parse(tmp_path: Path) -> None:
    from mailcli.preprocessing.engines.duckdb import Engine
    from mailcli.preprocessing.sources.alimama import Source

    source = Source(SAMPLE, tmp_path)
    with Engine(tmp_path, 10**9, None, None) as engine:
        users, items, log, shown = (
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
    assert shown[0] == {**first, "hour": 14, "weekday": 1}
    by_time = {row["time"]: row["split"] for row in shown}
    assert by_time[1494638778] == 2
    assert len(users) == len(items) == len(log) == len(shown) == 10


@pytest.mark.parametrize("zone", ["UTC", "Asia/Shanghai", "America/Los_Angeles"])
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


class TestMl100k:
    """The source "ml-100k"."""

    def test_counts(self, ml_100k: Dataset) -> None:
        assert ml_100k.counts["users"] == 943
        assert ml_100k.counts["items"] == 1682
        assert sum(ml_100k.counts[name] for name in SPLITS) == 100_000
        # 55,375 of the 100,000 ratings are 4 or 5 (GroupLens' own counts: 34,174 and 21,201).
        assert sum(ml_100k.counts[f"{name}_clicks"] for name in SPLITS) == 34_174 + 21_201
        assert ml_100k.label == "ml-100k (real data)"

    def test_splits_follow_time_within_each_user(self, ml_100k: Dataset) -> None:
        for user in (0, 100, 942):
            times = [ml_100k.column(s, "time")[ml_100k.column(s, "user") == user] for s in SPLITS]
            total = sum(map(len, times))
            assert len(times[2]) == int(total * 0.2)
            assert len(times[1]) == int(total * 0.1)
            assert times[0].max() <= times[1].min()
            assert times[1].max() <= times[2].min()

    def test_a_known_user_and_film(self, ml_100k: Dataset) -> None:
        row = int(np.flatnonzero(ml_100k.column("users", "raw") == 1)[0])

        def raw(table: str, name: str, place: int, vocabulary: str | None = None) -> list[object]:
            ids = np.atleast_1d(ml_100k.column(table, name)[place])
            values = ml_100k.column("vocabularies", vocabulary or name)
            return [values[i - FIRST_ID].item() for i in ids if i >= FIRST_ID]

        # User 1: 24, M, technician, 85711; the age group 18-24 is the second, code 2.
        assert raw("users", "gender", row) == ["M"]
        assert raw("users", "occupation", row) == ["technician"]
        assert raw("users", "age", row) == [2]
        assert raw("users", "zip", row) == ["8"]
        # Film 1: Toy Story, 1995.
        film = int(np.flatnonzero(ml_100k.column("items", "raw") == 1)[0])
        assert raw("items", "year", film) == [1995]
        assert raw("items", "genres", film) == ["Animation", "Children's", "Comedy"]

    def test_grouplens_files_give_the_same_dataset(self, tmp_path: Path) -> None:
        raw = tmp_path / "raw"
        grouplens.write(raw)
        dataset = preprocess("ml-100k", raw, tmp_path / "data", "own")
        assert dataset.counts["train"] == 14
        assert dataset.counts["validation"] == 2
        assert dataset.counts["test"] == 4
        genres = dataset.column("vocabularies", "genres")
        assert set(genres) == {"Action", "Drama"}
        assert dataset.column("vocabularies", "year").tolist() == [1990, 1991, 1992, 1993, 1994, 1995, 1996]


def test_making_a_dataset_again_replaces_it(tmp_path: Path, simulated_raw: Path) -> None:
    preprocess("alimama", simulated_raw, tmp_path, "again", Options(history=5))
    dataset = preprocess("alimama", simulated_raw, tmp_path, "again", Options(history=7))
    assert dataset.history == 7
    assert [path.name for path in tmp_path.iterdir()] == ["again"]
    assert json.loads((dataset.folder / "dataset.json").read_text())["files"][0]["file"] == "user_profile.csv"


def test_two_at_once_on_the_same_dataset_the_second_is_refused(tmp_path: Path, simulated_raw: Path) -> None:
    with (
        DatasetWriter(tmp_path / "busy"),
        pytest.raises(MailError, match="another `mail preprocess` is making this dataset"),
    ):
        preprocess("alimama", simulated_raw, tmp_path, "busy")
    assert preprocess("alimama", simulated_raw, tmp_path, "busy", Options(history=2)).name == "busy"
    assert [path.name for path in tmp_path.iterdir()] == ["busy"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of one megabyte."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = (
        shutil.which("mount")
        and not subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], capture_output=True, check=False
        ).returncode
    )
    if not mounted:
        pytest.skip("needs the right to mount a tmpfs")
    yield disk
    subprocess.run(["umount", disk], check=True)


@pytest.mark.parametrize("on_disk", ["dataset", "work"])
def test_a_full_disk_gives_one_line_and_no_half_dataset(
    small_disk: Path, tmp_path: Path, simulated_raw: Path, on_disk: str
) -> None:
    raw = tmp_path / "raw"
    simulate_alimama(Settings(users=2000, behaviors_per_user=100), raw)
    if on_disk == "work":
        target, temp = tmp_path / "data", small_disk
    else:
        target, temp = small_disk, tmp_path
    with pytest.raises(MailError, match="the disk is full. Nothing was kept; free some space and start again."):
        preprocess("alimama", raw, target, "big", Options(temp_dir=temp))
    assert list(small_disk.iterdir()) == []
    assert not (target / "big").exists()


def test_memory_and_threads_do_not_show_in_the_dataset(tmp_path: Path, simulated_raw: Path, tiny: Dataset) -> None:
    dataset = preprocess("alimama", simulated_raw, tmp_path, None, Options(history=20, memory_limit="200MB", threads=1))
    assert columns(dataset) == columns(tiny)
