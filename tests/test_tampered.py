"""Stores, runs and checkpoints that somebody changed: noticed in one line, never a wrong table, nothing executed."""

from __future__ import annotations

import ast
import copy
import io
import json
import pickle
import re
import shutil
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import tests
from mailcli.checkpoints import Checkpoints, Progress
from mailcli.errors import MailError
from mailcli.manifest import OWN_CHECKSUM, seal
from mailcli.sources import ml_100k
from mailcli.store import Store
from tests import alimama
from tests.hostile import Damage, mail, put, use_all

COLUMNS = [
    *(f"users/{name}" for name in ("raw", "user", "age_level", "new_user_class_level")),
    *(f"items/{name}" for name in ("raw", "item", "cate", "brand", "campaign", "customer", "price")),
    *(f"behaviors/{name}" for name in ("cate", "brand", "action", "time", "offsets")),
    *(f"{split}/{name}" for split in ("train", "test") for name in ("user", "item", "click", "time", "history_end")),
    *(f"train/{name}" for name in ("pid", "hour", "weekday")),
    *(f"vocabularies/{name}" for name in ("user", "pid", "cate")),
]


class Trap:
    """What a pickle would call."""

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return (pytest.fail, ("a pickle was executed",))


def saved(values: Any, **options: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, values, **options)
    return file.getvalue()


def values_of(data: bytes) -> NDArray:
    return np.load(io.BytesIO(data))


def one_bit(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


DAMAGES: dict[str, Damage] = {
    "empty": lambda data: b"",
    "cut in the header": lambda data: data[:50],
    "cut in the values": lambda data: data[:-1],
    "longer": lambda data: data + b"\0",
    "a row less": lambda data: saved(values_of(data)[:-1]),
    "one bit": one_bit,
    "other bytes first": lambda data: b"PK\x03\x04" + data[4:],
    "a huge shape": lambda data: re.sub(rb"\((\d+),", b"(9999999999,", data, count=1),
    "a negative shape": lambda data: re.sub(rb"\((\d+),", b"(-1,", data, count=1),
    "backwards": lambda data: saved(values_of(data)[::-1].copy()),
    "the other byte order": lambda data: saved(values_of(data).astype(values_of(data).dtype.newbyteorder(">"))),
    "floats": lambda data: saved(np.full(len(values_of(data)), np.nan)),
    "objects": lambda data: saved(np.array([Trap()] * len(values_of(data)), object), allow_pickle=True),
    "a pickle": lambda data: pickle.dumps(Trap()),
    "brackets": lambda data: data[:10] + b"(" * 100 + data[110:],
    "code in the header": lambda data: data[:10] + b"__import__('os').abort() #" + data[36:],
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A small store in a data folder of its own."""
    home = tmp_path_factory.mktemp("tampered")
    rows = alimama.good_rows()
    rows["behavior_log"] += [f"1,{alimama.START - 30 + step},pv,{step},9" for step in range(20)]
    shown = alimama.both_classes(2, 11, 0) + alimama.rest(3, 12)
    rows["raw_sample"] += [f"{u},{t},{ad},430548_1008,{1 - click},{click}" for u, t, ad, click in shown]
    rows["ad_feature"] += ["11,501,2,2,601,8.5", "12,502,3,3,602,7.5"]
    rows["user_profile"] += ["2,1,2,2,2,1,2,1,1", "3,2,3,1,3,2,3,0,2"]
    alimama.write_rows(home / "raw", rows)
    assert mail("preprocess", "alimama", "--raw", home / "raw", "--data-dir", home / "data", "--name", "s") is None
    return Store(home / "data" / "s")


@pytest.fixture
def store(made: Store) -> Iterator[Path]:
    """Its folder; what a test changes is put back."""
    before = {path: path.read_bytes() for path in made.folder.rglob("*") if path.is_file()}
    yield made.folder
    for path, data in before.items():
        if not path.is_file() or path.read_bytes() != data:
            put(path, data)


def refusal(folder: Path) -> str:
    with pytest.raises(MailError) as error:
        use_all(Store(folder))
    return error.value.message


def test_the_store_is_whole(made: Store) -> None:
    assert use_all(Store(made.folder)) > len(COLUMNS)
    assert mail("describe", "--data-dir", made.folder.parent) is None


@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize("name", DAMAGES)
def test_a_changed_column(store: Path, name: str, column: str) -> None:
    path = store / f"{column}.npy"
    data = path.read_bytes()
    changed = DAMAGES[name](data)
    put(path, changed)
    if changed == data or (name == "backwards" and changed[-100:] == data[-100:]):
        assert use_all(Store(store))  # the same table
    else:
        assert refusal(store).startswith(f"{path}: the column cannot be read (")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("users/age_level", "users/cms_group_id"),
        ("users/occupation", "users/final_gender_code"),
        ("behaviors/cate", "behaviors/brand"),
        ("items/campaign", "items/customer"),
        ("train/user", "train/item"),
        ("train/time", "train/history_end"),
        ("train/click", "train/pid"),
        ("train/click", "test/click"),
        ("behaviors/time", "behaviors/offsets"),
    ],
)
def test_swapped_columns(store: Path, one: str, other: str) -> None:
    first, second = store / f"{one}.npy", store / f"{other}.npy"
    data = first.read_bytes(), second.read_bytes()
    first.write_bytes(data[1])
    second.write_bytes(data[0])
    if data[0] == data[1]:
        assert use_all(Store(store))
    else:
        assert ": the column cannot be read (" in refusal(store)


Change = Callable[[dict[str, Any]], object]
KEYS = [
    "format",
    "name",
    "source",
    "simulation",
    "history",
    "vocabulary_sizes",
    "counts",
    "schema",
    "columns",
    "checksum",
]
WRONG: list[Any] = ["x", -1, 2**70, 1.5, True, [], {}, [[]], "9" * 100]
CHANGES: dict[str, Change] = {
    **{f"{key} deleted": lambda m, key=key: m.pop(key) for key in KEYS},
    **{
        f"{key} is {str(value)[:9]!r}": lambda m, key=key, value=value: m.update({key: value})
        for key in KEYS
        for value in WRONG
        if not (key in {"name", "source"} and isinstance(value, str))
    },
    **{f"counts.{key} is {value!r}": lambda m, key=key, value=value: m["counts"].update({key: value})
       for key in ("users", "train", "train_clicks", "users_without_history") for value in (-1, None, "5", 10**30, 1.0)},
    **{f"size is {value!r}": lambda m, value=value: m["vocabulary_sizes"].update(cate=value) for value in (0, -1, 10**30, "5")},
    "another name": lambda m: m.update(name="other"),
    "a longer history": lambda m: m.update(history=1000),
    "another key": lambda m: m.update(more=1),
    "said to be real": lambda m: m.update(simulation={}),
    "a field in another group": lambda m: m["schema"]["fields"][1].update(group="context"),
    "a field out of its folder": lambda m: m["schema"]["fields"][1].update(name="../../raw"),
    "a field of no values": lambda m: m["schema"]["fields"][1].update(values=0),
    "a field with a key more": lambda m: m["schema"]["fields"][1].update(more=0),
    "no fields": lambda m: m["schema"].update(fields=[]),
    "an action more": lambda m: m["schema"].update(actions=["a", "b", "c", "d", "e"]),
    "another label": lambda m: m["schema"].update(labels=["buy"]),
    "a column's checksum": lambda m: m["columns"].update({"train/click": 1}),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_a_changed_description(store: Path, name: str) -> None:
    path = store / "dataset.json"
    manifest = json.loads(path.read_text())
    CHANGES[name](manifest)
    path.write_text(json.dumps(manifest))
    told = mail("describe", "--data-dir", store.parent)
    assert told
    assert told.startswith(f"{path}: ")
    assert told.endswith("Make the store again with `mail preprocess`.")


#: Those that change nothing that a table depends on, once the checksum is made to fit.
HARMLESS = {"checksum deleted", "another name", "another key", "a longer history", "said to be real",
            "simulation is '{}'", "an action more"}  # fmt: skip


@pytest.mark.parametrize("name", [name for name in CHANGES if not name.startswith("checksum")])
def test_a_description_that_is_forged_with_its_checksum(store: Path, name: str) -> None:
    path = store / "dataset.json"
    manifest = json.loads(path.read_text())
    del manifest[OWN_CHECKSUM]
    change = copy.deepcopy(manifest)
    CHANGES[name](change)
    path.write_text(json.dumps(seal(change)))
    if mail("describe", "--data-dir", store.parent) is None and name not in HARMLESS:
        refusal(store)


RAW_JSON = {"empty": b"", "cut": b'{"format": 3', "a list": b"[]", "nan": b'{"format": NaN}', "digits": b"1" * 5000,
            "deep": b"[" * 100_000, "utf-16": '{"format": 3}'.encode("utf-16"), "NUL": b"\0", "pickle": pickle.dumps(1),
            "null": b"null", "text": b'"x"'}  # fmt: skip


@pytest.mark.parametrize("name", RAW_JSON)
def test_a_description_that_is_none(store: Path, name: str) -> None:
    (store / "dataset.json").write_bytes(RAW_JSON[name])
    told = mail("describe", "--data-dir", store.parent)
    assert told
    assert ": is not a store's description (" in told


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


def packed(compress: bool = False, **changes: Any) -> bytes:
    arrays = {"progress": progress_of(), "0": np.ones((2, 3), np.float32), "1": np.ones(4, np.int64), **changes}
    file = io.BytesIO()
    (np.savez_compressed if compress else np.savez)(file, **arrays)  # type: ignore[arg-type]
    return file.getvalue()


BAD_CHECKPOINTS = {
    "empty": b"",
    "cut": packed()[:-100],
    "no zip": b"x" * 500,
    "a bit": packed().replace(np.ones(4, np.int64).tobytes(), np.arange(4, dtype=np.int64).tobytes()),
    "an array": saved(np.ones(3)),
    "a pickle": pickle.dumps(Trap()),
    "objects": packed(**{"0": np.array([Trap()], object)}),
    "object progress": packed(progress=np.array(Trap(), object)),
    "compressed": packed(compress=True),
    "other shape": packed(**{"0": np.ones((3, 2), np.float32)}),
    "other type": packed(**{"0": np.ones((2, 3))}),
    "an array more": packed(**{"2": np.ones(1)}),
    "another name": packed(**{"../x": np.ones(1)}),
    **{
        f"{key} is {value!r}": packed(progress=progress_of(**{key: value}))
        for key in ("epoch", "step", "steps", "history_bytes")
        for value in (-1, "1", 1.5, None, True, [])
    },
    "history_bytes too many": packed(progress=progress_of(history_bytes=10**30)),
    **{
        f"best {number}": packed(progress=progress_of(best=best))
        for number, best in enumerate([None, {}, 5, {"best_epoch": -1}, {"best_epoch": 9}, {"best_epoch": 1}])
    },
    "a key more": packed(progress=progress_of(more=1)),
    "deep": packed(progress=np.frombuffer(b"[" * 100_000, np.uint8)),
    "not utf-8": packed(progress=np.frombuffer(b"\xff\xfe", np.uint8)),
}


@pytest.mark.parametrize("name", BAD_CHECKPOINTS)
def test_a_checkpoint_that_is_none_is_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    variables = [Variable(np.zeros((2, 3), np.float32)), Variable(np.zeros(4, np.int64))]
    (tmp_path / "step-5.npz").write_bytes(BAD_CHECKPOINTS[name])
    assert Checkpoints(tmp_path, variables).restore(10) is None
    assert f"{tmp_path}/step-5.npz: is damaged and left out (" in capsys.readouterr().err
    assert not variables[0].values.any()
    (tmp_path / "step-4.npz").write_bytes(packed())
    assert Checkpoints(tmp_path, variables).restore(10) == Progress(1, 2, 2, 10)


SMALL = ["--set", "epochs=1", "--set", "batch_size=256", "--set", "embedding_dim=4", "--set", "history=3",
         "--set", "ranker.units=4"]  # fmt: skip


@pytest.fixture(scope="module")
def finished(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one finished run."""
    runs = tmp_path_factory.mktemp("finished")
    assert mail("train", *SMALL, "--data-dir", data_dir, "--runs", runs) is None
    return runs


def result_with(**changes: Any) -> Damage:
    return lambda data: json.dumps({**json.loads(data), **changes}).encode()


RUNS: dict[str, tuple[str, Damage]] = {
    **{f"result: {name}": ("result.json", lambda data, raw=raw: raw) for name, raw in RAW_JSON.items()},
    "result: of another seed": ("result.json", result_with(seed=3)),
    "result: of another cell": ("result.json", result_with(cell="dmr+none")),
    "result: of another protocol": ("result.json", result_with(protocol="strict")),
    "result: an AUC of 5": ("result.json", lambda data: re.sub(rb'"AUC": [\d.]+', b'"AUC": 5', data)),
    "result: a negative AUC": ("result.json", lambda data: re.sub(rb'"AUC": ', b'"AUC": -', data)),
    "result: an AUC as text": ("result.json", lambda data: re.sub(rb'"AUC": [\d.]+', b'"AUC": "x"', data)),
    "result: no test": ("result.json", result_with(test=None)),
    "result: no users": ("result.json", result_with(test={})),
    "config: empty": ("config.toml", lambda data: b""),
    "config: not utf-8": ("config.toml", lambda data: b"\xff" + data),
    "config: cut": ("config.toml", lambda data: data[:-3]),
    "config: another setting": ("config.toml", lambda data: data.replace(b"epochs = 1", b"epochs = 2")),
    "config: a wrong type": ("config.toml", lambda data: data.replace(b"epochs = 1", b"epochs = []")),
    "config: another dataset": ("config.toml", lambda data: data.replace(b'_sha256 = "', b'_sha256 = "0')),
}


@pytest.mark.parametrize("name", RUNS)
def test_a_changed_run(finished: Path, data_dir: Path, tmp_path: Path, name: str) -> None:
    shutil.copytree(finished, tmp_path / "runs")
    file, damage = RUNS[name]
    (path,) = (tmp_path / "runs").rglob(file)
    path.write_bytes(damage(path.read_bytes()))
    told = mail("train", *SMALL, "--data-dir", data_dir, "--runs", tmp_path / "runs")
    assert told
    assert told.startswith(str(path if file == "result.json" or "cannot be read" in told else path.parent))


@pytest.mark.parametrize("name", ["empty", "cut", "garbage", "directory"])
def test_weights_that_are_none(finished: Path, data_dir: Path, tmp_path: Path, name: str) -> None:
    shutil.copytree(finished, tmp_path / "runs")
    (path,) = (tmp_path / "runs").rglob("best.weights.h5")
    data = path.read_bytes()
    path.unlink()
    if name == "directory":
        path.mkdir()
    else:
        path.write_bytes({"empty": b"", "cut": data[: len(data) // 2], "garbage": b"x" * 5000}[name])
    told = mail("evaluate", "--data-dir", data_dir, "--runs", tmp_path / "runs")
    assert str(told).startswith(f"{path}: ")


PACKAGE = Path(ml_100k.__file__).parent.parent


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
    ratings, _, _ = ml_100k._read_package(tmp_path / "wheel")
    assert ratings.to_numpy().tolist() == [[1, 1, 5, 7]]
    assert sorted(tmp_path.parent.rglob("*")) == before


def test_there_are_hundreds_of_cases() -> None:
    """Counted from the tables that the tests are made of, so that a table that is emptied shows."""
    from tests import test_hostile as raw

    tampered = len(COLUMNS) * len(DAMAGES) + len(CHANGES) + len(RAW_JSON) + len(BAD_CHECKPOINTS) + len(RUNS)
    files = len(raw.AT_ONCE) * len(alimama.HEADERS) + len(raw.VALUES) + len(raw.ML_REFUSED) * len(raw.ML_FILES)
    corpus = len(list((Path(tests.__file__).parent / "corrupt").glob("*.*"))) - 1
    assert min(tampered, files) >= 300
    assert corpus >= 40
