"""Values to score are read as those that were trained on: numbers are cut, hours computed, unknown values counted."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

import mailcli
from mailcli import MailError
from mailcli.data.dataset import Dataset
from mailcli.data.numbering import Numbering, RenumberedDataset, current_numbering
from mailcli.experiments.cells import train_if_missing
from mailcli.models.batch_spec import to_tensors
from mailcli.runs.folder import RunFolder
from mailcli.serving.impression_batches import ImpressionBatches
from mailcli.serving.impression_file import ImpressionFile
from mailcli.training.predictor import Predictor
from tests.helpers import raw_numbers
from tests.helpers.command_line import error_line, mail
from tests.helpers.manifests import edit_manifest
from tests.helpers.serving import MISSING, assert_close, assertion_text, config_of, score

#: Strangers with numbers around the edges, as a file may write them, and as a request gives them.
STRANGERS = pd.DataFrame(
    {
        "user": [f"s{row}" for row in range(10)],
        "item": ["x1", "x2"] * 5,
        "time": 874_860,
        "page": ["p", "q", "?", "z", "p", "q", "p", "q", "p", "q"],
        "depth": ["0", "0.7", "0.69", "3", "2.9", "", "1e1", "0", "0", "-1"],
        "city": ["Rome", "Oslo", "Rome", "?", "Rome", "Oslo", "Rome", "", "Bonn", "Oslo"],
        "born": ["1984", "1969.9", "1970", "1990.5", " 1990.4 ", "", "?", "-5", "1984", "123456"],
        "income": ["60", "59.9", "", "1e3", "0", "70", "60.0", "61", "10", "5"],
    }
)
DEPTH = [0, 0.7, 0.69, 3, 2.9, np.nan, 10, 0, 0, -1]
BORN = [1984, 1969.9, 1970, 1990.5, 1990.4, np.nan, MISSING, -5, 1984, 123456]
INCOME = [60, 59.9, np.inf, 1000, 0, 70, 60, 61, 10, 5]
#: The log's times are from 180 (the first click) to 900,720; a thirtieth of the first, and a year after the last.
EARLIEST, LATEST = 6, 900_720 + 365 * 86_400
EXPECTED_TIME = (
    f"seconds since 1970, from {EARLIEST} to {LATEST}: the log's times are from 180 (1970-01-01) to 900720 (1970-01-11). "
    "Divide milliseconds by 1000."
)
#: The numbers of the buckets, by hand; -1 is missing.
DEPTH_BUCKETS = [0, 1, 0, 2, 1, -1, 2, 0, 0, 0]
BORN_BUCKETS = [1, 0, 1, 2, 1, -1, -1, 0, 1, 2]
INCOME_BUCKETS = [1, 0, -1, 1, 0, 1, 1, 1, 0, 0]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return raw_numbers.make(tmp_path_factory.mktemp("raw"))


@pytest.fixture(scope="module")
def run(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return train_if_missing(config_of(dataset, "base+mail"), dataset, tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def finished(run: RunFolder, dataset: Dataset) -> mailcli.Run:
    return mailcli.open_run(run.folder, dataset.folder.parent)


@pytest.fixture(scope="module")
def model(run: RunFolder, dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "model"
    result = mail("export", run.folder, folder, "--data-dir", dataset.folder.parent)
    assert result.exit_code == 0, result.output
    return folder


def ids_of(dataset: Dataset, name: str, values: list[Any]) -> list[int]:
    """The ids of values: 1 for a missing or unknown one, from 2 on in the order of the training split's values."""
    known = dataset.column("vocabularies", name).tolist()
    return [known.index(value) + 2 if value in known else 1 for value in values]


@cache
def signatures_of(model: Path) -> Any:
    return tf.saved_model.load(str(model / "1")).signatures


def predict(model: Path, signature: str, request: dict[str, Any]) -> np.ndarray:
    graph = signatures_of(model)[signature]
    specs = graph.structured_input_signature[1]
    assert set(request) == set(specs)
    scores: np.ndarray = graph(**{name: tf.constant(value, specs[name].dtype) for name, value in request.items()})[
        "click"
    ].numpy()
    return scores


def request_of_strangers() -> dict[str, Any]:
    texts = {name: STRANGERS[name].replace("?", "").tolist() for name in ("user", "city", "page")}
    return {
        "user": texts["user"],
        "user_city": texts["city"],
        "user_born": BORN,
        "user_income": INCOME,
        "context_page": texts["page"],
        "context_depth": DEPTH,
        "context_time": STRANGERS["time"].tolist(),
        "item": STRANGERS["item"].to_numpy()[:, None],
    }


def test_a_dataset_keeps_how_its_values_were_made(dataset: Dataset) -> None:
    missing = {"missing": ["?"]}
    clock = {"origin": -7200}
    assert dataset.manifest["derivations"] == {
        "attributes": {
            "city": missing,
            "born": {"edges": [1970.0, 1990.5], **missing},
            "income": {"edges": [60.0], **missing},
        },
        "behavior": {"paid": {"edges": [10.0]}},
        "context": {
            "depth": {"edges": [0.7, 3.0]},
            "hour": {"clock": "hour", **clock},
            "weekday": {"clock": "weekday", **clock},
        },
        "target": {"cost": {"edges": [10.0]}},
    }


def test_raw_numbers_of_a_file_are_cut_as_in_training(run: RunFolder, dataset: Dataset, tmp_path: Path) -> None:
    file = tmp_path / "in.csv"
    STRANGERS.to_csv(file, index=False)
    impressions = ImpressionBatches(Predictor(run, dataset), ImpressionFile(file), False)
    ((_, batch, counts),) = impressions.batches(100)
    # The user's id is the first attribute, the page the first context.
    assert batch["attributes"][:, 2].tolist() == ids_of(dataset, "born", BORN_BUCKETS)
    assert batch["attributes"][:, 3].tolist() == ids_of(dataset, "income", INCOME_BUCKETS)
    assert batch["context"][:, 1].tolist() == ids_of(dataset, "depth", DEPTH_BUCKETS)
    # 874,860 s are 10 days, 3 hours and a minute in UTC, two hours more in local time.
    assert set(batch["context"][:, 2].tolist()) == set(ids_of(dataset, "hour", [5]))
    assert set(batch["context"][:, 3].tolist()) == set(ids_of(dataset, "weekday", [3]))
    assert counts.attributes == (1, {"city": (1, "'Bonn'")})
    # "?" stands for a missing value in the users' file alone.
    assert counts.contexts == (2, {"page": (2, "'?'")})


def test_raw_values_score_as_preprocessed_values_do(
    run: RunFolder,
    finished: mailcli.Run,
    dataset: Dataset,
    model: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """In a file, in a DataFrame and by the exported model."""
    data_dir = dataset.folder.parent
    columns: dict[str, Any] = {
        "city": STRANGERS["city"].map({"Rome": "Rome", "Oslo": "Oslo"}),
        "page": STRANGERS["page"].map({"p": "p", "q": "q"}),
        "born": BORN_BUCKETS,
        "income": INCOME_BUCKETS,
        "depth": DEPTH_BUCKETS,
        "hour": [5] * 10,
        "weekday": [3] * 10,
    }
    ids = {name: ids_of(dataset, name, list(values)) for name, values in columns.items()}
    rows = [dataset.column("items", "raw").tolist().index(item) for item in STRANGERS["item"]]
    features = [dataset.column("items", field.name)[rows] for field in dataset.schema.group("target")]
    batch: Any = {
        "attributes": np.stack([[1] * 10, ids["city"], ids["born"], ids["income"]], axis=1),
        "behaviors": np.zeros((10, 5, 2)),
        "actions": np.zeros((10, 5)),
        "context": np.stack([ids["page"], ids["depth"], ids["hour"], ids["weekday"]], axis=1),
        "target": np.stack(features, axis=1),
        "dense": np.zeros((10, 0)),
        "user": np.arange(10),
    }
    batch = {name: array.astype(np.float32 if name == "dense" else np.int32) for name, array in batch.items()}
    batch["prepared"] = np.full(10, np.nan, np.float32)
    preprocessed = Predictor(run, dataset).model.probabilities(to_tensors(batch)).numpy()[:, 0]
    assert np.ptp(preprocessed) > 1e-4
    STRANGERS.to_csv(tmp_path / "in.csv", index=False)
    assert score(run, tmp_path / "in.csv", tmp_path / "out.csv", data_dir).exit_code == 0
    assert_close(pd.read_csv(tmp_path / "out.csv")["score"].to_numpy(), preprocessed)
    assert_close(predict(model, "new_users", request_of_strangers())[:, 0], preprocessed)
    capfd.readouterr()
    frame = STRANGERS.assign(depth=DEPTH, born=STRANGERS["born"].replace({"": None, "?": None}).astype(float))
    # Unknown values are told even if only warnings are.
    scores = finished.predict(frame, quiet=True)
    assert_close(scores["score"].to_numpy(), preprocessed)
    assert capfd.readouterr().err == (
        "Scored 10 impressions; 10 without history, 10 with an unknown user (for example 's0'), 0 with an unknown item, "
        "1 with an unknown attribute (city 1, for example 'Bonn'), 2 with an unknown context value (page 2, for example "
        "'?').\n"
    )


def test_a_file_and_an_exported_model_agree_on_raw_values(
    run: RunFolder, dataset: Dataset, model: Path, tmp_path: Path
) -> None:
    file, data_dir = tmp_path / "in.csv", dataset.folder.parent
    STRANGERS.to_csv(file, index=False)
    result = score(run, file, tmp_path / "out.csv", data_dir)
    assert result.exit_code == 0, result.output
    assert "0 with an unknown item, 1 with an unknown attribute (city 1, for example 'Bonn')" in result.stdout
    scores = pd.read_csv(tmp_path / "out.csv")["score"].to_numpy()
    assert np.ptp(scores) > 1e-4
    assert_close(predict(model, "new_users", request_of_strangers())[:, 0], scores)
    # Users of the dataset with their histories, whose numbers are cut, too.
    known = pd.DataFrame({"user": ["u4", "u7"], "item": "x2", "time": 10**6, "page": "p", "depth": [0.7, 5]})
    known.to_csv(tmp_path / "known.csv", index=False)
    result = score(run, tmp_path / "known.csv", tmp_path / "known-out.csv", data_dir, "--all-histories")
    assert result.exit_code == 0, result.output
    rows = [line.split(",") for line in raw_numbers.FILES["shown.csv"].splitlines()[1:]]
    clicks = {user: [row for row in rows if row[0] == user and row[3] == "1"] for user in ("u4", "u7")}
    assert all(len(rows) == 3 for rows in clicks.values())
    answers = predict(
        model,
        "serving_default",
        {
            "user": ["u4", "u7"],
            "user_city": ["Rome", "Oslo"],
            "user_born": [1984, 2001],
            "user_income": [40, 70],
            "history_kind": [[row[6] for row in clicks[user]] for user in clicks],
            "history_paid": [[float(row[7]) for row in clicks[user]] for user in clicks],
            "history_action": [["behavior"] * 3] * 2,
            "context_page": ["p", "p"],
            "context_depth": [0.7, 5],
            "context_time": [10**6] * 2,
            "item": [["x2"], ["x2"]],
        },
    )
    assert_close(answers[:, 0], pd.read_csv(tmp_path / "known-out.csv")["score"].to_numpy())


def test_an_exported_model_says_how_raw_values_are_given(model: Path) -> None:
    description = json.loads((model / "signature.json").read_text())
    inputs = description["signatures"]["item_features"]["inputs"]
    assert inputs["user_born"] | {"known_values": 0} == {
        "dtype": "float64",
        "shape": ["U"],
        "field": "born",
        "meaning": "attribute of the user: the number of the raw files, cut at 1970, 1990.5",
        "vocabulary": "born",
        "known_values": 0,
        "edges": [1970.0, 1990.5],
        "missing": "NaN",
    }
    assert inputs["user"]["meaning"] == "id of the user"
    assert inputs["item_cost"]["edges"] == [10.0]
    assert inputs["context_time"] == {
        "dtype": "int64",
        "shape": ["U"],
        "field": "time",
        "meaning": "time of the request in seconds since 1970, from which the model computes hour and weekday",
        "computed": ["hour", "weekday"],
        "earliest": EARLIEST,
        "latest": LATEST,
    }
    text = " ".join((model / "README.md").read_text().split())
    assert (
        "`user_born`, `user_income`, `history_paid`, `context_depth`, `item_cost`: give the number of the raw files; the "
        "model cuts it into buckets as training did, at the `edges` in signature.json."
    ) in text
    # A bucket's example is a number in it.
    assert description["request"]["inputs"]["user_born"][0] in {1969, 1970, 1990.5, MISSING}
    assert description["request"]["inputs"]["context_time"][0] >= 900_000


def test_an_exported_model_says_which_values_are_unknown(model: Path) -> None:
    """Trained hours are 2 to 10, and 900,720 s are 12:12 in local time; "?" is a missing city."""
    request = {name: value for name, value in request_of_strangers().items() if name != "item"}
    request |= {"user_city": STRANGERS["city"], "context_page": STRANGERS["page"]}
    request["context_time"] = [874_860] * 9 + [900_720]
    signatures = signatures_of(model)
    specs = signatures["unknown_values"].structured_input_signature[1]
    outputs = signatures["unknown_values"](
        **{name: tf.constant(value, specs[name].dtype) for name, value in request.items()}
    )
    unknown = {name: np.flatnonzero(is_unknown).tolist() for name, is_unknown in outputs.items()}
    assert {name: rows for name, rows in unknown.items() if rows} == {
        "user": [*range(10)],
        "user_city": [8],
        "context_page": [2, 3],
        "context_hour": [9],
    }
    assert set(unknown) == {*request, "context_hour", "context_weekday"} - {"context_time"}


@pytest.mark.parametrize("time", [874_860_000, 874_860_000_000, 5, -1, LATEST + 1])
def test_times_in_another_unit_are_refused(
    time: int, run: RunFolder, finished: mailcli.Run, dataset: Dataset, model: Path, tmp_path: Path
) -> None:
    """In milliseconds, in microseconds, and far from the log."""
    file, out, data_dir = tmp_path / "in.csv", tmp_path / "out.csv", dataset.folder.parent
    strangers = STRANGERS.assign(time=[874_860, 874_860, time, *[874_860] * 6, time])
    strangers.to_csv(file, index=False)
    fault = f"row 3 (2 rows): column 'time' holds {{}}. Expected {EXPECTED_TIME}"
    assert error_line(score(run, file, out, data_dir)) == f"{file}: {fault.format(repr(str(time)))}"
    assert not out.exists()
    with pytest.raises(MailError) as refused:
        finished.predict(strangers)
    assert refused.value.message == f"DataFrame: {fault.format(time)}"
    with pytest.raises(tf.errors.InvalidArgumentError) as error:
        predict(model, "new_users", {**request_of_strangers(), "context_time": strangers["time"]})
    assert assertion_text(error.value.message) == (
        f"[row] [3] [of input 'context_time' holds] [{time}] [Expected {EXPECTED_TIME}]"
    )


def test_the_first_and_the_last_allowed_time(finished: mailcli.Run, model: Path) -> None:
    times = [EARLIEST, LATEST, *[874_860] * 8]
    scores = finished.predict(STRANGERS.assign(time=times))["score"].to_numpy()
    assert_close(predict(model, "new_users", {**request_of_strangers(), "context_time": times})[:, 0], scores)


def test_a_missing_time_is_refused(finished: mailcli.Run, model: Path) -> None:
    strangers = STRANGERS.assign(time=[874_860, np.nan, *[874_860] * 8])
    with pytest.raises(MailError) as refused:
        finished.predict(strangers)
    assert refused.value.message == (
        "DataFrame: row 2: column 'time' is empty. Expected a whole number of seconds since 1970."
    )
    # What NumPy makes of NaN as int64.
    with pytest.raises(tf.errors.InvalidArgumentError, match=rf"\[row\] \[2\].*holds\] \[{MISSING}\]"):
        predict(model, "new_users", {**request_of_strangers(), "context_time": [874_860, MISSING, *[874_860] * 8]})


def test_times_with_a_zone_are_seconds(finished: mailcli.Run) -> None:
    """1970-01-11 03:01:00 UTC is 874,860 s; a second's fractions are cut off."""
    scores = finished.predict(STRANGERS)
    for moment in (
        pd.Timestamp("1970-01-11 03:01:00.999", tz="UTC"),
        pd.Timestamp("1970-01-11 11:01:00", tz="Asia/Shanghai"),
        datetime(1970, 1, 11, 3, 1, tzinfo=UTC),
    ):
        pd.testing.assert_frame_equal(finished.predict(STRANGERS.assign(time=moment)), scores)
    with pytest.raises(MailError) as refused:
        finished.predict(STRANGERS.assign(time=pd.Timestamp("1970-01-11 03:01:00")))
    assert "expected seconds since 1970, or times with a time zone." in refused.value.message
    late = STRANGERS.assign(
        time=[*[pd.Timestamp(874_860, unit="s", tz="UTC")] * 9, pd.Timestamp("2017-05-04", tz="UTC")]
    )
    with pytest.raises(MailError) as refused:
        finished.predict(late)
    assert refused.value.message.startswith(
        "DataFrame: row 10: column 'time' holds 2017-05-04 00:00:00+00:00. Expected s"
    )


def test_what_preprocessing_refuses_is_refused(run: RunFolder, dataset: Dataset, tmp_path: Path) -> None:
    file, out = tmp_path / "in.csv", tmp_path / "out.csv"
    STRANGERS.iloc[:4].assign(born=["1984", "old", "inf", "1"], depth=["1", "2", "1e999", "nan"]).to_csv(
        file, index=False
    )
    assert error_line(score(run, file, out, dataset.folder.parent)) == (
        f"{file}: row 3 (2 rows): column 'depth' holds '1e999'. Expected a number or nothing. row 2 (2 rows): column "
        "'born' holds 'old'. Expected a number or nothing."
    )
    assert not out.exists()


def test_values_that_are_probably_read_wrongly_are_noted(run: RunFolder, dataset: Dataset, tmp_path: Path) -> None:
    file = tmp_path / "in.csv"
    strangers = STRANGERS.iloc[:2].assign(born=[1, 2], page=["a", "b"], hour=[5, 4])
    strangers.to_csv(file, index=False)
    result = score(run, file, tmp_path / "out.csv", dataset.folder.parent)
    assert result.exit_code == 0, result.output
    notes = [line for line in result.stderr.splitlines() if line.startswith(str(file))]
    assert notes == [
        f"{file}: column 'page': none of the 2 values occurs in the training split, for example 'a', so they all count as "
        "unknown. That split has 'p', 'q', for example.",
        f"{file}: column 'hour': 1 of 2 values differ from the hour of 'time' as training computed it, for example 4 "
        "instead of 5. The column is not used: the hour is computed from 'time'.",
        f"{file}: column 'born': all 2 values could be numbers of buckets, but are read as raw numbers, to be cut at 1970, "
        "1990.5. Give the numbers that the raw files have.",
    ]


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_clock_of_another_form_is_noted_and_not_used(
    run: RunFolder, dataset: Dataset, tmp_path: Path, suffix: str
) -> None:
    """874,860 s are in hour 5 and on weekday 3."""
    file, out, plain = (tmp_path / f"{name}{suffix}" for name in ("in", "out", "plain"))
    strangers = STRANGERS.iloc[:3]
    write = getattr(pd.DataFrame, "to_csv" if suffix == ".csv" else "to_parquet")
    write(strangers, plain, index=False)
    hours: list[Any] = [[5], [5], None] if suffix == ".parquet" else ["5h", "5.0", ""]
    write(strangers.assign(hour=hours, weekday=["Mon", "3", "\x1b"]), file, index=False)
    result = score(run, file, out, dataset.folder.parent)
    assert result.exit_code == 0, result.output
    hour_note = (
        "1 of 2 values differ from the hour of 'time' as training computed it, for example '5h' instead of 5."
        if suffix == ".csv"
        else "2 of 2 values differ from the hour of 'time' as training computed it, for example 'list<element: int64>' "
        "instead of 5."
    )
    assert [line for line in result.stderr.splitlines() if line.startswith(str(file))] == [
        f"{file}: column 'hour': {hour_note} The column is not used: the hour is computed from 'time'.",
        f"{file}: column 'weekday': 2 of 3 values differ from the weekday of 'time' as training computed it, for example "
        "'Mon' instead of 3. The column is not used: the weekday is computed from 'time'.",
    ]
    assert score(run, plain, tmp_path / f"plain-out{suffix}", dataset.folder.parent).exit_code == 0
    read = pd.read_csv if suffix == ".csv" else pd.read_parquet
    assert read(out)["score"].tolist() == read(tmp_path / f"plain-out{suffix}")["score"].tolist()


def test_an_hour_that_training_lacks_is_counted_and_not_called_that_of_the_column(
    run: RunFolder, dataset: Dataset, tmp_path: Path
) -> None:
    """900,720 s are 12:12 in local time, and trained hours are 2 to 10."""
    file = tmp_path / "in.csv"
    STRANGERS.iloc[:2].assign(time=900_720, hour=12).to_csv(file, index=False)
    result = score(run, file, tmp_path / "out.csv", dataset.folder.parent)
    assert result.stdout.endswith(" 2 with an unknown context value (hour 2, for example 12).\n")
    assert not [line for line in result.stderr.splitlines() if line.startswith(str(file))]


def test_times_before_every_behavior_are_noted(run: RunFolder, dataset: Dataset, tmp_path: Path) -> None:
    """The first click is that of u3 at 180 s: 10 days since 1970 are before it, if given as the number 10."""
    file, out = tmp_path / "in.csv", tmp_path / "out.csv"
    known = pd.DataFrame({"user": "u4", "item": "x2", "time": [10, 180], "page": "p", "depth": 1})
    known.to_csv(file, index=False)
    result = score(run, file, out, dataset.folder.parent)
    assert result.exit_code == 0, result.output
    note = (
        f"{file}: column 'time': the latest is 180, and the dataset's first behavior is at 180, so no impression has a "
        "history. Times are in seconds since 1970."
    )
    assert note in result.stderr.splitlines()
    known.assign(time=[10, 181]).to_csv(file, index=False)
    result = score(run, file, tmp_path / "later.csv", dataset.folder.parent)
    assert "first behavior" not in result.stderr


def test_the_id_of_a_user_whom_only_an_earlier_day_had_is_known(
    run: RunFolder, dataset: Dataset, tmp_path: Path
) -> None:
    """As in an exported model. A continued run reads its dataset with the ids of both days: here u1 to u12, and gone."""
    numbering = current_numbering(dataset)
    users = [*numbering.values["user"].tolist(), "gone"]
    assert len(users) == 13
    both = Numbering({**numbering.values, "user": np.array(users, object)}, numbering.dense)
    file = tmp_path / "in.csv"
    STRANGERS.iloc[:3].assign(user=["gone", "u0", "u1"]).to_csv(file, index=False)
    impressions = ImpressionBatches(
        Predictor(run, RenumberedDataset(dataset.folder, both)), ImpressionFile(file), False
    )
    ((_, batch, counts),) = impressions.batches(100)
    assert batch["attributes"][:, 0].tolist() == [14, 1, 2 + users.index("u1")]
    assert counts.users.rows == 2


def test_older_datasets_take_the_numbers_of_buckets(
    run: RunFolder, dataset: Dataset, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = raw_numbers.make(tmp_path).folder
    manifest = json.loads((folder / "dataset.json").read_text())
    del manifest["derivations"]
    (folder / "dataset.json").write_text(json.dumps(manifest))
    edit_manifest(folder)
    older = Dataset(folder)
    file = tmp_path / "in.csv"
    strangers = STRANGERS.iloc[:3].assign(born=[0, 1, 2], income=[0, 1, 0], depth=[2, 1, 0], hour=5, weekday=3)
    strangers.to_csv(file, index=False)
    impressions = ImpressionBatches(Predictor(run, older), ImpressionFile(file), False)
    ((_, batch, _),) = impressions.batches(100)
    assert batch["attributes"][:, 2].tolist() == ids_of(older, "born", [0, 1, 2])
    assert batch["context"][:, 1].tolist() == ids_of(older, "depth", [2, 1, 0])
    assert caplog.messages == [
        f"{folder}: was made by a version that did not keep the edges of buckets, so 'depth', 'born', 'income' must be given "
        "as the number of a bucket, 0 below the first edge. To give raw numbers, make the dataset again and train on it."
    ]
