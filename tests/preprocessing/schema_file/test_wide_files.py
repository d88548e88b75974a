"""Files of thousands of columns: only those that the schema file names are read, which gives the same dataset."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mailcli.data.dataset import Dataset
from mailcli.errors import MailError
from mailcli.preprocessing.schema_file import locate
from mailcli.preprocessing.schema_init import file_sample
from mailcli.preprocessing.schema_init.file_sample import sampled_rows
from mailcli.preprocessing.schema_init.sniff import sample_file
from tests.helpers.schema_files import WIDE, WIDE_FILE, edited, make_dataset, raw_values, write_files

#: Many more columns than are read without being named.
COLUMNS = 20_000


@pytest.fixture
def read_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of more than 7 columns count as wide."""
    monkeypatch.setattr(locate, "WIDEST_READ", 7)


def with_columns(text: str, count: int) -> str:
    """A file with more columns on both sides of its own."""
    header, *rows = text.splitlines()
    before = [f"a{number}," for number in range(count)]
    lines = [f"{''.join(before)}{header},end"]
    lines += [f"{'7,' * count}{row},{number % 3}" for number, row in enumerate(rows)]
    return "\n".join(lines) + "\n"


def check_values(dataset: Dataset) -> None:
    """The values in WIDE_FILE."""
    assert sorted(raw_values(dataset, "users", "city")) == ["Kiev", "Oslo"]
    assert raw_values(dataset, "items", "kind") == ["hat", "shoe"]
    assert [int(dataset.column(split, "click").sum()) for split in ("train", "validation", "test")] == [2, 1, 1]


FEW_OR_MANY = pytest.mark.parametrize("columns", [5_000, pytest.param(COLUMNS, marks=pytest.mark.slow)])


@FEW_OR_MANY
def test_thousands_of_columns_of_text(tmp_path: Path, columns: int) -> None:
    check_values(make_dataset(tmp_path, WIDE, {"wide.csv": with_columns(WIDE_FILE, columns)}))


@FEW_OR_MANY
def test_thousands_of_columns_of_parquet(tmp_path: Path, columns: int) -> None:
    raw = write_files(tmp_path / "raw", {"wide.csv": WIDE_FILE})
    own = pd.read_csv(raw / "wide.csv")
    more = pd.DataFrame(np.full((len(own), columns), 7), columns=[f"a{number}" for number in range(columns)])
    pd.concat([more, own], axis=1).to_parquet(raw / "wide.parquet")
    check_values(make_dataset(tmp_path, edited(("wide.csv", "wide.parquet"), schema=WIDE), {}))


@pytest.mark.usefixtures("read_named")
@pytest.mark.parametrize("quote", ['"', ""])
def test_rows_set_aside_are_located_and_have_the_columns_named(tmp_path: Path, quote: str) -> None:
    bad = {
        "7,7,cid,Rome,20,x1,hat,often,1,0\n": "time",
        "7,7,cid,Rome\n": "fields",
        "7,7,cid,Rome,2,x1,h,1,1,0,5\n": "",
    }
    schema = edited(('files = "wide.csv"', f"files = 'wide.csv'\nquote = '{quote}'"), schema=WIDE)
    text = with_columns(WIDE_FILE, 2)
    with pytest.raises(MailError) as error:
        make_dataset(tmp_path / "refused", schema, {"wide.csv": text + "".join(bad)})
    assert "wide.csv, line 9: column 'at' holds 'often'. Expected a time in s since 1970" in error.value.message
    assert "3 of 10 rows (30.00%)" in error.value.message
    dataset = make_dataset(tmp_path, schema, {"wide.csv": text + "".join(bad)}, max_bad_rows=1)
    check_values(dataset)
    rows = (dataset.folder / "rejected" / "impressions-wide.csv").read_text().splitlines()[1:]
    assert any("cid,Rome,20,x1,hat,often,1" in row and "7,7,cid,Rome,20" not in row for row in rows)
    assert any("has 4 fields. Expected 10: a0,a1,who,city,age,sku,kind,at,clicked,end" in row for row in rows)
    assert any("has 11 fields" in row for row in rows)


@pytest.mark.usefixtures("read_named")
def test_quoted_values_of_a_wide_row(tmp_path: Path) -> None:
    bad = '7,7,cid,"Rome, ""IT""",20,x1,hat,often,1,0\n'
    with pytest.raises(MailError, match=r"wide\.csv, line 9: column 'at' holds 'often'"):
        make_dataset(tmp_path, WIDE, {"wide.csv": with_columns(WIDE_FILE, 2) + bad})


@pytest.mark.usefixtures("read_named")
def test_a_wide_parquet_row(tmp_path: Path) -> None:
    bad = "7,7,cid,Rome,20,x1,hat,often,1,0\n"
    raw = write_files(tmp_path / "raw", {"wide.csv": with_columns(WIDE_FILE, 2) + bad})
    pd.read_csv(raw / "wide.csv", dtype={"at": str}).to_parquet(raw / "wide.parquet")
    schema = edited(("wide.csv", "wide.parquet"), schema=WIDE)
    dataset = make_dataset(tmp_path, schema, {}, max_bad_rows=1)
    check_values(dataset)
    text = (dataset.folder / "rejected" / "impressions-wide.parquet.csv").read_text()
    row = {"who": "cid", "city": "Rome", "age": "20", "sku": "x1", "kind": "hat", "at": "often", "clicked": "1"}
    assert json.dumps(row, separators=(",", ":")).replace('"', '""') in text


@pytest.mark.usefixtures("read_named")
def test_a_wide_joined_file(tmp_path: Path) -> None:
    join = '[impressions.join]\nfiles = "kinds.csv"\non = "sku"\n[split]'
    schema = edited(("[split]", join), ('kind = "kind"\n[beh', 'kind = "sort"\n[beh'), schema=WIDE)
    kinds = "sku,sort\nx1,hat\nx2,shoe\nx1,zebra\n"
    dataset = make_dataset(tmp_path, schema, {"wide.csv": WIDE_FILE, "kinds.csv": with_columns(kinds, 9)})
    assert raw_values(dataset, "items", "kind") == ["hat", "shoe"]


def test_a_proposal_looks_at_fewer_rows_of_a_wide_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (sampled_rows(7), sampled_rows(COLUMNS), sampled_rows(10**8)) == (10_000, 200, 1)
    monkeypatch.setattr(file_sample, "SAMPLE_VALUES", 30)
    rows = "".join(f"u{number},i{number},7,1,0\n" for number in range(9))
    raw = write_files(tmp_path, {"log.csv": f"user,item,time,click,page\n{rows}"})
    pd.read_csv(raw / "log.csv").to_parquet(raw / "log.parquet")
    for name in ("log.csv", "log.parquet"):
        assert sample_file(raw / name).columns[0].values == ("u0", "u1", "u2", "u3", "u4", "u5")
