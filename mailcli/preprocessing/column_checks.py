"""Uninformative columns: no value, only one value, or no behavior value that the target also has."""

from __future__ import annotations

import logging

import numpy as np
from numpy.typing import NDArray

from mailcli.data.schema import FIRST_ID, UNKNOWN, Field, Group
from mailcli.errors import MailError, shorten
from mailcli.preprocessing.engines._base import DataEngine
from mailcli.preprocessing.links import Link, check_link
from mailcli.preprocessing.sources._base import RawData
from mailcli.preprocessing.vocabulary import VocabularyBuilder

logger = logging.getLogger(__name__)

#: Rows below which a column may have one value by chance (ours).
FEWEST_ROWS = 10
_TABLES: dict[Group, str] = {
    "attributes": "users",
    "behavior": "behaviors",
    "context": "impressions",
    "target": "items",
}


class SeenIds:
    """Which ids the columns of a dataset hold."""

    def __init__(self) -> None:
        self._seen: dict[Field, NDArray[np.bool_]] = {}
        self.rows: dict[Field, int] = {}
        """The rows of the column of each field."""

    def add(self, field: Field, vocabulary: VocabularyBuilder, ids: NDArray) -> None:
        """Add rows of a field's column."""
        seen = self._seen.setdefault(field, np.zeros(vocabulary.total, bool))
        seen[ids] = True
        self.rows[field] = self.rows.get(field, 0) + len(ids)

    def values(self, field: Field) -> NDArray[np.bool_]:
        """[distinct values of the vocabulary], whether the column holds each."""
        return self._seen[field][FIRST_ID:]

    def has_missing(self, field: Field) -> bool:
        """Whether a row has no value."""
        return bool(self._seen[field][UNKNOWN])


def check_columns(
    source: RawData, engine: DataEngine, seen: SeenIds, vocabularies: dict[str, VocabularyBuilder]
) -> None:
    """Refuse or note columns without information.

    Args:
        source: the raw data.
        engine: looks into its files for the values of such a column.
        seen: the ids of all columns.
        vocabularies: those of the dataset.

    Raises:
        MailError: a column has no value, or only one, and is made of texts of the file that say more; or no value of a
            behavior field is one of the target.
    """
    for field, rows in seen.rows.items():
        if rows < FEWEST_ROWS or field.name in {"user", "item"}:
            continue
        values = seen.values(field)
        if not values.any():
            _no_value(source, engine, field, rows)
        elif values.sum() == 1 and not seen.has_missing(field):
            _one_value(source, engine, field, _example(vocabularies[field.vocabulary], values))
    for field in source.schema.group("behavior"):
        if seen.rows[field] >= FEWEST_ROWS:
            _check_target(source, field, seen, vocabularies[field.vocabulary])


def _no_value(source: RawData, engine: DataEngine, field: Field, rows: int) -> None:
    table = _TABLES[field.group]
    text = f"the field '{field.name}' of the {table} has no value in any of {rows:,} rows"
    texts = source.texts_of(engine, table, field.name, whole=True)
    if texts:
        raise MailError(
            f"{source.path_of(table)}: {text}, although its column has {shorten(texts[0])}. Expected some; check its "
            "separator or regular expression, or leave the field out of the schema file."
        )
    logger.warning(f"Note: {source.path_of(table).name}: {text}.")


def _one_value(source: RawData, engine: DataEngine, field: Field, value: object) -> None:
    table = _TABLES[field.group]
    texts = source.texts_of(engine, table, field.name, whole=False)
    if len(texts) > 1:
        raise MailError(
            f"{source.path_of(table)}: every value of the field '{field.name}' of the {table} becomes "
            f"{shorten(value)}, although the file has {shorten(texts[0])} and {shorten(texts[1])}. Expected several "
            "values; check its edges or quantiles, or leave the field out of the schema file."
        )
    logger.warning(
        f"Note: {source.path_of(table).name}: the field '{field.name}' of the {table} is {shorten(value)} in all rows."
    )


def _check_target(source: RawData, field: Field, seen: SeenIds, vocabulary: VocabularyBuilder) -> None:
    """Behaviors are compared with the target, so their values must be the same; the smaller side decides."""
    target_fields = [other for other in source.schema.group("target") if other.vocabulary == field.vocabulary]
    of_behaviors = seen.values(field)
    of_target = np.logical_or.reduce([seen.values(other) for other in target_fields])
    sides = [("behaviors", of_behaviors), ("items", of_target)]
    (name, values), (other_name, other_values) = sorted(sides, key=lambda side: int(side[1].sum()))
    missing = values & ~other_values
    check_link(
        Link(
            source.path_of(name),
            f"{field.name} of the {name}",
            f"the {other_name} ({source.path_of(other_name).name})",
            count=int(values.sum()),
            missing=int(missing.sum()),
            example=_example(vocabulary, missing),
            target_example=_example(vocabulary, other_values),
        )
    )


def _example(vocabulary: VocabularyBuilder, values: NDArray[np.bool_]) -> object:
    """The first of the values of a vocabulary; None if there is none."""
    if not values.any():
        return None
    number = int(values.argmax())
    known = vocabulary.values()
    value = known[number] if number < len(known) else vocabulary.unseen()[number - len(known)]
    return value.item() if isinstance(value, np.generic) else value
