"""Folders of raw files: columns in their names (`date=2022-05-07`, as Hive and Spark write them), patterns for them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from mailcli.preprocessing.duckdb_sql import literal
from mailcli.preprocessing.schema_file.parquet import is_parquet

#: What Hive and Spark write for a missing value.
_MISSING = "__HIVE_DEFAULT_PARTITION__"
#: Files of a folder that are examined for an example (ours).
_LOOKED_AT = 1000


def folder_columns(paths: Sequence[Path], raw: Path) -> tuple[str, ...]:
    """The columns in the names of the folders between the raw folder and each of its files, the outermost first."""
    names_by_path = [_names(path, raw) for path in paths]
    return tuple(name for name in names_by_path[0] if all(name in names for names in names_by_path))


def _names(path: Path, raw: Path) -> list[str]:
    folders = path.relative_to(raw).parts[:-1]
    return [folder.partition("=")[0] for folder in folders if re.fullmatch("[^=]+=.+", folder)]


def folder_value(name: str, path: Path, raw: Path) -> str:
    """SQL for the value of such a column, null where it is missing.

    Args:
        name: the column.
        path: one of the files; the column `#file` holds such paths.
        raw: the raw folder, whose own name may look the same.
    """
    below = len(str(path)) - len(str(path.relative_to(raw)))
    # With the slash before it, the first character of the part below the raw folder.
    part = f"('/' || substr(\"#file\", {below + 1}))"
    value = f"url_decode(regexp_extract({part}, {literal(f'/{re.escape(name)}=([^/]+)/')}, 1))"
    return f"nullif({value}, {literal(_MISSING)})"


def example_pattern(folder: Path, name: str) -> str:
    """A pattern for the files in a folder, such as `log/*/*.parquet`; `name` is what the folder is called."""
    paths = []
    for path in folder.rglob("*"):
        if path.is_file() and not path.name.startswith(("_", ".")):
            paths.append(path)
            if len(paths) == _LOOKED_AT:
                break
    best = min(paths, key=lambda path: (not is_parquet(path), str(path)), default=folder / "x.csv")
    depth = len(best.relative_to(folder).parts)
    return "/".join([name.rstrip("/"), *["*"] * (depth - 1), f"*{best.suffix}"])
