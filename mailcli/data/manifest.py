"""dataset.json: what it must hold, and the checksum by which a description that somebody changed is told."""

from __future__ import annotations

import json
import re
import zlib
from pathlib import Path
from typing import Any, NoReturn

from mailcli.data.schema import FIRST_ID, SPLITS, Schema
from mailcli.errors import MailError, quoted, shorten

#: Raised whenever a dataset of before could be misread; only this one is read.
FORMAT = 4
#: How many values of each vocabulary training does not show.
UNSEEN = "unseen"
#: The CRC-32 of each column's values, by `table/name`.
CHECKSUMS = "columns"
#: The CRC-32 of all other keys.
OWN_CHECKSUM = "checksum"
_KEYS = (
    *("name", "source", "simulation", "history", "vocabulary_sizes", UNSEEN),
    *("counts", "schema", CHECKSUMS, OWN_CHECKSUM),
)
_TABLES = ("users", "items", "behaviors", *SPLITS)
_COUNTS = (
    *_TABLES,
    *(f"{split}_clicks" for split in SPLITS),
    "users_without_history",
    "users_without_profile",
    "items_without_features",
)
#: Names of fields are those of files.
_NAME = re.compile(r"[A-Za-z0-9_-]{1,100}")
_GROUPS = ("attributes", "behavior", "context", "target")
#: More than any log has in 22 days (ours).
LONGEST_HISTORY = 100_000


def seal(manifest: dict[str, Any]) -> dict[str, Any]:
    """The description with its own checksum at the end."""
    return {**manifest, OWN_CHECKSUM: _checksum(manifest)}


def _checksum(manifest: dict[str, Any]) -> int:
    rest = {key: value for key, value in manifest.items() if key != OWN_CHECKSUM}
    return zlib.crc32(json.dumps(rest, sort_keys=True).encode())


def read_json(path: Path) -> Any:
    """What a JSON file holds.

    Raises:
        OSError, ValueError: it cannot be read, is not JSON, or holds NaN, infinity, or brackets beyond counting.
    """

    def refuse(text: str) -> NoReturn:
        raise ValueError(f"{text} is no JSON")

    try:
        return json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def read_manifest(path: Path) -> tuple[dict[str, Any], Schema]:
    """The description of a dataset, and its schema.

    Raises:
        MailError: it is of another format version, was changed, or a key is missing or of the wrong type.
    """
    try:
        manifest = dict(read_json(path))
        version = manifest["format"]
        lacking = [key for key in _KEYS if key not in manifest]
    except (ValueError, KeyError, TypeError) as error:
        raise MailError(
            f"{path}: is not a dataset's description ({error}). Make the dataset again with `mail preprocess`."
        ) from error
    if type(version) is not int or version != FORMAT:
        raise MailError(
            f"{path}: the dataset has format version {shorten(version)}, this `mail` reads version {FORMAT}. "
            f"Make the dataset again with `mail preprocess`."
        )
    if lacking:
        raise MailError(f"{path}: lacks {quoted(lacking)}. Make the dataset again with `mail preprocess`.")
    try:
        schema = _checked(manifest)
    except ValueError as error:
        raise MailError(f"{path}: {error}. Make the dataset again with `mail preprocess`.") from error
    if manifest[OWN_CHECKSUM] != _checksum(manifest):
        raise MailError(
            f"{path}: was changed after `mail preprocess` wrote it: its checksum is not "
            f"{shorten(manifest[OWN_CHECKSUM])}. Make the dataset again with `mail preprocess`."
        )
    return manifest, schema


def _checked(manifest: dict[str, Any]) -> Schema:
    """The schema of a description whose values are all of the right type; ValueError names the first that is not."""
    for key in ("name", "source"):
        _expect(isinstance(manifest[key], str), key, manifest[key], "a text")
    simulation = manifest["simulation"]
    _expect(simulation is None or isinstance(simulation, dict), "simulation", simulation, "null or an object")
    _expect_number("history", manifest["history"], 1, LONGEST_HISTORY)
    schema = _schema(manifest["schema"])
    sizes, counts = manifest["vocabulary_sizes"], manifest["counts"]
    _expect(isinstance(sizes, dict), "vocabulary_sizes", sizes, "an object")
    names = sorted(schema.vocabularies())
    _expect(sorted(sizes) == names, "vocabulary_sizes", sorted(sizes), f"sizes of {quoted(names)}")
    for name, size in sizes.items():
        _expect_number(f"vocabulary_sizes.{name}", size, FIRST_ID)
    unseen = manifest[UNSEEN]
    _expect(isinstance(unseen, dict) and sorted(unseen) == names, UNSEEN, unseen, f"numbers of {quoted(names)}")
    for name, size in unseen.items():
        _expect_number(f"{UNSEEN}.{name}", size, 0)
    _expect(isinstance(counts, dict), "counts", counts, "an object")
    for name in _COUNTS:
        _expect_number(f"counts.{name}", counts.get(name), 1 if name in _TABLES else 0)
    for split in SPLITS:
        clicks = counts[f"{split}_clicks"]
        _expect(clicks <= counts[split], f"counts.{split}_clicks", clicks, f"at most {counts[split]}")
    for name in ("users_without_history", "users_without_profile", "items_without_features"):
        most = counts[name.partition("_")[0]]
        _expect(counts[name] <= most, f"counts.{name}", counts[name], f"at most {most}")
    sums = manifest[CHECKSUMS]
    _expect(isinstance(sums, dict), CHECKSUMS, sums, "an object")
    for name, value in sums.items():
        _expect_number(f"{CHECKSUMS}.{name}", value, 0)
    return schema


def _schema(data: Any) -> Schema:
    try:
        schema = Schema.from_json(data)
        fields = [
            isinstance(field.values, int)
            and field.values >= 1
            and field.group in _GROUPS
            and all(isinstance(name, str) and _NAME.fullmatch(name) for name in (field.name, field.vocabulary))
            for field in schema.fields
        ]
        whole = (
            all(fields)
            and all(schema.group(group) for group in ("attributes", "behavior", "target"))
            and schema.user in {field.vocabulary for field in schema.group("attributes")}
            and all(isinstance(name, str) and _NAME.fullmatch(name) for name in schema.dense)
            and all(isinstance(name, str) for name in schema.actions)
            and len(schema.actions) > 0
            and schema.labels in {("click",), ("click", "conversion")}
        )
    except (KeyError, TypeError):
        whole = False
    _expect(whole, "schema", data, "the fields, actions, dense features, user and labels of a dataset")
    return schema


def _expect(ok: bool, key: str, found: Any, expected: str) -> None:
    if not ok:
        raise ValueError(f"'{key}' is {shorten(found)}. Expected {expected}")


def _expect_number(key: str, found: Any, least: int, most: int = 2**63 - 1) -> None:
    _expect(type(found) is int and least <= found <= most, key, found, f"a whole number from {least} to {most}")
