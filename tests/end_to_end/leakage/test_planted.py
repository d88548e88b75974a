"""Each planted leak must set off its alarm."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mailcli.config import RunConfig
from mailcli.data.dataset import Dataset
from mailcli.data.protocol import View, views
from mailcli.experiments.cells import train_if_missing
from mailcli.models.step import Step
from mailcli.preprocessing import history_writer
from mailcli.preprocessing.histories import history_bounds
from mailcli.preprocessing.pipeline import PreprocessOptions, preprocess
from mailcli.preprocessing.vocabulary import VocabularyBuilder
from mailcli.training import dataset_checks
from tests.helpers.leakage import LeakError, Watch, check_vocabularies
from tests.helpers.leakage_runs import EPOCHS, config, replace_columns
from tests.helpers.leakage_truth import Draw, Truth

#: Leaks: the protocol under which it is one, and what the alarm says.
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

    def replace_view(split: str, view: Callable[[dict[str, View]], View]) -> None:
        def changed_views(dataset: Dataset, config: RunConfig) -> dict[str, View]:
            original = views(dataset, config)
            return {**original, split: view(original)}

        monkeypatch.setattr(dataset_checks, "views", changed_views)

    step = Step.__call__
    if leak == "the test day is trained on":
        replace_view("train", lambda original: original["test"])
    elif leak == "validation is trained on":
        replace_view("train", lambda original: original["validation"])
    elif leak == "the test chooses the best epoch":
        replace_view("validation", lambda original: original["test"])
    elif leak == "new users are trained on":
        rows = np.arange(len(dataset.column("train", "user")))
        replace_view("train", lambda original: original["train"]._replace(rows=rows))
    elif leak == "new users keep their behaviors":
        # All but one of them: a run without new users is rejected.
        def one_new_user(original: dict[str, View]) -> View:
            new = original["train"].new
            return original["train"]._replace(new=new & (np.cumsum(new) == 1))

        replace_view("train", one_new_user)
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

        def first_row_twice(original: dict[str, View]) -> View:
            rows = original["train"].rows.copy()
            rows[0] = rows[1]
            return original["train"]._replace(rows=rows)

        replace_view("train", first_row_twice)


@pytest.mark.parametrize("leak", PLANTED)
def test_the_alarm_rings(
    leak: str, late: Dataset, truth: Truth, draws: dict[str, Draw], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    protocol, message = PLANTED[leak]
    plant(leak, late, monkeypatch)
    watch = Watch(monkeypatch, late, truth, draws[protocol])

    def run() -> None:
        train_if_missing(config(method="none", protocol=protocol, epochs=EPOCHS), late, tmp_path)
        watch.check(EPOCHS)

    with pytest.raises(LeakError, match=message):
        run()


def test_the_alarm_of_a_fit_rings(
    late: Dataset, truth: Truth, draws: dict[str, Draw], runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ranker is trained correctly; only the method is fitted to all users of the training days."""
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

    def look_ahead(b_row: Any, b_time: Any, row: Any, time: Any) -> Any:
        return history_bounds(b_row, b_time, row, time + 3600)

    monkeypatch.setattr(history_writer, "history_bounds", look_ahead)
    dataset = preprocess("alimama", late_raw, tmp_path, "late", PreprocessOptions(history=20))
    Watch(monkeypatch, dataset, truth, draws["paper"])
    with pytest.raises(LeakError, match="behavior that is hidden or not earlier"):
        train_if_missing(config(method="none"), dataset, tmp_path / "runs")


def test_the_alarm_of_a_vocabulary_of_all_days_rings(
    late_raw: Path, truth: Truth, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = VocabularyBuilder.codes

    def codes_and_see_all(this: VocabularyBuilder, column: Any) -> Any:
        codes = original(this, column)
        this.see(codes, np.ones(len(codes), bool))
        return codes

    monkeypatch.setattr(VocabularyBuilder, "codes", codes_and_see_all)
    dataset = preprocess("alimama", late_raw, tmp_path, "late", PreprocessOptions(history=20))
    with pytest.raises(LeakError, match="vocabulary user has [0-9]+ values that the training days do not show"):
        check_vocabularies(dataset, truth)
