"""Control characters, markup and formulas in every name that a user chooses: a reader sees them, nothing obeys them."""

from __future__ import annotations

import ast
import csv
import io
import json
import logging
import re
import tempfile
import tomllib
from collections import Counter
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailcli.cli._output import print_line
from mailcli.errors import Interrupted, MailError
from mailcli.preprocessing.rejects import DUPLICATE_KEY, Rejects
from mailcli.preprocessing.schema_init.propose import propose
from mailcli.preprocessing.sources._base import RawData
from mailcli.preprocessing.summary import summary
from mailcli.reporting.formats import render
from mailcli.reporting.text_table import TextTable, text_block
from tests.helpers.command_line import error_line, mail
from tests.helpers.hostile_names import NAMES, WORST, assert_harmless, latex_text, markdown_texts, seen
from tests.helpers.proposals import NOONS
from tests.helpers.schema_files import FILES, edited, make_dataset

#: A name that a command line can hold; bytes that are not UTF-8 arrive as lone surrogates.
ARGUMENT = "\x1b[31m\x9b\u202e\udcff<b>"
SHOWN_ARGUMENT = r"\x1b[31m\x9b\u202e\udcff<b>"


@given(NAMES)
def test_an_error_is_one_printable_line(name: str) -> None:
    shown = io.StringIO()
    MailError(f"before {name} after").show(shown)
    Interrupted(name).show(shown)
    first, second = shown.getvalue().splitlines()
    # Line ends may be those of a library's message.
    assert first == seen(re.sub(r"\s*\n\s*", " ", f"Error: before {name} after"))
    assert second == seen(name)


@given(NAMES)
def test_messages_and_reports_are_printable_lines(name: str) -> None:
    logger, out, err = logging.getLogger("mailcli.test"), io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        logger.warning(name)
        print_line(name)
    assert [stream.getvalue() for stream in (out, err)] == 2 * [f"{seen(name)}\n"]


def table(name: str) -> TextTable:
    """A table with a name in every place."""
    block = text_block(f"block {name}.", [[name, "1"], [f"row {name}.", name]])
    notes = (f"note {name}.", "last")
    return TextTable(f"title {name}.", ("", f"head {name}."), (block,), notes, [{"row": name, "n": -1}])


@settings(deadline=None)
@given(NAMES)
def test_every_table_shows_every_name(name: str) -> None:
    text, harmless = seen(name), [render(table(name), form) for form in ("table", "markdown", "latex", "json")]
    for output in harmless:
        assert_harmless(output)
    terminal, markdown, latex, as_json = harmless
    assert terminal.splitlines()[-2:] == [f"note {text}.", "last"]
    assert len(terminal.splitlines()) == 8
    assert f"row {text}." in terminal
    cells = ["", f"head {text}.", f"block {text}.", "", text.strip(), "1", f"row {text}.", text.strip()]
    assert markdown_texts(markdown) == [f"title {text}.", *cells, f"note {text}.", "last"]
    assert json.loads(as_json)["results"] == [{"row": name, "n": -1}]
    source = re.fullmatch(
        r"\\begin\{table\}\n\\caption\{title (.*)\.\. note (.*)\.; last\.\}\n\\begin\{tabular\}\{lr\}\n\\toprule\n"
        r" & head (.*)\. \\\\\n\\midrule\n\\multicolumn\{2\}\{l\}\{\\emph\{block (.*)\.\}\} \\\\\n"
        r"(.*) & 1 \\\\\nrow (.*)\. & (.*) \\\\\n\\bottomrule\n\\end\{tabular\}\n\\end\{table\}\n",
        latex,
    )
    assert source
    assert {latex_text(group) for group in source.groups()} == {text}


@given(NAMES)
def test_a_table_in_csv_has_no_formula(name: str) -> None:
    head, row = csv.reader(io.StringIO(render(table(name), "csv"), newline=""))
    assert head == ["table", "row", "n", "caption"]
    assert row[2] == "-1"
    assert_no_formula(row[1])


def assert_no_formula(cell: str) -> None:
    assert_harmless(cell.replace("\t", ""))
    is_number = re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", cell)
    assert is_number or cell[:1] not in {*"=+-@\t\r\n＝＋－＠"} or not cell


@settings(deadline=None)
@given(NAMES)
def test_rows_set_aside_are_no_formulas(name: str) -> None:
    file = SimpleNamespace(path=Path("users.csv"), explain=lambda fault, line: f"{name} holds {line}")
    rejects = Rejects(cast(RawData, SimpleNamespace(raw_files={"users": file})), 1.0)
    rejects.set_aside("users", 2, pa.table({"fault": [0, DUPLICATE_KEY], "line": [name, name]}))
    with tempfile.TemporaryDirectory() as folder:
        rejects.write(Path(folder))
        with open(Path(folder) / "users.csv", encoding="utf-8", newline="") as rows:
            head, *cells = csv.reader(rows)
    assert (head, len(cells)) == (["reason", "row"], 2)
    for cell in (cell for row in cells for cell in row):
        assert_no_formula(cell)


#: Names of columns that a CSV can hold; a zero byte is refused there.
COLUMNS = NAMES.map(lambda name: name.replace("\0", "").replace("\r", "\n")).filter(lambda name: name.strip() != "")


@settings(max_examples=50, deadline=None)
@given(st.lists(COLUMNS, min_size=2, max_size=2, unique=True))
def test_a_proposed_schema_file_holds_the_names_as_texts(names: list[str]) -> None:
    columns = ["user_id", "item_id", "timestamp", "click", *(f"c{name}" for name in names)]
    rows = [[f"u{n}", f"i{n}", NOONS[0] + n, n % 2, "a", "b"] for n in range(4)]
    with tempfile.TemporaryDirectory() as folder:
        with open(Path(folder) / "log.csv", "w", encoding="utf-8", newline="") as file:
            csv.writer(file, quoting=csv.QUOTE_ALL).writerows([columns, *rows])
        text = propose([Path(folder) / "log.csv"], "my.toml")
    assert_harmless(text)
    proposed = tomllib.loads(text)
    assert set(proposed) <= {"integers", "users", "items", "behaviors", "impressions", "split"}
    # Columns of a log are proposed as comments; uncommented, they are the names.
    comments = [line.removeprefix("# ") for line in text.splitlines() if re.match(r"# c\w* = ", line)]
    assert {value for line in comments for value in tomllib.loads(line).values()} >= {c.strip() for c in columns[4:]}


@pytest.mark.parametrize(
    "arguments",
    [
        ["train", "--data", ARGUMENT],
        ["train", "--ranker", ARGUMENT],
        ["train", "--ranker", f"{ARGUMENT}.x:Y"],
        ["train", "--cold-start", ARGUMENT],
        ["train", "--cold-start", "mail", "--variant", ARGUMENT],
        ["train", "--protocol", ARGUMENT],
        ["train", "--precision", ARGUMENT],
        ["train", "--set", ARGUMENT],
        ["train", "--set", f"{ARGUMENT}=1"],
        ["train", "--set", f"epochs={ARGUMENT}"],
        ["train", "--set", f"ranker.{ARGUMENT}=1"],
        ["train", "--config", ARGUMENT],
        ["train", "--continue", ARGUMENT, "--data", "tiny"],
        ["train", "--workers", ARGUMENT],
        ["train", "--devices", ARGUMENT],
        ["train", f"--{ARGUMENT}"],
        ["train", "--eval-every", ARGUMENT],
        ["preprocess", ARGUMENT],
        ["preprocess", "alimama", "--raw", ARGUMENT],
        ["preprocess", "alimama", "--name", ARGUMENT],
        ["preprocess", "alimama", "--engine", ARGUMENT],
        ["preprocess", "alimama", "--sample", ARGUMENT],
        ["preprocess", "alimama", "--memory-limit", ARGUMENT],
        ["preprocess", "alimama", "--temp-dir", ARGUMENT],
        ["preprocess", "mine", "--schema", ARGUMENT],
        ["schema", "init", ARGUMENT],
        ["schema", ARGUMENT],
        ["simulate", ARGUMENT, "--users", "20", "--out", "x"],
        ["describe", ARGUMENT],
        ["evaluate", ARGUMENT],
        ["evaluate", "--format", ARGUMENT],
        ["score", ARGUMENT, "x.csv", "-o", "y.csv"],
        ["export", ARGUMENT, "x"],
        ["plot", ARGUMENT],
        ["plot", "loss", ARGUMENT],
        ["ablate", "--variants", ARGUMENT],
        ["compare", "--rows", ARGUMENT],
        ["abtest", ARGUMENT, "random", "--users", "10"],
        ["tune", "--name", ARGUMENT, "--range", "epochs=1..2"],
        ["tune", "--range", ARGUMENT],
        ["tune", "--range", f"{ARGUMENT}=1..2"],
        ["tune", "--range", "epochs=1..2", "--users", ARGUMENT],
        ["run", ARGUMENT],
        ["results", ARGUMENT],
        ["report", ARGUMENT],
        ["report", f"{ARGUMENT}.toml"],
        [ARGUMENT],
    ],
)
def test_an_error_about_an_argument_is_printable(with_data: Path, arguments: list[str]) -> None:
    error = error_line(mail(*arguments))
    assert_harmless(error)
    assert SHOWN_ARGUMENT in error.replace("\\\\", "\\") or SHOWN_ARGUMENT.lower() in error


def test_notes_in_the_summary_have_names_as_texts() -> None:
    splits = {f"{split}{of}": 1 for split in ("train", "validation", "test") for of in ("", "_clicks")}
    column = pa.chunked_array([pa.array([], pa.string())])
    numbers = pa.chunked_array([pa.array([], pa.int64())])
    users = pa.table({"user": column, **dict.fromkeys(("train", "validation", "test"), numbers)})
    items = pa.table({"item": column, "known": pa.array([], pa.bool_()), "impressions": numbers})
    extracted: Any = SimpleNamespace(users=users, items=items, profiles={"user": column}, ignored=Counter(), facts={})
    rejects: Any = SimpleNamespace(rows={})
    text = summary(WORST, cast(Any, None), extracted, rejects, Counter(splits), [f"the column {WORST} is odd"])
    assert_harmless(text)
    texts = markdown_texts(text)
    assert texts[0] == seen(WORST)
    assert f"The column {seen(WORST)} is odd." in texts


def test_a_dataset_with_hostile_actions_columns_and_values(tmp_path: Path) -> None:
    action, column = (
        WORST.replace("\x00", "").replace("\r\n", "\n"),
        f"kind{WORST}".replace("\x00", "").replace("\r", ""),
    )
    toml = json.dumps
    schema = edited(
        ('values = ["view", "buy"]', f'values = ["view", {toml(action)}]'),
        ('city = "city"', f"city = {toml(column)}"),
    )
    quoted = action.replace('"', '""')
    files = FILES | {
        "users.csv": FILES["users.csv"].replace("city", f'"{column}"', 1) + "=cmd(),Rome\n",
        "log-1.csv": FILES["log-1.csv"].replace("buy", f'"{quoted}"') + 'x\x1b[2J,"<b>|`",view,hat\n',
        "log-2.csv": FILES["log-2.csv"].replace("buy", f'"{quoted}"'),
    }
    dataset = make_dataset(tmp_path, schema, files, max_bad_rows=0.9)
    described = mail("describe", "mine", "--data-dir", tmp_path / "data")
    assert described.exit_code == 0
    assert_harmless(described.stdout)
    assert r"\x1b[31m\x9b\u202e\n|`<script>" in described.stdout
    summary = (dataset.folder / "summary.md").read_text(encoding="utf-8")
    assert_harmless(summary)
    assert r"x\x1b[2J" in "".join(markdown_texts(summary))
    with open(dataset.folder / "rejected" / "users.csv", encoding="utf-8", newline="") as file:
        assert [row["row"] for row in csv.DictReader(file)] == ["'=cmd(),Rome"]


def record(name: str) -> dict[str, Any]:
    """What an exported model says about itself, with a name in every place."""
    value = {"dtype": "string", "shape": ["U", None], "meaning": f"meaning {name}"}
    outputs = {"click": {"meaning": "pCTR", "dtype": "float32", "shape": ["U", "N"]}}
    signature = {"meaning": "users", "inputs": {"user": value}, "outputs": outputs}
    keys = ("mail", "tensorflow", "protocol", "seed", "best_epoch", "history")
    own = dict.fromkeys(("cell", "dataset"), name) | {"actions": [name], "signatures": {"serving_default": signature}}
    own["buckets_by_number"] = [name]
    request = {"signature_name": "serving_default", "inputs": {"user": [name]}}
    return dict.fromkeys(keys, 1) | own | {"request": request, "response": {"outputs": [[0.5]]}}


@settings(deadline=None)
@given(NAMES)
def test_the_page_of_an_export_has_the_names_as_texts(name: str) -> None:
    from mailcli.serving.export_readme import readme

    text = readme(name, record(name))
    assert_harmless(text)
    blocks = re.findall(r"^```json\n(.*)\n```$", text, re.MULTILINE)
    assert json.loads(blocks[0])["inputs"] == {"user": [name]}
    (code,) = re.findall(r"^```python\n(.*?)\n```$", text, re.MULTILINE | re.DOTALL)
    texts_of_code = [node.value for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Constant)]
    assert texts_of_code.count(name) >= 1
    texts = markdown_texts(text)
    assert texts[0] == f"{seen(name)}: {seen(name)} on {seen(name)}".strip()
    assert f"meaning {seen(name)}".rstrip() in texts
    assert any(f"none of {seen(name)} are skipped" in paragraph for paragraph in texts)
