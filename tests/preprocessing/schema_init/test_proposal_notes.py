"""What `mail schema init` says on the terminal: every column that is left out, with the reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from mailcli.preprocessing.schema_init.propose import propose
from tests.helpers.command_line import mail
from tests.helpers.schema_files import write_files

LOG = "user_id,item_id,timestamp,click"


def test_every_column_that_is_left_out_is_named_with_the_reason(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    users = "user_id,city,nick,empty\n" + "".join(f"{n},{'AB'[n % 2]},name {n},\n" for n in range(30))
    items = "item_id,kind,title\n" + "".join(f"{n},{'XYZ'[n % 3]},A title {n}\n" for n in range(30))
    wide = [f"w{n}" for n in range(12)]
    log = f"{LOG},device,{','.join(wide)}\n" + "".join(
        f"{n},{n},{1_600_000_000 + n},{n % 2},x{',7' * 12}\n" for n in range(30)
    )
    history = "user_id,item_id,timestamp,kind,page\n0,1,1599999999,X,p\n1,1,1599999999,X,p\n"
    files = {"users.csv": users, "items.csv": items, "log.csv": log, "history.csv": history}
    raw = write_files(tmp_path, files)
    text = propose([raw / name for name in files], "my.toml")
    assert caplog.messages == [
        "Note: users.csv: left out: 'nick' (nearly all values are distinct: a poor category).",
        "Note: users.csv: left out: 'empty' (no values in the first rows).",
        "Note: items.csv: left out: 'title' (nearly all values are distinct: a poor category).",
        "Note: history.csv: left out: 'page' (use it only if items have the same field).",
        "Note: log.csv: left out: 'device', 'w0', 'w1', 'w2', 'w3', 'w4', 'w5', 'w6', 'w7', 'w8' and 3 more (use it only "
        "if it is known before the click).",
    ]
    lines = text.splitlines()
    assert '# nick = "nick"    # check this: nearly all values are distinct: a poor category' in lines
    assert '# device = "device"    # check this: use it only if it is known before the click' in lines


def test_what_has_the_name_of_a_label_and_is_none_is_named_as_well(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    log = f"{LOG},rating,action,\nu1,i1,1600000000,1,5,x,\nu2,i2,1600000060,0,3,x,\n"
    raw = write_files(tmp_path, {"users.csv": "user_id,city\nu1,Rome\nu2,Oslo\n", "log.csv": log})
    propose([raw / "users.csv", raw / "log.csv"], "my.toml")
    assert caplog.messages == [
        "Note: log.csv: left out: a column without a name.",
        "Note: log.csv: left out: 'rating', 'action' (use it only if it is known before the click).",
    ]


def test_a_log_without_attributes_says_what_to_do(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    raw = write_files(tmp_path, {"log.csv": f"{LOG}\nu1,i1,1600000000,1\nu2,i2,1600000060,0\n"})
    propose([raw / "log.csv"], "my.toml")
    assert caplog.messages == [
        "Note: no file has one row per user, and no column of log.csv is known to have one value for each user. MAIL "
        "needs user attributes: name them in [users.attributes]."
    ]


def test_attributes_and_features_may_be_columns_of_the_log(tmp_path: Path) -> None:
    log = f"{LOG},town,brand\n" + "".join(
        f"{n % 7},{n % 5},{1_600_000_000 + n},{n % 2},{'AB'[n % 7 % 2]},{'PQR'[n % 5 % 3]}\n" for n in range(70)
    )
    raw = write_files(tmp_path, {"log.csv": log})
    lines = propose([raw / "log.csv"], "my.toml").splitlines()
    start = lines.index("[users]")
    assert lines[start : start + 11] == [
        "[users]",
        "# No file has one row per user: these columns of the impressions have one value for each user.",
        "# check this: delete what became known only later, such as a user's number of clicks.",
        "",
        "[users.attributes]",
        'town = "town"',
        "",
        "# No file has one row per item: these columns of the impressions have one value for each item.",
        "# check this: delete what became known only later, such as an item's share of clicks.",
        "[items.features]",
        'brand = "brand"',
    ]


def test_commands_are_not_broken_and_the_options_reach_the_proposal(tmp_path: Path) -> None:
    raw = write_files(
        tmp_path,
        {
            "users.csv": "user_id,city,past\nu1,Rome,i1|i2\nu2,Oslo,i2|i1\n",
            "log.csv": "user_id,item_id,timestamp,liked,shared\nu1,i1,1600000000,1,0\nu2,i2,1600000060,0,1\n",
        },
    )
    result = mail("schema", "init", raw / "users.csv", raw / "log.csv", "--click", "shared")
    assert 'click = "shared"' in result.stdout.splitlines()
    assert sum(line.startswith('  python -c "import duckdb; ') for line in result.stderr.splitlines()) == 1
