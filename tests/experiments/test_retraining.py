"""Daily retraining: known ids keep their places, weights and moments; what is told of both days; what is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from mailcli.config import RunConfig, make_config
from mailcli.data.batches import Batches
from mailcli.data.dataset import Dataset
from mailcli.data.numbering import (
    Numbering,
    RenumberedDataset,
    current_numbering,
    extend_numbering,
    load_numbering,
    numbering_sha256,
    save_numbering,
)
from mailcli.data.protocol import views
from mailcli.errors import MailError
from mailcli.experiments.cells import ensure
from mailcli.experiments.retraining import continue_run
from mailcli.models.embedding import FeatureEmbedding
from mailcli.models.factory import make_model
from mailcli.models.step import make_step
from mailcli.preprocessing.pipeline import Options, preprocess
from mailcli.training.evaluate import Scorer, measure
from mailcli.training.run_folder import Run
from mailcli.training.run_registry import open_run, read_with_run_ids
from mailcli.training.warm_start import WarmStart, _VariableExpander
from tests.end_to_end.test_cli import mail, refused
from tests.experiments.ab_test.test_run import changed_manifest
from tests.helpers.runs import SMALL, Killed, kill_in_step, outcome

SETTINGS: dict[str, Any] = {
    "data": "day1",
    "history": 20,
    "embedding_dim": 4,
    "batch_size": 256,
    "epochs": 1,
    "ranker.units": "8,4",
    "cold_start": "mail",
    "cold_start.variant": "base",
    **SMALL,
}
PARENT = "runs/day1/paper/base+mail-base/seed-0"
CHILD = "runs/tiny/paper/base+mail-base+continued/seed-0"


@pytest.fixture(scope="module")
def untrained_home(simulated_raw: Path, data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working folder with `day1` (60 % of the users) and `tiny` (all of them, the day after)."""
    home = tmp_path_factory.mktemp("daily")
    shutil.copytree(data_dir, home / "data")
    preprocess("alimama", simulated_raw, home / "data", "day1", Options(history=20, sample=0.6))
    return home


@pytest.fixture(scope="module")
def whole_home(untrained_home: Path) -> Path:
    """The same with a run on each day."""
    home = untrained_home
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        ensure(make_config([SETTINGS]), Dataset(Path("data/day1")), Path("runs"))
        continue_run(Path(PARENT), "tiny", {}, Path("data"), Path("runs"), None)
    return home


@pytest.fixture
def home(whole_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it to work in."""
    shutil.copytree(whole_home, tmp_path / "home")
    monkeypatch.chdir(tmp_path / "home")
    return tmp_path / "home"


@pytest.fixture
def days(untrained_home: Path) -> tuple[Dataset, Dataset]:
    return Dataset(untrained_home / "data" / "day1"), Dataset(untrained_home / "data" / "tiny")


def raw_values(values: np.ndarray, ids: np.ndarray) -> list[Any]:
    """The raw value of each id; None of one that stands for none."""
    return [values[i - 2] if i > 1 else None for i in np.asarray(ids).ravel()]


# ids


def test_new_values_are_put_behind_the_known_ones(tiny: Dataset) -> None:
    known = current_numbering(tiny)
    few = {name: values[::2][::-1] for name, values in known.values.items()}
    found = extend_numbering(Numbering(few, {"price": {"log1p_mean": 1.0, "log1p_std": 2.0}}), tiny)
    for name, values in known.values.items():
        expected = [*values[::2][::-1], *(value for place, value in enumerate(values) if place % 2)]
        assert found.values[name].tolist() == expected
    assert found.dense == {"price": {"log1p_mean": 1.0, "log1p_std": 2.0}}
    # A third day moves none of them.
    assert extend_numbering(found, tiny).values["cate"].tolist() == found.values["cate"].tolist()


def test_columns_are_read_with_the_ids_of_the_other_day(days: tuple[Dataset, Dataset]) -> None:
    first, second = days
    known = current_numbering(first)
    both = extend_numbering(known, second)
    assert all(both.sizes[name] >= size for name, size in first.vocabulary_sizes.items())
    assert both.sizes["user"] > first.vocabulary_sizes["user"]
    assert both.sizes["item"] > first.vocabulary_sizes["item"]
    before, after = RenumberedDataset(second.folder, known), RenumberedDataset(second.folder, both)
    unknown = 0
    for table, name, vocabulary in (
        ("users", "user", "user"), ("users", "age_level", "age_level"), ("items", "item", "item"),
        ("items", "brand", "brand"), ("behaviors", "cate", "cate"), ("train", "pid", "pid"), ("test", "hour", "hour"),
    ):  # fmt: skip
        own = raw_values(second.column("vocabularies", vocabulary), second.column(table, name))
        assert raw_values(both.values[vocabulary], after.column(table, name)[:]) == own
        old = set(first.column("vocabularies", vocabulary).tolist())
        expected = [value if value in old else None for value in own]
        assert raw_values(known.values[vocabulary], before.column(table, name)[:]) == expected
        unknown += sum(value is not None and value not in old for value in own)
        assert after.column(table, name)[:].max() < both.sizes[vocabulary]
    assert unknown
    # What is no id stays, and the first day reads as it is.
    assert (after.column("test", "click") == second.column("test", "click")).all()
    same = RenumberedDataset(first.folder, both)
    assert (same.column("behaviors", "cate")[:] == first.column("behaviors", "cate")).all()
    assert (same.column("items", "price") == first.column("items", "price")).all()


def test_prices_are_on_the_scale_of_the_first_day(days: tuple[Dataset, Dataset]) -> None:
    first, second = days
    found = RenumberedDataset(second.folder, extend_numbering(current_numbering(first), second)).column(
        "items", "price"
    )
    price = {raw: found[row] for row, raw in enumerate(second.column("items", "raw").tolist())}
    for row, raw in enumerate(first.column("items", "raw").tolist()):
        assert price[raw] == pytest.approx(first.column("items", "price")[row], abs=1e-5)
    assert not np.allclose(found, second.column("items", "price"), atol=1e-3)


def test_a_batch_has_other_ids_and_nothing_else(days: tuple[Dataset, Dataset]) -> None:
    first, second = days
    config = make_config([{**SETTINGS, "data": "tiny"}])
    numbering = extend_numbering(current_numbering(first), second)
    rows = np.arange(0, second.counts["test"], 7)
    batches = [
        Batches(dataset, views(dataset, config)["test"], 20, 64).gather(rows)
        for dataset in (second, RenumberedDataset(second.folder, numbering))
    ]
    for place, field in enumerate(second.schema.group("behavior")):
        parts = [batch["behaviors"][:, :, place] for batch in batches]
        assert ((parts[0] == 0) == (parts[1] == 0)).all()
        own = raw_values(second.column("vocabularies", field.vocabulary), parts[0])
        assert raw_values(numbering.values[field.vocabulary], parts[1]) == own
    for name in ("actions", "click", "user"):
        assert (batches[0][name] == batches[1][name]).all()  # type: ignore[literal-required]


def test_values_of_another_type_are_refused(tiny: Dataset) -> None:
    known = current_numbering(tiny)
    texts = Numbering({**known.values, "brand": np.array(["a"])}, known.dense)
    with pytest.raises(MailError) as error:
        extend_numbering(texts, tiny)
    assert error.value.message == (
        f"{tiny.folder}: the values of 'brand' are whole numbers, those of the previous day strings. "
        "Expected a later part of the same log."
    )


def test_ids_are_kept_in_a_file(tmp_path: Path) -> None:
    numbering = Numbering(
        {"user": np.array([7, 3]), "pid": np.array(["b", "ä"])}, {"price": {"log1p_mean": 0.5, "log1p_std": 1.0}}
    )
    path, checksum = tmp_path / "ids.npz", numbering_sha256(numbering)
    save_numbering(path, numbering)
    data = path.read_bytes()
    found = load_numbering(path, checksum)
    assert found.values["user"].tolist() == [7, 3]
    assert found.values["pid"].tolist() == ["b", "ä"]
    assert found.dense == numbering.dense
    save_numbering(path, numbering)
    assert path.read_bytes() == data, "the same bytes"
    save_numbering(path, Numbering({**numbering.values, "user": np.array([3, 7])}, numbering.dense))
    for damage in (path.read_bytes(), data[:-30], b"", None):
        path.unlink() if damage is None else path.write_bytes(damage)
        with pytest.raises(MailError) as error:
            load_numbering(path, checksum)
        assert error.value.message == (
            f"{path}: is missing or was changed. Delete the run's folder and give its `mail train` command again."
        )


# weights and moments


def test_rows_grow_where_ids_do(tiny: Dataset) -> None:
    """Vocabularies of 2 and 3 values grow to 3 and 5; the rows of the actions come last."""
    schema = tiny.schema
    names = schema.vocabularies()
    sizes = dict.fromkeys(names, 4)
    old, new = FeatureEmbedding(schema, sizes, 2), FeatureEmbedding(schema, {**sizes, names[0]: 5, names[-1]: 7}, 2)
    grow = _VariableExpander(Run(Path("run"), RunConfig("x")), old, new)
    values = np.arange(old.rows, dtype=np.float32)
    found = grow(values, tf.Variable(np.full(new.rows, -1.0, np.float32)))
    middle, last = 4 * (len(names) - 2), len(names) * 4
    assert found.tolist() == [
        *range(4), -1, *range(4, 4 + middle), *range(4 + middle, last), -1, -1, -1, *range(last, old.rows),
    ]  # fmt: skip
    of_last = grow(np.ones((4, 3), np.float32), tf.Variable(np.zeros((7, 3), np.float32)))
    assert of_last.tolist() == [[1, 1, 1]] * 4 + [[0, 0, 0]] * 3
    assert grow(np.ones((8, 3)), tf.Variable(np.zeros((8, 3)))).tolist() == [[1, 1, 1]] * 8
    with pytest.raises(MailError) as error:
        grow(np.ones((8, 3)), SimpleNamespace(shape=(9, 3), path="dense/kernel"))
    assert error.value.message == (
        "run: its variable dense/kernel has the shape (8, 3), expected (9, 3): it does not grow with the ids. "
        "Train from scratch on this dataset instead."
    )


def test_old_rows_keep_weights_and_moments_and_new_ones_begin(home: Path) -> None:
    parent = open_run(Path(PARENT))
    first = Dataset(Path("data/day1"))
    second = RenumberedDataset(
        Path("data/tiny"), extend_numbering(current_numbering(first), Dataset(Path("data/tiny")))
    )
    before = make_model(first, parent.config)
    parent.restore(before)
    with np.load(parent.optimizers) as file:
        kept = {array.shape: array for array in (file[name] for name in file.files) if array.ndim == 2}
    config = make_config([{**SETTINGS, "data": "tiny", "learning_rate": 0.5}])
    warm_start = WarmStart(parent, first)
    warm_start.load()
    fresh = make_model(second, config).embedding.table.numpy()
    model = make_model(second, config)
    step = make_step(model, config)
    warm_start.initialize(model, step)
    old, new = before.embedding, model.embedding
    table, moments = new.table.numpy(), [v.numpy() for v in step.variables if tuple(v.shape) == new.table.shape]
    assert len(moments) == 2
    known = np.zeros(new.rows, bool)
    for name in first.schema.vocabularies():
        values = current_numbering(second).values[name].tolist()
        for place, value in enumerate(first.column("vocabularies", name).tolist()):
            row, was = new.start[name] + 2 + values.index(value), old.start[name] + 2 + place
            assert (table[row] == old.table.numpy()[was]).all()
            known[row] = True
        known[new.start[name] : new.start[name] + 2] = True
    known[new.first_action_row :] = True
    assert (table[new.first_action_row :] == old.table.numpy()[old.first_action_row :]).all()
    assert (table[~known] == fresh[~known]).all()
    assert (~known).sum() == new.rows - old.rows > 50
    assert all((moment[~known] == 0).all() for moment in moments)
    saved = kept[tuple(old.table.shape)]
    assert any(np.abs(moment[known]).sum() == pytest.approx(np.abs(saved).sum(), rel=1e-5) for moment in moments)
    assert all(np.abs(moment[known]).sum() > 0 for moment in moments)
    named = {variable.path: variable.numpy() for variable in step.variables}
    steps = (parent.result or {})["best_step"]
    assert [int(v) for path, v in named.items() if path.endswith("iteration")] == [steps, steps]
    assert sorted(float(v) for path, v in named.items() if path.endswith("learning_rate")) == pytest.approx(
        [0.001, 0.5]
    )
    for was, now in zip(before.ranker.weights, model.ranker.weights, strict=True):
        assert (was.numpy() == now.numpy()).all()


# both days


@pytest.mark.slow
def test_forgetting_and_gain_are_those_of_the_two_models(home: Path) -> None:
    parent, child = open_run(Path(PARENT)), open_run(Path(CHILD))
    datasets = [Dataset(Path("data") / name) for name in ("day1", "tiny")]
    found = (child.result or {})["days"]
    assert [day["dataset"] for day in found] == ["day1 (simulated)", "tiny (simulated)"]
    assert found[0]["before"] == (parent.result or {})["test"]
    assert found[1]["after"] == (child.result or {})["test"]
    numbering = current_numbering(read_with_run_ids(child, datasets[1]))
    model = make_model(RenumberedDataset(datasets[0].folder, numbering), child.config)
    child.restore(model)
    old_day = RenumberedDataset(datasets[0].folder, numbering)
    view = views(old_day, child.config)["test"]
    scores = Scorer(model)(Batches(old_day, view, 20, 256), "test")
    assert found[0]["after"] == measure(old_day, view, scores)
    assert found[0]["after"] != found[0]["before"]
    assert found[1]["after"] != found[1]["before"]


def test_as_typed(home: Path) -> None:
    command = ["train", "--continue", PARENT, "--data", "tiny"]
    done = mail(*command)
    assert done.exit_code == 0, done.output
    for text in (
        "base+mail-base+continued on tiny",
        "forgetting: test of day1 (simulated)",
        "gain: test of tiny (simulated)",
        f"before: {PARENT} as it was; ids that it does not know are unknown to it",
        f"after: {CHILD}",
        "data tiny (simulated) | protocol paper, 40% of users new | seed 0",
    ):
        assert text in done.stdout
    found = json.loads(mail(*command, "--format", "json").stdout)["results"]
    day = (open_run(Path(CHILD)).result or {})["days"][1]
    (new,) = [each for each in found if (each["day"], each["users"], each["metric"]) == (2, "new", "AUC")]
    assert new["before"] == day["before"]["new"]["AUC"]
    assert new["difference"] == pytest.approx(day["after"]["new"]["AUC"] - day["before"]["new"]["AUC"])
    # Scored anew it is the same, and other settings want another folder.
    evaluated = mail("evaluate", CHILD, "--format", "json")
    assert evaluated.exit_code == 0, evaluated.output
    again = json.loads(evaluated.stdout)[0]["results"]
    (auc,) = [each["mean"] for each in again if (each["users"], each["metric"]) == ("all", "AUC")]
    assert auc == day["after"]["all"]["AUC"]
    assert refused(mail(*command, "--set", "epochs=2")) == (
        f"{CHILD}: holds a run with other settings (epochs: 1 -> 2). Choose another --runs folder, or delete this one."
    )
    vocabularies = Path(CHILD) / "vocabularies.npz"
    vocabularies.write_bytes(vocabularies.read_bytes()[:-1])
    assert refused(mail("evaluate", CHILD)) == (
        f"{vocabularies}: is missing or was changed. Delete the run's folder and give its `mail train` command again."
    )


@pytest.mark.slow
def test_a_killed_run_goes_on_exactly(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    expected, moments = outcome(open_run(Path(CHILD))), arrays(open_run(Path(CHILD)).optimizers)
    shutil.rmtree(CHILD)
    with monkeypatch.context() as patch:
        kill_in_step(patch, 9)
        with pytest.raises(Killed):
            continue_run(Path(PARENT), "tiny", {}, Path("data"), Path("runs"), 0)
    run = continue_run(Path(PARENT), "tiny", {}, Path("data"), Path("runs"), None)
    assert f"{CHILD}: resuming after step 8 (epoch 1).\n" in capsys.readouterr().err
    assert outcome(run) == expected
    assert arrays(run.optimizers) == moments


def arrays(path: Path) -> dict[str, bytes]:
    with np.load(path) as file:
        return {name: file[name].tobytes() for name in file.files}


@pytest.mark.slow
@pytest.mark.parametrize("ranker", ["dmr", "widedeep"])
def test_rankers_with_variables_of_their_own_ids_and_a_third_day(home: Path, ranker: str) -> None:
    """DMR has a vector for each behavior id, Wide & Deep a weight for each row of the table."""
    settings = {**SETTINGS, "ranker": ranker, "cold_start": "none"}
    for name in ("cold_start.variant", "ranker.units", *SMALL):
        settings.pop(name)
    first = ensure(make_config([settings]), Dataset(Path("data/day1")), Path("runs"))
    second = continue_run(first.folder, "tiny", {"learning_rate": "0.0005"}, Path("data"), Path("runs"), None)
    shutil.copytree("data/tiny", "data/day3")
    changed_manifest(Path("data/day3"), name="day3")
    third = continue_run(second.folder, "day3", {}, Path("data"), Path("runs"), None)
    assert third.config.learning_rate == 0.0005
    assert (third.result or {})["days"][0]["before"] == (second.result or {})["test"]
    one, two = (load_ids(run) for run in (second, third))
    assert one == two


def load_ids(run: Run) -> dict[str, list[Any]]:
    numbering = current_numbering(read_with_run_ids(run, Dataset(Path("data") / run.config.data)))
    return {name: values.tolist() for name, values in numbering.values.items()}


# what is refused


@pytest.mark.slow
def test_a_changed_parent_is_refused(home: Path) -> None:
    weights = Path(PARENT) / "checkpoints" / "best.weights.h5"
    weights.write_bytes(weights.read_bytes() + b"\0")
    error = refused(mail("train", "--continue", PARENT, "--data", "tiny"))
    assert error.startswith(f"{CHILD}: holds a run with other settings (continues: '")
    assert error.endswith("). Choose another --runs folder, or delete this one.")


def test_a_run_whose_moments_are_damaged_is_refused_and_leaves_no_folder(home: Path) -> None:
    moments = Path(PARENT) / "checkpoints" / "best.optimizers.npz"
    whole = moments.read_bytes()
    moments.write_bytes(whole[: len(whole) // 2])
    command = ["train", "--continue", PARENT, "--data", "tiny", "--runs", "others"]
    assert refused(mail(*command)).startswith(f"{moments}: is damaged")
    assert not Path("others").exists()
    # So the same command goes through once the file is mended.
    moments.write_bytes(whole)
    assert mail(*command).exit_code == 0


def unfinished() -> None:
    (Path(PARENT) / "result.json").unlink()


def without_moments() -> None:
    (Path(PARENT) / "checkpoints" / "best.optimizers.npz").unlink()


def shorter() -> None:
    preprocess("alimama", Path("raw"), Path("data"), "short", Options(history=5))


def other_fields() -> None:
    shutil.copytree("data/tiny", "data/other")
    manifest = json.loads(Path("data/other/dataset.json").read_text())
    schema = {**manifest["schema"], "dense": []}
    schema["fields"] = [field for field in schema["fields"] if field["name"] != "campaign"]
    sizes = {name: size for name, size in manifest["vocabulary_sizes"].items() if name != "campaign"}
    unseen = {name: size for name, size in manifest["unseen"].items() if name != "campaign"}
    changed_manifest(Path("data/other"), schema=schema, vocabulary_sizes=sizes, unseen=unseen)


def without_the_first_day() -> None:
    Path("data/day1").rename("gone")


def made_again() -> None:
    preprocess("alimama", Path("raw"), Path("data"), "day1", Options(history=20, sample=0.5))


def nothing() -> None:
    pass


CHANGEABLE = (
    "'epochs', 'patience', 'eval_every', 'batch_size', 'learning_rate', 'zero_shot_learning_rate', 'optimizer', "
    "'precision', 'embedding_init'"
)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("before", "arguments", "error"),
    [
        (nothing, [PARENT], "--continue: name the next day's dataset with --data."),
        (nothing, [PARENT, "--data", "tinny"],
         "unknown dataset 'tinny'. Did you mean 'tiny'? data holds: 'day1', 'tiny'."),
        (nothing, ["runs", "--data", "tiny"],
         "runs: holds no config.toml, so it is not a run folder. Expected one made by `mail train`."),
        (nothing, [PARENT, "--data", "day1"],
         f"--data day1: is what {PARENT} was trained on. Expected the dataset of the next day, made by "
         "`mail preprocess ... --name NAME`."),
        (unfinished, [PARENT, "--data", "tiny"],
         f"{PARENT}: the run is not finished. Run its `mail train` command again."),
        (without_moments, [PARENT, "--data", "tiny"],
         f"{PARENT}/checkpoints/best.optimizers.npz: is missing, so the run cannot be gone on with (runs of older "
         "versions do not keep their optimizers). Train it again in another --runs folder."),
        (without_the_first_day, [PARENT, "--data", "tiny"], f"data/day1: is missing or was made again, and {PARENT} was trained on it as it was: its ids and its test split are "
         "needed. Keep the datasets of both days; `mail preprocess ... --name NAME` makes the next day's beside it."),
        (made_again, [PARENT, "--data", "tiny"],
         f"data/day1: is missing or was made again, and {PARENT} was trained on it as it was: its ids and its test split are "
         "needed. Keep the datasets of both days; `mail preprocess ... --name NAME` makes the next day's beside it."),
        (nothing, [PARENT.replace("mail-base", "mail-bse"), "--data", "tiny"],
         f"{PARENT.replace('mail-base', 'mail-bse')}: there is no such folder. Did you mean "
         "'base+mail-base'? Expected one made by `mail train`."),
        (shorter, [PARENT, "--data", "short"],
         "history = 20: the dataset 'short' keeps the last 5 behaviors. Expected 5 or less; more needs "
         "`mail preprocess --history 20`."),
        (other_fields, [PARENT, "--data", "other"],
         "--data other: is of another form than 'day1' (fields: it lacks 'campaign'; dense features: it lacks "
         "'price'). Expected a dataset of the same source."),
        (nothing, [PARENT, "--data", "tiny", "--ranker", "dmr", "--seed", "3"],
         f"--continue takes the settings of {PARENT}. Leave out --seed, --ranker."),
        (nothing, [PARENT, "--data", "tiny", "--set", "embedding_dim=9", "--set", "ranker.units=3"],
         f"--continue takes the settings of {PARENT}: 'embedding_dim', 'ranker.units' cannot be changed. What can: "
         f"{CHANGEABLE}."),
        (nothing, [PARENT, "--data", "tiny", "--set", "embedding_dim=9", "--set", "epoch=3"],
         "unknown setting 'epoch'. Did you mean 'epochs'?"),
    ],
)  # fmt: skip
def test_refuses(home: Path, simulated_raw: Path, before: Callable[[], None], arguments: list[str], error: str) -> None:
    (home / "raw").symlink_to(simulated_raw)
    before()
    assert refused(mail("train", "--continue", *arguments)) == error
    assert sorted(path.name for path in Path("runs").iterdir()) == ["day1", "tiny"]


@pytest.mark.parametrize("more", [["--workers", "a:1,b:2", "--index", "0"], ["--devices", "2"]])
def test_several_devices_cannot_continue(more: list[str]) -> None:
    assert refused(mail("train", "--continue", PARENT, "--data", "tiny", *more)) == (
        "--continue trains in one process on one device. Leave out --workers, --devices and the variable TF_CONFIG."
    )


@pytest.mark.slow
def test_a_two_stage_method_is_refused(home: Path) -> None:
    folder = Path("runs/day1/paper/base+llae/seed-0")
    shutil.copytree(PARENT, folder)
    (folder / "config.toml").write_text(
        (folder / "config.toml").read_text().replace('"mail"', '"llae"').split("[cold_start_options]")[0]
        + "[cold_start_options]\n"
    )
    result = json.loads((folder / "result.json").read_text())
    (folder / "result.json").write_text(json.dumps({**result, "cell": "base+llae"}))
    assert refused(mail("train", "--continue", folder, "--data", "tiny")) == (
        f"{folder}: 'llae' is fitted to a ranker that is trained already, so it has nothing to go on with. "
        "Continue the run of base+none instead."
    )


@pytest.mark.slow
def test_the_settings_of_a_continued_run_are_not_for_another(home: Path) -> None:
    assert refused(mail("train", "--config", f"{CHILD}/config.toml")) == (
        "continues: names another run's weights. Give that run with `mail train --continue RUN` instead."
    )


@pytest.mark.slow
def test_a_continued_run_can_be_taken_away(home: Path) -> None:
    """Its ids and its scale are the run's, not those of the day's dataset."""
    run = open_run(Path(CHILD))
    dataset = Dataset(Path("data/tiny"))
    test = {name: dataset.column("test", name)[:] for name in ("user", "item", "time", "pid", "hour", "weekday")}
    shown = {"time": test["time"], "user": dataset.column("users", "raw")[test["user"]]}
    shown["item"] = dataset.column("items", "raw")[test["item"]]
    for name in ("pid", "hour", "weekday"):
        known = dataset.column("vocabularies", name)
        assert test[name].min() > 1
        shown[name] = known[test[name] - 2]
    frame = pd.DataFrame(shown)
    frame.to_csv("in.csv", index=False)
    done = mail("score", CHILD, "in.csv", "-o", "out.csv")
    assert done.exit_code == 0, done.output
    trained = np.load(run.folder / "predictions.npy")
    assert np.abs(pd.read_csv("out.csv")["score"].to_numpy() - trained).max() < 1e-6
    done = mail("export", CHILD, "model", "--with-users")
    assert done.exit_code == 0, done.output
    predict = tf.saved_model.load("model/1").signatures["known_users"]
    types = {name: spec.dtype for name, spec in predict.structured_input_signature[1].items()}
    none = np.flatnonzero(
        views(dataset, run.config)["test"].new[test["user"]] | (dataset.earlier_behaviors("test") == 0)
    )
    asked = {
        name: frame[column].to_numpy()[none]
        for name, column in {
            "user": "user",
            "context_pid": "pid",
            "context_hour": "hour",
            "context_weekday": "weekday",
        }.items()
    }
    empty = {name: np.zeros((len(none), 0)) for name in ("history_cate", "history_brand")}
    request = {**asked, **empty, "item": frame["item"].to_numpy()[none][:, None]}
    tensors = {name: tf.constant(value, types[name]) for name, value in request.items()}
    tensors["history_action"] = tf.zeros((len(none), 0), tf.string)
    assert np.abs(predict(**tensors)["click"].numpy()[:, 0] - trained[none]).max() < 1e-6
