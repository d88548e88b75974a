"""What a model may be shown, found from the raw files without the dataset, and alarms that ring when it is shown more."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from mailcli.data.batches import Batches
from mailcli.data.dataset import Dataset
from mailcli.data.hashing import share_of_users
from mailcli.data.schema import SPLITS
from mailcli.models.batch_spec import to_tensors
from mailcli.models.contracts import TrainingData
from mailcli.models.embedding import FeatureEmbedding
from mailcli.models.features import Features
from mailcli.models.step import Step
from mailcli.training import evaluate, loop, train, two_stage
from mailcli.training.evaluate import Scorer
from tests.helpers.alimama import DAY, START
from tests.helpers.oracles import read_csv

#: Alimama's fields, as its published files name them; the last profile field has a blank in its header.
PROFILE = (
    "cms_segid",
    "cms_group_id",
    "final_gender_code",
    "age_level",
    "pvalue_level",
    "shopping_level",
    "occupation",
    "new_user_class_level",
)
AD = ("cate_id", "brand", "campaign_id", "customer")
ACTIONS = ("pv", "cart", "fav", "buy")
#: The vocabularies of a batch's columns: attributes, steps, context, target.
ATTRIBUTES = ("user", *PROFILE)
STEP = ("cate", "brand")
CONTEXT = ("pid", "hour", "weekday")
TARGET = ("item", "cate", "brand", "campaign", "customer")

Value = int | str | None
Values = tuple[Value, ...]


class LeakError(Exception):
    """An alarm: a model was shown, or was about to be shown, what it must not see."""


class Shown(NamedTuple):
    """An impression as a model sees it, in raw values; None is what counts as unknown."""

    user: int
    """Whose it is; no model sees this."""
    attributes: Values
    steps: tuple[Values, ...]
    """(action, category, brand) of each, the most recent last."""
    context: Values
    target: Values
    click: int

    def without_brands(self) -> Shown:
        """What can be told from Features: of a step its action and its first field."""
        return self._replace(steps=tuple(step[:2] for step in self.steps))


class Impression(NamedTuple):
    """A row of raw_sample.csv."""

    user: int
    time: int
    ad: int
    pid: str
    click: int

    @property
    def day(self) -> int:
        return (self.time - START) // DAY

    @property
    def split(self) -> str:
        """Days 1-6 train, 7 validates, 8 tests."""
        return SPLITS[max(self.day - 5, 0)]


class Draw(NamedTuple):
    """Whom a protocol makes new, by the hash of the raw id."""

    protocol: str
    new: set[int]
    """New users of the test."""
    playing: set[int]
    """Who plays new while training."""

    @classmethod
    def of(cls, users: Iterable[int], protocol: str, seed: int, share: float) -> Draw:
        raw = np.array(sorted(users))
        first, second = (set(raw[share_of_users(raw, share, 2 * seed + k)].tolist()) for k in (0, 1))
        return cls(protocol, first, first if protocol == "paper" else second - first)

    def hidden(self, split: str) -> set[int]:
        """Whose behaviors are hidden in a split."""
        return self.playing if split == "train" else self.new


class Truth:
    """The raw files, read with the standard library's reader, and what each impression may show."""

    def __init__(self, raw: Path, n_v: int) -> None:
        self.impressions = [
            Impression(int(row["user"]), int(row["time_stamp"]), int(row["adgroup_id"]), row["pid"], int(row["clk"]))
            for row in read_csv(raw / "raw_sample.csv")
        ]
        self.users = {each.user for each in self.impressions}
        ads = read_csv(raw / "ad_feature.csv")
        self._ads = {int(row["adgroup_id"]): tuple(number(row[key]) for key in AD) for row in ads}
        profiles = read_csv(raw / "user_profile.csv")
        self._profiles = {int(row["userid"]): tuple(number(row[key]) for key in PROFILE) for row in profiles}
        self._log: dict[int, list[tuple[int, int, int, int]]] = defaultdict(list)
        for row in read_csv(raw / "behavior_log.csv"):
            time = int(row["time_stamp"])
            # 22 days that end with the last impression day; the simulator writes a few absurd times as well.
            if START - 14 * DAY <= time < START + 8 * DAY:
                step = (time, ACTIONS.index(row["btag"]), int(row["cate"]), int(row["brand"]))
                self._log[int(row["user"])].append(step)
        for steps in self._log.values():
            steps.sort()
        self._n_v = n_v
        #: By vocabulary: what training impressions and their histories show.
        self.known: dict[str, set[Value]] = defaultdict(set)
        for each in self.impressions:
            if each.split == "train":
                shown = self._shown(each)
                self._know(ATTRIBUTES, shown.attributes)
                self._know(CONTEXT, shown.context)
                self._know(TARGET, shown.target)
                for seen in shown.steps:
                    self._know(STEP, seen[1:])

    def _know(self, names: tuple[str, ...], values: Values) -> None:
        for name, value in zip(names, values, strict=True):
            if value is not None:
                self.known[name].add(value)

    def _shown(self, each: Impression) -> Shown:
        """An impression with nothing hidden and every value known."""
        log = self._log[each.user]
        # (time,) is smaller than every step of that time: what is left of it is strictly earlier.
        end = bisect_left(log, (each.time,))
        steps = tuple((ACTIONS[a], c, b) for _, a, c, b in log[max(end - self._n_v, 0) : end])
        profile = self._profiles.get(each.user, (None,) * len(PROFILE))
        hour = (each.time - START) % DAY // 3600
        context = (each.pid, hour, each.day % 7)
        return Shown(each.user, (each.user, *profile), steps, context, (each.ad, *self._ads[each.ad]), each.click)

    def expected(self, split: str, draw: Draw) -> Counter[Shown]:
        """What a split shows under a protocol, each impression as often as the raw files have it."""
        strict = draw.protocol == "strict"
        left_out = draw.new if strict and split == "train" else set()
        return Counter(
            self._view(each, draw.hidden(split), strict)
            for each in self.impressions
            if each.split == split and each.user not in left_out
        )

    def _view(self, each: Impression, hidden: set[int], anonymous: bool) -> Shown:
        shown = self._shown(each)
        attributes = self._ids(ATTRIBUTES, shown.attributes)
        steps = tuple((step[0], *self._ids(STEP, step[1:])) for step in shown.steps)
        if each.user in hidden:
            steps = ()
            attributes = (None, *attributes[1:]) if anonymous else attributes
        target, context = self._ids(TARGET, shown.target), self._ids(CONTEXT, shown.context)
        return shown._replace(attributes=attributes, steps=steps, context=context, target=target)

    def _ids(self, names: tuple[str, ...], values: Values) -> Values:
        """Values that the vocabularies may have; None for the others."""
        pairs = zip(names, values, strict=True)
        return tuple(value if value in self.known[name] else None for name, value in pairs)


def number(text: str) -> int | None:
    """A field of whole numbers; nothing and NULL are no value."""
    return None if text in {"", "NULL"} else int(text)


class Decoder:
    """From the ids of a batch back to raw values."""

    def __init__(self, dataset: Dataset) -> None:
        self._raw = dataset.column("users", "raw").tolist()
        # Ids 0 and 1 are padding and unknown.
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
        """The impressions of embedded features, without the brands of their steps.

        Args:
            starts: where each vocabulary begins in the shared table.
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
    """Looks on while runs are made: every training step, every fit, every score, every column that is read.

    Args:
        monkeypatch: what it hooks in with.
        dataset: the dataset.
        truth: of the raw files that the dataset was made from.
        draw: of the runs' protocol and seed.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, dataset: Dataset, truth: Truth, draw: Draw) -> None:
        self._decoder = Decoder(dataset)
        self._draw = draw
        self._expected = {split: truth.expected(split, draw) for split in SPLITS}
        self._fittable = brandless(self._expected["train"])
        self.trained: Counter[Shown] = Counter()
        self.scored: dict[str, Counter[Shown]] = {split: Counter() for split in SPLITS}
        self.fitted = 0
        """Impressions that two-stage methods were given."""
        self._open = ""
        """The split that is being scored or measured."""
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
        monkeypatch.setattr(evaluate, "to_tensors", spied_batch)
        for module in (loop, train, two_stage):
            monkeypatch.setattr(module, "measure", self._spied_measure(module.measure))
        monkeypatch.setattr(two_stage, "training_data", self._spied_data(two_stage.training_data))

    def _spied_measure(self, measure: Any) -> Any:
        def spied(dataset: Dataset, view: Any, scores: Any) -> Any:
            with self._opened(view.split):
                return measure(dataset, view, scores)

        return spied

    def _spied_data(self, training_data: Any) -> Any:
        def spied(model: Any, *more: Any) -> TrainingData:
            data: TrainingData = training_data(model, *more)
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
        for each in batch:
            if each not in self._expected["train"]:
                raise LeakError(self._what(each))
        self.trained.update(batch)

    def _what(self, each: Shown) -> str:
        """Why no training impression may show this."""
        if self._draw.protocol == "strict" and each.user in self._draw.new:
            return f"a training step shows a new user: {each}"
        bare = each._replace(steps=())
        if any(bare == other._replace(steps=()) for other in self._expected["train"]):
            return f"a training step shows behavior that is hidden or not earlier: {each}"
        return f"a training step shows an impression that the training days do not have: {each}"

    def _fit(self, data: TrainingData, embedding: FeatureEmbedding) -> None:
        """All that a two-stage method may look at: each training impression once."""
        if self._tested:
            raise LeakError("a method is fitted after the test split was scored")
        found: Counter[Shown] = Counter()
        at = 0
        for features in data.features():
            end = at + len(features.user)
            found.update(self._decoder.features(features, data.clicks[at:end], embedding.first_row))
            at = end
        self.fitted += at
        compare("a method is fitted to", found, self._fittable)
        old = sum(count for each, count in self._expected["train"].items() if each.steps)
        if data.old.sum() != old:
            raise LeakError(f"{data.old.sum()} impressions count as those of old users. Expected {old}")

    def _check_fit(self, features: Features, clicks: NDArray, embedding: FeatureEmbedding) -> None:
        for each in self._decoder.features(features, clicks, embedding.first_row):
            if each not in self._fittable:
                raise LeakError(f"a method is fitted to what no training impression shows: {each}")

    def check(self, epochs: int) -> None:
        """After one run: each training impression once an epoch, and the two other splits as they are.

        Args:
            epochs: 0 of a two-stage method, which is validated once and takes no step.
        """
        compare("training shows", self.trained, self._expected["train"], epochs)
        compare("validation shows", self.scored["validation"], self._expected["validation"], max(epochs, 1))
        compare("the test shows", self.scored["test"], self._expected["test"])


def brandless(counts: Counter[Shown]) -> Counter[Shown]:
    """The same with what Features tell."""
    found: Counter[Shown] = Counter()
    for each, count in counts.items():
        found[each.without_brands()] += count
    return found


def compare(what: str, found: Counter[Shown], expected: Counter[Shown], times: int = 1) -> None:
    """Ring when two multisets differ."""
    wanted = Counter({each: times * count for each, count in expected.items()})
    extra, missing = found - wanted, wanted - found
    if extra or missing:
        example = next(iter(extra or missing))
        raise LeakError(f"{what} {extra.total()} impressions too many and {missing.total()} too few, e.g. {example}")


def check_vocabularies(dataset: Dataset, truth: Truth) -> None:
    """Ring when a vocabulary is not what training impressions and their histories show."""
    for name in dataset.schema.vocabularies():
        found = set(dataset.column("vocabularies", name).tolist())
        if found != truth.known[name]:
            extra = len(found - truth.known[name])
            raise LeakError(f"vocabulary {name} has {extra} values that the training days do not show, of {len(found)}")


def check_rows(dataset: Dataset, before: NDArray, after: NDArray, shown: Iterable[Shown]) -> set[int]:
    """Ring when a row of the shared table has moved that no training step was shown; the rows that have moved."""
    start, size = 0, dataset.vocabulary_sizes
    starts: dict[str, int] = {}
    for name in dataset.schema.vocabularies():
        starts[name] = start
        start += size[name]
    places: dict[str, dict[Value, int]] = {
        name: {None: 1} | {value: 2 + i for i, value in enumerate(dataset.column("vocabularies", name).tolist())}
        for name in starts
    }
    allowed = set(range(start, len(before)))  # the actions
    for each in shown:
        parts = [(ATTRIBUTES, each.attributes), (CONTEXT, each.context), (TARGET, each.target)]
        for names, values in [*parts, *((STEP, step[1:]) for step in each.steps)]:
            pairs = zip(names, values, strict=True)
            allowed.update(starts[name] + places[name][value] for name, value in pairs)
    moved = set(np.flatnonzero((before != after).any(axis=1)).tolist())
    if moved - allowed:
        row = min(moved - allowed)
        name = max((name for name in starts if starts[name] <= row), key=lambda name: starts[name])
        raise LeakError(
            f"{len(moved - allowed)} embeddings have moved unseen, e.g. {name} with the id {row - starts[name]}"
        )
    return moved
