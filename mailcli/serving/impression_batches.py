"""Impressions of a file or DataFrame -> batches of the dataset's ids."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mailcli.data.batches import Batch
from mailcli.data.protocol import hidden_ids
from mailcli.data.schema import FIRST_ID, PADDING, UNKNOWN, Field
from mailcli.errors import MailError, quoted
from mailcli.serving.dataset_lookup import ValueLookup, history_ends
from mailcli.serving.faults import Faults
from mailcli.serving.field_columns import ColumnsIds, FieldColumn, look_up
from mailcli.serving.impression_source import ImpressionSource
from mailcli.serving.lookups import unknown_ids
from mailcli.serving.older_datasets import bucket_note, bucketed_fields
from mailcli.serving.score_counts import NOTHING_UNKNOWN, Counts, unknown_in
from mailcli.serving.time_limits import time_limits
from mailcli.serving.value_checks import RequiredColumn, cast_column
from mailcli.serving.value_notes import ValueNotes
from mailcli.training.predictor import Predictor

logger = logging.getLogger(__name__)


class _LookedUpRows(NamedTuple):
    """Rows of the file, their values replaced by positions and ids."""

    user: NDArray[np.int64]
    """Rows of the user table; -1 for unknown users."""
    item: NDArray[np.int64]
    """Rows of the item table; -1 for unknown items."""
    raw_user: pa.Array
    raw_item: pa.Array
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
        # A value that is not in the vocabulary has position -1.
        self._is_hidden = np.append(hidden_ids(dataset, predictor.config, predictor.test), True)
        self._context = [self._field_column(field) for field in schema.group("context")]
        self._profile = [self._field_column(field) for field in profile]
        self._multi_valued = [field.name for field in profile if field.values > 1]
        self._missing_profile = self._multi_valued or [
            field.name for field in self._profile if field.name not in source.columns
        ]
        self._user = RequiredColumn("user", self._users.is_text, optional=False)
        self._item = RequiredColumn("item", self._items.is_text, optional=False)
        self._limits = time_limits(dataset)
        self._time = RequiredColumn("time", is_text=False, optional=False, is_time=True)
        self._check_columns()

    def _vocabulary(self, name: str) -> ValueLookup:
        if name not in self._vocabularies:
            self._vocabularies[name] = ValueLookup(self._dataset.column("vocabularies", name))
        return self._vocabularies[name]

    def _field_column(self, field: Field) -> FieldColumn:
        return FieldColumn(field, self._vocabulary(field.vocabulary), self._dataset.derivation(field))

    def _check_columns(self) -> None:
        # Hours and weekdays are computed; those that the file has are only compared.
        context = [field.required for field in self._context if not field.derivation.clock]
        time = [self._time] if self._limits else []
        required = [self._user, self._item, *time, *context]
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
        bucket_columns = [column.name for column in required if column.name in in_buckets]
        if bucket_columns:
            logger.warning(bucket_note(self._dataset, bucket_columns))

    def check(self, rows: int) -> int:
        """The number of rows; every fault in the file is reported before anything is scored (MailError)."""
        faults, notes, total = Faults(self._source.label), ValueNotes(self._source.label), 0
        for piece in self._source.read(rows, faults):
            self._look_up(piece, total + 1, faults, notes)
            total += len(piece)
        faults.check()
        if not total:
            raise MailError(f"{self._source.label}: there is no row. Expected impressions.")
        if self._limits:
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
        raw_user, raw_item = cast(self._user), cast(self._item)
        time = self._times(piece, cast, first_row, faults)
        notes.add_times(time)
        user, item = self._users(raw_user), self._items(raw_item)
        is_unknown_user = user < 0
        context = look_up(self._context, piece, cast, time, np.ones(len(piece), bool), notes)
        profile = None
        if self._missing_profile:
            is_given_but_unknown = pc.and_(pa.array(is_unknown_user), raw_user.is_valid())
            faults.add("user", self._expected_user(), is_given_but_unknown, piece.column("user"), first_row)
        else:
            profile = look_up(self._profile, piece, cast, time, is_unknown_user, notes)
        return _LookedUpRows(user, item, raw_user, raw_item, time, context, profile)

    def _times(
        self, piece: pa.RecordBatch, cast: Callable[[RequiredColumn], pa.Array], first_row: int, faults: Faults
    ) -> NDArray[np.int64]:
        """The times; 0 if the dataset has none, or where one is faulty."""
        if self._limits is None:
            return np.zeros(len(piece), np.int64)
        times = cast(self._time)
        earliest, latest = self._limits.earliest, self._limits.latest
        is_no_time = pc.or_(pc.less(times, earliest), pc.greater(times, latest))
        faults.add("time", self._limits.expected, is_no_time, piece.column("time"), first_row)
        return times.fill_null(0).to_numpy(zero_copy_only=False)

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
            # A continued run may know the id of a user whom only the previous day's dataset has.
            own_id = [field.vocabulary for field in fields].index(schema.user)
            position = self._vocabulary(schema.user)(rows.raw_user)
            attributes[:, own_id] = np.where(self._is_hidden[position], UNKNOWN, position + FIRST_ID)
            batch["attributes"][is_unknown_user] = attributes[is_unknown_user]
        batch["target"][is_unknown_item] = unknown_ids(schema.group("target"))
        batch["dense"][is_unknown_item] = 0
        # Each unknown user has a number of their own, so that their behavior is generated once; not for rows with other
        # attributes under the same id, such as that of all guests.
        codes = rows.raw_user.dictionary_encode().indices.to_numpy()
        unknown = np.column_stack([codes, batch["attributes"]])[is_unknown_user]
        batch["user"] = user.astype(np.int32)
        number = np.unique(unknown, axis=0, return_inverse=True)[1].reshape(-1)
        batch["user"][is_unknown_user] = dataset.counts["users"] + number
        new = int(np.count_nonzero(batch["actions"][:, -1] == PADDING))
        return batch, Counts(
            len(user),
            new,
            users=unknown_in({"user": (is_unknown_user, rows.raw_user)}),
            items=unknown_in({"item": (is_unknown_item, rows.raw_item)}),
            attributes=rows.profile.unknown if rows.profile else NOTHING_UNKNOWN,
            contexts=rows.context.unknown,
        )
