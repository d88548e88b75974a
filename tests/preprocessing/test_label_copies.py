"""Columns that are the label again."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from mailcli.data.schema import Field, Schema
from mailcli.preprocessing.label_copies import label_copies

CONTEXT = Field("watched", "context", "watched")
KIND = Field("kind", "target", "kind")
CITY = Field("city", "attributes", "city")
SCHEMA = Schema(
    (
        Field("user", "attributes", "user"),
        CITY,
        Field("kind", "behavior", "kind"),
        CONTEXT,
        Field("item", "target", "item"),
        KIND,
    ),
    ("click",),
)


def columns(watched: list[int], held_out: list[int]) -> dict[tuple[str, str], NDArray]:
    """20 impressions in each split, the even ones clicked; city and kind say nothing about them."""
    table = {("users", "city"): np.array([2, 3]), ("items", "kind"): np.array([2, 3, 3])}
    for split, values in (("train", watched), ("validation", held_out), ("test", held_out)):
        table |= {
            (split, "click"): np.tile([1, 0], 10),
            (split, "user"): np.repeat([0, 1], 10),
            (split, "item"): np.tile([0, 0, 1, 1], 5),
            (split, "watched"): np.array(values),
        }
    return table


def copies(table: dict[tuple[str, str], NDArray]) -> dict[Field, float]:
    return label_copies(SCHEMA, lambda name, column: table[name, column])


def test_a_context_field_that_is_the_label_is_found_whatever_its_values_mean() -> None:
    assert copies(columns([3, 2] * 10, [3, 2] * 10)) == {CONTEXT: 1.0}
    assert copies(columns([2, 5] * 10, [2, 5] * 10)) == {CONTEXT: 1.0}


def test_tables_without_single_values_have_no_copies() -> None:
    """Fewer rows than the splits name: there is nothing to count by."""
    schema = Schema((Field("user", "attributes", "user"), CONTEXT, Field("item", "target", "item")), ("click",))
    table = columns([2] * 20, [2] * 20) | {("train", "item"): np.zeros(20, int)}
    assert label_copies(schema, lambda name, column: table[name, column]) == {}


def test_a_feature_of_items_that_is_the_label_is_found() -> None:
    table = columns([2] * 20, [2] * 20)
    for split in ("train", "validation", "test"):
        table[split, "item"] = np.tile([0, 1], 10)
    assert copies(table) == {KIND: 1.0}


def test_a_strong_field_is_no_copy() -> None:
    """One click in ten looks like a non-click and the other way round: AUC 0.81 + 2 · 0.09 / 2 = 0.9."""
    assert copies(columns([3, 2] * 9 + [2, 3], [3, 2] * 9 + [2, 3])) == {}


def test_values_that_training_lacks_tell_nothing() -> None:
    assert copies(columns([3, 2] * 10, [5, 4] * 10)) == {}


def test_few_labels_may_be_told_by_chance() -> None:
    table = columns([3, 2] * 10, [3, 2] * 10)
    for split in ("validation", "test"):
        for name in ("click", "user", "item", "watched"):
            table[split, name] = table[split, name][:9]
    # Ten clicks, but eight non-clicks.
    assert copies(table) == {}


@pytest.mark.parametrize(("wrong", "found"), [(1, True), (4, False)])
def test_a_copy_may_have_some_errors(wrong: int, found: bool) -> None:
    """Of 200 clicks and 200 non-clicks held out, `wrong` clicks look like non-clicks: AUC = 1 - wrong / 400."""
    table = columns([3, 2] * 10, [3, 2] * 10)
    for split, errors in (("validation", wrong), ("test", wrong)):
        for name in ("click", "user", "item", "watched"):
            table[split, name] = np.tile(table[split, name], 10)
        table[split, "watched"][: 2 * errors : 2] = 2
    # Twice `wrong` clicks in all: 1 - 2 · wrong / 400 = 0.995 and 0.98.
    assert (CONTEXT in copies(table)) == found
