"""What a table says about the best epochs of its rows: a note, a warning, and numbers in its records."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest

from mailcli.config import make_config
from mailcli.reporting.captions import settings_note
from mailcli.reporting.formats import render
from mailcli.reporting.result_layout import lay_out
from mailcli.reporting.rows import Row
from mailcli.reporting.tables import make_table
from tests.helpers.results import result

BASE = make_config([{"data": "toy", "epochs": 2}])
MAIL = make_config([{"data": "toy", "epochs": 2, "cold_start": "mail", "cold_start.variant": "base"}])
LONG = make_config([{"data": "toy", "epochs": 10, "ranker": "din"}])


def trained(best_epoch: int | None, **more: Any) -> dict[str, Any]:
    """A result whose only validation is the best one."""
    return {**result(0.5, 0.7), "best_epoch": best_epoch, "best_step": 10, "curve": [{"step": 10}], **more}


def notes_on_epochs(rows: list[Row]) -> list[str]:
    return [note for note in make_table(rows, "Title").notes if "epoch " in note]


def test_every_row_has_its_best_epochs_and_the_cap_and_a_warning_if_they_are_equal() -> None:
    rows = [
        Row(BASE, (0, 1, 2), (trained(2), trained(1), trained(2)), None),
        Row(MAIL, (0, 1, 2), (trained(2), trained(2), trained(2)), None),
        Row(LONG, (0, 1, 2), (trained(7), trained(3), trained(9)), None),
    ]
    assert notes_on_epochs(rows) == [
        "best epoch by validation AUC: BaseDNN 2, 1, 2 of 2; MAIL-Base 2 of 2; din+none 7, 3, 9 of 10",
        "still improving: best epoch 2 of 2 in BaseDNN (2 of its seeds), MAIL-Base; not trained to the end, so raise "
        "the setting epochs before comparing",
    ]
    assert len(notes_on_epochs(rows[2:])) == 1


def test_of_many_seeds_the_earliest_and_the_latest_best_epoch_are_named() -> None:
    many = Row(LONG, tuple(range(6)), tuple(trained(epoch) for epoch in (7, 3, 9, 4, 4, 5)), None)
    same = Row(LONG, tuple(range(6)), (trained(4),) * 6, None)
    assert notes_on_epochs([many]) == ["best epoch by validation AUC: din+none 3 to 9 of 10"]
    assert notes_on_epochs([same]) == ["best epoch by validation AUC: din+none 4 of 10"]


def test_rows_of_one_name_have_their_own_epochs() -> None:
    slow = make_config([{"data": "toy", "epochs": 2, "learning_rate": 0.01}])
    rows = [Row(BASE, (0,), (trained(1),), None), Row(slow, (0,), (trained(2),), None)]
    assert notes_on_epochs(rows) == [
        "best epoch by validation AUC: BaseDNN 1 of 2; BaseDNN 2 of 2",
        "still improving: best epoch 2 of 2 in BaseDNN; not trained to the end, so raise the setting epochs before "
        "comparing",
    ]


def test_a_two_stage_method_has_the_best_epochs_of_its_ranker_and_is_not_judged_by_them() -> None:
    two_stage = {**result(0.5, 0.7), "best_epoch": 2}
    assert notes_on_epochs([Row(MAIL, (0, 1), (two_stage, two_stage), None)]) == [
        "best epoch by validation AUC: MAIL-Base 2 of 2"
    ]


def test_a_row_that_is_compared_with_several_others_is_named_once() -> None:
    row = Row(MAIL, (0, 1), (trained(2), trained(1)), None)
    assert notes_on_epochs([row, row])[0] == "best epoch by validation AUC: MAIL-Base 2, 1 of 2"


def test_json_and_csv_have_them_in_every_record() -> None:
    table = lay_out(make_table([Row(BASE, (0, 1), (trained(2), trained(1)), None)], "Title"))
    (content,) = json.loads(render([table], "json"))
    assert all((r["best_epochs"], r["epoch_cap"], r["still_improving"]) == ([2, 1], 2, 1) for r in content["results"])
    assert any(note.startswith("still improving: best epoch 2 of 2 in BaseDNN") for note in content["notes"])
    records = list(csv.DictReader(io.StringIO(render([table], "csv"))))
    assert {(r["best_epochs"], r["epoch_cap"], r["still_improving"]) for r in records} == {("2 1", "2", "1")}


@pytest.mark.parametrize("scored", [result(0.5, 0.7), trained(None)])
def test_a_row_without_epochs_says_nothing(scored: dict[str, Any]) -> None:
    rows = [Row(BASE, (0,), (scored,), None)]
    assert notes_on_epochs(rows) == []
    assert lay_out(make_table(rows, "Title")).records[0]["best_epochs"] is None
    # Beside one that has them, it is left out of the note.
    rows.append(Row(LONG, (0,), (trained(4),), None))
    assert notes_on_epochs(rows) == ["best epoch by validation AUC: din+none 4 of 10"]


@pytest.mark.parametrize(("validations_after", "warns"), [(0, True), (1, True), (2, False)])
def test_patience_that_ends_training_within_the_last_epoch_is_no_reason_to_warn(
    validations_after: int, warns: bool
) -> None:
    """Patience is 2: after two worse validations, more epochs would not have been trained."""
    curve = [{"epoch": 2, "step": 30 + number, "all": 0.5} for number in range(1 + validations_after)]
    rows = [Row(BASE, (0,), (trained(2, best_step=30, curve=curve),), None)]
    assert any(note.startswith("still improving") for note in notes_on_epochs(rows)) == warns


def test_a_setting_that_rows_do_not_share_is_not_shown_as_theirs() -> None:
    shared = {"data": "toy", "epochs": 20, "history": 25}
    configs = [make_config([{**shared, "learning_rate": rate, "batch_size": 512}]) for rate in (0.001, 0.002)]
    assert settings_note(configs) == "history 25, batch_size 512, epochs 20; each row its own learning_rate"
    assert settings_note(configs[:1]) == "history 25, batch_size 512, epochs 20"
    assert settings_note([make_config([{"data": "toy"}])]) == "all defaults"


def test_only_mails_variant_is_no_setting_of_the_note() -> None:
    def note(method: str, variant: str) -> str:
        return settings_note([make_config([{"data": "toy", "cold_start": method, "cold_start.variant": variant}])])

    assert note("mail", "single") == "all defaults"
    assert note("own:Method", "b") == "cold_start.variant of own:Method b"


def test_options_are_settings_too_and_trivial_rows_have_none() -> None:
    product = {"data": "toy", "ranker": "base", "ranker.product": True}
    mail = {**product, "cold_start": "mail", "cold_start.variant": "base", "cold_start.update_every": 4}
    trivial = {"data": "toy", "ranker": "item-rate", "cold_start": "none", "batch_size": 256}
    assert settings_note([make_config([trivial]), make_config([product]), make_config([mail])]) == (
        "ranker.product of base True, cold_start.update_every of mail 4"
    )
    plain = make_config([{"data": "toy", "ranker": "base"}])
    assert settings_note([plain, make_config([product])]) == "all defaults; each row its own ranker.product of base"
    assert settings_note([make_config([trivial])]) == "batch_size 256"
