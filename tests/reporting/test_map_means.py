"""The means over the worlds of a grid that share some settings, by hand."""

from __future__ import annotations

import pytest

from mailcli.reporting.map_table import map_tables
from mailcli.reporting.worlds import WorldRows
from tests.helpers.worlds import mail_row, world

#: RI 10, 12 and 14% by seed; and -2, 0 and 5%.
HELPS = mail_row([0.5, 0.5, 0.5], [0.55, 0.56, 0.57], [(0.5, 0.6)] * 3)
USELESS = mail_row([0.5, 0.5, 0.5], [0.49, 0.5, 0.525], [(0.56, 0.6)] * 3)


def worlds() -> list[WorldRows]:
    """Two with few behaviors, which differ in strength, and one with many."""
    return [
        world(HELPS, attribute_strength=1.0, behaviors_per_user=5.0),
        world(USELESS, attribute_strength=0.5, behaviors_per_user=5.0),
        world(USELESS, attribute_strength=0.5, behaviors_per_user=50.0),
    ]


def test_the_means_by_one_setting() -> None:
    means, _, _ = map_tables(worlds(), "Title")
    assert means.head == ("", "worlds", "MAIL-Base")
    texts = [[[cell.text for cell in line] for line in block.lines] for block in means.blocks]
    # Of the two worlds by seed 4, 6 and 9.5: mean 6.5, deviation 2.784, half a width of 4.3027 · 2.784 / √3 = 6.916.
    # Of USELESS: mean 1, deviation 3.606, half a width of 8.957.
    assert texts == [
        [["bpu5", "2", "+6.50 ±6.92 (+1.00 to +12.00)"], ["bpu50", "1", "+1.00 ±8.96 (+1.00 to +1.00)"]],
        [["as0.5", "2", "+1.00 ±8.96 (+1.00 to +1.00)"], ["as1", "1", "+12.00 ±4.97 (+12.00 to +12.00)"]],
    ]
    first = means.records[0]
    assert (first["row"], first["against"], first["worlds"], first["count"]) == ("MAIL-Base", "BaseDNN", "bpu5", 2)
    assert (first["RI"], first["RI_half_width_95"]) == pytest.approx((6.5, 6.916), abs=1e-3)
    assert (first["least"], first["most"]) == pytest.approx((1, 12))


def test_the_means_by_two_settings() -> None:
    *_, pairs = map_tables(worlds(), "Title")
    assert pairs.title == "By two settings: Title"
    (block,) = pairs.blocks
    assert [(line[0].text, line[1].text) for line in block.lines] == [
        ("bpu5-as0.5", "1"),
        ("bpu5-as1", "1"),
        ("bpu50-as0.5", "1"),
    ]


def test_one_seed_has_no_interval() -> None:
    one = mail_row([0.5], [0.55], [(0.5, 0.6)])
    means, _ = map_tables([world(one, attribute_strength=1.0), world(one)], "Title")
    assert [line[2].text for line in means.blocks[0].lines] == ["+10.00 (+10.00 to +10.00)"] * 2
    assert means.notes[-1] == "one seed: no interval over seeds, so significance cannot be assessed"


def test_a_world_without_a_measurement_leaves_its_means_out() -> None:
    without = mail_row([], [0.55, 0.56], [(0.5, 0.6)] * 2)
    means, _ = map_tables([world(HELPS, attribute_strength=1.0), world(without)], "Title")
    assert [line[2].text for line in means.blocks[0].lines] == ["-", "+12.00 ±4.97 (+12.00 to +12.00)"]
    assert means.records[0]["RI"] is None
