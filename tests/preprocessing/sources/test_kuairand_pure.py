"""KuaiRand-Pure on made-up files of the published form (tests/helpers/kuairand.py)."""

from __future__ import annotations

import csv
import gzip
import shutil
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import pytest

from mailcli.data.dataset import Dataset
from mailcli.data.schema import SPLITS
from mailcli.errors import MailError
from mailcli.preprocessing.engines.duckdb import Engine
from mailcli.preprocessing.pipeline import PreprocessOptions, preprocess
from mailcli.preprocessing.sources.kuairand_pure import Source
from tests.helpers import kuairand
from tests.helpers.files import files_of
from tests.helpers.kuairand import EARLY, LATE, RANDOM, USERS, VIDEOS, good_rows, log_row, write
from tests.helpers.schema_files import raw_values, values_by_user

#: The users and videos as published, next to the project.
PUBLISHED = Path(__file__).parents[4] / "shared" / "data" / "kuairand-pure"
ACTIONS = ("click", "long_view", "like", "comment", "follow", "forward")
COLUMN_OF = {"click": "is_click", "like": "is_like", "long_view": "long_view"}
#: The rarest first; of several the first that is 1 is the action.
KINDS = ("is_forward", "is_follow", "is_comment", "is_like", "long_view", "is_click")
Step = tuple[int, str, int]
Impression = tuple[int, int, int, int, list[Step]]


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = good_rows()
    # User 0 is shown three videos within one second, the first of which is clicked.
    for milliseconds, actions in ((0, "100000"), (400, "000000"), (900, "000000")):
        time = datetime(2022, 5, 8, 22, 0, 0, milliseconds * 1000)
        rows[LATE].append(log_row(0, 5, time, actions))
    return write(tmp_path_factory.mktemp("raw"), rows)


@pytest.fixture(scope="module")
def datasets(raw: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Dataset]:
    """The dataset with the standard log as its test, and that with the random one."""
    data = tmp_path_factory.mktemp("data")
    return {
        test: preprocess("kuairand-pure", raw, data, None, PreprocessOptions(history=5, threads=1, test=test))
        for test in ("standard", "random")
    }


def read_log(path: Path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def expected_impressions(raw: Path, names: Sequence[str], label: str, history: int) -> list[Impression]:
    """(user, video, second, label, history) of logs: by a slow loop over all exposures of the standard logs."""
    shown = [row for name in (EARLY, LATE) for row in read_log(raw / name)]
    impressions = []
    for row in (row for name in names for row in read_log(raw / name)):
        second = int(row["time_ms"]) // 1000
        steps: list[Step] = []
        for other in shown:
            kind = next((column for column in KINDS if other[column] == "1"), None)
            earlier = int(other["time_ms"]) // 1000
            if kind and other["user_id"] == row["user_id"] and earlier < second:
                steps.append((earlier, kind.removeprefix("is_"), int(other["video_id"])))
        impressions.append(
            (int(row["user_id"]), int(row["video_id"]), second, int(row[COLUMN_OF[label]]), sorted(steps)[-history:])
        )
    return sorted(impressions)


def impressions_of(dataset: Dataset, *splits: str) -> list[Impression]:
    """The same of a dataset's splits."""
    steps = list(
        zip(
            dataset.column("behaviors", "time").tolist(),
            [dataset.schema.actions[number - 2] for number in dataset.column("behaviors", "action").tolist()],
            raw_values(dataset, "behaviors", "item"),
            strict=True,
        )
    )
    impressions = []
    for split in splits:
        user, end = dataset.column(split, "user")[:], dataset.column(split, "history_end")[:]
        for row in range(dataset.counts[split]):
            begin = max(int(dataset.offsets[user[row]]), int(end[row]) - dataset.history)
            impressions.append(
                (
                    int(dataset.column("users", "raw")[user[row]]),
                    int(dataset.column("items", "raw")[dataset.column(split, "item")[row]]),
                    int(dataset.column(split, "time")[row]),
                    int(dataset.column(split, "click")[row]),
                    sorted(steps[begin : int(end[row])]),
                )
            )
    return sorted(impressions)


def test_days_and_clicks_are_counted_by_hand(datasets: dict[str, Dataset]) -> None:
    # Eight exposures a day: 13 days train, one validates, 17 test, and three more in one second. Of nine kinds of
    # exposures five are clicked: 11 x 5 + 3 of 104, 5 of 8, 15 x 5 of 136, and one of the three.
    counts = datasets["standard"].counts
    assert [counts[split] for split in SPLITS] == [104, 8, 139]
    assert [counts[f"{split}_clicks"] for split in SPLITS] == [58, 5, 76]
    assert (counts["users"], counts["items"]) == (6, 8)
    # The kinds of the random log change every second row: 2 x (7 x 5 + 4) clicks of 136.
    counts = datasets["random"].counts
    assert [counts[split] for split in SPLITS] == [104, 8, 136]
    assert [counts[f"{split}_clicks"] for split in SPLITS] == [58, 5, 78]


@pytest.mark.parametrize(
    ("label", "name", "clicks"), [("long_view", "kuairand-pure-long-view", [35, 3, 45]), ("like", "kuairand-pure-like", [12, 1, 15])]
)  # fmt: skip
def test_the_label_is_chosen(raw: Path, tmp_path: Path, label: str, name: str, clicks: list[int]) -> None:
    dataset = preprocess("kuairand-pure", raw, tmp_path, None, PreprocessOptions(history=5, threads=1, label=label))
    assert dataset.folder == tmp_path / name
    assert [dataset.counts[f"{split}_clicks"] for split in SPLITS] == clicks
    assert impressions_of(dataset, *SPLITS) == expected_impressions(raw, [EARLY, LATE], label, 5)


def test_another_label_does_not_resume(
    raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(label: str) -> Dataset:
        return preprocess(
            "kuairand-pure", raw, tmp_path, "same-name", PreprocessOptions(history=5, threads=1, label=label)
        )

    with monkeypatch.context() as patch:
        patch.setattr(
            "mailcli.preprocessing.pipeline.Transform.run", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt)
        )
        with pytest.raises(KeyboardInterrupt):
            run("click")
    capsys.readouterr()
    dataset = run("like")
    assert "Starting over: --label, the source's schema changed since the interrupted run." in capsys.readouterr().err
    assert [dataset.counts[f"{split}_clicks"] for split in SPLITS] == [12, 1, 15]


def test_histories_are_earlier_positive_exposures(raw: Path, datasets: dict[str, Dataset]) -> None:
    """The actions of the impression itself, and of others in its second, are not in its history."""
    dataset = datasets["standard"]
    assert dataset.schema.actions == ACTIONS
    impressions = impressions_of(dataset, *SPLITS)
    assert impressions == expected_impressions(raw, [EARLY, LATE], "click", 5)
    # 2022-05-08 22:00:00 in UTC+8.
    of_one_second = [impression for impression in impressions if impression[2] == 1652018400]
    assert [impression[3] for impression in of_one_second] == [0, 0, 1]
    assert all(step[0] < 1652018400 for impression in of_one_second for step in impression[4])
    # User 0 sees exposures 0, 6, 12, ...: kinds 0, 6 and 3 of nine in turn, hence nothing, a follow and a like.
    # Exposure 18 is on 2022-04-10 at 6:00; exposure 6 on 04-08 at 18:00 and 12 on 04-09 at 12:00, of videos 6 and 5.
    (fourth,) = (impression for impression in impressions if impression[2] == 1649541600)
    assert fourth == (0, 4, 1649541600, 0, [(1649412000, "follow", 6), (1649476800, "like", 5)])


def test_the_random_log_is_the_test_of_a_second_dataset(raw: Path, datasets: dict[str, Dataset]) -> None:
    standard, random = datasets["standard"], datasets["random"]
    assert (standard.name, random.name) == ("kuairand-pure", "kuairand-pure-random")
    assert impressions_of(random, "test") == expected_impressions(raw, [RANDOM], "click", 5)
    assert impressions_of(random, "train", "validation") == impressions_of(standard, "train", "validation")
    # What training reads has the same ids in both.
    files = [
        {name: data for name, data in files_of(dataset.folder).items() if name.startswith(("vocabularies/", "users/"))}
        for dataset in (standard, random)
    ]
    assert files[0] == files[1]
    for name in ("tab", "hour", "weekday", "item", "user", "click"):
        assert standard.column("train", name)[:].tolist() == random.column("train", name)[:].tolist()


def test_attributes_features_and_context(datasets: dict[str, Dataset]) -> None:
    dataset = datasets["standard"]
    groups = {
        group: [field.name for field in dataset.schema.group(group)] for group in ("attributes", "context", "target")
    }
    assert groups["attributes"] == [
        *("user", "active_degree", "live_streamer", "video_author", "follows", "fans", "friends", "registered"),
        *(f"feat{number}" for number in range(18)),
    ]
    assert groups["context"] == ["tab", "hour", "weekday"]
    assert groups["target"] == ["item", "author", "video_type", "upload_type", "music", "tag"]
    assert dataset.schema.dense == ("duration",)
    assert values_by_user(dataset, "active_degree") == {k: None if k % 2 else "full_active" for k in range(6)}
    assert values_by_user(dataset, "follows") == dict.fromkeys(range(6), "(250,500]")
    videos = dataset.column("items", "raw").tolist()
    tags = dict(zip(videos, raw_values(dataset, "items", "tag"), strict=True))
    # Video 7 is shown only at random, on test days: its own tag is not known.
    assert {video: set(values) for video, values in tags.items()} == {
        **{k: {str(k), "39"} for k in range(7)},
        7: {None, "39"},
    }
    # The first exposures are of 2022-04-08, a Friday, at 0:00 and 3:00 in UTC+8; Thursday is day 0.
    clocks = sorted(
        zip(
            dataset.column("train", "time").tolist(),
            raw_values(dataset, "train", "hour"),
            raw_values(dataset, "train", "weekday"),
            strict=True,
        )
    )
    assert clocks[:2] == [(1649347200, 0, 1), (1649358000, 3, 1)]


@pytest.mark.parametrize("folder", ["", "data", "KuaiRand-Pure/data"])
def test_files_are_found_where_the_archive_has_them(raw: Path, tmp_path: Path, folder: str) -> None:
    copy = tmp_path / "raw" / folder
    shutil.copytree(raw, copy)
    with gzip.open(copy / f"{USERS}.gz", "wb") as file:
        file.write((copy / USERS).read_bytes())
    (copy / USERS).unlink()
    source = Source(tmp_path / "raw", tmp_path)
    assert [path.relative_to(copy).as_posix() for path in source.files] == [f"{USERS}.gz", VIDEOS, EARLY, LATE]


def refusal(folder: Path, **options: object) -> str:
    """The error of files in `folder`/raw, with RAW for that folder; no dataset is left."""
    with pytest.raises(MailError) as error:
        preprocess("kuairand-pure", folder / "raw", folder / "data", None, PreprocessOptions(threads=1, **options))  # type: ignore[arg-type]
    assert not (folder / "data").exists() or list((folder / "data").iterdir()) == []
    return error.value.message.replace(str(folder / "raw"), "RAW")


def edit(name: str, line: int, old: str, new: str) -> kuairand.Change:
    def change(rows: dict[str, list[str]]) -> None:
        assert old in rows[name][line], rows[name][line]
        rows[name][line] = rows[name][line].replace(old, new, 1)

    return change


def test_without_files_the_answer_says_which_and_where_to_get_them(tmp_path: Path) -> None:
    assert refusal(tmp_path) == (
        f"RAW: {USERS}, {VIDEOS}, {EARLY}, {LATE} not found (or .csv.gz). Get KuaiRand-Pure.tar.gz from "
        "https://zenodo.org/records/10439422 and unpack it: mkdir -p RAW && tar -xzf KuaiRand-Pure.tar.gz -C RAW"
    )
    write(tmp_path / "raw" / "data", {name: lines for name, lines in good_rows().items() if name != RANDOM})
    assert refusal(tmp_path, test="random") == (
        f"RAW/data: {RANDOM} not found (or .csv.gz). Get KuaiRand-Pure.tar.gz from "
        "https://zenodo.org/records/10439422 and unpack it: mkdir -p RAW && tar -xzf KuaiRand-Pure.tar.gz -C RAW"
    )
    (tmp_path / "raw" / "KuaiRand-Pure.tar.gz").touch()
    assert refusal(tmp_path, test="random") == (
        f"RAW/data: {RANDOM} not found (or .csv.gz). KuaiRand-Pure.tar.gz is there. Unpack it: "
        "mkdir -p RAW && tar -xzf RAW/KuaiRand-Pure.tar.gz -C RAW"
    )


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (
            edit(EARLY, 1, ",20220408,", ",20220422,"),
            {},
            f"RAW/{EARLY}, line 2: column 'date' holds '20220422'. Expected a day of its log: up to 20220421 in {EARLY}, "
            f"from 20220422 on in {LATE}. 1 of 248 rows (0.40%) cannot be used, --max-bad-rows allows 0.1%. Fix or "
            "remove them.",
        ),
        (
            edit(RANDOM, 1, ",20220422,", ",20220421,"),
            {"test": "random"},
            f"RAW/{RANDOM}, line 2: column 'date' holds '20220421'. Expected a day of its log: up to 20220421 in {EARLY}, "
            f"from 20220422 on in {RANDOM}. 1 of 248 rows (0.40%) cannot be used, --max-bad-rows allows 0.1%. Fix or "
            "remove them.",
        ),
        (
            edit(EARLY, 0, "is_forward", "forwarded"),
            {},
            f"RAW: behaviors.files: {LATE} and {EARLY} have different columns: {LATE} lacks 'forwarded', which {EARLY} has.",
        ),
        (
            edit(USERS, 0, "onehot_feat3,", "feat_3,"),
            {},
            f"RAW: users.attributes.feat3 = 'onehot_feat3': {USERS} has no such column.",
        ),
        (
            edit(EARLY, 2, ",1,0,0,0,0,0,0,", ",2,0,0,0,0,0,0,"),
            {},
            f"RAW/{EARLY}, line 3: column 'is_click' holds '2'. Expected 0 or 1, true or false. 1 of 248 rows (0.40%) "
            "cannot be used, --max-bad-rows allows 0.1%. Fix or remove them.",
        ),
        # No advice on keys of a schema file, which these files do not have.
        (
            edit(EARLY, 2, ",20220408,", ',"20220408,'),
            {},
            f'RAW/{EARLY}, line 3: a value begins with a quote (") that is never closed, so the rows after it become part '
            "of the value. Expected quotes around whole values. Correct the line.",
        ),
        (
            edit(EARLY, 2, ",20220408,", ',"20220408"9,'),
            {},
            f"RAW/{EARLY}, line 3: has text after a closing quote. Expected closed quotes. 1 of ",
        ),
    ],
)
def test_wrong_files_are_refused_with_one_line(
    tmp_path: Path, change: kuairand.Change, options: dict[str, str], message: str
) -> None:
    rows = good_rows()
    change(rows)
    write(tmp_path / "raw", rows)
    found = refusal(tmp_path, **options)
    assert "\n" not in found
    assert found.startswith(message), found


@pytest.mark.parametrize(("file", "what"), [(VIDEOS, "item"), (USERS, "user")])
def test_logs_of_other_users_or_videos_are_refused(file: str, what: str, tmp_path: Path) -> None:
    rows = good_rows()
    rows[file][1:] = [f"9{line}" for line in rows[file][1:]]
    write(tmp_path / "raw", rows)
    assert refusal(tmp_path) == (
        f"RAW/{EARLY}: no {what} of the impressions is in {file}, for example 0; values there look like 90. They must be "
        "written the same way in both."
    )


def test_options_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "raw", good_rows())
    assert refusal(tmp_path, label="clicks") == (
        "--label is 'clicks'. Expected one of 'click', 'long_view', 'like'. Did you mean 'click'?"
    )
    assert refusal(tmp_path, test="both") == "--test is 'both'. Expected one of 'standard', 'random'."
    assert refusal(tmp_path, engine="spark") == (
        "--engine spark: the files of 'kuairand-pure' are read only by DuckDB. Leave out --engine."
    )
    with pytest.raises(MailError) as error:
        preprocess("alimama", tmp_path / "raw", tmp_path / "data", None, PreprocessOptions(label="click"))
    assert error.value.message == "--label click: the source 'alimama' has no such option. Leave it out."


def test_files_that_are_not_the_published_ones(tmp_path: Path) -> None:
    write(tmp_path / "raw", good_rows())
    text = refusal(tmp_path, expect_official=True)
    assert text.startswith("RAW: not the published files: users.rows 6 (published 27,285), users.user 6 (published ")
    assert "items.rows 8 (published 7,583)" in text
    assert "impressions.rows 248 (published 1,436,609)" in text
    source = Source(tmp_path / "raw", tmp_path, test="random")
    assert (source.official["impressions.rows"], source.official["behaviors.rows"]) == (2_327_171, 1_436_609)


@pytest.mark.skipif(not PUBLISHED.is_dir(), reason="the published users and videos are next to the project")
def test_users_and_videos_are_those_that_were_published(tmp_path: Path) -> None:
    for name in (USERS, VIDEOS):
        shutil.copy(PUBLISHED / f"{name}.gz", tmp_path)
    write(tmp_path, {name: good_rows()[name] for name in (EARLY, LATE)})
    source = Source(tmp_path, tmp_path)
    with Engine(tmp_path, 10**9, 1, None) as engine:
        for table, rows in (("users", 27_285), ("items", 7_583)):
            frame = engine.collect(getattr(source, table)(engine))
            assert frame.num_rows == rows
            assert frame["fault"].null_count == rows
            distinct = {
                f"{table}.{name}": set(frame[name].to_pylist()) - {None} for name in frame.column_names if name != "tag"
            }
            counts = {name: len(values) for name, values in distinct.items() if name in source.official}
            assert counts == {
                name: count
                for name, count in source.official.items()
                if name.startswith(f"{table}.") and name != f"{table}.rows"
            }


@pytest.mark.slow
@pytest.mark.skipif(not PUBLISHED.is_dir(), reason="what could be rebuilt of the data is next to the project")
@pytest.mark.parametrize(
    ("schema", "counts"), [("click", [154_235, 17_570, 56_524]), ("long", [875_042, 37_121, 133_353])]
)
def test_the_rebuilt_part_has_the_counts_of_its_page(tmp_path: Path, schema: str, counts: list[int]) -> None:
    options = PreprocessOptions(history=50, schema=PUBLISHED / f"{schema}.toml")
    dataset = preprocess("tabular", PUBLISHED, tmp_path, schema, options)
    assert [dataset.counts[split] for split in SPLITS] == counts
    assert dataset.counts["items"] == 7_583
