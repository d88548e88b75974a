"""Names of a schema file that are words of SQL: they name columns, as any other name does."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import duckdb
import pytest

from mailcli.data.dataset import Dataset
from mailcli.preprocessing.schema_file.read_fields import RESERVED
from tests.helpers.schema_files import (
    WIDE,
    WIDE_FILE,
    edited,
    make_dataset,
    raw_values,
    run_mail,
    values_by_user,
    write_files,
)

#: Words that SQLGlot or Spark reads as something else than a name, though they are no keywords of DuckDB.
FUNCTIONS = ("current_date", "current_time", "current_timestamp", "current_user", "localtime", "session_user", "rowid")


def keywords(*categories: str) -> list[str]:
    """DuckDB's keywords that can name a field; of some categories, or all."""
    rows = duckdb.sql("SELECT keyword_name, keyword_category FROM duckdb_keywords()").fetchall()
    words = {word for word, category in rows if not categories or category in categories}
    return sorted(words - RESERVED)


def schema_of(words: Sequence[str], dense: Sequence[str], actions: Sequence[str]) -> str:
    """A schema file with words as attributes, contexts, behavior fields, item features, vocabularies and actions."""
    fields = "\n".join(f'{word} = "{word}"' for word in words)
    numbers = "\n".join(f'{word} = {{column = "{word}", dense = true}}' for word in dense)
    return f"""
[users]
files = "users.csv"
user = "u"
[users.attributes]
{fields}
[items]
files = "items.csv"
item = "i"
[items.features]
{fields}
{numbers}
[behaviors]
files = "log.csv"
user = "u"
time = "t"
action = {{column = "a", values = {list(actions)}}}
[behaviors.fields]
{fields}
[impressions]
files = "shown.csv"
user = "u"
item = "i"
time = "t"
click = "c"
[impressions.context]
{fields}
[split]
by = "time"
validation_from = 20
test_from = 30
"""


def files_of(words: Sequence[str], dense: Sequence[str], actions: Sequence[str]) -> dict[str, str]:
    """Two users, two items, one behavior per action; each column's values are its name with a number."""

    def cells(number: int) -> list[str]:
        return [f"{word}{number}" for word in words]

    def text(*rows: Sequence[object]) -> str:
        return "".join(",".join(map(str, row)) + "\n" for row in rows)

    times = enumerate((11, 12, 13, 14, 21, 22, 31, 32))
    return {
        "users.csv": text(["u", *words], ["ann", *cells(1)], ["bob", *cells(2)]),
        "items.csv": text(
            ["i", *words, *dense], ["hat", *cells(1), *(3 for _ in dense)], ["cap", *cells(2), *(7 for _ in dense)]
        ),
        "log.csv": text(["u", "t", "a", *words], *(["ann", 1, action, *cells(1)] for action in actions)),
        "shown.csv": text(
            ["u", "i", "t", "c", *words],
            *([("ann", "bob")[n % 2], ("hat", "cap")[n // 2 % 2], time, n % 2, *cells(1 + n % 2)] for n, time in times),
        ),
    }


def check(dataset: Dataset, words: Sequence[str], dense: Sequence[str], actions: Sequence[str]) -> None:
    """Every column holds its own values."""
    for word in words:
        first, second = f"{word}1", f"{word}2"
        assert values_by_user(dataset, word) == {"ann": first, "bob": second}
        assert raw_values(dataset, "items", word) == [second, first]  # cap, hat
        assert raw_values(dataset, "train", word) == [second, second, first, first]  # bob, ann
        assert set(raw_values(dataset, "behaviors", word)) == {first}
    for word in dense:
        assert dataset.column("items", word)[:].tolist() == [1.0, -1.0]
    assert dataset.schema.actions == tuple(actions)
    assert sorted(dataset.column("behaviors", "action")[:].tolist()) == list(range(2, 2 + len(actions)))


def check_through_cli(folder: Path, words: list[str], dense: list[str], actions: list[str]) -> None:
    """`mail preprocess --schema` with these words makes a dataset with the right columns."""
    raw = write_files(folder / "raw", files_of(words, dense, actions))
    (folder / "my.toml").write_text(schema_of(words, dense, actions), encoding="utf-8")
    data = folder / "data"
    run_mail("preprocess", "mine", "--schema", folder / "my.toml", "--raw", raw, "--history", 300, "--data-dir", data)
    check(Dataset(data / "mine"), words, dense, actions)


def test_reserved_words_name_fields_vocabularies_and_actions(tmp_path: Path) -> None:
    words = [*keywords("reserved"), *FUNCTIONS]
    assert {"null", "true", "case", "from", "order"} <= set(words)
    check_through_cli(tmp_path, words[::2], words[1::2], words)


@pytest.mark.slow
@pytest.mark.parametrize("first", [0, 1])
def test_every_keyword_names_fields_vocabularies_and_actions(tmp_path: Path, first: int) -> None:
    words = keywords()
    check_through_cli(tmp_path, words[first::2], words[1 - first :: 2], words[first::2])


def test_other_kinds_of_fields_may_be_words_of_sql(tmp_path: Path) -> None:
    """Fields with edges, quantiles or lists, and clocks, have SQL of their own."""
    schema = edited(
        ("hobbies = {", "null = {"), ("age = {", "true = {"), ("income = {", "case = {"), ("weekday =", "from =")
    )
    dataset = make_dataset(tmp_path, schema)
    assert values_by_user(dataset, "null") == {"ann": ["chess", "go"], "bob": ["go"], "cid": [None], "dan": ["chess"]}
    assert values_by_user(dataset, "true") == {"ann": 0, "bob": 1, "cid": 2, "dan": None}
    assert values_by_user(dataset, "case") == {"ann": 0, "bob": 1, "cid": 1, "dan": 1}
    assert raw_values(dataset, "train", "from") == [0, 0, 0, 0]


def test_tables_in_one_file_may_have_words_of_sql(tmp_path: Path) -> None:
    """Attributes and features from each user's and item's earliest impression."""
    dataset = make_dataset(
        tmp_path,
        edited(("city =", "null ="), ("age =", "case ="), ("kind =", "true ="), schema=WIDE),
        {"wide.csv": WIDE_FILE},
    )
    assert values_by_user(dataset, "null") == {"ann": "Oslo", "bob": "Kiev"}
    assert raw_values(dataset, "items", "true") == ["hat", "shoe"]


def test_lists_of_behaviors_may_be_words_of_sql(tmp_path: Path) -> None:
    schema = """
[users.attributes]
null = "city"
[items.features]
case = "kind"
[behaviors]
user = "u"
[behaviors.fields]
case = {column = "seen", separator = "|"}
[impressions]
files = "shown.csv"
user = "u"
item = "i"
click = "c"
[impressions.context]
true = "page"
[split]
by = "column"
column = "split"
train = "train"
validation = "validation"
test = "test"
"""
    rows = ["u,city,i,kind,seen,page,c,split"]
    rows += [
        f"ann,Rome,x1,hat,hat|shoe,p,{c},{split}\nann,Rome,x2,shoe,hat|shoe,q,{1 - c},{split}"
        for c, split in enumerate(("train", "validation"))
    ]
    rows += ["ann,Rome,x1,hat,hat|shoe,p,0,test\nann,Rome,x2,shoe,hat|shoe,p,1,test"]
    dataset = make_dataset(tmp_path, schema, {"shown.csv": "\n".join(rows) + "\n"})
    assert raw_values(dataset, "behaviors", "case") == ["hat", "shoe"]
    assert raw_values(dataset, "train", "true") == ["p", "q"]
