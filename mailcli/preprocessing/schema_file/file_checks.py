"""What the files of a schema file lack: columns, kinds of values, a split for each file; and what they say of times."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping as Dict
from collections.abc import Sequence
from pathlib import Path

import duckdb
import pyarrow as pa

from mailcli.preprocessing.engines.duckdb import literal
from mailcli.preprocessing.schema_file.definition import Mapping, Place, SplitMap, TimeMap
from mailcli.preprocessing.schema_file.locate import Located, check_columns, is_list, is_readable
from mailcli.preprocessing.schema_file.toml_table import is_told

#: The files by the role of their table; None where they are not as they should be.
Found = Dict[str, Located | None]


def located_for(m: Mapping, at: Found, role: str) -> Located | None:
    """The files of a table; those of the impressions where it has none of its own."""
    own = {"users": m.users, "items": m.items, "behaviors": m.behaviors}.get(role)
    return at.get(role if own is None or own.patterns else "impressions")


def splits_of(split: SplitMap, path: Path, raw: Path) -> list[int]:
    """The codes of the splits whose patterns fit a file: its name, or its path below the folder of the raw files."""
    names = {path.name, _below(path, raw)}
    patterns = (split.train, split.validation, split.test)
    return [
        code for code, each in enumerate(patterns) if any(fnmatch.fnmatch(name, one) for one in each for name in names)
    ]


def _below(path: Path, raw: Path) -> str:
    return str(path.relative_to(raw)) if path.is_relative_to(raw) else str(path)


def table_faults(m: Mapping, at: Found, raw: Path, told: Sequence[str]) -> list[str]:
    """All that the files lack of what the schema file asks for.

    Args:
        m: what was right in the schema file.
        at: the files that were found.
        raw: folder of the raw files.
        told: the faults that are known; what follows from them is not told.
    """
    found = _column_faults(m, at) + _sql_faults(m)
    found += _time_faults(m, at, [*told, *found])
    shown = at.get("impressions")
    if shown and m.split.by == "file" and not any(is_told(told, key) for key in ("split", "impressions.files")):
        found += _file_faults(m.split, shown, raw)
    return found


def _column_faults(m: Mapping, at: Found) -> list[str]:
    """Every column that the files do not have, or that is of another kind."""
    shown, joined = located_for(m, at, "impressions"), at.get("join")
    found: list[str] = []

    def check(key: str, place: Place | None, role: str, many: bool = False) -> None:
        located = located_for(m, at, role)
        more = joined if located is shown else None
        if place is None or not place.column or located is None:
            return
        faults = check_columns(key, [place.column], located, more)
        kind = {**(more.types if more else {}), **located.types}.get(place.column)
        if not faults and kind is not None and not is_readable(kind):
            faults.append(
                f"{key}: column '{place.column}' holds {kind}. Expected texts, numbers, true and false, times, or "
                "lists of these"
            )
        lists = kind is not None and is_list(kind)
        if not faults and lists != many:
            held = "lists. Expected list = true" if lists else "no lists of Parquet. Expected a separator"
            faults.append(f"{key}: column '{place.column}' holds {held}")
        found.extend(faults)

    check("users.user", m.user_key, "users")
    check("items.item", m.item_key, "items")
    check("impressions.user", m.user, "impressions")
    check("impressions.item", m.item, "impressions")
    check("impressions.time", m.time.place if m.time else None, "impressions")
    check("behaviors.user", m.behavior_user, "behaviors")
    check("behaviors.time", m.behavior_time.place if m.behavior_time else None, "behaviors")
    check("behaviors.action.column", Place(m.action.column), "behaviors")
    check("split.column", Place(m.split.column), "impressions")
    for role, fields in (
        ("users", m.attributes),
        ("items", m.features),
        ("behaviors", m.steps),
        ("impressions", m.context),
    ):
        for each in fields:
            many = each.kind == "list" and not each.separator and not each.extract_all
            check(each.key, each.place, role, many)
    for rule in (m.click, *([m.conversion] if m.conversion else []), *m.impressions_where):
        check(rule.key, Place(rule.column), "impressions")
    for rule in m.behaviors_where:
        check(rule.key, Place(rule.column), "behaviors")
    if m.join:
        found += check_columns("impressions.join.on", [m.join.on], shown)
        found += check_columns("impressions.join.on", [m.join.on], joined)
    return found


def _file_faults(split: SplitMap, shown: Located, raw: Path) -> list[str]:
    """Files of the impressions that belong to no split, or to two."""
    found = []
    for path in shown.paths:
        splits = splits_of(split, path, raw)
        if len(splits) != 1:
            told = "several splits" if splits else "no split"
            found.append(f"split: the file {_below(path, raw)} belongs to {told}. Expected one pattern that fits it")
    return found


def _sql_faults(m: Mapping) -> list[str]:
    """Regular expressions and forms of times that DuckDB does not know, such as those that look ahead."""
    times = [(f"{role}.time", time) for role, time in (("impressions", m.time), ("behaviors", m.behavior_time)) if time]
    keys = [("users.user", m.user_key), ("items.item", m.item_key), ("behaviors.user", m.behavior_user)]
    keys += [("impressions.user", m.user), ("impressions.item", m.item), *((key, time.place) for key, time in times)]
    fields = (*m.attributes, *m.features, *m.steps, *m.context)
    regexes = [(f"{key}.extract", place.extract) for key, place in keys if place]
    regexes += [(f"{each.key}.extract", each.place.extract) for each in fields]
    regexes += [(f"{each.key}.extract_all", each.extract_all) for each in fields]
    formats = [(f"{key}.format", time.format) for key, time in times]
    found = []
    for given, sql, expected in (
        (regexes, "regexp_extract('', {}, 1)", "a regular expression that DuckDB (RE2) knows"),
        (formats, "try_strptime('', {})", "a form of times that DuckDB (strptime) knows, such as %Y-%m-%d %H:%M:%S"),
    ):
        for key, text in given:
            try:
                if text:
                    duckdb.sql(f"SELECT {sql.format(literal(text))}").fetchall()
            except duckdb.Error as error:
                found.append(f"{key} = {text!r}: expected {expected} ({error})")
    return found


def _time_faults(m: Mapping, at: Found, told: Sequence[str]) -> list[str]:
    """Times of behaviors and impressions moved against each other: a click would be in its own history."""
    shown, behaved = m.time, m.behavior_time
    if not shown or not behaved or any(is_told(told, f"{role}.time") for role in ("impressions", "behaviors")):
        return []
    if (
        shown.offset != behaved.offset
        and _is_local(m, at, "impressions", shown)
        and _is_local(m, at, "behaviors", behaved)
    ):
        return [
            f"behaviors.time.utc_offset = '{_offset(behaved.offset)}': expected '{_offset(shown.offset)}', as "
            "impressions.time has, for both are local times. Leave it out; or write the offset into the texts of one, "
            "read by %z in its format"
        ]
    files = [located_for(m, at, role) for role in ("impressions", "behaviors")]
    paths = [set(located.paths) if located else set() for located in files]
    if shown != behaved and shown.place.column == behaved.place.column and not paths[0].isdisjoint(paths[1]):
        return [
            f"behaviors.time: reads the column '{shown.place.column}' otherwise than impressions.time does. Expected "
            "the same unit, format, extract and utc_offset, as both are one time"
        ]
    return []


def _is_local(m: Mapping, at: Found, role: str, time: TimeMap) -> bool:
    """Whether a time is that of a clock on a wall, to be moved by the offset."""
    located, joined = located_for(m, at, role), at.get("join")
    more = joined.types if joined and located is at.get("impressions") else {}
    kind = {**more, **(located.types if located else {})}.get(time.place.column)
    if kind is not None and pa.types.is_timestamp(kind):
        return kind.tz is None
    if kind is not None and pa.types.is_date(kind):
        return True
    return bool(time.format) and not time.zoned


def _offset(seconds: int) -> str:
    minutes = abs(seconds) // 60
    return f"{'-' if seconds < 0 else '+'}{minutes // 60:02}:{minutes % 60:02}"
