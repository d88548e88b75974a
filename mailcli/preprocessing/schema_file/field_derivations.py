"""How the values of a schema file's fields are made from raw ones, for the dataset's record."""

from __future__ import annotations

from collections.abc import Sequence

from mailcli.data.derivations import Derivation, Derivations
from mailcli.data.schema import Group
from mailcli.preprocessing.schema_file.definition import FieldDefinition, SchemaFile, TableFiles


def field_derivations(schema: SchemaFile) -> Derivations:
    """The derivations of all fields; the edges of quantiles are not known before the data is read."""
    groups: dict[Group, tuple[Sequence[FieldDefinition], TableFiles]] = {
        "attributes": (schema.attributes, schema.users),
        "behavior": (schema.behavior_fields, schema.behaviors),
        "context": (schema.context, schema.impressions),
        "target": ([field for field in schema.features if field.kind != "dense"], schema.items),
    }
    return {
        group: {field.name: _derivation(schema, field, files) for field in fields}
        for group, (fields, files) in groups.items()
    }


def _derivation(schema: SchemaFile, field: FieldDefinition, files: TableFiles) -> Derivation:
    if field.kind == "clock":
        # Weekday 0 is that of 1970-01-01, in local time.
        return Derivation(clock=field.clock, origin=-schema.time.offset if schema.time else 0)
    if field.kind == "list":
        return Derivation()
    return Derivation(field.edges, missing=tuple(text for text in files.format.missing if text))
