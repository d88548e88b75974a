"""`mail score`: the impressions of a file, scored by a finished run with the histories of its dataset."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mailcli.data.batches import Batch
from mailcli.data.schema import FIRST_ID, PADDING, UNKNOWN
from mailcli.errors import MailError, quoted
from mailcli.serving.dataset_lookup import ValueLookup, history_ends
from mailcli.serving.impression_file import ImpressionFile, ImpressionWriter, check_form
from mailcli.serving.lookups import unknown_ids
from mailcli.serving.value_checks import Faults, RequiredColumn, cast_column
from mailcli.training.predictor import Predictor
from mailcli.training.run_folder import Run
from mailcli.utils.files import write_atomically
from mailcli.utils.progress import progress

logger = logging.getLogger(__name__)


#: The columns that are added; the second for a ranker with two heads.
SCORES = ("score", "score_ctcvr")


class Counts(NamedTuple):
    """What was scored."""

    impressions: int
    new: int
    """Of users without behavior, by the raw data, the protocol, or because the dataset lacks them."""
    unknown_users: int
    """Impressions of users that the dataset lacks."""
    unknown_items: int
    """Impressions of items that the dataset lacks."""


def score(run: Run, file: Path, out: Path, data_dir: Path, rows: int, all_histories: bool = False) -> Counts:
    """Score the impressions of a file; `out` has its columns and the scores, whole or not at all.

    Args:
        run: a finished run; its best epoch is taken.
        file: `.csv` or `.parquet` with the columns user, item, time and the context fields, as in the dataset. A user
            that the dataset lacks needs the attributes as columns, too.
        out: `.csv` or `.parquet`; must not exist.
        data_dir: folder of the datasets.
        rows: impressions at once.
        all_histories: whether the users whom the run drew as new keep their behaviors.

    Raises:
        MailError: a file, a value in it, or the dataset is not as it should be; all of the file's faults are told.
    """
    check_form(out)
    if out.exists() or out.is_symlink():
        raise MailError(f"{out}: exists already. Expected the name of a new file; choose another, or delete it.")
    if not out.parent.is_dir():
        raise MailError(f"{out}: there is no folder {out.parent}. Make it first.")
    predictor = Predictor.open(run, data_dir)
    source = ImpressionFile(file)
    source.check_writable(out.suffix)
    asked = _Impressions(predictor, source, all_histories)
    total = asked.check(rows)
    scorer = predictor.score
    added = SCORES[: scorer.heads]
    taken = [name for name in added if name in source.columns]
    if taken:
        raise MailError(f"{file}: has a column '{taken[0]}' already. Rename it, since that is what is added.")
    schema = pa.schema([*source.schema, *((name, pa.float32()) for name in added)])
    found = Counts(0, 0, 0, 0)
    try:
        with (
            whole(out, new=True) as partial,
            ImpressionWriter(partial, schema) as writer,
            progress("scoring", total, "impressions") as advance,
        ):
            for piece, batch, counts in asked.batches(rows):
                scores = scorer.score_batch(batch)
                columns = [*piece.columns, *(pa.array(scores[:, place]) for place in range(len(added)))]
                writer.write(pa.record_batch(columns, schema=schema))
                found = Counts(*(a + b for a, b in zip(found, counts, strict=True)))
                advance(len(piece))
    except FileExistsError as error:
        raise MailError(
            f"{out}: another program has made it meanwhile, so it is left alone. Nothing was kept; choose another name."
        ) from error
    except OSError as error:
        # Arrow does not tell the file's name.
        raise MailError(f"{out}: cannot be written ({error}). Nothing was kept.") from error
    return found


class _Impressions:
    """Rows of a file -> batches of the dataset's ids.

    Args:
        predictor: its run decides who is new, and n_v.
        source: the file; its columns are checked.
        all_histories: whether drawn users keep their behaviors.
    """

    def __init__(self, predictor: Predictor, source: ImpressionFile, all_histories: bool) -> None:
        dataset = predictor.dataset
        self._dataset, self._source = dataset, source
        schema = dataset.schema
        self._batches = predictor.batches(predictor.test_with_all_histories if all_histories else predictor.test)
        self._users = ValueLookup(dataset.column("users", "raw"))
        self._items = ValueLookup(dataset.column("items", "raw"))
        context = schema.group("context")
        profile = [field for field in schema.group("attributes") if field.vocabulary != schema.user]
        self._vocabularies = {
            field.vocabulary: ValueLookup(dataset.column("vocabularies", field.vocabulary))
            for field in (*context, *profile)
        }
        self._context = [(self._needed(field.name, field.vocabulary), field.vocabulary) for field in context]
        self._profile = [(self._needed(field.name, field.vocabulary), field.vocabulary) for field in profile]
        self._many = [field.name for field in profile if field.values > 1]
        self._lost_profile = self._many or [each.name for each, _ in self._profile if each.name not in source.columns]
        self._key = {
            "user": RequiredColumn("user", self._users.is_text, False),
            "item": RequiredColumn("item", self._items.is_text, False),
            "time": RequiredColumn("time", False, False),
        }
        needed = [*self._key.values(), *(each for each, _ in self._context)]
        if not self._lost_profile:
            needed += [each for each, _ in self._profile]
        source.require(list({each.name: each for each in needed}.values()))
        unused = [each.name for each, _ in self._profile if each.name in source.columns and each not in needed]
        if unused:
            lacks = (
                f"a file cannot hold {quoted(self._many)}" if self._many else f"it lacks {quoted(self._lost_profile)}"
            )
            logger.warning(
                f"{source.path}: {quoted(unused)} not used: users that the dataset lacks need all attributes, and "
                f"{lacks}."
            )

    def _needed(self, name: str, vocabulary: str) -> RequiredColumn:
        return RequiredColumn(name, self._vocabularies[vocabulary].is_text, True)

    def check(self, rows: int) -> int:
        """How many rows there are; every fault of the file is told before anything is scored (MailError)."""
        faults, total = Faults(self._source.path), 0
        for piece in self._source.pieces(rows, faults):
            self._read(piece, total + 1, faults)
            total += len(piece)
        faults.check()
        if not total:
            raise MailError(f"{self._source.path}: there is no row. Expected impressions.")
        return total

    def batches(self, rows: int) -> Iterator[tuple[pa.RecordBatch, Batch, Counts]]:
        """The file's rows with their batches."""
        faults, done = Faults(self._source.path), 0
        for piece in self._source.pieces(rows, faults):
            read = self._read(piece, done + 1, faults)
            # It was checked; another process may have changed it.
            faults.check()
            yield piece, *self._batch(read)
            done += len(piece)

    def _read(self, piece: pa.RecordBatch, first_row: int, faults: Faults) -> _Rows:
        def column(needed: RequiredColumn) -> pa.Array:
            raw = piece.column(needed.name)
            return cast_column(raw, needed, lambda wrong, told: faults.add(needed.name, told, wrong, raw, first_row))

        def ids(fields: list[tuple[RequiredColumn, str]]) -> NDArray[np.int32]:
            # ValueLookup are -1 for what a vocabulary lacks, and FIRST_ID - 1 is UNKNOWN.
            found = [self._vocabularies[vocabulary](column(needed)) + FIRST_ID for needed, vocabulary in fields]
            return np.stack(found, axis=1).astype(np.int32) if found else np.empty((len(piece), 0), np.int32)

        raw_users = column(self._key["user"])
        user = self._users(raw_users)
        if self._lost_profile:
            way = (
                f", since a file cannot hold the values of {', '.join(self._many)}"
                if self._many
                else f", or add what is known of the users: {', '.join(self._lost_profile)}"
            )
            told = f"a user of the dataset '{self._dataset.name}'. Leave such rows out{way}."
            lost = pc.and_(pa.array(user < 0), raw_users.is_valid())
            faults.add("user", told, lost, piece.column("user"), first_row)
        return _Rows(
            user,
            raw_users.dictionary_encode().indices.fill_null(0).to_numpy(zero_copy_only=False),
            self._items(column(self._key["item"])),
            column(self._key["time"]).fill_null(0).to_numpy(zero_copy_only=False),
            ids(self._context),
            None if self._lost_profile else ids(self._profile),
        )

    def _batch(self, read: _Rows) -> tuple[Batch, Counts]:
        dataset, schema = self._dataset, self._dataset.schema
        lost_user, lost_item = read.user < 0, read.item < 0
        # Any row stands in for one that is not there, until its values are put in place.
        user, item = np.where(lost_user, 0, read.user), np.where(lost_item, 0, read.item)
        begin = dataset.offsets[user]
        end = np.where(lost_user, begin, dataset.offsets[user + 1])
        ends = history_ends(dataset.column("behaviors", "time"), begin, end, read.time)
        labels = np.zeros(len(user), np.float32)
        batch = self._batches.assemble(user, item, ends, read.context, labels, labels)
        if read.profile is not None:
            at = [k for k, field in enumerate(schema.group("attributes")) if field.vocabulary != schema.user]
            attributes = np.full((len(user), len(schema.group("attributes"))), UNKNOWN, np.int32)
            attributes[:, at] = read.profile
            batch["attributes"][lost_user] = attributes[lost_user]
        batch["target"][lost_item] = unknown_ids(schema.group("target"))
        batch["dense"][lost_item] = 0
        # Each of them a user of its own, whose behavior is invented once.
        batch["user"] = np.where(lost_user, dataset.counts["users"] + read.number, user).astype(np.int32)
        new = int(np.count_nonzero(batch["actions"][:, -1] == PADDING))
        return batch, Counts(len(user), new, int(lost_user.sum()), int(lost_item.sum()))


class _Rows(NamedTuple):
    """Some rows of a file, looked up."""

    user: NDArray[np.int64]
    """Rows of the dataset; -1 for users that it lacks."""
    number: NDArray[np.int64]
    """Alike where the raw user is."""
    item: NDArray[np.int64]
    """Rows of the dataset; -1 for items that it lacks."""
    time: NDArray[np.int64]
    context: NDArray[np.int32]
    """[B, n_c], ids."""
    profile: NDArray[np.int32] | None
    """[B, n_a - 1], ids of the attributes but the user's; None where the file lacks one."""
