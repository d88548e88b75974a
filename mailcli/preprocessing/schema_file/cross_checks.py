"""Contradictions between keys of a schema file, each of which is correct by itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mailcli.errors import did_you_mean, quoted
from mailcli.preprocessing.schema_file.definition import FieldDefinition, SchemaFile, utc_seconds
from mailcli.preprocessing.schema_file.toml_table import faulty_keys


def contradictions(schema: SchemaFile, faults: Sequence[str]) -> list[str]:
    """All contradictions between keys.

    Args:
        schema: the schema file; what is wrong or missing is empty in it.
        faults: the faults already known; checks that depend on a faulty key are skipped.
    """
    valid = _ValidKeys(faults)
    return [
        *_behavior_faults(schema, valid),
        *_vocabulary_faults(schema, valid),
        *_label_faults(schema, valid),
        *_time_faults(schema, valid),
    ]


class _ValidKeys:
    """Which keys have no fault."""

    def __init__(self, faults: Sequence[str]) -> None:
        self._faults = faults
        self._keys = faulty_keys(faults)

    def __call__(self, *keys: str) -> bool:
        """Whether none of these keys, nor any key in their tables, has a fault."""
        return self._keys.isdisjoint(keys)

    def are_tables(self, *names: str) -> bool:
        """Whether these are tables (whatever is wrong inside them), or optional and missing."""
        starts = tuple(
            start for name in names for start in (f"{name} = ", f"{name} is missing", f"'{name}' is missing")
        )
        return not any(fault.startswith(starts) for fault in self._faults)


def _behavior_faults(schema: SchemaFile, valid: _ValidKeys) -> Iterator[str]:
    """Behavior fields share vocabularies with the target; they are lists without times, or single values with times."""
    target = {"item", *(field.vocabulary for field in schema.features if field.kind != "dense")}
    has_time = schema.behavior_time is not None
    for field in schema.behavior_fields:
        if not valid(field.key):
            continue
        if field.vocabulary not in target and valid.are_tables("items", "items.features"):
            yield (
                f"{field.key}: no target field uses its vocabulary '{field.vocabulary}'."
                f"{did_you_mean(field.vocabulary, target)} Expected one of {quoted(sorted(target))}, because behaviors "
                "are compared with the target; set it with vocabulary = NAME"
            )
        if (field.kind == "list") == has_time and valid("behaviors.time"):
            problem = (
                "is a list, but behaviors.time is given" if has_time else "is not a list, but behaviors.time is missing"
            )
            yield (
                f"{field.key}: {problem}. Expected either one row per behavior, with its time, or lists of behaviors "
                "without times"
            )
    if has_time and schema.takes_first_list and valid("behaviors.time", "behaviors.several_lists"):
        yield "behaviors.several_lists: expected no such key, because behaviors.time is given: behaviors are not lists"
    action_key = "column" if schema.action.column else "rules" if schema.action.rules else ""
    if not has_time and action_key and valid("behaviors.time"):
        yield f"behaviors.action.{action_key}: expected a constant action for lists of behaviors"


def _vocabulary_faults(schema: SchemaFile, valid: _ValidKeys) -> Iterator[str]:
    """A vocabulary holds either ids or numbers, and only the user's id uses the vocabulary `user`."""
    kinds: dict[str, str] = {"user": "ids", "item": "ids"}
    for field in schema.fields:
        if field.kind == "dense" or not valid(field.key):
            continue
        kind = "numbers" if field.kind in {"bucket", "clock"} else "ids"
        if kinds.setdefault(field.vocabulary, kind) != kind:
            yield f"{field.key}: its vocabulary '{field.vocabulary}' holds {kinds[field.vocabulary]} elsewhere"
    for field in schema.fields:
        if field.vocabulary == "user" and valid(field.key):
            yield f"{field.key}: the vocabulary 'user' is reserved for the user's id. Expected another"
    groups = ("users.attributes", "items.features", "behaviors.fields", "impressions.context")
    if not valid.are_tables("users", "items", "behaviors", "impressions", *groups):
        return
    unclear = {field.vocabulary for field in schema.fields if not valid(field.key)}
    for name in sorted(schema.integers - {name for name, kind in kinds.items() if kind == "ids"} - unclear):
        known = sorted({*kinds, *unclear})
        yield f"integers: '{name}' is not a vocabulary of ids.{did_you_mean(name, known)} Known: {quoted(known)}"


def _label_faults(schema: SchemaFile, valid: _ValidKeys) -> Iterator[str]:
    """No field of an impression may read a label's column; behaviors may, since they are in the past."""
    labels = {rule.column: rule.key for rule in (schema.conversion, schema.click) if rule and rule.column}
    impression_fields: list[FieldDefinition] = [*schema.context]
    impression_fields += [] if schema.users.patterns else schema.attributes
    impression_fields += [] if schema.items.patterns else schema.features
    for field in impression_fields:
        label = labels.get(field.column.name)
        if label and valid(field.key, label):
            yield (
                f"{field.key}: reads the column '{field.column.name}', the label of {label}. Expected another column: "
                "the model would see what it has to predict"
            )


def _time_faults(schema: SchemaFile, valid: _ValidKeys) -> Iterator[str]:
    """Whatever needs the impressions' time has it, and the test split begins after the validation split."""
    if not valid("impressions.time") or not valid.are_tables("impressions"):
        return
    split = schema.split
    if schema.time is None:
        if split.by not in {"", "column", "file"}:
            yield f"split.by = '{split.by}': needs impressions.time, which is missing"
        if schema.behavior_time is not None and valid("behaviors.time"):
            yield "impressions.time is missing, but behaviors.time is given. Expected both or neither"
        for field in schema.context:
            if field.kind == "clock" and valid(field.key):
                yield f"{field.key}: needs impressions.time, which is missing"
    elif split.by == "time" and valid("split.validation_from", "split.test_from"):
        offset = schema.time.offset
        if utc_seconds(split.validation_from, offset) >= utc_seconds(split.test_from, offset):
            yield "split.test_from: expected a time after split.validation_from"
