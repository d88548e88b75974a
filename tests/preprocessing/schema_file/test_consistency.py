"""Tables of a schema file that are not consistent: attributes without values, times; and which fault comes first."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mailcli.errors import MailError
from tests.helpers.schema_files import (
    FILES,
    SCHEMA,
    WIDE,
    WIDE_FILE,
    edited,
    make_dataset,
)


def refused(folder: Path, schema: str, files: dict[str, str], max_bad_rows: float = 0.001) -> str:
    with pytest.raises(MailError) as error:
        make_dataset(folder, schema, files, max_bad_rows=max_bad_rows)
    assert error.value.exit_code == 2
    assert not (folder / "data").exists()
    return error.value.message.replace(str(folder), "HERE")


@pytest.mark.parametrize("row", [",,,", "?,?,,"])
def test_attributes_without_any_value_are_refused(tmp_path: Path, row: str) -> None:
    # dan has no training impression.
    text = "id,city,hobbies,age,income\n" + "".join(f"{user},{row}\n" for user in ("ann", "bob", "cid"))
    schema = edited(("income = {column", "#"))
    assert refused(tmp_path, schema, {**FILES, "users.csv": text + "dan,Oslo,go,3,4\n"}) == (
        "HERE/raw/users.csv: no user of the training split has a value of 'city', 'hobbies', 'age'. Expected some: MAIL "
        "generates a new user's behavior from the attributes."
    )


def test_behaviors_decades_before_all_impressions_are_refused(tmp_path: Path) -> None:
    """Seconds read as milliseconds fall into January 1970: all would be history, even behaviors after a click."""
    new = 1_700_000_000
    impressions = re.sub(r"(?<=x\d,)\d+", lambda match: str(new + int(match[0])), FILES["shown.csv"])
    logs = {
        name: re.sub(r"(?<=,)\d+(?=,)", lambda match: str(new + int(match[0])), FILES[name])
        for name in ("log-1.csv", "log-2.csv")
    }
    schema = edited(
        ('time = "at"\naction', 'time = {column = "at", unit = "ms"}\naction'),
        ("validation_from = 2000\ntest_from = 3000", f"validation_from = {new + 2000}\ntest_from = {new + 3000}"),
    )
    assert refused(tmp_path, schema, {**FILES, **logs, "shown.csv": impressions}) == (
        "HERE/raw/log-1.csv: its last behavior, of 1970-01-20 16:13:22, is more than ten years before the first impression, "
        "of 2023-11-14 22:15:00. Are both in the same unit (seconds, milliseconds)?"
    )


# The cause is reported before its consequences

LABELS = "column 'clicked' holds 'yes'. Expected 0 or 1, true or false; or impressions.click = "
LABELS += '{column = "clicked", equals = "yes"}'


def with_yes_and_no(text: str) -> str:
    """A file whose label, the last or second to last column, is written as yes and no."""
    return re.sub(r",([01])(?=,[pqr]$|$)", lambda match: ",yes" if match[1] == "1" else ",no", text, flags=re.MULTILINE)


def test_labels_that_are_wrong_are_told_where_users_come_from_their_files(tmp_path: Path) -> None:
    schema = edited(('where = "clicked"\n', ""), schema=WIDE)
    assert refused(tmp_path, schema, {"wide.csv": with_yes_and_no(WIDE_FILE)}) == (
        f"HERE/raw/wide.csv, line 2: {LABELS}. 7 of 7 rows (100.00%) cannot be used, --max-bad-rows allows 0.1%. "
        "Fix or remove them."
    )
    assert refused(tmp_path, schema, {"wide.csv": with_yes_and_no(WIDE_FILE)}, max_bad_rows=1) == (
        f"HERE/raw/wide.csv, line 2: {LABELS}. No row can be used."
    )


def test_labels_that_are_wrong_are_told_before_quantiles(tmp_path: Path) -> None:
    assert refused(tmp_path, SCHEMA, {**FILES, "shown.csv": with_yes_and_no(FILES["shown.csv"])}).startswith(
        f"HERE/raw/shown.csv, line 2: {LABELS}. 9 of 9 rows"
    )


def test_quantiles_of_texts_are_told_with_the_text(tmp_path: Path) -> None:
    schema = edited(('{column = "income", quantiles = 2}', '{column = "city", quantiles = 2}'))
    assert refused(tmp_path, schema, FILES) == (
        "HERE/raw/users.csv, line 2: column 'city' holds 'Rome'. Expected a number or nothing. "
        "HERE/my.toml: users.attributes.income: no user of the train split has a number there, so quantiles "
        "cannot be computed."
    )


def test_a_condition_that_never_holds_for_behaviors_is_named(tmp_path: Path) -> None:
    schema = edited(("action = {column", 'where = {column = "what", equals = "sold"}\naction = {column'))
    assert refused(tmp_path, schema, FILES) == (
        "HERE/raw/log-1.csv: no row can be used: the file has none, or none of them satisfies `where`."
    )


def test_a_condition_that_never_holds_is_told(tmp_path: Path) -> None:
    schema = edited(('time = "at"\nclick', 'time = "at"\nwhere = {column = "page", equals = "z"}\nclick'))
    assert refused(tmp_path, schema, FILES) == (
        "HERE/raw/shown.csv: no row can be used: the file has none, or none of them satisfies `where`."
    )
