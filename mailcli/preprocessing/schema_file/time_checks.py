"""Times of behaviors and impressions must be comparable, or a click would end up in its own history."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from mailcli.preprocessing.schema_file.definition import SchemaFile, TimeDefinition
from mailcli.preprocessing.schema_file.locate import FilesByRole, files_of
from mailcli.preprocessing.schema_file.toml_table import has_fault


def time_faults(schema: SchemaFile, files: FilesByRole, faults: Sequence[str]) -> list[str]:
    """Two UTC offsets for local times, or two readings of one column."""
    time, behavior_time = schema.time, schema.behavior_time
    if not time or not behavior_time or any(has_fault(faults, f"{role}.time") for role in ("impressions", "behaviors")):
        return []
    if (
        time.offset != behavior_time.offset
        and _is_local(schema, files, "impressions", time)
        and _is_local(schema, files, "behaviors", behavior_time)
    ):
        return [
            f"behaviors.time.utc_offset = '{_offset_text(behavior_time.offset)}': expected "
            f"'{_offset_text(time.offset)}' as in impressions.time, because both are local times. Leave it out, or "
            "write the offset into one of the texts and read it with %z in its format"
        ]
    both = [files_of(schema, files, role) for role in ("impressions", "behaviors")]
    paths = [set(located.paths) if located else set() for located in both]
    if time != behavior_time and time.column.name == behavior_time.column.name and not paths[0].isdisjoint(paths[1]):
        return [
            f"behaviors.time: reads the column '{time.column.name}' differently from impressions.time. Expected the "
            "same unit, format, extract and utc_offset, because both are the same time"
        ]
    return []


def _is_local(schema: SchemaFile, files: FilesByRole, role: str, time: TimeDefinition) -> bool:
    """Whether a time is local time, to be shifted by the offset."""
    own, joined = files_of(schema, files, role), files.get("join")
    joined_types = joined.types if joined and own is files.get("impressions") else {}
    data_type = {**joined_types, **(own.types if own else {})}.get(time.column.name)
    if data_type is not None and pa.types.is_timestamp(data_type):
        return data_type.tz is None
    if data_type is not None and pa.types.is_date(data_type):
        return True
    return bool(time.format) and not time.zoned


def _offset_text(seconds: int) -> str:
    """`+08:00`, as `utc_offset` is written."""
    minutes = abs(seconds) // 60
    return f"{'-' if seconds < 0 else '+'}{minutes // 60:02}:{minutes % 60:02}"
