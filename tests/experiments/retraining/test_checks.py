"""What `mail train --continue` refuses."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from mailcli.preprocessing.pipeline import PreprocessOptions, preprocess
from tests.helpers.command_line import error_line, mail
from tests.helpers.manifests import edit_manifest
from tests.helpers.retraining import CHILD, PARENT
from tests.helpers.runs import make_older


@pytest.mark.slow
def test_a_changed_parent_is_refused(home: Path) -> None:
    make_older(Path(PARENT))
    weights = Path(PARENT) / "checkpoints" / "best.weights.h5"
    weights.write_bytes(weights.read_bytes() + b"\0")
    error = error_line(mail("train", "--continue", PARENT, "--data", "tiny"))
    assert error.startswith(f"{CHILD}: holds a run with other settings (continues: '")
    assert error.endswith("). Add --overwrite to train it anew, or choose another --runs folder.")


@pytest.mark.slow
def test_a_run_whose_moments_are_damaged_is_refused_and_leaves_no_folder(home: Path) -> None:
    make_older(Path(PARENT))
    moments = Path(PARENT) / "checkpoints" / "best.optimizers.npz"
    data = moments.read_bytes()
    moments.write_bytes(data[: len(data) // 2])
    command = ["train", "--continue", PARENT, "--data", "tiny", "--runs", "others"]
    assert error_line(mail(*command)).startswith(f"{moments}: is damaged")
    assert not Path("others").exists()


def unfinished() -> None:
    (Path(PARENT) / "result.json").unlink()


def without_optimizers() -> None:
    (Path(PARENT) / "checkpoints" / "best.optimizers.npz").unlink()


WITHOUT_OPTIMIZERS = (
    f"{PARENT}/checkpoints/best.optimizers.npz: is missing, so the run cannot be continued (it was deleted, or the run "
    "is of an older version, which kept no optimizers). Train the run again in another --runs folder."
)


def of_an_older_version() -> None:
    make_older(Path(PARENT))
    without_optimizers()


def with_short_histories() -> None:
    preprocess("alimama", Path("raw"), Path("data"), "short", PreprocessOptions(history=5))


def with_other_fields() -> None:
    shutil.copytree("data/tiny", "data/other")
    manifest = json.loads(Path("data/other/dataset.json").read_text())
    schema = {**manifest["schema"], "dense": []}
    schema["fields"] = [field for field in schema["fields"] if field["name"] != "campaign"]
    sizes = {name: size for name, size in manifest["vocabulary_sizes"].items() if name != "campaign"}
    unseen = {name: size for name, size in manifest["unseen"].items() if name != "campaign"}
    edit_manifest(Path("data/other"), schema=schema, vocabulary_sizes=sizes, unseen=unseen)


def without_the_first_day() -> None:
    Path("data/day1").rename("gone")


def preprocessed_again() -> None:
    preprocess("alimama", Path("raw"), Path("data"), "day1", PreprocessOptions(history=20, sample=0.5))


def no_change() -> None:
    pass


CHANGEABLE = (
    "'epochs', 'patience', 'eval_every', 'select', 'batch_size', 'learning_rate', 'zero_shot_learning_rate', "
    "'embedding_l2', 'precision', 'embedding_init'"
)
FIRST_DAY_NEEDED = (
    f"data/day1: is missing or has changed since {PARENT} was trained on it, and its ids and test split are needed. "
    "Keep the datasets of both days: `mail preprocess ... --name NAME` writes the next day's next to it."
)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "arguments", "error"),
    [
        (no_change, [PARENT], "--continue: name the next day's dataset with --data."),
        (no_change, [PARENT, "--data", "tinny"],
         "unknown dataset 'tinny'. Did you mean 'tiny'? data holds: 'day1', 'tiny'."),
        (no_change, ["runs", "--data", "tiny"],
         f"runs: holds no config.toml, so it is not a run folder. Name one of the runs in it, e.g. {PARENT}."),
        (no_change, [PARENT, "--data", "day1"],
         f"--data day1: is the dataset that {PARENT} was trained on. Expected that of the next day, made by "
         "`mail preprocess ... --name NAME`."),
        (unfinished, [PARENT, "--data", "tiny"],
         f"{PARENT}: the run is not finished. Repeat the command that began it."),
        (without_optimizers, [PARENT, "--data", "tiny"],
         WITHOUT_OPTIMIZERS),
        (of_an_older_version, [PARENT, "--data", "tiny"],
         WITHOUT_OPTIMIZERS),
        (without_the_first_day, [PARENT, "--data", "tiny"], FIRST_DAY_NEEDED),
        (preprocessed_again, [PARENT, "--data", "tiny"], FIRST_DAY_NEEDED),
        (no_change, [PARENT.replace("mail-base", "mail-bse"), "--data", "tiny"],
         f"{PARENT.replace('mail-base', 'mail-bse')}: there is no such folder. Did you mean "
         "'base+mail-base'? Expected one made by `mail train`."),
        (with_short_histories, [PARENT, "--data", "short"],
         "history = 20: the dataset 'short' keeps the last 5 behaviors. Expected 5 or less; more needs "
         "`mail preprocess --history 20`."),
        (with_other_fields, [PARENT, "--data", "other"],
         "--data other: does not have the form of 'day1' (fields: 'campaign' missing; dense features: 'price' "
         "missing). Expected a dataset from the same source."),
        (no_change, [PARENT, "--data", "tiny", "--ranker", "dmr", "--seed", "3"],
         f"--continue keeps the settings of {PARENT}. Leave out --seed, --ranker."),
        (no_change, [PARENT, "--data", "tiny", "--set", "embedding_dim=9", "--set", "ranker.units=3"],
         f"--continue keeps the settings of {PARENT}: 'embedding_dim', 'ranker.units' cannot be changed. Only these "
         f"can: {CHANGEABLE}."),
        (no_change, [PARENT, "--data", "tiny", "--eval-every", "100", "--set", "eval_every=200"],
         "--eval-every 100 and --set eval_every=200 contradict each other. Leave one of them out."),
        (no_change, [PARENT, "--data", "tiny", "--set", "embedding_dim=9", "--set", "epoch=3"],
         "unknown setting 'epoch'. Did you mean 'epochs'?"),
    ],
)  # fmt: skip
def test_what_cannot_be_continued_is_refused(
    home: Path, simulated_raw: Path, change: Callable[[], None], arguments: list[str], error: str
) -> None:
    (home / "raw").symlink_to(simulated_raw)
    change()
    assert error_line(mail("train", "--continue", *arguments)) == error
    assert sorted(path.name for path in Path("runs").iterdir()) == ["day1", "tiny"]


@pytest.mark.parametrize("options", [["--workers", "a:1,b:2", "--index", "0"], ["--devices", "2"]])
def test_several_devices_cannot_continue(options: list[str]) -> None:
    assert error_line(mail("train", "--continue", PARENT, "--data", "tiny", *options)) == (
        "--continue trains in one process on one device. Leave out --workers and --devices, and unset TF_CONFIG."
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "error"),
    [
        (
            "llae",
            "is fitted to a trained ranker, so there is nothing to continue. Continue the run of base+none instead.",
        ),
        (
            "match",
            "begins with statistics of one dataset, so a run of it cannot be continued on another. Train it on the new "
            "dataset from the start.",
        ),
        (
            "prior",
            "begins with statistics of one dataset, so a run of it cannot be continued on another. Train it on the new "
            "dataset from the start.",
        ),
    ],
)
def test_a_method_that_cannot_be_continued_is_refused(home: Path, method: str, error: str) -> None:
    folder = Path(f"runs/day1/paper/base+{method}/seed-0")
    shutil.copytree(PARENT, folder)
    make_older(Path(folder))
    (folder / "config.toml").write_text(
        (folder / "config.toml").read_text().replace('"mail"', f'"{method}"').split("[cold_start_options]")[0]
        + "[cold_start_options]\n"
    )
    result = json.loads((folder / "result.json").read_text())
    (folder / "result.json").write_text(json.dumps({**result, "cell": f"base+{method}"}))
    assert error_line(mail("train", "--continue", folder, "--data", "tiny")) == f"{folder}: '{method}' {error}"


@pytest.mark.slow
def test_the_settings_of_a_continued_run_are_not_for_another(home: Path) -> None:
    assert error_line(mail("train", "--config", f"{CHILD}/config.toml")) == (
        "continues: is set only by `mail train --continue RUN`. Leave it out."
    )
