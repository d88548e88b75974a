"""Schema files and raw files small enough to check by hand, and functions that read what becomes of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mailcli.data.dataset import Dataset
from mailcli.data.schema import FIRST_ID, PADDING, SPLITS, UNKNOWN
from mailcli.errors import MailError
from mailcli.preprocessing.engines.duckdb import Engine
from mailcli.preprocessing.pipeline import PreprocessOptions, preprocess
from mailcli.preprocessing.sources.tabular import Source
from tests.helpers.command_line import error_line, mail

#: Behaviors as a list per user, without times, in the log itself.
LISTS = """
[users.attributes]
city = "city"
[behaviors]
user = "user"
[behaviors.fields]
item = {column = "hist", separator = "|"}
[impressions]
files = "log.csv"
user = "user"
item = "item"
click = "click"
[impressions.context]
[split]
by = "column"
column = "part"
train = "a"
validation = "b"
test = "c"
"""
#: A schema file that uses most kinds of keys, and its raw files.
SCHEMA = """
[users]
files = "users.csv"
user = "id"
missing = ["?"]
[users.attributes]
city = "city"
hobbies = {column = "hobbies", separator = "|", most = 3}
age = {column = "age", edges = [18, 30]}
income = {column = "income", quantiles = 2}

[items]
files = "items.csv"
item = "sku"
[items.features]
kind = "kind"
price = {column = "price", dense = true}

[behaviors]
files = "log-*.csv"
user = "who"
time = "at"
action = {column = "what", values = ["view", "buy"]}
[behaviors.fields]
kind = "kind"

[impressions]
files = "shown.csv"
user = "who"
item = "sku"
time = "at"
click = "clicked"
[impressions.context]
page = "page"
hour = {clock = "hour"}
weekday = {clock = "weekday"}

[split]
by = "time"
validation_from = 2000
test_from = 3000
"""
FILES = {
    "users.csv": "id,city,hobbies,age,income\n"
    'ann,Rome,chess|go,17,10\nbob,"Paris, TX",go||go,18,20\ncid,?,,30,30\ndan,Oslo,chess,?,1000\n',
    "items.csv": "sku,kind,price\nx1,hat,10\nx2,shoe,20\n",
    "log-1.csv": "who,at,what,kind\nann,100,view,hat\nann,200,buy,shoe\nbob,50,view,hat\n",
    "log-2.csv": "who,at,what,kind\nann,300,view,boot\nbob,2500,buy,hat\n",
    "shown.csv": "who,sku,at,clicked,page\n"
    "ann,x1,200,1,p\nann,x2,300,0,p\nbob,x1,100,0,q\ncid,x2,100,1,q\n"
    "ann,x1,2000,1,r\nann,x2,2100,0,p\n"
    "bob,x1,3000,0,p\ndan,x1,3700,1,p\nann,x3,400000,1,p\n",
}  # fmt: skip


#: A schema file whose tables are all in one raw file.
WIDE = """
[users.attributes]
city = "city"
age = {column = "age", quantiles = 2}
[items.features]
kind = "kind"
[behaviors]
user = "who"
time = "at"
where = "clicked"
action = {constant = "click"}
[behaviors.fields]
kind = "kind"
[impressions]
files = "wide.csv"
user = "who"
item = "sku"
time = "at"
click = "clicked"
[split]
by = "time"
validation_from = 2000
test_from = 3000
"""
WIDE_FILE = (
    "who,city,age,sku,kind,at,clicked\n"
    "ann,Rome,20,x1,hat,200,1\nann,Oslo,21,x2,shoe,100,0\nbob,Kiev,40,x1,cap,300,1\n"
    "ann,Bonn,22,x1,hat,2000,1\nann,Bonn,22,x2,shoe,2001,0\n"
    "ann,Bonn,22,x1,hat,3000,1\nbob,Kiev,40,x2,shoe,3001,0\n"
)


EXAMPLES = Path(__file__).parent.parent.parent / "examples" / "schemas"


def write_files(folder: Path, files: dict[str, str]) -> Path:
    """Write text files by their names; returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def edited(*pairs: tuple[str, str], schema: str = SCHEMA) -> str:
    """A schema file with some texts replaced."""
    for old, new in pairs:
        assert old in schema, old
        schema = schema.replace(old, new)
    return schema


def make_dataset(folder: Path, schema: str, files: dict[str, str] | None = None, **options: Any) -> Dataset:
    """The dataset that a schema file makes of some files (FILES by default)."""
    raw = write_files(folder / "raw", FILES if files is None else files)
    path = folder / "my.toml"
    path.write_text(schema, encoding="utf-8")
    options = {"history": 10, **options}
    return preprocess("tabular", raw, folder / "data", "mine", PreprocessOptions(schema=path, **options))


def raw_rows(folder: Path, schema: str, files: dict[str, str] | None = None, table: str = "impressions") -> list[Any]:
    """The rows of a raw table as preprocessing gets them, ordered by time."""
    raw = write_files(folder / "raw", FILES if files is None else files)
    (folder / "my.toml").write_text(schema, encoding="utf-8")
    source = Source(raw, folder, folder / "my.toml")
    with Engine(folder / "spill", 10**9, 1, None) as engine:
        rows = engine.collect(getattr(source, table)(engine)).to_pylist()
    # Rows for which `where` is false, or of which a list was read, are only counted.
    rows = [row for row in rows if row.get("fault") is None or row["fault"] >= 0]
    return sorted(rows, key=lambda row: (str(row.get("time", "")), str(sorted(row.items(), key=str))))


def raw_values(dataset: Dataset, table: str, name: str, vocabulary: str | None = None) -> list[Any]:
    """A column's raw values; None where unknown, a sorted list of a multi-valued field."""
    known = dataset.column("vocabularies", vocabulary or name)

    def value(number: int) -> Any:
        return None if number == UNKNOWN else known[number - FIRST_ID].item()

    ids = dataset.column(table, name)[:]
    if ids.ndim == 1:
        return [value(number) for number in ids]
    return [[value(number) for number in row if number != PADDING] for row in ids]


def values_by_user(dataset: Dataset, name: str) -> dict[Any, Any]:
    """The raw values of an attribute by the raw user id."""
    return dict(zip(dataset.column("users", "raw").tolist(), raw_values(dataset, "users", name), strict=True))


def impressions_of(dataset: Dataset) -> set[tuple[Any, ...]]:
    """(user, item, time, split) of all impressions."""
    return {
        (user, item, time, split)
        for split in SPLITS
        for user, item, time in zip(
            dataset.column("users", "raw")[dataset.column(split, "user")].tolist(),
            dataset.column("items", "raw")[dataset.column(split, "item")].tolist(),
            dataset.column(split, "time").tolist(),
            strict=True,
        )
    }


def run_mail(*arguments: object) -> str:
    """The output of `mail` with these arguments, which must succeed."""
    result = mail(*arguments)
    assert result.exit_code == 0, (result.output, result.exception)
    return result.stdout


def mail_error(*arguments: object) -> str:
    """The error of `mail` with these arguments: one line."""
    return error_line(mail(*arguments))


def refusal(folder: Path, schema: str, files: dict[str, str]) -> str:
    """The error for a schema file and raw files, with HERE for the folder; no dataset is left."""
    with pytest.raises(MailError) as error:
        make_dataset(folder, schema, files)
    assert not (folder / "data").exists()
    return error.value.message.replace(str(folder), "HERE")


def notes(folder: Path, schema: str, files: dict[str, str], capsys: pytest.CaptureFixture[str]) -> list[str]:
    """What making a dataset says on stderr."""
    make_dataset(folder, schema, files)
    return capsys.readouterr().err.splitlines()
