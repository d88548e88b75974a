"""What all commands share: help, `-v` and `-q`, the second console script."""

from __future__ import annotations

import logging
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

import mailcli.cli
from mailcli.cli import main
from mailcli.errors import MailError
from mailcli.utils import progress
from tests.helpers.command_line import COMMANDS, SMALL, mail, typed


def test_what_an_editor_leaves_next_to_a_command_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (".#train.py", "._train.py", "_tables.py"):
        (tmp_path / name).write_bytes(b"\0")
    monkeypatch.setattr(mailcli.cli, "__file__", str(tmp_path / "__init__.py"))
    monkeypatch.setattr(main, "params", list(main.params))
    # It would import them, and fail.
    mailcli.cli._add_commands()


@pytest.mark.parametrize("arguments", [[], ["schema"]])
def test_a_group_without_a_command_shows_its_help(home: Path, arguments: list[str]) -> None:
    done = mail(*arguments)
    assert done.stderr.startswith(f"Usage: {' '.join(['mail', *arguments])} [OPTIONS] COMMAND")


def test_names_and_required_options_are_in_the_help() -> None:
    for command in ("train", "tune"):
        text = " ".join(mail(command, "--help").stdout.split())
        assert "Variant of MAIL: 'none', 'single', 'dual', 'base'. [default: base]" in text
        assert (
            "Cold-start method: 'conse', 'cvae', 'cvar', 'dropout', 'eszsl', 'llae', 'mail', 'mail-pooled', 'mail-softmax', 'masked', 'match', 'metaemb', 'neighbors', 'none', 'pfd', 'poso', 'prior'"
            in text
        )
    assert "LOW..HIGH, log:LOW..HIGH, or A|B|C; repeatable. [required without FILE]" in text
    text = " ".join(mail("simulate", "--help").stdout.split())
    assert "--seed INTEGER Random seed: the same seed writes the same files. [default: 0]" in text


@pytest.mark.parametrize("command", COMMANDS, ids=typed)
def test_no_line_of_a_help_is_cut_at_80_columns(command: list[str]) -> None:
    done = CliRunner().invoke(main, [*command, "--help"], terminal_width=80)
    assert done.exit_code == 0
    assert done.stdout.startswith(f"Usage: {typed(command)} ")
    # After a metavar, dots say that the option may be repeated.
    assert not re.search(r"[^A-Z\]\s,]\s*\.\.\.", done.stdout)


def test_the_help_of_mail_fits_a_screen() -> None:
    done = CliRunner().invoke(main, ["--help"], terminal_width=80)
    assert len(done.stdout.splitlines()) <= 40


@pytest.mark.parametrize("command", [["--help"], ["-q", "train", "--help"]])
def test_python_m_mailcli_is_the_same_command(command: list[str]) -> None:
    done = subprocess.run([sys.executable, "-m", "mailcli", *command], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    names = [name for name in command if name[0] != "-"]
    assert done.stdout.startswith(f"Usage: {' '.join(['mailcli', *names])} [OPTIONS]")


class TestVerbosity:
    """`-v` and `-q`; tests/cli/test_debug.py has `--debug`."""

    @pytest.mark.parametrize("command", COMMANDS, ids=typed)
    def test_every_command_has_them(self, command: list[str]) -> None:
        text = mail(*command, "--help").stdout
        assert re.search(r"^  -v, --verbose +Show debug messages\.$", text, re.MULTILINE)
        assert re.search(r"^  -q, --quiet +Show only warnings", text, re.MULTILINE)
        assert re.search(r"^  --debug +Show the traceback of an error, too\.$", text, re.MULTILINE)

    @pytest.fixture
    def with_messages(self, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
        """Runs `mail models`, which logs a message of each level and shows progress, and returns its stderr."""
        logger = logging.getLogger("mailcli.reporting.model_list")

        def log() -> None:
            for level in ("debug", "info", "warning", "error"):
                getattr(logger, level)(f"a message of level {level}")
            with progress.progress("epoch 1", 10, "impressions") as advance:
                advance(5)

        monkeypatch.setattr("mailcli.reporting.model_list.print_models", log)
        monkeypatch.setattr(progress, "SECONDS_PER_LINE", 0.0)
        return lambda *arguments: mail(*arguments).stderr.splitlines()

    @pytest.mark.parametrize(
        ("option", "levels"),
        [
            ([], ["info", "warning", "error"]),
            *((flag, ["warning", "error"]) for flag in (["-q"], ["--quiet"])),
            *((flag, ["debug", "info", "warning", "error"]) for flag in (["-v"], ["--verbose"])),
        ],
    )
    @pytest.mark.parametrize("after", [False, True], ids=["before the name", "after the name"])
    def test_messages_by_level(
        self, with_messages: Callable[..., list[str]], option: list[str], levels: list[str], after: bool
    ) -> None:
        lines = with_messages(*(["models", *option] if after else [*option, "models"]))
        assert [line.rpartition(" ")[2] for line in lines if "a message of" in line] == levels
        assert any(line.startswith("epoch 1: 50%") for line in lines) == ("info" in levels)

    def test_an_error_is_shown_in_every_case(self, home: Path) -> None:
        for arguments in (["-q", "evaluate"], ["evaluate", "-q"], ["evaluate"]):
            assert mail(*arguments).stderr == "Error: runs: holds no finished run. Make one with `mail train`.\n"

    def test_a_quiet_training_prints_only_its_table(self, with_data: Path) -> None:
        done = mail("train", *SMALL, "-q")
        assert done.exit_code == 0, done.output
        assert "BaseDNN" in done.stdout
        assert done.stderr == ""

    def test_verbose_says_which_version_and_settings_are_used(self, with_data: Path) -> None:
        done = mail("train", *SMALL, "--set", "seed=x", "-v")
        assert re.match(r"mail train: mail [0-9.]+\S*, Python 3\.", done.stderr)
        done = mail("train", "--devices", "9999", *SMALL, "-v")
        assert done.exit_code == MailError.exit_code
        assert re.search(r"^base\+none on data/tiny: RunConfig\(data='tiny', ", done.stderr, re.MULTILINE)
