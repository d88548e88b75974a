"""mail schema init: what it proposes can be read, and for MovieLens-1M used as it is."""

from __future__ import annotations

import csv
import tomllib
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mailcli.data.dataset import Dataset
from mailcli.errors import MailError
from mailcli.preprocessing.pipeline import Options, preprocess
from mailcli.preprocessing.schema_file.read import read_mapping
from mailcli.preprocessing.schema_init.propose import propose
from mailcli.preprocessing.sources.tabular import Source
from tests.end_to_end.test_schema_examples import EXAMPLES, ok, refused
from tests.helpers import rawforms
from tests.preprocessing.schema_file.test_tables import write
from tests.preprocessing.test_pipeline import columns


def by_file(folder: Path, raw: Path, schema: Path, name: str) -> Dataset:
    return preprocess("tabular", raw, folder / "data", name, Options(schema=schema))


def test_movielens_1m_is_proposed_as_it_is(tmp_path: Path) -> None:
    raw, out = tmp_path / "raw", tmp_path / "mydata.toml"
    rawforms.movielens(raw)
    files = sorted(raw.glob("*.dat"))
    assert (
        ok("schema", "init", *files, "-o", out)
        == f"{out}: proposed from 3 files; look at its lines with `check this`.\n"
    )
    text = out.read_text(encoding="utf-8")
    assert ok("schema", "init", *files) == text
    found = columns(by_file(tmp_path, raw, out, "proposed"))
    expected = columns(by_file(tmp_path, raw, EXAMPLES / "movielens-1m.toml", "example"))
    # The example takes the region of a postcode.
    assert {key for key in found if "zip" not in key} == {key for key in expected if "zip" not in key}
    assert all(found[key] == expected[key] for key in found if "zip" not in key)
    for line in (
        'columns = ["UserID", "Gender", "Age", "Occupation", "Zip-code"]',
        'click = {column = "Rating", at_least = 4}    # check this: what counts as a click',
        'genres = {column = "Genres", separator = "|", most = 6}    # check this: a list? room for twice the values of the first rows',
        'encoding = "latin-1"    # check this: the file is not UTF-8',
        'integers = ["user", "item"]    # check this: a later row with another id is set aside',
    ):
        assert line in text.splitlines()


def test_kuairand_is_proposed_and_read(tmp_path: Path) -> None:
    raw, out = tmp_path / "raw", tmp_path / "k.toml"
    rawforms.kuairand(raw)
    ok("schema", "init", *sorted(raw.glob("*.csv")), "-o", out)
    m = read_mapping(out)
    assert m.impressions.patterns == ("log_standard_4_*_1k.csv",)
    assert (m.time.place.column, m.time.unit) == ("time_ms", "ms") if m.time else None
    assert m.click.column == "is_click"
    # What a user did with a video is no context.
    assert [each.name for each in m.context] == ["hour", "weekday"]
    assert m.users.form.missing == ("", "UNKNOWN")
    assert {each.name: each.kind for each in m.features}["tag"] == "list"
    assert {each.name: each.kind for each in m.attributes}["fans_user_num_range"] == "category"
    Source(raw, tmp_path, out)


def test_parquet_and_several_tables(tmp_path: Path) -> None:
    tables = {
        "people": {"uid": ["a", "b"], "born": [1970, 1980], "likes": [["x", "y"], ["x"]]},
        "goods": {"sku": ["s1", "s2"], "kind": ["hat", "shoe"]},
        "history": {
            "uid": ["a", "b"],
            "ts": [1_600_000_000, 1_600_000_100],
            "kind": ["hat", "hat"],
            "event": ["v", "b"],
        },
        "shown": {
            "uid": ["a", "a"],
            "sku": ["s1", "s2"],
            "ts": [1_600_000_000, 1_600_000_100],
            "clicked": [True, False],
        },
    }
    for name, table in tables.items():
        pq.write_table(pa.table(table), tmp_path / f"{name}.parquet")
    text = propose(sorted(tmp_path.glob("*.parquet")), "mydata.toml")
    path = tmp_path / "mydata.toml"
    path.write_text(text, encoding="utf-8")
    m = read_mapping(path)
    assert m.users.patterns == ("people.parquet",)
    assert [(each.name, each.kind, each.most) for each in m.attributes] == [
        ("born", "category", 1),
        ("likes", "list", 4),
    ]
    assert m.behaviors.patterns == ("history.parquet",)
    assert m.action.names == ("b", "v")
    assert [each.name for each in m.steps] == ["kind"]
    assert m.impressions.patterns == ("shown.parquet",)
    assert m.split.by == "day"
    assert m.integers == frozenset()
    Source(tmp_path, tmp_path, path)


def test_what_cannot_be_guessed_is_refused(tmp_path: Path) -> None:
    raw = write(tmp_path, {"a.csv": "x,y\n1,2\n3,4\n", "empty.csv": "", "one.txt": "word\nother\n"})
    assert refused("schema", "init", raw / "a.csv") == (
        "none of the files looks like a log of what users were shown: a user, an item, a time, and a click or a rating, "
        "under names such as user_id, item_id, timestamp, click. Found: a.csv: x, y. Name the columns so, or write the "
        "schema file by hand from examples/schemas."
    )
    assert refused("schema", "init", raw / "b.csv") == (
        f"{raw}/b.csv: is not a file. Expected CSV, another separated text, or Parquet."
    )
    assert refused("schema", "init", raw / "empty.csv") == f"{raw}/empty.csv: the file is empty. Expected rows."
    assert refused("schema", "init", raw / "one.txt") == (
        f"{raw}/one.txt: no separator splits its first 2 lines into as many fields each; the first is 'word'. Expected one "
        "of '::', '\\t', ';', '|', ','."
    )
    (raw / "bad.parquet").write_bytes(b"PAR")
    assert refused("schema", "init", raw / "bad.parquet").startswith(f"{raw}/bad.parquet: cannot be read as Parquet (")


def test_an_older_file_is_left_as_it_is(tmp_path: Path) -> None:
    rawforms.movielens(tmp_path / "raw")
    out = tmp_path / "mine.toml"
    out.write_text("mine")
    assert refused("schema", "init", *sorted((tmp_path / "raw").iterdir()), "-o", out) == (
        f"{out}: exists, and is left as it is. Choose another name with -o, or move it away."
    )
    assert out.read_text() == "mine"


def test_without_attributes_there_is_a_place_for_them(tmp_path: Path) -> None:
    raw = write(
        tmp_path, {"log.csv": "user_id,item_id,timestamp,clicked,city\nu1,i1,1600000000,1,R\nu1,i2,1600000001,0,R\n"}
    )
    path = tmp_path / "my.toml"
    path.write_text(propose([raw / "log.csv"], "my.toml"), encoding="utf-8")
    with pytest.raises(MailError, match=r"users.attributes: there is no user attribute besides the id"):
        read_mapping(path)
    text = path.read_text(encoding="utf-8")
    assert '# city = "city"' in text
    path.write_text(text.replace('# city = "city"', 'city = "city"', 1), encoding="utf-8")
    Source(raw, tmp_path, path)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.text(min_size=1, max_size=6).filter(str.strip), min_size=1, max_size=4, unique=True),
    st.lists(st.text(max_size=5), min_size=1, max_size=4),
)
def test_whatever_the_columns_are_called_the_proposal_is_toml(
    tmp_path: Path, names: list[str], cells: list[str]
) -> None:
    whole = ["user_id", "item_id", "timestamp", "click", *(f"x{name}" for name in names)]
    with open(tmp_path / "log.csv", "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(whole)
        for place, cell in enumerate(cells):
            writer.writerow([f"u{place}", "i", 1_600_000_000 + place, place % 2, *(cell for _ in names)])
    try:
        text = propose([tmp_path / "log.csv"], "my.toml")
    except MailError as error:
        # A zero byte, names that differ in blanks alone, or a first line that is no header.
        told = ("zero bytes", "more than one column", "none of the files")
        assert any(each in error.message for each in told)  # noqa: PT017
        return
    assert tomllib.loads(text)["impressions"]["click"] == "click"
