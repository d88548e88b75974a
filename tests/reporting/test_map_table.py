"""The table of a grid of simulated worlds, by hand."""

from __future__ import annotations

import dataclasses

import pytest

from mailcli.reporting.formats import render
from mailcli.reporting.map_table import map_tables, verdict
from mailcli.reporting.rows import Row
from mailcli.reporting.worlds import WorldRows, map_blocks, varying, world_name
from tests.helpers.worlds import config, mail_row, plain, world

#: RI 10, 12 and 14%: mean 12, deviation 2, half a width of t(.975, 2) · 2 / √3 = 4.3027 · 1.1547 = 4.968, and
#: t = 12 / 1.1547 = 10.392 with p = 1 - t / √(t² + 2) = .00913.
HELPS = mail_row([0.5, 0.5, 0.5], [0.55, 0.56, 0.57], [(0.5, 0.6), (0.52, 0.6), (0.54, 0.6)])
#: RI -2, 0 and 2%: t = 0, p = 1. Real behavior is worth .04 on average.
USELESS = mail_row([0.5, 0.5, 0.5], [0.49, 0.5, 0.51], [(0.56, 0.6), (0.56, 0.58), (0.56, 0.62)])


def test_the_numbers_of_a_world_by_hand() -> None:
    (block,) = map_blocks([world(HELPS, attribute_strength=1.0), world(USELESS, attribute_strength=0.0)])
    assert (block.name, block.ranker) == ("MAIL-Base", "BaseDNN")
    first, second = block.lines
    assert first.trivial == {"item-bias": pytest.approx(0.55)}
    # Not dmr+masked, which has another ranker.
    assert first.methods == {"masked": pytest.approx(0.61)}
    values = (first.ranker, first.generated, first.no_behavior, first.audited, first.real)
    assert values == pytest.approx((0.5, 0.56, 0.52, 0.57, 0.6))
    assert first.behavior_matters
    assert first.improvement is not None
    assert first.improvement.mean == pytest.approx(12)
    assert first.improvement.half_width == pytest.approx(4.968, abs=1e-3)
    assert first.improvement.p == pytest.approx(0.00913, abs=1e-5)
    # Holm: the smaller of two p-values counts twice.
    assert first.improvement.adjusted_p == pytest.approx(0.01826, abs=1e-5)
    assert second.improvement is not None
    assert (second.improvement.mean, second.improvement.adjusted_p) == pytest.approx((0, 1))
    assert (second.real, second.no_behavior) == pytest.approx((0.6, 0.56))
    assert not second.behavior_matters


def test_rows_with_options_are_called_by_their_labels() -> None:
    """A ranker with other options is another ranker."""
    options = {"units": "8"}

    def relabeled(row: Row, label: str) -> Row:
        return dataclasses.replace(row, config=dataclasses.replace(row.config, ranker_options=options), name=label)

    item_bias, base, masked, mail, *others = world(HELPS).rows
    labels = zip((base, masked, mail), ("Small", "base+masked", "MAIL, small"), strict=True)
    rows = [item_bias, *(relabeled(row, label) for row, label in labels), masked, *others]
    (block,) = map_blocks([WorldRows({"attribute_strength": 1.0}, rows)])
    assert (block.name, block.ranker) == ("MAIL, small", "Small")
    assert list(block.lines[0].methods) == ["masked"]
    unlabeled = [dataclasses.replace(row, name="") for row in rows]
    (block,) = map_blocks([WorldRows({"attribute_strength": 1.0}, unlabeled)])
    assert (block.name, block.ranker) == ("MAIL-Base (units=8)", "BaseDNN (units=8)")


def test_a_block_for_every_method_that_the_ranker_is_trained_with() -> None:
    """match generates behavior while the ranker trains; conse, a two-stage method, is a column."""
    item_bias, base, _, mail, *_ = world(HELPS).rows
    match = dataclasses.replace(mail, config=config("base", "match"))
    rows = [item_bias, base, plain(config("base", "conse"), 0.57, mail.seeds), mail, match]
    first, second = map_blocks([WorldRows({"attribute_strength": 1.0}, rows)])
    assert [(block.name, block.ranker) for block in (first, second)] == [
        ("MAIL-Base", "BaseDNN"),
        ("base+match", "BaseDNN"),
    ]
    assert first.lines[0].methods == second.lines[0].methods == {"conse": pytest.approx(0.57)}


@pytest.mark.parametrize(
    ("no_behavior", "real", "matters"), [(0.55, 0.6, True), (0.65, 0.7, True), (0.551, 0.6, False), (0.7, 0.6, False)]
)
def test_behavior_matters_from_a_difference_of_05(no_behavior: float, real: float, matters: bool) -> None:
    row = mail_row([0.5, 0.5], [0.5, 0.51], [(no_behavior, real)] * 2)
    assert map_blocks([world(row)])[0].lines[0].behavior_matters is matters


def test_a_world_whose_audit_lacks_a_seed_does_not_count() -> None:
    line = map_blocks([world(mail_row([0.5, 0.5], [0.55, 0.56], [(0.5, 0.6)]))])[0].lines[0]
    assert (line.no_behavior, line.real, line.behavior_matters) == (None, None, False)
    _, table = map_tables([world(mail_row([0.5, 0.5], [0.55, 0.56], [(0.5, 0.6)]))], "Title")
    texts = [cell.text for cell in table.blocks[0].lines[0]]
    assert texts[6:] == ["-", "-", "-", "not measured"]


def test_the_text_by_hand() -> None:
    worlds = [world(HELPS, attribute_strength=1.0), world(USELESS, attribute_strength=0.5)]
    means, table = map_tables(worlds, "Title, simulated")
    assert (means.title, table.title) == ("Title, simulated", "MAIL-Base against BaseDNN: Title, simulated")
    assert table.head == (
        "",
        "item-bias",
        "ranker",
        "masked",
        "v̂",
        "RI AUC %",
        "audit: v = 0",
        "audit: v̂",
        "audit: real v",
        "behavior matters",
    )
    (block,) = table.blocks
    assert [[cell.text for cell in line] for line in block.lines] == [
        ["as1", ".5500", ".5000", ".6100", ".5600", "+12.00 ±4.97, p .018", ".5200", ".5700", ".6000", "yes"],
        ["as0.5", ".5500", ".5000", ".6100", ".5000", "+0.00 ±4.97, p 1.000 n.s.", ".5600", ".5700", ".6000", "no"],
    ]
    counted = (
        "MAIL-Base against BaseDNN: significantly better in 1, worse in 0 of 2 worlds; in 1 and 0 of the 1 where "
        "behavior matters"
    )
    assert means.notes[:4] == (
        "data 2 worlds (simulated) | protocol paper, 40% of users new | seeds 0, 1, 2",
        "worlds: as = attribute_strength",
        "settings: all defaults",
        counted,
    )
    assert (table.notes[0], table.notes[-1]) == (means.notes[0], counted)
    first, second = table.records
    assert (first["world"], first["setting attribute_strength"], first["row"], first["against"]) == (
        "as1",
        1.0,
        "MAIL-Base",
        "BaseDNN",
    )
    audited = (first["AUC audit: v = 0"], first["AUC audit: v̂"], first["AUC audit: real v"])
    assert (first["AUC v̂"], *audited) == pytest.approx((0.56, 0.52, 0.57, 0.6))
    assert (first["RI"], first["p"], first["p_holm"]) == pytest.approx((12, 0.00913, 0.01826), abs=1e-5)
    assert (first["behavior_matters"], second["behavior_matters"]) == (True, False)


def test_no_name_of_a_row_hides_a_column() -> None:
    """Names of rows are also names of columns in CSV and JSON, beside others."""
    settings, (item_bias, base, masked, mail, *others) = world(HELPS)
    rows = [dataclasses.replace(item_bias, name="row"), base, dataclasses.replace(masked, name="metric"), mail, *others]
    _, table = map_tables([WorldRows(settings, rows)], "Title")
    (record,) = table.records
    assert (record["row"], record["metric"]) == ("MAIL-Base", "AUC")
    assert (record["AUC trivial row"], record["AUC method metric"]) == pytest.approx((0.55, 0.61))


@pytest.mark.parametrize("form", ["table", "markdown", "csv", "latex", "json"])
def test_every_form_has_every_world(form: str) -> None:
    text = render(map_tables([world(HELPS, attribute_strength=1.0), world(USELESS)], "Title"), form)
    assert "as1" in text
    assert "as0.5" in text


def test_one_seed_has_no_interval() -> None:
    _, table = map_tables([world(mail_row([0.5], [0.55], [(0.5, 0.6)]))], "Title")
    assert [cell.text for cell in table.blocks[0].lines[0]][-5:] == ["+10.00", ".5000", ".5700", ".6000", "yes"]
    assert "one seed: no interval over seeds, so significance cannot be assessed" in table.notes
    assert (
        "MAIL-Base against BaseDNN: better in 1, worse in 0 of 1 world; in 1 and 0 of the 1 where behavior matters"
        in (table.notes)
    )


def test_worse_worlds_are_counted_apart() -> None:
    # RI -10, -12 and -14%.
    worse = mail_row([0.5, 0.5, 0.5], [0.45, 0.44, 0.43], [(0.5, 0.6)] * 3)
    (block,) = map_blocks([world(worse), world(HELPS), world(USELESS)])
    assert verdict(block) == (
        "MAIL-Base against BaseDNN: significantly better in 1, worse in 1 of 3 worlds; in 1 and 1 of the 2 where "
        "behavior matters"
    )


def test_runs_that_were_still_improving_are_counted() -> None:
    row = mail_row([0.5, 0.5], [0.55, 0.56], [(0.5, 0.6)] * 2)
    curve = {"best_step": 10, "curve": [{"step": 10}]}
    results = tuple(
        {**scored, **curve, "best_epoch": epoch} for scored, epoch in zip(row.results, (50, 3), strict=True)
    )
    means, _ = map_tables([world(dataclasses.replace(row, results=results))] * 2, "Title")
    assert means.notes[-3].startswith("still improving: 2 of 4 runs were best at the last epoch that they may have;")


def test_worlds_are_named_by_what_differs() -> None:
    worlds = [world(HELPS, behaviors_per_user=5.0), world(HELPS, attribute_strength=0.25)]
    assert varying(worlds) == ["behaviors_per_user", "attribute_strength"]
    assert world_name({"behaviors_per_user": 5.0, "attribute_strength": 0.25}) == "bpu5-as0.25"
    assert world_name({"users": 1_000_000, "conversions": True}) == "u1000000-c1"
