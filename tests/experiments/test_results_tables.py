"""The tables of an experiment in the document: those of a grid are named without the experiment's title."""

from __future__ import annotations

from mailcli.experiments.results_tables import section_tables
from mailcli.reporting.text_table import TextTable, text_block

DATA = "data 2 worlds"


def table(title: str, *notes: str) -> TextTable:
    """A table of one number, with these notes."""
    return TextTable(title, ("", "AUC"), (text_block("", [["as0", ".5"]]),), (DATA, *notes), [])


def test_the_first_table_of_a_grid_is_shown_and_the_others_are_named() -> None:
    means, row = table("Map", "means"), table("MAIL-DMR against DMR: Map", "means", "worse in 1")
    tables = section_tables([means, row])
    assert (tables.shown.title, tables.shown.blocks, tables.shown.detailed_notes) == (
        "Map",
        means.blocks,
        (DATA, "means"),
    )
    (other,) = tables.others
    assert other.name == "MAIL-DMR against DMR"
    assert (other.table.title, other.table.blocks) == ("MAIL-DMR against DMR: Map", row.blocks)
    # What a note of the first table says is not said again, but the data are: the appendix is far from the section.
    assert other.table.detailed_notes == (DATA, "worse in 1")
