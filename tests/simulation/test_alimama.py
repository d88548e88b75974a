"""Simulated files look like the published ones, quirks included."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from mailcli.errors import MailError
from mailcli.preprocessing.simulated_marker import read_marker
from mailcli.simulation.alimama import Summary, simulate_alimama
from mailcli.simulation.world import Settings
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
    assert len(sample) / USERS == pytest.approx(23, rel=0.1)
    assert len(ads) / USERS == pytest.approx(0.74, rel=0.01)
    assert np.mean([row["clk"] == "1" for row in sample]) == pytest.approx(0.05, rel=0.1)
    assert len(log) / USERS == pytest.approx(40, rel=0.1)
    assert np.mean([row["brand"] == "NULL" for row in ads]) == pytest.approx(0.29, abs=0.04)
    assert np.mean([row["pvalue_level"] == "" for row in users]) == pytest.approx(0.54, abs=0.04)
    assert np.mean([row["new_user_class_level"] == "" for row in users]) == pytest.approx(0.32, abs=0.04)
    assert 1 - len(users) / USERS == pytest.approx(0.07, abs=0.02)
    assert Counter(row["btag"] for row in log)["pv"] / len(log) == pytest.approx(0.9526, abs=0.01)


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


def test_the_ceiling_is_above_chance_and_recorded(simulated: tuple[Path, Summary]) -> None:
    folder, summary = simulated
    assert 0.7 < summary.ceiling_auc < 0.8
    note = read_marker(folder, [folder / f"{stem}.csv" for stem in HEADERS])
    assert note is not None
    assert note["ceiling_auc"] == summary.ceiling_auc
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
        ({"users": 9}, "--users is 9. Expected 10 or more."),
        (
            {"users": 10, "attribute_strength": 1.5},
            "--attribute-strength is 1.5. Expected a number from 0 to 1.",
        ),
        ({"users": 10, "behaviors_per_user": 0}, "--behaviors-per-user is 0. Expected more than 0."),
        ({"users": 10, "seed": -1}, "--seed is -1. Expected 0 or more."),
    ],
)
def test_refuses(options: dict[str, float], message: str) -> None:
    with pytest.raises(MailError) as error:
        Settings(**options)  # type: ignore[arg-type]
    assert error.value.message == message


def test_a_set_larger_than_the_disk_is_refused_before_it_is_written(tmp_path: Path) -> None:
    with pytest.raises(MailError, match=r"the files need about \d+\.\d GB"):
        simulate_alimama(Settings(users=10**9), tmp_path / "set")
    assert list(tmp_path.iterdir()) == []
