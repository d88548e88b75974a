"""The scores of impressions in a DataFrame, as `mail score` gives those of a file."""

from __future__ import annotations

import numpy as np
import pandas as pd

from mailcli.errors import MailError, shorten
from mailcli.serving.impression_batches import ImpressionBatches
from mailcli.serving.impression_frame import ImpressionFrame
from mailcli.serving.score_counts import NO_COUNTS, Counts
from mailcli.serving.score_file import SCORES
from mailcli.training.predictor import Predictor
from mailcli.utils.progress import progress


def score_frame(
    predictor: Predictor, frame: pd.DataFrame, rows: int, all_histories: bool = False
) -> tuple[pd.DataFrame, Counts]:
    """Score the impressions in a DataFrame.

    Args:
        predictor: of a finished run.
        frame: the columns of a file for `mail score`; others are ignored.
        rows: impressions per batch.
        all_histories: whether users drawn as new keep their histories.

    Returns:
        The scores, with the index of the frame, and how many impressions have unknown users, items or values.

    Raises:
        MailError: a column is missing, or a value is invalid; all faults are reported together.
    """
    if not isinstance(frame, pd.DataFrame):
        raise MailError(f"impressions are {shorten(frame)}. Expected a pandas DataFrame.")
    schema = predictor.dataset.schema
    fields = [field.name for group in ("attributes", "context") for field in schema.group(group)]
    impressions = ImpressionBatches(predictor, ImpressionFrame(frame, {"user", "item", "time", *fields}), all_histories)
    total = impressions.check(rows)
    scores, counts = [], NO_COUNTS
    with progress("scoring", total, "impressions") as advance:
        for piece, batch, piece_counts in impressions.batches(rows):
            scores.append(predictor.scorer.score_batch(batch))
            counts = counts.plus(piece_counts)
            advance(len(piece))
    predictor.dataset.check_files()
    columns = list(SCORES[: predictor.scorer.heads])
    return pd.DataFrame(np.concatenate(scores), index=frame.index, columns=columns), counts
