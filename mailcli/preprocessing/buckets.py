"""Users and items in the dataset's order, users divided into buckets that fit into memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mailcli.data.hashing import hash_users, share_of_users
from mailcli.data.schema import SPLITS, Schema
from mailcli.preprocessing.engines._base import DataEngine
from mailcli.preprocessing.gzip_file import is_gzip
from mailcli.preprocessing.schema_file.parquet import is_parquet

#: Bytes of raw text per bucket (ours): about eight million behaviors, some 600 MB while a bucket is worked on.
BUCKET_BYTES = 256 << 20
#: How much larger a log is than its .gz (ours, from the simulated log), and than the same in Parquet (ours: a behavior
#: takes 32 bytes in Alimama's log, 7 to 10 in Parquet with snappy); only the size of buckets depends on them.
GZIP_RATIO, PARQUET_RATIO = 4, 5
#: Most users of a bucket (ours): a history's key has histories.USER_BITS, 22, for them.
USERS_PER_BUCKET = 1 << 20
#: Salts of the hashes that order and sample users; draws of new users have others.
ORDER_SALT, SAMPLE_SALT = -1, -2


def assign_buckets(
    engine: DataEngine,
    schema: Schema,
    impressions: Path,
    known_items: pa.ChunkedArray,
    raw_files: tuple[Path, ...],
    sample: float,
    folder: Path,
) -> None:
    """Write `users.parquet` and `items.parquet`: users in order of (hash, raw id), items in order of the raw id.

    Args:
        engine: reads the impressions.
        schema: names their labels.
        impressions: folder of the usable impressions.
        known_items: the raw ids of the item table.
        raw_files: their size decides the number of buckets.
        sample: share of the users to keep.
        folder: where to write.
    """
    F = engine.functions
    frame = engine.read_parquet(impressions)
    users = engine.collect(frame.groupBy("user").agg(F.max("time").alias("last"), *_counts(F, schema.labels)))
    users = users.filter(pa.array(share_of_users(_raw_ids(users), sample, SAMPLE_SALT)))
    raw = _raw_ids(users)
    key = hash_users(raw, ORDER_SALT)
    place = np.empty(len(raw), np.int64)
    place[pc.sort_indices(users["user"]).to_numpy()] = np.arange(len(raw))
    order = np.lexsort((place, key))
    size = sum(map(_text_bytes, raw_files))
    buckets = max(1, ceil(size * sample / BUCKET_BYTES), ceil(len(raw) / USERS_PER_BUCKET))
    users = users.take(pa.array(order))
    users = users.append_column("row", pa.array(np.arange(len(order), dtype=np.int32)))
    # The dataset's order is that of the hash, so equal parts of the hash's range are runs of consecutive users.
    users = users.append_column("bucket", pa.array((key[order] / 2.0**64 * buckets).astype(np.int32)))
    pq.write_table(users, folder / "users.parquet")
    kept_users = engine.read_parquet(folder / "users.parquet").select("user")
    shown_items = engine.collect(
        frame.join(kept_users, on="user").groupBy("item").agg(F.count(F.lit(1)).alias("impressions"))
    )
    pq.write_table(_all_items(known_items, shown_items), folder / "items.parquet")


def _text_bytes(path: Path) -> int:
    """About how many bytes a file would have as plain text."""
    ratio = GZIP_RATIO if is_gzip(path) else PARQUET_RATIO if is_parquet(path) else 1
    return path.stat().st_size * ratio


def split_impressions(engine: DataEngine, schema: Schema, impressions: Path, keys: Path, folder: Path) -> None:
    """Write the impressions below `rows/bucket=N`, with the rows of their users and items.

    Args:
        engine: reads and writes them.
        schema: names their columns.
        impressions: folder of the usable impressions.
        keys: folder of `assign_buckets`.
        folder: where to write.
    """
    users = engine.read_parquet(keys / "users.parquet").select("user", "row", "bucket")
    items = engine.read_parquet(keys / "items.parquet").select("item", "item_row")
    context = [engine.column(field.name) for field in schema.group("context")]
    frame = (
        engine.read_parquet(impressions)
        .drop("bucket")
        .join(users, on="user")
        .join(items, on="item")
        .select("row", "item_row", "time", *context, *schema.labels, "split", "bucket")
    )
    engine.write(frame, folder / "rows", "splitting impressions", "bucket")


def _raw_ids(users: pa.Table) -> Any:
    return users["user"].combine_chunks().to_numpy(zero_copy_only=False)


def _counts(F: Any, labels: Sequence[str]) -> Iterator[Any]:
    """Impressions, clicks and conversions by split; DuckDB's sums are wider than Spark's."""
    for number, name in enumerate(SPLITS):
        in_split = F.col("split") == F.lit(number)
        yield F.sum(in_split.cast("bigint")).cast("bigint").alias(name)
        for label in labels:
            holds = (in_split & (F.col(label) == F.lit(1))).cast("bigint")
            yield F.sum(holds).cast("bigint").alias(f"{name}_{label}s")


def _all_items(known: pa.ChunkedArray, shown_items: pa.Table) -> pa.Table:
    """Items of the item table and of impressions in order of the raw id: `item, item_row, impressions, known`."""
    known = known.cast(shown_items["item"].type).combine_chunks()
    unknown = pc.invert(pc.is_in(shown_items["item"], value_set=known))
    items = pa.concat_arrays([known, *shown_items["item"].filter(unknown).chunks])
    items = items.take(pc.sort_indices(items))
    position = pc.index_in(items, value_set=shown_items["item"].combine_chunks())
    return pa.table(
        {
            "item": items,
            "item_row": np.arange(len(items), dtype=np.int32),
            "impressions": pc.fill_null(shown_items["impressions"].combine_chunks().take(position), 0),
            "known": pc.is_in(items, value_set=known),
        }
    )
