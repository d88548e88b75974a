"""What the names of columns and files say about what they hold, apart from their values."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from mailcli.preprocessing.schema_init.column_profile import ColumnProfile

_KEY = "(id|index|idx|no|nr|key|code|uuid)?"
_PEOPLE = (
    "user|member|customer|visitor|client|person|people|account|listener|viewer|reader|subscriber|player|shopper|buyer|"
    "student|learner|guest|patient|audience"
)
_THINGS = (
    "item|movie|video|product|ad|adgroup|article|book|news|song|track|photo|goods|content|listing|film|game|recipe|"
    "podcast|restaurant|hotel|clip|offer"
)
#: Column names, reduced to lower-case letters, by what such columns are likely to hold.
USER = re.compile(rf"({_PEOPLE}){_KEY}|uid|memberid")
ITEM = re.compile(rf"({_THINGS}){_KEY}|iid|sku|asin|isbn")
TIME = re.compile(
    r"(event|unix|click|rating|log)?(time|timestamp|timems|ts|datetime|date|at)(ms|s|us)?|timestampms|createdat"
)
CLICK = re.compile(r"(is)?(click|clicked|clk)|label|target")
RATING = re.compile(r"ratings?|stars|score")
CONVERSION = re.compile(r"(is)?(conversion|converted|purchase|purchased|buy|bought|order|ordered)")
ACTION = re.compile(r"(action|behaviou?r|event|btag|type|eventtype|behaviortype)")
_RECBOLE_TYPE = re.compile(r":(token|float)(_seq)?$")
#: Names of files, and words in names of columns that describe a user or an item.
_FILES = {
    "user": re.compile(rf"({_PEOPLE}|account|profile)s?"),
    "item": re.compile(rf"({_THINGS}|catalog|catalogue|inventory|meta|metadata)s?|(librar|compan|categor)(y|ies)"),
}
_WORDS = {
    "user": re.compile(
        "age|born|birth|birthday|birthdate|dob|gender|sex|city|town|country|region|state|zip|postcode|occupation|job|"
        "profession|income|education|married|marital|signup|registered|joined|membership|lang|language|tier|premium"
    ),
    "item": re.compile(
        "title|genre|genres|category|categories|subcategory|brand|price|artist|album|author|publisher|director|"
        "duration|tags?|topic|kind|abstract|description|released?|color|colour|pages|section|"
        "cuisine|keywords"
    ),
}


def letters(name: str) -> str:
    """A name reduced to its lower-case letters."""
    return re.sub(r"[^a-z]", "", without_type(name.lower()))


def without_type(name: str) -> str:
    """A name without the type that RecBole's files write behind it, such as `age:token`."""
    return _RECBOLE_TYPE.sub("", name)


def is_named_time(column: ColumnProfile) -> bool:
    """Whether a column is called what times are usually called."""
    return bool(TIME.fullmatch(letters(column.name)))


def kind_of_entity(key: str, described_by: Iterable[str], file: Path | None = None) -> str:
    """Whether a key is that of a `user` or an `item`: by its name, its file's name, and what it determines.

    Returns:
        Empty if the names do not tell, or contradict each other.
    """
    words = [set(re.findall("[a-z]+", name.lower())) for name in described_by]
    kinds = [kind for kind, pattern in (("user", USER), ("item", ITEM)) if pattern.fullmatch(letters(key))]
    if not kinds and file:
        stem = set(re.findall("[a-z]+", file.name.partition(".")[0].lower()))
        kinds = [kind for kind, pattern in _FILES.items() if any(map(pattern.fullmatch, stem))]
    if not kinds:
        counts = {kind: sum(any(map(word.fullmatch, name)) for name in words) for kind, word in _WORDS.items()}
        kinds = [kind for kind in counts if counts[kind] > min(counts.values())]
    return kinds[0] if len(kinds) == 1 else ""
