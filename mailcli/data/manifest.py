"""dataset.json: what it must hold, and the checksum that detects later changes."""

from __future__ import annotations

import json
import re
import zlib
from pathlib import Path
from typing import Any

from mailcli.data.derivations import derivations_from_json
from mailcli.data.schema import FIRST_ID, SPLITS, Schema
from mailcli.errors import MailError, quoted, shorten
from mailcli.utils.parsing import read_json
from mailcli.utils.validation import STRING, Rule, table_faults, whole_number

#: Raised whenever an older dataset could be misread; only this version is read.
FORMAT = 4
#: The number of values of each vocabulary that the training split does not contain.
UNSEEN = "unseen"
#: The CRC-32 of each column's values, by `table/name`.
CHECKSUMS = "columns"
#: How values of fields were made from raw ones; datasets of older versions lack it.
DERIVATIONS = "derivations"
#: The CRC-32 of all other keys.
OWN_CHECKSUM = "checksum"
_TABLES = ("users", "items", "behaviors", *SPLITS)
#: Counts that cannot exceed another one.
_PARTS = {
    **{f"{split}_clicks": split for split in SPLITS},
    "users_without_history": "users",
    "users_without_profile": "users",
    "items_without_features": "items",
}
#: Names of fields are names of files.
_NAME = re.compile(r"[A-Za-z0-9_-]{1,100}")
_GROUPS = ("attributes", "behavior", "context", "target")
#: Far more behaviors than any user has (ours; Alimama's log covers 22 days).
LONGEST_HISTORY = 100_000
#: Any number that NumPy can count to.
_COUNT, _POSITIVE, _SIZE = (whole_number(least, 2**63 - 1) for least in (0, 1, FIRST_ID))
_OBJECT = Rule("an object", lambda value: isinstance(value, dict))
_REMEDY = "Make the dataset again with `mail preprocess`."


def seal(manifest: dict[str, Any]) -> dict[str, Any]:
    """The manifest with its own checksum at the end."""
    return {**manifest, OWN_CHECKSUM: _checksum(manifest)}


def _checksum(manifest: dict[str, Any]) -> int:
    content = {key: value for key, value in manifest.items() if key != OWN_CHECKSUM}
    return zlib.crc32(json.dumps(content, sort_keys=True).encode())


def read_manifest(path: Path) -> tuple[dict[str, Any], Schema]:
    """The manifest of a dataset, and its schema.

    Raises:
        MailError: it has another format version, was changed, or a key is missing or has a wrong value.
    """
    try:
        manifest = read_json(path)
    except ValueError as error:
        raise MailError(f"{path}: is not a valid dataset.json ({error}). {_REMEDY}") from error
    if not isinstance(manifest, dict) or "format" not in manifest:
        raise MailError(f"{path}: is not a valid dataset.json (it has no 'format'). {_REMEDY}")
    version = manifest["format"]
    missing = [key for key in (*_RULES, OWN_CHECKSUM) if key not in manifest]
    if type(version) is not int or version != FORMAT:
        raise MailError(
            f"{path}: the dataset has format version {shorten(version)}, this `mail` reads version {FORMAT}. {_REMEDY}"
        )
    if missing:
        raise MailError(f"{path}: lacks {quoted(missing)}. {_REMEDY}")
    faults = table_faults(manifest, _RULES, other_keys=True) or _part_faults(manifest)
    if faults:
        raise MailError(f"{path}: {'; '.join(faults)}. {_REMEDY}")
    if manifest[OWN_CHECKSUM] != _checksum(manifest):
        raise MailError(
            f"{path}: was changed after `mail preprocess` wrote it: its checksum is not "
            f"{shorten(manifest[OWN_CHECKSUM])}. {_REMEDY}"
        )
    return manifest, Schema.from_json(manifest["schema"])


def _is_schema(data: Any) -> bool:
    try:
        schema = Schema.from_json(data)
        names = [*schema.dense, *(name for field in schema.fields for name in (field.name, field.vocabulary))]
        return (
            all(isinstance(field.values, int) and field.values >= 1 for field in schema.fields)
            and all(field.group in _GROUPS for field in schema.fields)
            and all(isinstance(name, str) and _NAME.fullmatch(name) for name in names)
            and all(schema.group(group) for group in ("attributes", "behavior", "target"))
            and schema.user in {field.vocabulary for field in schema.group("attributes")}
            and all(isinstance(name, str) for name in schema.actions)
            and len(schema.actions) > 0
            and schema.labels in {("click",), ("click", "conversion")}
        )
    except (KeyError, TypeError):
        return False


_RULES = {
    "name": STRING,
    "source": STRING,
    "simulation": Rule("null or an object", lambda value: value is None or isinstance(value, dict)),
    "history": whole_number(1, LONGEST_HISTORY),
    "vocabulary_sizes": _OBJECT,
    UNSEEN: _OBJECT,
    "counts": _OBJECT,
    "schema": Rule("the fields, actions, dense features, user and labels of a dataset", _is_schema),
    CHECKSUMS: _OBJECT,
}


def _part_faults(manifest: dict[str, Any]) -> list[str]:
    """The faults of what the objects of a manifest hold."""
    vocabularies = Schema.from_json(manifest["schema"]).vocabularies()
    counts = manifest["counts"]
    rules: dict[str, dict[str, Rule]] = {
        "vocabulary_sizes": dict.fromkeys(vocabularies, _SIZE),
        UNSEEN: dict.fromkeys(vocabularies, _COUNT),
        "counts": dict.fromkeys(_TABLES, _POSITIVE) | dict.fromkeys(_PARTS, _COUNT),
        CHECKSUMS: dict.fromkeys(manifest[CHECKSUMS], _COUNT),
    }
    faults = [
        text
        for key, own in rules.items()
        for text in table_faults(manifest[key], own, f"{key}.", required=own, other_keys=key == "counts")
    ]
    faults += _derivation_faults(manifest)
    limits = {part: whole_number(0, counts[table]) for part, table in _PARTS.items()} if not faults else {}
    return faults + table_faults(counts, limits, "counts.", other_keys=True)


def _derivation_faults(manifest: dict[str, Any]) -> list[str]:
    """What is wrong with the derivations, if there are any."""
    schema = Schema.from_json(manifest["schema"])
    fields = {(field.group, field.name) for field in schema.fields} | {("dense", name) for name in schema.dense}
    rule = Rule("how values of the dataset's fields were made", lambda value: _are_derivations(value, fields))
    return table_faults(manifest, {DERIVATIONS: rule}, other_keys=True)


def _are_derivations(data: Any, fields: set[tuple[Any, str]]) -> bool:
    try:
        derivations = derivations_from_json(data)
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError):
        return False
    return all((group, name) in fields for group, names in derivations.items() for name in names)
