"""`Run.predict` and `Run.plot`: a frame of raw values is scored as `mail score` scores a file of them."""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import mailcli as mail
from mailcli.serving.impression_frame import ImpressionFrame
from tests.helpers.command_line import mail as command


@pytest.fixture(scope="module")
def run(small_runs: Path, data_dir: Path) -> mail.Run:
    return mail.open_run(small_runs / "tiny/paper/base+none/seed-0", data_dir)


@pytest.fixture(scope="module")
def impressions(data_dir: Path) -> pd.DataFrame:
    """Test impressions with raw values, an index of their own and a column that nothing reads."""
    data = mail.load("tiny", data_dir)
    frame = pd.DataFrame(
        {
            "user": data.column("users", "raw")[data.column("test", "user")],
            "item": data.column("items", "raw")[data.column("test", "item")],
            "time": data.column("test", "time"),
            "pid": data.column("vocabularies", "pid")[data.column("test", "pid") - 2],
        }
    )
    frame.index = pd.Index([f"row {number}" for number in range(len(frame))])
    frame["notes"] = pd.Series([[number] for number in range(len(frame))], index=frame.index)
    return frame


def test_a_frame_is_scored_as_a_file_is(
    run: mail.Run, impressions: pd.DataFrame, data_dir: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    impressions.drop(columns="notes").to_csv(tmp_path / "in.csv", index=False)
    out = tmp_path / "out.parquet"
    done = command("score", run.folder, tmp_path / "in.csv", "-o", out, "--data-dir", data_dir)
    assert done.exit_code == 0, done.output
    capfd.readouterr()
    scores = run.predict(impressions)
    assert list(scores.columns) == ["score"]
    assert scores.index.equals(impressions.index)
    expected = pd.read_parquet(out)["score"].to_numpy()
    np.testing.assert_array_equal(scores["score"].to_numpy(), expected)
    # They are those of the run's own evaluation, up to the size of the batches.
    np.testing.assert_allclose(expected, np.load(run.folder / "predictions.npy").ravel(), atol=1e-6)
    counts = done.stdout.removeprefix(f"{out}: ")
    assert capfd.readouterr().err == f"Scored {counts}"


def test_all_histories_are_those_of_the_command(
    run: mail.Run, impressions: pd.DataFrame, data_dir: Path, tmp_path: Path
) -> None:
    impressions.drop(columns="notes").to_csv(tmp_path / "in.csv", index=False)
    out = tmp_path / "out.parquet"
    done = command("score", run.folder, tmp_path / "in.csv", "-o", out, "--data-dir", data_dir, "--all-histories")
    assert done.exit_code == 0, done.output
    scores = run.predict(impressions, all_histories=True, quiet=True)
    np.testing.assert_array_equal(scores["score"].to_numpy(), pd.read_parquet(out)["score"].to_numpy())
    assert not np.array_equal(scores, run.predict(impressions, quiet=True))


def test_what_cannot_be_scored_is_told_in_one_line(run: mail.Run, impressions: pd.DataFrame) -> None:
    def message(frame: Any) -> str:
        with pytest.raises(mail.MailError) as error:
            run.predict(frame)
        return error.value.message

    assert message(impressions.rename(columns={"user": "User"})) == (
        "DataFrame: no column 'user'. Did you mean 'User'? The DataFrame's columns are: User, item, time, pid, notes. "
        "Expected: user, item, time, pid."
    )
    late = impressions.assign(time=impressions["time"].astype(object))
    late.loc["row 2", "time"] = "noon"
    assert message(late).startswith("DataFrame: column 'time' cannot be read (")
    texts = impressions.assign(time=impressions["time"].astype(str))
    texts.loc["row 2", "time"] = "noon"
    assert message(texts) == (
        "DataFrame: row 3: column 'time' holds 'noon'. Expected a whole number of seconds since 1970."
    )
    assert message(impressions.iloc[:0]) == "DataFrame: there is no row. Expected impressions."
    assert message(pd.concat([impressions, impressions[["time"]]], axis=1)) == (
        "DataFrame: more than one column is named 'time'. Expected each name once."
    )
    dates = impressions.assign(time=pd.to_datetime(impressions["time"], unit="s"))
    assert message(dates).startswith("DataFrame: 'time' holds timestamp[")

    def with_pid(value: object) -> pd.DataFrame:
        return impressions.assign(pid=pd.Series([value] * len(impressions), impressions.index, object))

    assert message(with_pid(10**30)) == (
        "DataFrame: column 'pid' holds a number of more than 64 bits. Expected values as in the raw files."
    )
    assert message(with_pid("\udcff")).startswith("DataFrame: column 'pid' cannot be read (")
    assert "surrogates not allowed" in message(with_pid("\udcff"))
    assert message(impressions.set_index("user")) == (
        "DataFrame: 'user' is in the index. Make it a column with `reset_index()`."
    )
    nothing = impressions.assign(item=np.nan)
    assert message(nothing).startswith("DataFrame: row 1 (")
    assert message(nothing).endswith(" rows): column 'item' is empty. Expected a whole number.")
    assert message([1, 2]) == "impressions are [1, 2]. Expected a pandas DataFrame."


def test_a_column_that_is_all_missing_may_have_any_type(run: mail.Run, impressions: pd.DataFrame) -> None:
    """pandas makes a column of floats of it."""
    scores = [run.predict(impressions.assign(pid=value), quiet=True) for value in ("", None, np.nan)]
    for other in scores[1:]:
        pd.testing.assert_frame_equal(other, scores[0])


def test_a_frame_is_read_in_pieces() -> None:
    frame = pd.DataFrame({"user": [3, 1, 2], "city": ["a", None, "b"], "other": [object()] * 3})
    source = ImpressionFrame(frame, {"user", "city", "item"})
    pieces = [piece.to_pydict() for piece in source.read(2, None)]  # type: ignore[arg-type]
    assert pieces == [{"user": [3, 1], "city": ["a", None]}, {"user": [2], "city": ["b"]}]
    assert source.columns == ["user", "city", "other"]


def test_a_trivial_row_has_no_weights_to_score_with(data_dir: Path, tmp_path: Path) -> None:
    trivial = mail.train(mail.load("tiny", data_dir), "item-rate", runs=tmp_path, quiet=True)
    with pytest.raises(mail.MailError, match="is a trivial row, whose run keeps no weights"):
        trivial.predict(pd.DataFrame({"user": [1]}))
    with pytest.raises(mail.MailError, match="the runs have no validation curve: they were not trained by epochs"):
        trivial.plot()


def test_the_figure_shows_the_curve_and_the_weights_that_were_kept(run: mail.Run) -> None:
    figure = run.plot()
    assert [axis.get_title() for axis in figure.axes] == ["new users", "old users", "all users"]
    (point,) = run.result["curve"]
    for axis, users in zip(figure.axes, ("new", "old", "all"), strict=True):
        curve, ring = axis.get_lines()
        for line in (curve, ring):
            np.testing.assert_array_equal(line.get_xydata(), [[point["step"], point[users]]])
    # A notebook shows it.
    assert figure._repr_png_().startswith(b"\x89PNG")  # type: ignore[attr-defined]


def test_a_run_stays_that_of_its_folder(
    small_runs: Path, data_dir: Path, impressions: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A notebook may change its current folder, in which another project has a run of that name."""
    for project, seed in (("first", 0), ("second", 1)):
        shutil.copytree(data_dir, tmp_path / project / "data")
        shutil.copytree(small_runs / f"tiny/paper/base+none/seed-{seed}", tmp_path / project / "run")
    monkeypatch.chdir(tmp_path / "first")
    run, data = mail.open_run("run"), mail.load("tiny")
    table, scores = run.table(), run.predict(impressions, quiet=True)
    monkeypatch.chdir(tmp_path / "second")
    assert run.folder == tmp_path / "first" / "run"
    assert data.folder == tmp_path / "first" / "data" / "tiny"
    pd.testing.assert_frame_equal(run.table(), table)
    pd.testing.assert_frame_equal(run.predict(impressions, quiet=True), scores)
    assert not mail.open_run("run").table().equals(table)


def test_a_run_can_be_pickled(run: mail.Run, impressions: pd.DataFrame) -> None:
    scores = run.predict(impressions, quiet=True)
    copy = pickle.loads(pickle.dumps(run))
    assert copy.folder == run.folder
    pd.testing.assert_frame_equal(copy.predict(impressions, quiet=True), scores)
