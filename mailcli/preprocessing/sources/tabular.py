"""Files of your own, mapped by a schema file: mail preprocess NAME --schema FILE (docs/your-own-data.md)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from mailcli.data.schema import Field, Group, Schema
from mailcli.errors import MailError, shorten
from mailcli.preprocessing.duckdb_sql import identifier, literal
from mailcli.preprocessing.engines._base import DataEngine, DataFrame
from mailcli.preprocessing.extracted_tables import UNNESTED
from mailcli.preprocessing.links import Link, check_link
from mailcli.preprocessing.raw_file import locate_first
from mailcli.preprocessing.schema_file.definition import ColumnRef, FieldDefinition, SchemaFile, TableFiles
from mailcli.preprocessing.schema_file.field_derivations import field_derivations
from mailcli.preprocessing.schema_file.raw_file import SchemaRawFile
from mailcli.preprocessing.schema_file.read import parse_schema_file
from mailcli.preprocessing.schema_file.splits import split_of_file, split_sql
from mailcli.preprocessing.schema_file.sql import select_text
from mailcli.preprocessing.schema_file.tables import ITEM, SPLIT, TIME, USER, SchemaTables
from mailcli.preprocessing.schema_file.typed_columns import bucket_sql
from mailcli.preprocessing.sources._base import JOIN, RawData

#: Ends the name of a column with the second least of a field's numbers; no field has a point in its name.
_SECOND = ".second"


class Source(RawData):
    """CSV, other delimited text or Parquet, mapped by a schema file of yours; read only by DuckDB."""

    name = "tabular"
    only_duckdb = True

    def __init__(self, raw: Path, work: Path, schema: Path | None = None) -> None:
        if schema is None:
            raise MailError("the source 'tabular' needs a schema file: mail preprocess NAME --schema FILE")
        self._open(raw, work, *parse_schema_file(schema))

    def _open(self, raw: Path, work: Path, schema_file: SchemaFile, faults: list[str]) -> None:
        """Find the files of a schema and check their columns (MailError for these faults and those of the schema)."""
        self.schema_file = schema_file
        self.tables = tables = SchemaTables(schema_file, raw, faults)
        if faults:
            raise MailError(f"{schema_file.path}: {'; '.join(faults)}.")
        tables.make_copies(work)
        self.mapping = {"file": schema_file.path.name, "text": schema_file.text}
        self.schema = _schema(schema_file)
        self.derivations = field_derivations(schema_file, tables.missing_values)
        self.files = tables.paths
        has_quantiles = any(field.quantiles for field in (*schema_file.attributes, *schema_file.features))
        self.impressions_first = has_quantiles or not (schema_file.users.patterns and schema_file.items.patterns)
        self.impression_table, self.behavior_table = tables.impressions(), tables.behaviors()
        # Users and items without files of their own are checked with the impressions.
        self.user_table = tables.users() if schema_file.users.patterns else self.impression_table
        self.item_table = tables.items() if schema_file.items.patterns else self.impression_table
        self.derived = frozenset(
            table for table, own in (("users", schema_file.users), ("items", schema_file.items)) if not own.patterns
        )
        self.raw_files: dict[str, SchemaRawFile] = {
            "users": self.user_table.raw_file,
            "items": self.item_table.raw_file,
            "impressions": self.impression_table.raw_file,
            "behaviors": self.behavior_table.raw_file,
        }
        joined = tables.files.get("join")
        if joined:
            self.raw_files[JOIN] = SchemaRawFile(joined, ())

    def users(self, engine: DataEngine) -> DataFrame:
        """The users' files; without them, the attributes in each user's earliest impression."""
        return self._small(engine, "users", self.schema_file.users, self.schema_file.attributes)

    def items(self, engine: DataEngine) -> DataFrame:
        """The items' files; without them, the features in each item's earliest impression."""
        return self._small(engine, "items", self.schema_file.items, self.schema_file.features)

    def _small(self, engine: DataEngine, role: str, files: TableFiles, fields: Sequence[FieldDefinition]) -> DataFrame:
        """Users or items, with bucketed numbers."""
        table = self.user_table if role == "users" else self.item_table
        key = role.removesuffix("s")
        sql = table.sql(keep_lines=True) if files.patterns else self._earliest(key, fields)
        edges = {field.name: field.edges for field in fields if field.edges}
        with_quantiles = [field for field in fields if field.quantiles]
        if with_quantiles:
            rows = table.sql(keep_lines=True, keep_rejects=False) if files.patterns else sql
            computed = self._quantiles(engine, rows, key, with_quantiles)
            edges |= computed
            self._record_edges("attributes" if role == "users" else "target", computed)
        columns = [
            f"{bucket_sql(name, edges[field.name])} AS {name}" if field.name in edges else name
            for field, name in ((field, identifier(field.name)) for field in fields)
        ]
        return engine.sql(f"SELECT {', '.join([key, *columns])}, fault, line FROM ({sql})", *table.paths)

    def _split(self, keep_rejects: bool) -> str:
        return split_sql(self.tables, self.impression_table, keep_rejects)

    def _earliest(self, key: str, fields: Sequence[FieldDefinition]) -> str:
        """One row per user or item, from its earliest impression; of several, the first in the order of the values."""
        no_fault = "NULL::INTEGER AS fault, '' AS line"
        impressions = f"({self._split(keep_rejects=False)}) WHERE fault IS NULL"
        if not fields:
            return f"SELECT DISTINCT {key}, {no_fault} FROM {impressions}"
        prefix = USER if key == "user" else ITEM
        names = [field.name for field in fields]
        values = ", ".join(f"{literal(name)}: {identifier(prefix + name)}" for name in names)
        row = f"min({{'time': time, 'split': split, 'held': {{{values}}}}})['held'] AS held"
        columns = ", ".join(f"held[{literal(name)}] AS {identifier(name)}" for name in names)
        return f"SELECT {key}, {columns}, {no_fault} FROM (SELECT {key}, {row} FROM {impressions} GROUP BY {key})"

    def _quantiles(
        self, engine: DataEngine, table: str, key: str, fields: Sequence[FieldDefinition]
    ) -> dict[str, tuple[float, ...]]:
        """Lower ends of buckets with about equally many training users (or items), by the field's name.

        Where the least number has more than its share, the bucket above it begins at the next number.
        """
        quantiles = []
        for field in fields:
            name = identifier(field.name)
            shares = ", ".join(repr(part / field.quantiles) for part in range(1, field.quantiles))
            second = f"(SELECT min({name}) FROM numbers WHERE {name} > (SELECT min({name}) FROM numbers))"
            quantiles += [
                f"quantile_disc({name}, [{shares}]) AS {name}",
                f"{second} AS {identifier(field.name + _SECOND)}",
            ]
        trained = f"SELECT {key} FROM ({self._split(keep_rejects=False)}) WHERE fault IS NULL AND split = 0"
        columns = ", ".join([key, *(identifier(field.name) for field in fields)])
        # One row per key, the one that the pipeline keeps.
        rows = f"({table}) WHERE fault IS NULL AND {key} IN ({trained})"
        unique = f"SELECT DISTINCT ON ({key}) {columns} FROM {rows} ORDER BY {key}, line"
        sql = f'WITH numbers AS ({unique}) SELECT count(*) AS "count.rows", {", ".join(quantiles)} FROM numbers'
        of_key = self.user_table if key == "user" else self.item_table
        result = engine.collect(engine.sql(sql, *of_key.paths, *self.impression_table.paths))
        edges = {}
        for field in fields:
            ends = result[field.name][0].as_py()
            if ends is None and key == "user" and not result["count.rows"][0].as_py():
                # No training user is in the users' files; consistency.py explains that better, once they are read.
                ends = []
            if ends is None:
                raise MailError(
                    f"{self._bad_row(engine, table, key)}{self.schema_file.path}: {field.key}: no {key} of the train "
                    "split has a number there, so quantiles cannot be computed."
                )
            second = result[field.name + _SECOND][0].as_py()
            edges[field.name] = tuple(sorted({end if second is None else max(end, second) for end in ends}))
        self.mapping = {**self.mapping, "edges": {**self.mapping.get("edges", {}), **edges}}
        return edges

    def _record_edges(self, group: Group, edges: Mapping[str, tuple[float, ...]]) -> None:
        """Add edges that were computed to the derivations."""
        fields = self.derivations[group]
        updated = {name: replace(fields[name], edges=ends) for name, ends in edges.items()}
        self.derivations = {**self.derivations, group: {**fields, **updated}}

    def _bad_row(self, engine: DataEngine, table: str, key: str) -> str:
        """What is wrong with the first row of users or items that cannot be used; empty if there is none."""
        file = self.raw_files[f"{key}s"]
        bad = f"SELECT fault, line FROM ({table}) WHERE fault >= 0 ORDER BY line LIMIT 1"
        rows = engine.collect(engine.sql(bad, *file.files.paths)).to_pylist()
        return "".join(
            f"{locate_first(file, [row['line']])[0]}: {file.explain(row['fault'], row['line'])}. " for row in rows
        )

    def impressions(self, engine: DataEngine) -> DataFrame:
        """The impressions with their split."""
        if self.impression_table.joined:
            self._check_join(engine)
        names = ["user", "item", "time", *(field.name for field in self.schema_file.context), *self.schema.labels]
        columns = ", ".join(map(identifier, names))
        sql = f"SELECT {columns}, split::INTEGER AS split, fault, line FROM ({self._split(keep_rejects=True)})"
        return engine.sql(sql, *self.impression_table.paths)

    def texts_of(self, engine: DataEngine, table: str, field: str, whole: bool) -> tuple[str, ...]:
        """The least and the greatest text of the usable rows, for a field that makes one value, or none, of all texts.

        With --sample, the dataset may hold one value, and the files more: then there are no texts.
        """
        sql_table, definitions = {
            "users": (self.user_table, self.schema_file.attributes),
            "items": (self.item_table, self.schema_file.features),
            "behaviors": (self.behavior_table, self.schema_file.behavior_fields),
            "impressions": (self.impression_table, self.schema_file.context),
        }[table]
        definition = next(definition for definition in definitions if definition.name == field)
        column = definition.column
        if not column.name or (definition.kind == "category" and not column.extract):
            return ()
        prefix = {"users": USER, "items": ITEM}.get(table, "") if sql_table is self.impression_table else ""
        value = identifier(prefix + field)
        edges = self.mapping.get("edges", {}).get(field, definition.edges)
        if edges and table in {"users", "items"}:
            value = bucket_sql(value, edges)
        sql = sql_table.text_range(ColumnRef(column.name) if whole else column, value)
        (texts,) = engine.collect(engine.sql(sql, *sql_table.paths)).to_pylist()
        if not texts["constant"]:
            return ()
        return tuple(dict.fromkeys(text for text in (texts["least"], texts["greatest"]) if text is not None))

    def _check_join(self, engine: DataEngine) -> None:
        """The shared column's values of the impressions are in the joined files (MailError: none is).

        If no text is in both, whole numbers are compared: pandas writes 1 as 1.0 in a column with gaps.
        """
        table = self.impression_table
        assert table.joined is not None
        (counts,) = engine.collect(engine.sql(table.key_counts(), *table.paths)).to_pylist()
        if counts["missing"] == counts["count"]:
            whole = replace(table, has_whole_keys=True)
            (whole_counts,) = engine.collect(engine.sql(whole.key_counts(), *table.paths)).to_pylist()
            if whole_counts["missing"] < whole_counts["count"]:
                counts = whole_counts
                table.has_whole_keys = True
                # Behaviors may be read from the same files.
                self.behavior_table.has_whole_keys = True
        check_link(Link(table.path, f"{table.on} of the impressions", table.joined.paths[0].name, **counts))

    def joined(self, engine: DataEngine) -> DataFrame | None:
        """The joined files' rows, none of which is faulty once it is split into fields."""
        files = self.tables.files.get("join")
        if files is None:
            return None
        # DuckDB checks the encoding of the columns that a query needs.
        columns = ", ".join(f'"#{number}"' for number in files.numbers)
        fault = f"(CASE WHEN hash({columns}) IS NULL THEN 0 END)::INTEGER"
        sql = f"SELECT {fault} AS fault, NULL::VARCHAR AS line FROM ({select_text(files, 0, keep_rejects=True)})"
        return engine.sql(sql, *files.paths)

    def behaviors(self, engine: DataEngine) -> DataFrame:
        """One row per behavior; in files with lists, one row per user is unnested."""
        names = [field.name for field in self.schema_file.behavior_fields]
        if self.schema_file.behavior_time:
            columns = ", ".join(map(identifier, ("user", "time", "action", *names)))
            sql = f"SELECT {columns}, fault, line FROM ({self.behavior_table.sql()})"
        else:
            if not self.schema_file.takes_first_list:
                self._check_lists(engine, names)
            sql = self._unnested(names)
        return engine.sql(sql, *self.behavior_table.paths)

    def _check_lists(self, engine: DataEngine, names: Sequence[str]) -> None:
        """Refuse different lists of one user (MailError): rows would get the behaviors of other moments, even later."""
        lists = ", ".join(f"{literal(name)}: coalesce({identifier(name)}, [])" for name in names)
        table = self.behavior_table
        rows = f"SELECT user, {{{lists}}} AS lists FROM ({table.sql(keep_rejects=False)}) WHERE fault IS NULL"
        users = f"SELECT user, min(lists) AS low, max(lists) AS high FROM ({rows}) GROUP BY user"
        differ = "FILTER (low IS DISTINCT FROM high)"
        sql = (
            f"SELECT count(*) AS users, count(*) {differ} AS different, "
            f"min({{'user': user, 'low': low, 'high': high}}) {differ} AS example FROM ({users})"
        )
        (result,) = engine.collect(engine.sql(sql, *table.paths)).to_pylist()
        if not result["different"]:
            return
        example = result["example"]
        low, high = example["low"], example["high"]
        name = next(name for name in names if low[name] != high[name])
        raise MailError(
            f"{table.path}: user {example['user']!r} has rows with different lists of behaviors.fields.{name}, for "
            f"example {shorten(high[name])} and {shorten(low[name])}, as have {result['different']:,} of "
            f"{result['users']:,} users. Expected one list per user. Give one row per behavior with its time "
            '(behaviors.time) instead, or set behaviors.several_lists = "first" to take one list for all rows of a '
            "user."
        )

    def _unnested(self, names: Sequence[str]) -> str:
        """Behaviors from lists of n, at the times -n, ..., -1, hence before every impression.

        With `several_lists = "first"`, that of the user's earliest impression is taken; where impressions have no time,
        one of training rows (or files); then the first in the order of the values.
        """
        files, by, rank = self.tables.files_of("behaviors"), self.schema_file.split.by, "0"
        if TIME in self.behavior_table.values:
            rank = identifier(TIME)
        elif SPLIT in self.behavior_table.values:
            rank = identifier(SPLIT)
        elif by == "file" and files:
            rank = split_of_file(self.tables, files)
        values = ", ".join(f"{literal(name)}: {identifier(name)}" for name in names)
        # A step without any value is none.
        has_value = " OR ".join(f"held[{literal(name)}][place] IS NOT NULL" for name in names)
        # A list that is null has no values; only one step may lack all values of a field.
        count = f"coalesce(greatest({', '.join(f'len(held[{literal(name)}])' for name in names)}), 0)"
        has_list = " OR ".join(
            [f"{identifier(names[0])} IS NOT NULL", *(f"len({identifier(name)}) > 0" for name in names[1:])]
        )
        chosen = (
            f"SELECT user, min({{'rank': {rank}, 'held': {{{values}}}}})['held'] AS held "
            f"FROM ({self.behavior_table.sql()}) "
            f"WHERE fault IS NULL AND ({has_list}) GROUP BY user"
        )
        places = f"list_filter(range(1, {count} + 1), lambda place: {has_value})"
        with_places = f"SELECT user, held, {places} AS places FROM ({chosen})"
        unnested = f"SELECT *, unnest(range(1, len(places) + 1)) AS step FROM ({with_places})"
        steps = ", ".join(f"held[{literal(name)}][places[step]] AS {identifier(name)}" for name in names)
        nulls = ", ".join(f"NULL AS {identifier(name)}" for name in names)
        return (
            f"SELECT user, step - len(places) - 1 AS time, 0 AS action, {steps}, NULL::INTEGER AS fault, NULL AS line "
            f"FROM ({unnested}) UNION ALL BY NAME SELECT user, NULL AS time, 0 AS action, {nulls}, "
            f"coalesce(fault, {UNNESTED}) AS fault, line FROM ({self.behavior_table.sql(keep_rejects=False)})"
        )


def _schema(schema_file: SchemaFile) -> Schema:
    """The roles of the dataset's columns; the ids of user and item are fields too."""

    def fields(group: Group, definitions: Sequence[FieldDefinition]) -> list[Field]:
        return [
            Field(definition.name, group, definition.vocabulary, 1 if group == "behavior" else definition.max_values)
            for definition in definitions
        ]

    return Schema(
        (
            Field("user", "attributes", "user"),
            *fields("attributes", schema_file.attributes),
            *fields("behavior", schema_file.behavior_fields),
            *fields("context", schema_file.context),
            Field("item", "target", "item"),
            *fields("target", [field for field in schema_file.features if field.kind != "dense"]),
        ),
        schema_file.action.names,
        dense=tuple(field.name for field in schema_file.features if field.kind == "dense"),
        labels=("click", "conversion") if schema_file.conversion else ("click",),
    )
