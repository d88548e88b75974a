"""`mail score`: scores the impressions in a file with a finished run, using the histories of its dataset."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from mailcli.errors import MailError
from mailcli.runs.folder import RunFolder
from mailcli.serving.impression_batches import ImpressionBatches
from mailcli.serving.impression_file import ImpressionFile, check_format
from mailcli.serving.impression_writer import ImpressionWriter
from mailcli.serving.output_path import refuse_existing
from mailcli.serving.score_counts import NO_COUNTS, Counts
from mailcli.training.predictor import Predictor
from mailcli.utils.files import remove_partials_of, write_atomically
from mailcli.utils.folder_lock import FolderLock
from mailcli.utils.progress import progress
from mailcli.utils.system_errors import advice

#: The columns that are added; the second only for a ranker with two heads.
SCORES = ("score", "score_ctcvr")


def score(run: RunFolder, file: Path, out: Path, data_dir: Path, rows: int, all_histories: bool = False) -> Counts:
    """Score the impressions in a file; `out` has its columns and the scores, and is written completely or not at all.

    Args:
        run: a finished run; its best epoch is used.
        file: `.csv` or `.parquet` with the columns user, item, time and the context fields, with values as in the
            raw files: numbers are cut into buckets as in training, and hours and weekdays that it lacks are computed.
            For users who are not in the dataset it also needs the attributes as columns.
        out: `.csv` or `.parquet`; must not exist.
        data_dir: folder of the datasets.
        rows: impressions per batch.
        all_histories: whether users drawn as new keep their histories.

    Returns:
        How many impressions were scored, and how many have unknown users, items, attributes or contexts.

    Raises:
        MailError: a file, a value in it or the dataset is invalid; all faults in the file are reported together.
    """
    check_format(out)
    refuse_existing(out, "file")
    if not out.parent.is_dir():
        raise MailError(f"{out}: there is no folder {out.parent}. Create it first, or choose another path.")
    predictor = Predictor.open(run, data_dir)
    source = ImpressionFile(file)
    source.check_writable(out.suffix)
    impressions = ImpressionBatches(predictor, source, all_histories)
    total = impressions.check(rows)
    added = SCORES[: predictor.scorer.heads]
    conflicts = [name for name in added if name in source.columns]
    if conflicts:
        raise MailError(f"{file}: has a column '{conflicts[0]}' already. Rename it: the scores get that name.")
    columns = [column.with_name(name) for column, name in zip(source.schema, source.header, strict=True)]
    schema = pa.schema([*columns, *((name, pa.float32()) for name in added)])
    try:
        with FolderLock(out, f"{out}: another `mail score` is writing it. Wait for it, or choose another name."):
            # What a killed `mail score` left behind.
            remove_partials_of(out)
            return _write_scores(impressions, predictor, out, schema, rows, total)
    except FileExistsError as error:
        raise MailError(
            f"{out}: was created by another program in the meantime and is left untouched. Nothing was written; choose "
            "another name."
        ) from error
    except OSError as error:
        # Arrow's errors do not name the file.
        reason = f"{out}: cannot be written ({error.strerror or error}). Nothing was written."
        raise MailError(f"{reason} {advice(error)}") from error


def _write_scores(
    impressions: ImpressionBatches, predictor: Predictor, out: Path, schema: pa.Schema, rows: int, total: int
) -> Counts:
    """Write the impressions with their scores to a new file; returns what was counted."""
    counts = NO_COUNTS
    with (
        write_atomically(out, new=True) as partial,
        ImpressionWriter(partial, schema) as writer,
        progress("scoring", total, "impressions") as advance,
    ):
        for piece, batch, piece_counts in impressions.batches(rows):
            scores = predictor.scorer.score_batch(batch)
            columns = [*piece.columns, *(pa.array(column) for column in scores.T)]
            writer.write(pa.record_batch(columns, schema=schema))
            counts = counts.plus(piece_counts)
            advance(len(piece))
        predictor.dataset.check_files()
    return counts
