"""The tables of one experiment in the document: one in its section, the others in the appendix."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

from mailcli.reporting.audit_block import verdicts
from mailcli.reporting.captions import LEGENDS
from mailcli.reporting.map_table import MAP_LEGENDS
from mailcli.reporting.result_layout import DETAILS_LEGEND, lay_out, lay_out_with_audit
from mailcli.reporting.tables import ResultTable
from mailcli.reporting.text_table import TextTable

#: The users of the table in an experiment's section, and of another one in the appendix (ours): "all" is these two, the
#: naturally new are few. `mail run` prints all groups.
_FIRST_USERS, _SECOND_USERS = "new", "old"
#: The notes that the document has once, at its end.
_LEGENDS = (*LEGENDS, *MAP_LEGENDS)


class AppendixTable(NamedTuple):
    """A table of the appendix."""

    name: str
    """What it shows of its experiment: the text of a link."""
    table: TextTable


class SectionTables(NamedTuple):
    """The tables of an experiment, each with the notes that no table before it has."""

    shown: TextTable
    """New users, or the means over the worlds of a grid."""
    verdicts: str
    """What the audits say; empty if there are none."""
    others: tuple[AppendixTable, ...]


def section_tables(tables: Sequence[ResultTable | TextTable]) -> SectionTables:
    """Lay the tables of an experiment out.

    Args:
        tables: its table, and those of rows against other rows; of a grid, `map_tables`.
    """
    first, *rest = tables
    named = _tables_of_rows(first) if isinstance(first, ResultTable) else [AppendixTable("", first)]
    named += [further for table in rest for further in _named_tables(table, first.title)]
    shown, others = named[0], named[1:]
    texts = _without_repeated_notes([shown.table, *(other.table for other in others)])
    audits = first.audits if isinstance(first, ResultTable) else ()
    return SectionTables(
        texts[0],
        verdicts(audits) if audits else "",
        tuple(other._replace(table=text) for other, text in zip(others, texts[1:], strict=True)),
    )


def legends(tables: Iterable[ResultTable | TextTable]) -> list[str]:
    """What the marks of all tables mean, each said once."""
    used = {note for table in tables for text in _of_shown_users(table) for note in text.notes}
    return [*(note for note in _LEGENDS if note in used), DETAILS_LEGEND]


def _named_tables(table: ResultTable | TextTable, title: str) -> list[AppendixTable]:
    """What the document has of a further table of an experiment, whose first table has a title."""
    if isinstance(table, TextTable):
        # The title of a grid's table ends with the experiment's.
        return [AppendixTable(table.title.removesuffix(title).removesuffix(": "), table)]
    return [AppendixTable("row against row", text) for text in _of_shown_users(table)]


def _tables_of_rows(table: ResultTable) -> list[AppendixTable]:
    """The experiment's table by users, and its audit; the first one is not for the appendix."""
    shown, *audits = lay_out_with_audit(_of_users(table, _FIRST_USERS))
    old = _of_users(table, _SECOND_USERS)
    return [
        AppendixTable("", shown),
        *([AppendixTable("old users", lay_out(replace(old, title=f"Old users: {old.title}")))] if old.lines else []),
        *(AppendixTable("audit of v̂", audit) for audit in audits),
    ]


def _of_shown_users(table: ResultTable | TextTable) -> list[TextTable]:
    if isinstance(table, TextTable):
        return [table]
    return lay_out_with_audit(_of_users(table, _FIRST_USERS, _SECOND_USERS))


def _of_users(table: ResultTable, *users: str) -> ResultTable:
    return replace(table, lines=tuple(line for line in table.lines if line.users in users))


def _without_repeated_notes(tables: Sequence[TextTable]) -> list[TextTable]:
    """The tables with the notes that neither the document's end nor a table before has."""
    known = {DETAILS_LEGEND, *_LEGENDS}
    texts = []
    for table in tables:
        first, *others = table.detailed_notes or table.notes
        # A table of the appendix is far from its section: it names its own data, protocol and seeds.
        notes = [first, *(note for note in others if note not in known)]
        known.update(others)
        texts.append(replace(table, detailed_notes=tuple(notes)))
    return texts
