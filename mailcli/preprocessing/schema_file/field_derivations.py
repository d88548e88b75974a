"""How the values of a schema file's fields are made from raw ones, for the dataset's record."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal

from mailcli.data.derivations import Derivation, Derivations
from mailcli.data.schema import Group
from mailcli.preprocessing.schema_file.definition import FieldDefinition, SchemaFile
from mailcli.utils.parsing import numbers_among


def field_derivations(schema: SchemaFile, missing_values: Callable[[str, str], Sequence[str]]) -> Derivations:
    """The derivations of all fields; the edges of quantiles are not known before the data is read.

    Args:
        schema: the schema file.
        missing_values: role and column -> what stands for a missing value.
    """
    groups: dict[Group, tuple[Sequence[FieldDefinition], str]] = {
        "attributes": (schema.attributes, schema.users.role),
        "behavior": (schema.behavior_fields, schema.behaviors.role),
        "context": (schema.context, schema.impressions.role),
        "target": ([field for field in schema.features if field.kind != "dense"], schema.items.role),
    }
    derivations: dict[Group | Literal["dense"], dict[str, Derivation]] = {
        group: {field.name: _derivation(schema, field, partial(missing_values, role)) for field in fields}
        for group, (fields, role) in groups.items()
    }
    of_items = partial(missing_values, schema.items.role)
    derivations["dense"] = {f.name: _of_number(f, of_items) for f in schema.features if f.kind == "dense"}
    return derivations


def _of_number(field: FieldDefinition, missing_values: Callable[[str], Sequence[str]]) -> Derivation:
    """A request gives a number, which is never a text such as NULL."""
    return Derivation(missing=tuple(text for text in missing_values(field.column.name) if numbers_among([text])))


def _derivation(
    schema: SchemaFile, field: FieldDefinition, missing_values: Callable[[str], Sequence[str]]
) -> Derivation:
    if field.kind == "clock":
        # Weekday 0 is that of 1970-01-01, in local time.
        return Derivation(clock=field.clock, origin=-schema.time.offset if schema.time else 0)
    return Derivation(field.edges, missing=tuple(text for text in missing_values(field.column.name) if text))
