"""Simulated files look like the published ones, quirks included."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from mailcli.errors import MailError
from mailcli.preprocessing.simulated_marker import read_marker
from mailcli.simulation.alimama import Summary, simulate_alimama
from mailcli.simulation.world import Settings, World, category_counts
from tests.helpers.alimama import HEADERS
from tests.helpers.oracles import read_csv

USERS = 3000


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Summary]:
    folder = tmp_path_factory.mktemp("sim") / "set"
    return folder, simulate_alimama(Settings(users=USERS, seed=4, behaviors_per_user=40), folder)


def test_headers_are_the_published_ones_to_the_letter(simulated: tuple[Path, Summary]) -> None:
    for stem, header in HEADERS.items():
        assert (simulated[0] / f"{stem}.csv").read_text().split("\n")[0] == header


def test_proportions_of_the_published_files(simulated: tuple[Path, Summary]) -> None:
    folder, summary = simulated
    sample, ads = read_csv(folder / "raw_sample.csv"), read_csv(folder / "ad_feature.csv")
    log, users = read_csv(folder / "behavior_log.csv"), read_csv(folder / "user_profile.csv")
    assert summary.impressions == len(sample)
    assert summary.behaviors == len(log)
    assert len(sample) / USERS == pytest.approx(23.26, rel=0.1)
    assert len(ads) / USERS == pytest.approx(0.7417, rel=0.01)
    assert np.mean([row["clk"] == "1" for row in sample]) == pytest.approx(0.0514, rel=0.1)
    assert len(log) / USERS == pytest.approx(40, rel=0.1)
    assert np.mean([row["brand"] == "NULL" for row in ads]) == pytest.approx(0.29, abs=0.04)
    assert np.mean([row["pvalue_level"] == "" for row in users]) == pytest.approx(0.54, abs=0.04)
    assert np.mean([row["new_user_class_level"] == "" for row in users]) == pytest.approx(0.32, abs=0.04)
    assert 1 - len(users) / USERS == pytest.approx(0.07, abs=0.02)
    assert Counter(row["btag"] for row in log)["pv"] / len(log) == pytest.approx(0.9526, abs=0.01)


def test_a_share_of_clicks_as_asked(tmp_path: Path) -> None:
    """30% of 2000 · 23.26 impressions, and so 69 categories with ads: 2000 · 23.26 · .3 / 202 = 69.1."""
    settings = Settings(users=2000, behaviors_per_user=5, click_probability=0.3)
    assert simulate_alimama(settings, tmp_path / "set").ctr == pytest.approx(0.3, abs=0.01)
    assert category_counts(settings)[0] == 69
    assert (read_marker(tmp_path / "set", []) or {})["click_probability"] == 0.3


@pytest.mark.parametrize(
    ("users", "clicks_per_category", "with_ads", "all_of_them"),
    [
        # 1,141,729 users have 26,557,961 impressions with 5.14% clicks, 202 for each of 6,758 categories.
        (1_141_729, 202, 6758, 12947),
        (30_000, 202, 178, 341),
        (30_000, 101, 355, 680),
        # Every interest has one of its own, of 16.
        (300, 202, 16, 31),
    ],
)
def test_categories_grow_with_the_clicks(
    users: int, clicks_per_category: float, with_ads: int, all_of_them: int
) -> None:
    assert category_counts(Settings(users=users, clicks_per_category=clicks_per_category)) == (with_ads, all_of_them)


def test_clicks_and_behaviors_per_value(tmp_path: Path) -> None:
    simulate_alimama(Settings(users=6000, seed=1, behaviors_per_user=20), tmp_path / "set")
    ads = {row["adgroup_id"]: row for row in read_csv(tmp_path / "set" / "ad_feature.csv")}
    log = read_csv(tmp_path / "set" / "behavior_log.csv")
    clicks = sum(row["clk"] == "1" for row in read_csv(tmp_path / "set" / "raw_sample.csv"))
    # The published files: 1,365,079 clicks on 846,811 ads of 6,769 categories and 99,815 brands.
    assert clicks / len(ads) == pytest.approx(1.61, rel=0.1)
    assert clicks / len({ad["cate_id"] for ad in ads.values()}) == pytest.approx(202, rel=0.1)
    assert clicks / len({ad["brand"] for ad in ads.values()}) == pytest.approx(13.7, rel=0.15)
    categories = Counter(row["cate"] for row in log)
    # 723,268,134 behaviors of 1,141,729 users (633 each, here 20) in 12,968 categories.
    assert len(log) / len(categories) == pytest.approx(55_773 * 20 / 633, rel=0.15)
    assert {ad["cate_id"] for ad in ads.values()} < set(categories), "some categories have no ads"


def test_popularity_falls_with_the_rank() -> None:
    world = World(Settings(users=200_000))
    rng = np.random.default_rng(0)
    category = world.category_sampler.draw(rng.integers(16, size=300_000), rng)
    counts = np.sort(np.bincount(category))[::-1]
    # As (r + 1)^-0.8: by a factor of 6.3 from the 10th to the 100th.
    assert counts[9] / counts[99] == pytest.approx(6.3, rel=0.3)


def test_quirks_of_the_published_files(simulated: tuple[Path, Summary]) -> None:
    folder, _ = simulated
    sample, log = read_csv(folder / "raw_sample.csv"), read_csv(folder / "behavior_log.csv")
    ads = [int(row["adgroup_id"]) for row in sample]
    times = [int(row["time_stamp"]) for row in sample]
    assert ads == sorted(ads)
    assert times != sorted(times)
    assert min(times) >= 1494000000
    assert max(times) < 1494691200
    assert all(row["nonclk"] == str(1 - int(row["clk"])) for row in sample)
    rows = Counter(tuple(row.values()) for row in log)
    assert sum(n - 1 for n in rows.values()) / len(log) == pytest.approx(0.07, abs=0.02)
    moments = Counter((row["user"], row["time_stamp"]) for row in log)
    assert sum(n > 1 for n in moments.values()) > sum(n > 1 for n in rows.values()), "same-second ties"
    assert min(int(row["time_stamp"]) for row in log) < 0
    assert max(int(row["time_stamp"]) for row in log) > 2_000_000_000
    assert any(int(row["time_stamp"]) >= 1494000000 for row in log), "behaviors overlap the impression days"
    without_behavior = {row["user"] for row in sample} - {row["user"] for row in log}
    assert without_behavior, "naturally new users"


def test_the_ceilings_are_recorded(simulated: tuple[Path, Summary]) -> None:
    folder, summary = simulated
    assert 0.7 < summary.ceilings.auc < 0.8
    note = read_marker(folder, [folder / f"{stem}.csv" for stem in HEADERS])
    assert note is not None
    best = summary.ceilings
    assert note["ceiling_auc"] == best.auc
    assert note["ceiling_gauc"] == best.gauc
    assert note["ceiling_behavior_auc"] == best.behavior_auc
    assert note["ceiling_attributes_auc"] == best.attributes_auc
    assert note["ceiling_item_auc"] == best.item_auc
    assert note["seed"] == 4


def test_same_seed_same_bytes(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        simulate_alimama(Settings(users=50, seed=seed, behaviors_per_user=5), tmp_path / name)
    files = {name: [(tmp_path / name / f"{stem}.csv").read_bytes() for stem in HEADERS] for name in "abc"}
    assert files["a"] == files["b"]
    assert files["a"] != files["c"]


def test_a_simulated_set_is_replaced_but_nothing_else(tmp_path: Path) -> None:
    out = tmp_path / "set"
    simulate_alimama(Settings(users=50, behaviors_per_user=5), out)
    simulate_alimama(Settings(users=60, behaviors_per_user=5), out)
    assert [path.name for path in tmp_path.iterdir()] == ["set"]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(MailError, match="is not empty and was not written by `mail simulate`"):
        simulate_alimama(Settings(users=50), tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years of work"


def test_what_is_no_folder_is_refused_as_such(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "empty")
    for name, fault in (
        ("file", "is not a folder. Choose another with --out."),
        ("link", "is a link. Name the folder itself, or choose another with --out."),
    ):
        with pytest.raises(MailError) as error:
            simulate_alimama(Settings(users=10), tmp_path / name)
        assert error.value.message == f"{tmp_path / name}: {fault}"


def test_real_files_next_to_a_stale_note_are_refused(tmp_path: Path) -> None:
    out = tmp_path / "set"
    simulate_alimama(Settings(users=50, behaviors_per_user=5), out)
    path = out / "ad_feature.csv"
    path.write_text(path.read_text() + "999,1,1,1,1,1.0\n")
    with pytest.raises(MailError, match=r"was not written for ad_feature.csv .* Keep real and simulated files"):
        read_marker(out, [path])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"users": 9}, "--users is 9. Expected 10 to 10,000,000,000."),
        ({"users": 10**400}, f"--users is 1{59 * '0'}.... Expected 10 to 10,000,000,000."),
        (
            {"users": 10, "attribute_strength": 1.5},
            "--attribute-strength is 1.5. Expected a number from 0 to 1.",
        ),
        ({"users": 10, "interactions": -0.1}, "--interactions is -0.1. Expected a number from 0 to 1."),
        ({"users": 10, "behaviors_per_user": 0}, "--behaviors-per-user is 0. Expected a positive number."),
        ({"users": 10, "clicks_per_category": math.inf}, "--clicks-per-category is inf. Expected 0.1 or more."),
        (
            {"users": 10, "click_probability": 1e-20},
            "--click-probability is 1e-20. Expected a number from 0.000001 to 0.999999.",
        ),
        (
            {"users": 10, "click_probability": 1.0},
            "--click-probability is 1.0. Expected a number from 0.000001 to 0.999999.",
        ),
        ({"users": 10, "clicks_per_category": 1e-9}, "--clicks-per-category is 1e-09. Expected 0.1 or more."),
        ({"users": 10, "seed": -1}, "--seed is -1. Expected 0 or more."),
    ],
)
def test_settings_out_of_range_are_refused(options: dict[str, float], message: str) -> None:
    with pytest.raises(MailError) as error:
        Settings(**options)  # type: ignore[arg-type]
    assert error.value.message == message


def test_a_set_larger_than_the_disk_is_refused_before_it_is_written(tmp_path: Path) -> None:
    with pytest.raises(MailError, match=r"the files need about \d+ GB, "):
        simulate_alimama(Settings(users=10**9), tmp_path / "set")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("mean", [1e-6, 1 - 1e-6])
def test_the_least_and_the_largest_click_probability(mean: float) -> None:
    assert -40 < World(Settings(users=100, click_probability=mean)).intercept < 40
