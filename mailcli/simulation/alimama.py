"""Simulated raw files in Alimama's form, quirks included, from the model of latent.py.

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
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from mailcli.errors import MailError
from mailcli.metrics.auc import auc, gauc
from mailcli.preprocessing.engines.duckdb import literal
from mailcli.preprocessing.simulated_marker import NAME as MARKER
from mailcli.preprocessing.simulated_marker import write_marker
from mailcli.preprocessing.sources.alimama import ACTIONS, DAY, DAYS, FIRST_BEHAVIOR, FIRST_IMPRESSION, TEST_DAY
from mailcli.simulation.world import ATTRIBUTES, Settings, World, pick
from mailcli.utils.files import make_folder_atomically
from mailcli.utils.progress import progress

# Proportions of the published files (ALIMAMA.md).
IMPRESSIONS_PER_USER = 23
NO_PROFILE = 79_961 / 1_141_729
NO_BEHAVIOR = 5_389 / 1_141_729
NULL_BRAND = 0.29
DUPLICATES = 0.07
ACTION_SHARES = np.array([688.9, 15.9, 9.3, 9.1]) / 723.2
ROWS_PER_ABSURD_TIME = 2_000
PIDS = ("430548_1007", "430539_1007")
#: Bytes of one row in the files, for the check of the disk's free space.
BEHAVIOR_BYTES, IMPRESSION_BYTES = 34, 100
UNQUOTED = pyarrow.csv.WriteOptions(quoting_style="none", quoting_header="none")


class Summary(NamedTuple):
    """What was written, and the most that any model can reach on the test day."""

    impressions: int
    behaviors: int
    ctr: float
    ceiling_auc: float
    ceiling_gauc: float


def simulate_alimama(settings: Settings, out: Path) -> Summary:
    """Write raw_sample, ad_feature, user_profile and behavior_log.csv with SIMULATED.json into a folder.

    Raises:
        MailError: the folder holds something that is not a simulated set, or the disk is too small.
    """
    out = Path(os.path.abspath(out))
    _check_folder(settings, out)
    out.parent.mkdir(parents=True, exist_ok=True)
    with make_folder_atomically(out, replace=True, sync=False) as partial:
        return _write(settings, partial)


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
    world = World(settings)
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
        auc(clicked, probability),
        gauc(users, clicked, probability).value,
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


def _write_ads(world: World, path: Path) -> None:
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


def _chunks(world: World) -> Iterator[_Chunk]:
    for number, ids, attributes, theta, rng in world.chunks():
        buys = np.random.default_rng([world.settings.seed, 3, number]) if world.settings.conversions else None
        impressions, probability = _impressions(world, ids, theta, rng, buys)
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


def _behaviors(world: World, ids: NDArray, theta: NDArray[np.float64], rng: np.random.Generator) -> pa.Table:
    mean = world.settings.behaviors_per_user
    # Activity differs much between users: a Poisson count of a gamma-distributed rate, shape 2 (ours).
    count = rng.poisson(rng.gamma(2.0, mean / 2, len(ids)))
    count[rng.random(len(ids)) < NO_BEHAVIOR] = 0
    user = np.repeat(np.arange(len(ids)), count)
    category = world.category.draw(pick(theta[user], rng), rng)
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
    # A few, hence none in a set so small that they would be more than preprocessing puts up with.
    absurd = np.array((-2_082_686_353, 2_038_000_000))[: len(user) // ROWS_PER_ABSURD_TIME]
    columns["time_stamp"][rng.integers(max(len(user), 1), size=len(absurd))] = absurd
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
    world: World,
    ids: NDArray,
    theta: NDArray[np.float64],
    rng: np.random.Generator,
    buys: np.random.Generator | None,
) -> tuple[pa.Table, NDArray[np.float32]]:
    """The impressions, and their true click probability; `buys` draws the column `buy` (apart, so that nothing else
    depends on it)."""
    user = np.repeat(np.arange(len(ids)), rng.geometric(1 / IMPRESSIONS_PER_USER, len(ids)))
    ad = world.show(theta[user], rng)
    pull = world.pull(theta[user], ad)
    probability = world.click(pull)
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
    if buys is not None:
        table["buy"] = click * (buys.random(len(user)) < world.buy(pull))
    return pa.table(table), probability.astype(np.float32)


def _sort_by_ad(temp: Path, target: Path) -> None:
    """The published sample is sorted by ad; DuckDB sorts on disk what does not fit into memory."""
    with duckdb.connect() as connection:
        source = literal(glob.escape(str(temp / "impressions.parquet")))
        connection.execute(f"SET temp_directory = {literal(temp / 'spill')}")
        connection.execute(
            f"COPY (SELECT * FROM read_parquet({source}) "
            f"ORDER BY adgroup_id, time_stamp, \"user\", clk, pid) TO {literal(target)} (HEADER, DELIMITER ',')"
        )
