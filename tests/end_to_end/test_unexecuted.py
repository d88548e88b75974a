"""Damaged checkpoints are skipped; nothing that is read is executed, and no archive is unpacked."""

from __future__ import annotations

import ast
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest

import mailcli
from mailcli.preprocessing.sources import _ml_100k_files
from mailcli.runs.checkpoints import Checkpoints, TrainingState
from tests.helpers.bad_checkpoints import BAD_CHECKPOINTS, Variable, checkpoint


@pytest.mark.parametrize("name", BAD_CHECKPOINTS)
def test_a_checkpoint_that_is_none_is_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    variables = [Variable(np.zeros((2, 3), np.float32)), Variable(np.zeros(4, np.int64))]
    (tmp_path / "step-5.npz").write_bytes(BAD_CHECKPOINTS[name])
    assert Checkpoints(tmp_path, variables).restore(10, steps_per_epoch=100) is None
    assert f"{tmp_path}/step-5.npz: is damaged; skipping it (" in capsys.readouterr().err
    assert not variables[0].values.any()
    (tmp_path / "step-4.npz").write_bytes(checkpoint())
    assert Checkpoints(tmp_path, variables).restore(10, steps_per_epoch=100) == TrainingState(1, 2, 2, 10)


PACKAGE = Path(mailcli.__file__).parent


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_nothing_that_is_read_is_executed_or_unpacked(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    assert not re.search(r"allow_pickle\s*=\s*True|safe_mode\s*=\s*False|shell\s*=\s*True", source)
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] + [getattr(node, "module", None) or ""]
            forbidden = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "yaml", "tarfile"}
            assert not forbidden & {name.split(".")[0] for name in names}
        if isinstance(node, ast.Call):
            called = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
            assert called not in {"extract", "extractall", "unpack_archive", "system", "popen", "load_model"} or (
                called == "extract" and "str.extract" in ast.unparse(node)
            )
            assert not (isinstance(node.func, ast.Name) and called in {"eval", "exec", "compile", "__import__"})


def test_an_archive_cannot_write_outside_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inside = "recbole/dataset_example/ml-100k/ml-100k"
    with zipfile.ZipFile(tmp_path / "wheel", "w") as archive:
        archive.writestr("../../escaped", "x")
        archive.writestr("/absolute", "x")
        archive.writestr(f"{inside}.inter", "user_id:t\titem_id:t\trating:f\ttimestamp:f\n1\t1\t5\t7\n")
        archive.writestr(f"{inside}.user", "user_id:t\tage:t\tgender:t\toccupation:t\tzip_code:t\n1\t2\tM\tx\t9\n")
        archive.writestr(f"{inside}.item", "item_id:t\tmovie_title:t\trelease_year:t\tclass:t\n1\tx\t1999\tDrama\n")
    before = sorted(tmp_path.parent.rglob("*"))
    ratings, _, _ = _ml_100k_files.read_package(tmp_path / "wheel")
    assert ratings.to_numpy().tolist() == [[1, 1, 5, 7]]
    assert sorted(tmp_path.parent.rglob("*")) == before
