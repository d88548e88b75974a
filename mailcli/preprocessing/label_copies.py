"""Columns that leak the label, such as the seconds watched after a click: one of them predicts nearly all labels."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mailcli.data.schema import SPLITS, Field, Group, Schema

#: AUC on validation and test from which a column counts as a copy of the label (ours: far above what any model of
#: clicks reaches).
COPY_AUC = 0.99
#: Clicks, and non-clicks, of validation and test below which a high AUC may be chance (ours).
FEWEST_OF_CLASS = 10

#: Reads a column of the dataset by its table and name.
Read = Callable[[str, str], NDArray]
#: [rows], a whole number from 0 for each impression, such as its user or the id of a value.
Numbers = NDArray
_KEYS: dict[Group, tuple[str, str]] = {"attributes": ("user", "users"), "target": ("item", "items")}


class _Counts(NamedTuple):
    """Clicks and non-clicks, by user, item or value."""

    clicks: NDArray[np.float64]
    non_clicks: NDArray[np.float64]

    @classmethod
    def of(cls, numbers: Numbers, clicked: NDArray[np.bool_], size: int) -> _Counts:
        """The counts over impressions.

        Args:
            numbers: [impressions], all below `size`.
            clicked: [impressions].
            size: the length of the result.
        """
        clicks = np.bincount(numbers[clicked], minlength=size)
        return cls(clicks.astype(np.float64), (np.bincount(numbers, minlength=size) - clicks).astype(np.float64))

    def by(self, ids: Numbers, size: int) -> _Counts:
        """The counts of users or items, summed by the ids [users or items] of one of their fields."""
        clicks, non_clicks = (np.bincount(ids, weights=counts, minlength=size).astype(np.float64) for counts in self)
        return _Counts(clicks, non_clicks)


def label_copies(schema: Schema, read: Read) -> dict[Field, float]:
    """The single-valued fields that tell the labels, each with its AUC; ids of users and items are not looked at.

    The score of a value is its click rate in training, so a field need not be in any order.

    Args:
        schema: names the fields.
        read: reads the columns.
    """
    clicked = {split: np.asarray(read(split, "click")) == 1 for split in SPLITS}
    held_out = np.concatenate([clicked[split] for split in SPLITS[1:]])
    if min(held_out.sum(), (~held_out).sum()) < FEWEST_OF_CLASS:
        return {}
    copies = {}
    for group in ("context", *_KEYS):
        fields = [field for field in schema.group(group) if field.values == 1 and field.name not in {"user", "item"}]
        for field, train, rest in _counts_by_value(fields, group, clicked, read):
            auc = _auc_of_rates(train, rest)
            if auc >= COPY_AUC:
                copies[field] = auc
    return copies


def _counts_by_value(
    fields: list[Field], group: Group, clicked: dict[str, NDArray[np.bool_]], read: Read
) -> list[tuple[Field, _Counts, _Counts]]:
    """Clicks and non-clicks by the values of fields of one group, in training and in the other splits."""
    if group == "context":
        return [(field, *_of_context(field, clicked, read)) for field in fields]
    if not fields:
        return []
    key, table = _KEYS[group]
    rows = len(read(table, fields[0].name))
    by_key = [_Counts.of(np.asarray(read(split, key)), clicked[split], rows) for split in SPLITS]
    result = []
    for field in fields:
        ids = np.asarray(read(table, field.name))
        train, *rest = (counts.by(ids, int(ids.max()) + 1) for counts in by_key)
        result.append((field, train, _sum(rest)))
    return result


def _of_context(field: Field, clicked: dict[str, NDArray[np.bool_]], read: Read) -> tuple[_Counts, _Counts]:
    ids = {split: np.asarray(read(split, field.name)) for split in SPLITS}
    size = max(int(column.max()) for column in ids.values()) + 1
    train, *rest = (_Counts.of(ids[split], clicked[split], size) for split in SPLITS)
    return train, _sum(rest)


def _sum(parts: list[_Counts]) -> _Counts:
    return _Counts(*(np.sum(columns, axis=0) for columns in zip(*parts, strict=True)))


def _auc_of_rates(train: _Counts, rest: _Counts) -> float:
    """The AUC on the other splits of the click rates in training; a value that training lacks has the overall rate."""
    # It takes a second to import, and commands that make no dataset import this module, too.
    from sklearn.metrics import roc_auc_score

    overall = train.clicks.sum() / (train.clicks.sum() + train.non_clicks.sum())
    # One impression at the overall rate is added to each value.
    rates = (train.clicks + overall) / (train.clicks + train.non_clicks + 1)
    labels = np.repeat([1, 0], len(rates))
    return float(roc_auc_score(labels, np.tile(rates, 2), sample_weight=np.concatenate(rest)))


def describe_copy(field: Field, auc: float) -> str:
    """A note on a field that `label_copies` returned."""
    return (
        f"the field '{field.name}' alone tells clicks from non-clicks (AUC {auc:.4f} on validation and test): it may "
        "be known only after the click"
    )
