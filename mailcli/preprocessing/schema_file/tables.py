"""The tables of a schema file, on the files that were found: what they lack, and what becomes of their columns."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mailcli.preprocessing.engines.duckdb import literal
from mailcli.preprocessing.schema_file.definition import FieldMap, Mapping, Place, TimeMap
from mailcli.preprocessing.schema_file.file_checks import located_for, splits_of, table_faults
from mailcli.preprocessing.schema_file.locate import Located, locate
from mailcli.preprocessing.schema_file.row_checks import Check
from mailcli.preprocessing.schema_file.table import MappedTable

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
        self.raw = raw
        groups = (m.users, m.items, m.behaviors, m.impressions, m.join.files if m.join else None)
        self.at: dict[str, Located | None] = {
            each.role: locate(each, raw, faults) for each in groups if each and each.patterns
        }
        faults += table_faults(m, self.at, raw, faults)

    @property
    def paths(self) -> tuple[Path, ...]:
        """All files, each once."""
        return tuple(dict.fromkeys(path for located in self.at.values() if located for path in located.paths))

    def splits_of(self, path: Path) -> list[int]:
        """The codes of the splits whose patterns fit a file of the impressions."""
        return splits_of(self.map.split, path, self.raw)

    def located(self, role: str) -> Located | None:
        """The files of a table; those of the impressions where it has none of its own."""
        return located_for(self.map, self.at, role)

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
            if names
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
        """The behaviors."""
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


def _clock(clock: str, time: str, of: TimeMap | None) -> str:
    """The hour of the day, or the day of the week from Thursday, 1970-01-01, in local time."""
    # A week more, so that a local time before 1970 is not negative: SQL would round it the other way.
    local = f"({time} + {(of.offset if of else 0) + 7 * DAY})"
    return f"({local} % {DAY} // 3600)::INTEGER" if clock == "hour" else f"({local} // {DAY} % 7)::INTEGER"
