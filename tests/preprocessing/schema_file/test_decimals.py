"""Numbers with a decimal comma."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from mailcli.errors import MailError
from tests.helpers.schema_files import FILES, edited, make_dataset, raw_rows

#: Items whose price has a decimal comma, in a file separated by semicolons.
ITEMS = "sku;kind;price\nx1;hat;10,5\nx2;shoe;20\n"
SCHEMA = edited(('files = "items.csv"', 'files = "items.csv"\nseparator = ";"\ndecimal = ","'))


def prices(folder: Path, schema: str, items: str) -> list[float]:
    return [row["price"] for row in sorted(raw_rows(folder, schema, FILES | {"items.csv": items}, "items"), key=str)]


def test_numbers_may_have_a_decimal_comma(tmp_path: Path) -> None:
    assert prices(tmp_path, SCHEMA, ITEMS) == [10.5, 20.0]
    rule = edited(("action = {column", 'where = {column = "weight", at_least = 0.5}\naction = {column'), schema=SCHEMA)
    text = edited(('files = "log-*.csv"', 'files = "log-*.csv"\nseparator = ";"\ndecimal = ","'), schema=rule)
    log = "who;at;what;kind;weight\nann;100;view;hat;0,4\nann;200;buy;shoe;0,5\nbob;50;view;hat;1\n"
    files = FILES | {"items.csv": ITEMS, "log-1.csv": log, "log-2.csv": log.split("\n")[0] + "\n"}
    assert {row["time"] for row in raw_rows(tmp_path, text, files, "behaviors")} == {50, 200}


def test_it_may_be_that_of_all_tables(tmp_path: Path) -> None:
    schema = '[format]\ndecimal = ","\n' + edited(('files = "items.csv"', 'files = "items.csv"\nseparator = ";"'))
    assert prices(tmp_path, schema, ITEMS) == [10.5, 20.0]


def test_a_point_is_then_no_decimal_point(tmp_path: Path) -> None:
    with pytest.raises(MailError) as error:
        make_dataset(tmp_path, SCHEMA, FILES | {"items.csv": ITEMS.replace("20", "1.234")})
    expected = "items.csv, line 3: column 'price' holds '1.234'. Expected a number of 0 or more, or nothing"
    assert expected in error.value.message
    with pytest.raises(MailError) as error:
        make_dataset(
            tmp_path,
            edited(('files = "items.csv"', 'files = "items.csv"\nseparator = ";"')),
            FILES | {"items.csv": ITEMS},
        )
    assert "column 'price' holds '10,5'" in error.value.message


def test_numbers_of_parquet_have_no_text(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    pd.DataFrame({"sku": ["x1", "x2"], "kind": ["hat", "shoe"], "price": [10.5, 20.0]}).to_parquet(
        raw / "items.parquet"
    )
    schema = SCHEMA.replace("items.csv", "items.parquet").replace('separator = ";"\n', "")
    rows = raw_rows(tmp_path, schema, {name: text for name, text in FILES.items() if name != "items.csv"}, "items")
    assert sorted(row["price"] for row in rows) == [10.5, 20.0]


def test_another_mark_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MailError, match="items.decimal"):
        make_dataset(tmp_path, SCHEMA.replace('decimal = ","', 'decimal = "\'"'))
