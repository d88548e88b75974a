"""`mail.simulate`, `mail.preprocess` and `mail.load`: the same files as those of the commands."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

import mailcli as mail
from tests.helpers.command_line import mail as command
from tests.helpers.files import files_of


@pytest.fixture
def simulated(home: Path) -> Path:
    """A working folder with the raw files of 40 users in data/raw/alimama."""
    mail.simulate(users=40, seed=3, behaviors_per_user=20, quiet=True)
    return home


def test_the_files_are_those_of_the_commands(simulated: Path) -> None:
    done = command(
        *("simulate", "alimama", "--users", 40, "--seed", 3, "--behaviors-per-user", 20, "--out", simulated / "raw")
    )
    assert done.exit_code == 0, done.output
    assert files_of(simulated / "data" / "raw" / "alimama") == files_of(simulated / "raw")
    data = mail.preprocess("alimama", name="mine", history=10, quiet=True)
    assert (data.name, data.history, data.folder) == ("mine", 10, Path("data", "mine"))
    done = command("preprocess", "alimama", "--name", "theirs", "--history", 10)
    assert done.exit_code == 0, done.output
    mine, theirs = (files_of(simulated / "data" / name) for name in ("mine", "theirs"))
    assert set(mine) == set(theirs)
    differing = {name for name in mine if mine[name] != theirs[name]}
    assert differing <= {"dataset.json", "summary.md"}, "only the name differs"
    assert mail.load("mine").counts == mail.load("theirs").counts == data.counts


def test_simulate_says_what_can_be_reached(home: Path) -> None:
    summary = mail.simulate(users=40, out=home / "raw", quiet=True)
    assert 0.5 < summary.ceiling_auc <= 1
    assert len(list((home / "raw").glob("*.csv"))) == 4


def test_own_files_are_read_with_their_schema_file(home: Path) -> None:
    examples = Path(__file__).parent.parent.parent / "examples" / "schemas"
    shutil.copy(examples / "no-attributes.toml", home)
    with pytest.raises(mail.MailError, match="^no-attributes.toml: .* no such file in the folder data/raw/mine"):
        mail.preprocess("mine", schema="no-attributes.toml")


def test_mistakes_end_in_one_line(simulated: Path) -> None:
    def message(call: Any, *arguments: Any, **options: Any) -> str:
        with pytest.raises(mail.MailError) as error:
            call(*arguments, **options)
        return error.value.message

    assert message(mail.simulate, "alibaba", users=20) == (
        "unknown source 'alibaba'. Did you mean 'alimama'? Known: 'alimama'."
    )
    assert message(mail.simulate, users=2) == "--users is 2. Expected 10 or more."
    assert message(mail.simulate, users="20") == "users is '20'. Expected a value of type int."
    assert message(mail.simulate, users=True) == "users is True. Expected a value of type int."
    assert message(mail.simulate, users=20, sead=3).startswith("unknown option 'sead'. Did you mean 'seed'? Known: ")
    (simulated / "data" / "raw" / "alimama" / "notes.txt").touch()
    assert "is not empty and was not written by `mail simulate`" in message(mail.simulate, users=20)
    assert message(mail.preprocess, "alibaba").startswith("unknown data source 'alibaba'. Did you mean 'alimama'?")
    assert message(mail.preprocess, "alimama", histori=3).startswith("unknown option 'histori'. Did you mean 'history'")
    assert message(mail.preprocess, "alimama", history=0) == "--history is 0. Expected 1 to 100000."
    assert message(mail.preprocess, "alimama", temp_dir=3) == "temp_dir is 3. Expected a value of type Path."
    assert message(mail.preprocess, "alimama", temp_dir="no") == "--temp-dir no: is not a folder. Make it first."
    assert message(mail.preprocess, "a", name="b", schema="c.toml").startswith(
        "--name b: with --schema the argument 'a'"
    )
    assert [path.name for path in (simulated / "data").iterdir()] == ["raw"]
