"""summary.md: what preprocessing found in the raw files, for people to read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from mailcli.data.schema import SPLITS
from mailcli.errors import MAX_QUOTED
from mailcli.escape import markdown, markdown_code, markdown_row
from mailcli.preprocessing.extracted_tables import NO_IMPRESSION, TOO_LATE, ExtractedTables
from mailcli.preprocessing.rejects import EXAMPLES, Rejects
from mailcli.preprocessing.sources._base import JOIN, TABLES, RawData

#: Files of a table that are named (ours).
SHOWN_FILES = 3
Cell = object
"""A number, a text, or several values of the files as a list."""
Cells = Sequence[Cell]


def summary(
    title: str,
    source: RawData,
    extracted: ExtractedTables,
    rejects: Rejects,
    counts: dict[str, int],
    notes: Sequence[str] = (),
) -> str:
    """The text of summary.md.

    Args:
        title: name and settings of the dataset.
        source: the raw data.
        extracted: its tables.
        rejects: the rows that could not be used.
        counts: those of dataset.json.
        notes: on columns that nobody should trust, and on lines that are part of a value.
    """
    blocks = [
        f"# {markdown(title)}",
        "## Files",
        *_table(("table", "file", "rows", "set aside"), _files(source, rejects)),
        "## Rows set aside",
        *_table(("table", "expected", "rows", "for example"), _reasons(rejects), "None."),
        "## Findings",
        *_table(("what", "how many", "for example"), _findings(extracted, counts)),
        *(["## Notes", "\n".join(f"- {markdown(note[0].upper() + note[1:])}." for note in notes)] if notes else []),
        "## Impressions",
        *_table(("split", "impressions", "clicks", "CTR"), _splits(counts)),
        "## Values",
        *_table(("column", "distinct", "missing", "least", "greatest", "published"), _values(source, extracted)),
    ]
    return "\n\n".join(blocks) + "\n"


def _table(head: Sequence[str], rows: Iterable[Cells], none: str = "") -> Iterator[str]:
    lines = [markdown_row(map(_text, cells)) for cells in rows]
    yield "\n".join([markdown_row(head), "|" + " --- |" * len(head), *lines]) if lines else none


def _text(cell: Cell) -> str:
    if isinstance(cell, list):
        return " ".join(map(markdown_code, cell))
    return f"{cell:,}" if isinstance(cell, int) else markdown(cell)


def _files(source: RawData, rejects: Rejects) -> Iterator[Cells]:
    for table in _tables(rejects):
        paths = list(source.raw_files[table].row_formats) if table in source.raw_files else source.files
        names = [path.name for path in paths]
        if len(names) > SHOWN_FILES:
            names[SHOWN_FILES - 1 :] = [f"{len(names) - SHOWN_FILES + 1} more"]
        yield table, ", ".join(names), rejects.rows[table], rejects.count(table)


def _tables(rejects: Rejects) -> list[str]:
    """The tables that were read, and files joined to them."""
    return [table for table in (*TABLES, JOIN) if table in rejects.rows]


def _reasons(rejects: Rejects) -> Iterator[Cells]:
    for table in _tables(rejects):
        for expected, count, examples in rejects.reasons(table):
            yield table, expected, count, [line[:MAX_QUOTED] for line in examples]


def _findings(extracted: ExtractedTables, counts: dict[str, int]) -> Iterator[Cells]:
    users, items = extracted.users, extracted.items
    profiles = extracted.profiles["user"].cast(users["user"].type).combine_chunks()
    no_profile = users.filter(pc.invert(pc.is_in(users["user"], value_set=profiles)))
    no_features = items.filter(pc.invert(items["known"]))
    without_profile = sum(pc.sum(no_profile[name]).as_py() or 0 for name in SPLITS)
    total = sum(counts[name] for name in SPLITS)
    yield "users of impressions without a profile", len(no_profile), _examples(no_profile["user"])
    yield "their impressions", without_profile, f"{without_profile / total:.2%} of all"
    yield "items of impressions without a row in the item table", len(no_features), _examples(no_features["item"])
    yield "their impressions", pc.sum(no_features["impressions"]).as_py() or 0, ""
    yield "users without a behavior before an impression (naturally new)", counts["users_without_history"], ""
    yield "impressions without a behavior before them", counts["impressions_without_history"], ""
    yield "behaviors of users without an impression in the dataset (dropped)", extracted.ignored[NO_IMPRESSION], ""
    yield "behaviors not before their user's last impression (dropped)", extracted.ignored[TOO_LATE], ""
    yield "exact duplicates among the other behaviors", counts["duplicate_behaviors"], ""
    yield "behaviors older than the last n_v of every impression (dropped)", counts["older_behaviors"], ""
    yield "behaviors in the dataset", counts["behaviors"], ""


def _examples(column: pa.ChunkedArray) -> str:
    return ", ".join(str(value) for value in column[:EXAMPLES].to_pylist())


def _splits(counts: dict[str, int]) -> Iterator[Cells]:
    for name in SPLITS:
        clicks = counts[f"{name}_clicks"]
        yield name, counts[name], clicks, f"{clicks / counts[name]:.2%}"


def _values(source: RawData, extracted: ExtractedTables) -> Iterator[Cells]:
    for name, count in extracted.facts.items():
        table, column = name.split(".")
        if column == "rows":
            continue
        rows = {"users": extracted.profiles, "items": extracted.features}.get(table)
        details: Cells = ("", "", "")
        if rows is not None:
            low, high = pc.min_max(rows[column]).values()
            details = (rows[column].null_count, *("" if end is None else [end] for end in (low, high)))
        yield name, count, *details, source.official.get(name, "")
