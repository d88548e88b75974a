"""Whether the raw tables fit one another: users and items are in their tables, times are in one unit."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mailcli.data.derivations import DAY
from mailcli.errors import MailError, quoted
from mailcli.preprocessing.engines._base import DataEngine
from mailcli.preprocessing.links import Link, check_link
from mailcli.preprocessing.sources._base import RawData

#: Seconds from the last behavior to the first impression above which the units must differ (ours: ten years).
LONGEST_PAUSE = 10 * 365 * DAY


def check_users(source: RawData, users: pa.Table, profiles: pa.Table) -> None:
    """Log a note if many users of the impressions have no profile.

    Args:
        source: the raw data, for the names of its files.
        users: those of the impressions, with their number of impressions by split.
        profiles: the user table.

    Raises:
        MailError: none of them has a profile, or no attribute has a value: MAIL learns from attributes.
    """
    check_link(_link(source, "user", users["user"], profiles["user"]))
    trained = users["user"].filter(pc.greater(users["train"], 0))
    of_train = profiles.filter(pc.is_in(profiles["user"], value_set=_cast(trained, profiles["user"])))
    names = [field.name for field in source.schema.group("attributes") if field.name != "user"]
    if names and not any(_has_value(of_train[name]) for name in names):
        raise MailError(
            f"{source.path_of('users')}: no user of the training split has a value of {quoted(names)}. Expected some: "
            "MAIL generates a new user's behavior from the attributes."
        )


def check_items(source: RawData, items: pa.Table, features: pa.Table) -> None:
    """Log a note if many items of the impressions have no row in the item table.

    Args:
        source: the raw data, for the names of its files.
        items: those of impressions and item table, with their number of impressions.
        features: the item table.

    Raises:
        MailError: none of them has a row.
    """
    shown_items = items["item"].filter(pc.greater(items["impressions"], 0))
    check_link(_link(source, "item", shown_items, features["item"]))


def check_users_of_behaviors(source: RawData, engine: DataEngine, users: pa.Table) -> None:
    """Refuse behaviors of which none belongs to a user of the impressions (MailError).

    Args:
        source: the raw data.
        engine: reads an example.
        users: those of the impressions.
    """
    behaviors = source.behaviors(engine)
    fault = engine.column("fault")
    example = engine.collect(behaviors.where(fault.isNull()).select("user").limit(1))["user"]
    check_link(
        Link(
            source.path_of("behaviors"),
            "user of the behaviors",
            f"the impressions ({source.path_of('impressions').name})",
            count=1,
            missing=1,
            example=example[0].as_py(),
            target_example=pc.min(users["user"]).as_py(),
        )
    )


def check_times(source: RawData, behaviors: Iterable[Path], impressions: Iterable[Path]) -> None:
    """Refuse behaviors that are all long before the impressions.

    Args:
        source: the raw data, for the names of its files.
        behaviors: Parquet files with a column `time`; below 0, it is only a place in a list.
        impressions: Parquet files with a column `time`.

    Raises:
        MailError: one of the two is in another unit; each click would then be part of its own history.
    """
    last, first = max(_extreme_times(behaviors), default=0), min(_extreme_times(impressions), default=0)
    if last >= 0 and first - last > LONGEST_PAUSE:
        raise MailError(
            f"{source.path_of('behaviors')}: its last behavior, of {_date(last)}, is more than ten years before the "
            f"first impression, of {_date(first)}. Are both in the same unit (seconds, milliseconds)?"
        )


def _missing_from(known: pa.ChunkedArray, values: pa.ChunkedArray) -> pa.ChunkedArray:
    """The values that are not known."""
    return values.filter(pc.invert(pc.is_in(values, value_set=_cast(known, values))))


def _cast(values: pa.ChunkedArray, like: pa.ChunkedArray) -> pa.Array:
    return values.cast(like.type).combine_chunks()


def _link(source: RawData, key: str, values: pa.ChunkedArray, known: pa.ChunkedArray) -> Link:
    """The link from the impressions to the table of users or items."""
    unknown = _missing_from(known, values)
    return Link(
        source.path_of("impressions"),
        f"{key} of the impressions",
        source.path_of(f"{key}s").name,
        len(values),
        len(unknown),
        pc.min(unknown).as_py(),
        pc.min(known).as_py(),
        plural=f"{key}s of the impressions",
    )


def _has_value(column: pa.ChunkedArray) -> bool:
    if pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
        return bool(pc.sum(pc.list_value_length(column)).as_py())
    return bool(column.null_count < len(column))


def _extreme_times(paths: Iterable[Path]) -> list[int]:
    """The least and the greatest time of each row group of Parquet files, from their footers."""
    times = []
    for path in paths:
        metadata = pq.ParquetFile(path).metadata
        column = metadata.schema.names.index("time")
        for group in range(metadata.num_row_groups):
            statistics = metadata.row_group(group).column(column).statistics
            if statistics is not None and statistics.has_min_max:
                times += [statistics.min, statistics.max]
    return times


def _date(time: int) -> str:
    return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%d %H:%M:%S")
