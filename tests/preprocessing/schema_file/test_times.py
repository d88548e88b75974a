"""Times of a schema file: offsets, units, formats, fractions; a click is never in its own history."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mailcli.errors import MailError
from mailcli.preprocessing.sources.tabular import Source
from tests.helpers.schema_files import (
    FILES,
    WIDE,
    WIDE_FILE,
    edited,
    raw_rows,
    write_files,
)

#: The times of WIDE_FILE as local text: so many seconds after 1970-01-02 00:00.
TEXTS = {
    f",{time},": f",1970-01-02 {time // 3600:02}:{time // 60 % 60:02}:{time % 60:02},"
    for time in (200, 100, 300, 2000, 2001, 3000, 3001)
}
LOCAL = WIDE_FILE
for old, new in TEXTS.items():
    LOCAL = LOCAL.replace(old, new)
FORMAT = 'format = "%Y-%m-%d %H:%M:%S"'
BEHAVIORS, IMPRESSIONS = 'time = "at"\nwhere', 'time = "at"\nclick'


def times(of_behaviors: str, of_impressions: str) -> str:
    return edited((BEHAVIORS, f"{of_behaviors}\nwhere"), (IMPRESSIONS, f"{of_impressions}\nclick"), schema=WIDE)


def error_of(folder: Path, schema: str, text: str = LOCAL) -> str:
    raw = write_files(folder / "raw", {"wide.csv": text})
    (folder / "my.toml").write_text(schema)
    with pytest.raises(MailError) as error:
        Source(raw, folder, folder / "my.toml")
    return error.value.message.removeprefix(f"{folder / 'my.toml'}: ")


def test_behaviors_are_local_as_impressions_are(tmp_path: Path) -> None:
    """An offset of the impressions only would put each click 5 hours before itself, into its own history."""
    schema = times(f'time = {{column = "at", {FORMAT}}}', f'time = {{column = "at", {FORMAT}, utc_offset = "-05:00"}}')
    # 00:03:20 of the second day where clocks are 5 hours behind.
    clicked = [86400 + 5 * 3600 + time for time in (200, 300, 2000, 3000)]
    files = {"wide.csv": LOCAL}
    impressions = raw_rows(tmp_path, schema, files)
    assert sorted(row["time"] for row in impressions if row["click"]) == clicked
    assert sorted(row["time"] for row in raw_rows(tmp_path, schema, files, "behaviors")) == clicked


@pytest.mark.parametrize(
    ("mine", "theirs", "expected"),
    [
        (', utc_offset = "+00:00"', ', utc_offset = "-05:30"', ("+00:00", "-05:30")),
        (', utc_offset = "+08:00"', "", ("+08:00", "+00:00")),
    ],
)
def test_two_offsets_of_local_times_are_refused(
    tmp_path: Path, mine: str, theirs: str, expected: tuple[str, str]
) -> None:
    schema = times(f'time = {{column = "at", {FORMAT}{mine}}}', f'time = {{column = "at", {FORMAT}{theirs}}}')
    assert error_of(tmp_path, schema) == (
        f"behaviors.time.utc_offset = '{expected[0]}': expected '{expected[1]}' as in impressions.time, because both "
        "are local times. Leave it out, or write the offset into one of the texts and read it with %z in its format."
    )


def test_times_of_parquet_without_a_zone_are_local(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    table = pa.table(
        {
            "who": ["ann"],
            "city": ["Rome"],
            "age": [20],
            "sku": ["x1"],
            "kind": ["hat"],
            "at": pa.array([datetime(1970, 1, 2)], pa.timestamp("us")),
            "clicked": [1],
        }
    )
    pq.write_table(table, raw / "wide.parquet")
    schema = times('time = {column = "at", utc_offset = "+01:00"}', 'time = "at"').replace(".csv", ".parquet")
    (tmp_path / "my.toml").write_text(schema)
    with pytest.raises(MailError, match=r"behaviors.time.utc_offset = '\+01:00': expected '\+00:00'"):
        Source(raw, tmp_path, tmp_path / "my.toml")


@pytest.mark.parametrize(
    ("mine", "theirs"),
    [
        ('time = {column = "at", unit = "us"}', 'time = {column = "at", unit = "ms"}'),
        (f'time = {{column = "at", {FORMAT}}}', 'time = "at"'),
    ],
)
def test_one_column_is_one_time(tmp_path: Path, mine: str, theirs: str) -> None:
    """Behaviors in microseconds and impressions in milliseconds: each click would be long before itself."""
    assert error_of(tmp_path, times(mine, theirs), WIDE_FILE) == (
        "behaviors.time: reads the column 'at' differently from impressions.time. Expected the same unit, format, "
        "extract and utc_offset, because both are the same time."
    )


def test_an_offset_in_the_text_is_not_taken_off_twice(tmp_path: Path) -> None:
    spec = 'time = {column = "at", format = "%Y-%m-%dT%H:%M:%S%z", utc_offset = "+08:00"}'
    schema = times(spec, spec).replace("[split]", '[impressions.context]\nhour = {clock = "hour"}\n[split]')
    text = "who,city,age,sku,kind,at,clicked\nann,Rome,20,x1,hat,1970-01-02T10:00:00+0800,1\n"
    text += "bob,Rome,20,x1,hat,1970-01-02T10:00:00-0330,1\n"
    rows = raw_rows(tmp_path, schema, {"wide.csv": text})
    # 10:00 where clocks are 8 hours ahead is 02:00; where they are 3.5 behind, 13:30, or 21:30 in the offset's hours.
    assert {row["user"]: (row["time"], row["hour"]) for row in rows} == {"ann": (93600, 10), "bob": (135000, 21)}


@pytest.mark.parametrize(
    ("unit", "text", "second"),
    [
        ("s", "1700000000.75", 1_700_000_000),
        ("s", "1.70000000075e9", 1_700_000_000),
        ("ms", "1700000000999.9", 1_700_000_000),
        ("us", "1700000000999999", 1_700_000_000),
        ("ns", "1700000000999999999", 1_700_000_000),
        ("ns", "1.7e18", 1_700_000_000),
        ("s", "0.5", 0),
    ],
)
def test_fractions_of_a_second_are_cut_off(tmp_path: Path, unit: str, text: str, second: int) -> None:
    spec = f'time = {{column = "at", unit = "{unit}"}}'
    row = f"who,city,age,sku,kind,at,clicked\nann,Rome,20,x1,hat,{text},1\n"
    assert [row["time"] for row in raw_rows(tmp_path, times(spec, spec), {"wide.csv": row})] == [second]


@pytest.mark.parametrize(
    ("spec", "text", "reason"),
    [
        (
            'unit = "us"',
            "1651882669000000000",
            'Expected a time in us since 1970, from 0 to 68719476735999999; or unit = "ns"',
        ),
        (
            'unit = "ns"',
            "99000000000000000000",
            "Expected a time in ns since 1970, from 0 to 9223372036854775807",
        ),
        (
            'format = "%Y-%m-%d %H:%M:%S.%f"',
            "2022-05-07 00:17:49.123456789",
            "Expected a time written as %Y-%m-%d %H:%M:%S.%f; or a format with %n instead of %f, which reads nine digits "
            "after the second",
        ),
    ],
)
def test_nanoseconds_are_recognized(tmp_path: Path, spec: str, text: str, reason: str) -> None:
    spec = f'time = {{column = "at", {spec}}}'
    row = f"who,city,age,sku,kind,at,clicked\nann,Rome,20,x1,hat,{text},1\n"
    schema = times(spec, spec)
    (found,) = raw_rows(tmp_path, schema, {"wide.csv": row})
    file = Source(tmp_path / "raw", tmp_path, tmp_path / "my.toml").raw_files["impressions"]
    assert file.explain(found["fault"], found["line"]) == f"column 'at' holds '{text}'. {reason}"


@pytest.mark.parametrize(
    ("spec", "texts"),
    [
        ('{column = "at", unit = "ms"}', lambda time: str(1000 * time + 999)),
        ('{column = "at", unit = "us"}', lambda time: f"{1_000_000 * time}"),
        ('{column = "at", unit = "ms"}', lambda time: f"{1000 * time}.0"),
        ('{column = "at", unit = "ns"}', lambda time: f"{1_000_000_000 * time + 999_999_999}"),
        (
            '{column = "at", format = "%Y-%m-%d %H:%M:%S.%n"}',
            lambda time: datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%d %H:%M:%S.999999999"),
        ),
        (
            '{column = "at", format = "%d.%m.%Y %H:%M:%S"}',
            lambda time: datetime.fromtimestamp(time, UTC).strftime("%d.%m.%Y %H:%M:%S"),
        ),
        (
            '{column = "at", format = "%Y-%m-%dT%H:%M:%S", utc_offset = "-03:30"}',
            lambda time: datetime.fromtimestamp(time - 12600, UTC).strftime("%Y-%m-%dT%H:%M:%S"),
        ),
    ],
)
def test_times_may_be_written_otherwise(tmp_path: Path, spec: str, texts: Any) -> None:
    lines = FILES["shown.csv"].splitlines()
    rows = [line.split(",") for line in lines[1:]]
    text = "\n".join([lines[0], *(",".join([r[0], r[1], texts(int(r[2])), *r[3:]]) for r in rows)]) + "\n"
    schema = edited(('time = "at"\nclick', f"time = {spec}\nclick"))
    impressions = raw_rows(tmp_path, schema, {**FILES, "shown.csv": text})
    assert sorted(row["time"] for row in impressions) == [100, 100, 200, 300, 2000, 2100, 3000, 3700, 400_000]
    # 100 seconds after midnight in UTC, 20:31:40 of the day before where clocks are 3.5 hours behind.
    assert (impressions[0]["hour"], impressions[0]["weekday"]) == ((20, 6) if "-03:30" in spec else (0, 0))
