"""The files of MovieLens-100K, from a pip package that carries them or from GroupLens; both give the same tables."""

from __future__ import annotations

import io
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from mailcli.errors import MailError, counted
from mailcli.utils.files import file_sha256

#: The pip package that carries the files, and the SHA-256 of its wheel.
PACKAGE = "recbole==1.2.1"
WHEEL = "recbole-1.2.1-py3-none-any.whl"
WHEEL_SHA256 = "9c9948202011f37eb0a7c6768129313f00d6403ad221ec940d5e2d5d5f33a407"
_INSIDE = "recbole/dataset_example/ml-100k/ml-100k"

#: GroupLens' files of ratings, users and films.
GROUPLENS = ("u.data", "u.user", "u.item")
#: Order of the 19 genre flags at the end of u.item (GroupLens' u.genre).
GENRES = (
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
)
#: Ids, ages, ratings and times in seconds: no sign, at most ten digits.
_WHOLE_NUMBER = re.compile(r"\d{1,10}")


class Tables(NamedTuple):
    """The three tables, as both forms have them."""

    ratings: pd.DataFrame
    """`user, item, rating, time`."""
    users: pd.DataFrame
    """`user, age, gender, occupation, zip`."""
    items: pd.DataFrame
    """`item, year, genres` (a list)."""


def download(folder: Path) -> Path:
    """The package's wheel in a folder, downloaded by pip unless it is there.

    Raises:
        MailError: it cannot be downloaded, or has another SHA-256.
    """
    wheel = folder / WHEEL
    if not wheel.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as temp:
            # Only the data files inside the wheel are needed, not the package's dependencies.
            command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", temp, PACKAGE]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode or not (Path(temp) / WHEEL).is_file():
                reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
                raise MailError(
                    f"MovieLens-100K could not be downloaded (pip download {PACKAGE}: {reason}). "
                    f"Try again, or unpack GroupLens' ml-100k.zip and give its folder with --raw."
                )
            (Path(temp) / WHEEL).rename(wheel)
    sha256 = file_sha256(wheel)
    if sha256 != WHEEL_SHA256:
        raise MailError(f"{wheel}: SHA-256 is {sha256}. Expected {WHEEL_SHA256}. Delete the file and start again.")
    return wheel


def read_package(wheel: Path) -> Tables:
    """The tables from the package's tab-separated files, whose header is `name:type` per column."""
    with zipfile.ZipFile(wheel) as archive:

        def read(kind: str, numbers: Sequence[str]) -> pd.DataFrame:
            name = f"{_INSIDE}.{kind}"
            lines = io.TextIOWrapper(io.BytesIO(archive.read(name)), encoding="utf-8")
            columns = [column.split(":")[0] for column in next(lines).rstrip("\n").split("\t")]
            return _table(f"{wheel}: {name}", lines, "\t", columns, numbers)

        ratings = read("inter", ("user_id", "item_id", "rating", "timestamp"))
        users = read("user", ("user_id", "age"))
        items = read("item", ("item_id",))
    years, genres = items["release_year"], [classes.split(" ") for classes in items["class"]]
    return Tables(
        ratings.rename(columns={"user_id": "user", "item_id": "item", "timestamp": "time"}),
        users.rename(columns={"user_id": "user", "zip_code": "zip"}),
        _items(items["item_id"], years, genres),
    )


def read_grouplens(files: Sequence[Path]) -> Tables:
    """The tables from u.data, u.user and u.item."""
    flags = [f"genre_{genre}" for genre in GENRES]
    rating_columns, film_columns = ["user", "item", "rating", "time"], ["item", "title", "date", "video_date", "url"]
    ratings = _read_separated(files[0], "\t", rating_columns, rating_columns)
    users = _read_separated(files[1], "|", ["user", "age", "gender", "occupation", "zip"], ["user", "age"])
    films = _read_separated(files[2], "|", [*film_columns, *flags], ["item", *flags])
    years = films["title"].str.extract(r"\((\d{4})\)\s*$")[0]
    genres = [[genre for genre, flag in zip(GENRES, row, strict=True) if flag] for row in films[flags].to_numpy()]
    return Tables(ratings, users, _items(films["item"], years, genres))


def _items(item: pd.Series, years: pd.Series, genres: list[list[str]]) -> pd.DataFrame:
    """The item table; a film without a year has a missing one."""
    year = pd.to_numeric(years, errors="coerce").astype("Int64")
    return pd.DataFrame({"item": item, "year": year, "genres": genres})


def _read_separated(path: Path, separator: str, columns: Sequence[str], numbers: Sequence[str]) -> pd.DataFrame:
    """A file of GroupLens' (MailError for one that cannot be read)."""
    if path.exists() and not path.is_file():
        # A pipe or device might never end.
        raise MailError(f"{path}: is not a file. Expected GroupLens' {path.name}.")
    try:
        with open(path, encoding="latin-1") as file:
            return _table(str(path), file, separator, columns, numbers)
    except OSError as error:
        raise MailError(f"{path}: cannot be read ({error.strerror}). Expected GroupLens' {path.name}.") from error


def _table(
    place: str, lines: Iterable[str], separator: str, columns: Sequence[str], numbers: Sequence[str]
) -> pd.DataFrame:
    """Lines of separated fields, without quotes.

    Args:
        place: what the lines are from, for error texts.
        lines: the lines below a header, if there is one.
        separator: between the fields.
        columns: names of the fields.
        numbers: those that are whole numbers; the others are texts.

    Raises:
        MailError: there is no line, or a line has another number of fields, or text in a column of numbers.
    """
    rows = [line.rstrip("\n").split(separator) for line in lines]
    if not rows:
        raise MailError(f"{place}: the file is empty. Get it again.")
    for number, row in enumerate(rows, start=1):
        if len(row) != len(columns):
            raise MailError(
                f"{place}, line {number}: {counted(len(row), 'field')}. Expected {len(columns)}, "
                f"separated by {separator!r}."
            )
        for name in numbers:
            value = row[columns.index(name)]
            if not _WHOLE_NUMBER.fullmatch(value):
                raise MailError(f"{place}, line {number}: column '{name}' holds {value!r}. Expected a whole number.")
    return pd.DataFrame(rows, columns=list(columns)).astype(dict.fromkeys(numbers, np.int64))
