"""Columns of a schema file that say nothing or too much: no value, one value alone, other values than the target's."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mailcli.errors import MailError
from tests.helpers.schema_files import FILES, edited, make_dataset, notes, refusal

#: Twelve users whose clicks are their behaviors; three impressions in each of three splits, the first clicked.
SCHEMA = """
[users]
files = "users.csv"
user = "who"
[users.attributes]
city = "city"
[items]
files = "items.csv"
item = "sku"
[items.features]
kind = "kind"
[behaviors]
files = "behaviors.csv"
user = "who"
time = "at"
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
[split]
by = "time"
validation_from = 2000
test_from = 3000
"""
USERS = [f"u{number:02}" for number in range(12)]
CITIES = ("Rome", "Oslo", "Kiev")


def files(kinds: tuple[str, str] = ("hat", "shoe"), paid: str = "0") -> dict[str, str]:
    """Raw files: users born from 1980 on, two items, a behavior of each user and nine impressions of each."""
    users = [f"{user},{CITIES[number % 3]},{1980 + number},x" for number, user in enumerate(USERS)]
    behaviors = [f"{user},{number},{kinds[number % 2]}" for number, user in enumerate(USERS)]
    shown = [
        f"{user},{'x1' if place % 2 else 'x2'},{time + place},{int(place == 0)},{'pqr'[place]},same,"
        f"{paid if place == 0 and user == 'u00' else 0}"
        for time in (1000, 2000, 3000)
        for user in USERS
        for place in range(3)
    ]
    return {
        "users.csv": "\n".join(["who,city,born,nothing", *users]).replace(",x\n", ",\n").removesuffix("x"),
        "items.csv": "sku,kind\nx1,hat\nx2,shoe\n",
        "behaviors.csv": "\n".join(["who,at,kind", *behaviors]),
        "shown.csv": "\n".join(["who,sku,at,clicked,page,site,paid", *shown]),
    }


def test_columns_that_say_something_are_not_noted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    schema = edited(('page = "page"', 'reader = "who"'), schema=SCHEMA)
    assert notes(tmp_path, schema, files(), capsys) == []


def test_a_regular_expression_that_never_matches_is_refused(tmp_path: Path) -> None:
    schema = edited(('city = "city"', 'city = "city"\nzip = {column = "city", extract = "([0-9]+)"}'), schema=SCHEMA)
    assert refusal(tmp_path, schema, files()) == (
        "HERE/raw/users.csv: the field 'zip' of the users has no value in any of 12 rows, although its column has 'Kiev'. "
        "Expected some; check its separator or regular expression, or leave the field out of the schema file."
    )


def test_a_column_without_any_value_is_noted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    schema = edited(('city = "city"', 'city = "city"\nzip = "nothing"'), ('page = "page"', ""), schema=SCHEMA)
    assert notes(tmp_path, schema, files(), capsys) == [
        "Note: users.csv: the field 'zip' of the users has no value in any of 12 rows."
    ]


def test_a_column_with_one_value_in_the_file_is_noted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    schema = edited(('page = "page"', 'site = "site"'), schema=SCHEMA)
    assert notes(tmp_path, schema, files(), capsys) == [
        "Note: shown.csv: the field 'site' of the impressions is 'same' in all rows."
    ]


@pytest.mark.parametrize("field", ["edges = [18, 30]", 'extract = "([0-9]+)", edges = [18, 30]'])
def test_several_numbers_in_one_bucket_are_refused(tmp_path: Path, field: str) -> None:
    """Years of birth in buckets of ages are all in the last bucket."""
    schema = edited(('city = "city"', f'born = {{column = "born", {field}}}'), schema=SCHEMA)
    assert refusal(tmp_path, schema, files()) == (
        "HERE/raw/users.csv: every value of the field 'born' of the users becomes 2, although the file has '1980' and "
        "'1991'. Expected several values; check its edges or quantiles, or leave the field out of the schema file."
    )


@pytest.mark.parametrize(
    "field", ['born = {column = "born", edges = [1986]}', 'zip = {column = "zip", extract = "([0-9]+)"}']
)
def test_a_column_that_says_nothing_of_a_sample_alone_is_noted(
    tmp_path: Path, field: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Users who have no impressions stand for those that are not sampled: they have another bucket, or a value."""
    text = files()["users.csv"].replace("nothing", "zip")
    text = re.sub(r",19(8|9)\d,", ",1980,", text) + "".join(f"\nv{n},Rome,1990,{n}" for n in range(9))
    make_dataset(
        tmp_path, edited(('city = "city"', f'city = "city"\n{field}'), schema=SCHEMA), files() | {"users.csv": text}
    )
    assert re.search(rf"the field '{field[:4].strip()}' of the users (is 0 in all|has no value in any)", caplog.text)


def test_one_text_that_is_extracted_is_noted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A column may hold several fields, one of which is the same everywhere."""
    schema = edited(('page = "page"', 'letter = {column = "sku", extract = "^(x)"}'), schema=SCHEMA)
    assert notes(tmp_path, schema, files(), capsys) == [
        "Note: shown.csv: the field 'letter' of the impressions is 'x' in all rows."
    ]


def test_behaviors_that_share_no_value_with_the_target_are_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path, SCHEMA, files(kinds=("Hat", "Shoe"))) == (
        "HERE/raw/behaviors.csv: no kind of the behaviors is in the items (items.csv), for example 'Hat'; values there look "
        "like 'hat'. They must be written the same way in both."
    )


def test_behaviors_that_share_few_values_with_the_target_are_noted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = notes(tmp_path, SCHEMA, files(kinds=("hat", "Shoe")), capsys)
    assert [line for line in lines if "kind" in line] == [
        "Note: 1 of 2 distinct values of kind of the behaviors (50.00%) are not in the items (items.csv), for example "
        "'Shoe'; values there look like 'hat'."
    ]


CONVERSION = edited(
    ('click = "clicked"', 'click = "clicked"\nconversion = {column = "paid", equals = 1}'),
    ('page = "page"', 'reader = "who"'),
    schema=SCHEMA,
)


def test_conversions_that_are_never_true_are_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path, CONVERSION, files(paid="yes")) == (
        "HERE/raw/shown.csv: every conversion is 0, of 12 clicks. Expected some with 1; check the rule for conversions, or "
        "leave it out."
    )


def test_conversions_are_looked_for_in_each_split(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    raw = files(paid="1.0")
    assert notes(tmp_path, CONVERSION, raw, capsys) == []
    head, *rows = raw["shown.csv"].splitlines()
    only_train = [row if int(row.split(",")[2]) < 2000 else row.removesuffix("1.0") + "0" for row in rows]
    raw["shown.csv"] = "\n".join([head, *only_train])
    assert notes(tmp_path / "train", CONVERSION, raw, capsys) == [
        f"Note: shown.csv: no click of the {split} split is a conversion, so that its CTCVR has no AUC."
        for split in ("validation", "test")
    ]
    only_test = [row if int(row.split(",")[2]) >= 3000 else row.removesuffix("1.0") + "0" for row in rows]
    raw["shown.csv"] = "\n".join([head, *only_test])
    assert refusal(tmp_path / "test", CONVERSION, raw) == (
        "HERE/raw/shown.csv: every conversion of the train split is 0, of 12 clicks. Expected some with 1; check the rule for "
        "conversions, or leave it out."
    )


def test_a_context_field_that_tells_the_labels_is_noted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The page of every click is p, and no other impression is on p."""
    dataset_notes = notes(tmp_path, SCHEMA, files(), capsys)
    assert dataset_notes == [
        "Note: the field 'page' alone tells clicks from non-clicks (AUC 1.0000 on validation and test): it may be known "
        "only after the click."
    ]
    text = (tmp_path / "data" / "mine" / "summary.md").read_text(encoding="utf-8")
    assert "\n## Notes\n\n- The field 'page' alone tells clicks from non-clicks (AUC 1.0000 on" in text


@pytest.mark.parametrize("comparison", ["at_least", "above", "at_most", "below"])
def test_nan_compares_with_nothing(tmp_path: Path, comparison: str) -> None:
    """DuckDB holds it to be above all numbers."""
    schema = edited(('click = "clicked"', f'click = {{column = "clicked", {comparison} = 0.5}}'))
    files = FILES | {"shown.csv": FILES["shown.csv"].replace("ann,x1,200,1,p", "ann,x1,200,nan,p")}
    with pytest.raises(MailError, match="line 2: column 'clicked' holds 'nan'. Expected a number"):
        make_dataset(tmp_path, schema, files)
