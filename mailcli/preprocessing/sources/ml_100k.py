"""MovieLens-100K (GroupLens, 1998): 943 users, 1,682 films, 100,000 timed ratings.

A rating is an impression, clicked when it is 4 or 5; the ratings before it are the user's behaviors, the rating being
the action. Test = each user's last 20 %, validation = the 10 % before.
"""

from __future__ import annotations

import io
import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from mailcli.data.schema import Field, Schema
from mailcli.errors import MailError
from mailcli.preprocessing.engines._base import DataEngine, DataFrame
from mailcli.preprocessing.sources._base import RawData
from mailcli.utils.files import file_sha256

#: The pip package that carries the files, and the SHA-256 of its wheel.
PACKAGE = "recbole==1.2.1"
WHEEL = "recbole-1.2.1-py3-none-any.whl"
WHEEL_SHA256 = "9c9948202011f37eb0a7c6768129313f00d6403ad221ec940d5e2d5d5f33a407"
_INSIDE = "recbole/dataset_example/ml-100k/ml-100k"

GROUPLENS = ("u.data", "u.user", "u.item")
#: Order of the 19 genre flags at the end of u.item (GroupLens' u.genre).
GENRES = [
    "unknown",
    "Action",
    "Adventure",
    "Animation",
    "Children's",
    "Comedy",
    "Crime",
    "Documentary",
    "Drama",
    "Fantasy",
    "Film-Noir",
    "Horror",
    "Musical",
    "Mystery",
    "Romance",
    "Sci-Fi",
    "Thriller",
    "War",
    "Western",
]
#: Lower ends of the age groups of MovieLens-1M's README: under 18, 18-24, 25-34, 35-44, 45-49, 50-55, 56 and over.
AGE_GROUPS = (0, 18, 25, 35, 45, 50, 56)
CLICK_FROM = 4
TEST_SHARE, VALIDATION_SHARE = 0.2, 0.1


class Source(RawData):
    """MovieLens-100K, from the pip package that carries it or from GroupLens' own files."""

    name = "ml-100k"
    schema = Schema(
        fields=(
            Field("user", "attributes", "user"),
            Field("gender", "attributes", "gender"),
            Field("age", "attributes", "age"),
            Field("occupation", "attributes", "occupation"),
            Field("zip", "attributes", "zip"),
            Field("item", "behavior", "item"),
            Field("hour", "context", "hour"),
            Field("weekday", "context", "weekday"),
            Field("item", "target", "item"),
            Field("year", "target", "year"),
            Field("genres", "target", "genres", values=6),
        ),
        actions=("1", "2", "3", "4", "5"),
    )

    #: GroupLens' README of the data set.
    official: ClassVar = {"users.rows": 943, "items.rows": 1682, "impressions.rows": 100_000, "behaviors.rows": 100_000}

    def __init__(self, raw: Path, work: Path) -> None:
        if (raw / GROUPLENS[0]).is_file():
            self.files = tuple(raw / name for name in GROUPLENS)
            ratings, users, items = _read_grouplens(self.files)
        elif raw.is_dir() and any(raw.iterdir()) and not (raw / WHEEL).is_file():
            raise MailError(
                f"{raw}: u.data not found. Expected GroupLens' {', '.join(GROUPLENS)}; "
                f"without --raw the files are downloaded."
            )
        else:
            self.files = (_obtain(raw),)
            ratings, users, items = _read_package(self.files[0])
        self._check(ratings, users, items)
        self._work = work
        for table, frame in (("ratings", _with_split(ratings)), ("users", _with_groups(users)), ("items", items)):
            pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), work / f"{table}.parquet")

    def _check(self, ratings: pd.DataFrame, users: pd.DataFrame, items: pd.DataFrame) -> None:
        # The file of each table; the package is one.
        of_users, of_items = self.files[1:] or self.files * 2
        for key, known, file in (("user", users["user"], of_users), ("item", items["item"], of_items)):
            twice = known[known.duplicated()]
            if len(twice):
                raise MailError(f"{file}: {key} {twice.iloc[0]} has more than one row. Expected one.")
            lost = ~ratings[key].isin(known)
            if lost.any():
                raise MailError(
                    f"{self.files[0]}: a rating has {key} {ratings.loc[lost, key].iloc[0]}, which the {key} file lacks."
                )
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
        time = F.col("time")
        return self._read(engine, "ratings").select(
            "user",
            "item",
            "time",
            F.floor(time % 86400 / 3600).cast("int").alias("hour"),
            (F.floor(time / 86400) % 7).cast("int").alias("weekday"),
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
        """A table that was checked whole when it was read: no row is faulty."""
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
    """Each user's last 20 % of ratings by time are test (2), the 10 % before validation (1); ties by item."""
    ratings = ratings.sort_values(["user", "time", "item"], ignore_index=True)
    by_user = ratings.groupby("user")
    left = by_user.cumcount(ascending=False)
    count = by_user["item"].transform("size")
    test = (count * TEST_SHARE).astype(int)
    validation = (count * VALIDATION_SHARE).astype(int)
    ratings["split"] = np.select([left < test, left < test + validation], [2, 1], 0)
    return ratings


def _obtain(folder: Path) -> Path:
    """The package's wheel, downloaded by pip unless it is there; refused when its SHA-256 is not the known one."""
    wheel = folder / WHEEL
    if not wheel.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as temp:
            # The package's dependencies are not wanted, only the data files inside its wheel.
            command = [
                sys.executable,
                "-m",
                "pip",
                "download",
                "--quiet",
                "--no-deps",
                "--dest",
                temp,
                PACKAGE,
            ]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode or not (Path(temp) / WHEEL).is_file():
                reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
                raise MailError(
                    f"MovieLens-100K could not be downloaded (pip download {PACKAGE}: {reason}). "
                    f"Try again, or unpack GroupLens' ml-100k.zip and give its folder with --raw."
                )
            (Path(temp) / WHEEL).rename(wheel)
    found = file_sha256(wheel)
    if found != WHEEL_SHA256:
        raise MailError(f"{wheel}: SHA-256 is {found}. Expected {WHEEL_SHA256}. Delete the file and start again.")
    return wheel


def _read_package(wheel: Path) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Ratings, users and films from the package's tab-separated files."""
    with zipfile.ZipFile(wheel) as archive:

        def table(kind: str) -> pd.DataFrame:
            text = io.BytesIO(archive.read(f"{_INSIDE}.{kind}"))
            frame = pd.read_csv(text, sep="\t", dtype=str, keep_default_na=False)
            return frame.rename(columns=lambda name: name.split(":")[0])

        ratings, users, items = table("inter"), table("user"), table("item")
    ratings = ratings.rename(columns={"user_id": "user", "item_id": "item", "timestamp": "time"})
    users = users.rename(columns={"user_id": "user", "zip_code": "zip"})
    items = pd.DataFrame(
        {
            "item": items["item_id"],
            "year": pd.to_numeric(items["release_year"], errors="coerce").astype("Int64"),
            "genres": items["class"].str.split(" "),
        }
    )
    return (
        ratings.astype(np.int64),
        users.astype({"user": np.int64, "age": np.int64}),
        items.astype({"item": np.int64}),
    )


def _read_grouplens(files: tuple[Path, ...]) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Ratings, users and films from u.data, u.user and u.item (Latin-1)."""
    genre_flags = [f"genre_{genre}" for genre in GENRES]
    ratings = _separated(files[0], "\t", ["user", "item", "rating", "time"], ["user", "item", "rating", "time"])
    users = _separated(files[1], "|", ["user", "age", "gender", "occupation", "zip"], ["user", "age"])
    films = _separated(
        files[2],
        "|",
        ["item", "title", "date", "video_date", "url", *genre_flags],
        ["item", *genre_flags],
    )
    items = pd.DataFrame(
        {
            "item": films["item"],
            "year": pd.to_numeric(films["title"].str.extract(r"\((\d{4})\)\s*$")[0]).astype("Int64"),
            "genres": [[g for g, has in zip(GENRES, row, strict=True) if has] for row in films[genre_flags].to_numpy()],
        }
    )
    return ratings, users, items


def _separated(path: Path, separator: str, columns: list[str], numbers: list[str]) -> pd.DataFrame:
    """A file without a header; MailError for a missing file, a wrong count of fields, a text in a number column."""
    if path.exists() and not path.is_file():
        # A pipe or device might never end.
        raise MailError(f"{path}: is not a file. Expected GroupLens' {path.name}.")
    try:
        # Not splitlines(): in Latin-1 that would cut at bytes that CP1252 uses for an ellipsis, too.
        lines = path.read_text(encoding="latin-1").removesuffix("\n").split("\n")
    except OSError as error:
        raise MailError(f"{path}: cannot be read ({error.strerror}). Expected GroupLens' {path.name}.") from error
    rows = [line.split(separator) for line in lines]
    if lines == [""]:
        raise MailError(f"{path}: the file is empty.")
    for number, row in enumerate(rows, start=1):
        if len(row) != len(columns):
            raise MailError(
                f"{path}, line {number}: {len(row)} fields. Expected {len(columns)}, separated by {separator!r}."
            )
        for name in numbers:
            value = row[columns.index(name)]
            if not re.fullmatch(r"\d{1,10}", value):
                raise MailError(f"{path}, line {number}: column '{name}' holds {value!r}. Expected a whole number.")
    return pd.DataFrame(rows, columns=columns).astype(dict.fromkeys(numbers, np.int64))
