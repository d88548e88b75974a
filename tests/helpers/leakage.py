"""Alarms that ring when a model is shown more than the raw files allow."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mailcli.data.batches import Batches
from mailcli.data.dataset import Dataset
from mailcli.data.schema import SPLITS
from mailcli.models.batch_spec import to_tensors
from mailcli.models.contracts import TrainingData
from mailcli.models.embedding import FeatureEmbedding
from mailcli.models.features import Features
from mailcli.models.step import Step
from mailcli.training import loop, scorer, train, two_stage
from mailcli.training.audit_scores import audit_run
from mailcli.training.evaluate import check_selectable
from mailcli.training.scorer import Scorer
from tests.helpers.leakage_truth import ACTIONS, ATTRIBUTES, CONTEXT, STEP, TARGET, Draw, Shown, Truth, Value, Values


class LeakError(Exception):
    """A model was shown, or was about to be shown, what it must not see."""


class Decoder:
    """Turns the ids of a batch back into raw values."""

    def __init__(self, dataset: Dataset) -> None:
        self._raw = dataset.column("users", "raw").tolist()
        # Id 0 is padding, id 1 is unknown.
        self._values: dict[str, list[Value]] = {
            name: ["padding", None, *dataset.column("vocabularies", name).tolist()]
            for name in dataset.schema.vocabularies()
        }

    def batch(self, batch: Any) -> list[Shown]:
        """The impressions of a batch."""
        part = {name: np.asarray(array) for name, array in batch.items()}
        return [
            Shown(
                self._raw[user],
                self._of(ATTRIBUTES, attributes),
                tuple((ACTIONS[a - 2], *self._of(STEP, s)) for a, s in zip(actions, steps, strict=True) if a),
                self._of(CONTEXT, context),
                self._of(TARGET, target),
                int(click),
            )
            for user, attributes, steps, actions, context, target, click in zip(
                *(part[name].tolist() for name in ("user", "attributes", "behaviors", "actions", "context", "target")),
                part["click"].tolist(),
                strict=True,
            )
        ]

    def features(self, features: Features, clicks: NDArray, starts: dict[str, int]) -> list[Shown]:
        """The impressions in embedded features, without the brands of their steps.

        Args:
            features: the embedded features.
            clicks: their labels.
            starts: the first row of each vocabulary in the shared table.
        """
        names = (*ATTRIBUTES, *CONTEXT, *TARGET)
        ids = features.table_rows.numpy() - np.array([starts[name] for name in names])
        one, two = len(ATTRIBUTES), len(ATTRIBUTES) + len(CONTEXT)
        return [
            Shown(
                self._raw[user],
                self._of(ATTRIBUTES, row[:one]),
                tuple((ACTIONS[a - 2], *self._of(STEP[:1], [c])) for a, c in zip(actions, steps, strict=True) if a),
                self._of(CONTEXT, row[one:two]),
                self._of(TARGET, row[two:]),
                int(click),
            )
            for user, row, steps, actions, click in zip(
                features.user.numpy().tolist(),
                ids.tolist(),
                features.step_ids.numpy().tolist(),
                features.action_ids.numpy().tolist(),
                clicks.tolist(),
                strict=True,
            )
        ]

    def _of(self, names: tuple[str, ...], ids: list[int]) -> Values:
        return tuple(self._values[name][i] for name, i in zip(names, ids, strict=True))


class Watch:
    """Watches runs: every training step, every fit, every score, every column that is read.

    Args:
        monkeypatch: installs the hooks.
        dataset: the dataset.
        truth: what the dataset's raw files allow to be shown.
        draw: the new users by the runs' protocol and seed.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, dataset: Dataset, truth: Truth, draw: Draw) -> None:
        self._decoder = Decoder(dataset)
        self._draw = draw
        self._expected = {split: truth.expected(split, draw) for split in SPLITS}
        self._strict = draw.protocol == "strict"
        allowed = self._expected["train"]
        self._trainable = {form for shown in allowed for form in forms(shown)} if self._strict else set(allowed)
        self._fittable = {shown.without_brands() for shown in self._trainable}
        self.trained: Counter[Shown] = Counter()
        self.scored: dict[str, Counter[Shown]] = {split: Counter() for split in SPLITS}
        self.fitted = 0
        """Number of impressions that two-stage methods were fitted to."""
        self._open = ""
        """The split that is being scored or evaluated."""
        self._tested = False
        self._hook(monkeypatch)

    def _hook(self, monkeypatch: pytest.MonkeyPatch) -> None:
        step, score, read = Step.__call__, Scorer.__call__, Dataset.column

        def spied_step(this: Step, batch: Any) -> Any:
            self._train(self._decoder.batch(batch))
            return step(this, batch)

        def spied_score(this: Scorer, batches: Batches, title: str) -> Any:
            with self._opened(batches.view.split):
                return score(this, batches, title)

        def spied_read(this: Dataset, table: str, name: str) -> Any:
            if table in SPLITS[1:] and table != self._open:
                raise LeakError(f"{table}/{name} is read and {self._open or 'no split'} is being scored")
            return read(this, table, name)

        def spied_batch(batch: Any) -> Any:
            self.scored[self._open].update(self._decoder.batch(batch))
            return to_tensors(batch)

        monkeypatch.setattr(Step, "__call__", spied_step)
        monkeypatch.setattr(Scorer, "__call__", spied_score)
        monkeypatch.setattr(Dataset, "column", spied_read)
        monkeypatch.setattr(scorer, "to_tensors", spied_batch)
        for module in (loop, train, two_stage):
            monkeypatch.setattr(module, "measure", self._spied_measure(module.measure))
        monkeypatch.setattr(train, "audit_run", self._spied_audit(audit_run))
        monkeypatch.setattr(train, "check_selectable", self._spied_check(check_selectable))
        monkeypatch.setattr(two_stage, "training_data", self._spied_data(two_stage.training_data))

    def _spied_measure(self, measure: Any) -> Any:
        def spied(dataset: Dataset, view: Any, scores: Any) -> Any:
            with self._opened(view.split):
                return measure(dataset, view, scores)

        return spied

    def _spied_check(self, check: Any) -> Any:
        """It looks whether the validation split has both labels, before anything is trained."""

        def spied(dataset: Dataset, view: Any, users: str) -> None:
            with self._opened(view.split):
                check(dataset, view, users)

        return spied

    def _spied_audit(self, audit: Any) -> Any:
        """It alone shows what is hidden from the model, so it must come last."""

        def spied(*arguments: Any) -> Any:
            if not self.scored["test"]:
                raise LeakError("an audit comes before the test split was scored")
            with self._opened("test"):
                return audit(*arguments)

        return spied

    def _spied_data(self, training_data: Any) -> Any:
        def spied(model: Any, *arguments: Any) -> TrainingData:
            data: TrainingData = training_data(model, *arguments)
            self._fit(data, model.embedding)

            def gather(places: NDArray[np.int64]) -> Features:
                features = data.gather(places)
                self._check_fit(features, data.clicks[places], model.embedding)
                return features

            return data._replace(gather=gather)

        return spied

    @contextmanager
    def _opened(self, split: str) -> Iterator[None]:
        self._open, before = split, self._open
        self._tested = self._tested or split == "test"
        try:
            yield
        finally:
            self._open = before

    def _train(self, batch: list[Shown]) -> None:
        if self._tested:
            raise LeakError("a training step comes after the test split was scored")
        for shown in batch:
            if shown not in self._trainable:
                raise LeakError(self._reason(shown))
        self.trained.update(batch)

    def _reason(self, shown: Shown) -> str:
        """Why a training step must not show this."""
        if self._strict and shown.user in self._draw.new:
            return f"a training step shows a new user: {shown}"
        without_history = shown._replace(steps=())
        if any(without_history == allowed._replace(steps=()) for allowed in self._expected["train"]):
            return f"a training step shows behavior that is hidden or not earlier: {shown}"
        return f"a training step shows an impression that the training days do not have: {shown}"

    def _fit(self, data: TrainingData, embedding: FeatureEmbedding) -> None:
        """A two-stage method may see each training impression once, and nothing else."""
        if self._tested:
            raise LeakError("a method is fitted after the test split was scored")
        fitted: Counter[Shown] = Counter()
        start = 0
        for features in data.features():
            end = start + len(features.user)
            fitted.update(self._decoder.features(features, data.clicks[start:end], embedding.first_row))
            start = end
        self.fitted += start
        self._check_training("a method is fitted to", fitted, brandless(self._expected["train"]), 1)
        self._known_users = {shown.attributes[0] for shown in fitted}
        old = sum(count for shown, count in fitted.items() if shown.steps)
        if data.old.sum() != old:
            raise LeakError(f"{data.old.sum()} impressions count as those of old users. Expected {old}")

    def _check_fit(self, features: Features, clicks: NDArray, embedding: FeatureEmbedding) -> None:
        for shown in self._decoder.features(features, clicks, embedding.first_row):
            if shown not in self._fittable:
                raise LeakError(f"a method is fitted to what no training impression shows: {shown}")

    def check(self, epochs: int) -> None:
        """Check that a run has shown each training impression once per epoch, and the other splits as they are.

        Args:
            epochs: 0 for a two-stage method, which takes no step and is validated once.
        """
        self._check_training("training shows", self.trained, self._expected["train"], epochs)
        if epochs:
            self._known_users = {shown.attributes[0] for shown in self.trained}
        compare("validation shows", self.scored["validation"], self._scorable("validation"), max(epochs, 1))
        compare("the test shows", self.scored["test"], self._scorable("test"))

    def _check_training(self, what: str, actual: Counter[Shown], once: Counter[Shown], times: int) -> None:
        """Each impression as often as expected; under `strict`, always in the same form, and enough in each form."""
        if not self._strict:
            compare(what, actual, once, times)
            return
        compare(what, formless(actual), formless(once), times)
        if not times:
            return
        if any(count % times for count in actual.values()):
            raise LeakError(f"{what} an impression in another form than before")
        whole = sum(count for shown, count in actual.items() if shown.attributes[0] is not None)
        share = whole / actual.total()
        # .6 of .9, less what the raw files do not tell about a user.
        if not 0.45 < share < 0.6:
            raise LeakError(f"{what} {share:.0%} of the impressions with their user id. Expected 54%")

    def _scorable(self, split: str) -> Counter[Shown]:
        """What scoring a split shows; under `strict`, the ids of users of whom training shows none are unknown."""
        if not self._strict:
            return self._expected[split]
        result: Counter[Shown] = Counter()
        for shown, count in self._expected[split].items():
            known = shown.attributes[0] in self._known_users
            result[shown if known else shown._replace(attributes=(None, *shown.attributes[1:]))] += count
        return result


def forms(shown: Shown) -> list[Shown]:
    """An impression as `strict` may train on it: whole, without its user id, or as a new user's."""
    unknown = shown._replace(attributes=(None, *shown.attributes[1:]))
    return [shown, unknown, unknown._replace(steps=())]


def formless(counts: Counter[Shown]) -> Counter[Shown]:
    """The same impressions without what `strict` may hide in training."""
    result: Counter[Shown] = Counter()
    for shown, count in counts.items():
        result[forms(shown)[-1]] += count
    return result


def brandless(counts: Counter[Shown]) -> Counter[Shown]:
    """The same impressions as far as Features show them."""
    result: Counter[Shown] = Counter()
    for shown, count in counts.items():
        result[shown.without_brands()] += count
    return result


def compare(what: str, actual: Counter[Shown], once: Counter[Shown], times: int = 1) -> None:
    """Raise LeakError if impressions were not shown exactly as often as expected."""
    expected = Counter({shown: times * count for shown, count in once.items()})
    extra, missing = actual - expected, expected - actual
    if extra or missing:
        example = next(iter(extra or missing))
        raise LeakError(f"{what} {extra.total()} impressions too many and {missing.total()} too few, e.g. {example}")


def check_vocabularies(dataset: Dataset, truth: Truth) -> None:
    """Raise LeakError if a vocabulary differs from the values of training impressions and their histories."""
    for name in dataset.schema.vocabularies():
        values = set(dataset.column("vocabularies", name).tolist())
        if values != truth.known[name]:
            extra = len(values - truth.known[name])
            raise LeakError(
                f"vocabulary {name} has {extra} values that the training days do not show, of {len(values)}"
            )


def check_rows(dataset: Dataset, before: NDArray, after: NDArray, trained: Iterable[Shown]) -> set[int]:
    """Raise LeakError if a row of the shared table has changed that no training step used; returns the changed rows."""
    start, size = 0, dataset.vocabulary_sizes
    starts: dict[str, int] = {}
    for name in dataset.schema.vocabularies():
        starts[name] = start
        start += size[name]
    ids: dict[str, dict[Value, int]] = {
        name: {None: 1} | {value: 2 + i for i, value in enumerate(dataset.column("vocabularies", name).tolist())}
        for name in starts
    }
    allowed = set(range(start, len(before)))  # the actions
    for shown in trained:
        parts = [(ATTRIBUTES, shown.attributes), (CONTEXT, shown.context), (TARGET, shown.target)]
        for names, values in [*parts, *((STEP, step[1:]) for step in shown.steps)]:
            pairs = zip(names, values, strict=True)
            allowed.update(starts[name] + ids[name][value] for name, value in pairs)
    moved = set(np.flatnonzero((before != after).any(axis=1)).tolist())
    if moved - allowed:
        row = min(moved - allowed)
        name = max((name for name in starts if starts[name] <= row), key=lambda name: starts[name])
        raise LeakError(
            f"{len(moved - allowed)} embeddings have moved unseen, e.g. {name} with the id {row - starts[name]}"
        )
    return moved
