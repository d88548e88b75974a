"""Simulated raw files in Alimama's form, quirks included, from a latent-interest model.

Each user has interests θ = softmax(sharpness · (√s · m(attributes) + √(1 - s) · ε)), s = `attribute_strength`.
Behaviours are drawn from θ; a click on ad j has probability sigmoid(b + gain · z(u, j) + quality_j), z the standardised
log interest in the ad's group of categories. So attributes foretell behaviour as far as s says, and behaviour clicks.

Users come in chunks with a random stream each: memory does not grow with their number, but for one number per
impression of the test day, kept for the ceiling.
"""

from __future__ import annotations

import glob
import json
import math
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from mailcli import metrics
from mailcli.engines import quoted
from mailcli.errors import MailError
from mailcli.marker import NAME as MARKER
from mailcli.marker import write_marker
from mailcli.progress import progress
from mailcli.sources.alimama import (
    ACTIONS,
    DAY,
    DAYS,
    FIRST_BEHAVIOR,
    FIRST_IMPRESSION,
    TEST_DAY,
)

# Proportions of the published files (ALIMAMA.md).
IMPRESSIONS_PER_USER = 23
ADS_PER_USER = 0.74
CTR = 0.05
CATEGORIES, BRANDS_PER_CATEGORY = 12_960, 8
NO_PROFILE = 79_961 / 1_141_729
NO_BEHAVIOR = 5_389 / 1_141_729
NULL_BRAND = 0.29
DUPLICATES = 0.07
ACTION_SHARES = np.array([688.9, 15.9, 9.3, 9.1]) / 723.2
PIDS = ("430548_1007", "430539_1007")
#: Column: (values, share of empty fields).
ATTRIBUTES = {
    "cms_segid": (97, 0.0),
    "cms_group_id": (13, 0.0),
    "final_gender_code": (2, 0.0),
    "age_level": (7, 0.0),
    "pvalue_level": (3, 0.54),
    "shopping_level": (3, 0.0),
    "occupation": (2, 0.0),
    "new_user_class_level": (4, 0.32),
}
#: Attributes that interests depend on: those that are never empty and have few values (ours).
TELLING = ("cms_group_id", "final_gender_code", "age_level", "shopping_level", "occupation")

# The latent model (ours): chosen so that the true probability reaches an AUC near .75.
INTERESTS = 16
SHARPNESS = 1.5
CLICK_GAIN = 1.0
QUALITY_SPREAD = 0.3
#: Share of impressions that were shown because of the user's interests; the others are untargeted.
TARGETED = 0.5
USERS_PER_CHUNK = 10_000
#: Bytes of one row in the files, for the check of the disk's free space.
BEHAVIOR_BYTES, IMPRESSION_BYTES = 34, 100
UNQUOTED = pyarrow.csv.WriteOptions(quoting_style="none", quoting_header="none")


@dataclass(frozen=True)
class Settings:
    """What a simulated set depends on; kept in SIMULATED.json."""

    users: int
    seed: int = 0
    behaviors_per_user: float = 100
    attribute_strength: float = 0.5

    def __post_init__(self) -> None:
        if self.users < 10:
            raise MailError(f"--users is {self.users}. Expected 10 or more.")
        if not 0 <= self.attribute_strength <= 1:
            raise MailError(f"--attribute-strength is {self.attribute_strength}. Expected a number from 0 to 1.")
        if not self.behaviors_per_user > 0:
            raise MailError(f"--behaviors-per-user is {self.behaviors_per_user}. Expected more than 0.")
        if self.seed < 0:
            raise MailError(f"--seed is {self.seed}. Expected 0 or more.")


class Summary(NamedTuple):
    """What was written, and the most that any model can reach on the test day."""

    impressions: int
    behaviors: int
    ctr: float
    ceiling_auc: float
    ceiling_gauc: float


class _Choice:
    """Draws members of groups by weight: `draw(groups, rng)` gives a member of each group."""

    def __init__(self, group: NDArray[np.int64], weight: NDArray[np.float64], groups: int) -> None:
        self.order = np.argsort(group, kind="stable")
        self.sums = np.cumsum(weight[self.order])
        ends = np.searchsorted(group[self.order], np.arange(groups), side="right") - 1
        self.high = self.sums[ends]
        self.low = np.r_[0.0, self.high[:-1]]

    def draw(self, group: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
        low, high = self.low[group], self.high[group]
        at = np.searchsorted(self.sums, low + rng.random(len(group)) * (high - low), side="right")
        return self.order[np.minimum(at, len(self.order) - 1)]


class _World:
    """All that users share: categories, ads, the meaning of attributes, the click's intercept."""

    def __init__(self, settings: Settings) -> None:
        rng = np.random.default_rng([settings.seed, 0])
        self.settings = settings
        self.ads = max(2 * INTERESTS, round(ADS_PER_USER * settings.users))
        self.categories = min(CATEGORIES, max(4 * INTERESTS, self.ads // 10))
        # The first INTERESTS categories and ads cover every interest, so that no group is empty.
        self.interest_of_category = np.arange(self.categories) % INTERESTS
        self.category = _Choice(self.interest_of_category, _zipf(self.categories, rng), INTERESTS)
        interest = np.r_[np.arange(INTERESTS), rng.integers(INTERESTS, size=self.ads - INTERESTS)]
        self.ad_category = self.category.draw(interest, rng)
        self.ad_interest = self.interest_of_category[self.ad_category]
        self.ad = _Choice(self.ad_interest, _zipf(self.ads, rng), INTERESTS)
        self.quality = rng.normal(0, QUALITY_SPREAD, self.ads)
        self.meaning = {name: rng.normal(size=(ATTRIBUTES[name][0], INTERESTS)) for name in TELLING}
        self.user_ids = rng.permutation(settings.users) + 1
        sample = self.interests(self.attributes(20_000, rng), rng)
        self.mean, self.std = np.log(sample).mean(), np.log(sample).std()
        user = rng.integers(len(sample), size=200_000)
        ad = self.show(sample[user], rng)
        self.intercept = _intercept(self.pull(sample[user], ad))

    def attributes(self, count: int, rng: np.random.Generator) -> dict[str, NDArray[np.int64]]:
        """Indices of attribute values, smaller ones more frequent."""
        return {
            name: np.minimum(rng.geometric(1.5 / values, count) - 1, values - 1)
            if values > 13
            else rng.integers(values, size=count)
            for name, (values, _) in ATTRIBUTES.items()
        }

    def interests(self, attributes: dict[str, NDArray[np.int64]], rng: np.random.Generator) -> NDArray[np.float64]:
        """[users, INTERESTS], θ of the module's formula."""
        told = sum(self.meaning[name][attributes[name]] for name in TELLING) / np.sqrt(len(TELLING))
        strength = self.settings.attribute_strength
        own = rng.normal(size=told.shape)
        power: NDArray[np.float64] = np.exp(SHARPNESS * (np.sqrt(strength) * told + np.sqrt(1 - strength) * own))
        return np.asarray(power / power.sum(axis=1, keepdims=True), np.float64)

    def show(self, theta: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.int64]:
        """[impressions], the ad shown to a user of each row of θ."""
        targeted = rng.random(len(theta)) < TARGETED
        interest = np.where(targeted, _pick(theta, rng), rng.integers(INTERESTS, size=len(theta)))
        return self.ad.draw(interest, rng)

    def pull(self, theta: NDArray[np.float64], ad: NDArray[np.int64]) -> NDArray[np.float64]:
        """The click's logit without its intercept."""
        interest = np.log(theta[np.arange(len(ad)), self.ad_interest[ad]])
        return CLICK_GAIN * (interest - self.mean) / self.std + self.quality[ad]

    def brands(self, category: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
        """A brand of each category; the first ones are the most frequent."""
        rank = np.minimum(rng.geometric(0.35, len(category)) - 1, BRANDS_PER_CATEGORY - 1)
        return category * BRANDS_PER_CATEGORY + rank + 1


def _zipf(count: int, rng: np.random.Generator) -> NDArray[np.float64]:
    return np.asarray((1.0 + rng.permutation(count)) ** -0.8, dtype=np.float64)


def _pick(theta: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.int64]:
    return np.minimum((np.cumsum(theta, axis=1) < rng.random((len(theta), 1))).sum(axis=1), INTERESTS - 1)


def _intercept(pull: NDArray[np.float64]) -> float:
    """b with mean sigmoid(b + pull) = CTR, by bisection."""
    low, high = -20.0, 20.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _sigmoid(middle + pull).mean() < CTR else (low, middle)
    return low


def _sigmoid(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return 1 / (1 + np.exp(-x))


def simulate_alimama(settings: Settings, out: Path) -> Summary:
    """Write raw_sample, ad_feature, user_profile and behavior_log.csv with SIMULATED.json into a folder.

    Raises:
        MailError: the folder holds something that is not a simulated set, or the disk is too small.
    """
    out = Path(os.path.abspath(out))
    _check_folder(settings, out)
    partial = out.with_name(f".{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        summary = _write(settings, partial)
        if out.exists():
            shutil.rmtree(out)
        partial.rename(out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return summary


def _check_folder(settings: Settings, out: Path) -> None:
    if not _may_replace(out):
        raise MailError(
            f"{out}: is not empty and was not written by `mail simulate`. Choose another folder with --out."
        )
    need = settings.users * (settings.behaviors_per_user * BEHAVIOR_BYTES + IMPRESSIONS_PER_USER * IMPRESSION_BYTES)
    parent = next(path for path in (out, *out.absolute().parents) if path.exists())
    free = shutil.disk_usage(parent).free
    if need > free:
        raise MailError(f"{out}: the files need about {need / 1e9:.1f} GB, {free / 1e9:.1f} GB are free.")


def _may_replace(out: Path) -> bool:
    """Whether the folder is missing, empty, or holds just what the simulator wrote."""
    if not out.exists() and not out.is_symlink():
        return True
    if out.is_symlink() or not out.is_dir():
        return False
    names = {path.name for path in out.iterdir()}
    if not names:
        return True
    if not (out / MARKER).is_file():
        return False
    try:
        sizes = json.loads((out / MARKER).read_text(encoding="utf-8"))["files"]
        return names == {MARKER, *sizes} and all((out / n).stat().st_size == size for n, size in sizes.items())
    except (ValueError, KeyError, TypeError, AttributeError):
        return False


def _write(settings: Settings, folder: Path) -> Summary:
    world = _World(settings)
    files = [folder / f"{stem}.csv" for stem in ("raw_sample", "ad_feature", "user_profile", "behavior_log")]
    _write_ads(world, files[1])
    truth: list[tuple[NDArray, ...]] = []
    impressions = behaviors = clicks = 0
    with (
        tempfile.TemporaryDirectory(dir=folder) as temp,
        progress("simulating", settings.users, "users") as advance,
    ):
        with _Tables(files[2], files[3], Path(temp) / "impressions.parquet") as tables:
            for chunk in _chunks(world):
                tables.write(chunk)
                test = (chunk.impressions["time_stamp"].to_numpy() - FIRST_IMPRESSION) // DAY == TEST_DAY
                clicked = chunk.impressions["clk"].to_numpy()
                truth.append((chunk.impressions["user"].to_numpy()[test], clicked[test], chunk.probability[test]))
                impressions += len(clicked)
                clicks += int(clicked.sum())
                behaviors += len(chunk.behaviors)
                advance(chunk.users)
        _sort_by_ad(Path(temp), files[0])
    users, clicked, probability = (np.concatenate(columns) for columns in zip(*truth, strict=True))
    summary = Summary(
        impressions,
        behaviors,
        clicks / impressions,
        metrics.auc(clicked, probability),
        metrics.gauc(users, clicked, probability).value,
    )
    known = {name: value for name, value in summary._asdict().items() if math.isfinite(value)}
    write_marker(folder, files, {**asdict(settings), **known})
    return summary


class _Chunk(NamedTuple):
    users: int
    profiles: pa.Table
    behaviors: pa.Table
    impressions: pa.Table
    probability: NDArray[np.float32]


class _Tables:
    """The files that grow chunk by chunk."""

    def __init__(self, profiles: Path, behaviors: Path, impressions: Path) -> None:
        self._paths = (profiles, behaviors, impressions)
        self._writers: list[Any] = []

    def __enter__(self) -> _Tables:
        return self

    def write(self, chunk: _Chunk) -> None:
        """Append a chunk's rows to each file."""
        tables = (chunk.profiles, chunk.behaviors, chunk.impressions)
        if not self._writers:
            self._writers = [
                pyarrow.csv.CSVWriter(self._paths[0], tables[0].schema, write_options=UNQUOTED),
                pyarrow.csv.CSVWriter(self._paths[1], tables[1].schema, write_options=UNQUOTED),
                pq.ParquetWriter(self._paths[2], tables[2].schema),
            ]
        for writer, table in zip(self._writers, tables, strict=True):
            writer.write_table(table)

    def __exit__(self, *_: object) -> None:
        for writer in self._writers:
            writer.close()


def _write_ads(world: _World, path: Path) -> None:
    rng = np.random.default_rng([world.settings.seed, 1])
    brand = world.brands(world.ad_category, rng).astype(str).astype(object)
    brand[rng.random(world.ads) < NULL_BRAND] = "NULL"
    campaign = rng.integers(1, world.ads // 2 + 2, world.ads)
    table = pa.table(
        {
            "adgroup_id": np.arange(1, world.ads + 1),
            "cate_id": world.ad_category + 1,
            "campaign_id": campaign,
            "customer": campaign * 6 // 10 + 1,
            "brand": brand,
            "price": np.round(np.exp(rng.normal(5, 1.5, world.ads)).clip(0.01, 1e8), 2),
        }
    )
    pyarrow.csv.write_csv(table, path, UNQUOTED)


def _chunks(world: _World) -> Iterator[_Chunk]:
    users = world.settings.users
    for number, start in enumerate(range(0, users, USERS_PER_CHUNK)):
        rng = np.random.default_rng([world.settings.seed, 2, number])
        ids = world.user_ids[start : start + USERS_PER_CHUNK]
        attributes = world.attributes(len(ids), rng)
        theta = world.interests(attributes, rng)
        impressions, probability = _impressions(world, ids, theta, rng)
        yield _Chunk(
            len(ids),
            _profiles(ids, attributes, rng),
            _behaviors(world, ids, theta, rng),
            impressions,
            probability,
        )


def _profiles(ids: NDArray, attributes: dict[str, NDArray[np.int64]], rng: np.random.Generator) -> pa.Table:
    kept = np.flatnonzero(rng.random(len(ids)) >= NO_PROFILE)
    columns: dict[str, Any] = {"userid": ids[kept]}
    for name, (_, empty) in ATTRIBUTES.items():
        # These three begin at 0 in the published file, the others at 1.
        first = 0 if name in {"cms_segid", "age_level", "occupation"} else 1
        header = f"{name} " if name == "new_user_class_level" else name
        columns[header] = pa.array(attributes[name][kept] + first, mask=rng.random(len(kept)) < empty)
    return pa.table(columns)


def _behaviors(world: _World, ids: NDArray, theta: NDArray[np.float64], rng: np.random.Generator) -> pa.Table:
    mean = world.settings.behaviors_per_user
    # Activity differs much between users: a Poisson count of a gamma-distributed rate, shape 2 (ours).
    count = rng.poisson(rng.gamma(2.0, mean / 2, len(ids)))
    count[rng.random(len(ids)) < NO_BEHAVIOR] = 0
    user = np.repeat(np.arange(len(ids)), count)
    category = world.category.draw(_pick(theta[user], rng), rng)
    columns = {
        "user": ids[user],
        "time_stamp": _session_times(user, FIRST_BEHAVIOR, FIRST_IMPRESSION + DAYS * DAY, rng),
        "btag": rng.choice(len(ACTIONS), len(user), p=ACTION_SHARES),
        "cate": category + 1,
        "brand": world.brands(category, rng),
    }
    # An exact duplicate repeats the row before it.
    twin = np.flatnonzero(rng.random(len(user)) < DUPLICATES)
    twin = twin[(twin > 0) & (user[twin] == user[twin - 1])]
    for values in columns.values():
        values[twin] = values[twin - 1]
    if len(user):
        columns["time_stamp"][rng.integers(len(user), size=2)] = (-2_082_686_353, 2_038_000_000)
    shuffled = rng.permutation(len(user))
    table = {name: values[shuffled] for name, values in columns.items()}
    btag = pa.DictionaryArray.from_arrays(table["btag"].astype(np.int8), pa.array(ACTIONS)).cast(pa.string())
    return pa.table({**table, "btag": btag})


def _session_times(user: NDArray[np.int64], first: int, end: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Times in bursts of about five: a burst begins anywhere, its steps are 0 to 60 seconds apart (ties included)."""
    new = rng.random(len(user)) < 0.2
    new |= np.r_[True, user[1:] != user[:-1]][: len(user)]
    begin = rng.integers(first, end - DAY // 24, len(user))
    step = np.where(new, 0, rng.integers(0, 61, len(user)))
    total = np.cumsum(step)
    at = np.maximum.accumulate(np.where(new, np.arange(len(user)), 0))
    return np.minimum(begin[at] + total - total[at], end - 1)


def _impressions(
    world: _World, ids: NDArray, theta: NDArray[np.float64], rng: np.random.Generator
) -> tuple[pa.Table, NDArray[np.float32]]:
    user = np.repeat(np.arange(len(ids)), rng.geometric(1 / IMPRESSIONS_PER_USER, len(ids)))
    ad = world.show(theta[user], rng)
    probability = _sigmoid(world.intercept + world.pull(theta[user], ad))
    click = (rng.random(len(user)) < probability).astype(np.int64)
    pid = pa.array(PIDS).take(pa.array((rng.random(len(user)) < 0.4).astype(np.int64)))
    table = {
        "user": ids[user],
        "time_stamp": _session_times(user, FIRST_IMPRESSION, FIRST_IMPRESSION + DAYS * DAY, rng),
        "adgroup_id": ad + 1,
        "pid": pid,
        "nonclk": 1 - click,
        "clk": click,
    }
    return pa.table(table), probability.astype(np.float32)


def _sort_by_ad(temp: Path, target: Path) -> None:
    """The published sample is sorted by ad; DuckDB sorts on disk what does not fit into memory."""
    with duckdb.connect() as connection:
        source = quoted(glob.escape(str(temp / "impressions.parquet")))
        connection.execute(f"SET temp_directory = {quoted(temp / 'spill')}")
        connection.execute(
            f"COPY (SELECT * FROM read_parquet({source}) "
            f"ORDER BY adgroup_id, time_stamp, \"user\", clk, pid) TO {quoted(target)} (HEADER, DELIMITER ',')"
        )
