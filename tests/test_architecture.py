"""What the project promises about its own code."""

from __future__ import annotations

import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "mailcli"

ROOT = PACKAGE.parent


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def test_the_top_holds_eleven_packages_and_few_modules() -> None:
    packages = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert packages == {
        *("cli", "experiments", "reporting", "serving", "training", "simulation"),
        *("models", "preprocessing", "data", "metrics", "utils"),
    }
    assert len(list(PACKAGE.glob("[!_]*.py"))) <= 5


def contracts(tmp_path: Path, *planted: tuple[str, str]) -> subprocess.CompletedProcess[str]:
    """The import contracts of setup.cfg, checked on a copy with lines added to modules."""
    shutil.copytree(PACKAGE, tmp_path / "mailcli", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "setup.cfg", tmp_path)
    for module, line in planted:
        with open(tmp_path / "mailcli" / module, "a", encoding="utf-8") as file:
            file.write(line)
    command = [
        sys.executable,
        "-c",
        "from importlinter.cli import lint_imports_command; lint_imports_command()",
        "--no-cache",
    ]
    return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)


def test_the_import_contracts_are_kept(tmp_path: Path) -> None:
    done = contracts(tmp_path)
    assert done.returncode == 0, done.stdout
    assert "3 kept, 0 broken" in done.stdout


@pytest.mark.parametrize(
    ("module", "line", "broken"),
    [
        ("data/batches.py", "from mailcli.training import loop\n", "Data flows one way"),
        ("utils/files.py", "def f():\n    from mailcli.config import RunConfig\n", "Data flows one way"),
        ("models/rankers/din.py", "from mailcli.models.coldstart import mail\n", "Rankers and cold-start methods"),
        ("metrics/auc.py", "from mailcli.metrics import statistics\n", "No cycles"),
    ],
)
def test_a_planted_import_breaks_a_contract(tmp_path: Path, module: str, line: str, broken: str) -> None:
    done = contracts(tmp_path, (module, line))
    assert done.returncode == 1
    assert re.search(f"{broken}.* BROKEN", done.stdout), done.stdout


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_is_small(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 350


def test_the_median_module_is_small() -> None:
    assert statistics.median(len(path.read_text(encoding="utf-8").splitlines()) for path in modules()) <= 120


@pytest.mark.parametrize(
    "command",
    [
        [],
        *(
            [c]
            for c in (
                *("preprocess", "simulate", "describe", "train", "evaluate", "ablate", "compare", "models"),
                *("export", "score"),
            )
        ),
        ["schema", "init"],
    ],
)
def test_help_does_not_import_what_is_slow(command: list[str]) -> None:
    code = (
        "import sys\nfrom mailcli.cli import main\n"
        f"try: main({[*command, '--help']!r})\nexcept SystemExit as end: assert end.code == 0\n"
        "slow = {'tensorflow', 'keras', 'pandas', 'numpy', 'sklearn', 'scipy', 'rich', 'duckdb', 'pyarrow'}\n"
        "assert not slow & set(sys.modules), slow & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Usage:" in done.stdout


def test_describe_does_not_import_tensorflow(data_dir: Path) -> None:
    code = (
        "import sys\nfrom mailcli.cli import main\n"
        f"try: main(['describe', '--data-dir', {str(data_dir)!r}])\nexcept SystemExit as end: assert end.code == 0\n"
        "assert 'tensorflow' not in sys.modules"
    )
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "tiny (simulated)" in done.stdout
