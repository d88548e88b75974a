"""What the shell offers after TAB."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import BashComplete

from mailcli.cli import main
from tests.helpers.run_folders import begin_run

ROOT = Path(__file__).parent.parent.parent


def offered(*words: str) -> list[str]:
    """What TAB offers after these words, the last of which is being typed."""
    completion = BashComplete(main, {}, "mail", "_MAIL_COMPLETE")
    return [item.value for item in completion.get_completions(list(words[:-1]), words[-1])]


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["train", "--ranker", "d"], ["dcnv2", "deepfm", "din", "dmr"]),
        (["train", "--ranker", "item-r"], ["item-rate"]),
        (["train", "--cold-start", "m"], ["mail", "mail-pooled", "mail-softmax", "masked", "match", "metaemb"]),
        (["train", "--cold-start", "mail", "--variant", ""], ["none", "single", "dual", "base"]),
        (["train", "--protocol", "s"], ["strict"]),
        (["train", "--set", "cold_start.ra"], ["cold_start.rate=", "cold_start.rank="]),
        (["train", "--precision", ""], ["float32", "bfloat16"]),
        (["compare", "--rows", "DMR,MAIL-D"], ["DMR,MAIL-DMR", "DMR,MAIL-Dual"]),
        (["ablate", "--variants", "none,s"], ["none,single"]),
        (["runs", "list", "--format", "j"], ["json"]),
        (["evaluate", "--columns", "auc,l"], ["auc,logloss"]),
        (["plot", "f"], ["forest"]),
        (["preprocess", "k"], ["kuairand-pure"]),
        (["settings", "ep"], ["epochs"]),
        (["runs", ""], ["compare", "list", "rm", "show"]),
        (["train", "--ranker", "xyz"], []),
    ],
    ids=" ".join,
)
def test_names(home: Path, words: list[str], names: list[str]) -> None:
    assert offered(*words) == names


def test_datasets_of_the_data_folder(home: Path) -> None:
    for folder in ("data/ml-100k", "data/alimama", "elsewhere/mine"):
        Path(folder).mkdir(parents=True)
        Path(folder, "dataset.json").touch()
    assert offered("train", "--data", "") == ["alimama", "ml-100k"]
    assert offered("train", "--data-dir", "elsewhere", "--data", "") == ["mine"]
    assert offered("describe", "m") == ["ml-100k"]
    assert offered("run", "FILE", "--data", "a") == ["alimama"]


def test_runs(home: Path) -> None:
    runs = [str(begin_run(seed)) for seed in (0, 1, 10)]
    for words in (["runs", "show"], ["runs", "rm", runs[0]], ["evaluate"], ["export"], ["train", "--continue"]):
        assert offered(*words, "runs/t") == runs, words
    assert offered("plot", "forest", "") == runs
    Path("runs").rename("mine")
    assert offered("evaluate", "--runs", "mine", "mine") == [run.replace("runs", "mine", 1) for run in runs]
    completion = BashComplete(main, {}, "mail", "_MAIL_COMPLETE")
    (item,) = completion.get_completions(["audit"], "oth")
    assert (item.type, item.value) == ("dir", "oth"), "the shell completes the names of folders"


def test_the_line_of_the_documentation_in_bash(home: Path) -> None:
    """Installed in a real shell, with this code as `mail`."""
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("there is no bash")
    (home / "bin").mkdir()
    program = home / "bin" / "mail"
    program.write_text(f"#!{sys.executable}\nfrom mailcli.cli import main\nmain()\n")
    program.chmod(0o755)
    line = 'eval "$(_MAIL_COMPLETE=bash_source mail)"'
    assert line in (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    script = (
        f"{line}\ncomplete -p mail\nCOMP_WORDS=(mail train --ranker dm) COMP_CWORD=3\n_mail_completion mail dm\n"
        'echo "${COMPREPLY[@]}"'
    )
    environment = {**os.environ, "PATH": f"{home / 'bin'}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    done = subprocess.run([bash, "-c", script], capture_output=True, text=True, check=False, env=environment)
    assert done.stdout.splitlines() == ["complete -o nosort -F _mail_completion mail", "dmr"], done.stderr
