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


def test_simulated_files_are_those_of_the_command(simulated: Path) -> None:
    done = command(
        *("simulate", "alimama", "--users", 40, "--seed", 3, "--behaviors-per-user", 20, "--out", simulated / "raw")
    )
    assert done.exit_code == 0, done.output
    assert files_of(simulated / "data" / "raw" / "alimama") == files_of(simulated / "raw")


def test_a_dataset_is_that_of_the_pipeline(home: Path, simulated_raw: Path, data_dir: Path) -> None:
    data = mail.preprocess("alimama", simulated_raw, name="tiny", history=20, quiet=True)
    assert (data.name, data.history, data.folder) == ("tiny", 20, home / "data" / "tiny")
    assert files_of(home / "data" / "tiny") == files_of(data_dir / "tiny")
    assert mail.load("tiny").counts == mail.load(data_dir=home / "data").counts == data.counts


def test_of_several_datasets_the_last_one_is_loaded_and_told(
    home: Path, simulated_raw: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("first", "second"):
        mail.preprocess("alimama", simulated_raw, name=name, history=5, quiet=True)
    assert capsys.readouterr().err == ""
    assert mail.load().name == "second"
    assert capsys.readouterr().err == "Dataset: second, the one used or made last; load(NAME) opens another.\n"
    assert (mail.load("first").name, mail.load().name) == ("first", "first")


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
    assert message(mail.simulate, users=2) == "users is 2. Expected 10 to 10,000,000,000."
    assert message(mail.simulate, users="20") == "users is '20'. Expected a value of type int."
    assert message(mail.simulate, users=True) == "users is True. Expected a value of type int."
    assert message(mail.simulate, users=20, sead=3).startswith("unknown option 'sead'. Did you mean 'seed'? Known: ")
    (simulated / "data" / "raw" / "alimama" / "notes.txt").touch()
    assert "is not empty and was not written by `mail simulate`" in message(mail.simulate, users=20)
    assert message(mail.preprocess, "alibaba").startswith("unknown data source 'alibaba'. Did you mean 'alimama'?")
    assert message(mail.preprocess, "alimama", histori=3).startswith("unknown option 'histori'. Did you mean 'history'")
    assert message(mail.preprocess, "alimama", history=0) == "history is 0. Expected 1 to 100000."
    assert message(mail.preprocess, "alimama", temp_dir=3) == "temp_dir is 3. Expected a value of type Path."
    assert message(mail.preprocess, "alimama", temp_dir="no") == "temp_dir no: is not a folder. Create it first."
    assert message(mail.preprocess, "alimama", temp_dir="") == "temp_dir is ''. Expected a path."
    assert message(mail.preprocess, "a", name="b", schema="c.toml") == (
        "name b: with schema the argument 'a' is the dataset's name. Leave out name."
    )
    assert message(mail.preprocess, None) == "source is None. Expected a string."
    assert message(mail.preprocess, "alimama", name=5) == "name is 5. Expected a string."
    assert message(mail.preprocess, "alimama", raw=5) == "raw is 5. Expected a path."
    assert message(mail.preprocess, "alimama", schema="") == "schema is ''. Expected a path."
    assert message(mail.preprocess, "alimama", quiet="no") == "quiet is 'no'. Expected True or False."
    assert message(mail.simulate, None, users=20) == "source is None. Expected a string."
    assert message(mail.simulate, users=20, out="") == "out is ''. Expected a path."
    assert message(mail.load, "tiny", data_dir="no") == (
        "no: holds no dataset, and 'tiny' is needed. Make it with `mail preprocess`, or name its folder with data_dir."
    )
    assert message(mail.load, "tiny", data_dir=None) == "data_dir is None. Expected a path."
    assert message(mail.open_run, None) == "path is None. Expected a path."
    assert [path.name for path in (simulated / "data").iterdir()] == ["raw"]


def test_a_dataset_is_loaded_by_its_name(home: Path) -> None:
    with pytest.raises(mail.MailError) as error:
        mail.load(Path("data/tiny"))  # type: ignore[arg-type]
    expected = "name is PosixPath('data/tiny'). Expected the name of a dataset in data_dir, e.g. 'ml-100k'."
    assert error.value.message == expected
