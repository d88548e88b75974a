"""The fields as the schema file of a dataset defines them: its text is kept in dataset.json."""

from __future__ import annotations

import tomllib
from typing import Any

from mailcli.data.dataset import Dataset

#: The tables of a schema file that define fields.
_TABLES = (("users", "attributes"), ("items", "features"), ("behaviors", "fields"), ("impressions", "context"))


def field_definitions(dataset: Dataset) -> dict[str, dict[str, Any]]:
    """Field -> its keys in the schema file, of fields that have more than a column; empty without a schema file."""
    # Datasets of older versions may have kept a byte order mark.
    text = dataset.manifest.get("mapping", {}).get("text", "").removeprefix("\ufeff")
    schema_file = tomllib.loads(text)
    return {
        name: definition
        for table, group in _TABLES
        for name, definition in schema_file.get(table, {}).get(group, {}).items()
        if isinstance(definition, dict)
    }
