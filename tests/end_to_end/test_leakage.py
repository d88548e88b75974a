"""Leakage alarms: nothing of the test, of later days or of later behavior reaches training; each is shown to ring."""

from __future__ import annotations

import csv
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from mailcli.config import RunConfig, make_config
from mailcli.data.batches import Batches
from mailcli.data.dataset import Dataset
from mailcli.data.protocol import View, views
from mailcli.data.schema import SPLITS
from mailcli.experiments.cells import train_if_missing
from mailcli.models.factory import make_model
from mailcli.models.step import Step
from mailcli.preprocessing import history_writer
from mailcli.preprocessing.histories import history_bounds
from mailcli.preprocessing.pipeline import Options, preprocess
from mailcli.preprocessing.vocabulary import VocabularyBuilder
from mailcli.simulation.alimama import simulate_alimama
from mailcli.simulation.world import Settings
from mailcli.training import train
from mailcli.training.run_folder import Run
from tests.helpers.alimama import DAY, START
from tests.helpers.leakage import Draw, LeakError, Truth, Watch, check_rows, check_vocabularies
from tests.helpers.models import COLD_STARTS, QUICK, RANKERS
from tests.helpers.oracles import read_csv

EPOCHS = 2
#: Small, for speed; the share of new users is the paper's.
SMALL: dict[str, Any] = {
    "data": "late",
    "history": 20,
    "embedding_dim": 8,
    "batch_size": 256,
    "new_share": 0.4,
}
TWO_STAGE = ("conse", "eszsl", "llae", "metaemb")
PROTOCOLS = ("paper", "strict")
#: Days 1-6 train: from here on nothing may reach training.
LATER = START + 6 * DAY
#: Added to raw ids to make others (ours: far above those that are simulated).
OTHER = 1_000_000


def config(ranker: str = "base", method: str = "mail", **more: Any) -> RunConfig:
    cell = {"ranker": ranker, "cold_start": method}
    return make_config([SMALL, cell, QUICK.get(ranker, {}), QUICK.get(method, {}), more])


def write_another_future(raw: Path, out: Path) -> None:
    """A copy of the raw files where days 7 and 8 are others: labels, ads, places, users, behavior, and their features.

    The simulator's few ads all occur in training; here a third of the later impressions is of ads that do not.
    """
    out.mkdir(parents=True)
    sample, ads, profiles, log = (
        read_csv(raw / f"{stem}.csv") for stem in ("raw_sample", "ad_feature", "user_profile", "behavior_log")
    )
    for place, row in enumerate(sample):
        if int(row["time_stamp"]) < LATER:
            continue
        if place % 2:
            row["clk"], row["nonclk"] = row["nonclk"], row["clk"]
        if place % 3 == 0:
            row["adgroup_id"] = other(row["adgroup_id"])
        if place % 5 == 0:
            row["user"] = other(row["user"])
        if place % 7 == 0:
            row["pid"] = "430549_1007"
    ads += [{**{key: other(value) for key, value in row.items()}, "price": "99999.0"} for row in ads]
    profiles += [{**row, "userid": other(row["userid"]), "cms_segid": "999"} for row in profiles]
    for place, row in enumerate(log[:]):
        if int(row["time_stamp"]) >= LATER:
            row["btag"] = "buy"
            if place % 2:
                row["cate"], row["brand"] = other(row["cate"]), other(row["brand"])
        log.append({**row, "user": other(row["user"])})
    for stem, rows in (("raw_sample", sample), ("ad_feature", ads), ("user_profile", profiles), ("behavior_log", log)):
        write_csv(out / f"{stem}.csv", rows)


def other(text: str) -> str:
    return text if text == "NULL" else str(int(float(text)) + OTHER)


def write_csv(path: Path, rows: list[dict[str, str]]) -> None:
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


@pytest.fixture(scope="module")
def late_raw(simulated_raw: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("late") / "raw"
    write_another_future(simulated_raw, folder)
    return folder


@pytest.fixture(scope="module")
def late(late_raw: Path) -> Dataset:
    """The dataset of another future."""
    return preprocess("alimama", late_raw, late_raw.parent, "late", Options(history=20))


@pytest.fixture(scope="module")
def usual(simulated_raw: Path, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """The dataset of the simulated files as they are, by the same name."""
    return preprocess("alimama", simulated_raw, tmp_path_factory.mktemp("usual"), "late", Options(history=20))


@pytest.fixture(scope="module")
def truth(late_raw: Path) -> Truth:
    return Truth(late_raw, n_v=20)


@pytest.fixture(scope="module")
def draws(truth: Truth) -> dict[str, Draw]:
    return {protocol: Draw.of(truth.users, protocol, seed=0, share=0.4) for protocol in PROTOCOLS}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for runs on the dataset `late`, so that two-stage methods share the run of their ranker."""
    return tmp_path_factory.mktemp("runs")


def weights_of(run: Run) -> dict[str, np.ndarray]:
    """The arrays of the best epoch."""
    found: dict[str, np.ndarray] = {}
    with h5py.File(run.weights) as file:
        file.visititems(lambda name, item: found.update({name: item[()]} if hasattr(item, "dtype") else {}))
    return found


class TestWhatIsShown:
    """Batches, against the raw files."""

    def test_the_files_have_what_the_alarms_look_for(self, truth: Truth, draws: dict[str, Draw]) -> None:
        """Impressions of the test day by what is unknown in them, counted once."""
        assert [sum(each.split == split for each in truth.impressions) for split in SPLITS] == [5483, 960, 827]
        expected = truth.expected("test", draws["paper"])
        unknown = {
            name: sum(n for each, n in expected.items() if getattr(each, part)[place] is None)
            for name, part, place in (
                ("user", "attributes", 0),
                ("cms_segid", "attributes", 1),
                ("pid", "context", 0),
                ("item", "target", 0),
                ("cate", "target", 1),
                ("customer", "target", 4),
            )
        }
        assert unknown == {"user": 189, "cms_segid": 268, "pid": 108, "item": 284, "cate": 284, "customer": 284}
        assert sum(n for each, n in expected.items() if any(step[1] is None for step in each.steps)) == 138

    @pytest.mark.parametrize("protocol", PROTOCOLS)
    def test_a_step_sees_the_training_days_and_nothing_else(
        self,
        protocol: str,
        late: Dataset,
        truth: Truth,
        draws: dict[str, Draw],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        check_vocabularies(late, truth)
        watch = Watch(monkeypatch, late, truth, draws[protocol])
        run = train_if_missing(config(protocol=protocol, epochs=EPOCHS), late, tmp_path)
        watch.check(EPOCHS)
        model = make_model(late, run.config)
        before = model.embedding.table.numpy()
        run.restore(model)
        after = model.embedding.table.numpy()
        assert len(check_rows(late, before, after, watch.trained)) > 1000
        # Row 0 is the users' padding; row 1 the unknown user, whom training shows under `strict` alone.
        after[int(protocol == "paper")] += 1
        with pytest.raises(LeakError, match="1 embeddings have moved unseen, e.g. user with the id [01]"):
            check_rows(late, before, after, watch.trained)

    @pytest.mark.parametrize(("method", "protocol"), [*((name, "paper") for name in TWO_STAGE), ("metaemb", "strict")])
    def test_a_two_stage_method_is_fitted_to_the_same(
        self,
        method: str,
        protocol: str,
        late: Dataset,
        truth: Truth,
        draws: dict[str, Draw],
        runs: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        settings = config(method=method, protocol=protocol, epochs=1)
        train_if_missing(settings.baseline(), late, runs)
        watch = Watch(monkeypatch, late, truth, draws[protocol])
        train_if_missing(settings, late, runs)
        watch.check(epochs=0)
        assert watch.fitted == truth.expected("train", draws[protocol]).total()


#: A leak, the protocol under which it is one, and what the alarm says.
PLANTED: dict[str, tuple[str, str]] = {
    "the test day is trained on": ("paper", "test/user is read and no split is being scored"),
    "validation is trained on": ("paper", "validation/user is read and no split is being scored"),
    "test impressions stand among the training ones": ("paper", "an impression that the training days do not have"),
    "new users are trained on": ("strict", "a training step shows a new user"),
    "new users keep their behaviors": ("paper", "behavior that is hidden or not earlier"),
    "histories end one later": ("paper", "behavior that is hidden or not earlier"),
    "the test chooses the best epoch": ("paper", "a training step comes after the test split was scored"),
    "a step looks at the test's labels": ("paper", "test/click is read and no split is being scored"),
    "an impression is trained on twice": ("paper", "training shows 2 impressions too many and 2 too few"),
}


def plant(leak: str, dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a leak into the runs on a dataset."""

    def change(of: Callable[[dict[str, View]], dict[str, View]]) -> None:
        monkeypatch.setattr(train, "views", lambda dataset, config: of(views(dataset, config)))

    step = Step.__call__
    if leak == "the test day is trained on":
        change(lambda found: {**found, "train": found["test"]})
    elif leak == "validation is trained on":
        change(lambda found: {**found, "train": found["validation"]})
    elif leak == "the test chooses the best epoch":
        change(lambda found: {**found, "validation": found["test"]})
    elif leak == "new users are trained on":
        change(
            lambda found: {
                **found,
                "train": found["train"]._replace(rows=np.arange(len(dataset.column("train", "user")))),
            }
        )
    elif leak == "new users keep their behaviors":
        # All but one of them: a run where nobody is new is refused.
        def shown(found: dict[str, View]) -> dict[str, View]:
            new = found["train"].new
            return {**found, "train": found["train"]._replace(new=new & (np.cumsum(new) == 1))}

        change(shown)
    elif leak == "test impressions stand among the training ones":
        names = [path.stem for path in (dataset.folder / "train").glob("*.npy")]
        replace_columns(
            monkeypatch,
            {
                f"train/{name}": np.r_[dataset.column("test", name)[:300], dataset.column("train", name)[300:]]
                for name in names
            },
        )
    elif leak == "histories end one later":
        last = dataset.offsets[dataset.column("train", "user") + 1]
        later = np.minimum(dataset.column("train", "history_end") + 1, last)
        replace_columns(monkeypatch, {"train/history_end": later})
    elif leak == "a step looks at the test's labels":

        def peek(this: Step, batch: Any) -> Any:
            dataset.column("test", "click")
            return step(this, batch)

        monkeypatch.setattr(Step, "__call__", peek)
    elif leak == "an impression is trained on twice":

        def twice(found: dict[str, View]) -> dict[str, View]:
            rows = found["train"].rows.copy()
            rows[0] = rows[1]
            return {**found, "train": found["train"]._replace(rows=rows)}

        change(twice)


def replace_columns(monkeypatch: pytest.MonkeyPatch, columns: dict[str, np.ndarray]) -> None:
    """Let datasets give other columns than they have; on the disk, checksums would tell."""
    column = Dataset.column

    def read(this: Dataset, table: str, name: str) -> Any:
        return columns[f"{table}/{name}"] if f"{table}/{name}" in columns else column(this, table, name)

    monkeypatch.setattr(Dataset, "column", read)


@pytest.mark.parametrize("leak", PLANTED)
def test_the_alarm_rings(
    leak: str, late: Dataset, truth: Truth, draws: dict[str, Draw], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    protocol, told = PLANTED[leak]
    plant(leak, late, monkeypatch)
    watch = Watch(monkeypatch, late, truth, draws[protocol])

    def run() -> None:
        train_if_missing(config(method="none", protocol=protocol, epochs=EPOCHS), late, tmp_path)
        watch.check(EPOCHS)

    with pytest.raises(LeakError, match=told):
        run()


def test_the_alarm_of_a_fit_rings(
    late: Dataset, truth: Truth, draws: dict[str, Draw], runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ranker is trained as it should be; the method alone is shown all users of the training days."""
    settings = config(method="llae", protocol="strict", epochs=1)
    baseline = train_if_missing(settings.baseline(), late, runs)
    shutil.copytree(baseline.folder, tmp_path / baseline.folder.relative_to(runs))
    plant("new users are trained on", late, monkeypatch)
    Watch(monkeypatch, late, truth, draws["strict"])
    with pytest.raises(LeakError, match="a method is fitted to [0-9]+ impressions too many and 0 too few"):
        train_if_missing(settings, late, tmp_path)


def test_the_alarm_of_a_look_ahead_in_preprocessing_rings(
    late_raw: Path,
    truth: Truth,
    draws: dict[str, Draw],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Histories that reach an hour beyond the impression."""

    def ahead(b_row: Any, b_time: Any, row: Any, time: Any) -> Any:
        return history_bounds(b_row, b_time, row, time + 3600)

    monkeypatch.setattr(history_writer, "history_bounds", ahead)
    dataset = preprocess("alimama", late_raw, tmp_path, "late", Options(history=20))
    Watch(monkeypatch, dataset, truth, draws["paper"])
    with pytest.raises(LeakError, match="behavior that is hidden or not earlier"):
        train_if_missing(config(method="none"), dataset, tmp_path / "runs")


def test_the_alarm_of_a_vocabulary_of_all_days_rings(
    late_raw: Path, truth: Truth, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    codes = VocabularyBuilder.codes

    def seen(this: VocabularyBuilder, column: Any) -> Any:
        found = codes(this, column)
        this.see(found, np.ones(len(found), bool))
        return found

    monkeypatch.setattr(VocabularyBuilder, "codes", seen)
    dataset = preprocess("alimama", late_raw, tmp_path, "late", Options(history=20))
    with pytest.raises(LeakError, match="vocabulary user has [0-9]+ values that the training days do not show"):
        check_vocabularies(dataset, truth)


class TestAnotherFuture:
    """With other validation and test days the losses of every step and the weights are the same bits.

    Whatever way a leak might take: nothing of what is trained depends on a later day. One epoch, because which of
    several is the best is for validation to say.
    """

    @pytest.mark.parametrize(
        ("ranker", "method", "protocol"),
        [
            ("base", "mail", "strict"),
            ("base", "metaemb", "paper"),
            pytest.param("dmr", "cvae", "paper", marks=pytest.mark.slow),
            *(
                pytest.param("base", method, "paper", marks=pytest.mark.slow)
                for method in TWO_STAGE
                if method != "metaemb"
            ),
        ],
    )
    def test_changes_nothing(
        self, ranker: str, method: str, protocol: str, usual: Dataset, late: Dataset, runs: Path
    ) -> None:
        settings = config(ranker, method, protocol=protocol, epochs=1)
        check_same(
            *(train_if_missing(settings, dataset, runs / name) for name, dataset in (("usual", usual), (".", late)))
        )

    def test_the_alarm_rings(self, usual: Dataset, runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Prices that are standardised a little differently, as over all days they would be."""
        settings = config(method="none", epochs=1)
        one = train_if_missing(settings, usual, runs / "usual")
        replace_columns(monkeypatch, {"items/price": usual.column("items", "price") * np.float32(1.001)})
        two = train_if_missing(settings, usual, tmp_path)
        with pytest.raises(LeakError, match="step 1 has other losses"):
            check_same(one, two)


def check_same(one: Run, two: Run) -> None:
    """Ring when two runs differ in a loss or a weight."""
    for first, second in zip(one.history(), two.history(), strict=True):
        if "step" in first and first != second:
            raise LeakError(f"step {first['step']} has other losses: {first} and {second}")
    weights, others = weights_of(one), weights_of(two)
    differ = [name for name in weights.keys() | others.keys() if not np.array_equal(weights[name], others[name])]
    if differ:
        raise LeakError(f"other weights: {differ}")


#: How far from .5 an AUC may be, in standard errors. 64 cells, 2 protocols, 3 groups, and again of conversions for one
#: ranker of 8: 432 numbers, each beyond 4.5 with probability 6.8e-6 under the null, hence any with at most .3 %.
ERRORS = 4.5
#: Seed of the labels that carry no information (ours).
LABELS_SEED = 0
#: A quick learner for its single epoch: ten times the paper's rates, so that it would remember what it is shown.
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
    cell = {"ranker": ranker, "cold_start": method, "protocol": protocol}
    return make_config([LEARNER, cell, QUICK.get(ranker, {}), QUICK.get(method, {})])


def shuffle_labels(raw: Path, out: Path) -> None:
    """A copy of the raw files where a random half of each split's impressions is clicked, half of these bought.

    A permutation within each split over all of its impressions, apart from that of every other split. Given whatever
    was trained on, each way to place the test's clicks is then as likely as any other, among any of its impressions:
    the expected AUC is .5 exactly, and its variance that of the Mann-Whitney statistic. Were each user's or item's
    clicks kept, its rate in training would foretell that of the test, and an AUC above .5 would be no leak. Half are
    clicks instead of one in twenty, because that halves the standard error.
    """
    out.mkdir()
    for stem in ("ad_feature", "user_profile", "behavior_log"):
        shutil.copy(raw / f"{stem}.csv", out)
    rows = read_csv(raw / "raw_sample.csv")
    rng = np.random.default_rng(LABELS_SEED)
    day = (np.array([int(row["time_stamp"]) for row in rows]) - START) // DAY
    for split in (day < 6, day == 6, day == 7):
        for rank, place in enumerate(rng.permutation(np.flatnonzero(split)).tolist()):
            click = rank < split.sum() // 2
            bought = rank < split.sum() // 4
            rows[place].update(clk=str(int(click)), nonclk=str(int(not click)), buy=str(int(bought)))
    write_csv(out / "raw_sample.csv", rows)


@pytest.fixture(scope="module")
def shuffled(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """800 simulated users with labels that carry no information."""
    folder = tmp_path_factory.mktemp("shuffled")
    simulate_alimama(Settings(users=800, seed=2, behaviors_per_user=10, conversions=True), folder / "usual")
    shuffle_labels(folder / "usual", folder / "raw")
    return preprocess("alimama", folder / "raw", folder, "shuffled", Options(history=10))


def check_chance(run: Run) -> int:
    """Ring when an AUC of new, old or all users is not .5 within its interval; how many were looked at.

    The standard error of the AUC of n₁ clicks and n₀ others is √((n₁ + n₀ + 1) / (12 n₁ n₀)) under the null, less with
    ties. The group `natural` is too small for the normal distribution.
    """
    assert run.result is not None
    looked = 0
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
            looked += 1
    return looked


#: What the default suite has: each way in which a method is trained. The slow one has every cell, under both protocols.
QUICK_CELLS = {("base", "mail"), ("dmr", "none"), ("base", "metaemb"), ("deepfm", "dropout")}


def quick_cell(ranker: str, method: str, protocol: str) -> bool:
    """Whether the default suite has it."""
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
    # An AUC of .5 because all scores are equal would tell nothing.
    scores = np.load(run.folder / "predictions.npy")
    assert len(np.unique(scores)) > 2000


class TestTheAlarmOfShuffledLabelsRings:
    """With the settings of the alarm."""

    def test_when_test_impressions_are_trained_on_too(
        self, shuffled: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Of a ranker that remembers ids. BaseDNN, half of which is dropped, does not in one epoch (AUC .494)."""
        names = [path.stem for path in (shuffled.folder / "train").glob("*.npy")]
        columns = {f"train/{n}": np.r_[shuffled.column("train", n), shuffled.column("test", n)] for n in names}
        replace_columns(monkeypatch, columns)

        def every(dataset: Dataset, settings: RunConfig) -> dict[str, View]:
            found = views(dataset, settings)
            return {**found, "train": found["train"]._replace(rows=np.arange(len(columns["train/click"])))}

        monkeypatch.setattr(train, "views", every)
        run = train_if_missing(learner("widedeep", "none"), shuffled, tmp_path)
        # Measured: .615, 9.7 standard errors.
        with pytest.raises(LeakError, match=r"widedeep.none: AUC of new users is 0\.[56]"):
            check_chance(run)

    def test_when_the_label_is_among_the_features(
        self, shuffled: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        gather = Batches.gather

        def telling(this: Batches, rows: Any) -> Any:
            batch = gather(this, rows)
            return {**batch, "dense": batch["click"][:, None]}

        monkeypatch.setattr(Batches, "gather", telling)
        run = train_if_missing(learner("base", "mail"), shuffled, tmp_path)
        with pytest.raises(LeakError, match=r"base.mail: AUC of new users is"):
            check_chance(run)
