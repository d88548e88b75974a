"""Users and items whose columns are not called like them: by other files' keys, by what they determine, by counts."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from mailcli.errors import MailError
from mailcli.preprocessing.schema_init.recognized import RecognizedTables
from mailcli.preprocessing.schema_init.sniff import sample_file
from mailcli.preprocessing.schema_init.table_roles import group_tables, recognize_tables
from tests.helpers.schema_files import write_files


def table(header: str, rows: Iterable[Iterable[object]]) -> str:
    return "".join(f"{line}\n" for line in [header, *(",".join(map(str, row)) for row in rows)])


def recognized(folder: Path, files: dict[str, str], **given: str) -> RecognizedTables:
    raw = write_files(folder, files)
    return recognize_tables(group_tables([sample_file(raw / name) for name in files], given))


#: 20 people, 30 things, and 120 rows in which each person meets each of six things.
PEOPLE = table("handle,town", [(f"p{n}", "AB"[n % 2]) for n in range(20)])
THINGS = table("code,topic", [(f"t{n}", "XYZ"[n % 3]) for n in range(30)])
SEEN = [(f"p{n % 20}", f"t{(n * 7 + n // 20 * 5) % 30}", 1_600_000_000 + 60 * n, n // 20 % 2) for n in range(120)]


def test_a_column_is_the_user_whose_values_are_keys_of_another_file(tmp_path: Path) -> None:
    tables = recognized(tmp_path, {"people.csv": PEOPLE, "things.csv": THINGS, "seen.csv": table("a,b,c,d", SEEN)})
    log, users, items = tables.impressions, tables.users, tables.items
    assert log.user
    assert log.item
    assert log.time
    assert log.click
    assert (log.user.name, log.item.name, log.time.name, log.click.name) == ("a", "b", "c", "d")
    assert dict(log.reasons) == {
        "user": "its values are those of 'handle' in people.csv",
        "item": "its values are those of 'code' in things.csv",
        "time": "by its values",
        "click": "by its values",
    }
    assert users
    assert users.user
    assert (users.name, users.user.name) == ("people.csv", "handle")
    assert items
    assert items.item
    assert (items.name, items.item.name) == ("things.csv", "code")


def test_keys_called_id_belong_to_the_columns_of_the_log(tmp_path: Path) -> None:
    """As a database is written: 1 to 20 are users and items, so only the names of the files tell them apart."""
    files = {
        "customers.csv": table("id,x", [(n, n % 3) for n in range(1, 21)]),
        "products.csv": table("id,y", [(n, n % 4) for n in range(1, 21)]),
        "views.csv": table("id,customer_id,product_id,at,click", [(n, n % 20 + 1, n * 7 % 20 + 1, 1_600_000_000 + n, n % 2) for n in range(60)]),
    }  # fmt: skip
    tables = recognized(tmp_path, files)
    assert tables.users
    assert tables.items
    assert (tables.users.name, tables.items.name) == ("customers.csv", "products.csv")
    with pytest.raises(MailError) as error:
        recognized(tmp_path, {"a.csv": files["customers.csv"], "views.csv": files["views.csv"]})
    assert error.value.message == (
        "a.csv: the values of 'id' are both users and items of views.csv. Rename the column to 'customer_id' or "
        "'product_id'."
    )


def test_two_columns_that_fit_equally_well_are_asked_for(tmp_path: Path) -> None:
    files = {
        "a.csv": table("k,x", [(f"a{n}", "PQ"[n % 2]) for n in range(20)]),
        "b.csv": table("k,y", [(f"b{n}", "PQR"[n % 3]) for n in range(30)]),
        "seen.csv": table(
            "m,n,c,d", [(f"a{n % 20}", f"b{n * 7 % 30}", 1_600_000_000 + n, n // 20 % 2) for n in range(120)]
        ),
    }
    with pytest.raises(MailError) as error:
        recognized(tmp_path, files)
    assert error.value.message == (
        "seen.csv: the user may be 'm' (its values are those of 'k' in a.csv), 'n' (its values are those of 'k' in "
        "b.csv). Say which it is, for example with --user m."
    )
    tables = recognized(tmp_path, files, user="n")
    assert tables.users
    assert tables.items
    assert (tables.users.name, tables.items.name) == ("b.csv", "a.csv")


def test_in_one_file_a_user_is_what_has_one_town_and_an_item_what_has_one_brand(tmp_path: Path) -> None:
    rows = [(person, "AB"[int(person[1:]) % 2], thing, "XYZ"[int(thing[1:]) % 3], *rest) for person, thing, *rest in SEEN]  # fmt: skip
    tables = recognized(tmp_path, {"all.csv": table("a,town,b,brand,c,d", rows)})
    log = tables.impressions
    assert log.user
    assert log.item
    assert (log.user.name, log.item.name) == ("a", "b")
    assert [column.name for column in log.user_columns] == ["town"]
    assert [column.name for column in log.item_columns] == ["brand"]
    assert log.reasons["user"] == "'town' has one value for each of its values"


def test_an_item_is_the_only_other_column_of_many_repeated_values(tmp_path: Path) -> None:
    files = {"people.csv": PEOPLE, "seen.csv": table("a,b,c,d", SEEN)}
    tables = recognized(tmp_path, files)
    assert tables.impressions.reasons["item"] == "it has 30 values in the first rows"
    page = [(*row, f"page{n % 12}") for n, row in enumerate(SEEN)]
    with pytest.raises(MailError) as error:
        recognized(tmp_path, files | {"seen.csv": table("a,b,c,d,e", page)})
    assert error.value.message == (
        "seen.csv: the item may be 'b' (it has 30 values in the first rows), 'e' (it has 12 values in the first rows). "
        "Say which it is, for example with --item b."
    )


def test_a_given_column_that_is_in_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MailError) as error:
        recognized(tmp_path, {"people.csv": PEOPLE}, user="handel")
    assert error.value.message == (
        "--user handel: no file has such a column. They have: 'handle', 'town'. Did you mean 'handle'?"
    )
