"""Labels that carry no information give an AUC of .5."""

from __future__ import annotations

import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mailcli.config import RunConfig, make_config
from mailcli.data.batches import Batches
from mailcli.data.dataset import Dataset
from mailcli.data.protocol import View, views
from mailcli.experiments.cells import train_if_missing
from mailcli.preprocessing.pipeline import PreprocessOptions, preprocess
from mailcli.runs.folder import RunFolder
from mailcli.simulation.alimama import simulate_alimama
from mailcli.simulation.world import Settings
from mailcli.training import dataset_checks
from tests.helpers.alimama import DAY, START
from tests.helpers.another_future import write_csv
from tests.helpers.leakage import LeakError
from tests.helpers.leakage_runs import PROTOCOLS, replace_columns
from tests.helpers.models import COLD_STARTS, QUICK, RANKERS
from tests.helpers.oracles import read_csv

#: How far from .5 an AUC may be, in standard errors. There are 432 AUCs: 64 cells, 2 protocols and 3 groups, and again
#: for conversions with one ranker of 8. Under the null each is beyond 4.5 with probability 6.8e-6, so any is with at
#: most .3%.
ERRORS = 4.5
#: Seed of the labels that carry no information (ours).
LABELS_SEED = 0
#: Learns fast in its single epoch, with ten times the paper's learning rates, so that it would memorize a leak.
LEARNER: dict[str, Any] = {
    "data": "shuffled",
    "history": 10,
    "embedding_dim": 8,
    "embedding_init": "small",
    "batch_size": 256,
    "epochs": 1,
    "learning_rate": 0.01,
    "zero_shot_learning_rate": 0.01,
}


def learner(ranker: str, method: str, protocol: str = "paper") -> RunConfig:
    """The config of a cell on the dataset `shuffled`."""
    cell = {"ranker": ranker, "cold_start": method, "protocol": protocol}
    return make_config([LEARNER, cell, QUICK.get(ranker, {}), QUICK.get(method, {})])


def shuffle_labels(raw: Path, out: Path) -> None:
    """Copy the raw files; a random half of each split's impressions is clicked, and half of these are bought.

    Labels are permuted within each split, independently of the other splits. Whatever was trained on, all placements of
    the test split's clicks are then equally likely, in any subset of its impressions: the expected AUC is exactly .5,
    with the variance of the Mann-Whitney statistic. If the clicks of each user or item were kept, its click rate in
    training would predict that in the test split, and an AUC above .5 would be no leak. Half of the labels are clicks
    instead of one in twenty, which halves the standard error.
    """
    out.mkdir()
    for stem in ("ad_feature", "user_profile", "behavior_log"):
        shutil.copy(raw / f"{stem}.csv", out)
    rows = read_csv(raw / "raw_sample.csv")
    rng = np.random.default_rng(LABELS_SEED)
    day = (np.array([int(row["time_stamp"]) for row in rows]) - START) // DAY
    for split in (day < 6, day == 6, day == 7):
        for rank, row in enumerate(rng.permutation(np.flatnonzero(split)).tolist()):
            click = rank < split.sum() // 2
            bought = rank < split.sum() // 4
            rows[row].update(clk=str(int(click)), nonclk=str(int(not click)), buy=str(int(bought)))
    write_csv(out / "raw_sample.csv", rows)


@pytest.fixture(scope="module")
def shuffled(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """800 simulated users with labels that carry no information."""
    folder = tmp_path_factory.mktemp("shuffled")
    simulate_alimama(Settings(users=800, seed=2, behaviors_per_user=10, conversions=True), folder / "usual")
    shuffle_labels(folder / "usual", folder / "raw")
    return preprocess("alimama", folder / "raw", folder, "shuffled", PreprocessOptions(history=10))


def check_chance(run: RunFolder) -> int:
    """Raise LeakError if an AUC of new, old or all users is not .5 within its interval; returns the number of AUCs.

    The standard error of the AUC of n₁ clicks and n₀ others is √((n₁ + n₀ + 1) / (12 n₁ n₀)) under the null, less with
    ties. The group `natural` is too small for the normal distribution.
    """
    assert run.result is not None
    count = 0
    for name in ("new", "old", "all"):
        group = run.result["test"][name]
        for metric, ones in (("AUC", group["clicks"]), ("CTCVR AUC", group.get("conversions"))):
            if metric not in group:
                continue
            zeros = group["impressions"] - ones
            error = math.sqrt((ones + zeros + 1) / (12 * ones * zeros))
            if abs(group[metric] - 0.5) > ERRORS * error:
                raise LeakError(
                    f"{run.config.cell}: {metric} of {name} users is {group[metric]:.3f}, error {error:.3f}"
                )
            count += 1
    return count


#: The cells of the default suite: a co-trained and a two-stage method. The slow suite has all cells under both protocols.
QUICK_CELLS = {("base", "mail"), ("base", "eszsl")}


def quick_cell(ranker: str, method: str, protocol: str) -> bool:
    """Whether a cell is in the default suite."""
    return protocol == "paper" and (ranker, method) in QUICK_CELLS


@pytest.mark.parametrize(
    ("ranker", "method", "protocol"),
    [
        pytest.param(*cell, id="-".join(cell), marks=() if quick_cell(*cell) else pytest.mark.slow)
        for cell in (
            (ranker, method, protocol) for protocol in PROTOCOLS for ranker in RANKERS for method in COLD_STARTS
        )
    ],
)
def test_shuffled_labels_give_chance(ranker: str, method: str, protocol: str, shuffled: Dataset, runs: Path) -> None:
    run = train_if_missing(learner(ranker, method, protocol), shuffled, runs)
    assert check_chance(run) == (6 if ranker == "esmm" else 3)
    # Equal scores would give an AUC of .5 as well.
    scores = np.load(run.folder / "predictions.npy")
    assert len(np.unique(scores)) > 2000


class TestTheAlarmOfShuffledLabelsRings:
    """With the settings of the alarm."""

    def test_when_test_impressions_are_trained_on_too(
        self, shuffled: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """With a ranker that memorizes ids. BaseDNN, with its dropout of .5, does not in one epoch (AUC .494)."""
        names = [path.stem for path in (shuffled.folder / "train").glob("*.npy")]
        columns = {f"train/{n}": np.r_[shuffled.column("train", n), shuffled.column("test", n)] for n in names}
        replace_columns(monkeypatch, columns)

        def all_rows(dataset: Dataset, settings: RunConfig) -> dict[str, View]:
            original = views(dataset, settings)
            count = len(columns["train/click"])
            nothing = np.zeros(count, bool)
            train = original["train"]._replace(rows=np.arange(count), treated_as_new=nothing, without_id=nothing)
            return {**original, "train": train}

        monkeypatch.setattr(dataset_checks, "views", all_rows)
        run = train_if_missing(learner("widedeep", "none"), shuffled, tmp_path)
        # Measured: .615, 9.7 standard errors.
        with pytest.raises(LeakError, match=r"widedeep.none: AUC of new users is 0\.[56]"):
            check_chance(run)

    def test_when_the_label_is_among_the_features(
        self, shuffled: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        gather = Batches.gather

        def gather_with_label(this: Batches, rows: Any) -> Any:
            batch = gather(this, rows)
            return {**batch, "dense": batch["click"][:, None]}

        monkeypatch.setattr(Batches, "gather", gather_with_label)
        run = train_if_missing(learner("base", "none"), shuffled, tmp_path)
        with pytest.raises(LeakError, match=r"base.none: AUC of new users is"):
            check_chance(run)
