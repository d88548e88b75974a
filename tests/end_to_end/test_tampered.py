"""Datasets, runs and checkpoints that somebody changed: a one-line error, never a wrong table, nothing executed."""

from __future__ import annotations

import copy
import io
import json
import pickle
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mailcli.data.columns import checksum
from mailcli.data.dataset import Dataset
from mailcli.data.manifest import OWN_CHECKSUM, seal
from mailcli.errors import MailError
from tests.helpers import alimama
from tests.helpers.command_line import SMALL
from tests.helpers.hostile import Damage, Trap, error_of, put, saved, use_all
from tests.helpers.runs import make_older

COLUMNS = [
    *(f"users/{name}" for name in ("raw", "user", "age_level", "new_user_class_level")),
    *(f"items/{name}" for name in ("raw", "item", "cate", "brand", "campaign", "customer", "price")),
    *(f"behaviors/{name}" for name in ("cate", "brand", "action", "time", "offsets")),
    *(f"{split}/{name}" for split in ("train", "test") for name in ("user", "item", "click", "time", "history_end")),
    *(f"train/{name}" for name in ("pid", "hour", "weekday")),
    *(f"vocabularies/{name}" for name in ("user", "pid", "cate")),
    *(f"unseen/{name}" for name in ("user", "cate")),
]


def values_of(data: bytes) -> NDArray:
    return np.load(io.BytesIO(data))


def one_bit(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


VARIOUS = {"users/age_level", "items/price", "behaviors/time"}
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
def original(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """A small dataset in its own data folder."""
    home = tmp_path_factory.mktemp("tampered")
    rows = alimama.good_rows()
    rows["behavior_log"] += [f"1,{alimama.START - 30 + step},pv,{500 + step},{600 + step}" for step in range(20)]
    impressions = alimama.both_classes(2, 11, 0) + alimama.validation_and_test(3, 12)
    rows["raw_sample"] += [f"{u},{t},{ad},430548_1008,{1 - click},{click}" for u, t, ad, click in impressions]
    rows["ad_feature"] += ["11,501,2,2,601,8.5", "12,502,3,3,602,7.5"]
    rows["user_profile"] += ["2,1,2,2,2,1,2,1,1", "3,2,3,1,3,2,3,0,2"]
    alimama.write_rows(home / "raw", rows)
    assert error_of("preprocess", "alimama", "--raw", home / "raw", "--data-dir", home / "data", "--name", "s") is None
    return Dataset(home / "data" / "s")


@pytest.fixture
def dataset(original: Dataset) -> Iterator[Path]:
    """Its folder; what a test changes is restored."""
    before = {path: path.read_bytes() for path in original.folder.rglob("*") if path.is_file()}
    yield original.folder
    for path, data in before.items():
        if not path.is_file() or path.read_bytes() != data:
            put(path, data)


def refusal(folder: Path) -> str:
    with pytest.raises(MailError) as error:
        use_all(Dataset(folder))
    return error.value.message


def forge(folder: Path, column: str) -> None:
    """Write the column's new checksum to dataset.json, as somebody who changed it on purpose would."""
    path = folder / "dataset.json"
    manifest = json.loads(path.read_text())
    del manifest[OWN_CHECKSUM]
    manifest["columns"][column] = checksum(np.load(folder / f"{column}.npy"))
    path.write_text(json.dumps(seal(manifest)))


def test_the_dataset_is_whole(original: Dataset) -> None:
    assert use_all(Dataset(original.folder)) > len(COLUMNS)
    assert error_of("describe", "--data-dir", original.folder.parent) is None


@pytest.mark.parametrize(
    ("name", "column"),
    [
        # All columns are read in the same way: one damage of each, and each damage of a field, a number and a time.
        pytest.param(name, column, marks=[] if name == "one bit" or column in VARIOUS else pytest.mark.slow)
        for name in DAMAGES
        for column in COLUMNS
    ],
)
def test_a_changed_column(dataset: Path, name: str, column: str) -> None:
    path = dataset / f"{column}.npy"
    data = path.read_bytes()
    damaged = DAMAGES[name](data)
    put(path, damaged)
    if damaged == data or (name == "backwards" and damaged[-100:] == data[-100:]):
        assert use_all(Dataset(dataset))  # the same column
    else:
        assert refusal(dataset).startswith(f"{path}: the column cannot be read (")


@pytest.mark.parametrize(
    ("column", "swapped_with"),
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
def test_swapped_columns(dataset: Path, column: str, swapped_with: str) -> None:
    paths = dataset / f"{column}.npy", dataset / f"{swapped_with}.npy"
    data = paths[0].read_bytes(), paths[1].read_bytes()
    paths[0].write_bytes(data[1])
    paths[1].write_bytes(data[0])
    if data[0] == data[1]:
        assert use_all(Dataset(dataset))
    else:
        assert ": the column cannot be read (" in refusal(dataset)


def first_value(value: Any) -> Damage:
    """Replace the first value by another of the same type."""

    def damage(data: bytes) -> bytes:
        values = values_of(data)
        values[0] = value
        return saved(values)

    return damage


@pytest.mark.parametrize(
    ("column", "damage", "reason"),
    [
        ("users/age_level", lambda data: b"", "it does not start like a column that `mail preprocess` writes"),
        ("users/age_level", lambda data: saved(values_of(data)[:2]), "it has 2 values, dataset.json says 3"),
        ("users/age_level", lambda data: saved(values_of(data) * 1.0), "it holds float64, expected ids"),
        ("users/age_level", lambda data: data + b"x", "its 3 values of uint8 do not fill its 132 bytes"),
    ],
)
def test_a_header_tells_types_and_rows(dataset: Path, column: str, damage: Damage, reason: str) -> None:
    path = dataset / f"{column}.npy"
    put(path, damage(path.read_bytes()))
    assert refusal(dataset) == (
        f"{path}: the column cannot be read ({reason}). The dataset is damaged: make it again with `mail preprocess`."
    )


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("users/age_level", 99, "it holds 99, expected 1 to 4"),
        ("items/price", np.inf, "a value is not a finite number"),
        ("behaviors/offsets", 3, "its values do not ascend from 0 to 22"),
        ("train/history_end", 23, "it holds 23, expected 0 to 22"),
        ("train/user", 3, "it holds 3, expected 0 to 2"),
        ("train/click", 2, "it holds 2, expected 0 to 1"),
        ("behaviors/action", 6, "it holds 6, expected 2 to 5"),
    ],
)
def test_ranges_are_checked_where_checksums_are_forged(dataset: Path, column: str, value: float, reason: str) -> None:
    path = dataset / f"{column}.npy"
    put(path, first_value(value)(path.read_bytes()))
    forge(dataset, column)
    assert refusal(dataset) == (
        f"{path}: the column cannot be read ({reason}). The dataset is damaged: make it again with `mail preprocess`."
    )


def test_a_history_of_another_user(dataset: Path) -> None:
    path = dataset / "train" / "history_end.npy"
    ends, user = np.load(path), np.load(dataset / "train" / "user.npy")
    offsets = np.load(dataset / "behaviors" / "offsets.npy")
    owner = int(np.flatnonzero(np.diff(offsets))[0])
    row = int(np.flatnonzero(user != owner)[0])
    begin, end = int(offsets[user[row]]), int(offsets[user[row] + 1])
    wrong = 22 - begin if begin in (0, 22) else 0
    ends[row] = wrong
    put(path, saved(ends))
    forge(dataset, "train/history_end")
    assert f"train/history_end.npy: the column cannot be read (it holds {wrong}, expected {begin} to {end} for" in (
        refusal(dataset)
    )


Change = Callable[[dict[str, Any]], object]


def delete(key: str) -> Change:
    return lambda manifest: manifest.pop(key)


def change(value: object, *path: str) -> Change:
    def set_value(manifest: dict[str, Any]) -> None:
        for key in path[:-1]:
            manifest = manifest[key]
        manifest[path[-1]] = value

    return set_value


KEYS = [
    "format",
    "name",
    "source",
    "simulation",
    "history",
    "vocabulary_sizes",
    "unseen",
    "counts",
    "schema",
    "columns",
    "checksum",
]
WRONG: list[Any] = ["x", -1, 2**70, 1.5, True, [], {}, [[]], "9" * 100]
CHANGES: dict[str, Change] = {
    **{f"{key} deleted": delete(key) for key in KEYS},
    **{
        f"{key} is {str(value)[:9]!r}": change(value, key)
        for key in KEYS
        for value in WRONG
        if not (key in {"name", "source"} and isinstance(value, str))
    },
    **{
        f"counts.{key} is {value!r}": change(value, "counts", key)
        for key in ("users", "train", "train_clicks", "users_without_history")
        for value in (-1, None, "5", 10**30, 1.0)
    },
    **{f"size is {value!r}": change(value, "vocabulary_sizes", "cate") for value in (0, -1, 10**30, "5")},
    **{f"unseen is {value!r}": change(value, "unseen", "cate") for value in (-1, 10**30, "5", None)},
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
def test_a_changed_description(dataset: Path, name: str) -> None:
    path = dataset / "dataset.json"
    manifest = json.loads(path.read_text())
    CHANGES[name](manifest)
    path.write_text(json.dumps(manifest))
    error = error_of("describe", "--data-dir", dataset.parent)
    assert error
    assert error.startswith(f"{path}: ")
    assert error.endswith("Make the dataset again with `mail preprocess`.")


#: Changes that no table depends on, once the checksum is updated.
HARMLESS = {
    "another name",
    "another key",
    "a longer history",
    "said to be real",
    "simulation is '{}'",
    "an action more",
}


@pytest.mark.parametrize("name", [name for name in CHANGES if not name.startswith("checksum")])
def test_a_description_that_is_forged_with_its_checksum(dataset: Path, name: str) -> None:
    path = dataset / "dataset.json"
    manifest = json.loads(path.read_text())
    del manifest[OWN_CHECKSUM]
    forged = copy.deepcopy(manifest)
    CHANGES[name](forged)
    path.write_text(json.dumps(seal(forged)))
    error = error_of("describe", "--data-dir", dataset.parent)
    if name in HARMLESS:
        assert error is None
        assert use_all(Dataset(dataset)) > len(COLUMNS)
    elif error is None:
        refusal(dataset)


RAW_JSON = {"empty": b"", "cut": b'{"format": 4', "a list": b"[]", "nan": b'{"format": NaN}', "digits": b"1" * 5000,
            "deep": b"[" * 100_000, "utf-16": '{"format": 4}'.encode("utf-16"), "NUL": b"\0", "pickle": pickle.dumps(1),
            "null": b"null", "text": b'"x"'}  # fmt: skip


@pytest.mark.parametrize("name", RAW_JSON)
def test_a_description_that_is_none(dataset: Path, name: str) -> None:
    (dataset / "dataset.json").write_bytes(RAW_JSON[name])
    error = error_of("describe", "--data-dir", dataset.parent)
    assert error
    assert ": is not a valid dataset.json (" in error


@pytest.fixture(scope="module")
def finished(small_runs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one finished run."""
    runs = tmp_path_factory.mktemp("finished")
    cell = Path("tiny/paper/base+none/seed-0")
    shutil.copytree(small_runs / cell, runs / cell)
    return runs


def result_with(**changes: Any) -> Damage:
    return lambda data: json.dumps({**json.loads(data), **changes}).encode()


def replaced_by(raw: bytes) -> Damage:
    return lambda data: raw


RUNS: dict[str, tuple[str, Damage]] = {
    **{f"result: {name}": ("result.json", replaced_by(raw)) for name, raw in RAW_JSON.items()},
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


@pytest.mark.parametrize("without_checksums", [False, True])
@pytest.mark.parametrize("name", RUNS)
def test_a_changed_run(finished: Path, data_dir: Path, tmp_path: Path, name: str, without_checksums: bool) -> None:
    """Its checksums say so; in a run of an older version, which has none, the contents do."""
    shutil.copytree(finished, tmp_path / "runs")
    if without_checksums:
        make_older(tmp_path / "runs")
    file, damage = RUNS[name]
    (path,) = (tmp_path / "runs").rglob(file)
    before = path.read_bytes()
    path.write_bytes(damage(before))
    assert path.read_bytes() != before
    error = error_of("train", *SMALL, "--data-dir", data_dir, "--runs", tmp_path / "runs")
    assert error
    if not without_checksums:
        assert error.startswith(f"{path}: was changed after the run had finished")
    elif file == "result.json":
        assert error == f"{path}: is damaged. Delete the folder and repeat the command that made it."
    else:
        assert error.startswith(str(path if "cannot be read" in error else path.parent))


@pytest.mark.parametrize("without_checksums", [False, True])
@pytest.mark.parametrize("name", ["empty", "cut", "garbage", "directory"])
def test_weights_that_are_none(
    finished: Path, data_dir: Path, tmp_path: Path, name: str, without_checksums: bool
) -> None:
    shutil.copytree(finished, tmp_path / "runs")
    if without_checksums:
        make_older(tmp_path / "runs")
    (path,) = (tmp_path / "runs").rglob("best.weights.h5")
    data = path.read_bytes()
    path.unlink()
    if name == "directory":
        path.mkdir()
    else:
        path.write_bytes({"empty": b"", "cut": data[: len(data) // 2], "garbage": b"x" * 5000}[name])
    error = error_of("evaluate", "--data-dir", data_dir, "--runs", tmp_path / "runs")
    assert str(error).startswith(f"{path}: ")
