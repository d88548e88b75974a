"""Columns that may be the label of a log by their values: 0 and 1, two words, or ratings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from mailcli.escape import toml_string
from mailcli.preprocessing.schema_init.column_profile import ColumnProfile

#: Words for a click, of two that a column may hold; in lower case (ours).
_POSITIVE = {
    "yes", "y", "t", "on", "click", "clicked", "like", "liked", "played", "completed", "watched", "bought", "purchased",
    "accepted", "positive",
}  # fmt: skip
#: Most distinct ratings, and the largest one (ours: 0.5 to 5 in halves, or 1 to 10, or 0 to 10).
_MAX_RATINGS, _LARGEST_RATING = 11, 10.0
#: A rating from this share of the largest one on is proposed as a click (ours: 4 and 5 of 5, as in the source ml-100k).
_GOOD = 0.8


def positive_word(column: ColumnProfile) -> str:
    """The value that means a click, in a column of two words such as yes and no; empty if it is not known."""
    words = sorted(set(column.values))
    if words == ["-1", "1"]:
        return "1"
    known = [word for word in words if word.lower() in _POSITIVE]
    return known[0] if len(words) == 2 and len(known) == 1 else ""


def may_be_click(column: ColumnProfile) -> bool:
    """Whether a column holds both 0 and 1, true and false, or two such words, in every row."""
    is_full = len(column.values) == len(column.cells)
    return column.is_single and is_full and column.distinct == 2 and bool(column.is_binary or positive_word(column))


def may_be_rating(column: ColumnProfile) -> bool:
    """Whether a column holds a few small numbers, whole or in halves, in every row."""
    if not column.is_single or not column.is_number or len(column.values) != len(column.cells):
        return False
    numbers = {float(value) for value in column.values}
    are_ratings = all(0 <= number <= _LARGEST_RATING and (2 * number).is_integer() for number in numbers)
    return 2 < len(numbers) <= _MAX_RATINGS and are_ratings


def labels_by_values(columns: Sequence[ColumnProfile]) -> tuple[str, list[ColumnProfile]]:
    """The role `click` or `rating`, and the columns that may have it: several if the values do not tell."""
    clicks = [column for column in columns if may_be_click(column)]
    return ("click", clicks) if clicks else ("rating", [column for column in columns if may_be_rating(column)])


def click_rule(column: ColumnProfile, is_rating: bool = False) -> tuple[str, str]:
    """The rule in TOML by which a column is the label, and what is to be checked in it.

    Args:
        column: the column.
        is_rating: whether it holds ratings, of which the high ones are clicks.
    """
    name = toml_string(column.name)
    if column.is_binary:
        return name, ""
    word = positive_word(column)
    if word:
        return f"{{column = {name}, equals = {toml_string(word)}}}", "what counts as a click?"
    if column.is_number:
        return f"{{column = {name}, at_least = {click_threshold(column, is_rating):.15g}}}", "what counts as a click?"
    return f"{{column = {name}, equals = {toml_string(commonest(column))}}}", "which value counts as a click?"


def commonest(column: ColumnProfile) -> str:
    """The most common value; of several, the first in order."""
    return Counter(sorted(column.values)).most_common(1)[0][0]


def click_threshold(column: ColumnProfile, is_rating: bool) -> float:
    """The least number that is a click: of ratings a share of the largest, of others, such as seconds, the median."""
    numbers = sorted(map(float, column.values))
    is_rating = is_rating or column.distinct <= _MAX_RATINGS
    return _GOOD * numbers[-1] if is_rating else numbers[len(numbers) // 2]
