"""What is wrong between keys of a schema file that are right by themselves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mailcli.errors import did_you_mean, quoted
from mailcli.preprocessing.schema_file.definition import FieldMap, Mapping, seconds
from mailcli.preprocessing.schema_file.toml_table import is_told


def contradictions(mapping: Mapping, told: Sequence[str]) -> list[str]:
    """All contradictions between keys.

    Args:
        mapping: the schema file; what is wrong or missing is empty in it.
        told: the faults that are known; what needs the keys that they are of is not looked at.
    """
    clear = _Clear(told)
    return [
        *_of_steps(mapping, clear),
        *_of_vocabularies(mapping, clear),
        *_of_labels(mapping, clear),
        *_of_times(mapping, clear),
    ]


class _Clear:
    """Which keys are right, by the faults."""

    def __init__(self, told: Sequence[str]) -> None:
        self._told = told

    def __call__(self, *keys: str) -> bool:
        """Whether no fault is of these keys, or of a key in their tables."""
        return not any(is_told(self._told, key) for key in keys)

    def are_tables(self, *names: str) -> bool:
        """Whether these are tables, whatever is wrong in them, or may be missing and are."""
        starts = tuple(
            start for name in names for start in (f"{name} = ", f"{name} is missing", f"'{name}' is missing")
        )
        return not any(fault.startswith(starts) for fault in self._told)


def _of_steps(m: Mapping, clear: _Clear) -> Iterator[str]:
    """Behaviors are of what the target is of; and lists without times, or rows with."""
    target = {"item", *(each.vocabulary for each in m.features if each.kind != "dense")}
    for each in m.steps:
        if not clear(each.key):
            continue
        if each.vocabulary not in target and clear.are_tables("items", "items.features"):
            yield (
                f"{each.key}: its vocabulary '{each.vocabulary}' is of no target field."
                f"{did_you_mean(each.vocabulary, target)} Expected one of {quoted(sorted(target))}, as a behavior is "
                "compared with the target; name it with vocabulary = NAME"
            )
        if (each.kind == "list") != (m.behavior_time is None) and clear("behaviors.time"):
            held = (
                "lists, and behaviors.time is given"
                if each.kind == "list"
                else "no list, and behaviors.time is missing"
            )
            yield (
                f"{each.key}: holds {held}. Expected a row per behavior, with its time; or rows with lists of "
                "behaviors, without"
            )
    if m.behavior_time is None and m.action.column and clear("behaviors.time"):
        yield "behaviors.action.column: expected a constant with lists of behaviors"


def _of_vocabularies(m: Mapping, clear: _Clear) -> Iterator[str]:
    """A vocabulary is of ids or of numbers, and the user's is the user's own."""
    kinds: dict[str, str] = {"user": "ids", "item": "ids"}
    fields = (*m.attributes, *m.features, *m.steps, *m.context)
    for each in (each for each in fields if each.kind != "dense" and clear(each.key)):
        own = "numbers" if each.kind in {"bucket", "clock"} else "ids"
        if kinds.setdefault(each.vocabulary, own) != own:
            yield f"{each.key}: its vocabulary '{each.vocabulary}' is of {kinds[each.vocabulary]} elsewhere"
    for each in (*m.attributes, *m.context):
        if each.vocabulary == "user" and clear(each.key):
            yield f"{each.key}: the vocabulary 'user' is the id's own. Expected another"
    groups = ("users.attributes", "items.features", "behaviors.fields", "impressions.context")
    if not clear.are_tables("users", "items", "behaviors", "impressions", *groups):
        return
    unclear = {each.vocabulary for each in fields if not clear(each.key)}
    for name in sorted(m.integers - {name for name, kind in kinds.items() if kind == "ids"} - unclear):
        known = sorted({*kinds, *unclear})
        yield f"integers: '{name}' is no vocabulary of ids.{did_you_mean(name, known)} Known: {quoted(known)}"


def _of_labels(m: Mapping, clear: _Clear) -> Iterator[str]:
    """No field holds what is to be predicted; behaviors may, which are of the past."""
    labels = {rule.column: rule.key for rule in (m.conversion, m.click) if rule and rule.column}
    shown: list[FieldMap] = [*m.context]
    shown += [] if m.users.patterns else m.attributes
    shown += [] if m.items.patterns else m.features
    for each in shown:
        key = labels.get(each.place.column)
        if key and clear(each.key, key):
            yield (
                f"{each.key}: reads the column '{each.place.column}', of which {key} is made. Expected another: the "
                "model would be given what it has to predict"
            )


def _of_times(m: Mapping, clear: _Clear) -> Iterator[str]:
    """What needs the impressions' time has it, and the test begins after the validation."""
    if not clear("impressions.time") or not clear.are_tables("impressions"):
        return
    if m.time is None:
        if m.split.by not in {"", "column", "file"}:
            yield f"split.by = '{m.split.by}': needs impressions.time, which is missing"
        if m.behavior_time is not None and clear("behaviors.time"):
            yield "impressions.time is missing, and behaviors.time is given. Expected both, or neither"
        for each in m.context:
            if each.kind == "clock" and clear(each.key):
                yield f"{each.key}: needs impressions.time, which is missing"
    elif m.split.by == "time" and clear("split.validation_from", "split.test_from"):
        offset = m.time.offset
        if seconds(m.split.validation_from, offset) >= seconds(m.split.test_from, offset):
            yield "split.test_from: expected a time after split.validation_from"
