"""The tables of a schema file, on the files that were found: what they lack, and what becomes of their columns."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from pathlib import Path

import duckdb
import pyarrow as pa

from mailcli.located import Located, check_columns, locate
from mailcli.mapped import Check, MappedTable
from mailcli.mapping import FieldMap, Mapping, Place, TimeMap
from mailcli.scan import literal

DAY = 86400
#: The column of the impressions that holds the split's code, and prefixes of what they hold of users and items.
SPLIT, USER, ITEM = "split.code", "users.", "items."
#: The column of the impressions with a number from 0 to 1 by a hash of the row.
DRAW = "split.draw"


class Tables:
    """The files of a mapping and its tables.

    Args:
        mapping: the checked schema file.
        raw: folder of the raw files.
        faults: takes what the files lack.
    """

    def __init__(self, mapping: Mapping, raw: Path, faults: list[str]) -> None:
        self.map = m = mapping
        groups = (m.users, m.items, m.behaviors, m.impressions, m.join.files if m.join else None)
        self.at: dict[str, Located | None] = {
            each.role: locate(each, raw, faults) for each in groups if each and each.patterns
        }
        clear = not faults
        faults += self._column_faults()
        shown = self.at.get("impressions")
        if clear and shown and mapping.split.by == "file":
            faults += self._file_faults(shown)

    @property
    def paths(self) -> tuple[Path, ...]:
        """All files, each once."""
        return tuple(dict.fromkeys(path for located in self.at.values() if located for path in located.paths))

    def _column_faults(self) -> list[str]:
        """Every column that the files do not have, or that is of another kind."""
        m, shown, joined = self.map, self.located("impressions"), self.at.get("join")
        found: list[str] = []

        def check(key: str, place: Place | None, role: str, many: bool = False) -> None:
            located = self.located(role)
            more = joined if located is shown else None
            if place is None or not place.column or located is None:
                return
            faults = check_columns(key, [place.column], located, more)
            kind = {**(more.types if more else {}), **located.types}.get(place.column)
            lists = kind is not None and (pa.types.is_list(kind) or pa.types.is_large_list(kind))
            if not faults and lists != many:
                told = "lists. Expected list = true" if lists else "no lists of Parquet. Expected a separator"
                faults.append(f"{key}: column '{place.column}' holds {told}")
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
        found += _regex_faults(m)
        if m.join:
            found += check_columns("impressions.join.on", [m.join.on], shown) + check_columns(
                "impressions.join.on", [m.join.on], joined
            )
        return found

    def _file_faults(self, shown: Located) -> list[str]:
        """Files of the impressions that belong to no split, or to two."""
        found = []
        for path in shown.paths:
            splits = self.splits_of(path)
            if len(splits) != 1:
                told = "several splits" if splits else "no split"
                found.append(f"split: the file {path.name} belongs to {told}. Expected one pattern that fits it")
        return found

    def splits_of(self, path: Path) -> list[int]:
        """The codes of the splits whose patterns fit a file."""
        split = self.map.split
        patterns = (split.train, split.validation, split.test)
        return [code for code, each in enumerate(patterns) if any(fnmatch.fnmatch(path.name, one) for one in each)]

    def located(self, role: str) -> Located | None:
        """The files of a table; those of the impressions where it has none of its own."""
        own = {"users": self.map.users, "items": self.map.items, "behaviors": self.map.behaviors}.get(role)
        return self.at.get(role if own is None or own.patterns else "impressions")

    def table(self, role: str) -> MappedTable:
        """A table without columns yet, on the files of a role."""
        located = self.located(role)
        joined = self.at.get("join") if located is self.at["impressions"] else None
        assert located is not None
        on = self.map.join.on if self.map.join else ""
        return MappedTable(located, self.map.integers, joined, on if joined else "")

    def users(self) -> MappedTable:
        """The users' own files."""
        table = self.table("users")
        table.key("user", self.map.user_key or self.map.user)
        for each in self.map.attributes:
            table.field(each)
        return table

    def items(self) -> MappedTable:
        """The items' own files."""
        table = self.table("items")
        table.key("item", self.map.item_key or self.map.item)
        for each in self.map.features:
            table.field(each)
        return table

    def impressions(self) -> MappedTable:
        """The impressions, and what is in their files of users and items."""
        m = self.map
        table = self.table("impressions")
        table.key("user", m.user)
        table.key("item", m.item)
        table.values["time"] = "0::BIGINT"
        if m.time:
            table.time(m.time)
        click = table.rule(m.click)
        table.values["click"] = f"{click}::INTEGER"
        if m.conversion:
            bought = table.rule(m.conversion)
            table.values["conversion"] = f"{bought}::INTEGER"
            columns = tuple(dict.fromkeys((m.click.column, m.conversion.column)))
            table.checks.append(Check(columns, "no conversion without a click", f"{bought} AND NOT {click}"))
        for each in m.context:
            if each.kind == "clock":
                table.values[each.name] = _clock(each.clock, table.values["time"], m.time)
            else:
                table.field(each, each.edges)
        if m.split.by == "column":
            self._add_split(table)
        if m.split.by in {"column", "file"}:
            table.values[DRAW] = f"(md5_number_lower({table.line()}) % 1000000)::DOUBLE / 1000000"
        for prefix, files, fields in ((USER, m.users, m.attributes), (ITEM, m.items, m.features)):
            if not files.patterns:
                self._add_fields(table, fields, prefix)
        table.conditions += [table.rule(rule) for rule in m.impressions_where]
        return table

    def _add_split(self, table: MappedTable) -> None:
        """The code of the split that a column names."""
        split = self.map.split
        text = table.text(Place(split.column))
        cases = " ".join(
            f"WHEN {text} IN ({', '.join(map(literal, names))}) THEN {code}"
            for code, names in enumerate((split.train, split.validation, split.test))
        )
        table.values[SPLIT] = f"(CASE {cases} END)"
        names = [*split.train, *split.validation, *split.test]
        expected = f"one of {', '.join(map(repr, names))}"
        table.checks.append(Check((split.column,), expected, f"{table.values[SPLIT]} IS NULL"))

    def _add_fields(self, table: MappedTable, fields: Sequence[FieldMap], prefix: str) -> None:
        """Fields of another role, under names of their own."""
        before = dict(table.values)
        made = {}
        for each in fields:
            table.field(each)
            made[prefix + each.name] = table.values.pop(each.name)
        table.values = {**before, **made}

    def behaviors(self) -> MappedTable:
        """The behaviours."""
        m = self.map
        table = self.table("behaviors")
        table.key("user", m.behavior_user)
        if m.behavior_time:
            table.time(m.behavior_time)
        if m.action.column:
            text = table.text(Place(m.action.column))
            codes = " ".join(f"WHEN {literal(name)} THEN {code}" for code, name in enumerate(m.action.names))
            table.values["action"] = f"(CASE {text} {codes} END)::INTEGER"
            expected = f"one of {', '.join(map(repr, m.action.names))}"
            table.checks.append(Check((m.action.column,), expected, f"{table.values['action']} IS NULL"))
        else:
            table.values["action"] = "0"
        for each in m.steps:
            table.field(each, each.edges, ordered=True)
        if m.behavior_time is None and len(m.steps) > 1:
            lengths = [f"coalesce(len({table.values[each.name]}), 0)" for each in m.steps]
            wrong = " OR ".join(f"{length} <> {lengths[0]}" for length in lengths[1:])
            table.checks.append(Check(tuple(each.place.column for each in m.steps), "lists of one length", wrong))
        if m.behavior_time is None and self.located("behaviors") is self.at["impressions"] and m.split.by == "column":
            self._add_split(table)
        table.conditions += [table.rule(rule) for rule in m.behaviors_where]
        return table


def _regex_faults(m: Mapping) -> list[str]:
    """Regular expressions that Python's module knows and DuckDB does not, such as those that look ahead."""
    times = [
        (f"{role}.time", time.place) for role, time in (("impressions", m.time), ("behaviors", m.behavior_time)) if time
    ]
    keys = [("users.user", m.user_key), ("items.item", m.item_key), ("behaviors.user", m.behavior_user)]
    keys += [("impressions.user", m.user), ("impressions.item", m.item), *times]
    fields = (*m.attributes, *m.features, *m.steps, *m.context)
    given = [(f"{key}.extract", place.extract) for key, place in keys if place and place.extract]
    given += [(f"{each.key}.extract", each.place.extract) for each in fields if each.place.extract]
    given += [(f"{each.key}.extract_all", each.extract_all) for each in fields if each.extract_all]
    found = []
    for key, text in given:
        try:
            duckdb.sql(f"SELECT regexp_extract('', {literal(text)}, 1)").fetchall()
        except duckdb.Error as error:
            found.append(f"{key} = {text!r}: expected a regular expression that DuckDB (RE2) knows ({error})")
    return found


def _clock(clock: str, time: str, of: TimeMap | None) -> str:
    """The hour of the day, or the day of the week from Thursday, 1970-01-01, in local time."""
    # A week more, so that a local time before 1970 is not negative: SQL would round it the other way.
    local = f"({time} + {(of.offset if of else 0) + 7 * DAY})"
    return f"({local} % {DAY} // 3600)::INTEGER" if clock == "hour" else f"({local} // {DAY} % 7)::INTEGER"
