"""`mail score`: a file is scored as the trainer scored it, and nothing that exists is overwritten."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest

from mailcli.runs.folder import RunFolder
from mailcli.serving.impression_writer import ImpressionWriter
from mailcli.utils.folder_lock import FolderLock
from tests.helpers.command_line import error_line, mail
from tests.helpers.serving import CELL, CELLS, PROFILE, RawRequests, assert_close, drawn_as_new, score
from tests.helpers.serving_requests import around_last_behavior, unknown_impressions


@pytest.mark.parametrize("cell", CELLS)
def test_a_file_is_scored_as_the_trainer_scored_it(
    cell: str, runs: dict[str, RunFolder], raw: RawRequests, data_dir: Path, tmp_path: Path
) -> None:
    impressions = raw.test.assign(note='a "quoted", word')
    impressions.to_csv(tmp_path / "in.csv", index=False)
    trained = np.load(runs[cell].folder / "predictions.npy")
    result = score(runs[cell], tmp_path / "in.csv", tmp_path / "out.csv", data_dir, "--batch", "100")
    assert result.exit_code == 0, result.output
    new = drawn_as_new(raw.dataset, runs[cell].config) | (raw.dataset.earlier_behaviors("test") == 0)
    assert result.stdout == (
        f"{tmp_path / 'out.csv'}: {len(impressions):,} impressions; {new.sum():,} without history, 0 with an unknown user, "
        "0 with an unknown item, 0 with an unknown attribute, 0 with an unknown context value.\n"
    )
    scored = pd.read_csv(tmp_path / "out.csv")
    pd.testing.assert_frame_equal(scored.drop(columns="score"), impressions)
    assert_close(scored["score"].to_numpy(), trained)
    # Parquet, in another order.
    impressions = impressions.iloc[::-1].reset_index(drop=True)
    impressions.to_parquet(tmp_path / "in.parquet")
    result = score(runs[cell], tmp_path / "in.parquet", tmp_path / "out.parquet", data_dir)
    assert result.exit_code == 0, result.output
    scored = pd.read_parquet(tmp_path / "out.parquet")
    pd.testing.assert_frame_equal(scored.drop(columns="score"), impressions)
    assert_close(scored["score"].to_numpy(), trained[::-1])
    assert {path.name for path in tmp_path.iterdir()} == {"in.csv", "out.csv", "in.parquet", "out.parquet"}


def test_users_and_items_that_the_dataset_lacks(
    runs: dict[str, RunFolder],
    answers: dict[str, dict[str, np.ndarray]],
    raw: RawRequests,
    data_dir: Path,
    tmp_path: Path,
) -> None:
    unknown_impressions(raw)[0].to_csv(tmp_path / "in.csv", index=False)
    result = score(runs[CELL], tmp_path / "in.csv", tmp_path / "out.parquet", data_dir, "--all-histories")
    assert result.exit_code == 0, result.output
    assert result.stdout.endswith(
        ": 4 impressions; 3 without history, 3 with an unknown user (for example -5), 2 with an unknown item (for example "
        "1000000000), 1 with an unknown attribute (occupation 1, for example 2), 1 with an unknown context value "
        "(pid 1, for example '?').\n"
    )
    scores = pd.read_parquet(tmp_path / "out.parquet")["score"].to_numpy()
    assert_close(scores, answers["strangers"]["click"][:, 0])


def test_an_unknown_id_with_several_attributes_is_several_users(
    runs: dict[str, RunFolder], raw: RawRequests, data_dir: Path, tmp_path: Path
) -> None:
    """Such as the id of all guests: behavior is generated from each row's own attributes, in batches of any size."""
    impressions = unknown_impressions(raw)[0].iloc[[0, 0, 0]]
    for name in PROFILE:
        impressions[name] = [*raw.dataset.column("vocabularies", name)[[0, -1, 0]]]
    impressions.to_csv(tmp_path / "in.csv", index=False)
    scores = []
    for batch in (1, 2, 4096):
        out = tmp_path / f"{batch}.parquet"
        assert score(runs["base+mail"], tmp_path / "in.csv", out, data_dir, "--batch", str(batch)).exit_code == 0
        scores.append(pd.read_parquet(out)["score"].to_numpy())
    assert abs(scores[0][0] - scores[0][1]) > 1e-5
    for others in scores[1:]:
        assert_close(others, scores[0])


def test_a_history_is_what_is_strictly_earlier(
    runs: dict[str, RunFolder],
    answers: dict[str, dict[str, np.ndarray]],
    raw: RawRequests,
    data_dir: Path,
    tmp_path: Path,
) -> None:
    around_last_behavior(raw, runs[CELL])[0].to_csv(tmp_path / "in.csv", index=False)
    result = score(runs[CELL], tmp_path / "in.csv", tmp_path / "out.csv", data_dir)
    assert result.exit_code == 0, result.output
    scores = pd.read_csv(tmp_path / "out.csv")["score"].to_numpy()
    assert abs(scores[0] - scores[1]) > 1e-5
    assert_close(scores, answers["just before"]["click"][:, 0])


def test_attributes_that_are_not_used_are_told(
    runs: dict[str, RunFolder], raw: RawRequests, data_dir: Path, tmp_path: Path
) -> None:
    raw.test.iloc[:5].assign(cms_segid=1, age_level=2).to_csv(tmp_path / "in.csv", index=False)
    result = score(runs[CELL], tmp_path / "in.csv", tmp_path / "out.csv", data_dir)
    assert result.exit_code == 0, result.output
    assert result.stderr.splitlines()[0] == (
        f"{tmp_path / 'in.csv'}: 'cms_segid', 'age_level' not used: users who are not in the dataset need all "
        "attributes, and it lacks 'cms_group_id', 'final_gender_code', 'pvalue_level', 'shopping_level', 'occupation', "
        "'new_user_class_level'."
    )


def test_texts_of_any_arrow_type_are_scored(
    runs: dict[str, RunFolder], raw: RawRequests, data_dir: Path, tmp_path: Path
) -> None:
    impressions = raw.test.iloc[:5]
    table = pa.Table.from_pandas(impressions, preserve_index=False)
    pid = table.schema.get_field_index("pid")
    scores = []
    for kind in (pa.string(), pa.string_view(), pa.binary()):
        file = tmp_path / f"{kind}.parquet"
        pa.parquet.write_table(table.set_column(pid, "pid", table.column("pid").cast(kind)), file)
        result = score(runs[CELL], file, tmp_path / f"{kind}-out.parquet", data_dir)
        assert result.exit_code == 0, result.output
        scores.append(pd.read_parquet(tmp_path / f"{kind}-out.parquet")["score"].tolist())
    assert scores[0] == scores[1] == scores[2]


def test_runs_that_cannot_be_exported_or_scored(
    runs: dict[str, RunFolder], raw: RawRequests, data_dir: Path, tmp_path: Path
) -> None:
    file = tmp_path / "in.csv"
    raw.test.to_csv(file, index=False)
    out, model = tmp_path / "out.csv", tmp_path / "model"
    missing = tmp_path / "nowhere"
    unfinished = tmp_path / "unfinished"
    shutil.copytree(runs[CELL].folder, unfinished)
    (unfinished / "result.json").unlink()
    bare = tmp_path / "bare"
    shutil.copytree(runs[CELL].folder, bare)
    (bare / "checkpoints" / "best.weights.h5").unlink()
    errors = {
        missing: f"{missing}: there is no such folder. Expected one made by `mail train`.",
        unfinished: f"{unfinished}: the run is not finished. Repeat the command that began it.",
    }
    for name, arguments in (("export", [model]), ("score", [file, "-o", out])):
        for folder, text in errors.items():
            assert error_line(mail(name, folder, *arguments, "--data-dir", data_dir)) == text
        error = error_line(mail(name, bare, *arguments, "--data-dir", data_dir))
        assert error == (
            f"{bare}/checkpoints/best.weights.h5: is missing, although SHA256SUMS names it. Delete the folder and "
            "repeat the command that made it."
        )
        assert error_line(mail(name, runs[CELL].folder, *arguments, "--data-dir", missing)) == (
            f"{missing}: holds no dataset, and 'tiny' is needed. Make it with `mail preprocess`, or name its folder "
            "with --data-dir."
        )
    assert {path.name for path in tmp_path.iterdir()} == {"in.csv", "unfinished", "bare"}


def test_what_a_killed_score_left_is_deleted(
    runs: dict[str, RunFolder], raw: RawRequests, data_dir: Path, tmp_path: Path
) -> None:
    raw.test.iloc[:5].to_csv(tmp_path / "in.csv", index=False)
    for name in ("out.csv", "others.csv"):
        (tmp_path / f".partial-0123456789abcdef-{name}").write_text("user,item")
    with FolderLock(tmp_path / "out.csv", "busy"):
        assert error_line(score(runs[CELL], tmp_path / "in.csv", tmp_path / "out.csv", data_dir)) == (
            f"{tmp_path}/out.csv: another `mail score` is writing it. Wait for it, or choose another name."
        )
    assert score(runs[CELL], tmp_path / "in.csv", tmp_path / "out.csv", data_dir).exit_code == 0
    left = {"in.csv", "out.csv", ".partial-0123456789abcdef-others.csv"}
    assert {path.name for path in tmp_path.iterdir()} == left


@pytest.mark.slow
def test_files_of_others_are_left_alone(
    runs: dict[str, RunFolder], raw: RawRequests, data_dir: Path, tmp_path: Path
) -> None:
    """Names like those that unfinished files once had; one of them is the file that is scored."""
    mine = tmp_path / "partial-out.csv"
    raw.test.iloc[:5].to_csv(mine, index=False)
    text = mine.read_text()
    assert score(runs[CELL], mine, tmp_path / "out.csv", data_dir).exit_code == 0
    assert mine.read_text() == text
    assert len((tmp_path / "out.csv").read_text().splitlines()) == 6
    (tmp_path / "partial-model").mkdir()
    (tmp_path / "partial-model" / "notes").write_text("mine")
    assert mail("export", runs[CELL].folder, tmp_path / "model", "--data-dir", data_dir).exit_code == 0
    assert (tmp_path / "partial-model" / "notes").read_text() == "mine"
    assert {path.name for path in tmp_path.iterdir()} == {"partial-out.csv", "out.csv", "partial-model", "model"}


def test_a_file_that_comes_to_be_while_scores_are_written_is_left_alone(
    runs: dict[str, RunFolder], raw: RawRequests, data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw.test.iloc[:5].to_csv(tmp_path / "in.csv", index=False)
    out = tmp_path / "out.csv"
    write = ImpressionWriter.write

    def late(self: ImpressionWriter, piece: pa.RecordBatch) -> None:
        write(self, piece)
        # As if another `mail score` to the same file had finished first.
        out.write_text("theirs")

    monkeypatch.setattr(ImpressionWriter, "write", late)
    assert error_line(score(runs[CELL], tmp_path / "in.csv", out, data_dir)) == (
        f"{out}: was created by another program in the meantime and is left untouched. Nothing was written; choose "
        "another name."
    )
    assert out.read_text() == "theirs"
    assert {path.name for path in tmp_path.iterdir()} == {"in.csv", "out.csv"}


def test_ctrl_c_ends_as_shells_have_it(
    runs: dict[str, RunFolder], raw: RawRequests, data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(ImpressionWriter, "write", stop)
    raw.test.iloc[:5].to_csv(tmp_path / "in.csv", index=False)
    result = score(runs[CELL], tmp_path / "in.csv", tmp_path / "out.csv", data_dir)
    assert result.exit_code == 130
    assert result.stderr.splitlines()[-1] == "Interrupted."
    assert [path.name for path in tmp_path.iterdir()] == ["in.csv"]


def test_a_full_disk_keeps_nothing(
    runs: dict[str, RunFolder], raw: RawRequests, data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("mailcli.serving.score_file.ImpressionWriter.write", full)
    raw.test.iloc[:5].to_csv(tmp_path / "in.csv", index=False)
    out = tmp_path / "out.csv"
    assert error_line(score(runs[CELL], tmp_path / "in.csv", out, data_dir)) == (
        f"{out}: cannot be written (No space left on device). Nothing was written. Free some space and "
        "run the same command again."
    )
    assert [path.name for path in tmp_path.iterdir()] == ["in.csv"]
