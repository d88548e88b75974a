"""KuaiRand-Pure (Gao et al., CIKM 2022): exposures of short videos, by a recommender or drawn at random.

The source is a schema (SCHEMA) on the published files, read as a schema file of a user's own is.
"""

from __future__ import annotations

import json
import shlex
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from mailcli.errors import MailError
from mailcli.preprocessing.duckdb_sql import literal
from mailcli.preprocessing.schema_file.definition import ColumnRef
from mailcli.preprocessing.schema_file.raw_file import RowCheck
from mailcli.preprocessing.schema_file.read import parse_schema
from mailcli.preprocessing.sources import tabular

ARCHIVE = "KuaiRand-Pure.tar.gz"
URL = "https://zenodo.org/records/10439422"
#: Where the files are below the folder of --raw: in it, or as the archive has them.
FOLDERS = ("", "data", "KuaiRand-Pure/data")

USERS, VIDEOS = "user_features_pure.csv", "video_features_basic_pure.csv"
EARLY = "log_standard_4_08_to_4_21_pure.csv"
#: The log of the second half, by the value of --test.
LATE = {"standard": "log_standard_4_22_to_5_08_pure.csv", "random": "log_random_4_22_to_5_08_pure.csv"}
LABELS = {"click": "is_click", "long_view": "long_view", "like": "is_like"}

#: Days of the column `date`, by which the published logs are cut. Ours: the last day of the first log validates.
TRAIN_DAYS = [f"202204{day:02}" for day in range(8, 21)]
VALIDATION_DAYS = ["20220421"]
TEST_DAYS = [f"202204{day:02}" for day in range(22, 31)] + [f"202205{day:02}" for day in range(1, 9)]

#: The schema; README of the data set: columns and their meaning. Left out are numbers whose range is an attribute too,
#: `is_lowactive_period` (0 for every user), and video_features_statistic_pure.csv, which counts over the whole month,
#: hence the test as well. Behaviors are exposures with a positive action; of several the rarest counts.
SCHEMA = """\
integers = ["user", "item", "author", "music"]

[users]
files = USERS
user = "user_id"
missing = ["UNKNOWN"]

[users.attributes]
active_degree = "user_active_degree"
live_streamer = "is_live_streamer"
video_author = "is_video_author"
follows = "follow_user_num_range"
fans = "fans_user_num_range"
friends = "friend_user_num_range"
registered = "register_days_range"
ONEHOT

[items]
files = VIDEOS
item = "video_id"
missing = ["UNKNOWN"]

[items.features]
author = "author_id"
video_type = "video_type"
upload_type = "upload_type"
music = "music_id"
tag = {column = "tag", separator = ",", most = 5}
duration = {column = "video_duration", dense = true}

[behaviors]
files = BEHAVIORS
user = "user_id"
time = {column = "time_ms", unit = "ms"}

[behaviors.action.rules]
click = "is_click"
long_view = "long_view"
like = "is_like"
comment = "is_comment"
follow = "is_follow"
forward = "is_forward"

[behaviors.fields]
item = "video_id"

[impressions]
files = IMPRESSIONS
user = "user_id"
item = "video_id"
time = {column = "time_ms", unit = "ms", utc_offset = "+08:00"}
click = LABEL

[impressions.context]
tab = "tab"
hour = {clock = "hour"}
weekday = {clock = "weekday"}

[split]
by = "column"
column = "date"
train = TRAIN
validation = VALIDATION
test = TEST
"""

#: Rows of the published files, and distinct values of the users' and videos' columns (`UNKNOWN` is none).
_ROWS = {EARLY: 1_141_112, LATE["standard"]: 295_497, LATE["random"]: 1_186_059}
_VALUES = {
    "users.rows": 27_285,
    "users.user": 27_285,
    "users.active_degree": 8,
    "users.live_streamer": 2,
    "users.video_author": 2,
    "users.follows": 8,
    "users.fans": 9,
    "users.friends": 7,
    "users.registered": 8,
    **{
        f"users.feat{number}": count
        for number, count in enumerate((2, 7, 50, 1471, 15, 34, 3, 118, 454, 7, 5, 5, 2, 2, 2, 2, 2, 2))
    },
    "items.rows": 7_583,
    "items.item": 7_583,
    "items.author": 6_510,
    "items.video_type": 2,
    "items.upload_type": 13,
    "items.music": 7_202,
}


class Source(tabular.Source):
    """KuaiRand-Pure: 27,285 users, 1.4 M recommended and 1.2 M randomly drawn exposures of short videos."""

    name = "kuairand-pure"
    options = MappingProxyType({"label": tuple(LABELS), "test": tuple(LATE)})

    def __init__(self, raw: Path, work: Path, label: str = "click", test: str = "standard") -> None:
        folder, names = _find(raw, test)
        early, late = names[EARLY], names[LATE[test]]
        text = _schema_text(names, label, test)
        self._open(folder, work, *parse_schema(folder, tomllib.loads(text), text))
        self.mapping = {"label": label, "test": test, "text": text}
        self.official = _VALUES | {
            "impressions.rows": _ROWS[EARLY] + _ROWS[LATE[test]],
            "behaviors.rows": _ROWS[EARLY] + _ROWS[LATE["standard"]],
        }
        self._check_days(folder / early, early, late)
        # There is no schema file whose keys a user could change.
        self.raw_files = {table: replace(file, has_hints=False) for table, file in self.raw_files.items()}

    def _check_days(self, early_path: Path, early: str, late: str) -> None:
        """A row whose day is not one of its log's is faulty: it would be in another split than its log."""
        table = self.impression_table
        day = table.text(ColumnRef("date"))
        is_test = f"({day} IN ({', '.join(map(literal, TEST_DAYS))}))"
        expected = f"a day of its log: up to {VALIDATION_DAYS[-1]} in {early}, from {TEST_DAYS[0]} on in {late}"
        table.checks.append(RowCheck(("date",), expected, f'{is_test} = ("#file" = {literal(str(early_path))})'))


def _find(raw: Path, test: str) -> tuple[Path, dict[str, str]]:
    """The folder of the published files, and each file's name there, plain or gzipped (MailError: some are missing)."""
    needed = list(dict.fromkeys((USERS, VIDEOS, EARLY, LATE["standard"], LATE[test])))
    by_folder = {folder: _names(folder, needed) for folder in (raw / name for name in FOLDERS)}
    folder = max(by_folder, key=lambda folder: len(by_folder[folder]))
    missing = [name for name in needed if name not in by_folder[folder]]
    if not missing:
        return folder, by_folder[folder]
    there = f"{ARCHIVE} is there. Unpack it" if (raw / ARCHIVE).is_file() else f"Get {ARCHIVE} from {URL} and unpack it"
    archive = raw / ARCHIVE if (raw / ARCHIVE).is_file() else ARCHIVE
    source, target = (shlex.quote(str(path)) for path in (archive, raw))
    raise MailError(
        f"{folder}: {', '.join(missing)} not found (or .csv.gz). {there}: mkdir -p {target} && tar -xzf {source} -C "
        f"{target}"
    )


def _names(folder: Path, needed: Sequence[str]) -> dict[str, str]:
    """The needed files that are in a folder."""
    return {name: file for name in needed for file in (f"{name}.gz", name) if (folder / file).is_file()}


def _schema_text(names: Mapping[str, str], label: str, test: str) -> str:
    """SCHEMA with the files' names, the label and the days."""
    early, standard = names[EARLY], names[LATE["standard"]]
    values = {
        "USERS": names[USERS],
        "VIDEOS": names[VIDEOS],
        "BEHAVIORS": [early, standard],
        "IMPRESSIONS": [early, names[LATE[test]]],
        "LABEL": LABELS[label],
        "TRAIN": TRAIN_DAYS,
        "VALIDATION": VALIDATION_DAYS,
        "TEST": TEST_DAYS,
    }
    text = SCHEMA.replace("ONEHOT", "\n".join(f'feat{number} = "onehot_feat{number}"' for number in range(18)))
    for key, value in values.items():
        text = text.replace(f"= {key}\n", f"= {json.dumps(value)}\n")
    return text
