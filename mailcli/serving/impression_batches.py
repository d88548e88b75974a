"""Impressions of a file or DataFrame -> batches of the dataset's ids."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mailcli.data.batches import Batch
from mailcli.data.schema import PADDING, UNKNOWN, Field
from mailcli.errors import MailError, quoted
from mailcli.serving.dataset_lookup import ValueLookup, history_ends
from mailcli.serving.faults import Faults
from mailcli.serving.field_columns import ColumnsIds, FieldColumn, look_up
from mailcli.serving.impression_source import ImpressionSource
from mailcli.serving.lookups import unknown_ids
from mailcli.serving.older_datasets import bucket_note, bucketed_fields
from mailcli.serving.value_checks import EXPECTED_TIME, RequiredColumn, cast_column, is_no_time
from mailcli.serving.value_notes import ValueNotes
from mailcli.training.predictor import Predictor

logger = logging.getLogger(__name__)


class Counts(NamedTuple):
    """How many impressions were scored, and of whom."""

    impressions: int
    new: int
    """Of users without behaviors: in the raw data, by the protocol, or because the dataset does not have the user."""
    unknown_users: int
    """Of users who are not in the dataset."""
    unknown_items: int
    """Of items that are not in the dataset."""
    unknown_attributes: int
    """Of users with an attribute in the file whose value training does not have."""
    unknown_contexts: int
    """With a context value that training does not have."""
    by_attribute: Counter[str]
    """The unknown attributes, by their names."""
    by_context: Counter[str]
    """The unknown context values, by their names."""

    def plus(self, other: Counts) -> Counts:
        """The counts of both."""
        return Counts(
            self.impressions + other.impressions,
            self.new + other.new,
            self.unknown_users + other.unknown_users,
            self.unknown_items + other.unknown_items,
            self.unknown_attributes + other.unknown_attributes,
            self.unknown_contexts + other.unknown_contexts,
            self.by_attribute + other.by_attribute,
            self.by_context + other.by_context,
        )

    def text(self) -> str:
        """One line for people, without a full stop."""
        attributes, contexts = map(_by_field, (self.by_attribute, self.by_context))
        return (
            f"{self.impressions:,} impressions; {self.new:,} without history, {self.unknown_users:,} with an unknown "
            f"user, {self.unknown_items:,} with an unknown item, {self.unknown_attributes:,} with an unknown "
            f"attribute{attributes}, {self.unknown_contexts:,} with an unknown context value{contexts}"
        )


def _by_field(counts: Mapping[str, int]) -> str:
    """` (city 2, age 1)`; empty if all counts are 0."""
    listed = ", ".join(f"{name} {count:,}" for name, count in counts.items() if count)
    return f" ({listed})" if listed else ""


#: Before the first impression.
NO_COUNTS = Counts(0, 0, 0, 0, 0, 0, Counter(), Counter())


class _LookedUpRows(NamedTuple):
    """Rows of the file, their values replaced by positions and ids."""

    user: NDArray[np.int64]
    """Rows of the user table; -1 for unknown users."""
    raw_user: NDArray[np.int64]
    """A number for each distinct raw user."""
    item: NDArray[np.int64]
    """Rows of the item table; -1 for unknown items."""
    time: NDArray[np.int64]
    context: ColumnsIds
    profile: ColumnsIds | None
    """The attributes except the user's own id; None if the file lacks one of them."""


class ImpressionBatches:
    """Reads impressions as batches.

    Args:
        predictor: its run decides who is new, and n_v.
        source: the impressions.
        all_histories: whether users drawn as new keep their histories.

    Raises:
        MailError: the source lacks a column, or one has an unsuitable type.
    """

    def __init__(self, predictor: Predictor, source: ImpressionSource, all_histories: bool) -> None:
        dataset = predictor.dataset
        self._dataset, self._source = dataset, source
        schema = dataset.schema
        self._batches = predictor.batches(predictor.test_with_all_histories if all_histories else predictor.test)
        self._users = ValueLookup(dataset.column("users", "raw"))
        self._items = ValueLookup(dataset.column("items", "raw"))
        self._vocabularies: dict[str, ValueLookup] = {}
        profile = [field for field in schema.group("attributes") if field.vocabulary != schema.user]
        self._context = [self._field_column(field) for field in schema.group("context")]
        self._profile = [self._field_column(field) for field in profile]
        self._multi_valued = [field.name for field in profile if field.values > 1]
        self._missing_profile = self._multi_valued or [
            field.name for field in self._profile if field.name not in source.columns
        ]
        self._user = RequiredColumn("user", self._users.is_text, optional=False)
        self._item = RequiredColumn("item", self._items.is_text, optional=False)
        self._time = RequiredColumn("time", is_text=False, optional=False)
        self._check_columns()

    def _field_column(self, field: Field) -> FieldColumn:
        name = field.vocabulary
        if name not in self._vocabularies:
            self._vocabularies[name] = ValueLookup(self._dataset.column("vocabularies", name))
        return FieldColumn(field, self._vocabularies[name], self._dataset.derivation(field))

    def _check_columns(self) -> None:
        # An hour or weekday that the file lacks is computed.
        context = [
            field.required
            for field in self._context
            if field.name in self._source.columns or not field.derivation.clock
        ]
        required = [self._user, self._item, self._time, *context]
        profile = [field.required for field in self._profile]
        if not self._missing_profile:
            required += profile
        self._source.require(list({column.name: column for column in required}.values()))
        unused = [column.name for column in profile if column.name in self._source.columns and column not in required]
        if unused:
            reason = (
                f"a {self._source.noun} cannot hold {quoted(self._multi_valued)}"
                if self._multi_valued
                else f"it lacks {quoted(self._missing_profile)}"
            )
            logger.warning(
                f"{self._source.label}: {quoted(unused)} not used: users who are not in the dataset need all "
                f"attributes, and {reason}."
            )
        in_buckets = bucketed_fields(self._dataset)
        given = [column.name for column in required if column.name in in_buckets]
        if given:
            logger.warning(bucket_note(self._dataset, given))

    def check(self, rows: int) -> int:
        """The number of rows; every fault in the file is reported before anything is scored (MailError)."""
        faults, notes, total = Faults(self._source.label), ValueNotes(self._source.label), 0
        for piece in self._source.read(rows, faults):
            self._look_up(piece, total + 1, faults, notes)
            total += len(piece)
        faults.check()
        if not total:
            raise MailError(f"{self._source.label}: there is no row. Expected impressions.")
        notes.log_times(int(self._dataset.column("behaviors", "time").min()))
        notes.log([*self._context, *self._profile])
        return total

    def batches(self, rows: int) -> Iterator[tuple[pa.RecordBatch, Batch, Counts]]:
        """The file's rows, at most so many at a time, with their batch."""
        faults, done = Faults(self._source.label), 0
        for piece in self._source.read(rows, faults):
            looked_up = self._look_up(piece, done + 1, faults, ValueNotes(self._source.label))
            # Checked before, but another process may have changed the file since.
            faults.check()
            yield piece, *self._batch(looked_up)
            done += len(piece)

    def _look_up(self, piece: pa.RecordBatch, first_row: int, faults: Faults, notes: ValueNotes) -> _LookedUpRows:
        def cast(column: RequiredColumn) -> pa.Array:
            raw = piece.column(column.name)
            return cast_column(
                raw, column, lambda wrong, expected: faults.add(column.name, expected, wrong, raw, first_row)
            )

        # Faults are reported in the order in which the columns are read.
        raw_user, raw_item, raw_time = (cast(column) for column in (self._user, self._item, self._time))
        user, item = self._users(raw_user), self._items(raw_item)
        faults.add("time", EXPECTED_TIME, is_no_time(raw_time), piece.column("time"), first_row)
        time = raw_time.fill_null(0).to_numpy(zero_copy_only=False)
        notes.add_times(time)
        is_stranger = user < 0
        context = look_up(self._context, piece, cast, time, np.ones(len(piece), bool), notes)
        profile = None
        if self._missing_profile:
            is_unknown = pc.and_(pa.array(is_stranger), raw_user.is_valid())
            faults.add("user", self._expected_user(), is_unknown, piece.column("user"), first_row)
        else:
            profile = look_up(self._profile, piece, cast, time, is_stranger, notes)
        raw_users = raw_user.dictionary_encode().indices.fill_null(0).to_numpy(zero_copy_only=False)
        return _LookedUpRows(user, raw_users, item, time, context, profile)

    def _expected_user(self) -> str:
        """What was expected of an unknown user, if the file lacks attributes."""
        alternative = (
            f", because a {self._source.noun} cannot hold the values of {', '.join(self._multi_valued)}"
            if self._multi_valued
            else f", or add columns with the users' attributes: {', '.join(self._missing_profile)}"
        )
        return f"a user of the dataset '{self._dataset.name}'. Remove such rows{alternative}."

    def _batch(self, rows: _LookedUpRows) -> tuple[Batch, Counts]:
        dataset, schema = self._dataset, self._dataset.schema
        is_unknown_user, is_unknown_item = rows.user < 0, rows.item < 0
        # Row 0 stands in for an unknown user or item until its values are filled in.
        user, item = np.where(is_unknown_user, 0, rows.user), np.where(is_unknown_item, 0, rows.item)
        begin = dataset.offsets[user]
        end = np.where(is_unknown_user, begin, dataset.offsets[user + 1])
        ends = history_ends(dataset.column("behaviors", "time"), begin, end, rows.time)
        labels = np.zeros(len(user), np.float32)
        batch = self._batches.assemble(user, item, ends, rows.context.ids, labels, labels)
        if rows.profile is not None:
            fields = schema.group("attributes")
            profile_columns = [number for number, field in enumerate(fields) if field.vocabulary != schema.user]
            attributes = np.full((len(user), len(fields)), UNKNOWN, np.int32)
            attributes[:, profile_columns] = rows.profile.ids
            batch["attributes"][is_unknown_user] = attributes[is_unknown_user]
        batch["target"][is_unknown_item] = unknown_ids(schema.group("target"))
        batch["dense"][is_unknown_item] = 0
        # Each unknown user has a number of their own, so that their behavior is invented once.
        unknown_number = dataset.counts["users"] + rows.raw_user
        batch["user"] = np.where(is_unknown_user, unknown_number, user).astype(np.int32)
        new = int(np.count_nonzero(batch["actions"][:, -1] == PADDING))
        return batch, Counts(
            len(user),
            new,
            int(is_unknown_user.sum()),
            int(is_unknown_item.sum()),
            rows.profile.unknown_rows if rows.profile else 0,
            rows.context.unknown_rows,
            Counter(rows.profile.unknown if rows.profile else {}),
            Counter(rows.context.unknown),
        )
