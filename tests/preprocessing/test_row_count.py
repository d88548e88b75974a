"""Rows are counted as DuckDB reads them; a quote that swallows rows is found."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailcli.preprocessing.row_count import OpenQuote, RowCounter, RowFormat

CSV = RowFormat(",", '"', "utf-8", True, 2)


def count(data: bytes, row_format: RowFormat = CSV, size: int = 3) -> RowCounter:
    counter = RowCounter(row_format)
    for place in range(0, len(data), size):
        counter.feed(data[place : place + size])
    counter.finish()
    return counter


@pytest.mark.parametrize("size", [1, 2, 3, 1000])
@pytest.mark.parametrize(
    ("data", "rows"),
    [
        (b"", 0),
        (b"a,b", 0),
        (b"a,b\n", 0),
        (b"a,b\n1,2", 1),
        (b"a,b\r\n1,2\r\n3,4\r\n", 2),
        (b"a,b\r1,2\r3,4", 2),
        (b"a,b\n\n1,2\n  \n\t\n\n3,4\n\n", 2),
        (b"a,b\n1\n1,2,3\n,\n", 3),
        (b'a,b\n"1\n2",3\n4,"5\r\n6"\n', 2),
        (b'a,b\n"x""y",""\n5" 6,"7"\n', 2),
        (b'a,b\n"x"y,1\n2,3\n', 2),
        (b'\xef\xbb\xbf"a",b\n"1\n2",3\n', 1),
        (b"a,b\n\xff,\xfe\n1\x00,2\n", 2),
    ],
)
def test_rows_are_counted_in_pieces_of_any_size(data: bytes, rows: int, size: int) -> None:
    counter = count(data, size=size)
    assert (counter.rows, counter.open_quote) == (rows, None)


@pytest.mark.parametrize(
    ("row_format", "data", "rows"),
    [
        (RowFormat("\t", "", "utf-8", False, 2), b'"1\t2\n\t\n \n3\t4', 3),  # a tab separates, a space is blank
        (RowFormat(",", '"', "utf-8", False, 1), b"1\n\n \n2\n", 3),  # of one column, a space is a value
        (RowFormat(",", '"', "utf-16", True, 2), "a,b\n\u0a2c,\u2c0a\n1,2\n".encode("utf-16"), 2),
        (RowFormat("\xa7", '"', "latin-1", True, 2), 'a\xa7b\n\xc2\xa7"1\n2"\n'.encode("latin-1"), 1),
        (RowFormat("\xa7", "'", "utf-8", True, 2), "a\xa7b\n\xc2\xa7'1\n2'\n".encode(), 1),
    ],
)
def test_rows_are_counted_in_every_format(row_format: RowFormat, data: bytes, rows: int) -> None:
    assert count(data, row_format).rows == rows


@pytest.mark.parametrize(
    ("data", "quote"),
    [
        (b'a,b\n1,2\n3,"4\n5,6\n', OpenQuote(3, None)),
        (b'a,b\n"1\n2",3\n4,"5\n6,"7\n8,9\n', OpenQuote(4, 5)),
        (b'a,b\n1, "2\n3,4\n', OpenQuote(2, None)),
        (b'a,b\n1,  "2\n3,4\n', None),  # behind two spaces, DuckDB takes a quote for text
    ],
)
def test_a_quote_that_swallows_rows_is_located(data: bytes, quote: OpenQuote | None) -> None:
    for size in (1, 5, 1000):
        assert count(data, size=size).open_quote == quote


@pytest.mark.parametrize(
    ("data", "breaks", "first"),
    [
        (b"a,b\n1,2\n", 0, 0),
        (b'a,b\n1,"2"\n', 0, 0),
        (b'a,b\n1,2\n3,"4\n5,6\n7",8\n', 2, 3),
        (b'a,b\r\n1,"2\r\n3,4\r\n5"\r\n', 2, 2),
        (b'a,b\n1,"2\n\n3"\n"4\n5",6\n', 3, 2),
        (b'a,b\n"x"y,1\n2,"3\n4"\n', 1, 3),  # the quotes of line 2 are not as they should be
        (b'a,b\n"x"y,"1\n2,3\n4",5\n', 2, 2),
    ],
)
def test_line_breaks_within_quotes_are_counted_and_located(data: bytes, breaks: int, first: int) -> None:
    for size in (1, 5, 1000):
        counter = count(data, size=size)
        assert (counter.line_breaks, counter.first_line_break) == (breaks, first)


def test_long_texts_are_counted_like_short_ones() -> None:
    row = b'%d,"some, ""text"", here"\n'
    good = b"".join(row % number for number in range(5000))
    assert count(b"a,b\n" + good, size=1 << 15).rows == 5000
    inches = good.replace(b"some", b'so"me').replace(b',"', b',5"')
    assert count(b"a,b\n" + inches, size=1 << 15).rows == 5000
    spaces = b"  \n1,2\n\n" * 5000
    assert count(b"a,b\n" + spaces, size=1 << 15).rows == 5000
    stray = b"a,b\n" + good + b'1,"2\n' + good
    assert count(stray, size=1 << 15).open_quote == OpenQuote(5002, 5003)


def rows_of_duckdb(data: bytes) -> int:
    """Rows that DuckDB reads or rejects."""
    with TemporaryDirectory() as folder, duckdb.connect() as connection:
        path = Path(folder) / "f.csv"
        path.write_bytes(data)
        rows = connection.execute(
            f"SELECT * FROM read_csv('{path}', auto_detect = false, header = true, delim = ',', quote = '\"', "
            "escape = '\"', columns = {'a': 'VARCHAR', 'b': 'VARCHAR'}, ignore_errors = true, store_rejects = true)"
        ).fetchall()
        lines = "SELECT line, max(csv_line) FROM reject_errors GROUP BY line"
        return len(rows) + sum(1 for _, text in connection.execute(lines).fetchall() if text == "" or text.strip())


PIECES = ["a", "b", ",", "\n", "\n", " ", '"x"', ',"x, y"\n', '"x\ny",', '\n"x""y",', 'x"', "\n1,2\n"]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join), st.integers(1, 40))
def test_rows_are_those_of_duckdb(body: str, size: int) -> None:
    data = f"a,b\n{body}".encode()
    counter = count(data, size=size)
    if counter.open_quote is None:
        assert counter.rows == rows_of_duckdb(data)
