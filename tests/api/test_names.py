"""What `import mailcli as mail` offers, and that the import itself takes no time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import mailcli as mail

ROOT = Path(__file__).parent.parent.parent


def test_every_name_is_there() -> None:
    assert {name: callable(getattr(mail, name)) for name in mail.__all__} == dict.fromkeys(mail.__all__, True)
    assert set(mail.__all__) <= set(dir(mail))


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(AttributeError, match=r"^module 'mailcli' has no attribute 'trian'$"):
        mail.trian  # type: ignore[attr-defined]  # noqa: B018


def test_each_name_is_imported_when_it_is_used(data_dir: Path) -> None:
    code = (
        "import sys\nimport mailcli as mail\n"
        "modules = [name for name in sys.modules if name.startswith('mailcli')]\n"
        "assert modules == ['mailcli'], modules\n"
        f"data = mail.load('tiny', {str(data_dir)!r})\n"
        "slow = {'tensorflow', 'keras', 'pandas', 'sklearn', 'scipy', 'rich', 'duckdb', 'matplotlib'}\n"
        "assert not slow & set(sys.modules), slow & set(sys.modules)\n"
        "mail.train, mail.open_run\n"
        "assert 'tensorflow' not in sys.modules\n"
        "print(data.name, mail.auc([0, 1], [.1, .2]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "tiny 1.0\n"


@pytest.mark.slow
def test_type_checkers_know_the_names(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import mailcli as mail\n"
        "run: mail.Run = mail.train(mail.load('tiny'), epochs=1)\n"
        "reveal_type(run.table())\n"
        "mail.trian\n"
    )
    command = [sys.executable, "-m", "mypy", "--config-file", str(ROOT / "setup.cfg"), str(script)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert 'Revealed type is "pandas.core.frame.DataFrame"' in done.stdout.replace("DataFrame.DataFrame", "DataFrame")
    assert 'script.py:4: error: Module has no attribute "trian"' in done.stdout
    assert "Found 1 error" in done.stdout


def test_auc_and_gauc_by_hand() -> None:
    # User 1: the click is above one non-click and tied with the other, so 1.5 / 2; user 2: the click is below, 0 / 1.
    users, clicks, scores = [1, 1, 1, 2, 2], [1, 0, 0, 1, 0], [0.5, 0.5, 0.1, 0.2, 0.6]
    # Of 2 clicks x 3 non-clicks: .5 is tied, above .1, below .6 (1.5); .2 is above .1 alone (1).
    assert mail.auc(clicks, scores) == 2.5 / 6
    assert mail.gauc(users, clicks, scores).value == (3 * 0.75 + 2 * 0) / 5
