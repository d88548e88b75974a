"""`mail compare`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.helpers.command_line import mail

TABLE_2 = ["EmbLR", "LLAE", "BaseDNN", "MetaEmb", "MAIL-Base", "DMR", "MAIL-DMR"]


@pytest.mark.slow
def test_compare_prints_the_papers_rows_each_from_its_own_run(with_data: Path) -> None:
    quick = ["--set", "embedding_dim=4", "--set", "history=5", "--set", "epochs=1", "--set", "batch_size=512"]
    done = mail("compare", "--seeds", "1", *quick)
    assert done.exit_code == 0, done.output
    lines = [[cell.strip() for cell in line.split("│")] for line in done.stdout.splitlines()]
    new = lines[3 : 3 + len(TABLE_2) + 3]
    trivial = ["trivial: item-rate", "trivial: item-bias"]
    assert [line[0] for line in new] == ["new users", *trivial, *TABLE_2]
    new = new[2:]
    cells = ["emblr+none", "emblr+llae", "base+none", "base+metaemb", "base+mail-base", "dmr+none", "dmr+mail-base"]
    for line, cell in zip(new[1:], cells, strict=True):
        folder = with_data / "runs" / "tiny" / "paper" / cell / "seed-0"
        result = json.loads((folder / "result.json").read_text())
        assert line[1].removesuffix("↓") == f"{result['test']['new']['AUC']:.4f}".removeprefix("0")
        # RI is relative to the same ranker without a method.
        assert (line[3] == "") == cell.endswith("+none")
        assert len(line) == 5
    # The paper's numbers are not of this data: only other forms have them, empty where its text gives none.
    markdown = mail("compare", "--seeds", "1", "--format", "markdown", *quick).stdout.splitlines()
    shown = [line.split(" | ")[5] for line in markdown[7:14]]
    assert shown == ["", "", ".5862", ".5911", ".5934", "", ".5958"]
    assert len(list(with_data.rglob("result.json"))) == 9
    again = mail("compare", "--seeds", "1", "--rows", "metaemb,MAIL-BASE,base+metaemb,BaseDNN", *quick)
    assert again.exit_code == 0, again.output
    assert len(list(with_data.rglob("result.json"))) == 9
    names = [line.split("│")[0].strip() for line in again.stdout.splitlines()[3:7]]
    assert names == ["new users", "MetaEmb", "MAIL-Base", "BaseDNN"]
