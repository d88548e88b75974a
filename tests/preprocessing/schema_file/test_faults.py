"""Schema files that cannot be used: each fault with its key, its value, and what was expected."""

from __future__ import annotations

import copy
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mailcli.errors import MailError
from mailcli.preprocessing.schema_file.read_fields import RESERVED
from mailcli.preprocessing.sources.tabular import Source
from tests.helpers.schema_files import (
    FILES,
    SCHEMA,
    write_files,
)


def faults_of(folder: Path, schema: str) -> str:
    """The faults of a schema file, without its path and the final period."""
    raw = write_files(folder / "raw", FILES)
    path = folder / "my.toml"
    path.write_text(schema, encoding="utf-8")
    with pytest.raises(MailError) as error:
        Source(raw, folder, path)
    assert error.value.exit_code == 2
    text = error.value.message
    assert text.startswith(f"{path}: ")
    return text.removeprefix(f"{path}: ").removesuffix(".").replace(str(folder), "HERE")


#: A text of SCHEMA, its replacement, and the faults that this causes.
FAULTS = [
    # Keys
    ('user = "id"\n', 'user = "id"\nsalt = 1\n', "users.salt: unknown key"),
    ('[split]\nby', '[splits]\nby', "split is missing; splits: unknown key. Did you mean 'split'?"),
    ('user = "id"\n', 'usr = "id"\n', "users.user is missing; users.usr: unknown key. Did you mean 'user'?"),
    ('edges = [18, 30]', 'edgs = [18, 30]', "users.attributes.age.edgs: unknown key. Did you mean 'edges'?"),
    # Types
    ('user = "id"\n', "user = 7\n", "users.user = 7: expected a string"),
    ('[users]\n', "integers = 7.5\n[users]\n", "integers = 7.5: expected a string or a whole number, or a list of these"),
    ('page = "page"', "page = 1979-05-27", "impressions.context.page = datetime.date(1979, 5, 27): expected a string"),
    ("edges = [18, 30]", 'edges = "x"', "users.attributes.age.edges = 'x': expected a list of numbers"),
    ("edges = [18, 30]", "edges = [30, 18]", "users.attributes.age.edges = [30, 18]: expected numbers in ascending order"),
    ("quantiles = 2", "quantiles = 1", "users.attributes.income.quantiles = 1: expected a whole number from 2 to 1000"),
    ("quantiles = 2", "quantiles = 2.5", "users.attributes.income.quantiles = 2.5: expected a whole number"),
    ("most = 3", "most = 0", "users.attributes.hobbies.most = 0: expected a whole number from 2 to 1000"),
    # One value is a field without a list.
    ("most = 3", "most = 1", "users.attributes.hobbies.most = 1: expected a whole number from 2 to 1000"),
    ("dense = true", 'dense = "yes"', "items.features.price.dense = 'yes': expected true or false"),
    ("quantiles = 2", "quantiles = 2, edges = [1]",
     "users.attributes.income.quantiles = 2: expected either 'edges' or 'quantiles', not both"),
    ("quantiles = 2", "dense = true", "users.attributes.income.dense = True: expected another kind of field: "
     "users.attributes may have 'edges', 'extract_all', 'list', 'quantiles', 'separator'"),
    ('city = "city"', 'city = {column = "city", extract = "["}', "users.attributes.city.extract = '[': expected a regular "
     "expression (unterminated character set at position 0)"),
    ('city = "city"', 'city = {column = "city", extract = "abc"}', "users.attributes.city.extract = 'abc': expected a regular "
     "expression with one group ( ), whose text is the value"),
    ('city = "city"', 'City = "city"', "users.attributes.City: expected a name of up to 100 lower-case letters, digits and '_' that begins "
     "with a letter"),
    ('city = "city"', 'user = "city"', "users.attributes.user: expected another name: mail has a column of this name itself"),
    ("quantiles = 2", "quantiles = 0", "users.attributes.income.quantiles = 0: expected a whole number from 2 to 1000"),
    ("quantiles = 2", "quantiles = true", "users.attributes.income.quantiles = True: expected a whole number"),
    ("edges = [18, 30]", "edges = 30", "users.attributes.age.edges = 30: expected a list of numbers"),
    ("edges = [18, 30]", f"edges = [1{400 * '0'}]", f"users.attributes.age.edges = [1{58 * '0'}...: expected a list of "
     "numbers"),
    ("most = 3", f"most = 1{400 * '0'}", f"users.attributes.hobbies.most = 1{59 * '0'}...: expected a whole number"),
    # Mistyped keys that may be missing
    ('click = "clicked"', 'click = "clicked"\nconversions = "clicked"', "impressions.conversions: unknown key. Did you mean "
     "'conversion'?"),
    ('click = "clicked"', 'click = "clicked"\nwher = "clicked"', "impressions.wher: unknown key. Did you mean 'where'?"),
    ('click = "clicked"', 'click = "clicked"\njoins = "x.csv"', "impressions.joins: unknown key. Did you mean 'join'?"),
    ("action = {", "acton = {", "behaviors.acton: unknown key. Did you mean 'action'?"),
    # Roles
    ('{column = "what", values = ["view", "buy"]}', '"view"', "behaviors.action = 'view': expected a table"),
    ('page = "page"', 'page = "clicked"', "impressions.context.page: reads the column 'clicked', the label of impressions.click. Expected "
     "another column: the model would see what it has to predict"),
    ('click = "clicked"', f'click = {{column = "clicked", at_least = 1{400 * "0"}}}', f"impressions.click.at_least = "
     f"1{59 * '0'}...: expected a number"),
    ('["view", "buy"]', "[]", "behaviors.action.values = []: expected a string or a whole number, or a list of these"),
    ('{column = "what", values = ["view", "buy"]}', '{constant = "view", column = "what"}', "behaviors.action = {'constant': "
     "'view', 'column': 'what'}: expected {constant = NAME}, {column = NAME, values = [...]} or {rules = {NAME = RULE, ...}}"),
    ('{column = "what", values = ["view", "buy"]}', "{rules = {}}", "behaviors.action = {'rules': {}}: expected "
     "{constant = NAME}, {column = NAME, values = [...]} or {rules = {NAME = RULE, ...}}"),
    ('{column = "what", values = ["view", "buy"]}', '{rules = {view = "wht"}}',
     "behaviors.action.rules.view = 'wht': log-1.csv has no such column. Did you mean 'what'? It has: 'who', 'at', "
     "'what', 'kind'"),
    ('{column = "what", values = ["view", "buy"]}', '{rules = {view = 3}}', "behaviors.action.rules.view = 3: expected "
     "a string"),
    ('kind = "kind"\n\n[impr', 'sort = "kind"\n\n[impr', "behaviors.fields.sort: no target field uses its vocabulary 'sort'. "
     "Expected one of 'item', 'kind', because behaviors are compared with the target; set it with vocabulary = NAME"),
    ('click = "clicked"', 'click = {column = "clicked", at_lest = 1}', "impressions.click.at_lest: unknown key. Did you mean "
     "'at_least'?"),
    ('click = "clicked"', 'click = {column = "clicked", at_least = 1, below = 2}', "impressions.click.below = 2: expected a "
     "single comparison, but there is also 'at_least'"),
    ('click = "clicked"', "", "impressions.click is missing"),
    ('time = "at"\nclick', 'time = {column = "at", unit = "min"}\nclick', "impressions.time.unit = 'min': expected one of "
     "'s', 'ms', 'us', 'ns'"),
    ('time = "at"\nclick', 'time = {column = "at", unit = "ms", format = "%Y"}\nclick', "impressions.time.unit = 'ms': expected "
     "either 'unit' (for numbers) or 'format' (for text), not both"),
    ('time = "at"\nclick', 'time = {column = "at", utc_offset = "8h"}\nclick', "impressions.time.utc_offset = '8h': expected "
     "hours and minutes such as '+08:00'"),
    ('time = "at"\nclick', "click", "split.by = 'time': needs impressions.time, which is missing; ..."),
    ('time = "at"\nclick', 'time = {column = "at", format = "%Q"}\nclick', "impressions.time.format = '%Q': expected a time "
     "format that DuckDB (strptime) supports, such as %Y-%m-%d %H:%M:%S (Invalid Input Error: Failed to parse format "
     "specifier %Q: Unrecognized format for strftime/strptime: %Q)"),
    ('time = "at"\naction', 'time = {column = "at", format = "%Y-%"}\naction', "behaviors.time.format = '%Y-%': expected a time "
     "format that DuckDB (strptime) supports, such as %Y-%m-%d %H:%M:%S (Invalid Input Error: Failed to parse format "
     "specifier %Y-%: Trailing format character %)"),
    ('hour = {clock = "hour"}', 'hour = {clock = "minute"}', "impressions.context.hour.clock = 'minute': expected one of "
     "'hour', 'weekday'"),
    ('page = "page"', 'page = {column = "page", quantiles = 3}', "impressions.context.page.quantiles = 3: expected 'edges': "
     "only fields of users and items can have quantiles"),
    ("[users]\n", '[format]\nencoding = "utf8"\n[users]\n', "format.encoding = 'utf8': expected one of 'utf-8', 'latin-1', "
     "'utf-16', 'gb18030', ..."),
    ("[users]\n", '[format]\nseparator = ""\n[users]\n', "format.separator = '': expected a string of 1 to 4 bytes"),
    ("[users]\n", '[format]\nseparator = "::"\nquote = "~"\n[users]\n', "format.quote = '~': expected one ASCII character, or '' for "
     "none (required "
     "with a separator of several characters); users.files: users.csv: 'id,city,hobbies,age,income' has 1 field, ..."),
    ("[users]\n", '[format]\nquote = "é"\n[users]\n', "format.quote = 'é': expected one ASCII character, or '' for none (required "
     "with a separator of several characters)"),
    ("[users]\n", 'integers = ["itm"]\n[users]\n', "integers: 'itm' is not a vocabulary of ids. Did you mean 'item'? Known: "
     "'age', 'city', 'hobbies', 'hour', 'income', 'item', 'kind', 'page', 'user', 'weekday'"),
    # Splits
    ("test_from = 3000", "test_from = 2000", "split.test_from: expected a time after split.validation_from"),
    ("test_from = 3000", 'test_from = "tomorrow"', "split.test_from = 'tomorrow': expected seconds since 1970, or a date or "
     "time such as 2022-05-07"),
    ("test_from = 3000", f"test_from = 3{400 * '0'}", f"split.test_from = 3{59 * '0'}...: expected seconds since 1970, or a "
     "date or time such as 2022-05-07"),
    ("test_from = 3000", "", "split.test_from is missing"),
    ('by = "time"\nvalidation_from = 2000\ntest_from = 3000', 'by = "day"\nvalidation_days = 1.5\ntest_days = 1',
     "split.validation_days = 1.5: expected a whole number"),
    ('by = "time"', 'by = "days"', "split.by = 'days': expected one of 'time', 'day', 'user_share', 'column', 'file'. Did you "
     "mean 'day'?"),
    ('by = "time"\nvalidation_from = 2000\ntest_from = 3000', 'by = "day"\nvalidation_days = 0\ntest_days = 1.5',
     "split.test_days = 1.5: expected a whole number; split.validation_days = 0: expected a whole number from 1 to 10000"),
    ('by = "time"\nvalidation_from = 2000\ntest_from = 3000', 'by = "user_share"\nvalidation = 0.5\ntest = 0.5',
     "split.test = 0.5: expected shares of validation and test that leave some for train"),
    ('by = "time"\nvalidation_from = 2000\ntest_from = 3000',
     'by = "column"\ncolumn = "page"\ntrain = ["p", "q"]\nvalidation = "q"\ntest = "r"',
     "split.test = 'r': expected each value in only one split; repeated: 'q'"),
    ('by = "time"\nvalidation_from = 2000\ntest_from = 3000',
     'by = "file"\ntrain = "shown*"\nvalidation = "s*.csv"\ntest = "t*.csv"',
     "split: the file shown.csv matches the patterns of several splits. Expected exactly one"),
    # Files and columns
    ('"users.csv"', '"user.csv"', "users.files = 'user.csv': no such file in the folder HERE/raw. Did you mean 'users.csv'?"),
    ('"log-*.csv"', '"*.csv"', "behaviors.files: log-1.csv and items.csv have different columns: log-1.csv lacks "
     "'sku', 'price', which items.csv has. Expected the same columns and types in the same order"),
    ('"log-*.csv"', '"/etc/*.csv"', "behaviors.files = '/etc/*.csv': leads out of the folder of --raw. Expected a path or "
     "pattern below it"),
    ('"log-*.csv"', '"a/../../*.csv"', "behaviors.files = 'a/../../*.csv': leads out of the folder of --raw. Expected a "
     "path or pattern below it"),
    ('city = "city"', 'city = "town"', "users.attributes.city = 'town': users.csv has no such column. It has: 'id', 'city', "
     "'hobbies', 'age', 'income'"),
    ('column = "hobbies"', 'column = "hobby"', "users.attributes.hobbies = 'hobby': users.csv has no such column. Did you mean "
     "'hobbies'? It has: 'id', 'city', 'hobbies', 'age', 'income'"),
    ('click = "clicked"', 'click = "click"', "impressions.click = 'click': shown.csv has no such column. Did you mean "
     "'clicked'? It has: 'who', 'sku', 'at', 'clicked', 'page'"),
    ('city = "city"', 'city = {column = "city", extract = "(?=a)(b)"}', "users.attributes.city.extract = '(?=a)(b)': expected a "
     "regular expression that DuckDB (RE2) supports (..."),
    ('files = "users.csv"', 'files = "users.csv"\nseparator = ";"', "users.files: users.csv: "
     "'id,city,hobbies,age,income' has 1 field, separated by ';'. Expected several; the separator may be ','"),
    ('files = "users.csv"', 'files = "users.csv"\ncolumns = ["id", "id"]', "users.columns = ['id', 'id']: expected distinct names; "
     "users.files: users.csv has more than one column 'id'. Expected distinct names"),
    ('files = "users.csv"\n', "", "users.missing = ['?']: expected no such key without 'files': the table is read from the "
     "impressions' files; users.user = 'id': expected no such key without 'files': the table is read from the "
     "impressions' files; users.attributes.city = 'city': shown.csv has no such column. ..."),
    ('page = "page"', 'reader = {column = "page", vocabulary = "user"}', "impressions.context.reader: the vocabulary 'user' is "
     "reserved for the user's id. Expected another"),
    ('kind = "kind"\nprice', 'kind = "kind"\nseller = {column = "kind", vocabulary = "user"}\nprice', "items.features.seller: the vocabulary "
     "'user' is reserved for the user's id. Expected another"),
    ("[behaviors.fields]", 'where = ["what", {column = "at", at_lest = 1}]\n[behaviors.fields]', "behaviors.where[1].at_lest: "
     "unknown key. Did you mean 'at_least'?"),
    ("[behaviors.fields]", 'where = ["what", ""]\n[behaviors.fields]', "behaviors.where[1] = '': expected a table"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "expected"), FAULTS, ids=[f"{number}" for number in range(len(FAULTS))])
def test_a_fault_is_told_with_its_key(tmp_path: Path, old: str, new: str, expected: str) -> None:
    assert SCHEMA.count(old) >= 1
    faults = faults_of(tmp_path, SCHEMA.replace(old, new, 1))
    if expected.endswith("..."):
        assert faults.startswith(expected.removesuffix("..."))
    else:
        assert faults == expected


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    schema = SCHEMA
    for old, new in (
        ('user = "id"', 'user = 7\nfile = "x"'),
        ("edges = [18, 30]", "edges = [30, 18]"),
        ("dense = true", "dens = true"),
        ("test_from = 3000", "test_form = 3000"),
        ('page = "page"', 'page = "pages"'),
        ('"log-*.csv"', '"logs-*.csv"'),
    ):
        schema = schema.replace(old, new, 1)
    assert faults_of(tmp_path, schema) == (
        "users.user = 7: expected a string; users.attributes.age.edges = [30, 18]: expected numbers in ascending order; "
        "items.features.price.dens: unknown key. Did you mean 'dense'?; split.test_from is missing; split.test_form: "
        "unknown key. Did you mean 'test_from'?; users.file: unknown key; behaviors.files = 'logs-*.csv': no such file in the folder HERE/raw. Did you mean "
        "'log-2.csv'?; impressions.context.page = 'pages': shown.csv has no such column. Did you mean 'page'? It has: "
        "'who', 'sku', 'at', 'clicked', 'page'"
    )


def test_what_keys_say_together_is_told_with_the_rest(tmp_path: Path) -> None:
    """A fault in one key does not hide the faults of others, unless they depend on it."""
    schema = 'integers = ["usr"]\n' + SCHEMA
    for old, new in (
        ('city = "city"', 'city = {column = "city", sep = "|"}'),
        ('[behaviors.fields]\nkind = "kind"', '[behaviors.fields]\nitm = "kind"'),
        ("test_from = 3000", "test_from = 1000"),
    ):
        assert schema.count(old) == 1
        schema = schema.replace(old, new)
    assert faults_of(tmp_path, schema) == (
        "users.attributes.city.sep: unknown key. Did you mean 'separator'?; behaviors.fields.itm: "
        "no target field uses its vocabulary 'itm'. Did you mean 'item'? Expected one of 'item', 'kind', because behaviors are "
        "compared with the target; set it with vocabulary = NAME; integers: 'usr' is not a vocabulary of ids. Did you mean 'user'? Known: 'age', 'city', 'hobbies', 'hour', "
        "'income', 'item', 'itm', 'kind', 'page', 'user', 'weekday'; split.test_from: expected a time after "
        "split.validation_from"
    )


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ("items = 3\n", "items = 3: expected a table"),
        ("users = []\n", "users = []: expected a table; ..."),
    ],
)
def test_of_what_is_no_table_nothing_else_is_told(tmp_path: Path, wrong: str, expected: str) -> None:
    key = wrong.split(" ", maxsplit=1)[0]
    tables = SCHEMA[SCHEMA.index("[items]") if key == "users" else SCHEMA.index("[behaviors]") :]
    users = SCHEMA[: SCHEMA.index("[items]")] if key == "items" else ""
    faults = faults_of(tmp_path, f"{wrong}{users}{tables}")
    assert faults.startswith(expected.removesuffix("...")) if expected.endswith("...") else faults == expected


def test_all_columns_that_lack_are_told_at_once(tmp_path: Path) -> None:
    schema = SCHEMA.replace('"id"', '"uid"').replace('"kind"', '"sort"').replace('"page"', '"pages"')
    assert faults_of(tmp_path, schema) == (
        "users.user = 'uid': users.csv has no such column. Did you mean 'id'? It has: 'id', 'city', 'hobbies', 'age', "
        "'income'; items.features.kind = 'sort': items.csv has no such column. It has: 'sku', 'kind', 'price'; "
        "behaviors.fields.kind = 'sort': log-1.csv has no such column. It has: 'who', 'at', 'what', 'kind'; "
        "impressions.context.page = 'pages': shown.csv has no such column. Did you mean 'page'? It has: 'who', 'sku', "
        "'at', 'clicked', 'page'"
    )


def key_paths(table: dict[str, Any], above: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """The paths of all keys of a table, including those of inner tables."""
    paths = []
    for key, value in table.items():
        paths.append((*above, key))
        paths += key_paths(value, (*above, key)) if isinstance(value, dict) else []
    return paths


WHOLE = tomllib.loads(SCHEMA)
ODD: list[Any] = [
    0, -1, 10**18, 1.5, float("nan"), float("inf"), True, "", "x", "'", "a\x00b", "(", "(.)", "1970-01-01", [], [[]], [1, "a"],
    [True], [{}], {}, {"column": 5}, {"column": "at"}, {"constant": "x"}, {"clock": "hour"}, {"column": "at", "unit": []},
    [{"column": "at", "below": "x"}], {"x": {"y": 1}},
]  # fmt: skip


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.sampled_from(key_paths(WHOLE)), st.sampled_from([*ODD, None])), min_size=1, max_size=3))
def test_whatever_stands_in_it_is_read_or_refused(tmp_path: Path, changes: list[tuple[tuple[str, ...], Any]]) -> None:
    """Any key missing or with any value: a schema file, or one line that names the file; never a traceback."""
    raw = write_files(tmp_path / "raw", FILES)
    changed = copy.deepcopy(WHOLE)
    for (*above, key), value in changes:
        table: Any = changed
        for name in above:
            table = table.get(name) if isinstance(table, dict) else None
        if isinstance(table, dict):
            table.pop(key, None)
            if value is not None:
                table[key] = copy.deepcopy(value)
    path = tmp_path / "my.toml"
    path.write_text(tomli_w.dumps(changed), encoding="utf-8")
    try:
        Source(raw, tmp_path, path)
    except MailError as error:
        assert error.message.startswith(f"{path}: ")  # noqa: PT017
        assert "\n" not in error.message  # noqa: PT017


@pytest.mark.parametrize("key", ["column", "rules"])
def test_lists_of_behaviors_have_one_action(tmp_path: Path, key: str) -> None:
    action = {"column": '{column = "what", values = ["view"]}', "rules": '{rules = {view = "what"}}'}[key]
    old = 'time = "at"\naction = {column = "what", values = ["view", "buy"]}'
    assert old in SCHEMA
    faults = faults_of(tmp_path, SCHEMA.replace(old, f"action = {action}"))
    assert f"behaviors.action.{key}: expected a constant action for lists of behaviors" in faults.split("; ")


def test_the_documentation_lists_the_names_that_no_field_may_have() -> None:
    page = (Path(__file__).parents[3] / "docs" / "your-own-data.md").read_text()
    listed = page.split("a column that `mail` has itself", 1)[1].split(")", 1)[0]
    assert set(re.findall("`([a-z_]+)`", listed)) == RESERVED
