"""MovieLens-100K (GroupLens, 1998): 943 users, 1,682 films, 100,000 timed ratings.

Each rating is an impression, clicked if it is 4 or 5; a user's earlier ratings are behaviors, the rating being the
action. The last 20% of each user's ratings are for test, the 10% before them for validation.
"""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from mailcli.data.derivations import CLOCKS, Derivation, Derivations
from mailcli.data.schema import Field, Schema
from mailcli.errors import MailError
from mailcli.preprocessing.engines._base import DataEngine, DataFrame
from mailcli.preprocessing.sources._base import RawData, fields
from mailcli.preprocessing.sources._ml_100k_files import (
    GROUPLENS,
    WHEEL,
    Tables,
    download,
    read_grouplens,
    read_package,
)

#: Lower ends of the age groups of MovieLens-1M's README: under 18, 18-24, 25-34, 35-44, 45-49, 50-55, 56 and over.
AGE_GROUPS = (0, 18, 25, 35, 45, 50, 56)
#: Ratings from 4 stars on are clicks; the last fifth of each user's ratings is for test, the tenth before it for
#: validation (ours, as is usual).
CLICK_FROM = 4
TEST_SHARE, VALIDATION_SHARE = 0.2, 0.1


class Source(RawData):
    """MovieLens-100K, from the pip package that carries it or from GroupLens' own files."""

    name = "ml-100k"
    schema = Schema(
        fields=(
            *fields("attributes", "user", "gender", "age", "occupation", "zip"),
            *fields("behavior", "item"),
            *fields("context", "hour", "weekday"),
            *fields("target", "item", "year"),
            Field("genres", "target", "genres", values=6),
        ),
        actions=("1", "2", "3", "4", "5"),
    )

    derivations: Derivations = MappingProxyType(
        {
            "attributes": {"age": Derivation(edges=AGE_GROUPS)},
            "context": {clock: Derivation(clock=clock) for clock in CLOCKS},
        }
    )

    #: GroupLens' README of the data set.
    official = MappingProxyType(
        {"users.rows": 943, "items.rows": 1682, "impressions.rows": 100_000, "behaviors.rows": 100_000}
    )

    def __init__(self, raw: Path, work: Path) -> None:
        if (raw / GROUPLENS[0]).is_file():
            self.files = tuple(raw / name for name in GROUPLENS)
            tables = read_grouplens(self.files)
        elif raw.is_dir() and any(raw.iterdir()) and not (raw / WHEEL).is_file():
            raise MailError(
                f"{raw}: u.data not found. Expected GroupLens' {', '.join(GROUPLENS)}; "
                f"without --raw the files are downloaded."
            )
        else:
            self.files = (download(raw),)
            tables = read_package(self.files[0])
        self._check(tables)
        self._work = work
        ratings, users = _with_split(tables.ratings), _with_groups(tables.users)
        for name, frame in (("ratings", ratings), ("users", users), ("items", tables.items)):
            pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), work / f"{name}.parquet")

    def _check(self, tables: Tables) -> None:
        """Every user and item has one row, every rating is from 1 to 5 (MailError)."""
        ratings = tables.ratings
        # The file of each table; the package is one file.
        user_file, item_file = self.files[1:] or self.files * 2
        for key, known, file in (
            ("user", tables.users["user"], user_file),
            ("item", tables.items["item"], item_file),
        ):
            repeated = known[known.duplicated()]
            if len(repeated):
                raise MailError(f"{file}: {key} {repeated.iloc[0]} has more than one row. Expected one.")
            unknown = ~ratings[key].isin(known)
            if unknown.any():
                value = ratings.loc[unknown, key].iloc[0]
                raise MailError(f"{self.files[0]}: a rating has {key} {value}, which the {key} file lacks.")
        wrong = ~ratings["rating"].between(1, 5)
        if wrong.any():
            raise MailError(f"{self.files[0]}: rating {ratings.loc[wrong, 'rating'].iloc[0]} found. Expected 1 to 5.")

    def users(self, engine: DataEngine) -> DataFrame:
        """Age as one of seven groups, zip as its first character (the region of the country)."""
        return self._read(engine, "users")

    def items(self, engine: DataEngine) -> DataFrame:
        """Year of release and a list of genres."""
        return self._read(engine, "items")

    def impressions(self, engine: DataEngine) -> DataFrame:
        """Every rating is an impression; hour and weekday (from Thursday, 1970-01-01) in UTC."""
        F = engine.functions
        return self._read(engine, "ratings").select(
            "user",
            "item",
            "time",
            *self.clock_columns(engine, "time"),
            (F.col("rating") >= CLICK_FROM).cast("int").alias("click"),
            "split",
            "fault",
            "line",
        )

    def behaviors(self, engine: DataEngine) -> DataFrame:
        """Every rating is a behavior."""
        F = engine.functions
        action = (F.col("rating") - F.lit(1)).cast("int").alias("action")
        return self._read(engine, "ratings").select("user", "time", action, "item", "fault", "line")

    def _read(self, engine: DataEngine, table: str) -> DataFrame:
        """A table that was checked when it was read: no row is faulty."""
        none = engine.functions.lit(None)
        frame = engine.read_parquet(self._work / f"{table}.parquet")
        return frame.withColumn("fault", none.cast("int")).withColumn("line", none.cast("string"))


def _with_groups(users: pd.DataFrame) -> pd.DataFrame:
    """Age as one of seven groups, zip as its first character (the region of the country)."""
    table = users[["user", "gender", "occupation"]].copy()
    table["age"] = np.digitize(users["age"], AGE_GROUPS)
    table["zip"] = users["zip"].str[0].str.upper()
    return table


def _with_split(ratings: pd.DataFrame) -> pd.DataFrame:
    """Each user's last 20% of ratings by time are test (2), the 10% before them validation (1); ties by item."""
    ratings = ratings.sort_values(["user", "time", "item"], ignore_index=True)
    by_user = ratings.groupby("user")
    later = by_user.cumcount(ascending=False)
    count = by_user["item"].transform("size")
    test = (count * TEST_SHARE).astype(int)
    validation = (count * VALIDATION_SHARE).astype(int)
    ratings["split"] = np.select([later < test, later < test + validation], [2, 1], 0)
    return ratings
