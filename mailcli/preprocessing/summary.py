"""summary.md: what preprocessing found in the raw files, for a person to read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from mailcli.data.schema import SPLITS
from mailcli.errors import MAX_QUOTED
from mailcli.preprocessing.extract import NO_IMPRESSION, TOO_LATE, Staged
from mailcli.preprocessing.rejects import EXAMPLES, Rejects
from mailcli.preprocessing.sources._base import TABLES, RawData

Cells = Sequence[object]


def summary(title: str, source: RawData, staged: Staged, rejects: Rejects, counts: dict[str, int]) -> str:
    """The text of summary.md.

    Args:
        title: name of the dataset and the settings it was made with.
        source: the raw data.
        staged: its tables.
        rejects: the rows that could not be used.
        counts: those of dataset.json.
    """
    blocks = [
        f"# {title}",
        "## Files",
        *_table(("table", "file", "rows", "set aside"), _files(source, rejects)),
        "## Rows set aside",
        *_table(("table", "expected", "rows", "for example"), _reasons(rejects), "None."),
        "## Findings",
        *_table(("what", "how many", "for example"), _findings(staged, counts)),
        "## Impressions",
        *_table(("split", "impressions", "clicks", "CTR"), _splits(counts)),
        "## Values",
        *_table(("column", "different", "missing", "least", "greatest", "published"), _values(source, staged)),
    ]
    return "\n\n".join(blocks) + "\n"


def _table(head: Cells, rows: Iterable[Cells], none: str = "") -> Iterator[str]:
    lines = [_row(cells) for cells in rows]
    yield "\n".join([_row(head), "|" + " --- |" * len(head), *lines]) if lines else none


def _row(cells: Cells) -> str:
    texts = (f"{cell:,}" if isinstance(cell, int) else str(cell).replace("|", "\\|") for cell in cells)
    return f"| {' | '.join(texts)} |"


def _files(source: RawData, rejects: Rejects) -> Iterator[Cells]:
    for table in TABLES:
        file = source.csv[table].path.name if table in source.csv else ", ".join(path.name for path in source.files)
        yield table, file, rejects.rows[table], rejects.count(table)


def _reasons(rejects: Rejects) -> Iterator[Cells]:
    for table in TABLES:
        for expected, count, examples in rejects.reasons(table):
            yield table, expected, count, " ".join(f"`{_printable(line)}`" for line in examples)


def _printable(line: str) -> str:
    """A line of a raw file, cut, without what would break a table."""
    return "".join(c if c.isprintable() and c != "`" else "?" for c in line[:MAX_QUOTED])


def _findings(staged: Staged, counts: dict[str, int]) -> Iterator[Cells]:
    users, items = staged.users, staged.items
    known = pc.is_in(users["user"], value_set=staged.profiles["user"].cast(users["user"].type).combine_chunks())
    lonely = users.filter(pc.invert(known))
    lost = items.filter(pc.invert(items["known"]))
    of_lonely = sum(pc.sum(lonely[name]).as_py() or 0 for name in SPLITS)
    total = sum(counts[name] for name in SPLITS)
    yield "users of impressions without a profile", len(lonely), _examples(lonely["user"])
    yield "impressions of these", of_lonely, f"{of_lonely / total:.2%} of all"
    yield "items of impressions without a row in the item table", len(lost), _examples(lost["item"])
    yield "impressions of these", pc.sum(lost["impressions"]).as_py() or 0, ""
    yield "users without a behavior before an impression (naturally new)", counts["users_without_history"], ""
    yield "impressions without a behavior before them", counts["impressions_without_history"], ""
    yield "behaviors of users without an impression that is kept, not stored", staged.unseen[NO_IMPRESSION], ""
    yield "behaviors not before their user's last impression, not stored", staged.unseen[TOO_LATE], ""
    yield "exact duplicates among the other behaviors", counts["duplicate_behaviors"], ""
    yield "behaviors older than the last n_v of every impression, not stored", counts["older_behaviors"], ""
    yield "behaviors stored", counts["behaviors"], ""


def _examples(column: pa.ChunkedArray) -> str:
    return ", ".join(str(value) for value in column[:EXAMPLES].to_pylist())


def _splits(counts: dict[str, int]) -> Iterator[Cells]:
    for name in SPLITS:
        clicks = counts[f"{name}_clicks"]
        yield name, counts[name], clicks, f"{clicks / counts[name]:.2%}"


def _values(source: RawData, staged: Staged) -> Iterator[Cells]:
    for name, found in staged.facts.items():
        table, column = name.split(".")
        if column == "rows":
            continue
        known = {"users": staged.profiles, "items": staged.features}.get(table)
        ends: Cells = ("", "", "")
        if known is not None:
            low, high = pc.min_max(known[column]).values()
            ends = (known[column].null_count, f"`{low}`", f"`{high}`")
        yield name, found, *ends, source.official.get(name, "")
