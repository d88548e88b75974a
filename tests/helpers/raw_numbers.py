"""A dataset whose users, items, behaviors and contexts have numbers in buckets, and hours and weekdays of local time."""

from __future__ import annotations

from pathlib import Path

from mailcli.data.dataset import Dataset
from tests.helpers.schema_files import make_dataset

SCHEMA = """
[users]
files = "users.csv"
user = "id"
missing = ["?"]
[users.attributes]
city = "city"
born = {column = "born", edges = [1970, 1990.5]}
income = {column = "income", quantiles = 2}

[items]
files = "items.csv"
item = "sku"
[items.features]
kind = "kind"
cost = {column = "price", edges = [10]}

[behaviors]
files = "shown.csv"
user = "who"
time = "at"
where = "clicked"
[behaviors.fields]
kind = "kind"
paid = {column = "price", edges = [10], vocabulary = "cost"}

[impressions]
files = "shown.csv"
user = "who"
item = "sku"
time = {column = "at", utc_offset = "+02:00"}
click = "clicked"
[impressions.context]
page = "page"
depth = {column = "depth", edges = [0.7, 3]}
hour = {clock = "hour"}
weekday = {clock = "weekday"}

[split]
by = "time"
validation_from = 800000
test_from = 900000
"""
#: Incomes are 10, 20, ..., 120: the sixth is the end of the lower half.
_BORN = [1950, 1969, 1970, 1984, 1990, 1991, 2001, 1965, 1975, 1999, "?", 1988]
_USERS = [
    f"u{number},{('Rome', 'Oslo')[number % 2]},{born},{10 * number}" for number, born in enumerate(_BORN, start=1)
]
#: Each user sees ten impressions in days 0 to 9, an hour later each day; they click on every third.
_SHOWN = [
    f"u{user},{('x1', 'x2')[(user + k) % 2]},{k * 90000 + 60 * user},{int((user + k) % 3 == 0)},"
    f"{('p', 'q')[k % 2]},{(0, 0.7, 5)[(user + k) % 3]},{('hat', 'shoe')[(user + k) % 2]},{(9, 10)[(user + k) % 2]}"
    for user in range(1, 13)
    for k in range(11)
]
FILES = {
    "users.csv": "\n".join(["id,city,born,income", *_USERS]) + "\n",
    "items.csv": "sku,kind,price\nx1,hat,9\nx2,shoe,10\n",
    "shown.csv": "\n".join(["who,sku,at,clicked,page,depth,kind,price", *_SHOWN]) + "\n",
}


def make(folder: Path) -> Dataset:
    """The dataset `mine`."""
    return make_dataset(folder, SCHEMA, FILES)
