"""What the project promises about its own code."""

from __future__ import annotations

import ast
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "mailcli"

#: The order in which data flows, by theme (README, "Develop"); a module imports only what stands above it.
# fmt: off
ORDER = [
    # errors, files, settings, plugins
    "errors", "files", "progress", "ahead", "hardware", "quiet", "plugins", "config",
    # datasets: format and checks
    "schema", "hashing", "metrics", "bootstrap", "stages", "manifest", "columns", "store", "storewriter",
    "marker", "growth",
    # schema files
    "section", "mapping", "mapfields", "contradictions", "mapfile",
    # raw files to datasets
    "engines", "engines.duckdb", "engines.spark", "csvfile", "vocabulary", "histories", "sources", "sources.alimama",
    "located", "scan", "unusable", "mapped", "tablefaults", "maptables", "splits", "sources.tabular",
    "sources.ml_100k", "rejects", "matching", "staging", "build", "summary", "preprocess",
    # proposals of schema files
    "profiles", "samples", "roles", "fieldlines", "proposal",
    # the simulator
    "latent", "simulation",
    # who is new, batches
    "protocol", "batches",
    # models: contracts and parts
    "contracts", "replicas", "rows", "embedding", "layers", "losses", "towers", "virtual",
    # rankers
    "rankers", "rankers.base", "rankers.dcnv2", "rankers.deepfm", "rankers.din", "rankers.dmr", "rankers.emblr",
    "rankers.esmm", "rankers.widedeep",
    # cold-start methods
    "coldstart", "coldstart.none", "coldstart.mail", "coldstart.conse", "coldstart.cvae", "coldstart.dropout",
    "coldstart.eszsl", "coldstart.llae", "coldstart.metaemb",
    # the two towers and their optimizers
    "optimizers", "model",
    # runs: training, checkpoints, evaluation
    "among", "evaluation", "runs", "checkpoints", "origins", "interrupt", "loop", "watching", "training",
    "experiments", "rescoring", "board", "pool", "matrix",
    # several machines
    "cluster", "meeting", "workers",
    # serving
    "lookups", "signatures", "serving", "export", "faults", "impressions", "scoring",
    # tables
    "intervals", "paper", "tables", "report",
    # the simulated A/B test
    "truth", "lifts", "policies", "abtest", "sheets", "abtable",
    # daily retraining
    "retraining",
    # experiments, searches, figures
    "plans", "archive", "tuning", "figures", "plots", "plots.forest", "plots.loss", "plots.tsne", "plots.nearness",
    "plots.warmup", "results", "describe",
    # the command line
    "options", "commands", "commands.abtest", "commands.schema", "commands.export", "commands.score",
    "commands.ablate", "commands.compare", "commands.describe", "commands.evaluate", "commands.models",
    "commands.plot", "commands.preprocess", "commands.results", "commands.run", "commands.simulate", "commands.train",
    "commands.tune", "cli",
]
# fmt: on


def module_name(path: Path) -> str:
    name = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
    return name.removesuffix(".__init__")


def modules() -> list[Path]:
    return [path for path in sorted(PACKAGE.rglob("*.py")) if path != PACKAGE / "__init__.py"]


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "mailcli":
            base = node.module.removeprefix("mailcli").removeprefix(".")
            names = [f"{base}.{alias.name}".strip(".") for alias in node.names]
            found |= {name if name in ORDER else base for name in names} - {""}
    return found


def test_the_order_names_every_module() -> None:
    assert sorted(ORDER) == sorted(module_name(path) for path in modules())


@pytest.mark.parametrize("path", modules(), ids=module_name)
def test_a_module_imports_only_from_above(path: Path) -> None:
    name = module_name(path)
    below = {other for other in imports(path) if ORDER.index(other) >= ORDER.index(name)}
    assert not below, f"{name} imports {below}"


@pytest.mark.parametrize("path", modules(), ids=module_name)
def test_modules_are_small(path: Path) -> None:
    assert len(path.read_text().splitlines()) < 400


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
