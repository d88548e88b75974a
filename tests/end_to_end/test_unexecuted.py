"""Damaged checkpoints are left out; nothing that is read is executed, and no archive is unpacked."""

from __future__ import annotations

import ast
import io
import json
import pickle
import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import mailcli
from mailcli.preprocessing.sources import ml_100k
from mailcli.training.checkpoints import Checkpoints, TrainingState
from tests.helpers.hostile import Trap, saved


class Variable:
    """As Keras has it, as far as checkpoints need it."""

    def __init__(self, values: NDArray) -> None:
        self.values, self.shape, self.dtype = values, values.shape, values.dtype

    def assign(self, values: NDArray) -> None:
        self.values = values

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray:
        return self.values


def progress_of(**changes: Any) -> NDArray:
    right = {"epoch": 1, "step": 2, "steps": 2, "history_bytes": 10, "best": {"best_epoch": 0}}
    return np.frombuffer(json.dumps({**right, **changes}).encode(), np.uint8)


def packed(changes: dict[str, Any] | None = None, compress: bool = False) -> bytes:
    arrays = {"progress": progress_of(), "0": np.ones((2, 3), np.float32), "1": np.ones(4, np.int64), **(changes or {})}
    file = io.BytesIO()
    (np.savez_compressed if compress else np.savez)(file, **arrays)  # type: ignore[arg-type]
    return file.getvalue()


WRONG_STEPS: list[Any] = [-1, "1", 1.5, None, True, []]
BAD_CHECKPOINTS = {
    "empty": b"",
    "cut": packed()[:-100],
    "no zip": b"x" * 500,
    "a bit": packed().replace(np.ones(4, np.int64).tobytes(), np.arange(4, dtype=np.int64).tobytes()),
    "an array": saved(np.ones(3)),
    "a pickle": pickle.dumps(Trap()),
    "objects": packed({"0": np.array([Trap()], object)}),
    "object progress": packed({"progress": np.array(Trap(), object)}),
    "compressed": packed(compress=True),
    "other shape": packed({"0": np.ones((3, 2), np.float32)}),
    "other type": packed({"0": np.ones((2, 3))}),
    "an array more": packed({"2": np.ones(1)}),
    "another name": packed({"../x": np.ones(1)}),
    **{
        f"{key} is {value!r}": packed({"progress": progress_of(**{key: value})})
        for key in ("epoch", "step", "steps", "history_bytes")
        for value in WRONG_STEPS
    },
    "history_bytes too many": packed({"progress": progress_of(history_bytes=10**30)}),
    **{
        f"best {number}": packed({"progress": progress_of(best=best)})
        for number, best in enumerate([None, {}, 5, {"best_epoch": -1}, {"best_epoch": 9}, {"best_epoch": 1}])
    },
    "a key more": packed({"progress": progress_of(more=1)}),
    "deep": packed({"progress": np.frombuffer(b"[" * 100_000, np.uint8)}),
    "not utf-8": packed({"progress": np.frombuffer(b"\xff\xfe", np.uint8)}),
}


@pytest.mark.parametrize("name", BAD_CHECKPOINTS)
def test_a_checkpoint_that_is_none_is_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    variables = [Variable(np.zeros((2, 3), np.float32)), Variable(np.zeros(4, np.int64))]
    (tmp_path / "step-5.npz").write_bytes(BAD_CHECKPOINTS[name])
    assert Checkpoints(tmp_path, variables).restore(10, steps_per_epoch=100) is None
    assert f"{tmp_path}/step-5.npz: is damaged; skipping it (" in capsys.readouterr().err
    assert not variables[0].values.any()
    (tmp_path / "step-4.npz").write_bytes(packed())
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
            wrong = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "yaml", "tarfile"}
            assert not wrong & {name.split(".")[0] for name in names}
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
