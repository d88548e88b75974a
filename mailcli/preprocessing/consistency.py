"""Whether the raw tables fit one another: users and items that the tables know, times of one clock."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mailcli.errors import MailError, quoted
from mailcli.preprocessing.sources._base import RawData

logger = logging.getLogger(__name__)


#: Share of users or items that the tables may lack without a note (ours; Ali_Display_Ad_Click lacks one user in 20).
UNKNOWN = 0.2
#: Seconds between the last behavior and the first impression that are no pause but another unit (ours: ten years).
PAUSE = 10 * 365 * 86400


def check_users(source: RawData, users: pa.Table, profiles: pa.Table) -> None:
    """Say on stderr if many users of the impressions have no profile.

    Args:
        source: the raw data, for the names of its files.
        users: those of the impressions, with their number of impressions by split.
        profiles: the user table.

    Raises:
        MailError: none of them has one, or no attribute has a value: MAIL could learn nothing from attributes.
    """
    lost = _lost(users["user"], profiles["user"])
    if len(lost) and len(lost) == len(users):
        raise MailError(f"{_told(source, 'user', lost, profiles['user'])} Expected ids that are written alike in both.")
    if len(lost) > UNKNOWN * len(users):
        _note(source, "user", lost, len(users))
    trained = users["user"].filter(pc.greater(users["train"], 0))
    of_train = profiles.filter(pc.is_in(profiles["user"], value_set=_values(trained, profiles["user"])))
    names = [field.name for field in source.schema.group("attributes") if field.name != "user"]
    if names and not any(_has_value(of_train[name]) for name in names):
        raise MailError(
            f"{_file(source, 'user')}: no user of the training split has a value of {quoted(names)}. Expected some: "
            "MAIL invents a new user's behavior from the attributes."
        )


def check_items(source: RawData, items: pa.Table, features: pa.Table) -> None:
    """Say on stderr if the item table lacks many of the items of the impressions; an item's id alone may do."""
    shown = items["item"].filter(pc.greater(items["impressions"], 0))
    lost = _lost(shown, features["item"])
    if len(lost) and len(lost) == len(shown):
        logger.warning(f"Note: {_told(source, 'item', lost, features['item'])} They have no features.")
    elif len(lost) > UNKNOWN * len(shown):
        _note(source, "item", lost, len(shown))


def check_times(source: RawData, behaviors: Iterable[Path], impressions: Iterable[Path]) -> None:
    """Refuse behaviors that are all long before the impressions.

    Args:
        source: the raw data, for the names of its files.
        behaviors: Parquet files with a column `time`.
        impressions: as well.

    Raises:
        MailError: one of the two was read in a wrong unit, which would put each click into its own history.
    """
    last, first = max(_times(behaviors), default=0), min(_times(impressions), default=0)
    if first - last > PAUSE:
        name = _file(source, "behavior")
        raise MailError(
            f"{name}: its last behavior, of {_date(last)}, is more than ten years before the first impression, of "
            f"{_date(first)}. Expected times of one clock: is the unit of one of them another?"
        )


def _lost(shown: pa.ChunkedArray, known: pa.ChunkedArray) -> pa.ChunkedArray:
    """The values that are not known."""
    return shown.filter(pc.invert(pc.is_in(shown, value_set=_values(known, shown))))


def _values(values: pa.ChunkedArray, like: pa.ChunkedArray) -> pa.Array:
    return values.cast(like.type).combine_chunks()


def _told(source: RawData, key: str, lost: pa.ChunkedArray, known: pa.ChunkedArray) -> str:
    return (
        f"{_file(source, 'impression')}: no {key} of the impressions is in {_file(source, key).name}, for example "
        f"{pc.min(lost).as_py()!r}; its {key}s are such as {pc.min(known).as_py()!r}."
    )


def _note(source: RawData, key: str, lost: pa.ChunkedArray, count: int) -> None:
    logger.warning(
        f"Note: {len(lost):,} of {count:,} {key}s of the impressions ({len(lost) / count:.2%}) are not in "
        f"{_file(source, key).name}, for example {pc.min(lost).as_py()!r}."
    )


def _file(source: RawData, key: str) -> Path:
    """The file behind a table."""
    return source.csv[f"{key}s"].path if source.csv else source.files[0]


def _has_value(column: pa.ChunkedArray) -> bool:
    if pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
        return bool(pc.sum(pc.list_value_length(column)).as_py())
    return bool(column.null_count < len(column))


def _times(paths: Iterable[Path]) -> list[int]:
    """The least and the greatest time of each part of Parquet files, which their footers say."""
    found = []
    for path in paths:
        meta = pq.ParquetFile(path).metadata
        place = meta.schema.names.index("time")
        for group in range(meta.num_row_groups):
            kept = meta.row_group(group).column(place).statistics
            if kept is not None and kept.has_min_max:
                found += [kept.min, kept.max]
    return found


def _date(time: int) -> str:
    return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%d %H:%M:%S")
