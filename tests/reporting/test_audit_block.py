"""The audit under a result table: its numbers by hand, its mark, its width, and rows without one."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.cells import cell_len

from mailcli.cli._tables import print_tables
from mailcli.config import make_config
from mailcli.reporting.audit_block import missing_note
from mailcli.reporting.result_layout import lay_out_with_audit
from mailcli.reporting.rows import Row, listed
from mailcli.reporting.tables import make_table
from mailcli.reporting.terminal_table import terminal_table
from mailcli.reporting.text_table import TextTable
from mailcli.runs.audit import RunAudit, measure_audit
from tests.helpers.audits import many_users, scored_run
from tests.helpers.results import BASE, MAIL, result, three_rows

LLAE = make_config([{"data": "toy", "ranker": "emblr", "cold_start": "llae"}])


def audited(audit: RunAudit) -> dict[str, Any]:
    return {**result(0.5, 0.7), "audit": audit}


def flat(*own_and_others: float) -> RunAudit:
    """An audit with these AUCs by source, the same for every draw, and GAUCs that are .1 lower."""
    values = np.array(own_and_others)[:, None] - np.array([0.0, 0.1])
    return RunAudit(9, values, np.repeat(values[None], 40, axis=0).astype(np.float32))


def rows() -> list[Row]:
    """A baseline; MAIL whose v̂ is personal, of two seeds; and LLAE whose v̂ is not."""
    personal = (flat(0.6, 0.55, 0.5, 0.59, 0.58, 0.7), flat(0.7, 0.65, 0.7, 0.69, 0.68, 0.9))
    alike = (flat(0.6, 0.6, 0.5, 0.59, 0.58, 0.7), flat(0.7, 0.7, 0.7, 0.69, 0.68, 0.9))
    plain = (result(0.5, 0.7), result(0.5, 0.7))
    return [
        Row(BASE, (0, 1), plain, None),
        Row(MAIL, (0, 1), tuple(map(audited, personal)), plain),
        Row(LLAE, (0, 1), tuple(map(audited, alike)), None),
    ]


def block(of: list[Row]) -> TextTable:
    _, audit = lay_out_with_audit(make_table(of, "Title"))
    return audit


def test_numbers_by_hand() -> None:
    table = block(rows())
    assert table.title == "Audit of v̂: Title"
    assert table.head == ("", "another's v̂", "permuted", "mean v", "v = 0", "real v")
    assert [part.title for part in table.blocks] == ["AUC of new users", "GAUC of new users"]
    for part in table.blocks:
        assert [[cell.text for cell in line] for line in part.lines] == [
            ["MAIL-Base", "-.0500 ±.0000", "-.0500 ±.0000", "-.0100 ±.0000", "-.0200 ±.0000", "+.1500 ±.0000"],
            ["LLAE †", "+.0000 ±.0000", "-.0500 ±.0000", "-.0100 ±.0000", "-.0200 ±.0000", "+.1500 ±.0000"],
        ]
    assert table.blocks[0].lines[0][1].detail == " [-.0500, -.0500]"
    assert table.notes[:3] == (
        "data toy (simulated) | protocol paper, 40% of users new | seeds 0, 1",
        "v̂ is personal: MAIL-Base; no evidence that v̂ is personal (another user's costs nothing significant): LLAE",
        "9 new users who have behavior; 40 draws of users",
    )


def test_intervals_are_those_of_the_mean_over_seeds() -> None:
    """Draws of two seeds are averaged before quantiles are taken: here they cancel out."""
    up, down = (flat(0.6, 0.55, 0.5, 0.5, 0.5, 0.5) for _ in range(2))
    steps = np.linspace(-0.1, 0.1, 40, dtype=np.float32)
    up.draws[:, 1, :] += steps[:, None]
    down.draws[:, 1, :] -= steps[:, None]
    (alone,) = block([Row(MAIL, (0,), (audited(up),), None)]).blocks[0].lines
    assert alone[1].text == "-.0500 ±.0950"
    assert alone[1].detail == " [-.1450, +.0450]"
    (both,) = block([Row(MAIL, (0, 1), (audited(up), audited(down)), None)]).blocks[0].lines
    assert both[1].text == "-.0500 ±.0000"


@pytest.mark.parametrize("width", [80, 120, 200])
def test_it_fits_a_terminal(width: int) -> None:
    text = terminal_table(block(rows()), width)
    assert max(map(cell_len, re.sub(r"\x1b\[[\d;]*m", "", text).splitlines())) <= width
    assert "LLAE †" in text[: text.index("data toy")]


def test_every_form_has_it(capsys: pytest.CaptureFixture[str]) -> None:
    table = make_table(rows(), "Title")
    printed = {}
    for form in ("table", "markdown", "latex", "csv", "json"):
        print_tables([table], form)
        printed[form] = capsys.readouterr().out
    assert r"-.0500 ±.0000 \[-.0500, -.0500\]" in printed["markdown"]
    for form in ("table", "markdown"):
        assert "no evidence that v̂ is personal (another user's costs nothing significant): LLAE" in printed[form]
    assert (
        r"no evidence that $\hat{v}$ is personal (another user's costs nothing significant): LLAE" in printed["latex"]
    )
    assert r"LLAE $\dagger$ & " in printed["latex"]
    results, audit = json.loads(printed["json"])
    assert (results["title"], audit["title"]) == ("Title", "Audit of v̂: Title")
    assert audit["results"][2] == {
        "users": "new",
        "row": "MAIL-Base",
        "metric": "AUC",
        "source": "other",
        "mean": pytest.approx(0.6),
        "against_own": pytest.approx(-0.05),
        "against_own_low": pytest.approx(-0.05, abs=1e-6),
        "against_own_high": pytest.approx(-0.05, abs=1e-6),
        "personal": True,
        "seeds": [0, 1],
    }
    lines = list(csv.DictReader(io.StringIO(printed["csv"])))
    assert {line["table"] for line in lines if line["source"]} == {"Audit of v̂: Title"}
    assert {line["table"] for line in lines if not line["source"]} == {"Title"}
    assert sum(line["source"] == "real" for line in lines) == 4


def test_an_undefined_gauc() -> None:
    scored = scored_run({"own": [0.9, 0.8, 0.7, 0.1, 0.2, 0.3]})
    audit = measure_audit(scored._replace(clicks=np.array([1, 1, 1, 0, 0, 0], np.float32)), users=2, draws=40)
    table = block([Row(MAIL, (0,), (audited(audit),), None)])
    assert [cell.text for cell in table.blocks[1].lines[0]] == ["MAIL-Base", *["undefined"] * 5]
    assert {record["against_own"] for record in table.records if record["metric"] == "GAUC"} == {None}


def test_the_mark_is_that_of_the_verdict() -> None:
    for gain, name in ((1.0, "MAIL-Base"), (0.0, "MAIL-Base †")):
        audit = measure_audit(many_users(gain), users=100, draws=100)
        assert block([Row(MAIL, (0,), (audited(audit),), None)]).blocks[0].lines[0][0].text == name


def test_rows_without_an_audit() -> None:
    """Older runs have no block, and the table says so; a table of both says it in the block."""
    note = (
        "no audit of MAIL-Base, MAIL-None: trained by a version without audits (`mail audit RUN` shows it), or a seed "
        "without old users, or whose new users have no AUC, or fewer than two have behavior"
    )
    (older,) = lay_out_with_audit(make_table(three_rows(), "Title"))
    assert note in older.notes
    plain, mail, llae = rows()
    half = Row(MAIL, (0, 1), (mail.results[0], plain.results[0]), None)
    result_table, audit = lay_out_with_audit(make_table([plain, half, llae], "Title"))
    assert [line[0].text for line in audit.blocks[0].lines] == ["LLAE †"]
    assert any(text.startswith("no audit of MAIL-Base: ") for text in audit.notes)
    assert not any(text.startswith("no audit") for text in result_table.notes)
    # Methods that generate nothing have none to miss.
    assert missing_note([plain]) == []
    assert len(lay_out_with_audit(make_table([plain], "Title"))) == 1


def test_rows_against_each_other_stand_in_a_table_before() -> None:
    plain, mail, _ = rows()
    table = make_table([Row(mail.config, mail.seeds, mail.results, plain.results, against="BaseDNN")], "Title")
    assert len(lay_out_with_audit(table)) == 1
    assert not any(note.startswith("no audit") for note in table.notes)


OWN = """
from mailcli.models import ColdStartMethod

class Silent(ColdStartMethod):
    pass

class Generating(ColdStartMethod):
    generates = True
"""


def test_a_method_of_your_own_says_itself_whether_an_audit_is_missing(home: Path) -> None:
    (home / "own_audited.py").write_text(OWN)
    names = {}
    for name in ("own_audited:Silent", "own_audited:Generating", "gone:Method"):
        config = make_config([{"data": "toy", "cold_start": name}])
        names[name] = missing_note([Row(config, (0,), (result(0.5, 0.7),), None)])
    assert names["own_audited:Silent"] == names["gone:Method"] == []
    (note,) = names["own_audited:Generating"]
    assert note.startswith("no audit of base+own_audited-Generating: ")


def test_labels_with_commas_are_told_apart() -> None:
    assert listed(["MAIL-Base", "DMR, all steps", "DMR"]) == "MAIL-Base, 'DMR, all steps', DMR"
