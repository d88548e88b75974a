"""A finished run whose files were changed: noticed by SHA256SUMS, and named in one line."""

from __future__ import annotations

import hashlib
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from mailcli.config import make_config
from mailcli.data.dataset import Dataset
from mailcli.errors import MailError
from mailcli.models.factory import make_model
from mailcli.models.two_tower import TwoTower
from mailcli.runs.opening import open_run
from mailcli.runs.registry import find_run
from tests.helpers.command_line import SMALL, error_line, mail
from tests.helpers.runs import SETTINGS, Trained

CONFIG = make_config([SETTINGS, {"epochs": 1}])
SMALL_FILES = ["config.toml", "environment.json", "history.jsonl", "predictions.npy", "result.json"]
CHECKPOINTS = ["checkpoints/best.weights.h5", "checkpoints/best.optimizers.npz"]
REMEDY = "Delete the folder and repeat the command that made it."


@pytest.fixture(scope="module")
def finished(trained: Trained) -> Path:
    """The folder of a finished run that must not be changed."""
    return trained(CONFIG).folder


@pytest.fixture(scope="module")
def model(tiny: Dataset) -> TwoTower:
    """A model of the run's config."""
    return make_model(tiny, CONFIG)


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """A copy of the run's folder."""
    return Path(shutil.copytree(finished, tmp_path / "runs" / CONFIG.run_path))


def flip(path: Path, bit: int) -> None:
    content = bytearray(path.read_bytes())
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)


def read_all(run: Path, model: TwoTower) -> list[Any]:
    """Everything that a command may read of a run."""
    opened = open_run(run)
    opened.restore(model)
    opened.check_optimizers()
    weights = [np.asarray(weight).tobytes() for weight in model.weights]
    scores = (run / "predictions.npy").read_bytes()
    return [opened.config, opened.result, opened.environment, opened.history(), scores, weights]


def refusal(run: Path, model: TwoTower) -> str:
    with pytest.raises(MailError) as error:
        read_all(run, model)
    return error.value.message


def test_a_finished_run_lists_all_its_files(finished: Path) -> None:
    files = sorted(str(path.relative_to(finished)) for path in finished.rglob("*") if path.is_file())
    assert files == sorted([*SMALL_FILES, *CHECKPOINTS, "SHA256SUMS"])
    lines = [
        f"{hashlib.sha256((finished / name).read_bytes()).hexdigest()}  {name}"
        for name in files
        if name != "SHA256SUMS"
    ]
    assert sorted((finished / "SHA256SUMS").read_text().splitlines()) == sorted(lines)


@pytest.mark.parametrize("name", [*SMALL_FILES, *CHECKPOINTS])
def test_a_changed_file_is_named(run: Path, model: TwoTower, name: str) -> None:
    flip(run / name, 8 * 20)
    changed = f"{run / name}: was changed after the run had finished: its SHA-256 is not that in SHA256SUMS. {REMEDY}"
    assert refusal(run, model) == changed
    (run / name).unlink()
    missing = refusal(run, model)
    assert missing == (
        f"{run}: holds no config.toml, so it is not a run folder. Expected one made by `mail train`."
        if name == "config.toml"
        else f"{run}: the run is not finished. Repeat the command that began it."
        if name == "result.json"
        else f"{run / name}: is missing, although SHA256SUMS names it. {REMEDY}"
    )


def test_the_optimizers_may_be_deleted(run: Path, model: TwoTower, tiny: Dataset) -> None:
    """As docs/retraining.md says; only `mail train --continue` needs them."""
    (run / "checkpoints/best.optimizers.npz").unlink()
    open_run(run).restore(model)
    assert find_run(run.parents[3], CONFIG, tiny).result == open_run(run).result
    result = mail("doctor", "--thorough", "--runs", run.parents[3], "--data-dir", tiny.folder.parent)
    assert "damaged" not in result.output


@pytest.mark.parametrize("name", SMALL_FILES)
def test_a_changed_file_is_named_before_the_run_is_reused(run: Path, tiny: Dataset, name: str) -> None:
    flip(run / name, 8 * 20)
    with pytest.raises(MailError) as error:
        find_run(run.parents[3], CONFIG, tiny)
    assert error.value.message.startswith(f"{run / name}: was changed after the run had finished")


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda text: "", "has no line for config.toml."),
        (lambda text: text.replace("result.json", "results.json"), "has no line for result.json."),
        (lambda text: "x" + text[1:], "line 1 is 'x"),
        (lambda text: text.replace("\n", "\r\n"), "line 1 is '"),
        (lambda text: text.replace("  ", " "), "line 1 is '"),
        (lambda text: "\0" * 100, "line 1 is '"),
    ],
)
def test_damaged_checksums(run: Path, model: TwoTower, change: Callable[[str], str], error: str) -> None:
    path = run / "SHA256SUMS"
    path.write_bytes(change(path.read_text()).encode())
    assert refusal(run, model).startswith(f"{path}: {error}")


def every_flip_is_noticed_or_harmless(run: Path, model: TwoTower, flips: int) -> int:
    """Flip bits one at a time, as many in each file; returns how many were noticed."""
    whole = read_all(run, model)
    files = sorted(path for path in run.rglob("*") if path.is_file())
    random_bits, errors = random.Random(17), []
    for number in range(flips):
        path = files[number % len(files)]
        bit = random_bits.randrange(8 * path.stat().st_size)
        flip(path, bit)
        try:
            assert read_all(run, model) == whole, (path, bit)
        except MailError as error:
            errors.append((path, error.message))
        flip(path, bit)
    assert read_all(run, model) == whole
    # A flip in SHA256SUMS is reported as one of the file whose line it is.
    assert all(path.name == "SHA256SUMS" or message.startswith(f"{path}: ") for path, message in errors)
    return len(errors)


def test_40_flipped_bits(run: Path, model: TwoTower) -> None:
    assert every_flip_is_noticed_or_harmless(run, model, 40) == 40


@pytest.mark.slow
def test_500_flipped_bits(run: Path, model: TwoTower) -> None:
    # A few change the name of a file in SHA256SUMS, which is then not checked.
    assert every_flip_is_noticed_or_harmless(run, model, 500) >= 490


class TestRunsOfOlderVersions:
    """Runs without SHA256SUMS are read, with the checks that need none."""

    @pytest.fixture
    def old(self, run: Path) -> Path:
        (run / "SHA256SUMS").unlink()
        return run

    def test_are_read(self, old: Path, finished: Path, model: TwoTower) -> None:
        assert read_all(old, model) == read_all(finished, model)

    @pytest.mark.parametrize(
        ("value", "reason"),
        [
            (np.array([np.nan] * 8, np.float32), "holds a value that is not finite"),
            (np.array([0, 0, 0, -np.inf, 0, 0, 0, 0], np.float32), "holds a value that is not finite"),
            (np.array([0] * 8, np.float64), "holds float64, expected "),
            (np.array([0] * 8, np.float16), "holds float16, expected "),
            (np.array([0] * 8, ">f4"), "holds >f4, expected "),
            (np.array([(0, 0)] * 8, "f4,f4"), "expected "),
        ],
    )
    def test_weights_of_another_type_are_refused(self, old: Path, model: TwoTower, value: Any, reason: str) -> None:
        path = old / "checkpoints" / "best.weights.h5"
        name = "layers/ranker/tower/norm/batch_normalization_1/vars/0"
        with h5py.File(path, "a") as file:
            assert file[name].shape == (8,)
            del file[name]
            file[name] = value
        error = refusal(old, model)
        assert error.startswith(f"{path}: is damaged, or does not fit this run's model and dataset ({name} ")
        assert reason in error

    @pytest.mark.parametrize(
        ("before", "after", "error"),
        [
            ("dataset_sha256", "dataSet_sha256", "unknown key 'dataSet_sha256'. Did you mean 'dataset_sha256'?"),
            ("new_share", "new_shard", "unknown setting 'new_shard'. Did you mean 'new_share'?"),
            ("[ranker_options]", "[ranker_option]", "unknown setting 'ranker_option'."),
            ("epochs = 1", "epochs = 0", "epochs = 0: expected a whole number"),
        ],
    )
    def test_unknown_keys_are_refused(self, old: Path, model: TwoTower, before: str, after: str, error: str) -> None:
        path = old / "config.toml"
        assert before in path.read_text()
        path.write_text(path.read_text().replace(before, after))
        assert refusal(old, model).startswith(f"{path}: {error}")


@pytest.mark.parametrize(
    "command",
    [
        ["evaluate", "RUN"],
        ["evaluate"],
        ["score", "RUN", "impressions.csv", "--out", "scores.csv"],
        ["export", "RUN", "model"],
        ["plot", "loss", "RUN"],
        ["plot", "forest"],
        ["abtest", "RUN", "random", "--users", "10"],
        ["train", "--continue", "RUN", "--data", "tiny"],
        ["train", *SMALL],
        ["compare", "--rows", "BaseDNN", "--seeds", "1", *SMALL],
    ],
)
def test_every_command_refuses_a_changed_run(with_data: Path, command: list[str], small_runs: Path) -> None:
    name = "tiny/paper/base+none/seed-0"
    shutil.copytree(small_runs / name, with_data / "runs" / name)
    run = Path("runs/tiny/paper/base+none/seed-0")
    flip(run / "predictions.npy", 8 * 200)
    arguments = [str(run) if argument == "RUN" else argument for argument in command]
    before = sorted(with_data.rglob("*"))
    (with_data / "impressions.csv").write_text("user,item,time\n")
    error = error_line(mail(*arguments))
    assert error.startswith(f"{run}/predictions.npy: was changed after the run had finished")
    (with_data / "impressions.csv").unlink()
    assert sorted(with_data.rglob("*")) == before
