"""Files of your own, mapped by a schema file: mail preprocess NAME --schema FILE (docs/your-own-data.md)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mailcli.data.schema import Field, Group, Schema
from mailcli.errors import MAX_QUOTED, MailError
from mailcli.preprocessing.engines._base import DataEngine, DataFrame
from mailcli.preprocessing.engines.duckdb import identifier, literal
from mailcli.preprocessing.schema_file.definition import FieldDefinition, SchemaFile, TableFiles
from mailcli.preprocessing.schema_file.read import parse_schema_file
from mailcli.preprocessing.schema_file.splits import split_of_file, split_sql
from mailcli.preprocessing.schema_file.tables import ITEM, SPLIT, USER, SchemaTables
from mailcli.preprocessing.sources._base import RawData


class Source(RawData):
    """CSV, other separated texts or Parquet, by a schema file of yours; read by DuckDB alone."""

    name = "tabular"

    def __init__(self, raw: Path, work: Path, schema: Path | None = None) -> None:
        del work
        if schema is None:
            raise MailError(
                "the source 'tabular' reads files by a schema file. Give it: mail preprocess NAME --schema FILE"
            )
        self.map, faults = parse_schema_file(schema)
        m = self.map
        self.tables = tables = SchemaTables(m, raw, faults)
        if faults:
            raise MailError(f"{schema}: {'; '.join(faults)}.")
        self.mapping = {"file": schema.name, "text": m.text}
        self.schema = _schema(m)
        self.files = tables.paths
        counted = any(each.quantiles for each in (*m.attributes, *m.features))
        self.shown_first = counted or not (m.users.patterns and m.items.patterns)
        self.shown, self.log = tables.impressions(), tables.behaviors()
        # What has no files of its own is checked with the impressions.
        self.profiles = tables.users() if m.users.patterns else self.shown
        self.features = tables.items() if m.items.patterns else self.shown
        self.csv = {
            "users": self.profiles.raw_file, "items": self.features.raw_file, "impressions": self.shown.raw_file,
            "behaviors": self.log.raw_file,
        }  # fmt: skip

    def users(self, engine: DataEngine) -> DataFrame:
        """The users' files; or of each user's impressions the attributes of the earliest."""
        return self._small(engine, "users", self.map.users, self.map.attributes)

    def items(self, engine: DataEngine) -> DataFrame:
        """The items' files; or of each item's impressions the features of the earliest."""
        return self._small(engine, "items", self.map.items, self.map.features)

    def _small(self, engine: DataEngine, role: str, files: TableFiles, fields: Sequence[FieldDefinition]) -> DataFrame:
        """Users or items, numbers in buckets."""
        table = self.profiles if role == "users" else self.features
        key = role.removesuffix("s")
        sql = table.sql(keep_lines=True) if files.patterns else self._earliest(key, fields)
        edges = {each.name: each.edges for each in fields if each.edges}
        if any(each.quantiles for each in fields):
            once = table.sql(keep_rejects=False) if files.patterns else sql
            edges |= self._quantiles(engine, once, key, [each for each in fields if each.quantiles])
        columns = [
            _bucket(each.name, edges[each.name]) if each.name in edges else identifier(each.name) for each in fields
        ]
        return engine.sql(f"SELECT {', '.join([key, *columns])}, fault, line FROM ({sql})", table.path)

    def _split(self, keep_rejects: bool) -> str:
        return split_sql(self.tables, self.shown, keep_rejects)

    def _earliest(self, key: str, fields: Sequence[FieldDefinition]) -> str:
        """One row per user or item by impressions: of equally early ones the first in the order of the values."""
        nothing = "NULL::INTEGER AS fault, '' AS line"
        shown = f"({self._split(keep_rejects=False)}) WHERE fault IS NULL"
        if not fields:
            return f"SELECT DISTINCT {key}, {nothing} FROM {shown}"
        prefix = USER if key == "user" else ITEM
        names = [each.name for each in fields]
        values = ", ".join(f"{literal(name)}: {identifier(prefix + name)}" for name in names)
        row = f"min({{'time': time, 'split': split, 'held': {{{values}}}}})['held'] AS held"
        columns = ", ".join(f"held[{literal(name)}] AS {identifier(name)}" for name in names)
        return f"SELECT {key}, {columns}, {nothing} FROM (SELECT {key}, {row} FROM {shown} GROUP BY {key})"

    def _quantiles(
        self, engine: DataEngine, table: str, key: str, fields: Sequence[FieldDefinition]
    ) -> dict[str, tuple[float, ...]]:
        """Lower ends of buckets that hold about as many training users (or items) each, by the field's name."""
        wanted = []
        for each in fields:
            shares = ", ".join(repr(part / each.quantiles) for part in range(1, each.quantiles))
            wanted.append(f"quantile_disc({identifier(each.name)}, [{shares}]) AS {identifier(each.name)}")
        trained = f"SELECT {key} FROM ({self._split(keep_rejects=False)}) WHERE fault IS NULL AND split = 0"
        columns = ", ".join([key, *(identifier(each.name) for each in fields)])
        # Of several rows of one key, the pipeline keeps one, too.
        theirs = f"({table}) WHERE fault IS NULL AND {key} IN ({trained})"
        once = f"SELECT DISTINCT ON ({key}) {columns} FROM {theirs} ORDER BY ALL"
        found = engine.collect(engine.sql(f"SELECT count(*) AS n, {', '.join(wanted)} FROM ({once})", self.shown.path))
        edges = {}
        for each in fields:
            ends = found[each.name][0].as_py()
            if ends is None and key == "user" and not found["n"][0].as_py():
                # No training user is in the users' files, which matching.py tells better, once they are read.
                ends = []
            if ends is None:
                raise MailError(
                    f"{self._bad_row(engine, table, key)}{self.map.path}: {each.key}: no {key} of the train split has "
                    "a number there, of which there could be quantiles."
                )
            edges[each.name] = tuple(sorted(set(ends)))
        self.mapping = {**self.mapping, "edges": {**self.mapping.get("edges", {}), **edges}}
        return edges

    def _bad_row(self, engine: DataEngine, table: str, key: str) -> str:
        """What is wrong with the first row of users or items that cannot be used; empty where all can."""
        file = self.csv[f"{key}s"]
        bad = f"SELECT fault, line FROM ({table}) WHERE fault IS NOT NULL ORDER BY line LIMIT 1"
        rows = engine.collect(engine.sql(bad, file.path)).to_pylist()
        return "".join(
            f"{file.path}: the row {row['line'][:MAX_QUOTED]!r} {file.explain(row['fault'], row['line'])}. "
            for row in rows
        )

    def impressions(self, engine: DataEngine) -> DataFrame:
        """The impressions with their split."""
        names = ["user", "item", "time", *(each.name for each in self.map.context), *self.schema.labels]
        columns = ", ".join(map(identifier, names))
        sql = f"SELECT {columns}, split::INTEGER AS split, fault, line FROM ({self._split(keep_rejects=True)})"
        return engine.sql(sql, self.shown.path)

    def behaviors(self, engine: DataEngine) -> DataFrame:
        """A row per behavior; of files with lists, one row per user is taken apart."""
        names = [each.name for each in self.map.behavior_fields]
        if self.map.behavior_time:
            columns = ", ".join(map(identifier, ("user", "time", "action", *names)))
            return engine.sql(f"SELECT {columns}, fault, line FROM ({self.log.sql()})", self.log.path)
        return engine.sql(self._taken_apart(names), self.log.path)

    def _taken_apart(self, names: Sequence[str]) -> str:
        """Behaviors at the times -n, ..., -1, before every impression, of lists of n.

        Of a user's lists in several rows those of training rows (or files) come first, then the first in the order of
        the values: nothing tells which are older.
        """
        located, by, rank = self.tables.files_of("behaviors"), self.map.split.by, "0"
        if by == "column" and located is self.tables.files["impressions"]:
            rank = identifier(SPLIT)
        elif by == "file" and located:
            rank = split_of_file(self.tables, located)
        values = ", ".join(f"{literal(name)}: {identifier(name)}" for name in names)
        count = f"len(held[{literal(names[0])}])"
        chosen = (
            f"SELECT user, min({{'rank': {rank}, 'held': {{{values}}}}})['held'] AS held FROM ({self.log.sql()}) "
            f"WHERE fault IS NULL AND {identifier(names[0])} IS NOT NULL GROUP BY user"
        )
        apart = f"SELECT user, held, {count} AS n, unnest(range(1, {count} + 1)) AS place FROM ({chosen})"
        steps = ", ".join(f"held[{literal(name)}][place] AS {identifier(name)}" for name in names)
        nulls = ", ".join(f"NULL AS {identifier(name)}" for name in names)
        return (
            f"SELECT user, place - n - 1 AS time, 0 AS action, {steps}, NULL::INTEGER AS fault, NULL AS line "
            f"FROM ({apart}) UNION ALL BY NAME SELECT user, NULL AS time, 0 AS action, {nulls}, fault, line "
            f"FROM ({self.log.sql(keep_rejects=False)}) WHERE fault IS NOT NULL"
        )


def _schema(m: SchemaFile) -> Schema:
    """The roles of the dataset's columns; the ids of user and item are fields too."""

    def fields(group: Group, given: Sequence[FieldDefinition]) -> list[Field]:
        return [
            Field(each.name, group, each.vocabulary, 1 if group == "behavior" else each.max_values) for each in given
        ]

    return Schema(
        (
            Field("user", "attributes", "user"),
            *fields("attributes", m.attributes),
            *fields("behavior", m.behavior_fields),
            *fields("context", m.context),
            Field("item", "target", "item"),
            *fields("target", [each for each in m.features if each.kind != "dense"]),
        ),
        m.action.names,
        dense=tuple(each.name for each in m.features if each.kind == "dense"),
        labels=("click", "conversion") if m.conversion else ("click",),
    )


def _bucket(name: str, edges: Sequence[float]) -> str:
    """How many of the edges a number reaches."""
    ends = ", ".join(map(repr, edges))
    column = identifier(name)
    return (
        f"CASE WHEN {column} IS NOT NULL THEN len(list_filter([{ends}], lambda edge: {column} >= edge)) END AS {column}"
    )
