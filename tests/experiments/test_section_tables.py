"""The tables of an experiment in the document: each block of a grid in a table of its own."""

from __future__ import annotations

from mailcli.experiments.section_tables import section_tables
from mailcli.reporting.text_table import TextTable, text_block

DATA = "data 2 worlds"
FIRST = "MAIL-Base against BaseDNN: better in 1"
SECOND = "MAIL-DMR against DMR: worse in 1"


def test_a_block_of_a_grid_has_its_own_verdict() -> None:
    blocks = [text_block(title, [["as0", ".5"]]) for title in ("MAIL-Base against BaseDNN", "MAIL-DMR against DMR")]
    table = TextTable("Map", ("", "AUC"), tuple(blocks), (DATA, FIRST, SECOND), [])
    tables = section_tables([table])
    assert (tables.shown.title, tables.shown.blocks, tables.shown.markdown_notes) == (
        "Map",
        (blocks[0],),
        (DATA, FIRST),
    )
    (other,) = tables.others
    assert other.name == "MAIL-DMR against DMR"
    assert (other.table.title, other.table.blocks) == ("MAIL-DMR against DMR: Map", (blocks[1],))
    assert other.table.markdown_notes == (SECOND,)
