"""`mail plot`: figures of real, small runs."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
from matplotlib.figure import Figure

from mailcli import plugins
from mailcli.config import make_config
from mailcli.data.dataset import Dataset
from mailcli.errors import MailError
from mailcli.reporting.plots._style import save_figure
from mailcli.reporting.plots._users import encode_users
from mailcli.reporting.plots.loss import moving_mean
from mailcli.reporting.plots.nearness import measure_nearness
from mailcli.reporting.plots.tsne import embed_2d
from mailcli.reporting.plots.validation import mean_curve
from mailcli.runs.folder import RunFolder
from mailcli.runs.opening import open_run
from tests.helpers.command_line import error_line, mail
from tests.helpers.figures import assert_readable
from tests.helpers.models import mail_config
from tests.helpers.runs import Trained, copy_run, make_older

QUICK = {"epochs": 1, "batch_size": 256}


@pytest.fixture(scope="module")
def runs(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seeds of MAIL-Base and of the ranker without a method."""
    folder = tmp_path_factory.mktemp("runs")
    for seed in (0, 1):
        for variant in (None, "base"):
            copy_run(trained(mail_config(variant, seed=seed, **QUICK)), folder)
    return folder


#: The folders of runs that each figure is drawn of, and the names of its files.
FIGURES = {
    **{name: (["."], [name]) for name in ("loss", "forest", "validation", "map", "cost")},
    "warmup": (["tiny/paper/base+none", "tiny/paper/base+mail-base"], ["warmup"]),
    "tsne": (["tiny/paper/base+mail-base/seed-0"], ["tsne-behavior", "tsne-attributes"]),
    "nearness": (["tiny/paper/base+mail-base/seed-0"], ["nearness"]),
}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow] if name in {"warmup", "tsne"} else [])
        for name in plugins.names(plugins.PLOTS)
    ],
)
def test_each_figure_is_written_twice_over(
    name: str, runs: Path, data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cells, files = FIGURES[name]

    def save(figure: Figure, out: Path, stem: str) -> list[Path]:
        assert_readable(figure)
        return save_figure(figure, out, stem)

    monkeypatch.setattr("mailcli.reporting.plots._style.save_figure", save)
    folders = [runs / cell for cell in cells]
    for out in ("one", "two"):
        done = mail("plot", name, *folders, "--data-dir", data_dir, "--out", tmp_path / out)
        assert done.exit_code == 0, done.output
        paths = [str(tmp_path / out / f"{stem}{suffix}") for stem in files for suffix in (".png", ".svg")]
        assert done.stdout.splitlines() == paths
    for stem in files:
        assert (tmp_path / "one" / f"{stem}.png").read_bytes().startswith(b"\x89PNG")
        svg = (tmp_path / "one" / f"{stem}.svg").read_text()
        # The data, the protocol and the seeds are on every figure, and the same runs give the same figure.
        assert "tiny (simulated), protocol paper, seed" in svg
        assert (tmp_path / "two" / f"{stem}.svg").read_text() == svg


@pytest.mark.parametrize(
    ("name", "folders", "error"),
    [
        ("los", ["."], "unknown figure 'los'. Did you mean 'loss'? Known: 'cost', 'forest', 'loss', 'map', "),
        ("tsne", ["."], "t-SNE needs exactly one run; got 4. Name one run folder."),
        ("nearness", ["."], "nearness needs exactly one run; got 4. Name one run folder."),
        (
            "tsne",
            ["tiny/paper/base+none/seed-0"],
            "has no cold-start method, so there is no generated behavior to draw.",
        ),
        (
            "map",
            ["tiny/paper/base+none"],
            "'tiny': no run that is trained with generated behavior has its baseline next to it. Name the folder of ",
        ),
        (
            "loss",
            ["tiny/papr"],
            "tiny/papr: there is no such folder. Did you mean 'paper'? Expected one made by `mail train`.",
        ),
    ],
)
def test_what_cannot_be_drawn_is_told_in_one_line(
    name: str, folders: list[str], error: str, runs: Path, data_dir: Path, tmp_path: Path
) -> None:
    paths = [runs / folder for folder in folders]
    done = mail("plot", name, *paths, "--data-dir", data_dir, "--out", tmp_path / "figures")
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith("Error: ")
    assert error in error_line(done)
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "figures").exists()


@pytest.mark.parametrize("method", ["dropout", "metaemb", "masked"])
def test_what_a_method_does_not_generate_is_not_drawn(method: str, tiny: Dataset) -> None:
    run = cast(
        RunFolder, SimpleNamespace(folder=Path("x"), config=make_config([{"data": "tiny", "cold_start": method}]))
    )
    with pytest.raises(MailError) as raised:
        encode_users(run, tiny)
    assert raised.value.message == (
        f"x: '{method}' generates no behavior, so there is nothing to draw. Expected a run of one of 'conse', 'cvae', "
        "'eszsl', 'llae', 'mail', 'mail-pooled', 'neighbors'."
    )


@pytest.mark.slow
def test_a_generated_match_is_no_behavior_to_draw(trained: Trained, tiny: Dataset) -> None:
    """`match` is audited as what it generates, but leaves the behavior of new users empty."""
    settings = {"cold_start": "match", "embedding_dim": 4, "ranker.units": "8,4", "cold_start.dim": 4, "epochs": 1}
    run = trained(make_config([{"data": "tiny", "history": 5, "batch_size": 256, **settings}]))
    with pytest.raises(
        MailError,
        match="'match' generates a number per impression and no steps of behavior, so there is nothing to draw.",
    ):
        encode_users(run, tiny)


def test_a_table_without_baselines_has_no_forest(runs: Path, data_dir: Path, tmp_path: Path) -> None:
    shutil.copytree(runs / "tiny/paper/base+mail-base", tmp_path / "runs/tiny/paper/base+mail-base")
    done = mail("plot", "forest", "--runs", tmp_path / "runs", "--data-dir", data_dir, "--out", tmp_path / "f")
    assert done.exit_code == 2
    assert "no run has its baseline next to it" in error_line(done)


def test_runs_of_two_datasets_are_not_drawn_together(runs: Path, data_dir: Path, tmp_path: Path) -> None:
    shutil.copytree(runs, tmp_path / "runs")
    make_older(tmp_path / "runs")
    for path in (tmp_path / "runs/tiny/paper/base+none").rglob("config.toml"):
        path.write_text(path.read_text().replace('data = "tiny"', 'data = "other"'))
    done = mail("plot", "loss", "--runs", tmp_path / "runs", "--data-dir", data_dir, "--out", tmp_path / "f")
    assert done.exit_code == 2
    assert "the runs are on other/paper and tiny/paper. Name runs on one dataset under one protocol." in error_line(
        done
    )


def test_a_run_that_is_named_twice_is_one_run(runs: Path, data_dir: Path, tmp_path: Path) -> None:
    run = runs / "tiny/paper/base+mail-base/seed-0"
    twice = [run, runs / "tiny/../tiny/paper/base+mail-base/seed-0", "--data-dir", data_dir, "--out", tmp_path / "f"]
    done = mail("plot", "nearness", *twice)
    assert done.exit_code == 0, done.output
    shutil.copytree(run, tmp_path / "copy")
    done = mail("plot", "loss", run, tmp_path / "copy", "--out", tmp_path / "f")
    expected = f"{run} and {tmp_path / 'copy'} are runs with the same settings and seed. Give one of them."
    assert error_line(done) == expected


def first_seed(runs: Path, cell: str) -> RunFolder:
    return open_run(runs / "tiny/paper" / cell / "seed-0")


def test_what_is_generated_is_drawn_beside_what_is_hidden(runs: Path, tiny: Dataset) -> None:
    vectors = encode_users(first_seed(runs, "base+mail-base"), tiny)
    users = len(vectors.new)
    assert vectors.real.shape == vectors.generated.shape == (users, 10 * 8)
    assert vectors.attributes.shape == (users, 8)
    # All of these users have behavior, new users too, and the generated behavior is different.
    assert np.abs(vectors.real).sum(axis=1).min() > 0
    assert np.abs(vectors.real - vectors.generated).sum(axis=1).min() > 0
    assert 2 <= vectors.new.sum() < users


@pytest.mark.parametrize("installed", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_new_users_are_placed_in_the_map_of_the_old(installed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two groups far apart stay apart, with openTSNE and with scikit-learn in its place."""
    if not installed:
        monkeypatch.setitem(__import__("sys").modules, "openTSNE", None)
    rng = np.random.default_rng(0)
    left, right = rng.normal(0, 1, (60, 8)), rng.normal(40, 1, (60, 8))
    old, new = embed_2d([left[:50], right[:50]], [left[50:], right[50:]], 0)
    assert [len(group) for group in (*old, *new)] == [50, 50, 10, 10]
    centers = [group.mean(axis=0) for group in old]
    for number, group in enumerate(new):
        distances = [np.linalg.norm(group - center, axis=1) for center in centers]
        assert (distances[number] < distances[1 - number]).all()


def test_lengths_and_directions_by_hand() -> None:
    real = np.array([[3.0, 4.0], [0.0, 2.0]])
    generated = np.array([[6.0, 8.0], [1.0, 0.0]])
    nearness = measure_nearness(real, generated)
    np.testing.assert_allclose(nearness.real, [5, 2])
    np.testing.assert_allclose(nearness.generated, [10, 1])
    # (18 + 32) / 50 and 0; against the other's: 16 / 20 and 3 / 5.
    np.testing.assert_allclose(nearness.own, [1, 0])
    np.testing.assert_allclose(nearness.others, [0.8, 0.6])
    assert np.isnan(measure_nearness(real, 0 * generated).own).all()


def test_a_moving_mean_by_hand() -> None:
    # Each step reaches one batch to either side, an eighth of the length, and the second curve ends at its eighth.
    steps, mean = moving_mean([[1.0, 2, 6, 1, 2, 6, 1, 2, 99], [3.0, 4, 8, 3, 4, 8, 3, 4]])
    assert steps.tolist() == [2, 3, 4, 5, 6, 7]
    assert mean.tolist() == pytest.approx([4, 4, 4, 4, 4, 4])
    steps, mean = moving_mean([[5.0, 7.0, 3.0]])
    assert (steps.tolist(), mean.tolist()) == ([1, 2, 3], [5.0, 7.0, 3.0])


def test_the_moving_mean_does_not_trail() -> None:
    """A straight line is its own mean, and a spike is spread over the 12 batches on both sides of it."""
    line = [0.5 * batch for batch in range(1, 201)]
    steps, mean = moving_mean([line])
    assert (steps[0], steps[-1]) == (13, 188)
    np.testing.assert_allclose(mean, 0.5 * steps)
    steps, mean = moving_mean([[float(batch == 50) for batch in range(1, 201)]])
    assert steps[mean > 0.01].tolist() == list(range(38, 63))


def test_the_mean_of_validation_curves_ends_with_the_shortest() -> None:
    # The seeds' epochs have 10 and 12 steps.
    steps, heights = mean_curve([{10: 0.5, 20: 0.6, 30: 0.9}, {12: 0.7, 24: 0.5}])
    assert steps.tolist() == [11, 22]
    assert heights.tolist() == pytest.approx([0.6, 0.55])


def test_damaged_runs_of_a_folder_are_skipped_and_leftovers_of_a_kill_swept(runs: Path, tmp_path: Path) -> None:
    copy, out = tmp_path / "runs", tmp_path / "figures"
    shutil.copytree(runs, copy)
    damaged = copy / "tiny/paper/base+none/seed-0"
    (damaged / "history.jsonl").write_text("{}\n")
    out.mkdir()
    for name in ("loss.png", "loss.svg", "thesis.png"):
        (out / f".partial-0123456789abcdef-{name}").write_bytes(b"half")
    done = mail("plot", "loss", "--runs", copy, "--out", out)
    assert done.exit_code == 0, done.output
    assert f"Skipped: {damaged}/history.jsonl: was changed after the run had finished" in done.stderr
    assert sorted(path.name for path in out.iterdir()) == [
        ".partial-0123456789abcdef-thesis.png",
        "loss.png",
        "loss.svg",
    ]
    assert f"{damaged}/history.jsonl: was changed" in error_line(mail("plot", "loss", damaged, "--out", out))


def test_a_figure_that_cannot_be_written_leaves_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Figure, "savefig", full)
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    for out in (tmp_path / "new", theirs):
        with pytest.raises(OSError, match="No space left"):
            save_figure(Figure(), out, "loss")
    assert list(tmp_path.iterdir()) == [theirs]
